# SPDX-License-Identifier: Apache-2.0
"""What a geometric question yields: an answer with the numbers behind it, or why it is not asked.

Every function of the layout, relation and route modules returns one of the two. Geometry that a
question cannot stand on (an angle beside a sector border, a room with holes) is a `Rejection`,
never an exception; exceptions are left to a caller's mistake such as a wrong shape.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Generic, TypeVar

T_co = TypeVar("T_co", covariant=True)

Evidence = dict[str, Any]
"""Names to numbers, words or lists of them; SI units; JSON can hold it."""


class Reason(StrEnum):
    """Why a question about layout, relations or routes is not asked."""

    POSE_INVALID = "pose_invalid"
    NO_VISIBLE_POINTS = "no_visible_points"
    CATEGORY_NOT_UNIQUE = "category_not_unique"
    CATEGORY_NOT_SEEN = "category_not_seen"
    NAME_AMBIGUOUS = "name_ambiguous"
    COUNT_UNSURE = "count_unsure"
    COUNT_RANGE = "count_range"
    DISTANCE_RANGE = "distance_range"
    DISTANCE_GAP = "distance_gap"
    DIRECTION_BORDER = "direction_border"
    SECTOR_SPLIT = "sector_split"
    BACK_SECTOR = "back_sector"
    HIDDEN_PART = "hidden_part"
    ENDS_UNSEEN = "ends_unseen"
    DEAD_ZONE = "dead_zone"
    STEEP_VIEW = "steep_view"
    BORDER = "border"
    OFF_FLOOR = "off_floor"
    SIZE_KNOWN = "size_known"
    SIZE_DISAGREES = "size_disagrees"
    EXTENT_UNSURE = "extent_unsure"
    OBJECT_LARGE = "object_large"
    OBJECT_SMALL = "object_small"
    OBJECT_PARTIAL = "object_partial"
    ROOM_SMALL = "room_small"
    ROOM_OPEN = "room_open"
    ROOM_UNSTABLE = "room_unstable"
    ROOM_PARTLY_SEEN = "room_partly_seen"
    ORDER_AMBIGUOUS = "order_ambiguous"
    NO_ROUTE = "no_route"
    NO_START = "no_start"
    START_UNSURE = "start_unsure"
    TO_AND_FRO = "to_and_fro"
    NO_LANDMARK = "no_landmark"
    NO_OVERLAP = "no_overlap"
    VIEW_SHARED = "view_shared"
    MARKS_CLOSE = "marks_close"
    TIME_UNKNOWN = "time_unknown"
    POSITION_FAR = "position_far"
    DISTRACTOR_SHORT = "distractor_short"
    BOX_SMALL = "box_small"
    BOX_AMBIGUOUS = "box_ambiguous"
    MASK_SMALL = "mask_small"
    MASK_THIN = "mask_thin"
    ROOM_SHAPE = "room_shape"
    WALL_UNSURE = "wall_unsure"
    PLACES_CLOSE = "places_close"


@dataclass(frozen=True, slots=True)
class Answer(Generic[T_co]):
    """A well-defined answer.

    Attributes:
        value: The answer, unrounded, in SI units where it is a number.
        evidence: The numbers it came from.
    """

    value: T_co
    evidence: Evidence = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rejection:
    """A question that has no single right answer, or none that the frames shown can give.

    Attributes:
        reason: One word of the closed list, counted by plans and statistics.
        evidence: The numbers that fell short.
    """

    reason: Reason
    evidence: Evidence = field(default_factory=dict)
