# SPDX-License-Identifier: Apache-2.0
"""A room seen from above: the rectangle of its walls, the widest free disc, maps of cells."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spatialcore.box import convex_hull_2d
from spatialcore.relations.free_space import FreeSpace
from spatialcore.relations.scene_object import SceneObject
from spatialcore.relations.verdict import Answer, Reason, Rejection
from spatialcore.types import Float64

MAP_CELLS = 10
"""Cells along either side of a map."""
WALL_REACH_M = 0.15
"""An object that comes so near to a wall stands against it ..."""
WALL_FREE_M = 0.30
"""... if it keeps so far from all other walls."""


@dataclass(frozen=True, eq=False)
class Rectangle:
    """The rectangle of least area around points of the floor plan.

    Attributes:
        center: (2,) metres.
        axis: (2,) unit vector along its first side; the second is a quarter turn to the left.
        half: (2,) half the lengths of its sides, metres.
    """

    center: Float64
    axis: Float64
    half: Float64

    @property
    def area(self) -> float:
        """Square metres."""
        return float(4.0 * self.half[0] * self.half[1])

    @property
    def across(self) -> Float64:
        """(2,) unit vector along its second side."""
        return np.array([-self.axis[1], self.axis[0]])

    def local(self, xy: ArrayLike) -> Float64:
        """(n, 2) points along its sides, from its centre, metres."""
        away = np.asarray(xy, np.float64).reshape(-1, 2) - self.center
        return np.stack([away @ self.axis, away @ self.across], axis=1)


def least_rectangle(xy: ArrayLike) -> Rectangle | None:
    """The rectangle of least area around points (n, 2); None where they span no area.

    One of its sides lies on a side of the convex hull (H. Freeman and R. Shapira, 1975).

    Example:
        >>> least_rectangle([(0, 0), (4, 0), (4, 3), (0, 3)]).half.tolist()
        [2.0, 1.5]
    """
    hull = convex_hull_2d(xy)
    if len(hull) < 3:
        return None
    best: Rectangle | None = None
    for start, end in zip(hull, np.roll(hull, -1, axis=0), strict=True):
        axis = (end - start) / math.hypot(*(end - start))
        turn = np.array([axis, [-axis[1], axis[0]]])
        along = hull @ turn.T
        low, high = along.min(axis=0), along.max(axis=0)
        found = Rectangle((0.5 * (low + high)) @ turn, axis, 0.5 * (high - low))
        if best is None or found.area < best.area - 1e-9:
            best = found
    return best


def wall_of(item: SceneObject, room: Rectangle) -> Answer[int] | Rejection:
    """Which of the four walls of a rectangular room an object stands against or hangs on.

    Returns:
        0 and 2 for the ends of the first side, 1 and 3 for those of the second; `wall_unsure` for
        an object near none or near several. Evidence: `gaps_m`, its distance to each of the four.
    """
    reach = room.local(item.outline[:, :2])
    low, high = reach.min(axis=0), reach.max(axis=0)
    gaps = [*(room.half - high).tolist(), *(low + room.half).tolist()]
    evidence = {"gaps_m": gaps, "object_id": item.object_id}
    order = sorted(range(4), key=lambda k: gaps[k])
    if gaps[order[0]] > WALL_REACH_M or gaps[order[1]] < WALL_FREE_M:
        return Rejection(Reason.WALL_UNSURE, evidence)
    return Answer(order[0], evidence)


def opened(space: FreeSpace | Rejection) -> FreeSpace | Rejection:
    """The floor up to what stands on it, of one whose free cells keep a clearance.

    All cells within the clearance of a free one: what a disc of that radius covers that stays on
    the floor. Gaps that are narrower, as between the vertices of a table, stay closed.
    """
    if isinstance(space, Rejection):
        return space
    from scipy.ndimage import distance_transform_edt

    away = distance_transform_edt(~space.free) * space.cell_m
    free = away <= space.rules.clearance_m + 1e-9
    return replace(space, free=free, _distances={}, _approaches={})


class Disc(NamedTuple):
    """The widest disc that lies on free cells.

    Attributes:
        diameter_m: Metres.
        row: Row and ...
        column: ... column of the cell in its middle.
    """

    diameter_m: float
    row: int
    column: int


def widest_disc(free: NDArray[np.bool_], cell_m: float) -> Disc:
    """The widest disc on the free cells of a grid (H, W); what lies outside the grid is not free.

    The radius reaches from a cell's centre to the nearest centre of a cell that is not free, less
    half a cell: the border between the two.
    """
    from scipy.ndimage import distance_transform_edt

    away = distance_transform_edt(np.pad(free, 1))[1:-1, 1:-1]
    row, column = (int(k) for k in np.unravel_index(int(np.argmax(away)), away.shape))
    return Disc(max(0.0, 2.0 * (float(away[row, column]) - 0.5) * cell_m), row, column)


@dataclass(frozen=True, eq=False)
class CellMap:
    """A square map of a room in `MAP_CELLS` x `MAP_CELLS` cells.

    Attributes:
        center: (2,) world (x, y) of its middle, metres.
        right: (2,) unit vector along its columns; rows run a quarter turn to the left of it.
        side_m: Length of its sides.
    """

    center: Float64
    right: Float64
    side_m: float

    @classmethod
    def around(cls, room: Rectangle, towards: ArrayLike, quarter_turns: int) -> CellMap:
        """The map of a room.

        Args:
            room: The room, which the map holds whole.
            towards: (2,) the side of the room that points most nearly there ...
            quarter_turns: ... and is turned to the left so often is that of the map's columns.
        """
        sides = [room.axis, room.across, -room.axis, -room.across]
        first = max(range(4), key=lambda k: float(sides[k] @ np.asarray(towards, np.float64)))
        right = sides[(first + quarter_turns) % 4]
        return cls(room.center, right, 2.0 * float(room.half.max()))

    def place(self, xy: ArrayLike) -> tuple[float, float]:
        """World (x, y) in cells: whole numbers are the lower left corners of cells."""
        away = np.asarray(xy, np.float64)[:2] - self.center
        up = np.array([-self.right[1], self.right[0]])
        scale = MAP_CELLS / self.side_m
        x, y = float(away @ self.right) * scale, float(away @ up) * scale
        return x + 0.5 * MAP_CELLS, y + 0.5 * MAP_CELLS

    def cell(self, xy: ArrayLike) -> tuple[int, int]:
        """Column and row of the cell that holds a world (x, y)."""
        x, y = (min(max(math.floor(v), 0), MAP_CELLS - 1) for v in self.place(xy))
        return x, y


def misfit(places: Sequence[ArrayLike], others: Sequence[ArrayLike]) -> float:
    """How far points of the plane are from others that are moved and turned, but not mirrored.

    Args:
        places: n points (2,).
        others: n points (2,), in the same order.

    Returns:
        Root mean square of the distances after the best motion (W. Kabsch, 1976, in the plane).

    Example:
        >>> misfit([(0, 0), (1, 0), (0, 2)], [(5, 5), (5, 6), (3, 5)])  # turned by 90 degrees
        0.0
    """
    a, b = (np.asarray(points, np.float64) for points in (places, others))
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    dot = float((a * b).sum())
    cross = float((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum())
    square = float((a * a).sum() + (b * b).sum()) - 2.0 * math.hypot(dot, cross)
    return math.sqrt(max(0.0, square) / len(a))


def far_apart(cells: Sequence[tuple[int, int]], least: int) -> bool:
    """Whether every two cells differ by so many columns or rows."""
    return all(max(abs(a[0] - b[0]), abs(a[1] - b[1])) >= least for a, b in combinations(cells, 2))
