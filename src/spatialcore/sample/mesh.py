# SPDX-License-Identifier: Apache-2.0
"""The scan's mesh: grids over the surfaces of the solids, without what no camera saw."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spatialcore.sample.dice import Dice
from spatialcore.sample.solids import BOX, CYLINDER, Solid
from spatialcore.types import Float32, Float64

PATCH = 0.5  # metres; one over-segment covers at most this much of a surface

Grid = tuple[Float64, NDArray[np.int64], NDArray[np.int64]]  # points, faces, patches


@dataclass(frozen=True, slots=True, eq=False)
class Mesh:
    """A triangle mesh with segments.

    Attributes:
        points: (P, 3) float32 metres.
        faces: (T, 3) int32.
        segment: (P,) int64 over-segment of every vertex.
        instance: (P,) int32 object id, -1 = none.
        solid: (P,) int32 solid that the vertex lies on.
    """

    points: Float32
    faces: NDArray[np.int32]
    segment: NDArray[np.int64]
    instance: NDArray[np.int32]
    solid: NDArray[np.int32]

    def subset(self, keep: NDArray[np.bool_]) -> Mesh:
        """The vertices of `keep` (P,) and the faces that have all three of theirs."""
        number = np.cumsum(keep) - 1
        faces = self.faces[keep[self.faces].all(axis=1)]
        return Mesh(
            self.points[keep],
            number[faces].astype(np.int32),
            self.segment[keep],
            self.instance[keep],
            self.solid[keep],
        )


def _lattice(a: Float64, b: Float64) -> tuple[Float64, Float64, NDArray[np.int64]]:
    """Grid nodes over two axes, row by row, and their two triangles a cell."""
    p, q = np.meshgrid(a, b)
    rows, columns = len(b), len(a)
    corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).reshape(-1)
    right, up = corner + 1, corner + columns
    faces = np.stack([corner, right, up, right, up + 1, up], axis=1).reshape(-1, 3)
    return p.reshape(-1), q.reshape(-1), faces


def _nodes(half: float, spacing: float) -> Float64:
    count = max(1, round(2 * half / spacing))
    return np.linspace(-half, half, count + 1)


def _patches(a: Float64, b: Float64) -> NDArray[np.int64]:
    """Number of the patch of each node, by cells of `PATCH` metres."""
    p, q = np.floor((a - a.min()) / PATCH), np.floor((b - b.min()) / PATCH)
    patch: NDArray[np.int64] = (p * 1000 + q).astype(np.int64)
    return patch


def _box(half: Float64, spacing: float) -> list[Grid]:
    grids = []
    for axis in range(3):
        i, j = [k for k in range(3) if k != axis]
        a, b, faces = _lattice(_nodes(half[i], spacing), _nodes(half[j], spacing))
        for sign in (-1.0, 1.0):
            local = np.empty((len(a), 3))
            local[:, axis], local[:, i], local[:, j] = sign * half[axis], a, b
            outward = (sign > 0) == (axis != 1)
            grids.append((local, faces if outward else faces[:, ::-1], _patches(a, b)))
    return grids


def _around(half: Float64, spacing: float) -> Float64:
    radius = 0.5 * (half[0] + half[1])
    return np.linspace(0.0, 2 * math.pi, max(8, round(2 * math.pi * radius / spacing)) + 1)


def _cylinder(half: Float64, spacing: float) -> list[Grid]:
    angle, z, faces = _lattice(_around(half, spacing), _nodes(half[2], spacing))
    side = np.stack([half[0] * np.cos(angle), half[1] * np.sin(angle), z], axis=1)
    grids = [(side, faces, _patches(angle * half[0], z))]
    rings = np.linspace(0.05, 1.0, max(2, round(half[0] / spacing) + 1))
    angle, ring, faces = _lattice(_around(half, spacing), rings)
    for sign in (-1.0, 1.0):
        cap = np.stack(
            [
                half[0] * ring * np.cos(angle),
                half[1] * ring * np.sin(angle),
                np.full_like(ring, sign * half[2]),
            ],
            axis=1,
        )
        grids.append((cap, faces[:, ::-1] if sign > 0 else faces, _patches(cap[:, 0], cap[:, 1])))
    return grids


def _ellipsoid(half: Float64, spacing: float) -> list[Grid]:
    rows = max(4, round(math.pi * half[2] / spacing))
    angle, rise, faces = _lattice(_around(half, spacing), np.linspace(-1.5, 1.5, rows + 1))
    local = half * np.stack(
        [np.cos(rise) * np.cos(angle), np.cos(rise) * np.sin(angle), np.sin(rise)], 1
    )
    return [(local, faces, np.zeros(len(angle), dtype=np.int64))]


def surface_mesh(solids: Sequence[Solid], object_ids: Sequence[int], spacing: float) -> Mesh:
    """Grids over all faces of all solids, hidden ones included.

    Args:
        solids: Solids in the room's frame.
        object_ids: Object of each solid, -1 = none.
        spacing: Metres between neighbouring vertices.
    """
    points, faces, segments, instances, owners = [], [], [], [], []
    vertex = segment = 0
    for k, solid in enumerate(solids):
        make = _box if solid.kind == BOX else _cylinder if solid.kind == CYLINDER else _ellipsoid
        for local, triangles, patch in make(solid.half, spacing):
            R = solid.R
            points.append(
                np.stack(
                    [
                        ((R[r, 0] * local[:, 0] + R[r, 1] * local[:, 1]) + R[r, 2] * local[:, 2])
                        + solid.t[r]
                        for r in range(3)
                    ],
                    axis=1,
                )
            )
            faces.append(triangles + vertex)
            _, number = np.unique(patch, return_inverse=True)
            segments.append(number + segment)
            instances.append(np.full(len(local), object_ids[k], dtype=np.int32))
            owners.append(np.full(len(local), k, dtype=np.int32))
            vertex += len(local)
            segment += int(number.max()) + 1
    return Mesh(
        np.concatenate(points).astype(np.float32),
        np.concatenate(faces).astype(np.int32),
        np.concatenate(segments),
        np.concatenate(instances),
        np.concatenate(owners),
    )


def scan_noise(points: Float32, dice: Dice, noise: float) -> Float32:
    """The points moved a little, as a reconstruction has them."""
    if noise <= 0:
        return points
    shift = dice.normal(points.size, "mesh/noise").reshape(points.shape)
    return (points + noise * np.clip(shift, -3.0, 3.0)).astype(np.float32)
