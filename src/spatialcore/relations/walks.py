# SPDX-License-Identifier: Apache-2.0
"""Turn-by-turn instructions of a route, as numbers, and a simulator that walks them.

A step is a turn, a distance and a landmark. Angles are whole degrees and distances tenths of a
metre; each step is aimed from where the rounded steps before it lead, so the roundings do not
add up and a walk ends within one step's rounding of its goal.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from spatialcore.relations.directions import bearing_deg
from spatialcore.relations.free_space import FreeSpace, line_clear, sees
from spatialcore.relations.routes import Route
from spatialcore.relations.scene_object import SceneObject
from spatialcore.relations.solids import point_to_polygon
from spatialcore.relations.verdict import Answer, Evidence, Reason, Rejection

TURNS = ("straight", "slight-left", "slight-right", "left", "right", "around")
"""Every turn word of an instruction."""

NOMINAL_DEG = {
    "straight": 0.0,
    "slight-left": 32.5,
    "slight-right": -32.5,
    "left": 90.0,
    "right": -90.0,
    "around": 180.0,
}
"""What a word alone means to the simulator: the middle of its sector."""


@dataclass(frozen=True, slots=True)
class WalkRules:
    """Thresholds of instructions; metres and degrees.

    Attributes:
        straight_deg, slight_deg, around_deg: Turns below the first are straight, below the
            second slight, from the third on around; left or right between.
        border_deg: Least distance of a turn to any of the three.
        min_leg_m: Shortest leg.
        min_walk_m: Shortest walk.
        landmark_m: A landmark lies within this distance of a leg's end.
        min_facing_m: Least distance of the object that one faces at the start.
        max_steps: Most steps.
        goal_m: A walk arrives when it ends within this distance of the goal.
        start_gap_m: Least and greatest gap between the object that one starts at and oneself.
        start_slack_m: One stands where one was told to within this distance.
        roomy_m: A walk keeps so far from where a slip would leave the passable floor.
    """

    straight_deg: float = 20.0
    slight_deg: float = 45.0
    around_deg: float = 135.0
    border_deg: float = 5.0
    min_leg_m: float = 0.3
    min_walk_m: float = 1.0
    landmark_m: float = 1.5
    min_facing_m: float = 0.5
    max_steps: int = 8
    goal_m: float = 0.5
    start_gap_m: tuple[float, float] = (0.3, 2.0)
    start_slack_m: float = 0.15
    roomy_m: float = 0.2


DEFAULT_RULES = WalkRules()
"""What is asked unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Step:
    """One leg of a walk.

    Attributes:
        turn: One of TURNS.
        distance_m: Length of the leg, tenths of a metre.
        landmark: Category of a unique object near the leg's end, or None.
        angle_deg: The turn in whole degrees, left positive; None means the word's nominal one.
    """

    turn: str
    distance_m: float
    landmark: str | None = None
    angle_deg: int | None = None


@dataclass(frozen=True, slots=True)
class Instructions:
    """How to walk a route.

    Attributes:
        facing: Category of the unique object that one faces at the start.
        steps: The legs.
        target_side: Where the target lies at the end: ahead, left, right or behind.
    """

    facing: str
    steps: tuple[Step, ...]
    target_side: str


@dataclass(frozen=True, slots=True)
class Walk:
    """Where instructions lead.

    Attributes:
        places: (x, y) after every step, the start first.
        headings_deg: Heading after every step, counter-clockwise from x, the start first.
        legs_clear: Whether each leg stays on passable floor.
    """

    places: tuple[tuple[float, float], ...]
    headings_deg: tuple[float, ...]
    legs_clear: tuple[bool, ...]

    def arrives(self, goal_xy: ArrayLike, *, rules: WalkRules = DEFAULT_RULES) -> bool:
        """Whether the walk ends near the goal and every leg is clear."""
        goal: Any = goal_xy
        x, y = float(goal[0]), float(goal[1])
        near = math.dist(self.places[-1], (x, y)) <= rules.goal_m
        return near and all(self.legs_clear)


