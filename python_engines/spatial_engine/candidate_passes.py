# SPDX-License-Identifier: Apache-2.0
"""The two passes of a plan over the candidates of a scene: how many there are, and which go first.

Between the passes a bin and a hash of each candidate wait on disk, so that they are listed once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spatial_engine.contexts import open_context, open_index
from spatial_engine.engine import CandidateTable, candidates_of
from spatial_engine.engines import engine_of
from spatial_engine.plan import PlannedScene
from spatial_engine.quotas import Cell
from spatialcore.draws import smallest_of_groups
from spatialcore.relations.recipe import Recipe

Picked = tuple[str, int, int, NDArray[np.uint64]]  # task, stratum, bin, hashes


@dataclass(frozen=True, slots=True)
class SceneJob:
    """What a worker needs to list the candidates of a scene.

    Attributes:
        spill: File between the passes; None lists the candidates in both.
    """

    index: Path
    recipe: Recipe
    seed: int
    tasks: tuple[str, ...]
    scene: PlannedScene
    scene_quota: Mapping[str, int]
    spill: Path | None


class Counted(NamedTuple):
    """The candidates of a scene by task, and how many were refused by reason."""

    histogram: dict[str, NDArray[np.int64]]  # task -> (strata, bins)
    rejected: dict[str, Mapping[str, int]]


class _Hashes(NamedTuple):
    """The candidates of a task in a scene (n rows), as far as a plan needs them."""

    group: NDArray[np.int64]  # stratum and bin as one number
    hash: NDArray[np.uint64]


def _hashes(job: SceneJob, task: str, table: CandidateTable) -> _Hashes:
    bins = engine_of(task).bin_count(job.recipe)
    return _Hashes(table.stratum.astype(np.int64) * bins + table.bin, table.hash)


def _tables(job: SceneJob) -> Iterator[tuple[str, CandidateTable]]:
    context = open_context(open_index(job.index), job.scene, job.recipe, job.seed, job.scene_quota)
    for task in job.tasks:
        yield task, candidates_of(engine_of(task), context)


def count_candidates(job: SceneJob) -> Counted:
    """Candidates by task, stratum and bin; what the second pass needs of them goes to disk."""
    out = Counted({}, {})
    columns: dict[str, NDArray[np.generic]] = {}
    for task, table in _tables(job):
        engine, found = engine_of(task), _hashes(job, task, table)
        shape = (len(engine.strata(job.recipe)), engine.bin_count(job.recipe))
        counts = np.bincount(found.group, minlength=shape[0] * shape[1]).astype(np.int64)
        out.histogram[task] = counts.reshape(shape)
        if table.rejected:
            out.rejected[task] = dict(table.rejected)
        columns |= {f"{task}:group": found.group.astype(np.int32), f"{task}:hash": found.hash}
    if job.spill is not None:
        np.savez(job.spill, allow_pickle=False, **columns)
    return out


def _counted_before(job: SceneJob) -> Iterator[tuple[str, _Hashes]]:
    """The candidates that `count_candidates` listed: ten bytes each, read task by task."""
    if job.spill is None:
        for task, table in _tables(job):
            yield task, _hashes(job, task, table)
        return
    with np.load(job.spill, allow_pickle=False) as columns:
        for task in job.tasks:
            group = columns[f"{task}:group"].astype(np.int64)
            yield task, _Hashes(group, columns[f"{task}:hash"])
    job.spill.unlink()


def pick_hashes(job: SceneJob, *, takes: Mapping[Cell, list[tuple[int, ...]]]) -> list[Picked]:
    """For each bin of each task the hashes of this scene that may be among the smallest."""
    out: list[Picked] = []
    for task, found in _counted_before(job):
        taken = np.array(takes[task, job.scene.source, job.scene.split], dtype=np.int64)
        # One more than is taken, to see whether the last has an equal.
        rows = smallest_of_groups(found.hash, found.group, np.where(taken, taken + 1, 0).ravel())
        groups = found.group[rows]
        for group in np.unique(groups).tolist():
            s, b = divmod(group, taken.shape[1])
            out.append((task, s, b, found.hash[rows[groups == group]]))
    return out
