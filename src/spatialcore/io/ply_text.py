# SPDX-License-Identifier: Apache-2.0
"""Rows of PLY files written as text, read block by block: a line a row, as the format asks."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from spatialcore.errors import SceneFormatError
from spatialcore.io.ply_header import PlyElement, mesh_bad
from spatialcore.types import Float64

MAX_TEXT_BYTES = 1 << 30
# Numbers that are parsed at a time: 2 MiB of float64, and their lines.
_BLOCK_NUMBERS = 1 << 18
# The longest number that a type can need, with what parts it from the next.
_NUMBER_BYTES = 64
_MOST_EMPTY = 1 << 16
# What parts numbers for the parser, which bytes.isspace does not know all of.
_SPACES = b" \t\n\r\v\f\x1c\x1d\x1e\x1f"


def lines_of(stream: BinaryIO, path: Path, numbers: int) -> Iterator[bytes]:
    """The lines of a stream that hold something, none of which may be longer than its numbers.

    Raises:
        SceneFormatError: A line is longer, or there are more than 65,536 empty ones; code
            "mesh_bad".
    """
    most, empty = _NUMBER_BYTES * max(numbers, 1), 0
    while line := stream.readline(most + 1):
        if len(line) > most:
            raise mesh_bad(path, f"has a line of more than {most} bytes for {numbers} numbers")
        if line.strip(_SPACES):
            yield line
            continue
        empty += 1
        if empty > _MOST_EMPTY:
            raise mesh_bad(path, f"has more than {_MOST_EMPTY} empty lines")


def _blocks(
    lines: Iterator[bytes], path: Path, count: int, width: int
) -> Iterator[tuple[int, Float64]]:
    """Rows of `width` numbers each: (first row, (n, width)); an error where there are fewer."""
    most, done = max(_BLOCK_NUMBERS // width, 1), 0
    while done < count:
        wanted = min(most, count - done)
        taken = list(itertools.islice(lines, wanted))
        if len(taken) != wanted:
            raise mesh_bad(path, f"ends after {done + len(taken)} of {count} rows")
        try:
            rows = np.loadtxt(taken, comments=None, ndmin=2, encoding="ascii")
        except ValueError as error:  # also of bytes that are not ASCII
            raise mesh_bad(path, f"has a row that is not {width} numbers") from error
        if rows.shape != (wanted, width):
            raise mesh_bad(path, f"has rows of {rows.shape[1]} numbers, not of {width}")
        yield done, rows
        done += wanted


def _cast(values: Float64, kind: str, path: Path) -> NDArray[Any]:
    to = np.dtype("<" + kind)
    if to.kind == "f":
        with np.errstate(over="ignore"):
            return values.astype(to)
    limits = np.iinfo(to)
    sound = (values >= limits.min) & (values <= limits.max) & (values == np.floor(values))
    if not sound.all():
        raise mesh_bad(path, "has a number that is not whole, or outside the range of its type")
    return values.astype(to)


def text_vertices(
    lines: Iterator[bytes], path: Path, vertex: PlyElement, names: Sequence[str]
) -> NDArray[np.void]:
    """The named properties of all vertices, (P,) with a field each, in their declared types.

    Args:
        lines: Of the file behind its header, see `lines_of`.
        path: For the errors.
        vertex: The element, without lists.
        names: Some of its properties.

    Raises:
        SceneFormatError: There are fewer rows than declared, one is not as many numbers as there
            are properties, or a number is none of its type; code "mesh_bad".
    """
    kinds = dict(vertex.properties)
    column = {name: k for k, name in enumerate(kinds)}
    made = np.empty(vertex.count, np.dtype([(name, "<" + kinds[name]) for name in names]))
    for start, rows in _blocks(lines, path, vertex.count, len(kinds)):
        for name in names:
            values = _cast(rows[:, column[name]], kinds[name], path)
            made[name][start : start + len(rows)] = values
    return made


def text_triangles(lines: Iterator[bytes], path: Path, count: int) -> NDArray[np.int64]:
    """(count, 4): the length of each face, which has to be 3, and its vertex rows."""
    made = np.empty((count, 4), np.int64)
    for start, rows in _blocks(lines, path, count, 4):
        made[start : start + len(rows)] = _cast(rows, "u4", path)
    return made


def check_text_size(path: Path, size: int) -> None:
    """Refuse a text of more than 1 GiB, which would take minutes; code "file_too_large"."""
    if size > MAX_TEXT_BYTES:
        raise SceneFormatError(
            path,
            f"{size} bytes of text, more than the {MAX_TEXT_BYTES} allowed",
            "save the mesh as binary PLY",
            code="file_too_large",
        )
