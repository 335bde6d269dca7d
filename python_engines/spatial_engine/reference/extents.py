# SPDX-License-Identifier: Apache-2.0
"""What frames see of an object, vertex by vertex."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from spatial_engine.reference.scene import ReferenceScene

Float64 = NDArray[np.float64]


class Extent(NamedTuple):
    """What a frame sees of an object on k axes; NaN when it sees nothing.

    Attributes:
        vertex_count: Vertices that the frame shows.
        low: (k,) least coordinate of them, metres.
        high: (k,) greatest.
    """

    vertex_count: int
    low: Float64
    high: Float64


def object_vertices(scene: ReferenceScene, object_id: int) -> NDArray[np.int64]:
    """Rows of an object's finite vertices in the scene's cloud."""
    mine = scene.cloud.instance == object_id
    return np.flatnonzero(mine & np.isfinite(scene.points).all(axis=1))


def coordinates_along(scene: ReferenceScene, rows: NDArray[np.int64], axes: ArrayLike) -> Float64:
    """(k, n) coordinates of points on axes; the order of the sums is part of the rule.

    Args:
        scene: The scene.
        rows: (n,) rows of its cloud.
        axes: (k, 3), rows are the axes.
    """
    x, y, z = scene.points[rows].astype(np.float64).T
    return np.stack([(a[0] * x + a[1] * y) + a[2] * z for a in np.asarray(axes, np.float64)])


def seen_extent(scene: ReferenceScene, object_id: int, frame: int, axes: ArrayLike) -> Extent:
    """What a frame sees of an object, on axes (k, 3)."""
    rows = object_vertices(scene, object_id)
    seen = rows[scene.object_points(frame)[rows]]
    along = coordinates_along(scene, seen, axes)
    if not len(seen):
        nothing = np.full(len(along), np.nan)
        return Extent(0, nothing, nothing)
    return Extent(len(seen), along.min(axis=1), along.max(axis=1))


def seen_ends(
    scene: ReferenceScene, object_id: int, frame: int, axis: ArrayLike
) -> tuple[float, float]:
    """Shares of the vertices at either end of an object that a frame shows off its border.

    Args:
        scene: The scene.
        object_id: The object.
        frame: The frame.
        axis: (3,) of the side; an end is the outer tenth of it.
    """
    rows = object_vertices(scene, object_id)
    along = coordinates_along(scene, rows, np.asarray(axis)[None])[0]
    uv, z = scene.project(frame, rows)
    W, H = scene.camera(frame).size
    edge = scene.recipe.guards.object_end_margin * W
    shown = scene.object_points(frame)[rows]
    tenth = (along.max() - along.min()) / 10
    counts = {"low": [0, 0], "high": [0, 0]}
    for k, at in enumerate(along.tolist()):
        (u, v), before = uv[k].tolist(), bool(z[k] > 0)
        clear = before and edge <= u < W - edge and edge <= v < H - edge and bool(shown[k])
        for end, inside in (
            ("low", at <= along.min() + tenth),
            ("high", at >= along.max() - tenth),
        ):
            counts[end][0] += bool(inside) and clear
            counts[end][1] += bool(inside)
    return counts["low"][0] / counts["low"][1], counts["high"][0] / counts["high"][1]
