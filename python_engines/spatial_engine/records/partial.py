# SPDX-License-Identifier: Apache-2.0
"""Parts of a record file: some rows, the ids alone, or what its footer says, without the rest."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from spatial_engine.records.record import QARecord, check_record, read_tables, record_from_row
from spatialcore.errors import RecordError
from spatialcore.io.parquet import plain_rows, read_parquet
from spatialcore.io.parquet_footer import ParquetError, read_footer


def read_ids(path: str | Path) -> list[str]:
    """The ids of a record file; no other column is read.

    Raises:
        RecordError: Not a record file.
    """
    import pyarrow as pa

    try:
        ids = read_parquet(path, ["id"]).column("id")
    except ParquetError as error:
        raise RecordError(f"{path}: cannot be read as records: {error}") from error
    if ids.type != pa.string() or ids.null_count:
        raise RecordError(f"{path}: column 'id' is {ids.type} with {ids.null_count} nulls")
    found: list[str] = ids.to_pylist()
    return found


def read_rows(path: str | Path, rows: Collection[int]) -> Iterator[QARecord]:
    """The records of some rows, which are not checked but for the file's columns.

    Raises:
        RecordError: As `read_records`.
    """
    start = 0
    for table in read_tables(path):
        mine = [row - start for row in sorted(rows) if start <= row < start + len(table)]
        start += len(table)
        if mine:
            yield from map(record_from_row, plain_rows(table.take(mine)))


def read_chosen(
    path: str | Path, tasks: Collection[str], ids: Collection[str] | None
) -> Iterator[QARecord]:
    """The records of some tasks, all of them or those of some ids, checked as `read_records` does.

    Raises:
        RecordError: As `read_records`.
    """
    import pyarrow as pa

    wanted = {"task": tasks} if ids is None else {"task": tasks, "id": ids}
    for table in read_tables(path):
        for name, only in wanted.items():
            kept = [v in only for v in table.column(name).to_pylist()]
            table = table.filter(pa.array(kept, pa.bool_()))  # of no rows, too
        for row in plain_rows(table):
            try:
                record = record_from_row(row)
                check_record(record)
            except RecordError as error:
                raise RecordError(f"{path}: {error}") from error
            yield record


def may_hold(path: str | Path, column: str, value: str) -> bool:
    """Whether a record file may hold a value, by the bounds in its footer; True if it has none.

    Bounds that were changed mislead: whether a file is what was written is told by its hash.

    Raises:
        RecordError: Not a Parquet file.
    """
    try:
        groups = read_footer(path)
    except ParquetError as error:
        raise RecordError(f"{path}: cannot be read as records: {error}") from error
    for group in groups:
        bounds = next((c.bounds for c in group.columns if c.path == column), None)
        if bounds is None or bounds[0] <= value.encode() <= bounds[1]:
            return True
    return False
