# SPDX-License-Identifier: Apache-2.0
"""Opening what a plan names: its index, its sources, and the context of a scene."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from spatial_engine.engines.context import SceneContext
from spatial_engine.plan.plan import Plan, PlannedScene
from spatial_engine.recipe import Recipe
from spatialcore.errors import PlanError
from spatialcore.index.index import Index
from spatialcore.index.store import SceneIndex
from spatialcore.types import Source

_LOG = logging.getLogger(__name__)


@lru_cache(maxsize=4)
def open_index(path: Path) -> Index:
    """An index, kept open in this process."""
    return Index.open(path)


def source_of(index: Index, key: str) -> Source:
    """The source of an index, opened again for what stays there: tracks, images, meshes."""
    entry = index.sources[key]
    return reopen_source(key, entry.kind, entry.root, entry.options)


def reopen_source(key: str, kind: str, root: str | Path, options: Mapping[str, Any]) -> Source:
    """A source by its recorded kind, root and options."""
    from spatialcore.io.open import open_source
    from spatialcore.io.options import ReadOptions

    plain: dict[str, Any] = {
        name: tuple(v) if isinstance(v, list) else v for name, v in options.items()
    }
    return open_source(f"{kind}:{root}", ReadOptions(**plain), key=key)


def index_hash(scene: SceneIndex) -> str:
    """BLAKE2b-16 of a scene's scene.json, which holds the hashes of what it was made of."""
    meta = (scene.path / "scene.json").read_bytes()
    return hashlib.blake2b(meta, digest_size=16).hexdigest()


def check_sources(plan: Plan, numbers: Iterable[int]) -> None:
    """See before the first shard that scenes and sources are those of the plan.

    Sizes and times of the inputs are looked at; where a time differs, the content decides.

    Args:
        plan: The plan.
        numbers: Shards that will be made; scenes of others are not looked at.

    Raises:
        PlanError: A scene was indexed again, or a file of its source has changed; names it.
    """
    index = open_index(plan.index)
    missing = {key for key, source in index.sources.items() if not source.root.exists()}
    for key in sorted(missing):
        # Rooms can be made from the index alone; a clip will say what it lacks.
        _LOG.warning("%s is not there: no change of source %s can be seen",
                     index.sources[key].root, key)  # fmt: skip
    shards = [plan.shards[n] for n in numbers]
    parts = {(part.source, part.scene, shard.split) for shard in shards for part in shard.parts}
    for key, name, split in sorted(parts):
        scene = index.open_scene(key, name)
        if index_hash(scene) != plan.scene_of[key, name, split].index_hash:
            raise PlanError(f"{key}/{name} was indexed again since the plan; plan again")
        changed = () if key in missing else scene.changed_inputs(index.sources[key].root)
        if changed:
            raise PlanError(
                f"{key}/{name} changed since it was indexed: {changed[0]}; index and plan again, "
                "or put the file back"
            )


def open_context(
    index: Index,
    scene: PlannedScene,
    recipe: Recipe,
    seed: int,
    scene_quota: Mapping[str, int],
) -> SceneContext:
    """The context of a planned scene.

    Raises:
        PlanError: The scene was indexed again since the plan.
    """
    opened = index.open_scene(scene.source, scene.scene)
    if index_hash(opened) != scene.index_hash:
        raise PlanError(
            f"{scene.source}/{scene.scene} was indexed again since the plan; plan again"
        )
    opened.check()
    source = source_of(index, scene.source) if scene.kind == "clip" else None
    return SceneContext.open(
        opened, recipe, seed, scene.split, scene_quota=scene_quota, source=source,
        within=scene.frames,
    )  # fmt: skip
