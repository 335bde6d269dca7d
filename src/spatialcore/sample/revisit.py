# SPDX-License-Identifier: Apache-2.0
"""A later visit of a furnished room: a few things that stand on the floor are somewhere else."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatialcore.io.categories import confusable
from spatialcore.sample.dice import Dice
from spatialcore.sample.rooms import Rectangle, Room
from spatialcore.sample.solids import Placed, rotation, turn
from spatialcore.types import Float64

MOVED = (1, 3)  # things, of rooms in turn: with one, everything else of an image has stayed
LEAST_SHIFT_M = 0.7
LARGEST_M2 = 1.1  # of the floor, that a thing takes which somebody carries
SMALL_M2 = 0.06  # what takes less is hardly seen from across a room
FIXED = frozenset({"refrigerator", "stove", "oven", "washing machine", "toilet", "bathtub", "sink"})
BESIDE_M = 1.5  # from middle to middle, of a landmark beside a place
_GRID_M = 0.1


def most_moved(room_id: str) -> int:
    """How many things move in a room, where so many find another place.

    Example:
        >>> most_moved("scene0000_00"), most_moved("scene0003_00")
        (1, 3)
    """
    return MOVED[int(room_id[len("scene") :].partition("_")[0]) % len(MOVED)]


def looked_at(room: Room, moved: Collection[int], dice: Dice) -> tuple[int, ...]:
    """What the walks of both visits turn to: what moves, and as many things that do not."""
    rest = [k for k in room.standing if k >= 0 and k not in moved]
    order = dice.order(len(rest), "revisit/looked at")
    return (*moved, *(rest[n] for n in order[: len(moved)]))


def later_room(room: Room, dice: Dice) -> tuple[Room, dict[int, tuple[Rectangle, Rectangle]]]:
    """The room as it is at a later visit, and where what moved was and is now.

    What stands on a thing, or in it, goes with it.
    """
    later = copy.copy(room)
    later.objects = list(room.objects)
    later.footprints = list(room.footprints)
    later.standing = dict(room.standing)
    moved: dict[int, tuple[Rectangle, Rectangle]] = {}
    most = most_moved(room.id)
    for thing in _portable(room, dice, alone=most == 1):
        if len(moved) < most:
            place = _elsewhere(later, thing, dice)
            if place is not None:
                moved[thing] = later.standing[thing], place
                _move(later, thing, place)
    return later, moved


def _portable(room: Room, dice: Dice, *, alone: bool) -> list[int]:
    """What somebody may carry away, in a drawn order: first what no other thing is mistaken for.

    What is small comes after what is not, and what has no landmark beside it after what has one.

    Args:
        room: As it is at the first visit.
        dice: Draws of the room.
        alone: Whether one thing is to move: what carries nothing comes before what does.
    """
    light = [
        k for k, (_, _, w, d, _) in room.standing.items()
        if k >= 0 and w * d <= LARGEST_M2 and room.objects[k].raw_category not in FIXED
    ]  # fmt: skip
    marks = _landmarks(room)

    def later(thing: int) -> tuple[bool, bool, bool, bool]:
        x, y, w, d, _ = room.standing[thing]
        load = _with_load(room.objects, thing)
        near = _beside(np.array([[x, y]]), marks, load)
        return thing not in marks, w * d < SMALL_M2, alone and len(load) > 1, not near.any()

    return sorted((light[n] for n in dice.order(len(light), "revisit/things")), key=later)


def _landmarks(room: Room) -> dict[int, Float64]:
    """(2,) middles of the things that no other one of the room is mistaken for."""
    names = [one.raw_category for one in room.objects]
    found = {}
    for one in room.objects[2 + len(room.polygon) :]:
        name = one.raw_category
        if names.count(name) == 1 and not any(confusable(name, other) for other in names):
            ends = [end[:2] for solid in one.solids for end in solid.extent()]
            found[one.object_id] = 0.5 * (np.min(ends, axis=0) + np.max(ends, axis=0))
    return found


def _beside(spots: Float64, marks: Mapping[int, Float64], load: Collection[int]) -> NDArray[Any]:
    """(n,) bool: which of (n, 2) places have a landmark beside them that is not carried along."""
    near = np.zeros(len(spots), dtype=np.bool_)
    for k, middle in marks.items():
        if k not in load:
            near |= np.hypot(*(spots - middle).T) <= BESIDE_M
    return near


def _elsewhere(room: Room, thing: int, dice: Dice) -> Rectangle | None:
    """A drawn free place, well away from where the thing is; None where there is none."""
    x, y, w, d, yaw = old = room.standing[thing]
    lo, hi = room.bounds
    nx, ny = (int(n) for n in (hi - lo) / _GRID_M)
    turned = yaw + 0.5 * np.pi * dice.below(4, "revisit/turn", thing)
    cells = np.array(dice.order(nx * ny, "revisit/place", thing))
    spots = lo + _GRID_M * (np.stack([cells % nx, cells // nx], axis=1) + 0.5)
    beside = _beside(spots, _landmarks(room), _with_load(room.objects, thing))
    for at in spots[np.argsort(~beside, kind="stable")].tolist():
        place = (at[0], at[1], w, d, float(turned))
        if np.hypot(at[0] - x, at[1] - y) >= LEAST_SHIFT_M and room.fits(place, ignore=[old]):
            return place
    return None


def _move(room: Room, thing: int, place: Rectangle) -> None:
    x, y, _, _, yaw = old = room.standing[thing]
    by = place[4] - yaw
    R = rotation("z", by)
    t = np.array([place[0], place[1], 0.0]) - turn(R, np.array([x, y, 0.0]))
    for k in _with_load(room.objects, thing):
        one = room.objects[k]
        solids = tuple(solid.moved(R, t) for solid in one.solids)
        room.objects[k] = replace(one, solids=solids, yaw=one.yaw + by)
    room.footprints[room.footprints.index(old)] = place
    room.standing[thing] = place


def _with_load(objects: list[Placed], thing: int) -> list[int]:
    """A thing and all that stands on it or in it."""
    found = [thing]
    for at in found:
        found += [one.object_id for one in objects if one.parent == at]
    return found
