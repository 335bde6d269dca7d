# SPDX-License-Identifier: Apache-2.0
"""Vertices and triangles of PLY meshes, binary of either order or text, bounded by their size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatialcore import _cpu
from spatialcore.errors import SceneFormatError
from spatialcore.io.ply_header import PlyElement, PlyHeader, mesh_bad, open_header, row_type
from spatialcore.io.ply_text import check_text_size, lines_of, text_triangles, text_vertices

_POSITION, _COLOUR = ("x", "y", "z"), ("red", "green", "blue")


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


def _read_rows(path: Path, row: np.dtype[np.void], start: int, count: int) -> NDArray[np.void]:
    """Whole rows of an element. Read, not mapped: the faults of a map cost more than the copy."""
    try:
        rows = np.fromfile(path, row, count, offset=start)
    except OSError as error:
        raise SceneFormatError(path, f"cannot be read: {error}", code="unreadable") from error
    if len(rows) != count:
        raise mesh_bad(path, f"ends after {len(rows)} of {count} rows")
    return rows


def ply_vertex_count(path: Path) -> int:
    """Number of vertices, from the header, checked against the file's size."""
    return open_header(path).vertex.count


def _face(header: PlyHeader, path: Path) -> PlyElement | None:
    """The faces, where there are any: each one list of 32-bit vertex rows."""
    if len(header.elements) < 2 or header.elements[1].name != "face":
        return None
    face = header.elements[1]
    kinds = [kind.split() for _, kind in face.properties]
    if len(kinds) != 1 or len(kinds[0]) != 3 or kinds[0][2] not in ("i4", "u4"):
        raise mesh_bad(path, "has faces that are not one list of 32-bit vertex rows")
    return face if face.count else None


def _checked(counts: NDArray[Any], rows: NDArray[Any], vertex_count: int, path: Path) -> None:
    if (counts != 3).any() or rows.min() < 0 or rows.max() >= vertex_count:
        raise mesh_bad(path, "has faces that are not triangles of its vertices")


def _binary_triangles(path: Path, header: PlyHeader, start: int) -> NDArray[np.int32]:
    face = _face(header, path)
    if face is None:
        return np.zeros((0, 3), np.int32)
    _, length, index = face.properties[0][1].split()
    row = np.dtype([("count", header.order + length), ("vertices", header.order + index, 3)])
    if face.count * row.itemsize > header.size - start:
        raise mesh_bad(path, f"declares {face.count} faces, the file is too short")
    rows = _read_rows(path, row, start, face.count)
    fields = _cpu.copy_fields(rows.view(np.uint8).data, row.itemsize, row["count"].itemsize, 12)
    triangles = fields.view(header.order + "i4").astype(np.int32, copy=False)
    _checked(rows["count"], triangles, header.vertex.count, path)
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
    found = _columns(rows, _POSITION, "<f4")
    if found is not None:
        return found
    with np.errstate(over="ignore", invalid="ignore"):
        return np.stack([rows[name] for name in _POSITION], axis=1).astype(np.float32)


def _text_rows(
    path: Path, header: PlyHeader, names: Sequence[str], face: PlyElement | None
) -> tuple[NDArray[np.void], NDArray[np.int64]]:
    """Named properties of the vertices, and the rows of the faces, (M, 4) with their lengths."""
    check_text_size(path, header.size)
    width, count = len(header.vertex.properties), 0 if face is None else face.count
    try:
        with path.open("rb") as stream:
            stream.seek(header.start)
            rows = text_vertices(lines_of(stream, path, width), path, header.vertex, names)
            if 8 * count - 1 > header.size - stream.tell():
                raise mesh_bad(path, f"declares {count} faces, the file is too short")
            return rows, text_triangles(lines_of(stream, path, 4), path, count)
    except OSError as error:
        raise SceneFormatError(path, f"cannot be read: {error}", code="unreadable") from error


def _read_text(path: Path, header: PlyHeader, *, triangles: bool) -> PlyMesh:
    kinds = dict(header.vertex.properties)
    coloured = all(kinds.get(name) == "u1" for name in _COLOUR)
    names = _POSITION + (_COLOUR if coloured else ())
    rows, faces = _text_rows(path, header, names, _face(header, path) if triangles else None)
    if len(faces):
        _checked(faces[:, 0], faces[:, 1:], header.vertex.count, path)
    made = faces[:, 1:].astype(np.int32) if triangles else None
    return PlyMesh(_positions(rows), _columns(rows, _COLOUR, "u1"), made)


def read_ply(path: Path, *, triangles: bool = False) -> PlyMesh:
    """Read the vertices of a PLY file: binary, little- or big-endian, or text.

    Args:
        path: The mesh.
        triangles: Whether to read the faces as well; all must be triangles.

    Returns:
        PlyMesh; positions as float32, colours when red, green and blue are bytes.

    Raises:
        SceneFormatError: Not such a PLY, no x y z, or counts that the file's size contradicts;
            checked before anything is allocated.
    """
    header = open_header(path)
    if not header.order:
        return _read_text(path, header, triangles=triangles)
    row = row_type(header.vertex, header.order)
    rows = _read_rows(path, row, header.start, header.vertex.count)
    end = header.start + header.vertex.count * row.itemsize
    faces = _binary_triangles(path, header, end) if triangles else None
    return PlyMesh(_positions(rows), _columns(rows, _COLOUR, "u1"), faces)


def read_vertices(path: Path, names: Sequence[str]) -> tuple[NDArray[Any], ...]:
    """Named properties of all vertices of a PLY file of any format.

    Args:
        path: The mesh.
        names: Properties that every vertex must have.

    Returns:
        (P,) of the declared type for each name.

    Raises:
        SceneFormatError: See `read_ply`; or a property is not there. Code "mesh_bad".
    """
    header = open_header(path)
    kinds = dict(header.vertex.properties)
    missing = [name for name in names if name not in kinds]
    if missing:
        raise mesh_bad(path, f"has no vertex property {missing[0]}")
    if header.order:
        row = row_type(header.vertex, header.order)
        rows = _read_rows(path, row, header.start, header.vertex.count)
    else:
        rows, _ = _text_rows(path, header, names, None)
    return tuple(rows[name] for name in names)
