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
_MOST_CELLS = 1 << 24  # of a grid that is counted cell by cell: 200 m by 200 m


@dataclass(frozen=True, slots=True)
class RoomRules:
    """When a room's size is asked.

    Attributes:
        alpha: Radius of the disc, metres.
        voxel: Side of the cells that the points are thinned to, metres.
        check_alpha: Radius of the second reading, metres.
        max_change: Largest relative difference of the two readings.
        max_hole_share: Largest share of the area that no vertex covers.
        max_open_share: Largest share of the outline without a wall.
        wall_height_m: A vertex this far above the floor belongs to a wall.
        wall_reach_m: Largest distance from the outline to its wall.
        min_area_m2: Smallest area asked.
    """

    alpha: float = 0.2
    voxel: float = 0.05
    check_alpha: float = 0.5
    max_change: float = 0.10
    max_hole_share: float = 0.25
    max_open_share: float = 0.10
    wall_height_m: float = 1.0
    wall_reach_m: float = 0.15
    min_area_m2: float = 4.0

    def __post_init__(self) -> None:
        if not 0 < self.alpha < self.check_alpha:
            raise ValueError("alpha must be positive and below check_alpha")
        if self.voxel <= 0 or self.max_change < 0 or self.min_area_m2 < 0:
            raise ValueError("voxel must be positive, max_change and min_area_m2 not negative")


class AlphaArea(NamedTuple):
    """The region that a disc from outside cannot reach.

    Attributes:
        shape: Area of the plain alpha shape, m2.
        holes: Area of the holes and bays of it that the disc cannot enter, m2.
        outline: (E, 2, 2) edges between the region and the outside, metres.
    """

    shape: float
    holes: float
    outline: Float64


def room_size(
    points: ArrayLike,
    alpha: float = 0.2,
    voxel: float = 0.05,
    *,
    rules: RoomRules | None = None,
) -> Answer[float] | Rejection:
    """Floor area of a room in square metres.

    The points are thinned to one mean per cell; the triangles of their Delaunay triangulation
    with circumradius below alpha form the alpha shape; holes that no disc of radius alpha can
    enter from outside are added. The reading stands when the same with `check_alpha` agrees,
    when holes are few (a yard is no floor), and when the outline runs along walls: where it does
    not, the scan ends before the room does.

    Args:
        points: (P, 3) vertices of the whole scan in metres, world z up; or (P, 2), then the
            walls are not looked at.
        alpha: Radius of the disc, metres; ignored when `rules` is given.
        voxel: Side of the cells, metres; ignored when `rules` is given.
        rules: All thresholds; None takes the defaults with the two above.

    Returns:
        Answer with the unrounded area, or Rejection `room_small`, `room_unstable` (the readings
        differ or holes are large), `room_open` (the outline lacks walls). Evidence: `shape_m2`,
        `holes_m2` at alpha, `check_m2` at check_alpha, `open_share` where z is known.

    Raises:
        ValueError: The points have another shape or a coordinate is not finite.
    """
    rules = RoomRules(alpha, voxel) if rules is None else rules
    p = np.asarray(points, dtype=np.float64)
    if p.ndim != 2 or p.shape[1] not in (2, 3):
        raise ValueError(f"points must have shape (P, 2) or (P, 3), got {p.shape}")
    if not np.isfinite(p).all():
        raise ValueError("points must be finite")
    read, check = alpha_areas(thin_points(p[:, :2], rules.voxel), (rules.alpha, rules.check_alpha))
    area, second = read.shape + read.holes, check.shape + check.holes
    evidence = {"shape_m2": read.shape, "holes_m2": read.holes, "check_m2": second}
    if area < rules.min_area_m2:
        return Rejection(Reason.ROOM_SMALL, evidence)
    if abs(second - area) > rules.max_change * area or read.holes > rules.max_hole_share * area:
        return Rejection(Reason.ROOM_UNSTABLE, evidence)
    if p.shape[1] == 3:
        evidence["open_share"] = open_share(read.outline, p, rules)
        if evidence["open_share"] > rules.max_open_share:
            return Rejection(Reason.ROOM_OPEN, evidence)
    return Answer(area, evidence)


def floor_area(points: ArrayLike, *, rules: RoomRules | None = None) -> float:
    """The area that `room_size` reads, in square metres, whether or not it is asked.

    Args:
        points: (P, 3) or (P, 2) finite vertices, metres, world z up.
        rules: Thresholds; None are the defaults.
    """
    chosen = RoomRules() if rules is None else rules
    xy = np.asarray(points)[:, :2]
    read = alpha_areas(thin_points(xy, chosen.voxel), (chosen.alpha,))[0]
    return read.shape + read.holes


def open_share(outline: Float64, points: Float64, rules: RoomRules) -> float:
    """Share of an outline's length that has no wall beside it.

    Args:
        outline: (E, 2, 2) edges, metres.
        points: (P, 3) vertices, world z up; the floor is the 1st percentile of z.
        rules: Thresholds.

    Returns:
        Ratio in [0, 1]; 1 where there is no wall at all.
    """
    from scipy.spatial import cKDTree

    floor_z = float(np.percentile(points[:, 2], 1.0))
    walls = thin_points(points[points[:, 2] > floor_z + rules.wall_height_m, :2], rules.voxel)
    if not len(walls) or not len(outline):
        return 1.0
    away, _ = cKDTree(walls).query(0.5 * (outline[:, 0] + outline[:, 1]))
    edge = outline[:, 1] - outline[:, 0]
    length = np.sqrt((edge * edge).sum(axis=1))
    return _total(length[away > rules.wall_reach_m]) / _total(length)


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
    if int(key.max()) > _MOST_CELLS:
        key = np.unique(key, return_inverse=True)[1]
    count = np.bincount(key)
    occupied = np.flatnonzero(count)
    grains = np.rint(points / _GRAIN_M)
    total = [np.bincount(key, weights=grains[:, k])[occupied] for k in (0, 1)]
    return np.asarray(np.stack(total, axis=1) / count[occupied, None] * _GRAIN_M)


def alpha_areas(xy: Float64, alphas: tuple[float, ...]) -> list[AlphaArea]:
    """The region that a disc from outside cannot reach, for several radii.

    Args:
        xy: (P, 2) distinct points, metres.
        alphas: Radii, metres.

    Returns:
        One AlphaArea per radius; zeros where the points span no area.
    """
    from scipy.spatial import Delaunay, QhullError

    nothing = AlphaArea(0.0, 0.0, np.zeros((0, 2, 2)))
    if len(xy) < 3:
        return [nothing for _ in alphas]
    middle = xy.mean(axis=0)
    try:
        mesh = Delaunay(xy - middle)
    except QhullError:  # all points on a line
        return [nothing for _ in alphas]
    corner = (xy - middle)[mesh.simplices]
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
        inside = ~_reached(mesh.neighbors, length, kept, alpha)
        row, k = np.nonzero(inside[:, None] & np.append(~inside, True)[mesh.neighbors])
        ends = [xy[mesh.simplices[row, (k + turn) % 3]] for turn in (1, 2)]
        results.append(
            AlphaArea(_total(area[kept]), _total(area[inside & ~kept]), np.stack(ends, axis=1))
        )
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
    reached: NDArray[np.bool_] = (label[:count] == label[count]) & ~kept
    return reached


def _total(numbers: Float64) -> float:
    """Sum of the sorted numbers: the same bits for any order of the triangles."""
    return float(np.sort(numbers).sum())
