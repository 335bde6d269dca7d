# SPDX-License-Identifier: Apache-2.0
"""An object of a scene as the relations see it: a box, its vertices, and gaps between objects."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from spatialcore.relations.boxes import OrientedBox, finite_points, gravity_box
from spatialcore.relations.solids import box_distance
from spatialcore.types import Float64

_PAIRS_AT_ONCE = 32_768  # of vertices: so many distances cost less than a tree
_STEPS = 3  # from nearest vertex to nearest vertex: the distance they end at is mostly the least
_ROUNDING = 1 + 1e-12


class SceneObject:
    """One object: id, category, box and, where the source has them, vertices.

    The centroid is the centre of the box, not the mean of the vertices: the mean leans to the
    side that was scanned more densely.

    Args:
        object_id: Id of the object in its scene.
        category: Canonical category.
        box: Its box; None fits `gravity_box` to the points.
        points: (V, 3) vertices in metres, world z up, or None when the source has boxes alone.

    Raises:
        ValueError: Neither box nor points came, or the points are malformed.
    """

    def __init__(
        self,
        object_id: int,
        category: str,
        *,
        box: OrientedBox | None = None,
        points: ArrayLike | None = None,
    ) -> None:
        if box is None and points is None:
            raise ValueError(f"object {object_id} needs a box or points")
        self.object_id = int(object_id)
        self.category = category
        self.points: Float64 | None = None if points is None else finite_points(points)
        self.box = gravity_box(self.points) if box is None else box  # type: ignore[arg-type]
        self._shape = object()  # the same for all names of one thing
        self._gaps: dict[object, float] = {}  # by the shape of the other one

    def renamed(self, category: str) -> SceneObject:
        """The same thing under another name; what has been measured of it holds for both."""
        other = copy.copy(self)
        other.category = category
        return other

    @property
    def centroid(self) -> Float64:
        """(3,) centre of the box, metres."""
        return self.box.center

    @cached_property
    def outline(self) -> Float64:
        """(V, 3) vertices, or the box's 8 corners when the source has no vertices."""
        return self.box.corners if self.points is None else self.points

    @cached_property
    def bounds(self) -> tuple[Float64, Float64]:
        """(3,) least and (3,) greatest coordinates of the vertices, or of the box."""
        if self.points is None:
            return self.box.bounds
        return self.points.min(axis=0), self.points.max(axis=0)

    @cached_property
    def columns(self) -> Float64:
        """(3, V) contiguous coordinates of `outline`: scans of whole columns are faster."""
        return np.ascontiguousarray(self.outline.T)


def viewer_range(viewer_xyz: ArrayLike, item: SceneObject) -> float:
    """Metres from the camera's place (3,) to the object's nearest vertex."""
    x, y, z = np.square(item.columns - np.asarray(viewer_xyz, np.float64)[:, None])
    return math.sqrt(float((x + y + z).min()))


def gap(a: SceneObject, b: SceneObject) -> float:
    """Least distance of two objects.

    The least distance between their vertex sets; the exact distance of the two solid boxes when
    either object has no vertices. Measured once for each pair of objects.

    Args:
        a: First object.
        b: Second object.

    Returns:
        Metres.

    Example:
        >>> left = SceneObject(0, "cup", points=[(0, 0, 0), (0, 0, 1)])
        >>> gap(left, SceneObject(1, "pen", points=[(3, 4, 1)]))
        5.0
    """
    known = a._gaps.get(b._shape)
    if known is None:
        known = _measured_gap(a, b)
        a._gaps[b._shape] = b._gaps[a._shape] = known
    return known


def _measured_gap(a: SceneObject, b: SceneObject) -> float:
    if a.points is None or b.points is None:
        return box_distance(a.box, b.box)
    # No vertex can be nearer than the other's bounds; few are left once one distance is known.
    far_a, far_b = _beyond(a.columns, *b.bounds), _beyond(b.columns, *a.bounds)
    known = _descended(a.columns, b.columns, int(far_a.argmin()))
    left, right = a.columns[:, far_a <= known * _ROUNDING], b.columns[:, far_b <= known * _ROUNDING]
    if left.shape[1] * right.shape[1] > _PAIRS_AT_ONCE:
        left = left[:, _beyond(left, *_bounds(right)) <= known * _ROUNDING]
        right = right[:, _beyond(right, *_bounds(left)) <= known * _ROUNDING]
    if left.shape[1] * right.shape[1] <= _PAIRS_AT_ONCE:
        every = _squares(left[:, :, None], right[:, None])
        return math.sqrt(min(known, float(every.min(initial=np.inf))))
    from scipy.spatial import cKDTree

    few, many = sorted((left, right), key=lambda columns: columns.shape[1])
    tree = cKDTree(many.T, balanced_tree=False, compact_nodes=False)
    return min(math.sqrt(known), float(tree.query(few.T)[0].min()))


def _beyond(columns: Float64, low: Float64, high: Float64) -> Float64:
    """(V,) squares of the distances of vertices (3, V) from bounds."""
    away = np.maximum(low[:, None] - columns, columns - high[:, None])
    x, y, z = np.square(np.maximum(away, 0.0, out=away), out=away)
    return np.asarray(x + y + z)


def _bounds(columns: Float64) -> tuple[Float64, Float64]:
    """(3,) least and (3,) greatest coordinates of (3, V); of none, what nothing is near to."""
    return columns.min(axis=1, initial=np.inf), columns.max(axis=1, initial=-np.inf)


def _squares(a: Float64, b: Float64) -> Float64:
    """Squares of the distances of points whose coordinates are rows, as a k-d tree sums them."""
    x, y, z = np.square(a - b)
    return np.asarray(x + y + z)


def _descended(a: Float64, b: Float64, start: int) -> float:
    """The square of a short distance of (3, V) and (3, W): from nearest vertex to nearest vertex.

    Args:
        a: Vertices.
        b: The others.
        start: Of `a`, to begin with.
    """
    at, least = a[:, start, None], math.inf
    for step in range(2 * _STEPS):
        others = (b, a)[step % 2]
        away = _squares(others, at)
        nearest = int(away.argmin())
        if not away[nearest] < least:
            break
        at, least = others[:, nearest, None], float(away[nearest])
    return least


def gap_floor(objects: Sequence[SceneObject]) -> Float64:
    """Lower bounds of every gap from the objects' bounds alone: (O, O) metres.

    The broad phase: a pair whose bounds are far apart needs no vertex distance to be called far.
    """
    if not objects:
        return np.zeros((0, 0))
    # One object without vertices makes its gaps box distances, and boxes reach beyond vertices.
    boxes = any(item.points is None for item in objects)
    bounds = [item.box.bounds if boxes else item.bounds for item in objects]
    lo, hi = (np.stack(side) for side in zip(*bounds, strict=True))
    beyond = np.maximum(np.maximum(lo[:, None] - hi[None], lo[None] - hi[:, None]), 0.0)
    return np.asarray(np.sqrt((beyond * beyond).sum(axis=-1)))
