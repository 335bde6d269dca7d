# SPDX-License-Identifier: Apache-2.0
"""What the footer of a Parquet file says of its row groups, read without libparquet.

Asked for the metadata of a column, libparquet ends the whole process where a bit of its size
statistics is damaged, which no `except` reaches. So the few numbers that are needed before a group
is read are taken from the bytes: Thrift's compact protocol, read strictly. A length is compared
with the bytes that are left before it is used, what is not needed is skipped without being built,
and nesting has a limit; so a footer costs time and memory in proportion to its bytes.

Source: the Parquet format (parquet.thrift) and the specification of Thrift's compact protocol.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

MAX_FOOTER_BYTES = 16 << 20
_MAGIC = b"PAR1"
_MAX_DEPTH = 16
# Types of the compact protocol.
_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(1, 13)


class ParquetError(ValueError):
    """A Parquet file that cannot be read; the message says why, and the caller names the file."""


@dataclass(frozen=True, slots=True)
class ColumnChunk:
    """One column of a row group.

    Attributes:
        path: Names from the root of the schema, joined by dots.
        value_count: Values, those of lists among them.
        byte_count: Bytes of its pages, uncompressed.
        pages: Where its pages begin and end in the file, in bytes.
        bounds: The least and the greatest value as stored, where it says them.
    """

    path: str
    value_count: int
    byte_count: int
    pages: tuple[int, int]
    bounds: tuple[bytes, bytes] | None


@dataclass(frozen=True, slots=True)
class RowGroup:
    """One row group: its rows, its bytes uncompressed, and its columns."""

    row_count: int
    byte_count: int
    columns: tuple[ColumnChunk, ...]


def read_footer(path: str | os.PathLike[str]) -> tuple[RowGroup, ...]:
    """The row groups that the footer of a file lists.

    Raises:
        ParquetError: Not a file that can be read, not Parquet, or a damaged footer.
    """
    try:
        with open(path, "rb", opener=_at_once) as file:
            return parse_footer(_footer_bytes(file))
    except FileNotFoundError as error:
        raise ParquetError("no such file") from error
    except OSError as error:
        raise ParquetError(f"cannot be read: {(error.strerror or 'damaged').lower()}") from error


def parse_footer(content: bytes) -> tuple[RowGroup, ...]:
    """The row groups of a footer's bytes, those between the last page and the length.

    Raises:
        ParquetError: Damaged.
    """
    try:
        return _row_groups(content)
    except UnicodeDecodeError as error:
        raise ParquetError("a damaged footer: a name is no UTF-8") from error


def _at_once(path: str, flags: int) -> int:
    """Open, and do not wait at a pipe for its writer."""
    return os.open(path, flags | os.O_NONBLOCK)


def _footer_bytes(file: BinaryIO) -> bytes:
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):
        raise ParquetError("not a file")
    if status.st_size < 12:
        raise ParquetError(f"not Parquet: {status.st_size} bytes")
    file.seek(status.st_size - 8)
    end = file.read(8)
    if end[4:] != _MAGIC:
        raise ParquetError("not Parquet, or cut: its last bytes are not 'PAR1'")
    length = int.from_bytes(end[:4], "little")
    if length > status.st_size - 12:
        raise ParquetError(f"a footer of {length:,} bytes in a file of {status.st_size:,}")
    if length > MAX_FOOTER_BYTES:
        raise ParquetError(f"a footer of {length:,} bytes; at most {MAX_FOOTER_BYTES:,} are read")
    file.seek(status.st_size - 8 - length)
    return file.read(length)


class _Compact:
    """Bytes of Thrift's compact protocol and how far they have been read."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def take(self, count: int) -> bytes:
        """The next bytes."""
        start, self._at = self._at, self._at + count
        if self._at > len(self._content):
            raise ParquetError("a damaged footer: it ends within a value")
        return self._content[start : self._at]

    def unsigned(self) -> int:
        """A number of at most 64 bits, seven a byte."""
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
            shift += 7
            if shift > 63:
                break
        if value >> 64 or shift > 63:
            raise ParquetError("a damaged footer: a number of more than 64 bits")
        return value

    def integer(self) -> int:
        """A number with its sign in the lowest bit."""
        value = self.unsigned()
        return (value >> 1) ^ -(value & 1)

    def binary(self) -> bytes:
        """Bytes after their number."""
        return self.take(self.unsigned())

    def list_head(self) -> tuple[int, int]:
        """How many items a list has, and their type; each takes a byte or more."""
        head = self.take(1)[0]
        count = self.unsigned() if head >> 4 == 15 else head >> 4
        if count > len(self._content) - self._at:
            raise ParquetError(f"a damaged footer: a list of {count:,} in fewer bytes")
        return count, head & 15

    def struct(self, wanted: Mapping[int, tuple[int, Callable[[], Any]]]) -> dict[int, Any]:
        """The fields of a structure: number -> value, of those that are wanted and there.

        Args:
            wanted: Number -> the type that the field must have, and what reads it.
        """
        found: dict[int, Any] = {}
        number = 0
        while head := self.take(1)[0]:
            number = number + (head >> 4) if head >> 4 else self.integer()
            kind = head & 15
            if number not in wanted:
                self._skip(kind, 0)
                continue
            needed, read = wanted[number]
            if kind != needed or number in found:
                raise ParquetError(f"a damaged footer: field {number} is twice or another type")
            found[number] = read()
        return found

    def _skip(self, kind: int, depth: int) -> None:
        """Pass over a value; a truth of a field has no bytes, one of a list has one."""
        if depth > _MAX_DEPTH:
            raise ParquetError("a damaged footer: nested too deep")
        if kind in (_I16, _I32, _I64):
            self.unsigned()
        elif kind == _BYTE:
            self.take(1)
        elif kind == _DOUBLE:
            self.take(8)
        elif kind == _BINARY:
            self.binary()
        elif kind in (_LIST, _SET):
            self._skip_items(*self.list_head(), depth + 1)
        elif kind == _MAP:
            self._skip_map(depth + 1)
        elif kind == _STRUCT:
            while head := self.take(1)[0]:
                if not head >> 4:
                    self.unsigned()
                self._skip(head & 15, depth + 1)
        elif kind not in (_TRUE, _FALSE):
            raise ParquetError(f"a damaged footer: a value of type {kind}")

    def _skip_items(self, count: int, kind: int, depth: int) -> None:
        if kind in (_TRUE, _FALSE):
            self.take(count)
            return
        for _ in range(count):
            self._skip(kind, depth)

    def _skip_map(self, depth: int) -> None:
        count = self.unsigned()
        if count > len(self._content):
            raise ParquetError(f"a damaged footer: a map of {count:,}")
        kinds = self.take(1)[0] if count else 0
        for _ in range(count):
            for kind in (kinds >> 4, kinds & 15):
                self._skip(_BYTE if kind in (_TRUE, _FALSE) else kind, depth)


