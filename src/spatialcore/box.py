# SPDX-License-Identifier: Apache-2.0
"""An oriented box: a centre, three side lengths and a full rotation, and what lies in it.

Sums run elementwise in a fixed order, so the bits do not depend on a linear-algebra library.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float64 = NDArray[np.float64]

THIN_SIDE_M = 0.02
"""Sides count as at least this long in a volume: a picture has one, though its mesh is flat."""

_MANY = 64  # points of a hull, from which on arrays are faster than a loop
_ORTHONORMAL_TOLERANCE = 1e-2  # public boxes are written with four decimals
_SIGNS = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])


@dataclass(frozen=True, eq=False)
class OrientedBox:
    """A solid box in the world.

    Attributes:
        center: (3,) metres.
        size: (3,) side lengths along the box's own axes, metres, not negative.
        R: (3, 3) `world_from_box`; column k is the unit axis of `size[k]`.

    Raises:
        ValueError: A shape is wrong, a number is not finite, a side is negative, or the columns
            of `R` are not orthonormal to 1e-2.

    Example:
        >>> OrientedBox((0, 0, 1), (2, 1, 1), np.eye(3)).corners[-1].tolist()
        [1.0, 0.5, 1.5]
    """

    center: Float64
    size: Float64
    R: Float64

    def __post_init__(self) -> None:
        for name, shape in (("center", (3,)), ("size", (3,)), ("R", (3, 3))):
            array = np.ascontiguousarray(getattr(self, name), dtype=np.float64)
            if array.shape != shape:
                raise ValueError(f"{name} must have shape {shape}, got {array.shape}")
            if not np.isfinite(array).all():
                raise ValueError(f"{name} must be finite, got {array.tolist()}")
            object.__setattr__(self, name, array)
        if (self.size < 0).any():
            raise ValueError(f"size must not be negative, got {self.size.tolist()}")
        gram = (self.R[:, :, None] * self.R[:, None, :]).sum(axis=0)
        if np.abs(gram - np.eye(3)).max() > _ORTHONORMAL_TOLERANCE:
            raise ValueError("the columns of R must be orthonormal to 1e-2")

    @cached_property
    def corners(self) -> Float64:
        """(8, 3) corners; the signs run (-,-,-), (-,-,+), ..., (+,+,+)."""
        return self.center + rotate(self.R, _SIGNS * self.size)

    @cached_property
    def volume(self) -> float:
        """Cubic metres, each side taken as at least `THIN_SIDE_M`."""
        x, y, z = np.maximum(self.size, THIN_SIDE_M).tolist()
        return float(x * y * z)

    @cached_property
    def longest_side(self) -> float:
        """Length of the longest side, metres."""
        return float(self.size.max())

    @cached_property
    def bounds(self) -> tuple[Float64, Float64]:
        """(3,) least and (3,) greatest coordinates of the axis-aligned hull."""
        reach = (np.abs(self.R) * (0.5 * self.size)).sum(axis=1)
        return self.center - reach, self.center + reach

    @cached_property
    def footprint(self) -> Float64:
        """Convex outline on the floor plane: (H, 2), counter-clockwise."""
        return convex_hull_2d(self.corners[:, :2])

    def half_extent(self, axis: ArrayLike) -> float:
        """Half the box's extent along a (3,) unit axis, metres."""
        along = (self.R * np.asarray(axis, dtype=np.float64)[:, None]).sum(axis=0)
        return float((np.abs(along) * (0.5 * self.size)).sum())

    def turned(self, world2_from_world: ArrayLike) -> OrientedBox:
        """The same box after a rigid (4, 4) motion of the world."""
        m = np.asarray(world2_from_world, dtype=np.float64)
        center = rotate(m[:3, :3], self.center[None])[0] + m[:3, 3]
        return OrientedBox(center, self.size, rotate(m[:3, :3], self.R.T).T)


def rotate(R: Float64, vectors: Float64) -> Float64:
    """`R v` for every row v: (r0 x + r1 y) + r2 z, elementwise.

    Args:
        R: (3, 3).
        vectors: (N, 3).

    Returns:
        (N, 3) float64.
    """
    x, y, z = vectors[:, 0], vectors[:, 1], vectors[:, 2]
    return np.stack([(row[0] * x + row[1] * y) + row[2] * z for row in R], axis=1)


def contains_points(box: OrientedBox, points: ArrayLike, margin: float = 0.0) -> NDArray[np.bool_]:
    """Which points lie in the box grown by `margin` on every side; the surface counts as inside.

    Args:
        box: The box.
        points: (P, 3) metres.
        margin: Metres, may be negative.

    Returns:
        (P,) bool.

    Example:
        >>> contains_points(OrientedBox((0, 0, 0), (2, 2, 2), np.eye(3)), [(1, 1, 1), (1.1, 0, 0)])
        array([ True, False])
    """
    local = rotate(box.R.T, np.asarray(points, dtype=np.float64) - box.center)
    return np.asarray((np.abs(local) <= 0.5 * box.size + margin).all(axis=1))


def convex_hull_2d(xy: ArrayLike) -> Float64:
    """Convex hull of points in the plane, counter-clockwise from the least (x, y).

    Andrew's monotone chain after the points strictly inside an octagon of extreme points are
    dropped, which leaves those of walls of a scan's thousands.

    Args:
        xy: (P, 2), P >= 1.

    Returns:
        (H, 2) corners without collinear ones; H = 1 or 2 where the points span no area.
    """
    points = np.asarray(xy, dtype=np.float64)
    if len(points) > _MANY:
        points = points[~_inside_octagon(points)]
    points = points[np.lexsort((points[:, 1], points[:, 0]))]
    first = np.ones(len(points), dtype=np.bool_)
    first[1:] = (points[1:] != points[:-1]).any(axis=1)
    points = points[first]
    if len(points) < 3:
        return points
    lower, upper = _half_hull(points), _half_hull(points[::-1])
    return np.array(lower[:-1] + upper[:-1])


def _half_hull(points: Float64) -> list[tuple[float, float]]:
    """The corners below points (P, 2) in the order of x, or above them in the other order."""
    while len(points) > _MANY:
        # What does not lie outside the line between two others is no corner; most points of a
        # straight wall are dropped so, half of them at once.
        (x0, y0), (x1, y1), (x, y) = points[:-2].T, points[1:-1].T, points[2:].T
        out = (x1 - x0) * (y - y0) - (y1 - y0) * (x - x0) > 0
        if out.all():
            break
        points = points[np.concatenate([[True], out, [True]])]
    chain: list[tuple[float, float]] = []
    for x, y in points.tolist():
        while len(chain) > 1:
            (x0, y0), (x1, y1) = chain[-2], chain[-1]
            if (x1 - x0) * (y - y0) - (y1 - y0) * (x - x0) > 0:
                break
            chain.pop()
        chain.append((x, y))
    return chain


def _inside_octagon(points: Float64) -> NDArray[np.bool_]:
    """Points strictly within the octagon of the extreme points in eight directions."""
    x, y = np.ascontiguousarray(points.T)
    directions = [(1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1)]
    ring = points[[int((x * a + y * b).argmax()) for a, b in directions]]
    edge = np.roll(ring, -1, axis=0) - ring
    least = 1e-9 * float(np.abs(edge).max(initial=0.0)) ** 2
    inside = np.full(len(points), bool(edge.any()))  # in one place there is nothing between
    for (x0, y0), (along_x, along_y) in zip(ring.tolist(), edge.tolist(), strict=True):
        if along_x or along_y:
            inside &= along_x * (y - y0) - along_y * (x - x0) > least
    return inside
