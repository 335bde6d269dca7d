# SPDX-License-Identifier: Apache-2.0
"""An object of a scene as the relations see it: a box, its vertices, and gaps between objects."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from spatialcore import _cpu
from spatialcore.relations.boxes import OrientedBox, finite_points, gravity_box
from spatialcore.relations.solids import box_distance
from spatialcore.types import Float64


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
    return math.sqrt(_cpu.least_square_gap(a.columns, b.columns))


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
