# SPDX-License-Identifier: Apache-2.0
"""The scenes of the reference that a process keeps open: few, since each holds its whole cloud."""

from __future__ import annotations

import gc
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

from spatial_engine.dataset.manifest import Manifest
from spatial_engine.plan.open import reopen_source
from spatial_engine.reference.scene import ReferenceScene

KEPT_SCENES = 2
_kept: OrderedDict[str, ReferenceScene] = OrderedDict()


def kept_scene(
    manifest: Manifest, roots: Mapping[str, Path], source: str, scene: str, split: str
) -> ReferenceScene:
    """A scene of a source, kept for the next shards of this process: a built cloud is dear."""
    entry, seed, recipe = manifest.sources[source], manifest.seed, manifest.recipe
    place = (source, entry.kind, roots[source], entry.options)
    key = repr((*place, scene, recipe, seed, split))
    if key not in _kept:
        keep_scenes(KEPT_SCENES - 1)  # the old one goes before the new one is read
        _kept[key] = ReferenceScene(reopen_source(*place).open(scene), recipe, seed, split)
    _kept.move_to_end(key)
    return _kept[key]


def keep_scenes(most: int) -> None:
    """Let go of all scenes but so many, those that were asked for last.

    What is kept of a scene refers to it: its arrays go when cycles are looked for, which few large
    arrays never set off.
    """
    if len(_kept) <= most:
        return
    while len(_kept) > most:
        _kept.popitem(last=False)
    gc.collect()
