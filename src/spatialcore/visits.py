# SPDX-License-Identifier: Apache-2.0
"""Two visits of a room as one scene: the numbers of their frames and objects.

Such a scene holds the frames and the labelled points of both visits in the world of the first one.
What a frame sees of the points is what its depth map shows: of a thing that was carried away the
later frames see nothing where it stood. Frames and objects of the later visit are numbered from
`FRAMES` and `OBJECTS` on, so that a number tells its visit and what it is called in its own scan.

Example:
    >>> visit_of_frame(12), visit_of_frame(FRAMES + 12), object_in(7, 1) == OBJECTS + 7
    (0, 1, True)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

FRAMES = 1 << 20
"""Frames of a visit are below it."""
OBJECTS = 1 << 16
"""Ids of a visit's objects are below it; one id names one thing in both visits."""


def visit_of_frame(frame: int) -> int:
    """0 for a frame of the first visit, 1 for one of the later."""
    return frame // FRAMES


def visit_of_object(object_id: int) -> int:
    """0 for an object of the first visit, 1 for one of the later."""
    return object_id // OBJECTS


def object_in(thing: int, visit: int) -> int:
    """The id of a thing in a visit."""
    return thing + visit * OBJECTS


class _Numbered(Protocol):
    @property
    def object_id(self) -> int:
        """Its id."""


Item = TypeVar("Item", bound=_Numbered)


def of_visits(objects: Sequence[Item], frames: Sequence[int]) -> tuple[Item, ...]:
    """The objects of the visits that frames are of."""
    visits = {visit_of_frame(frame) for frame in frames}
    return tuple(item for item in objects if visit_of_object(item.object_id) in visits)


def thing_of(object_id: int) -> int:
    """The thing that an object of either visit is."""
    return object_id % OBJECTS
