# SPDX-License-Identifier: Apache-2.0
"""Two oriented boxes against each other: exact distance, penetration, shared floor area."""

from __future__ import annotations

import numpy as np

from spatialcore.relations.boxes import OrientedBox, points_to_box
from spatialcore.types import Float64

_PARALLEL = 1e-9  # squared sine below which a cross product gives no axis of its own
# Corner pairs of the 12 edges, in the corner order of OrientedBox.corners.
_EDGES = np.array([(a, a | bit) for bit in (4, 2, 1) for a in range(8) if not a & bit])


def penetration(a: OrientedBox, b: OrientedBox) -> float:
    """Least overlap of two boxes over the 15 separating axes.

    Positive: the boxes overlap, and this is the shortest move that parts them. Negative: some
    axis parts them; its size is a lower bound of their distance, not the distance.

    Args:
        a: First box, any rotation.
        b: Second box.

    Returns:
        Metres.

    Source: Gottschalk et al., OBBTree (1996), theorem 1.

    Example:
        >>> cube = OrientedBox((0, 0, 0), (1, 1, 1), np.eye(3))
        >>> round(penetration(cube, OrientedBox((0.75, 0, 0), (1, 1, 1), np.eye(3))), 6)
        0.25
    """
    cross = _cross(a.R.T[:, None, :], b.R.T[None, :, :]).reshape(9, 3)
    square = (cross * cross).sum(axis=1)
    kept = square > _PARALLEL
    axes = np.concatenate([a.R.T, b.R.T, cross[kept] / np.sqrt(square[kept])[:, None]])
    reach = _reach(a, axes) + _reach(b, axes)
    apart = np.abs((axes * (b.center - a.center)).sum(axis=1))
    return float((reach - apart).min())


def _cross(a: Float64, b: Float64) -> Float64:
    (ax, ay, az), (bx, by, bz) = np.moveaxis(a, -1, 0), np.moveaxis(b, -1, 0)
    return np.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], axis=-1)


def _reach(box: OrientedBox, axes: Float64) -> Float64:
    """(A,) half extents of the box along unit axes (A, 3)."""
    along = (axes[:, :, None] * box.R[None, :, :]).sum(axis=1)
    return np.asarray((np.abs(along) * (0.5 * box.size)).sum(axis=1))


def box_distance(a: OrientedBox, b: OrientedBox) -> float:
    """Exact distance of two solid boxes, 0 where they touch or overlap.

    Disjoint convex polyhedra are nearest either at a corner of one (against the other solid) or
    at two edges; all 16 corners and 144 pairs of edges are measured.

    Args:
        a: First box, any rotation.
        b: Second box.

    Returns:
        Metres.

    Example:
        >>> cube = OrientedBox((0, 0, 0), (1, 1, 1), np.eye(3))
        >>> box_distance(cube, OrientedBox((2, 3, 0), (1, 1, 1), np.eye(3))) == 5 ** 0.5
        True
    """
    if penetration(a, b) >= 0:
        return 0.0
    corners_a, corners_b = a.corners, b.corners
    nearest = min(
        float(points_to_box(b, corners_a).min()), float(points_to_box(a, corners_b).min())
    )
    edges = _segments_apart(corners_a[_EDGES], corners_b[_EDGES])
    return min(nearest, float(edges.min()))


def _dot(a: Float64, b: Float64) -> Float64:
    return (a[..., 0] * b[..., 0] + a[..., 1] * b[..., 1]) + a[..., 2] * b[..., 2]


def _segments_apart(first: Float64, second: Float64) -> Float64:
    """Least distance of the inner points of every pair of segments.

    Only the perpendicular foot inside both segments is tried: where it falls outside, an end
    point is nearest, and ends are corners, which the caller measures against the whole solid.

    Args:
        first: (M, 2, 3) end points.
        second: (N, 2, 3) end points.

    Returns:
        (M, N) metres, inf where the lines are parallel or the foot lies outside.
    """
    p, q = first[:, None, 0], second[None, :, 0]
    d, e = first[:, None, 1] - p, second[None, :, 1] - q
    dd, ee, de = _dot(d, d), _dot(e, e), _dot(d, e)
    w = p - q
    dw, ew = _dot(d, w), _dot(e, w)
    det = dd * ee - de * de
    with np.errstate(divide="ignore", invalid="ignore"):
        s = (de * ew - ee * dw) / det
        t = (dd * ew - de * dw) / det
        gap = (w + s[..., None] * d) - t[..., None] * e
        inner = (det > _PARALLEL * dd * ee) & (s >= 0) & (s <= 1) & (t >= 0) & (t <= 1)
        return np.where(inner, np.sqrt(_dot(gap, gap)), np.inf)


