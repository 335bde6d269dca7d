# SPDX-License-Identifier: Apache-2.0
"""Vertices and triangles of binary little-endian PLY meshes, bounded by the file's size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatialcore import _cpu
from spatialcore.errors import SceneFormatError
from spatialcore.io.paths import file_size

_HEADER_BYTES = 1 << 16
_TYPES = {
    "char": "<i1", "int8": "<i1", "uchar": "<u1", "uint8": "<u1", "short": "<i2", "int16": "<i2",
    "ushort": "<u2", "uint16": "<u2", "int": "<i4", "int32": "<i4", "uint": "<u4", "uint32": "<u4",
    "float": "<f4", "float32": "<f4", "double": "<f8", "float64": "<f8",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Element:
    name: str
    count: int
    properties: tuple[tuple[str, str], ...]  # (name, numpy type), or (name, "list a b")


@dataclass(frozen=True, slots=True, eq=False)
class PlyMesh:
    """What was read of a mesh.

    Attributes:
        points_world: (P, 3) float32.
        colour: (P, 3) uint8, or None when the file has none.
        triangles: (M, 3) int32 vertex rows, or None unless asked for.
    """

    points_world: NDArray[np.float32]
    colour: NDArray[np.uint8] | None
    triangles: NDArray[np.int32] | None


def _parse_property(words: list[str], path: Path) -> tuple[str, str]:
    if len(words) == 3 and words[1] in _TYPES:
        return words[2], _TYPES[words[1]]
    is_list = len(words) == 5 and words[1] == "list"
    if is_list and words[2] in _TYPES and words[3] in _TYPES:
        return words[4], f"list {_TYPES[words[2]]} {_TYPES[words[3]]}"
    raise SceneFormatError(path, f"unknown PLY property {' '.join(words)!r:.80}", code="mesh_bad")


def _parse_header(head: bytes, path: Path) -> tuple[list[_Element], int]:
    """Elements and the offset of the first byte after the header."""
    end = head.find(b"end_header")
    newline = head.find(b"\n", end)
    if head[:3] != b"ply" or end < 0 or newline < 0:
        raise SceneFormatError(path, "is not a PLY file", code="mesh_bad")
    lines = [line.split() for line in head[:end].decode("ascii", "replace").splitlines()[1:]]
    if ["format", "binary_little_endian", "1.0"] not in lines:
        raise SceneFormatError(
            path,
            "is not binary_little_endian 1.0",
            "convert the mesh to binary PLY",
            code="mesh_bad",
        )
    elements: list[_Element] = []
    for words in lines:
        if words[:1] == ["element"]:
            count = words[2] if len(words) == 3 else ""
            if not (count.isascii() and count.isdigit() and len(count) <= 18):
                raise SceneFormatError(
                    path, f"bad PLY line {' '.join(words)!r:.80}", code="mesh_bad"
                )
            elements.append(_Element(words[1], int(count), ()))
        elif words[:1] == ["property"]:
            if not elements:
                raise SceneFormatError(
                    path, "has a PLY property before any element", code="mesh_bad"
                )
            last = elements[-1]
            properties = (*last.properties, _parse_property(words, path))
            elements[-1] = _Element(last.name, last.count, properties)
    return elements, newline + 1


def _vertex_type(vertex: _Element, path: Path) -> np.dtype[np.void]:
    names = [name for name, _ in vertex.properties]
    lists = any(kind.startswith("list") for _, kind in vertex.properties)
    if lists or len(set(names)) != len(names) or not {"x", "y", "z"} <= set(names):
        raise SceneFormatError(
            path, f"has vertex properties {' '.join(names)!r:.80}, needs x y z", code="mesh_bad"
        )
    return np.dtype(list(vertex.properties))


def _open_header(path: Path) -> tuple[list[_Element], int, int]:
    size = file_size(path)
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEADER_BYTES)
    except OSError as error:
        raise SceneFormatError(path, f"cannot be read: {error}", code="unreadable") from error
    elements, start = _parse_header(head, path)
    if not elements or elements[0].name != "vertex":
        raise SceneFormatError(path, "does not begin with vertices", code="mesh_bad")
    need = elements[0].count * _vertex_type(elements[0], path).itemsize
    if need > size - start:
        raise SceneFormatError(
            path,
            f"declares {elements[0].count} vertices ({need} bytes), {size - start} are there",
            code="mesh_bad",
        )
    return elements, start, size


def _read_rows(path: Path, row: np.dtype[np.void], start: int, count: int) -> NDArray[np.void]:
    """Whole rows of an element. Read, not mapped: the faults of a map cost more than the copy."""
    try:
        rows = np.fromfile(path, row, count, offset=start)
    except OSError as error:
        raise SceneFormatError(path, f"cannot be read: {error}", code="unreadable") from error
    if len(rows) != count:
        raise SceneFormatError(path, f"ends after {len(rows)} of {count} rows", code="mesh_bad")
    return rows


def ply_vertex_count(path: Path) -> int:
    """Number of vertices, from the header, checked against the file's size."""
    elements, _, _ = _open_header(path)
    return elements[0].count


