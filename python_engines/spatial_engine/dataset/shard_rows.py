# SPDX-License-Identifier: Apache-2.0
"""Which rows a shard makes, with the scenes that they are about."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import lru_cache, partial
from typing import TYPE_CHECKING, NamedTuple

from spatial_engine.dataset.manifest import Dropped
from spatial_engine.engines import engine_of
from spatial_engine.engines.base import Engine, candidates_of
from spatial_engine.engines.candidates import CandidateTable, Row
from spatial_engine.engines.context import SceneContext
from spatial_engine.plan.failures import EngineFailed, engine_failure
from spatial_engine.plan.open import open_context, open_index
from spatial_engine.plan.plan import Plan, PlannedScene, ScenePart
from spatial_engine.plan.rows import read_plan_rows

if TYPE_CHECKING:
    from spatialcore.index.store import SceneIndex


class PartRows(NamedTuple):
    """What one part of a shard makes: rows of a scene, by task."""

    context: SceneContext
    tasks: list[tuple[Engine, list[Row]]]


def rows_of_shard(plan: Plan, number: int, dropped: list[Dropped]) -> Iterator[PartRows]:
    """The rows of a shard, scene after scene: as written down, or listed again.

    Those of a scene that cannot be opened, or listed, are added to `dropped` instead.
    """
    stored = None if plan.rows_file is None else read_plan_rows(plan, number)
    shard = plan.shards[number]
    for k, part in enumerate(shard.parts):
        scene = plan.scene_of[part.source, part.scene, shard.split]
        rows = None if stored is None else stored[k]
        try:
            context = open_scene(plan, scene)
        except Exception as error:
            for task in ("",) if rows is None else rows:
                lost = None if rows is None else len(rows[task])
                dropped.append(dropped_rows(scene, task, error, lost))
            continue
        found = _listed(plan, scene, part, context, dropped) if rows is None else rows
        yield PartRows(context, [(engine_of(task), rows) for task, rows in found.items()])


def dropped_rows(
    scene: PlannedScene | SceneIndex, task: str, error: Exception, rows: int | None
) -> Dropped:
    """What an engine that failed on a scene costs; raises what concerns more than the scene."""
    failed = engine_failure(f"{scene.source}/{scene.scene}", task, error)
    if not isinstance(failed, EngineFailed):
        raise failed
    return Dropped(scene.source, scene.scene, task, failed.error, rows)


def _listed(
    plan: Plan,
    scene: PlannedScene,
    part: ScenePart,
    context: SceneContext,
    dropped: list[Dropped],
) -> dict[str, list[Row]]:
    """The candidates of a part of a scene that the plan takes, by task."""
    out = {}
    for task in plan.tasks:
        if engine_of(task).kind != scene.kind:
            continue
        try:
            taken = context.cached(("taken", task), partial(_taken, plan, scene, context, task))
        except Exception as error:
            dropped.append(dropped_rows(scene, task, error, None))
            continue
        rows = taken.between(part.low, part.high).rows()
        if rows:
            out[task] = rows
    return out


def _taken(plan: Plan, scene: PlannedScene, context: SceneContext, task: str) -> CandidateTable:
    """The candidates of a scene that the plan takes."""
    return plan.choose(candidates_of(engine_of(task), context), task, scene)


_LAST: list[SceneContext] = []  # what `open_scene` returned last


@lru_cache(maxsize=1)
def open_scene(plan: Plan, scene: PlannedScene) -> SceneContext:
    """A scene, kept while shard after shard takes its part of it."""
    while _LAST:  # no search for cycles runs while records are made
        _LAST.pop().forget()
    index = open_index(plan.index)
    context = open_context(index, scene, plan.recipe, plan.config.seed, plan.quotas_of(scene))
    _LAST.append(dataclasses.replace(context, takes=partial(plan.takes, scene)))
    return _LAST[-1]
