# SPDX-License-Identifier: Apache-2.0
"""Shortest walks over a floor grid, and the turns of a walk between named objects."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from spatialcore import _cpu
from spatialcore.relations.directions import bearing_deg
from spatialcore.relations.free_space import (
    Cell,
    FreeSpace,
    Mask,
    approach,
    line_clear,
)
from spatialcore.relations.scene_object import SceneObject
from spatialcore.relations.verdict import Answer, Evidence, Reason, Rejection
from spatialcore.types import Float64

SHORT_LEG_M = 0.5
"""Legs below this length are merged into one turn where there is room."""


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """A walk over free cells.

    Attributes:
        cells: The path, neighbours in sequence, start and goal included.
        corners: (C, 2) world (x, y) of the simplified path, start and goal included.
        length_m: Length of the simplified path.
    """

    cells: tuple[Cell, ...]
    corners: Float64
    length_m: float


def find_path(free: Mask, start: Cell, goal: Cell) -> tuple[list[Cell], float] | None:
    """Shortest path on a grid by A*: eight neighbours, octile cost, no cut corners.

    A diagonal step needs both cells beside it free. Costs are kept as counts of straight and
    diagonal steps, so equal costs compare equal; ties go to the lower (f, h, row, column).

    Args:
        free: (H, W) bool.
        start: (row, column).
        goal: (row, column).

    Returns:
        The cells and the cost in cells, or None when the goal cannot be reached.

    Raises:
        ValueError: Start or goal lies outside the grid.
    """
    found = _cpu.find_path(free, start, goal)
    if found is None:
        return None
    cells, cost = found
    return [(row, column) for row, column in cells.tolist()], cost


def simplify_path(space: FreeSpace, cells: Sequence[Cell]) -> list[Cell]:
    """Drop the cells between which a straight line over free cells leads.

    From each kept cell the line of sight reaches as far as it can without interruption.
    """
    kept = [cells[0]]
    centers = space.centers(cells).tolist()
    k = 0
    while k < len(cells) - 1:
        reach = k + 1
        while reach < len(cells) - 1 and line_clear(
            space, space.free, centers[k], centers[reach + 1]
        ):
            reach += 1
        kept.append(cells[reach])
        k = reach
    return kept


def merge_short_legs(space: FreeSpace, corners: Sequence[Float64]) -> list[Float64]:
    """Replace a short leg between two turns by the one corner where its neighbours meet.

    The shortest walk around the end of a wall hugs it with several small turns; a person turns
    once. A leg below `SHORT_LEG_M` goes where both longer legs stay on free cells.

    Args:
        space: Floor grid.
        corners: World (x, y) of the walk.

    Returns:
        The corners that are left; start and goal are kept.
    """
    kept = list(corners)
    k = 1
    while k < len(kept) - 2:
        before, first, second, after = kept[k - 1 : k + 3]
        meeting = _meeting(before, first, second, after)
        if (
            math.dist(first, second) < SHORT_LEG_M
            and meeting is not None
            and line_clear(space, space.free, before, meeting)
            and line_clear(space, space.free, meeting, after)
        ):
            kept[k : k + 2] = [meeting]
            k = max(1, k - 1)
        else:
            k += 1
    return kept


def _meeting(before: Float64, first: Float64, second: Float64, after: Float64) -> Float64 | None:
    """Where the legs before and after a short leg meet when both are made longer."""
    (ux, uy), (vx, vy) = first - before, second - after
    cross = ux * vy - uy * vx
    if abs(cross) < 1e-9:
        return None
    wx, wy = second - first
    ahead, back = (wx * vy - wy * vx) / cross, (wx * uy - wy * ux) / cross
    return first + ahead * (first - before) if ahead >= 0 and back >= 0 else None


def plan_route(
    space: FreeSpace, start: SceneObject, target: SceneObject
) -> Answer[Route] | Rejection:
    """The shortest walk from one object to another.

    Args:
        space: Floor grid.
        start: Object one starts at: the free cell nearest its footprint, towards the target.
        target: Object one walks to: the free cell nearest its footprint, towards the start.

    Returns:
        Answer with the route, or `no_route`. Evidence: `start_cell`, `goal_cell`, `path_m`,
        `length_m`.
    """
    ends = [
        approach(space, start, target.centroid),
        approach(space, target, start.centroid),
    ]
    cells: list[Cell] = []
    for end in ends:
        if isinstance(end, Rejection):
            return end
        cells.append(end.value)
    return route_between(space, cells[0], cells[1])


def route_between(
    space: FreeSpace, start: Cell, goal: Cell, *, start_xy: Sequence[float] | None = None
) -> Answer[Route] | Rejection:
    """The shortest walk from one cell to another.

    Args:
        space: Floor grid.
        start: Free (row, column).
        goal: Free (row, column).
        start_xy: Where in the first cell one starts; None is its centre.

    Returns:
        As `plan_route`.
    """
    evidence: Evidence = {"start_cell": list(start), "goal_cell": list(goal)}
    found = find_path(space.free, start, goal)
    if found is None or start == goal:
        return Rejection(Reason.NO_ROUTE, evidence)
    path, cost = found
    places = [space.center(cell) for cell in simplify_path(space, path)]
    if start_xy is not None:
        places[0] = np.asarray(start_xy, dtype=np.float64)
    corners = np.stack(merge_short_legs(space, places))
    length = float(sum(math.hypot(*leg) for leg in np.diff(corners, axis=0)))
    evidence |= {"path_m": cost * space.cell_m, "length_m": length}
    return Answer(Route(tuple(path), corners, length), evidence)


@dataclass(frozen=True, slots=True)
class TurnRules:
    """Thresholds of the turns of a walk between named objects; metres and degrees.

    Attributes:
        side_deg: Turns above this are left or right.
        back_deg: Turns from this on are back.
        border_deg: Least distance of a turn to the two values above.
        min_leg_m: Shortest leg.
        max_turns: Most turns asked.
    """

    side_deg: float = 45.0
    back_deg: float = 135.0
    border_deg: float = 15.0
    min_leg_m: float = 0.5
    max_turns: int = 3


DEFAULT_TURNS = TurnRules()
"""What is asked unless told otherwise."""


def turn_word(angle_deg: float, rules: TurnRules = DEFAULT_TURNS) -> str | None:
    """left, right or back; None where the turn is too small or beside a border."""
    size = abs(angle_deg)
    if (
        size <= rules.side_deg
        or min(abs(size - rules.side_deg), abs(size - rules.back_deg)) < rules.border_deg
    ):
        return None
    if size >= rules.back_deg:
        return "back"
    return "left" if angle_deg > 0 else "right"


def route_turns(
    space: FreeSpace, stops: Sequence[SceneObject], *, rules: TurnRules = DEFAULT_TURNS
) -> Answer[tuple[str, ...]] | Rejection:
    """The turns of a walk that goes straight from object to object.

    One starts at the first object facing the second, goes forward until it, turns, and so on.
    A leg is the line between the free cells nearest two objects; it must lead over free cells,
    each of which is clear of obstacles by half of a 0.4 m corridor.

    Args:
        space: Floor grid.
        stops: Three to five distinct objects, each the only one of its category.
        rules: Thresholds.

    Returns:
        Answer with a word for every inner stop (left, right, back), or `no_route` (a leg is not
        clear), `distance_range` (a leg is too short), `direction_border` (a turn is too small,
        beside a border, or another one when measured between the objects' centroids), or
        `start_unsure` (from another place at the first object the first turn is another).
        Evidence: `angles_deg`, `centroid_angles_deg`, `legs_m`, `cells`.

    Raises:
        ValueError: Too few or too many stops, or one comes twice.
    """
    if not 3 <= len(stops) <= rules.max_turns + 2:
        raise ValueError(f"stops must be 3 to {rules.max_turns + 2} objects, got {len(stops)}")
    if len({item.object_id for item in stops}) != len(stops):
        raise ValueError("stops must be distinct objects")
    cells = stop_cells(space, stops, rules=rules)
    if isinstance(cells, Rejection):
        return cells
    places, evidence = [space.center(cell) for cell in cells.value], cells.evidence
    angles = turns_deg(places)
    evidence["angles_deg"] = angles
    evidence["centroid_angles_deg"] = turns_deg([item.centroid[:2] for item in stops])
    words = [turn_word(angle, rules) for angle in angles]
    loose = TurnRules(rules.side_deg, rules.back_deg, 0.0)
    seen = [turn_word(angle, loose) for angle in evidence["centroid_angles_deg"]]
    if None in words or words != seen:
        return Rejection(Reason.DIRECTION_BORDER, evidence)
    if {turn_word(angle, loose) for angle in _first_turns(space, stops[0], places)} != {words[0]}:
        return Rejection(Reason.START_UNSURE, evidence)
    return Answer(tuple(word for word in words if word is not None), evidence)


def _first_turns(space: FreeSpace, item: SceneObject, places: Sequence[Float64]) -> Iterator[float]:
    """The first turn from each place at the first object that has a clear line to the second."""
    away = space.distance_to(item)
    near = away <= float(away.min()) + space.rules.side_slack_m + 1e-9
    yield bearing_deg((0.0, 0.0), places[1] - places[0], places[2] - places[1])
    for place in space.free_xy[near]:
        if line_clear(space, space.free, place, places[1]):
            yield bearing_deg((0.0, 0.0), places[1] - place, places[2] - places[1])


def stop_cells(
    space: FreeSpace, stops: Sequence[SceneObject], *, rules: TurnRules = DEFAULT_TURNS
) -> Answer[tuple[Cell, ...]] | Rejection:
    """Where a walk that goes straight from object to object stops.

    Args:
        space: Floor grid.
        stops: Two or more objects.
        rules: Thresholds.

    Returns:
        Answer with the free cell nearest each object on the side where one comes from (at the
        first: where one goes to), or `no_route` or `distance_range` as `route_turns`.
        Evidence: `legs_m`, `cells`, `object_ids`.
    """
    cells: list[Cell] = []
    places: list[Float64] = []
    for item in stops:
        end = approach(space, item, places[-1] if places else stops[1].centroid)
        if isinstance(end, Rejection):
            return end
        cells.append(end.value)
        places.append(space.center(end.value))
    legs = [math.dist(a, b) for a, b in pairwise(places)]
    evidence: Evidence = {"cells": [list(c) for c in cells], "legs_m": legs}
    evidence["object_ids"] = [item.object_id for item in stops]
    if min(legs) < rules.min_leg_m:
        return Rejection(Reason.DISTANCE_RANGE, evidence)
    if not all(line_clear(space, space.free, a, b) for a, b in pairwise(places)):
        return Rejection(Reason.NO_ROUTE, evidence)
    return Answer(tuple(cells), evidence)


def turns_deg(places: Sequence[Float64]) -> list[float]:
    """Signed turn at every inner place of a polyline, counter-clockwise positive, degrees."""
    return [
        bearing_deg((0.0, 0.0), b - a, c - b)
        for a, b, c in zip(places, places[1:], places[2:], strict=False)
    ]
