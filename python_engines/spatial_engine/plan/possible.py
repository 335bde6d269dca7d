# SPDX-License-Identifier: Apache-2.0
"""What a scene could be asked, before anything is indexed: for `spatialcore check`.

`check` finds this module by its entry point in the group `spatialcore.check`, since nothing in
`spatialcore` knows of engines. What a task needs is known from what a reader says; how many
questions there are is counted as a plan counts, on an index of some of the scene's frames that is
thrown away.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

from spatial_engine.engines import engines
from spatial_engine.engines.base import Engine, candidates_of
from spatial_engine.engines.context import SceneContext
from spatial_engine.recipe import Recipe, load_recipe
from spatialcore.index.build import build_scene
from spatialcore.index.config import IndexConfig
from spatialcore.index.store import SceneIndex
from spatialcore.io.agreement import sampled_frames
from spatialcore.types import Scene, Source, Track3D

if TYPE_CHECKING:
    from spatialcore.io.survey import SceneReport

FRAMES = 24  # of a scene are indexed: their 276 pairs fill the quota of a scene


class Possible(NamedTuple):
    """About how many questions of each task a scene gives.

    Attributes:
        questions: Task -> rows, at most what the default recipe asks of one scene.
        refused: Task without any -> the commonest reason and its count, e.g. "dead_zone 20".
        frames: Frames that were looked at.
    """

    questions: dict[str, int]
    refused: dict[str, str]
    frames: int


def _engines(kind: str) -> Iterator[Engine]:
    return (engine for engine in engines() if engine.kind == kind)


def locked_tasks(report: SceneReport) -> dict[str, tuple[str, ...]]:
    """Tasks of the report's kind -> what they need and the scene lacks, of objects, up, metres."""
    return {engine.task: tuple(_lacks(engine, report)) for engine in _engines(report.kind)}


def _lacks(engine: Engine, report: SceneReport) -> Iterator[str]:
    if engine.needs_objects and not report.object_count:
        yield "objects"
    if engine.needs_up and report.world_up is None:
        yield "up"
    if engine.needs_metres and not report.metric:
        yield "metres"


@dataclass(frozen=True)
class _Sampled:
    """A source whose scenes have a part of their frames, and no files that were worth hashing."""

    source: Source

    @property
    def kind(self) -> str:
        return self.source.kind

    @property
    def key(self) -> str:
        return self.source.key

    @property
    def root(self) -> Path:
        return self.source.root

    @property
    def options(self) -> Any:
        return getattr(self.source, "options", None)

    def scene_ids(self) -> tuple[str, ...]:
        return self.source.scene_ids()

    def open(self, scene_id: str) -> Scene | Track3D:
        opened = self.source.open(scene_id)
        if isinstance(opened, Scene):
            frames = tuple(sampled_frames(opened.frames, FRAMES))
            return replace(opened, frames=frames, inputs=())
        return replace(opened, inputs=())


def count_questions(source: Source, scene_id: str) -> Possible:
    """About how many questions a scene gives under the default recipe.

    Args:
        source: Where it is.
        scene_id: Which.

    Raises:
        SceneFormatError: The scene cannot be indexed: `index` would say the same.
    """
    recipe, sampled = load_recipe("default"), _Sampled(source)
    with TemporaryDirectory(prefix="spatialcore-check-") as folder:
        path = Path(folder) / source.key / scene_id
        build_scene(sampled, scene_id, IndexConfig(recipe.rules), path, threads=1)
        return _count(SceneIndex.open(path), sampled, recipe)


def _count(scene: SceneIndex, source: Source, recipe: Recipe) -> Possible:
    each = recipe.quota.get("*", 0)
    kind = scene.kind
    quota = {engine.task: recipe.quota.get(engine.task, each) for engine in _engines(kind)}
    context = SceneContext.open(
        scene, recipe, 0, scene.split or "train", scene_quota=quota, source=source
    )
    questions, refused = {}, {}
    for engine in _engines(kind):
        table = candidates_of(engine, context)
        questions[engine.task] = min(len(table), quota[engine.task])
        if not len(table) and table.rejected:
            reason, count = max(table.rejected.items(), key=lambda item: item[1])
            refused[engine.task] = f"{reason} {count:,}"
    return Possible(questions, refused, len(scene.valid_frames))
