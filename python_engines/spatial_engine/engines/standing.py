# SPDX-License-Identifier: Apache-2.0
"""Somebody stands at one object and faces another: which way a third one is.

Seen from above, from the middle of the box of each; degrees, to the left positive.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from spatial_engine.engines.view_set import ViewSet
from spatialcore.relations.verdict import Answer, Evidence, Reason, Rejection
from spatialcore.types import Float64

QUADRANTS = ("front-left", "front-right", "back-left", "back-right")
SIDES = ("ahead", "left", "behind", "right")
LEAST_FACED_M = 0.4  # from where one stands to what one faces: nobody faces what lies below
HIGHEST_STAND_M = 1.0  # nobody stands at a clock on the wall: it has to reach down to this
STRAY_CORNERS = 1  # of a box's eight that may lie in another sector than its middle


class Bearing(NamedTuple):
    """Where an object is for somebody who stands at one and faces another.

    Attributes:
        angle: Degrees to its middle.
        corners: Degrees to the corners of its box.
        spans: Metres on the floor: stand to face, stand to target, face to target.
    """

    angle: float
    corners: tuple[float, ...]
    spans: tuple[float, float, float]

    def evidence(self) -> Evidence:
        """The numbers, for a record."""
        return {"angle_deg": self.angle, "floor_distances_m": list(self.spans)}


def bearing_at(views: ViewSet, stand: int, face: int, target: int) -> Bearing:
    """Where the third of three objects is."""
    here, ahead, item = (views.object(k) for k in (stand, face, target))
    turn = views.measures.turn

    def span(a: Float64, b: Float64) -> float:
        return math.hypot(float(b[0]) - float(a[0]), float(b[1]) - float(a[1]))

    p, o, q = here.centroid, ahead.centroid, item.centroid
    return Bearing(
        turn(p, o, q),
        tuple(turn(p, o, corner) for corner in item.box.corners),
        (span(p, o), span(p, q), span(o, q)),
    )


def in_range(views: ViewSet, bearing: Bearing) -> bool:
    """Whether the three are far enough apart, and not too far."""
    rules = views.layout.rules
    return all(rules.min_stand_m <= span <= rules.max_stand_m for span in bearing.spans)


def stand_fault(views: ViewSet, stand: int, face: int) -> Reason | None:
    """Why one cannot stand at an object and face another, or None."""
    here, ahead = views.object(stand), views.object(face)
    if float(here.bounds[0][2]) > views.layout.floor_level + HIGHEST_STAND_M:
        return Reason.OFF_FLOOR
    if views.measures.nearest_on_floor(here.centroid, ahead.outline) < LEAST_FACED_M:
        return Reason.DISTANCE_RANGE
    return None


def quadrant(angle: float) -> str:
    """The quadrant of a bearing."""
    part = "front" if abs(angle) < 90.0 else "back"
    return f"{part}-{'left' if angle > 0 else 'right'}"


def side(angle: float) -> str:
    """The quarter of a bearing: ahead, left, behind or right, each 45 degrees to either side."""
    if abs(angle) < 45.0:
        return "ahead"
    if abs(angle) > 135.0:
        return "behind"
    return "left" if angle > 0 else "right"


def from_border(angle: float, borders: Sequence[float]) -> float:
    """Degrees from a bearing to the nearest of several."""
    return min(abs((angle - border + 180.0) % 360.0 - 180.0) for border in borders)


def quadrant_of(views: ViewSet, stand: int, face: int, target: int) -> Answer[str] | Rejection:
    """In which quadrant an object clearly lies, or why none is told."""
    fault = stand_fault(views, stand, face)
    if fault is not None:
        return Rejection(fault)
    found = bearing_at(views, stand, face, target)
    evidence = found.evidence()
    if not in_range(views, found):
        return Rejection(Reason.DISTANCE_RANGE, evidence)
    border = views.recipe.guards.direction_border_deg
    if from_border(found.angle, (0.0, 90.0, 180.0, -90.0)) < border:
        return Rejection(Reason.DIRECTION_BORDER, evidence)
    word = quadrant(found.angle)
    if sum(quadrant(corner) != word for corner in found.corners) > STRAY_CORNERS:
        return Rejection(Reason.SECTOR_SPLIT, evidence)
    return Answer(word, evidence)
