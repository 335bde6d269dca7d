# SPDX-License-Identifier: Apache-2.0
"""Headers of PLY files: text, little-endian or big-endian, checked against the file's size."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spatialcore.errors import SceneFormatError
from spatialcore.io.paths import file_size

_HEADER_BYTES = 1 << 16
_AGAIN = "download or save the mesh again, its vertices first; or take it away"
_END = re.compile(rb"\nend_header[ \t]*\r?\n")
_ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2",
    "ushort": "u2", "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4",
    "float": "f4", "float32": "f4", "double": "f8", "float64": "f8",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class PlyElement:
    """One kind of row: how many there are, and what each holds.

    Attributes:
        name: "vertex", "face" and others.
        count: Rows that the header declares.
        properties: (name, numpy type without byte order), or of a list (name, "list a b").
    """

    name: str
    count: int
    properties: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class PlyHeader:
    """What stands before the rows of a PLY file.

    Attributes:
        elements: In the order of the file; vertices are the first.
        start: Offset of the first byte after the header.
        size: Bytes of the file.
        order: numpy's byte order, "<" or ">"; "" of a file written as text.
    """

    elements: tuple[PlyElement, ...]
    start: int
    size: int
    order: str

    @property
    def vertex(self) -> PlyElement:
        """The first element."""
        return self.elements[0]


def mesh_bad(path: Path, what: str, hint: str = "") -> SceneFormatError:
    """The error of a damaged mesh."""
    return SceneFormatError(path, what, hint, code="mesh_bad")


def row_type(element: PlyElement, order: str) -> np.dtype[np.void]:
    """The bytes of one row of an element without lists."""
    return np.dtype([(name, (order or "<") + kind) for name, kind in element.properties])


def _property(words: list[str], path: Path) -> tuple[str, str]:
    if len(words) == 3 and words[1] in _TYPES:
        return words[2], _TYPES[words[1]]
    is_list = len(words) == 5 and words[1] == "list"
    if is_list and words[2] in _TYPES and words[3] in _TYPES:
        return words[4], f"list {_TYPES[words[2]]} {_TYPES[words[3]]}"
    raise mesh_bad(path, f"unknown PLY property {' '.join(words)!r:.80}")


def _order(lines: list[list[str]], path: Path) -> str:
    formats = [line[1:] for line in lines if line[:1] == ["format"]]
    if len(formats) == 1 and len(formats[0]) == 2 and formats[0][1] == "1.0":
        order = _ORDERS.get(formats[0][0])
        if order is not None:
            return order
    raise mesh_bad(path, f"is not PLY in one of the formats {', '.join(_ORDERS)} 1.0")


def _elements(lines: list[list[str]], path: Path) -> tuple[PlyElement, ...]:
    found: list[tuple[str, int, list[tuple[str, str]]]] = []
    for words in lines:
        if words[:1] == ["element"]:
            count = words[2] if len(words) == 3 else ""
            if not (count.isascii() and count.isdigit() and len(count) <= 18):
                raise mesh_bad(path, f"bad PLY line {' '.join(words)!r:.80}")
            found.append((words[1], int(count), []))
        elif words[:1] == ["property"]:
            if not found:
                raise mesh_bad(path, "has a PLY property before any element")
            found[-1][2].append(_property(words, path))
    return tuple(PlyElement(name, count, tuple(rows)) for name, count, rows in found)


def _check_vertices(header: PlyHeader, path: Path) -> None:
    vertex = header.vertex
    names = [name for name, _ in vertex.properties]
    lists = any(kind.startswith("list") for _, kind in vertex.properties)
    if lists or len(set(names)) != len(names) or not {"x", "y", "z"} <= set(names):
        raise mesh_bad(
            path, f"has vertex properties {' '.join(names)!r:.80}, needs x y z and no lists"
        )
    # Of text every number takes a digit and what parts it from the next; the last one may end it.
    text = 2 * len(names) * vertex.count - 1
    need = vertex.count * row_type(vertex, header.order).itemsize if header.order else text
    there = header.size - header.start
    if need > there:
        raise mesh_bad(
            path,
            f"declares {vertex.count} vertices, more than it can hold ({need} bytes), "
            f"{there} are there",
        )


def open_header(path: Path) -> PlyHeader:
    """The header of a PLY file whose first element is vertices with x, y and z.

    Raises:
        SceneFormatError: There is no such header, or it declares more vertices than the file can
            hold; code "mesh_bad".
    """
    size = file_size(path)
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEADER_BYTES)
    except OSError as error:
        raise SceneFormatError(path, f"cannot be read: {error}", code="unreadable") from error
    end = _END.search(head)
    if head[:3] != b"ply" or end is None:
        raise mesh_bad(path, "is not a PLY file", _AGAIN)
    text = head[: end.start()].decode("ascii", "replace")
    lines = [line.split() for line in text.splitlines()[1:]]
    order, elements = _order(lines, path), _elements(lines, path)
    if not elements or elements[0].name != "vertex":
        raise mesh_bad(path, "does not begin with vertices", _AGAIN)
    header = PlyHeader(elements, end.end(), size, order)
    _check_vertices(header, path)
    return header