def polygon_area(polygon: Float64) -> float:
    """Signed area of a (H, 2) polygon, positive counter-clockwise; 0 below three corners."""
    if len(polygon) < 3:
        return 0.0
    x, y = polygon[:, 0], polygon[:, 1]
    return float(0.5 * (x * np.roll(y, -1) - np.roll(x, -1) * y).sum())


def clip_polygon(subject: Float64, window: Float64) -> Float64:
    """The part of a convex polygon inside another (Sutherland and Hodgman).

    Args:
        subject: (H, 2) corners.
        window: (G, 2) convex corners, counter-clockwise.

    Returns:
        (N, 2) corners, N = 0 where nothing is shared.
    """
    kept = [(float(x), float(y)) for x, y in subject]
    ring = [(float(x), float(y)) for x, y in window]
    for (x0, y0), (x1, y1) in zip(ring, ring[1:] + ring[:1], strict=True):
        side = [(x1 - x0) * (y - y0) - (y1 - y0) * (x - x0) for x, y in kept]
        clipped: list[tuple[float, float]] = []
        for k, (x, y) in enumerate(kept):
            before = k - 1
            if (side[k] < 0) != (side[before] < 0):
                share = side[before] / (side[before] - side[k])
                xb, yb = kept[before]
                clipped.append((xb + share * (x - xb), yb + share * (y - yb)))
            if side[k] >= 0:
                clipped.append((x, y))
        kept = clipped
    return np.array(kept).reshape(-1, 2)


def footprint_overlap(a: OrientedBox, b: OrientedBox) -> float:
    """Shared floor area over the smaller of the two footprints, in [0, 1].

    A footprint without area (a picture seen edge-on) gives 0.

    Args:
        a: First box, any rotation.
        b: Second box.

    Returns:
        Ratio.

    Example:
        >>> big = OrientedBox((0, 0, 0), (2, 2, 1), np.eye(3))
        >>> footprint_overlap(big, OrientedBox((1, 0, 3), (1, 1, 1), np.eye(3)))
        0.5
    """
    (lo_a, hi_a), (lo_b, hi_b) = a.bounds, b.bounds
    if (lo_a[:2] > hi_b[:2]).any() or (lo_b[:2] > hi_a[:2]).any():
        return 0.0
    outline_a, outline_b = a.footprint, b.footprint
    smaller = min(polygon_area(outline_a), polygon_area(outline_b))
    if smaller <= 0:
        return 0.0
    return min(1.0, polygon_area(clip_polygon(outline_a, outline_b)) / smaller)


def point_to_polygon(polygon: Float64, xy: Float64) -> Float64:
    """Distance of points in the plane to a convex polygon, 0 inside.

    Args:
        polygon: (H, 2) counter-clockwise corners without collinear ones, H >= 1.
        xy: (P, 2).

    Returns:
        (P,) metres.
    """
    p = np.asarray(xy, dtype=np.float64)[:, None]
    # Axis by axis, which spares small reductions: this runs for every object beside every walk.
    (x, y), (x_next, y_next) = polygon.T, np.concatenate([polygon[1:], polygon[:1]]).T
    edge_x, edge_y = x_next - x, y_next - y
    square = np.maximum(edge_x * edge_x + edge_y * edge_y, np.finfo(np.float64).tiny)
    offset_x, offset_y = p[..., 0] - x, p[..., 1] - y
    share = np.clip((offset_x * edge_x + offset_y * edge_y) / square, 0.0, 1.0)
    foot_x, foot_y = offset_x - share * edge_x, offset_y - share * edge_y
    nearest = np.sqrt((foot_x * foot_x + foot_y * foot_y).min(axis=1))
    if len(polygon) < 3:
        return np.asarray(nearest)
    cross = edge_x * offset_y - edge_y * offset_x
    return np.where((cross >= 0).all(axis=1), 0.0, nearest)
