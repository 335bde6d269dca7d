# SPDX-License-Identifier: Apache-2.0
"""Parquet files of strangers, read a row group at a time in bounded memory.

A tiny file may hold gigabytes: a dictionary stores a text of megabytes once and names it in every
row, and zeros compress to nothing. So what a group declares is compared with a limit before it is
read, texts that are stored in dictionaries are read as such, and their whole length is compared
before they are written out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from os import PathLike

    import pyarrow as pa
    import pyarrow.parquet as pq


class OverLimit(ValueError):
    """A file holds more than is read; the message says what, and how much would be."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that is read of one row group.

    Attributes:
        rows: Rows.
        values: Values of one column, those of lists among them.
        bytes: Bytes that the group declares, uncompressed, and bytes of its texts written out.
        text_bytes: Bytes of one text of a dictionary.
    """

    rows: int = 1 << 20
    values: int = 1 << 26
    bytes: int = 1 << 29
    text_bytes: int = 1 << 24


def read_groups(
    path: str | PathLike[str],
    file: pq.ParquetFile,
    limits: Limits | None = None,
    columns: list[str] | None = None,
) -> Iterator[pa.Table]:
    """The row groups of a file, in order, with the types of its schema.

    Args:
        path: The file, which is opened a second time.
        file: The open file.
        limits: The most that is read; None is `Limits()`.
        columns: Only these; None is all.

    Yields:
        One table for each row group.

    Raises:
        OverLimit: A group is over a limit; nothing of it was written out.
        pyarrow.ArrowException: The file is damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    limits = limits or Limits()
    metadata = file.metadata
    for number in range(file.num_row_groups):
        group = metadata.row_group(number)
        _check_declared(group, limits)
        stored = _dictionary_columns(group, file.schema)
        with pq.ParquetFile(str(path), read_dictionary=stored, metadata=metadata) as again:
            table = again.read_row_group(number, columns=columns, use_threads=False)
        table.validate(full=True)
        written_out = 0
        for column in table.itercolumns():
            for chunk in column.chunks:
                written_out += _text_bytes(chunk, limits)
        if written_out > limits.bytes:
            raise OverLimit(
                f"a row group of {written_out:,} bytes of text; at most {limits.bytes:,} are read"
            )
        schema = file.schema_arrow
        if columns is not None:
            schema = pa.schema([schema.field(name) for name in table.column_names])
        yield table.cast(schema)


def _check_declared(group: Any, limits: Limits) -> None:
    """Refuse a row group that says it is larger than any that is read."""
    every = [group.column(k) for k in range(group.num_columns)]
    declared = sum(column.total_uncompressed_size for column in every)
    for what, count, most in (
        ("rows", group.num_rows, limits.rows),
        ("values", max((column.num_values for column in every), default=0), limits.values),
        ("bytes", max(group.total_byte_size, declared), limits.bytes),
    ):
        if not 0 <= count <= most:
            raise OverLimit(f"a row group of {count:,} {what}; at most {most:,} are read")


def _dictionary_columns(group: Any, schema: Any) -> list[str]:
    """Paths of the texts that a group stores in dictionaries, as the schema has them.

    A group names its columns again; where it is damaged, with names that nothing has.
    """
    columns = [group.column(k) for k in range(min(group.num_columns, len(schema)))]
    return [
        schema.column(k).path
        for k, column in enumerate(columns)
        if column.physical_type == "BYTE_ARRAY" and any("DICT" in e for e in column.encodings)
    ]


def _text_bytes(array: pa.Array, limits: Limits) -> int:
    """Bytes of the texts of an array that lie in dictionaries, once they are written out."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = array.type
    if pa.types.is_dictionary(kind):
        lengths = pc.binary_length(array.dictionary).to_numpy(zero_copy_only=False)
        longest = int(np.nanmax(lengths, initial=0)) if len(lengths) else 0
        if longest > limits.text_bytes:
            raise OverLimit(f"a text of {longest:,} bytes; at most {limits.text_bytes:,} are read")
        used = array.indices.drop_null().to_numpy(zero_copy_only=False)
        return int(np.nan_to_num(lengths[used]).sum()) if len(used) else 0
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _text_bytes(array.flatten(), limits)
    if pa.types.is_struct(kind):
        return sum(_text_bytes(field, limits) for field in array.flatten())
    return 0