def step_turn(angle_deg: float, rules: WalkRules = DEFAULT_RULES) -> str:
    """The word for a turn, left positive."""
    size = abs(angle_deg)
    if size < rules.straight_deg:
        return "straight"
    if size >= rules.around_deg:
        return "around"
    side = "left" if angle_deg > 0 else "right"
    return f"slight-{side}" if size < rules.slight_deg else side


def walk(space: FreeSpace, start_xy: ArrayLike, heading_deg: float, steps: Sequence[Step]) -> Walk:
    """Follow steps from a place and heading.

    Args:
        space: Floor grid.
        start_xy: (2,) metres.
        heading_deg: Initial heading, counter-clockwise from x.
        steps: What to do.

    Returns:
        Walk.

    Raises:
        ValueError: A step's turn word is unknown.
    """
    start: Any = start_xy  # plain floats: this runs for every place where a walk may start
    x, y = float(start[0]), float(start[1])
    places, headings, clear = [(x, y)], [heading_deg], []
    for step in steps:
        if step.turn not in NOMINAL_DEG:
            raise ValueError(f"turn must be one of {TURNS}, got {step.turn!r}")
        angle = NOMINAL_DEG[step.turn] if step.angle_deg is None else step.angle_deg
        heading = _wrapped(headings[-1] + angle)
        x, y = _ahead(places[-1], heading, step.distance_m)
        clear.append(line_clear(space, space.passable, places[-1], (x, y)))
        places.append((x, y))
        headings.append(heading)
    return Walk(tuple(places), tuple(headings), tuple(clear))


def _wrapped(angle_deg: float) -> float:
    return 180.0 - (180.0 - angle_deg) % 360.0


def _ahead(place: tuple[float, float], heading_deg: float, distance: float) -> tuple[float, float]:
    angle = math.radians(heading_deg)
    return place[0] + distance * math.cos(angle), place[1] + distance * math.sin(angle)


def heading_to(start_xy: ArrayLike, end_xy: ArrayLike) -> float:
    """Heading from one place to another, counter-clockwise from x, degrees in (-180, 180]."""
    start: Any = start_xy
    x, y = float(start[0]), float(start[1])
    return bearing_deg((x, y), (x + 1.0, y), end_xy)


def unique_objects(objects: Sequence[SceneObject]) -> list[SceneObject]:
    """Objects that are the only one of their category, by id."""
    count = Counter(item.category for item in objects)
    found = [item for item in objects if count[item.category] == 1]
    return sorted(found, key=lambda item: item.object_id)


def facing_objects(
    space: FreeSpace,
    start_xy: ArrayLike,
    objects: Sequence[SceneObject],
    *,
    rules: WalkRules = DEFAULT_RULES,
) -> list[SceneObject]:
    """Unique objects that one can face at a place: in clear sight, nearest first."""
    x, y = (float(v) for v in np.asarray(start_xy, dtype=np.float64)[:2])
    near = [
        (math.dist((x, y), item.centroid[:2].tolist()), item.object_id, item)
        for item in unique_objects(objects)
    ]
    return [
        item
        for distance, _, item in sorted(near, key=lambda row: row[:2])
        if distance >= rules.min_facing_m and sees(space, (x, y), item)
    ]


Landmark = tuple[str, float]
"""Category of a unique object, and its distance in metres."""


def landmarks(
    route: Route, objects: Sequence[SceneObject], *, rules: WalkRules = DEFAULT_RULES
) -> list[Landmark | None]:
    """The unique object nearest each corner of a route but the first, None where none is near."""
    found: list[list[tuple[float, int, str]]] = [[] for _ in route.corners[1:]]
    for item in unique_objects(objects):
        away = point_to_polygon(item.box.footprint, route.corners[1:])
        for near, distance in zip(found, away.tolist(), strict=True):
            near.append((distance, item.object_id, item.category))
    nearest = [min(near, default=(math.inf, -1, "")) for near in found]
    return [(name, d) if d <= rules.landmark_m else None for d, _, name in nearest]


