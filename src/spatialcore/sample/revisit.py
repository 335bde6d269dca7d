# SPDX-License-Identifier: Apache-2.0
"""A later visit of a furnished room: a few things that stand on the floor are somewhere else."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np

from spatialcore.sample.dice import Dice
from spatialcore.sample.rooms import Rectangle, Room
from spatialcore.sample.solids import Placed, rotation, turn

MOVED = 3  # things, where so many find another place
LEAST_SHIFT_M = 0.7
LARGEST_M2 = 1.1  # of the floor, that a thing takes which somebody carries
FIXED = frozenset({"refrigerator", "stove", "oven", "washing machine", "toilet", "bathtub", "sink"})
_GRID_M = 0.1


def later_room(room: Room, dice: Dice) -> tuple[Room, dict[int, tuple[Rectangle, Rectangle]]]:
    """The room as it is at a later visit, and where what moved was and is now.

    What stands on a thing, or in it, goes with it.
    """
    later = copy.copy(room)
    later.objects = list(room.objects)
    later.footprints = list(room.footprints)
    later.standing = dict(room.standing)
    moved: dict[int, tuple[Rectangle, Rectangle]] = {}
    light = [
        k for k, (_, _, w, d, _) in room.standing.items()
        if k >= 0 and w * d <= LARGEST_M2 and room.objects[k].raw_category not in FIXED
    ]  # fmt: skip
    for n in dice.order(len(light), "revisit/things"):
        if len(moved) < MOVED:
            thing = light[n]
            place = _elsewhere(later, thing, dice)
            if place is not None:
                moved[thing] = later.standing[thing], place
                _move(later, thing, place)
    return later, moved


def _elsewhere(room: Room, thing: int, dice: Dice) -> Rectangle | None:
    """A drawn free place, well away from where the thing is; None where there is none."""
    x, y, w, d, yaw = old = room.standing[thing]
    lo, hi = room.bounds
    nx, ny = (int(n) for n in (hi - lo) / _GRID_M)
    turned = yaw + 0.5 * np.pi * dice.below(4, "revisit/turn", thing)
    for cell in dice.order(nx * ny, "revisit/place", thing):
        at = lo + _GRID_M * (np.array([cell % nx, cell // nx]) + 0.5)
        place = (float(at[0]), float(at[1]), w, d, float(turned))
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
