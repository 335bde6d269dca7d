# SPDX-License-Identifier: Apache-2.0
"""Parts of a record file: some rows, the ids alone, or what its footer says, without the rest."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from spatial_engine.records.record import (
    COLUMNS,
    QARecord,
    check_record,
    read_tables,
    record_from_row,
)
from spatialcore.errors import RecordError


def read_ids(path: str | Path) -> list[str]:
    """The ids of a record file; no other column is read.

    Raises:
        RecordError: Not a record file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(str(path), columns=["id"], use_threads=False)
        ids = table.column("id")
        ids.validate(full=True)
    except (pa.ArrowException, OSError, KeyError, UnicodeDecodeError) as error:
        raise RecordError(f"{path}: not a record file: {error}") from error
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
        for row in table.take(mine).to_pylist() if mine else ():
            yield record_from_row(row)


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
            table = table.filter(pa.array([v in only for v in table.column(name).to_pylist()]))
        for row in table.to_pylist():
            try:
                record = record_from_row(row)
                check_record(record)
            except RecordError as error:
                raise RecordError(f"{path}: {error}") from error
            yield record


def may_hold(path: str | Path, column: str, value: str) -> bool:
    """Whether a record file may hold a value, by the bounds in its footer; True if it has none.

    Raises:
        RecordError: Not a Parquet file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        footer = pq.read_metadata(str(path))
    except (pa.ArrowException, OSError) as error:
        raise RecordError(f"{path}: not a record file: {error}") from error
    number = COLUMNS.index(column)
    for group in range(footer.num_row_groups):
        bounds = _bounds(footer.row_group(group), number, column)
        if bounds is None or bounds[0] <= value <= bounds[1]:
            return True
    return False


def _bounds(group: Any, number: int, column: str) -> tuple[str, str] | None:
    """The least and the greatest value of a column of a row group, where it says them."""
    for k in range(number, group.num_columns):
        found = group.column(k)
        if found.path_in_schema == column:
            known = found.is_stats_set and found.statistics.has_min_max
            if not known:
                return None
            least, greatest = found.statistics.min, found.statistics.max
            if not (isinstance(least, str) and isinstance(greatest, str)):
                return None  # ids of another type are told where they are read
            return least, greatest
    return None