def instructions(
    space: FreeSpace,
    route: Route,
    objects: Sequence[SceneObject],
    facing: SceneObject,
    target: SceneObject,
    *,
    rules: WalkRules = DEFAULT_RULES,
) -> Answer[Instructions] | Rejection:
    """Turn-by-turn instructions of a route.

    Args:
        space: Floor grid.
        route: The route to describe.
        objects: Those of the scene: the unique ones among them are landmarks.
        facing: What one faces at the start, one of `facing_objects`.
        target: The object at the end.
        rules: Thresholds.

    Returns:
        Answer whose steps, when walked, arrive; or `direction_border` (a turn or the target's
        side is beside a border), `distance_range` (a leg or the walk is too short, or there are too
        many legs), or
        `no_route` (the rounded steps leave the passable floor). Evidence: `turns_deg`,
        `heading_deg` at the start, `end_error_m`, `landmark_m`, `side_deg`.
    """
    corners = [(float(x), float(y)) for x, y in route.corners]
    true_legs = [math.dist(a, b) for a, b in pairwise(corners)]
    heading = heading_to(corners[0], facing.centroid)
    evidence: Evidence = {"heading_deg": heading, "legs_m": true_legs}
    if (
        min(true_legs) < rules.min_leg_m
        or sum(true_legs) < rules.min_walk_m
        or len(true_legs) > rules.max_steps
    ):
        return Rejection(Reason.DISTANCE_RANGE, evidence)
    bearings = [heading_to(a, b) for a, b in pairwise(corners)]
    before = [heading, *bearings[:-1]]
    turns = [_wrapped(b - a) for a, b in zip(before, bearings, strict=True)]
    evidence["turns_deg"] = turns
    borders = (rules.straight_deg, rules.slight_deg, rules.around_deg)
    side = _wrapped(heading_to(corners[-1], target.centroid) - bearings[-1])
    evidence["side_deg"] = side
    close = [abs(abs(t) - b) for t in turns for b in borders]
    close += [abs(abs(side) - b) for b in (rules.slight_deg, rules.around_deg)]
    if min(close) < rules.border_deg:
        return Rejection(Reason.DIRECTION_BORDER, evidence)
    steps = _rounded_steps(corners, heading, turns, rules)
    if steps is None:
        return Rejection(Reason.DIRECTION_BORDER, evidence)
    marks = landmarks(route, objects, rules=rules)
    evidence["landmark_m"] = [None if mark is None else mark[1] for mark in marks]
    named = tuple(
        Step(s.turn, s.distance_m, None if m is None else m[0], s.angle_deg)
        for s, m in zip(steps, marks, strict=True)
    )
    walked = walk(space, corners[0], heading, named)
    evidence["end_error_m"] = math.dist(walked.places[-1], corners[-1])
    if not walked.arrives(corners[-1], rules=rules):
        return Rejection(Reason.NO_ROUTE, evidence)
    return Answer(Instructions(facing.category, named, _side_word(side, rules)), evidence)


def _rounded_steps(
    corners: Sequence[tuple[float, float]],
    heading: float,
    turns: Sequence[float],
    rules: WalkRules,
) -> list[Step] | None:
    """Steps aimed from where the rounded ones before lead; None if a word changes by it."""
    steps: list[Step] = []
    place = corners[0]
    for corner, turn in zip(corners[1:], turns, strict=True):
        angle = round(_wrapped(heading_to(place, corner) - heading))
        word = step_turn(angle, rules)
        if word != step_turn(turn, rules):
            return None
        distance = round(math.dist(place, corner), 1)
        heading = _wrapped(heading + angle)
        place = _ahead(place, heading, distance)
        steps.append(Step(word, distance, angle_deg=angle))
    return steps


def _side_word(angle_deg: float, rules: WalkRules) -> str:
    if abs(angle_deg) < rules.slight_deg:
        return "ahead"
    if abs(angle_deg) >= rules.around_deg:
        return "behind"
    return "left" if angle_deg > 0 else "right"
