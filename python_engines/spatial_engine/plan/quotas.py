# SPDX-License-Identifier: Apache-2.0
"""How many rows each task, source and split is to give: by the recipe, or a benchmark."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from spatial_engine.engines import engine_of
from spatial_engine.plan.balance import largest_remainder
from spatial_engine.plan.plan import PlanConfig, PlannedScene
from spatial_engine.recipe import Recipe

BENCHMARK_ROWS = 300  # of each subtask of MultiSPA's benchmark

Cell = tuple[str, str, str]  # task, source, split


def scene_count(scenes: tuple[PlannedScene, ...], cell: Cell) -> int:
    """Scenes of a source and split that are of the task's kind."""
    task, source, split = cell
    kind = engine_of(task).kind
    return sum((s.source, s.split, s.kind) == (source, split, kind) for s in scenes)


def in_benchmark(task: str) -> bool:
    """Whether MultiSPA's benchmark asks the task."""
    published = engine_of(task).published
    return published is not None and published.table == "MultiSPA"


def cell_quotas(
    tasks: tuple[str, ...], scenes: tuple[PlannedScene, ...], recipe: Recipe, config: PlanConfig
) -> dict[Cell, int]:
    """Rows wanted of each task, source and split that has scenes of the task's kind.

    These are the recipe's; a limit is spread in their proportion (`spatial_engine.plan.limit`).
    """
    places = sorted({(s.source, s.split) for s in scenes})
    counts = {
        (task, *place): count
        for task in tasks
        for place in places
        if (count := scene_count(scenes, (task, *place)))
    }
    quota: dict[Cell, int] = {}
    for task in tasks:
        mine: dict[str, float] = {
            "/".join(cell[1:]): n for cell, n in counts.items() if cell[0] == task
        }
        if config.benchmark is not None:
            quota |= _benchmark_quotas({c: n for c, n in counts.items() if c[0] == task})
            continue
        named = recipe.quota.get(task)
        each = recipe.quota.get("*", 0)
        if config.val_stretch:  # both sides of one scene
            mine = {name: _side_share(name, config.val_stretch) for name in mine}
            named = each if named is None else named
        spread = (
            {name: each * int(n) for name, n in mine.items()}
            if named is None
            else largest_remainder(named, mine)
        )
        for source, split in places:
            if (task, source, split) in counts:
                quota[task, source, split] = spread[f"{source}/{split}"]
    return quota


def _side_share(place: str, val_share: float) -> float:
    return val_share if place.endswith("/val") else 1.0 - val_share


def _benchmark_quotas(counts: Mapping[Cell, int]) -> dict[Cell, int]:
    """300 rows of a subtask, in proportion to the scenes: a task, of some a task and a source."""
    by_subtask: dict[str, dict[str, Cell]] = defaultdict(dict)
    for cell in counts:
        task, source, split = cell
        published = engine_of(task).published
        subtask = source if published is not None and published.by_source else ""
        by_subtask[subtask][f"{source}/{split}"] = cell
    quota: dict[Cell, int] = {}
    for cells in by_subtask.values():
        shares = {name: counts[cell] for name, cell in cells.items()}
        spread = largest_remainder(BENCHMARK_ROWS, shares)
        quota |= {cell: spread[name] for name, cell in cells.items()}
    return quota
