# SPDX-License-Identifier: Apache-2.0
"""A data set without the records that give themselves away, every task within its bound."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from spatial_engine.dataset.dataset import Dataset, ShardFile
from spatial_engine.dataset.make import summary_of
from spatial_engine.dataset.manifest import (
    MANIFEST_NAME,
    SUMMARY_NAME,
    Manifest,
    ShardDone,
    Summary,
    done_path,
    shard_path,
)
from spatial_engine.dataset.stress import ROWS_LOOKED_AT, TaskStress, attackable, attacked
from spatial_engine.records.record import read_tables, record_schema, write_table
from spatialcore.errors import RecordError, UsageError
from spatialcore.files import content_hash, write_json
from spatialcore.folders import check_free, whole_folder

PRUNED_NAME = "pruned.jsonl"
ROUND_SHARE = 0.05  # of a task's records that a round removes
LEAST_KEPT = 0.25  # of them: a task that is not within its bound by then stays so, and is told


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was removed of a task, and what is left.

    Attributes:
        before: What the task gave away.
        after: What it gives away now.
        removed: Record id -> how sure a blind reader was of its answer, in order of removal.
    """

    before: TaskStress
    after: TaskStress
    removed: Mapping[str, float]


def to_remove(
    dataset: Dataset,
    *,
    most: int = ROWS_LOOKED_AT,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> dict[str, Pruned]:
    """The records whose removal brings each task within its bound.

    The records that a blind reader is most sure of go first, a twentieth of the task a round; what
    is left is attacked again after each. A quarter of a task always stays.

    Args:
        dataset: The data set.
        most: Records of a task that can be looked at.
        on_progress: Called with (task, tasks done, tasks in all).

    Raises:
        UsageError: A task that misses its bound has more records than are looked at.
        ModuleNotFoundError: scikit-learn (extra `stress`) is not installed.
    """
    found = {}
    samples = attackable(dataset, most=most)
    for done, (task, (sample, rows, guess)) in enumerate(samples.items(), 1):
        before = after = attacked(sample.rows, rows, guess)
        if not before.within and sample.rows > len(rows):
            raise UsageError(
                f"{dataset.path}: {task} misses its bound and has {sample.rows:,} records, of "
                f"which {most:,} are looked at; --rows {sample.rows} looks at all of them"
            )
        removed: dict[str, float] = {}
        left, each = rows, max(1, round(ROUND_SHARE * len(rows)))
        while not after.within and len(left) - each >= LEAST_KEPT * len(rows):
            sure = sorted(after.bias.items(), key=lambda one: (-one[1], one[0]))[:each]
            removed |= dict(sure)
            left = [row for row in left if row.id not in removed]
            after = attacked(len(left), left, guess)
        found[task] = Pruned(before, after, removed)
        if on_progress is not None:
            on_progress(task, done, len(samples))
    return found


def prune(dataset: Dataset, out: str | Path, pruned: Mapping[str, Pruned]) -> Summary:
    """Write a data set without the removed records, and the list of these.

    Args:
        dataset: What the records are removed from; all of its shards are done.
        out: The new folder; it must not exist, or be empty. It appears when all is written.
        pruned: What to remove, by task.

    Raises:
        FolderInUse: `out` holds something.
        RecordError: A shard is missing or damaged.
    """
    final = Path(out).resolve()
    check_free(final)
    missing = dataset.manifest.shards - len(dataset.shards)
    if missing:
        raise RecordError(
            f"{dataset.path}: {missing} of {dataset.manifest.shards} shards are not finished; "
            "run the same generate again"
        )
    gone = {name: sure for one in pruned.values() for name, sure in one.removed.items()}
    with whole_folder(final) as work:
        reports = [_shard(file, work, gone) for file in dataset.shards]
        rows = [report.rows for report in reports]
        write_json(work / MANIFEST_NAME, _manifest(dataset, rows).to_json())
        known, summary = dataset.summary(), summary_of(reports)
        if known is not None:
            summary = dataclasses.replace(
                summary, shortfall=known.shortfall, shortages=known.shortages,
                rejections=known.rejections, skipped_scenes=known.skipped_scenes,
            )  # fmt: skip
        write_json(work / SUMMARY_NAME, summary.to_json())
        lines = [json.dumps({"id": name, "sure": round(sure, 4)}) for name, sure in gone.items()]
        text = "".join(f"{line}\n" for line in lines)
        (work / PRUNED_NAME).write_text(text, encoding="utf-8")
    return summary


def _shard(file: ShardFile, work: Path, gone: Mapping[str, float]) -> ShardDone:
    """Write what is left of a shard under its own number."""
    tables = []
    for table in read_tables(file.path):
        kept = [name not in gone for name in table.column("id").to_pylist()]
        tables.append(table.filter(pa.array(kept, pa.bool_())))
    table = pa.concat_tables(tables) if tables else record_schema().empty_table()
    target = shard_path(work, file.done.split, file.done.shard)
    for parent in (target.parent, done_path(work, file.done.shard).parent):
        parent.mkdir(parents=True, exist_ok=True)
    write_table(target, table)
    report = dataclasses.replace(
        file.done, rows=len(table), bytes=target.stat().st_size, hash=content_hash(target),
        tasks=dict(sorted(Counter(table.column("task").to_pylist()).items())),
    )  # fmt: skip
    write_json(done_path(work, file.done.shard), report.to_json())
    return report


def _manifest(dataset: Dataset, rows: list[int]) -> Manifest:
    """The manifest with the rows that are left, and with the places of sources and indexes."""

    def placed(part: Manifest, count: int) -> Manifest:
        roots = dataset.roots_of(part)
        sources = {
            key: dataclasses.replace(entry, root=str(roots[key].resolve()))
            for key, entry in part.sources.items()
        }
        index = str(dataset.index_of(part).resolve())
        return dataclasses.replace(part, sources=sources, index=index, rows=count)

    whole = dataset.manifest
    made, start = [], 0
    for part in whole.merged:
        made.append(placed(part, sum(rows[start : start + part.shards])))
        start += part.shards
    return dataclasses.replace(placed(whole, sum(rows)), merged=tuple(made))
