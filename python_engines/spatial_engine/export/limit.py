# SPDX-License-Identifier: Apache-2.0
"""A limit on an export: spread evenly over the tasks, of each evenly over its record files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from spatial_engine.plan.balance import largest_remainder

if TYPE_CHECKING:
    from spatial_engine.dataset.dataset import OpenedRecord

Shares = Mapping[str, tuple[int, int]]  # task -> (records taken, records there)


def even_shares(counts: Mapping[str, int], limit: int) -> dict[str, int]:
    """Records of each task, together at most `limit`: as even as what there is lets them be.

    Example:
        >>> even_shares({"a": 100, "b": 3, "c": 50}, 24)
        {'a': 11, 'b': 3, 'c': 10}
    """
    left, out = limit, dict[str, int]()
    smallest_first = sorted(counts, key=lambda task: (counts[task], task))
    for k, task in enumerate(smallest_first):
        out[task] = min(counts[task], left // (len(counts) - k))
        left -= out[task]
    for task in sorted(counts):  # what does not divide evenly
        more = min(left, int(out[task] < counts[task]))
        out[task], left = out[task] + more, left - more
    return {task: out[task] for task in counts}


def limited(held: Sequence[Mapping[str, int]], limit: int) -> list[Shares]:
    """What each record file gives of each of its tasks, so that all together are `limit`.

    Args:
        held: For each file, task -> records.
        limit: Records at most.
    """
    counts = Counter[str]()
    for tasks in held:
        counts.update(tasks)
    shares: list[dict[str, tuple[int, int]]] = [{} for _ in held]
    for task, rows in even_shares(counts, limit).items():
        mine = {f"{k:09d}": tasks[task] for k, tasks in enumerate(held) if tasks.get(task)}
        for name, taken in largest_remainder(rows, mine).items():
            if taken:
                shares[int(name)][task] = taken, mine[name]
    return list(shares)


def evenly(records: Iterable[OpenedRecord], shares: Shares | None) -> Iterator[OpenedRecord]:
    """The records of a file that its shares take, evenly spaced among those of their task."""
    if shares is None:
        yield from records
        return
    seen = Counter[str]()
    for opened in records:
        task = opened.record.task
        taken, there = shares.get(task, (0, 1))
        k = seen[task]
        seen[task] += 1
        if (k + 1) * taken // there > k * taken // there:
            yield opened
