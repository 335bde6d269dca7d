# SPDX-License-Identifier: Apache-2.0
"""Whether the columns of a file are those of records: named, typed, and without gaps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from spatialcore.errors import RecordError

if TYPE_CHECKING:
    import pyarrow as pa


def check_nulls(path: str | Path, table: pa.Table) -> None:
    """Raise RecordError where a table lacks a value that every record has."""
    for name, column in zip(table.column_names, table.columns, strict=True):
        if column.null_count and name != "answer_text":
            raise RecordError(f"{path}: {column.null_count:,} nulls in column {name!r}")


def schema_difference(found: pa.Schema, expected: pa.Schema) -> str:
    """The first difference of a file's columns from those of records, as a sentence."""
    for entry in expected:
        position = found.get_field_index(entry.name)
        if position < 0:
            return f"column {entry.name!r} is missing"
        if found.field(position).type != entry.type:
            return f"column {entry.name!r} is {found.field(position).type}, not {entry.type}"
    extra = [name for name in found.names if name not in expected.names]
    return f"column {extra[0]!r} is unknown" if extra else "columns are in another order"