def _row_groups(content: bytes) -> tuple[RowGroup, ...]:
    reader = _Compact(content)

    def items(kind: int, read: Callable[[], Any]) -> Callable[[], list[Any]]:
        def read_all() -> list[Any]:
            count, found = reader.list_head()
            if count and found != kind:
                raise ParquetError("a damaged footer: a list of another type")
            return [read() for _ in range(count)]

        return read_all

    number, binary = (_I64, reader.integer), (_BINARY, reader.binary)
    names = items(_BINARY, reader.binary)

    def statistics() -> tuple[bytes, bytes] | None:
        fields = reader.struct({5: binary, 6: binary})
        return (fields[6], fields[5]) if len(fields) == 2 else None

    def metadata() -> ColumnChunk:
        numbers = dict.fromkeys((5, 6, 7, 9, 11), number)
        fields = reader.struct({3: (_LIST, names), **numbers, 12: (_STRUCT, statistics)})
        path = ".".join(name.decode() for name in _there(fields, 3, "the name of a column"))
        values, size = (_there(fields, k, "the size of a column") for k in (5, 6))
        stored, values_at = (_there(fields, k, "the place of a column") for k in (7, 9))
        # A dictionary comes before the values, and is alone where there are none; 0 is none.
        start = min((at for at in (values_at, fields.get(11, 0)) if at), default=0)
        return ColumnChunk(path, values, size, (start, start + stored), fields.get(12))

    def column() -> ColumnChunk:
        fields = reader.struct({3: (_STRUCT, metadata)})
        chunk: ColumnChunk = _there(fields, 3, "a column")
        return chunk

    def group() -> RowGroup:
        fields = reader.struct({1: (_LIST, items(_STRUCT, column)), 2: number, 3: number})
        columns = tuple(_there(fields, 1, "columns of a row group"))
        size, rows = (_there(fields, k, "the size of a row group") for k in (2, 3))
        if any(column.value_count < rows for column in columns):  # an empty list is one, too
            raise ParquetError("a damaged footer: a column with fewer values than rows")
        return RowGroup(rows, size, columns)

    fields = reader.struct({3: number, 4: (_LIST, items(_STRUCT, group))})
    groups = tuple(_there(fields, 4, "row groups"))
    if sum(found.row_count for found in groups) != _there(fields, 3, "the number of rows"):
        raise ParquetError("a damaged footer: other rows than its row groups have")
    _check_apart(groups)
    return groups


def _check_apart(groups: tuple[RowGroup, ...]) -> None:
    """A column that begins at another one's pages would give that one's values for its own."""
    pages = [column.pages for group in groups for column in group.columns]
    behind = 0
    for start, end in sorted(place for place in pages if place[0] != place[1]):
        if not behind <= start <= end:
            raise ParquetError("a damaged footer: two columns at one place")
        behind = end


def _there(fields: dict[int, Any], number: int, what: str) -> Any:
    if number not in fields:
        raise ParquetError(f"a damaged footer: {what}: missing")
    return fields[number]
