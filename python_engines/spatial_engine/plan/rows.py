# SPDX-License-Identifier: Apache-2.0
"""The rows of a plan, written down, so that making them does not list every candidate again.

Thresholds decide; `rows.parquet` holds what they choose: row group k is shard k, its rows in the
order of the records. A row takes a few bytes, and the file may be left out: the same rows are then
listed from the index.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spatial_engine.engines.candidates import CandidateTable, Row
from spatial_engine.plan.plan import Plan, PlannedScene, claim_plan
from spatialcore.errors import PlanError
from spatialcore.files import whole_file
from spatialcore.io.parquet import ParquetFile, as_numpy
from spatialcore.io.parquet_footer import ParquetError

if TYPE_CHECKING:
    import pyarrow as pa

# The candidates of a scene by task, in their order: at least those that the plan takes.
Listed = Callable[[PlannedScene], Mapping[str, CandidateTable]]
_MARK = b"plan"  # of the file: the hash of the plan whose rows these are


def write_plan_rows(path: Path, plan: Plan, listed: Listed) -> None:
    """Write the rows of every shard, under a temporary name and then renamed.

    Args:
        path: The file.
        plan: The plan.
        listed: Candidates of a scene; asked for scene after scene.
    """
    import pyarrow.parquet as pq

    claim_plan(path.parent)
    schema = _schema().with_metadata({_MARK: plan.hash()})
    with (
        whole_file(path) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd") as file,
    ):
        for table in _shards(plan, listed):
            file.write_table(table.cast(schema), row_group_size=len(table))


def _schema() -> pa.Schema:
    """`part` counts the parts of the shard, `task` the tasks of the plan."""
    import pyarrow as pa

    return pa.schema(
        [("part", pa.int32()), ("task", pa.int32()),
         ("frames", pa.list_(pa.int32())), ("items", pa.list_(pa.int64()))]
    )  # fmt: skip


def _shards(plan: Plan, listed: Listed) -> Iterator[pa.Table]:
    """The rows of one shard after the other; a scene is listed once for all of its parts."""
    import pyarrow as pa

    @lru_cache(maxsize=1)
    def chosen(scene: PlannedScene) -> list[tuple[int, CandidateTable]]:
        found = listed(scene)
        return [
            (k, plan.choose(found[task], task, scene))
            for k, task in enumerate(plan.tasks) if task in found
        ]  # fmt: skip

    for shard in plan.shards:
        tables = [
            _table(number, task, candidates.between(part.low, part.high))
            for number, part in enumerate(shard.parts)
            for task, candidates in chosen(plan.scene_of[part.source, part.scene, shard.split])
        ]
        yield pa.concat_tables(tables)


def _table(part: int, task: int, rows: CandidateTable) -> pa.Table:
    import pyarrow as pa

    columns = [
        pa.array(np.full(len(rows), part, np.int32)), pa.array(np.full(len(rows), task, np.int32)),
        _lists(rows.frames), _lists(rows.items),
    ]  # fmt: skip
    return pa.Table.from_arrays(columns, schema=_schema())


def _lists(columns: NDArray[Any]) -> pa.ListArray:
    """Each row of a table as a list, without the -1 that fills it."""
    import pyarrow as pa

    there = columns >= 0
    ends = np.concatenate([[0], np.cumsum(there.sum(axis=1))]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(ends), pa.array(columns[there]))


def read_plan_rows(plan: Plan, number: int) -> list[dict[str, list[Row]]]:
    """The rows of each part of a shard by task, in the order of the records.

    Raises:
        PlanError: The file holds the rows of another plan, or is damaged.
    """
    try:
        table = _opened(plan).read_group(number)
    except ParquetError as error:
        raise PlanError(f"{plan.rows_file}: {error}") from error
    rows = list(map(Row, _tuples(table["frames"]), _tuples(table["items"])))
    part, task = as_numpy(table["part"]), as_numpy(table["task"])
    starts = np.flatnonzero((part[1:] != part[:-1]) | (task[1:] != task[:-1])) + 1
    out: list[dict[str, list[Row]]] = [{} for _ in plan.shards[number].parts]
    for a, b in pairwise([0, *starts.tolist(), len(rows)]):
        out[part[a]][plan.tasks[task[a]]] = rows[a:b]
    return out


def _tuples(column: pa.ChunkedArray) -> list[tuple[int, ...]]:
    """A column of lists as tuples."""
    lists = column.combine_chunks()
    ends = as_numpy(lists.offsets)
    numbers = as_numpy(lists.values)[ends[0] : ends[-1]].tolist()
    return [tuple(numbers[a:b]) for a, b in pairwise((ends - ends[0]).tolist())]


@lru_cache(maxsize=2)
def _opened(plan: Plan) -> ParquetFile:
    """The file of a plan's rows, its footer read and compared once a process."""
    if plan.rows_file is None:
        raise ValueError("the plan has no file of rows")
    try:
        file = ParquetFile(plan.rows_file)
    except ParquetError as error:
        raise PlanError(f"{plan.rows_file}: not the rows of a plan: {error}") from error
    if file.metadata.get(_MARK) != plan.hash().encode():
        raise PlanError(
            f"{plan.rows_file} holds the rows of another plan; remove it, or plan again"
        )
    return file
