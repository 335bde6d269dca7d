# SPDX-License-Identifier: Apache-2.0
"""Oriented boxes: how they are fitted to points, how their sides are named, what they contain.

A box is a centre, three side lengths and a full rotation (public ScanNet boxes are tilted). Boxes
fitted here are axis-aligned or gravity-aligned; the functions take any rotation. Sums run
elementwise in a fixed order, so the bits do not depend on a linear-algebra library.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from spatialcore.box import OrientedBox as OrientedBox
from spatialcore.box import contains_points as contains_points
from spatialcore.box import convex_hull_2d as convex_hull_2d
from spatialcore.box import rotate
from spatialcore.types import Float64

AREA_NEAR = 1.03  # of the least area, that a rectangle may have instead of the least one
RIVAL_TURN = np.deg2rad(10)  # by which it is turned at least
RIVAL_SHARE = 0.7  # of the points' mean distance to the sides, that it leaves at most
_AREA_TIE = 1e-9  # relative; rectangles of equal area up to rounding are told apart by angle


def finite_points(points: ArrayLike) -> Float64:
    """Check (P, 3) finite points with P >= 1; ValueError names what came."""
    array = np.asarray(points, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] != 3 or not len(array):
        raise ValueError(f"points must have shape (P, 3) with P >= 1, got {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError("points must be finite")
    return array


def aligned_box(points: ArrayLike) -> OrientedBox:
    """The box along the world's axes that just holds the points.

    Args:
        points: (P, 3) metres, P >= 1.

    Returns:
        OrientedBox with the identity rotation.

    Raises:
        ValueError: No points, a wrong shape, or a coordinate that is not finite.

    Example:
        >>> aligned_box([(0, 0, 0), (2, 1, 3)]).size.tolist()
        [2.0, 1.0, 3.0]
    """
    p = finite_points(points)
    lo, hi = p.min(axis=0), p.max(axis=0)
    return OrientedBox(0.5 * (lo + hi), hi - lo, np.eye(3))


def gravity_box(points: ArrayLike) -> OrientedBox:
    """The upright box of least floor area: z, and the minimum-area rectangle of the xy hull.

    The first horizontal axis lies in [0, 90) degrees from x. Among rectangles whose areas agree
    to 1e-9 the one with the smallest such angle is taken, so the order of the points does not
    matter. Of a thing in a corner of which two sides were scanned the hull is a triangle, and the
    rectangle along its longest side is no larger than the true one: where another of about the
    least area, turned by 10 degrees or more, has the points much nearer to its sides, it is taken.

    Args:
        points: (P, 3) metres, z up, P >= 1.

    Returns:
        OrientedBox whose third axis is the world's z.

    Raises:
        ValueError: As `aligned_box`.

    Example:
        >>> diamond = [(1, 0, 0), (0, 1, 0), (-1, 0, 0), (0, -1, 2)]
        >>> gravity_box(diamond).size.round(3).tolist()
        [1.414, 1.414, 2.0]
    """
    p = finite_points(points)
    angle, lo, hi = _least_rectangle(convex_hull_2d(p[:, :2]), p[:, :2])
    c, s = np.cos(angle), np.sin(angle)
    u, v = 0.5 * (lo + hi)
    z_lo, z_hi = float(p[:, 2].min()), float(p[:, 2].max())
    center = np.array([u * c - v * s, u * s + v * c, 0.5 * (z_lo + z_hi)])
    R = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
    return OrientedBox(center, np.array([hi[0] - lo[0], hi[1] - lo[1], z_hi - z_lo]), R)


def _least_rectangle(hull: Float64, xy: Float64) -> tuple[float, Float64, Float64]:
    """Angle in [0, pi/2) and (2,) bounds in the turned axes; one side lies on a hull edge."""
    edges = np.roll(hull, -1, axis=0) - hull
    edges = edges[(edges != 0).any(axis=1)]
    if not len(edges):
        return 0.0, hull[0], hull[0]
    angles = np.unique(np.mod(np.arctan2(edges[:, 1], edges[:, 0]), 0.5 * np.pi))
    # An edge along -x may come out as pi/2 less one rounding: the same rectangle as angle 0.
    angles = np.unique(np.where(0.5 * np.pi - angles < 1e-12, 0.0, angles))
    c, s = np.cos(angles)[:, None], np.sin(angles)[:, None]
    u = hull[None, :, 0] * c + hull[None, :, 1] * s
    v = hull[None, :, 1] * c - hull[None, :, 0] * s
    lo = np.stack([u.min(axis=1), v.min(axis=1)], axis=1)
    hi = np.stack([u.max(axis=1), v.max(axis=1)], axis=1)
    area = (hi - lo).prod(axis=1)
    # Collinear points have area 0 at one angle only up to rounding: their extent gives the scale.
    slack = _AREA_TIE * max(float(area.min()), float(((hi - lo) ** 2).sum(axis=1).max()) * 1e-3)
    k = int(np.flatnonzero(area <= area.min() + slack)[0])
    turn = np.abs(np.mod(angles - angles[k] + 0.25 * np.pi, 0.5 * np.pi) - 0.25 * np.pi)
    rivals = np.flatnonzero((area <= AREA_NEAR * area[k]) & (turn > RIVAL_TURN)).tolist()
    if rivals and area[k] > 0:
        inside = {j: _mean_inside(xy, angles[j], lo[j], hi[j]) for j in (k, *rivals)}
        nearest = min(rivals, key=lambda j: inside[j])
        if inside[nearest] < RIVAL_SHARE * inside[k]:
            k = nearest
    return float(angles[k]), lo[k], hi[k]


def _mean_inside(xy: Float64, angle: float, lo: Float64, hi: Float64) -> float:
    """Mean distance of points from the nearest side of a rectangle around them."""
    c, s = np.cos(angle), np.sin(angle)
    turned = np.stack([xy[:, 0] * c + xy[:, 1] * s, xy[:, 1] * c - xy[:, 0] * s], axis=1)
    return float(np.minimum(turned - lo, hi - turned).min(axis=1).mean())


def points_to_box(box: OrientedBox, points: ArrayLike) -> Float64:
    """Distance of points to the solid box, 0 inside: (P,) float64 metres."""
    local = rotate(box.R.T, np.asarray(points, dtype=np.float64) - box.center)
    beyond = np.maximum(np.abs(local) - 0.5 * box.size, 0.0)
    x, y, z = beyond[:, 0], beyond[:, 1], beyond[:, 2]
    return np.asarray(np.sqrt((x * x + y * y) + z * z))
