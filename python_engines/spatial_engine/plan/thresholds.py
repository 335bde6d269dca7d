# SPDX-License-Identifier: Apache-2.0
"""The last hash that each cell takes, found some tasks at a time, and the shards that follow.

What the scenes offer waits on disk, so that memory holds the hashes of a few tasks, then those of
one scene: it does not grow with the rows of a plan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spatial_engine.plan.balance import SmallestHashes
from spatial_engine.plan.limit import Allocated
from spatial_engine.plan.plan import Plan, PlannedScene, Threshold
from spatial_engine.plan.quotas import Cell

HELD_HASHES = 8_000_000  # of the tasks that are looked at together; 12 bytes each


class Offer(NamedTuple):
    """The candidates of a scene that may be among the smallest: (n,) each."""

    hash: NDArray[np.uint64]
    content: NDArray[np.uint64]
    stratum: NDArray[np.int8]
    bin: NDArray[np.int16]


# Number of a scene and some tasks -> (task, what the scene offers of it).
Offers = Callable[[int, Sequence[str]], Iterator[tuple[str, Offer]]]


def find_thresholds(
    allocated: Mapping[Cell, Allocated], scenes: Sequence[PlannedScene], offers: Offers
) -> tuple[Threshold, ...]:
    """One row for each cell that has candidates or a quota, in the order of the cells."""
    chosen: dict[tuple[Cell, int, int, int], tuple[int, int]] = {}
    for tasks in _together(allocated):
        held: dict[tuple[Cell, int, int, int], SmallestHashes] = {}
        for k, scene in enumerate(scenes):
            for task, offer in offers(k, tasks):
                cell = (task, scene.source, scene.split)
                for content, s, b, hashes in _by_cell(offer):
                    key = (cell, content, s, b)
                    if key not in held:
                        held[key] = SmallestHashes(_taken(allocated[cell], content, s, b))
                    held[key].add(hashes, k)
        for key, smallest in held.items():
            hashes, _ = smallest.chosen()
            if len(hashes):
                chosen[key] = int(hashes[-1]), len(hashes)
    return tuple(
        Threshold(*cell, b, s, content, int(part.have.counts[g, s, b]), int(part.quota[g, s, b]),
                  count, last)
        for cell, part in allocated.items()
        for g, s, b in np.argwhere((part.quota > 0) | (part.have.counts > 0)).tolist()
        for content in [int(part.have.contents[g])]
        for last, count in [chosen.get((cell, content, s, b), (0, 0))]
    )  # fmt: skip


def _together(allocated: Mapping[Cell, Allocated]) -> Iterator[list[str]]:
    """Tasks in groups whose hashes fit into memory together."""
    sizes: dict[str, int] = {}
    for (task, _, _), part in allocated.items():
        most = np.minimum(part.have.counts, 5 * part.taken + 4_096)
        sizes[task] = sizes.get(task, 0) + int(most.sum())
    group: list[str] = []
    held = 0
    for task, size in sizes.items():
        if group and held + size > HELD_HASHES:
            yield group
            group, held = [], 0
        group.append(task)
        held += size
    if group:
        yield group


def _by_cell(offer: Offer) -> Iterator[tuple[int, int, int, NDArray[np.uint64]]]:
    """(content, stratum, bin, hashes) of an offer."""
    if not len(offer.hash):
        return
    order = np.lexsort((offer.bin, offer.stratum, offer.content))
    columns = [column[order] for column in (offer.content, offer.stratum, offer.bin)]
    starts = np.flatnonzero(np.any([c[1:] != c[:-1] for c in columns], axis=0)) + 1
    for rows in np.split(order, starts):
        first = rows[0]
        yield (
            int(offer.content[first]), int(offer.stratum[first]), int(offer.bin[first]),
            offer.hash[rows],
        )  # fmt: skip


def _taken(part: Allocated, content: int, s: int, b: int) -> int:
    g = int(np.searchsorted(part.have.contents, np.uint64(content)))
    return int(part.taken[g, s, b])


def taken_hashes(plan: Plan, number: int, offers: Offers) -> NDArray[np.uint64]:
    """The hashes of a scene's rows that the plan takes, ascending."""
    scene = plan.scenes[number]
    found = [
        offer.hash[plan.takes(scene, task, offer.bin, offer.stratum, offer.hash, offer.content)]
        for task, offer in offers(number, plan.tasks)
    ]
    return np.sort(np.concatenate([np.zeros(0, np.uint64), *found]))
