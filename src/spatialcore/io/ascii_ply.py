# SPDX-License-Identifier: Apache-2.0
"""Vertices of PLY files written as text, which annotation tools export."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from spatialcore.errors import SceneFormatError
from spatialcore.io.paths import read_bytes
from spatialcore.types import Float64

_FILE_BYTES = 1 << 30
_HEADER_BYTES = 1 << 16


def _bad(path: Path, what: str) -> SceneFormatError:
    return SceneFormatError(path, what, code="mesh_bad")


def _vertex_layout(head: str, path: Path) -> tuple[int, list[str]]:
    """How many vertices there are, and their properties in order."""
    lines = [line.split() for line in head.splitlines()]
    if lines[:1] != [["ply"]] or ["format", "ascii", "1.0"] not in lines:
        raise _bad(path, "is not a PLY file written as text")
    starts = [k for k, line in enumerate(lines) if line[:1] == ["element"]]
    first = lines[starts[0]] if starts else []
    count = first[2] if len(first) == 3 and first[1] == "vertex" else ""
    if not (count.isascii() and count.isdigit() and len(count) < 12):
        raise _bad(path, "does not begin with vertices")
    end = starts[1] if len(starts) > 1 else len(lines)
    properties = [line for line in lines[starts[0] : end] if line[:1] == ["property"]]
    if not all(len(line) == 3 for line in properties):
        raise _bad(path, "has lists in its vertices")
    return int(count), [line[2] for line in properties]


def read_ascii_vertices(path: Path, names: Sequence[str]) -> Float64:
    """Properties of all vertices, (P, len(names)) float64.

    Raises:
        SceneFormatError: The file is no such PLY, lacks a property, or holds fewer vertices than it
            declares; code "mesh_bad".
    """
    stored = read_bytes(path, _FILE_BYTES)
    end = stored[:_HEADER_BYTES].find(b"end_header")
    body = stored.find(b"\n", end) + 1
    if end < 0 or not body:
        raise _bad(path, "is not a PLY file")
    count, properties = _vertex_layout(stored[:end].decode("ascii", "replace"), path)
    missing = [name for name in names if name not in properties]
    if missing:
        raise _bad(path, f"has no vertex property {missing[0]}")
    if 2 * count * len(properties) > len(stored) - body + 1:
        raise _bad(path, f"declares {count} vertices, more than it can hold")
    if not count:
        return np.zeros((0, len(names)))
    columns = [properties.index(name) for name in names]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of blank lines, which are no vertices
            rows = np.loadtxt(
                io.BytesIO(stored[body:]), np.float64, comments=None, usecols=columns, ndmin=2,
                max_rows=count, encoding="ascii",
            )  # fmt: skip
    except ValueError as error:  # also of bytes that are not ASCII
        raise _bad(path, "has a vertex that is not numbers") from error
    if len(rows) != count:
        raise _bad(path, f"ends after {len(rows)} of {count} vertices")
    return rows
