# SPDX-License-Identifier: Apache-2.0
"""The door to Parquet files, whoever wrote them: read a row group at a time in bounded memory.

A tiny file may hold gigabytes: a dictionary stores a text of megabytes once and names it in every
row, and zeros compress to nothing. So what a group declares is compared with a limit before it is
read, texts are read as dictionaries whether or not the file says that it stores them so, and their
whole length is compared before they are written out. What a group declares is read by
`parquet_footer`, since libparquet may end the process that asks for it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spatialcore.io.parquet_footer import ParquetError, RowGroup, read_footer

if TYPE_CHECKING:
    import os

    import pyarrow as pa
    from numpy.typing import NDArray


_ROWS_AT_ONCE = 512
_REASON = 300  # letters of what pyarrow says, which may go on for lines


class OverLimit(ParquetError):
    """A file holds more than is read; the message says what, and how much would be."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that is read of one row group.

    Attributes:
        rows: Rows.
        values: Values of one column, those of lists among them.
        bytes: Bytes that the group declares, uncompressed, and bytes of its texts written out.
        text_bytes: Bytes of one text of a dictionary.
        whole: Bytes of a file that is read as one table.
    """

    rows: int = 1 << 20
    values: int = 1 << 26
    bytes: int = 1 << 29
    text_bytes: int = 1 << 24
    whole: int = 1 << 29


class ParquetFile:
    """An open Parquet file.

    Args:
        path: The file.
        limits: The most that is read of a row group; None is `Limits()`.

    Raises:
        ParquetError: Not a file that can be read, not Parquet, or damaged.
    """

    def __init__(self, path: str | os.PathLike[str], limits: Limits | None = None) -> None:
        import pyarrow.parquet as pq

        self.path = Path(path)
        self.groups: tuple[RowGroup, ...] = read_footer(path)
        self._limits = limits or Limits()
        with _named():
            self._file = pq.ParquetFile(str(path))
            schema = self._file.schema
            self.schema: pa.Schema = self._file.schema_arrow
        leaves = [schema.column(k) for k in range(len(schema))]
        self._texts = [leaf.path for leaf in leaves if leaf.physical_type == "BYTE_ARRAY"]
        if any(len(group.columns) != len(leaves) for group in self.groups):
            raise ParquetError("a damaged footer: a row group of other columns than the schema's")
        if len(self.groups) != self._file.num_row_groups:
            raise ParquetError("a damaged footer: row groups are missing")

    @property
    def metadata(self) -> Mapping[bytes, bytes]:
        """What the writer said of the file as a whole."""
        return self._file.metadata.metadata or {}

    def read_group(self, number: int, columns: Sequence[str] | None = None) -> pa.Table:
        """One row group, with the types of the schema.

        Args:
            number: Which one, from 0.
            columns: Only these; None is all.

        Raises:
            OverLimit: The group is over a limit; nothing of it was written out.
            ParquetError: The file is damaged, or has no such group or column.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        if not 0 <= number < len(self.groups):
            raise ParquetError(f"has {len(self.groups)} row groups, not {number + 1}")
        self._check_columns(columns)
        _check_declared(self.groups[number], self._limits)
        metadata, names = self._file.metadata, None if columns is None else list(columns)
        with _named():
            with pq.ParquetFile(
                str(self.path), read_dictionary=self._texts, metadata=metadata
            ) as again:
                table = again.read_row_group(number, columns=names, use_threads=False)
            table.validate(full=True)
            if len(table) != self.groups[number].row_count:
                raise ParquetError(f"damaged: {len(table)} rows of a row group")
            self._check_texts(table)
            schema = self.schema
            if columns is not None:
                schema = pa.schema([schema.field(name) for name in table.column_names])
            return table.cast(schema)

    def read_groups(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """The row groups in order, one table each; see `read_group`."""
        for number in range(len(self.groups)):
            yield self.read_group(number, columns)

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """The whole file as one table; see `read_group`.

        Raises:
            OverLimit: Its groups together are over `Limits.whole`; those before were read.
        """
        import pyarrow as pa

        if self.groups:
            held, tables = 0, []
            for table in self.read_groups(columns):
                held += table.nbytes
                if held > self._limits.whole:
                    raise OverLimit(f"over {self._limits.whole:,} bytes, more than is read at once")
                tables.append(table)
            return pa.concat_tables(tables)
        self._check_columns(columns)
        names = self.schema.names if columns is None else columns
        return pa.schema([self.schema.field(name) for name in names]).empty_table()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> ParquetFile:
        """Return the file itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()

    def _check_columns(self, columns: Sequence[str] | None) -> None:
        for name in columns or ():
            if name not in self.schema.names:
                raise ParquetError(f"column {name!r} is missing")

    def _check_texts(self, table: pa.Table) -> None:
        written_out = 0
        for column in table.itercolumns():
            for chunk in column.chunks:
                written_out += _text_bytes(chunk, self._limits)
        if written_out > self._limits.bytes:
            raise OverLimit(
                f"a row group of {written_out:,} bytes of text; at most"
                f" {self._limits.bytes:,} are read"
            )


def read_parquet(path: str | os.PathLike[str], columns: Sequence[str] | None = None) -> pa.Table:
    """A whole file as one table.

    Args:
        path: The file.
        columns: Only these; None is all.

    Raises:
        ParquetError: See `ParquetFile`.
    """
    with ParquetFile(path) as file:
        return file.read(columns)


def plain_rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    """The rows of a table as dictionaries; some at a time, since they take many times the space."""
    for batch in table.to_batches(max_chunksize=_ROWS_AT_ONCE):
        yield from batch.to_pylist()


def as_numpy(column: pa.Array | pa.ChunkedArray) -> NDArray[Any]:
    """Numbers or truths as a numpy array; nulls among floats become NaN.

    pyarrow's own `to_numpy` imports pandas where there is one, which takes half a second and
    swallows a signal that comes meanwhile.

    Raises:
        ParquetError: There are nulls among other numbers.
    """
    import numpy as np
    import pyarrow as pa

    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    truths = pa.types.is_boolean(array.type)
    if truths:
        array = array.cast(pa.uint8())
    if array.null_count and not pa.types.is_floating(array.type):
        raise ParquetError(f"damaged: {array.null_count} nulls in a column of {array.type}")
    values: NDArray[Any] = np.from_dlpack(array.fill_null(math.nan) if array.null_count else array)
    return values.view(np.bool_) if truths else values


@contextmanager
def _named() -> Iterator[None]:
    """Turn what pyarrow raises of a damaged file into a ParquetError."""
    import pyarrow as pa

    try:
        yield
    except ParquetError:
        raise
    except (pa.ArrowException, OSError, UnicodeDecodeError, KeyError, IndexError) as error:
        raise ParquetError("damaged: " + " ".join(str(error).split())[:_REASON]) from error


def _check_declared(group: RowGroup, limits: Limits) -> None:
    """Refuse a row group that says it is larger than any that is read."""
    declared = sum(column.byte_count for column in group.columns)
    for what, count, most in (
        ("rows", group.row_count, limits.rows),
        ("values", max((column.value_count for column in group.columns), default=0), limits.values),
        ("bytes", max(group.byte_count, declared), limits.bytes),
    ):
        if not 0 <= count <= most:
            raise OverLimit(f"a row group of {count:,} {what}; at most {most:,} are read")


def _text_bytes(array: pa.Array, limits: Limits) -> int:
    """Bytes of the texts of an array that lie in dictionaries, once they are written out."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = array.type
    if pa.types.is_dictionary(kind):
        lengths = pc.binary_length(array.dictionary)
        longest = pc.max(lengths).as_py() or 0
        if longest > limits.text_bytes:
            raise OverLimit(f"a text of {longest:,} bytes; at most {limits.text_bytes:,} are read")
        return pc.sum(lengths.take(array.indices.drop_null())).as_py() or 0
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _text_bytes(array.flatten(), limits)
    if pa.types.is_struct(kind):
        return sum(_text_bytes(field, limits) for field in array.flatten())
    return 0
