# SPDX-License-Identifier: Apache-2.0
"""Which things a later visit of a sample room finds elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from spatialcore.io.categories import confusable
from spatialcore.sample import SampleConfig
from spatialcore.sample.build import make_room
from spatialcore.sample.presets import resolved
from spatialcore.sample.revisit import LEAST_SHIFT_M, later_room, looked_at
from spatialcore.sample.rooms import Room


@pytest.fixture(scope="module")
def rooms() -> list[Room]:
    return [make_room(resolved(SampleConfig(seed=7)), number) for number in range(4)]


def test_one_thing_and_three_move_in_turn(rooms: list[Room]) -> None:
    for number, room in enumerate(rooms):
        _, moved = later_room(room, room.dice)
        assert 1 <= len(moved) <= (1, 3)[number % 2]
        for old, new in moved.values():
            assert np.hypot(new[0] - old[0], new[1] - old[1]) >= LEAST_SHIFT_M


def test_what_moves_alone_is_taken_for_nothing_else(rooms: list[Room]) -> None:
    for room in rooms[::2]:
        ((thing, _),) = later_room(room, room.dice)[1].items()
        names = [one.raw_category for one in room.objects]
        assert names.count(names[thing]) == 1
        assert not any(confusable(names[thing], other) for other in names)


def test_the_walk_turns_to_as_many_things_that_stay(rooms: list[Room]) -> None:
    """Otherwise what is in the middle of most images would be what moved."""
    for room in rooms:
        moved = later_room(room, room.dice)[1]
        chosen = looked_at(room, moved, room.dice)
        assert len(chosen) == 2 * len(moved) == len(set(chosen))


def test_all_else_lies_where_it_was(rooms: list[Room]) -> None:
    for room in rooms:
        later, moved = later_room(room, room.dice)
        for before, after in zip(room.objects, later.objects, strict=True):
            at = before.object_id
            while at not in moved and at >= 0:
                at = room.objects[at].parent
            assert (before is after) == (at < 0)
