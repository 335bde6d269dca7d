# SPDX-License-Identifier: Apache-2.0
"""The two passes of a plan over the candidates of a scene: how many there are, and which go first.

Candidates are listed once. Between the passes all of them wait on disk, and after the second those
that may be taken: as many as the bins of the scene can give.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from spatial_engine.engines import engine_of
from spatial_engine.engines.base import candidates_of
from spatial_engine.engines.candidates import CandidateTable
from spatial_engine.plan.contents import Cells
from spatial_engine.plan.failures import EngineFailed, engine_failure
from spatial_engine.plan.open import open_context, open_index
from spatial_engine.plan.plan import PlannedScene
from spatial_engine.plan.quotas import Cell
from spatial_engine.plan.thresholds import Offer
from spatial_engine.plan.waiting import WaitingArrays, write_arrays
from spatial_engine.recipe import Recipe
from spatial_engine.records.record import record_id
from spatialcore.draws import smallest_of_groups
from spatialcore.errors import PlanError
from spatialcore.files import write_json

Tables = Iterator[tuple[str, CandidateTable]]  # by task
_COLUMNS = tuple(f.name for f in fields(CandidateTable) if f.name != "rejected")


@dataclass(frozen=True, slots=True)
class SceneJob:
    """What a worker needs to list the candidates of a scene.

    Attributes:
        spill: File of the candidates between the passes; None lists them in both.
        rounds: Task -> the round in which it is, or was, listed last; absent is the first.
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
        return None if self.spill is None else self.spill.with_suffix(f".{number}.listed")

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

    def save(self, path: Path) -> None:
        """Write it down, whole or not at all."""
        cells = {
            task: {"contents": found.contents.tolist(), "counts": found.counts.tolist(),
                   "shape": list(found.counts.shape)}
            for task, found in self.cells.items()
        }  # fmt: skip
        write_json(path, {"cells": cells, "rejected": self.rejected, "failed": self.failed})

    @classmethod
    def read(cls, path: Path) -> Counted | None:
        """What was written down; None where there is nothing, or it is damaged."""
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
            cells = {
                task: Cells(
                    np.array(found["contents"], dtype=np.uint64),
                    np.array(found["counts"], dtype=np.int64).reshape(found["shape"]),
                )
                for task, found in value["cells"].items()
            }
            return cls(cells, value["rejected"], value["failed"])
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None

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
    if not tasks:
        return
    try:
        index = open_index(job.index)
        context = open_context(index, job.scene, job.recipe, job.seed, job.scene_quota)
        for task in tasks:
            yield task, candidates_of(engine_of(task), context)
    except Exception as error:
        raise engine_failure(f"{job.scene.source}/{job.scene.scene}", task, error) from error


def _check_ids(job: SceneJob, task: str, table: CandidateTable) -> None:
    """Refuse a plan whose records would not have ids of their own: the engine is at fault."""
    twins = table.twins()
    if twins is None:
        return
    scene, package = job.scene, type(engine_of(task)).__module__.partition(".")[0]
    (frames, items), (others, _) = twins
    name = record_id(job.recipe.name, task, scene.source, scene.scene, frames, items)
    raise PlanError(
        f"{scene.source}/{scene.scene}: the engine of {task} (package {package!r}) lists two "
        f"candidates of one id, {name}: frames {_listed_text(frames)} and {_listed_text(others)} "
        f"with items {_listed_text(items)}. An id does not tell the order of frames: the engine "
        "has to list each set of frames once for the same items; leave the task out by --tasks"
    )


def _listed_text(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers)) or "none"


def count_candidates(job: SceneJob) -> Counted:
    """Candidates by task, content, stratum and bin; they wait on disk for the second pass.

    A scene on which an engine fails has none, and the reason is among the rejections.

    Raises:
        PlanError: An engine lists two candidates whose records would have one id.
    """
    out = Counted({}, {})

    def counted() -> Tables:
        for task, table in _tables(job, job.listed):
            _check_ids(job, task, table)
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


def pick_hashes(job: SceneJob, *, takes: Mapping[Cell, Cells]) -> dict[str, Offer]:
    """Leave on disk, for each task, the candidates of this scene that may be among the smallest.

    Returns:
        By task what the scene offers, where there is no folder to leave it in; else nothing.
    """
    out: dict[str, Offer] = {}

    def picked() -> Tables:
        for task, table in _listed(job):
            taken = takes[task, job.scene.source, job.scene.split]
            # One more than is taken, to see whether the last has an equal.
            most = np.where(taken.counts, taken.counts + 1, 0)
            groups = taken.group(table.content, table.stratum, table.bin)
            kept = table.take(np.sort(smallest_of_groups(table.hash, groups, most.ravel())))
            if job.picked is None:
                out[task] = Offer(kept.hash, kept.content, kept.stratum, kept.bin)
            yield task, kept

    _write(job.picked, picked())
    for number in set(job.rounds.values()) | {0}:
        waiting = job.waiting(number)
        if waiting is not None:
            waiting.unlink(missing_ok=True)
    return out


def offered(path: Path, tasks: Sequence[str]) -> Iterator[tuple[str, Offer]]:
    """What a scene offers of some tasks, of the file that `pick_hashes` or `keep_offer` left."""
    if not path.exists():
        return
    columns = WaitingArrays(path)
    for task in tasks:
        if f"{task}:hash" in columns:
            yield task, Offer(*(columns[f"{task}:{name}"] for name in Offer._fields))


def keep_offer(path: Path, offer: Mapping[str, Offer]) -> None:
    """Write down what a scene offers, as it came from another machine."""
    write_arrays(
        path,
        (
            (f"{task}:{name}", np.asarray(column))
            for task, columns in offer.items()
            for name, column in zip(Offer._fields, columns, strict=True)
        ),
    )


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
    write_arrays(
        path,
        (
            (f"{task}:{name}", getattr(table, name))
            for task, table in tables for name in _COLUMNS
        ),
    )  # fmt: skip


def _read(path: Path, tasks: tuple[str, ...]) -> Tables:
    """The tables that `_write` wrote, in the order of the tasks."""
    columns = WaitingArrays(path)
    for task in tasks:
        found: list[Any] = [columns[f"{task}:{name}"] for name in _COLUMNS]
        yield task, CandidateTable(*found)