def _read_triangles(
    path: Path, elements: list[_Element], start: int, size: int, vertex_count: int
) -> NDArray[np.int32]:
    if len(elements) < 2 or elements[1].name != "face":
        return np.zeros((0, 3), np.int32)
    face = elements[1]
    kinds = [kind.split() for _, kind in face.properties]
    if len(kinds) != 1 or len(kinds[0]) != 3 or kinds[0][2] not in ("<i4", "<u4"):
        raise SceneFormatError(
            path, "has faces that are not one list of 32-bit vertex rows", code="mesh_bad"
        )
    row = np.dtype([("count", kinds[0][1]), ("vertices", kinds[0][2], 3)])
    if face.count * row.itemsize > size - start:
        raise SceneFormatError(
            path, f"declares {face.count} faces, the file is too short", code="mesh_bad"
        )
    if face.count == 0:
        return np.zeros((0, 3), np.int32)
    rows = _read_rows(path, row, start, face.count)
    fields = _cpu.copy_fields(rows.view(np.uint8).data, row.itemsize, row["count"].itemsize, 12)
    triangles = fields.view(np.int32)
    if (rows["count"] != 3).any() or triangles.min() < 0 or triangles.max() >= vertex_count:
        raise SceneFormatError(
            path, "has faces that are not triangles of its vertices", code="mesh_bad"
        )
    return triangles


def _columns(rows: NDArray[np.void], names: tuple[str, str, str], kind: str) -> NDArray[Any] | None:
    """(n, 3) neighbouring fields of one type; None where the file has no such three."""
    fields: Mapping[str, Any] = rows.dtype.fields or {}
    found = [fields.get(name) for name in names]
    item = np.dtype(kind)
    offsets = [field[1] for field in found if field is not None and field[0] == item]
    if len(offsets) != 3 or np.diff(offsets).tolist() != [item.itemsize] * 2:
        return None
    width = 3 * item.itemsize
    return _cpu.copy_fields(rows.view(np.uint8).data, rows.itemsize, offsets[0], width).view(item)


def _positions(rows: NDArray[np.void]) -> NDArray[np.float32]:
    found = _columns(rows, ("x", "y", "z"), "<f4")
    if found is not None:
        return found
    with np.errstate(over="ignore", invalid="ignore"):
        return np.stack([rows[name] for name in "xyz"], axis=1).astype(np.float32)


def read_ply(path: Path, *, triangles: bool = False) -> PlyMesh:
    """Read the vertices of a binary little-endian PLY.

    Args:
        path: The mesh.
        triangles: Whether to read the faces as well; all must be triangles.

    Returns:
        PlyMesh; positions as float32, colours when red, green and blue are bytes.

    Raises:
        SceneFormatError: Not such a PLY, no x y z, or counts that the file's size contradicts;
            checked before anything is allocated.
    """
    elements, start, size = _open_header(path)
    vertex = elements[0]
    row = _vertex_type(vertex, path)
    rows = _read_rows(path, row, start, vertex.count)
    end = start + vertex.count * row.itemsize
    faces = _read_triangles(path, elements, end, size, vertex.count) if triangles else None
    return PlyMesh(_positions(rows), _columns(rows, ("red", "green", "blue"), "u1"), faces)
