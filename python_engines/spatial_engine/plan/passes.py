# SPDX-License-Identifier: Apache-2.0
"""The two passes of a plan over the candidates of a scene: how many there are, and which go first.

Candidates are listed once. Between the passes all of them wait on disk, and after the second those
that may be taken: as many as the bins of the scene can give.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import NamedTuple
from zipfile import ZipFile

import numpy as np
from numpy.typing import NDArray

from spatial_engine.engines import engine_of
from spatial_engine.engines.base import candidates_of
from spatial_engine.engines.candidates import CandidateTable
from spatial_engine.plan.contents import Cells
from spatial_engine.plan.failures import EngineFailed, engine_failure
from spatial_engine.plan.open import open_context, open_index
from spatial_engine.plan.plan import PlannedScene
from spatial_engine.plan.quotas import Cell
from spatial_engine.recipe import Recipe
from spatialcore.draws import smallest_of_groups

Picked = tuple[str, int, int, int, NDArray[np.uint64]]  # task, content, stratum, bin, hashes
Tables = Iterator[tuple[str, CandidateTable]]  # by task
_COLUMNS = tuple(f.name for f in fields(CandidateTable) if f.name != "rejected")


@dataclass(frozen=True, slots=True)
class SceneJob:
    """What a worker needs to list the candidates of a scene.

    Attributes:
        spill: File of the candidates between the passes; None lists them in both.
        rounds: Task -> the round in which it was listed last; absent is the first.
        round: The present round: only its tasks are listed.
    """

    index: Path
    recipe: Recipe
    seed: int
    tasks: tuple[str, ...]
    scene: PlannedScene
    scene_quota: Mapping[str, int]
    spill: Path | None
    rounds: Mapping[str, int] = field(default_factory=dict)
    round: int = 0

    @property
    def listed(self) -> tuple[str, ...]:
        """The tasks of the present round."""
        return self.of_round(self.round)

    def of_round(self, number: int) -> tuple[str, ...]:
        """The tasks that were listed last in a round."""
        return tuple(task for task in self.tasks if self.rounds.get(task, 0) == number)

    def waiting(self, number: int) -> Path | None:
        """File of the candidates of a round."""
        return None if self.spill is None else self.spill.with_suffix(f".{number}.npz")

    @property
    def picked(self) -> Path | None:
        """File of the candidates that the second pass picks."""
        return None if self.spill is None else self.spill.with_suffix(".picked")


class Counted(NamedTuple):
    """The candidates of a scene by task, and how many were refused by reason.

    `failed` says that an engine failed on the scene, which then gives nothing.
    """

    cells: dict[str, Cells]  # by task
    rejected: dict[str, Mapping[str, int]]
    failed: bool = False

    def updated(self, again: Counted, tasks: tuple[str, ...]) -> Counted:
        """With what was counted again of some tasks."""
        if again.failed:
            return again
        rejected = {task: found for task, found in self.rejected.items() if task not in tasks}
        return Counted(self.cells | again.cells, rejected | again.rejected)


def _cells(job: SceneJob, task: str, table: CandidateTable) -> Cells:
    """How many candidates there are of each content, stratum and bin."""
    engine = engine_of(task)
    none = Cells.none(len(engine.strata(job.recipe)), engine.bin_count(job.recipe))
    contents = np.unique(table.content)
    shape = len(contents), *none.counts.shape[1:]
    groups = none._replace(contents=contents).group(table.content, table.stratum, table.bin)
    counts = np.bincount(groups, minlength=math.prod(shape)).astype(np.int64)
    return Cells(contents, counts.reshape(shape))


def _tables(job: SceneJob, tasks: tuple[str, ...]) -> Tables:
    task = ""
    try:
        index = open_index(job.index)
        context = open_context(index, job.scene, job.recipe, job.seed, job.scene_quota)
        for task in tasks:
            yield task, candidates_of(engine_of(task), context)
    except Exception as error:
        raise engine_failure(f"{job.scene.source}/{job.scene.scene}", task, error) from error


def count_candidates(job: SceneJob) -> Counted:
    """Candidates by task, content, stratum and bin; they wait on disk for the second pass.

    A scene on which an engine fails has none, and the reason is among the rejections.
    """
    out = Counted({}, {})

    def counted() -> Tables:
        for task, table in _tables(job, job.listed):
            out.cells[task] = _cells(job, task, table)
            if table.rejected:
                out.rejected[task] = dict(table.rejected)
            yield task, table

    try:
        _write(job.waiting(job.round), counted())
    except EngineFailed as failed:
        # The scene alone is out: of all its tasks, whichever of them failed.
        tasks = (failed.task,) if failed.task else job.tasks
        return Counted({}, {task: {failed.reason: 1} for task in tasks}, failed=True)
    return out


def pick_hashes(job: SceneJob, *, takes: Mapping[Cell, Cells]) -> list[Picked]:
    """For each bin of each task the hashes of this scene that may be among the smallest."""
    out: list[Picked] = []

    def picked() -> Tables:
        for task, table in _listed(job):
            taken = takes[task, job.scene.source, job.scene.split]
            # One more than is taken, to see whether the last has an equal.
            most = np.where(taken.counts, taken.counts + 1, 0)
            groups = taken.group(table.content, table.stratum, table.bin)
            rows = smallest_of_groups(table.hash, groups, most.ravel())
            groups = groups[rows]
            for group in np.unique(groups).tolist():
                g, s, b = (int(k) for k in np.unravel_index(group, most.shape))
                hashes = table.hash[rows[groups == group]]
                out.append((task, int(taken.contents[g]), s, b, hashes))
            yield task, table.take(np.sort(rows))

    _write(job.picked, picked())
    for number in set(job.rounds.values()) | {0}:
        waiting = job.waiting(number)
        if waiting is not None:
            waiting.unlink(missing_ok=True)
    return out


def picked_candidates(job: SceneJob) -> dict[str, CandidateTable]:
    """The candidates that `pick_hashes` picked, by task, in their order; read once."""
    if job.picked is None:
        raise ValueError("the candidates of this scene were not written down")
    found = dict(_read(job.picked, job.tasks))
    job.picked.unlink()
    return found


def _listed(job: SceneJob) -> Tables:
    """What waits on disk, or is listed again: on Ray, and when a worker died after its work."""
    for number in sorted(set(job.rounds.values()) | {0}):
        path, tasks = job.waiting(number), job.of_round(number)
        if path is None or not path.exists():
            yield from _tables(job, tasks)
        else:
            yield from _read(path, tasks)


def _write(path: Path | None, tables: Tables) -> None:
    """Write one table after the other, none held longer; without a path they are just made."""
    if path is None:
        for _ in tables:
            continue
        return
    with ZipFile(path, "w") as archive:
        for task, table in tables:
            for name in _COLUMNS:
                with archive.open(f"{task}:{name}.npy", "w", force_zip64=True) as file:
                    np.lib.format.write_array(file, getattr(table, name), allow_pickle=False)


def _read(path: Path, tasks: tuple[str, ...]) -> Tables:
    """The tables that `_write` wrote, in the order of the tasks."""
    with np.load(path, allow_pickle=False) as columns:
        for task in tasks:
            yield task, CandidateTable(*(columns[f"{task}:{name}"] for name in _COLUMNS))
