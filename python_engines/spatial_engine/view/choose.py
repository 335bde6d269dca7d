# SPDX-License-Identifier: Apache-2.0
"""Which records are shown where not all are: those with the smallest hashes of their ids."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from spatial_engine.dataset.dataset import Dataset, OpenedRecord
from spatial_engine.view.gallery import id_hash


class Chosen(NamedTuple):
    """A choice among the records of a data set.

    Attributes:
        counts: Rows of each task that was asked for, shown or not.
        ids: Ids of those that are shown; None when all of these tasks are.
    """

    counts: dict[str, int]
    ids: frozenset[str] | None


def choose(dataset: Dataset, tasks: Iterable[str], *, per_task: int | None, limit: int) -> Chosen:
    """Choose `per_task` records of each task, or as many of each as makes `limit` in all.

    Args:
        dataset: The data set.
        tasks: The tasks.
        per_task: Records of each task; None: what `limit` leaves room for.
        limit: Records in all.
    """
    wanted = frozenset(tasks)
    counts: Counter[str] = Counter()
    for file in dataset.shards:
        counts.update({name: n for name, n in file.done.tasks.items() if name in wanted})
    share = _fair_share(list(counts.values()), limit)
    share = share if per_task is None else min(per_task, share)
    if max(counts.values(), default=0) <= share:
        return Chosen(dict(counts), None)
    kept: dict[str, list[tuple[int, str]]] = {name: [] for name in counts}
    for table in dataset.tables():
        columns = (table.column(name).to_pylist() for name in ("id", "task"))
        for record_id, task in zip(*columns, strict=True):
            if task in kept:
                _push(kept[task], (-id_hash(record_id), record_id), share)
    ids = sorted((-order, record_id) for heap in kept.values() for order, record_id in heap)
    return Chosen(dict(counts), frozenset(record_id for _, record_id in ids[:limit]))


def _fair_share(counts: list[int], limit: int) -> int:
    """The most records of a task such that all tasks together have at most `limit`."""
    left = limit
    for k, count in enumerate(sorted(counts)):
        share = left // (len(counts) - k)
        if count > share:
            return max(share, 1)
        left -= count
    return max(counts, default=0)


def _push(heap: list[tuple[int, str]], entry: tuple[int, str], most: int) -> None:
    if len(heap) < most:
        heapq.heappush(heap, entry)
    else:
        heapq.heappushpop(heap, entry)


def choose_examples(
    records: Iterable[OpenedRecord], per_task: int
) -> dict[str, list[OpenedRecord]]:
    """The `per_task` records of each task with the smallest hash of their id.

    The choice depends on the records alone, not on their order; memory is bounded by the result.

    Returns:
        task -> records, tasks in alphabetical order.
    """
    kept: dict[str, list[tuple[int, str, OpenedRecord]]] = {}
    for opened in records:
        record = opened.record
        entry = (-id_hash(record.id), record.id, opened)
        heap = kept.setdefault(record.task, [])
        if len(heap) < per_task:
            heapq.heappush(heap, entry)
        else:
            heapq.heappushpop(heap, entry)
    return {task: [e[2] for e in sorted(kept[task], reverse=True)] for task in sorted(kept)}
