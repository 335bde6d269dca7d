# SPDX-License-Identifier: Apache-2.0
"""Sources that a verb is given in place of an index: how they are read, and their indexing."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from spatialcore.commands.progress import ProgressBar
from spatialcore.commands.reading import KeyedReading

if TYPE_CHECKING:
    from spatialcore.workers import Workers


def index_sources(
    specs: Sequence[str],
    folder: Path,
    read: KeyedReading,
    recipe: str | None,
    workers: Workers,
    *,
    device: str = "cpu",
    part: tuple[int, int] = (0, 1),
    wait: bool = False,
) -> Path:
    """Index sources into a folder, or take up the index that is there; returns the folder.

    Args:
        specs: Paths, or `kind:path`.
        folder: Of the index.
        read: How the sources are read.
        recipe: Name or file of the recipe whose rules it depends on; None: the default.
        workers: Who does the work.
        device: Where frames are tested.
        part: (i, n) of processes that start together: each does its share of the scenes first, then
            waits for the others' and does what nobody has.
        wait: Wait for whoever writes the index; a part does so in any case.

    Raises:
        UsageError: No source is named.
        SceneFormatError: No scene can be indexed; its code is the scenes' where all have one.
    """
    from spatial_engine.recipe import load_recipe
    from spatialcore.errors import CONTRADICTIONS, SceneFormatError, UsageError
    from spatialcore.index.config import IndexConfig
    from spatialcore.index.index import build_index
    from spatialcore.io.open import open_sources

    if not specs:
        raise UsageError("name scenes, an index or a plan")
    options = read.options()
    sources = [source for spec in specs for source in open_sources(spec, options)]
    config = IndexConfig(load_recipe(recipe or "default").rules)
    with ProgressBar() as bar:
        build = partial(
            build_index, sources, folder, config, workers=workers, device=device,
            wait=wait or part[1] > 1,
            on_event=lambda e: bar.show(f"{e.source}/{e.scene}", e.done, e.total),
        )  # fmt: skip
        if part[1] > 1:
            build(part=part)
        report = build()
    if not report.built and not report.reused:
        reasons = "; ".join(f"{s.scene}: {s.reason}: {s.message}" for s in report.skipped)
        codes = {s.reason for s in report.skipped}
        code = next(iter(codes)) if len(codes) == 1 else "no_scene"
        if codes & CONTRADICTIONS:
            code = "source_contradicts"
        raise SceneFormatError(specs[0], f"no scene can be indexed: {reasons}", code=code)
    for warning in report.warnings():
        print(f"warning: {warning}", file=sys.stderr)
    return folder
