# SPDX-License-Identifier: Apache-2.0
"""The floor area of a scanned room, from nothing but the points of the scan.

A scan has holes that the room does not: the floor below a bed, the inside of a wardrobe, the
strip of wall behind it. The area is therefore what a disc of radius alpha, rolled in from
outside, cannot reach. Where the scan is whole this is the alpha shape; an opening narrower than
the disc closes, so an unseen wardrobe between its front and the wall above it still counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spatialcore.relations.verdict import Answer, Reason, Rejection
from spatialcore.types import Float64

_GRAIN_M = 1e-6  # sums of whole grains are exact, so the order of the points does not matter


@dataclass(frozen=True, slots=True)
class RoomRules:
    """When a room's size is asked.

    Attributes:
        alpha: Radius of the disc, metres.
        voxel: Side of the cells that the points are thinned to, metres.
        check_alpha: Radius of the second reading, metres.
        max_change: Largest relative difference of the two readings.
        min_area_m2: Smallest area asked.
    """

    alpha: float = 0.2
    voxel: float = 0.05
    check_alpha: float = 0.5
    max_change: float = 0.10
    min_area_m2: float = 4.0

    def __post_init__(self) -> None:
        if not 0 < self.alpha < self.check_alpha:
            raise ValueError("alpha must be positive and below check_alpha")
        if self.voxel <= 0 or self.max_change < 0 or self.min_area_m2 < 0:
            raise ValueError("voxel must be positive, max_change and min_area_m2 not negative")


class AlphaArea(NamedTuple):
    """Area of the alpha shape and of the holes that a disc from outside cannot reach, m2."""

    shape: float
    holes: float


def room_size(
    points_xy: ArrayLike,
    alpha: float = 0.2,
    voxel: float = 0.05,
    *,
    rules: RoomRules | None = None,
) -> Answer[float] | Rejection:
    """Floor area of a room in square metres.

    The points are thinned to one mean per cell; the triangles of their Delaunay triangulation
    with circumradius below alpha form the alpha shape; holes that no disc of radius alpha can
    enter from outside are added. The reading stands when the plain alpha shape of
    `check_alpha`, which has no holes filled, differs by at most `max_change`: a room around a
    yard, or a scan with most of its floor missing, is not asked.

    Args:
        points_xy: (P, 2) or (P, 3) vertices of the whole scan, metres; z is not used.
        alpha: Radius of the disc, metres; ignored when `rules` is given.
        voxel: Side of the cells, metres; ignored when `rules` is given.
        rules: All thresholds; None takes the defaults with the two above.

    Returns:
        Answer with the unrounded area, or Rejection `room_small` or `room_unstable`. Evidence:
        `shape_m2`, `holes_m2` at alpha, `check_m2` at check_alpha.

    Raises:
        ValueError: The points have another shape or a coordinate is not finite.
    """
    rules = RoomRules(alpha, voxel) if rules is None else rules
    xy = np.asarray(points_xy, dtype=np.float64)
    if xy.ndim != 2 or xy.shape[1] not in (2, 3):
        raise ValueError(f"points_xy must have shape (P, 2) or (P, 3), got {xy.shape}")
    xy = xy[:, :2]
    if not np.isfinite(xy).all():
        raise ValueError("points_xy must be finite")
    read, check = alpha_areas(thin_points(xy, rules.voxel), (rules.alpha, rules.check_alpha))
    area = read.shape + read.holes
    evidence = {"shape_m2": read.shape, "holes_m2": read.holes, "check_m2": check.shape}
    if area < rules.min_area_m2:
        return Rejection(Reason.ROOM_SMALL, evidence)
    if abs(check.shape - area) > rules.max_change * area:
        return Rejection(Reason.ROOM_UNSTABLE, evidence)
    return Answer(area, evidence)


def thin_points(xy: ArrayLike, voxel: float) -> Float64:
    """The mean of the points in each occupied square cell, cells in (x, y) order.

    Args:
        xy: (P, 2) metres.
        voxel: Side of a cell, metres.

    Returns:
        (Q, 2) float64, independent of the order of the points.
    """
    points = np.asarray(xy, dtype=np.float64).reshape(-1, 2)
    if not len(points):
        return points
    cell = np.floor(points / voxel).astype(np.int64)
    cell -= cell.min(axis=0)
    key = cell[:, 0] * (int(cell[:, 1].max()) + 1) + cell[:, 1]
    _, row, count = np.unique(key, return_inverse=True, return_counts=True)
    grains = np.rint(points / _GRAIN_M)
    total = [np.bincount(row, weights=grains[:, k], minlength=len(count)) for k in (0, 1)]
    return np.asarray(np.stack(total, axis=1) / count[:, None] * _GRAIN_M)


def alpha_areas(xy: Float64, alphas: tuple[float, ...]) -> list[AlphaArea]:
    """Alpha shape area and enclosed holes of points in the plane, for several radii.

    Args:
        xy: (P, 2) distinct points, metres.
        alphas: Radii, metres.

    Returns:
        One AlphaArea per radius; zeros where the points span no area.
    """
    from scipy.spatial import Delaunay, QhullError

    if len(xy) < 3:
        return [AlphaArea(0.0, 0.0) for _ in alphas]
    centred = xy - xy.mean(axis=0)
    try:
        mesh = Delaunay(centred)
    except QhullError:  # all points on a line
        return [AlphaArea(0.0, 0.0) for _ in alphas]
    corner = centred[mesh.simplices]
    # Side k lies opposite corner k, as neighbour k does.
    side = np.roll(corner, -1, axis=1) - np.roll(corner, -2, axis=1)
    length = np.sqrt((side * side).sum(axis=-1))
    area = 0.5 * np.abs(side[:, 0, 0] * side[:, 1, 1] - side[:, 0, 1] * side[:, 1, 0])
    with np.errstate(divide="ignore", invalid="ignore"):
        radius = length.prod(axis=1) / (4.0 * area)
    radius = np.where(area > 0, radius, np.inf)
    results = []
    for alpha in alphas:
        kept = radius < alpha
        holes = ~kept & ~_reached(mesh.neighbors, length, kept, alpha)
        results.append(AlphaArea(_total(area[kept]), _total(area[holes])))
    return results


def _reached(
    neighbours: NDArray[np.int32], length: Float64, kept: NDArray[np.bool_], alpha: float
) -> NDArray[np.bool_]:
    """(T,) triangles outside the shape that a disc of radius alpha enters from outside."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count = len(neighbours)
    row, k = np.nonzero((length > 2.0 * alpha) & ~kept[:, None])
    column = neighbours[row, k]
    outside = column < 0
    column = np.where(outside, count, column)
    passable = outside | ~kept[np.minimum(column, count - 1)]
    row, column = row[passable], column[passable]
    links = coo_array((np.ones(len(row), np.int8), (row, column)), shape=(count + 1, count + 1))
    _, label = connected_components(links, directed=False)
    reached: NDArray[np.bool_] = label[:count] == label[count]
    return reached


def _total(areas: Float64) -> float:
    """Sum of the sorted areas: the same bits for any order of the triangles."""
    return float(np.sort(areas).sum())
