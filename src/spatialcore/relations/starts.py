# SPDX-License-Identifier: Apache-2.0
"""Where a walk starts in words: a gap before one object, on the way to the object that is faced.

A text names the place by what can be seen: the straight line over the floor from the middle of one
object to the middle of another, and how far one stands from the first. Whoever reads it stands
there to within a few centimetres, so a walk counts only if it arrives from each of these places.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from spatialcore.relations.free_space import Cell, FreeSpace
from spatialcore.relations.scene_object import SceneObject
from spatialcore.relations.solids import point_to_polygon
from spatialcore.relations.verdict import Answer, Evidence, Reason, Rejection
from spatialcore.relations.walks import DEFAULT_RULES, Step, Walk, WalkRules, heading_to, walk

_STRIDE_M = 0.005  # of the places that are looked at along the line
Place = tuple[float, float]


@dataclass(frozen=True, slots=True)
class StartPlace:
    """A place to stand, as a text can name it.

    Attributes:
        gap_m: Distance from the object's footprint, tenths of a metre.
        xy: World (x, y).
        cell: The free cell that holds it.
    """

    gap_m: float
    xy: Place
    cell: Cell


def start_place(
    space: FreeSpace, item: SceneObject, facing: SceneObject, *, rules: WalkRules = DEFAULT_RULES
) -> Answer[StartPlace] | Rejection:
    """The first free place before an object, on the line from its middle to what one faces.

    Args:
        space: Floor grid.
        item: The object one stands at, with one's back to it.
        facing: The object one looks at.
        rules: Thresholds.

    Returns:
        Answer with the place, or `no_start` where no whole tenth of a metre within
        `start_gap_m` is free, or the faced object is nearer than `min_facing_m` there.
        Evidence: `start_gap_m`, `start_xy`.
    """
    middle, end = item.centroid[:2], facing.centroid[:2]
    length = math.dist(middle.tolist(), end.tolist())
    along = np.arange(0.0, length, _STRIDE_M)[:, None] * ((end - middle) / max(length, 1e-9))
    line = middle + along
    away = point_to_polygon(item.box.footprint, line)
    least, most = (round(10 * gap) for gap in rules.start_gap_m)
    for tenths in range(least, most + 1):
        beyond = np.flatnonzero(away >= tenths / 10)
        if not len(beyond):
            break
        x, y = line[beyond[0]].tolist()
        cell = space.cell_at((x, y))
        if cell is not None and space.free[cell]:
            evidence: Evidence = {"start_gap_m": tenths / 10, "start_xy": [x, y]}
            if point_to_polygon(facing.box.footprint, line[beyond[:1]])[0] < rules.min_facing_m:
                return Rejection(Reason.NO_START, evidence)
            return Answer(StartPlace(tenths / 10, (x, y), cell), evidence)
    return Rejection(Reason.NO_START)


def possible_starts(space: FreeSpace, xy: ArrayLike, slack_m: float) -> list[Place]:
    """Every place where somebody who is told to stand at (x, y) may stand.

    Args:
        space: Floor grid; its passable cells count.
        xy: (2,) the place that was told.
        slack_m: How far from it one may stand.

    Returns:
        The place itself, then the centres of the passable cells within the slack that one reaches
        from it without leaving them, rows first.
    """
    x, y = (float(v) for v in np.asarray(xy, dtype=np.float64)[:2])
    first = space.cell_at((x, y))
    H, W = space.passable.shape
    reached: dict[Cell, Place] = {}
    waiting = [] if first is None else [first]
    while waiting:
        row, column = cell = waiting.pop()
        if cell in reached or not (0 <= row < H and 0 <= column < W) or not space.passable[cell]:
            continue
        center = space.center(cell).tolist()
        if math.dist(center, (x, y)) <= slack_m:
            reached[cell] = (center[0], center[1])
            waiting += [(row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)]
    return [(x, y), *(reached[cell] for cell in sorted(reached))]


def walks_from(
    space: FreeSpace, starts: Sequence[Place], face_xy: ArrayLike, steps: Sequence[Step]
) -> list[Walk]:
    """The same steps from each start, where one first faces the same place."""
    return [walk(space, start, heading_to(start, face_xy), steps) for start in starts]


def arrivals(
    space: FreeSpace,
    starts: Sequence[Place],
    face_xy: ArrayLike,
    goal_xy: ArrayLike,
    steps: Sequence[Step],
    *,
    rules: WalkRules = DEFAULT_RULES,
) -> float:
    """Share of the starts from which the steps arrive over clear floor.

    Args:
        space: Floor grid.
        starts: As `possible_starts` gives them.
        face_xy: (2,) what one faces at first.
        goal_xy: (2,) where the walk is to end.
        steps: The steps.
        rules: Thresholds.
    """
    walked = walks_from(space, starts, face_xy, steps)
    return sum(one.arrives(goal_xy, rules=rules) for one in walked) / len(walked)
