# SPDX-License-Identifier: Apache-2.0
"""Passes over the scenes of a plan, and how long candidates of a limited plan are listed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from spatial_engine.engines import engine_of
from spatial_engine.engines.candidates import BEYOND_QUOTA
from spatial_engine.plan.contents import Cells, summed
from spatial_engine.plan.limit import Given, spread_limit, spread_over_sides
from spatial_engine.plan.passes import Counted, SceneJob
from spatial_engine.plan.plan import Plan, PlannedScene
from spatial_engine.plan.quotas import Cell, scene_count
from spatialcore.workers import Lost, Workers, run_pieces

Event = Callable[[str, int, int], None]
Result = TypeVar("Result")
Count = Callable[[SceneJob], Counted]


@dataclass
class Passes:
    """The passes over the scenes; those whose workers die are left out from then on.

    Attributes:
        jobs: One for each scene, in order.
        workers: Who does them.
        on_progress: Called with (stage, scenes done, scenes in all).
        counted: What each scene has, once it has been counted.
        lost: Scenes whose workers died twice.
        folder: Where counts are written down for other processes; None keeps them here.
    """

    jobs: list[SceneJob]
    workers: Workers
    on_progress: Event | None
    counted: list[Counted] = field(default_factory=list)
    lost: set[int] = field(default_factory=set)
    folder: Path | None = None

    @property
    def left_out(self) -> set[int]:
        """Scenes that give nothing: an engine failed on them, or their workers died."""
        return {k for k, scene in enumerate(self.counted) if scene.failed} | self.lost

    def run(
        self,
        function: Callable[[SceneJob], Result],
        stage: str,
        some: Sequence[int] | None = None,
    ) -> Generator[tuple[int, Result], None, None]:
        """(position, result) of each scene as they come, each of them reported."""
        out = self.left_out
        asked = range(len(self.jobs)) if some is None else some
        numbers = [k for k in asked if k not in out]
        jobs = [self.jobs[k] for k in numbers]
        with closing(run_pieces(function, jobs, self.workers, lambda j: j.scene.scene)) as results:
            for done, (position, result) in enumerate(results, 1):
                if self.on_progress is not None:
                    self.on_progress(stage, done, len(jobs))
                if isinstance(result, Lost):
                    self.lost.add(numbers[position])
                else:
                    yield numbers[position], result

    def count(self, function: Count) -> None:
        """Count the candidates of each scene; those that are written down are not listed again."""
        known = self.known()
        others = [k for k in range(len(self.jobs)) if k not in known]
        found = {**known, **dict(self.run(function, "count", others))}
        self.counted = [found.get(k, Counted({}, {})) for k in range(len(self.jobs))]
        self.without_lost()

    def count_part(self, function: Count, part: tuple[int, int]) -> int:
        """Count every n-th scene and write it down; returns how many scenes are then known."""
        i, n = part
        known = self.known()
        mine = [k for k in range(i, len(self.jobs), n) if k not in known]
        for k, counted in self.run(function, "count", mine):
            if self.folder is not None:
                counted.save(self._written(k))
        return len(self.known())

    def known(self) -> dict[int, Counted]:
        """The scenes whose counts, and candidates, are written down."""
        if self.folder is None:
            return {}
        read = {k: Counted.read(self._written(k)) for k in range(len(self.jobs))}
        return {k: found for k, found in read.items() if found is not None}

    def _written(self, number: int) -> Path:
        if self.folder is None:
            raise ValueError("there is no folder in which counts are written down")
        return self.folder / f"{number}.counted.json"

    def recount(self, function: Count, plan: Plan, cells: Collection[Cell]) -> None:
        """Count some cells again, as far as the plan's quotas of a scene now need them.

        Scenes that have none of them are not opened.
        """
        number = max(job.round for job in self.jobs) + 1
        self.jobs = [_of_round(job, number, plan, cells) for job in self.jobs]
        concerned = [k for k, job in enumerate(self.jobs) if job.listed]
        for k, again in self.run(function, "count further", concerned):
            self.counted[k] = self.counted[k].updated(again, self.jobs[k].listed)
        self.without_lost()

    def without_lost(self) -> bool:
        """Take the candidates of lost scenes out of the counts; whether there were any."""
        changed = False
        for k in self.lost:
            empty = Counted({}, {task: {Lost.reason: 1} for task in self.jobs[k].tasks})
            changed |= self.counted[k] != empty
            self.counted[k] = empty
        return changed


def _of_round(job: SceneJob, number: int, plan: Plan, cells: Collection[Cell]) -> SceneJob:
    """A job that lists some cells once more, with the plan's quotas."""
    place = job.scene.source, job.scene.split
    again = {task: number for task in job.tasks if (task, *place) in cells}
    return replace(
        job, round=number, scene_quota=plan.quotas_of(job.scene), rounds={**job.rounds, **again}
    )


def given_by_cell(
    plan: Plan, quota: Mapping[Cell, int], counted: Sequence[Counted]
) -> dict[Cell, Given]:
    """What the candidates of each cell can give."""
    scenes: dict[Cell, list[tuple[str, Cells]]] = {cell: [] for cell in quota}
    for scene, result in zip(plan.scenes, counted, strict=True):
        for task, cells in result.cells.items():
            scenes[task, scene.source, scene.split].append((scene.space, cells))
    balance = plan.config.balance or plan.recipe.balance
    rooms: dict[str, set[str]] = defaultdict(set)
    for cell, found in scenes.items():
        rooms[cell[0]].update(space for space, _ in found)
    given = {}
    for cell, found in scenes.items():
        engine = engine_of(cell[0])
        shape = len(engine.strata(plan.recipe)), engine.bin_count(plan.recipe)
        have = summed((cells for _, cells in found), *shape)
        given[cell] = Given(
            cell[0], have, plan.recipe, balance, len(rooms[cell[0]]), plan.scene_quota[cell]
        )
    return given


def limited(
    plan: Plan, weights: Mapping[Cell, int], passes: Passes, count: Count
) -> tuple[Plan, dict[Cell, int]]:
    """The plan's quotas of a scene and the cells' quotas for its limit, or those of the recipe.

    A task that lists candidates within the quota of a scene waits until the others are counted, if
    there is a limit. It is listed further while others fall short and it may take their rows, or it
    falls short itself because other scenes give none; it is exhausted when more quota brings no
    more candidates.
    """
    limit = plan.config.limit
    growing = {cell for cell in weights if engine_of(cell[0]).within_quota}
    if limit is None:
        # Only what engines say that they left out can bring more.
        growing = {cell for cell in growing if _left_out(plan, passes.counted, cell)}
    elif not any(job.round for job in passes.jobs):
        # Listed with their shares they would be listed again wherever the others fall short.
        given = given_by_cell(plan, weights, passes.counted)
        plan = _first_looked(plan, _wanted(plan, weights, given, growing), growing)
        passes.recount(count, plan, growing)
    while True:
        given = given_by_cell(plan, weights, passes.counted)
        wanted = _wanted(plan, weights, given, growing)
        short = {cell for cell in growing if given[cell].rows(wanted[cell]) < wanted[cell]}
        if not short:
            return plan, wanted
        plan = _looking_further(plan, {cell: wanted[cell] for cell in short})
        passes.recount(count, plan, short)
        again = given_by_cell(plan, weights, passes.counted)
        growing -= {cell for cell in short if again[cell].available <= given[cell].available}


def _wanted(
    plan: Plan, weights: Mapping[Cell, int], given: Mapping[Cell, Given], growing: AbstractSet[Cell]
) -> dict[Cell, int]:
    """The cells' quotas: those of the recipe, or a limit spread over what they give."""
    limit, side = plan.config.limit, plan.config.val_stretch
    if limit is None:
        return dict(weights)
    rows = partial(_rows, given, frozenset(growing))
    if side:
        return spread_over_sides(limit, weights, rows, side)
    return spread_limit(limit, weights, rows)


def _first_looked(plan: Plan, wanted: Mapping[Cell, int], growing: AbstractSet[Cell]) -> Plan:
    """With larger quotas of a scene for those cells that give more than their shares."""
    more = {
        cell: wanted[cell] for cell in growing
        if wanted[cell] // max(1, scene_count(plan.scenes, cell)) + 1 > plan.scene_quota[cell]
    }  # fmt: skip
    return _looking_further(plan, more)


def _left_out(plan: Plan, counted: Sequence[Counted], cell: Cell) -> bool:
    """Whether an engine left candidates of a cell out because the quota did not need them."""
    task, *place = cell
    return any(
        [scene.source, scene.split] == place and found.rejected.get(task, {}).get(BEYOND_QUOTA)
        for scene, found in zip(plan.scenes, counted, strict=True)
    )


def _rows(given: Mapping[Cell, Given], growing: frozenset[Cell], cell: Cell, quota: int) -> int:
    """Rows that a cell gives for a quota; those that grow give what is asked."""
    return quota if cell in growing else given[cell].rows(quota)


def _looking_further(plan: Plan, wanted: Mapping[Cell, int]) -> Plan:
    """With quotas of a scene that are twice as large, or what is wanted of it where that is more.

    A task is counted again with one quota for all of its cells that grow; the others keep theirs.
    """
    quotas = dict(plan.scene_quota)
    for cell, rows in wanted.items():
        each = rows // max(1, scene_count(plan.scenes, cell)) + 1
        quotas[cell] = max(2 * quotas[cell], each)
    return replace(plan, scene_quota=quotas)


def rejected_scene(scene: PlannedScene, counted: Counted) -> list[tuple[str, str, str, str, int]]:
    """(task, source, scene, reason, count) of what was refused of a scene, in order."""
    return [
        (task, scene.source, scene.scene, reason, count)
        for task, reasons in sorted(counted.rejected.items())
        for reason, count in sorted(reasons.items())
    ]
