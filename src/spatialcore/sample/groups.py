# SPDX-License-Identifier: Apache-2.0
"""Furniture that belongs together: a desk and its chair, a table among chairs, counters."""

from __future__ import annotations

import math
from collections.abc import Sequence

from spatialcore.sample import furniture as large
from spatialcore.sample import objects as small
from spatialcore.sample.catalogue import KINDS, of_place
from spatialcore.sample.dice import Dice
from spatialcore.sample.rooms import Room
from spatialcore.sample.solids import Item, Material

TALLEST_LOAD = 0.9  # metres of what stands on something
AGAIN = 0.4  # share of things that are of the kind of the one beside them
HIGHEST_TOP = 1.5  # metres; over it nothing is put
LOW_OR_HIGH = tuple(of_place("f", tuple(of_place("t", tuple(KINDS)))))  # now here, now there
SMALL = (*of_place("t", tuple(KINDS)), *LOW_OR_HIGH, *LOW_OR_HIGH)


def drawn(room: Room, name: str, slot: str) -> Item:
    """An instance of a kind with the room's dice."""
    return KINDS[name].drawn(room.dice, slot)


def load(dice: Dice, item: Item, slot: str, names: Sequence[str], most: int) -> None:
    """Put up to `most` drawn things side by side on a top, each with room of its own."""
    if item.top is None or item.top > HIGHEST_TOP:
        return
    left = item.size[0] - 0.06
    row: list[Item] = []
    name = ""
    for k in range(dice.below(most + 1, slot + "/count")):
        if not name or not dice.chance(AGAIN, slot + "/again", k):
            name = dice.pick(names, slot + "/kind", k)
        thing = KINDS[name].drawn(dice, f"{slot}/{k}")
        wide = max(thing.size[0], 0.9 * thing.size[1]) + 0.05
        if wide < left and thing.size[1] < item.size[1] - 0.04 and thing.size[2] < TALLEST_LOAD:
            row.append(thing)
            left -= wide
    x = 0.03 - 0.5 * item.size[0]
    for k, thing in enumerate(row):
        x += left * dice.between(0.0, 1.0 / len(row), slot + "/gap", k)
        wide = max(thing.size[0], 0.9 * thing.size[1]) + 0.05
        free = 0.5 * (item.size[1] - thing.size[1]) - 0.02
        y = dice.between(-free, free, slot + "/y", k)
        item.carry(thing, x + 0.5 * wide, y, dice.between(-0.12, 0.12, slot + "/yaw", k))
        x += wide


def chair_at(room: Room, chair: Item, at: int, side: float, shift: float, sway: float) -> None:
    """Put a chair before the side of footprint `at` that looks along `side`, facing it."""
    x, y, w, d, yaw = room.footprints[at]
    toward = yaw + side
    half = 0.5 * (d if abs(math.cos(side)) > 0.7 else w)
    reach = half + 0.5 * chair.size[1] - 0.12
    px = x + reach * math.sin(toward) + shift * math.cos(toward)
    py = y - reach * math.cos(toward) + shift * math.sin(toward)
    room.stand(chair, px, py, toward + math.pi + sway, ignore=[room.footprints[at]])


def desk_set(room: Room, slot: str) -> None:
    """A desk at a wall with a screen or a laptop, and a chair before it."""
    dice = room.dice
    desk = drawn(room, "desk", slot)
    names = ("laptop",) if dice.chance(0.35, slot + "/laptop") else ("monitor", "keyboard")
    width, depth = desk.size[0], desk.size[1]
    for name, y in zip(names, (0.22 * depth, -0.24 * depth), strict=False):
        thing = drawn(room, name, f"{slot}/{name}")
        if thing.size[0] < 0.6 * width:
            x = dice.between(-0.06, 0.06, slot + "/at")
            desk.carry(thing, x, y, dice.between(-0.15, 0.15, slot + "/turn"))
    for side in (-1, 1):
        thing = drawn(room, dice.pick(SMALL, f"{slot}/extra", side + 1), f"{slot}/extra/{side}")
        x = 0.5 * width - 0.5 * max(thing.size[:2]) - 0.03
        if x - 0.5 * thing.size[0] > 0.3 * width and max(thing.size[:2]) < depth - 0.06:
            desk.carry(thing, side * x, dice.between(-0.02, 0.02, slot + "/extra y", side + 1))
    if room.against_wall(desk, slot) is None:
        return
    chair = drawn(room, dice.pick(("office chair", "chair", "stool"), slot + "/seat"), slot + "/c")
    chair_at(room, chair, len(room.footprints) - 1, 0.0, 0.0, dice.between(-0.6, 0.6, slot + "/s"))


def table_set(room: Room, slot: str) -> None:
    """A table somewhere on the floor with one kind of seat around it."""
    dice = room.dice
    table = drawn(room, "table", slot)
    load(dice, table, slot + "/top", SMALL, 4)
    if not room.free_spot(table, slot, dice.between(0.0, math.pi, slot + "/yaw")):
        return
    at = len(room.footprints) - 1
    name = dice.pick(("chair", "chair", "chair", "stool"), slot + "/seat")
    seat = KINDS[name].drawn(dice, slot + "/chair")  # chairs of one table are alike
    for k in dice.order(4, slot + "/sides")[: 1 + dice.below(4, slot + "/chairs")]:
        sway = dice.between(-0.35, 0.35, slot + "/sway", k)
        shift = dice.between(-0.15, 0.15, slot + "/shift", k)
        chair_at(room, seat, at, 0.5 * math.pi * k, shift, sway)


def bed_set(room: Room, slot: str) -> None:
    """A bed with pillows, its head at a wall, perhaps with night stands."""
    dice = room.dice
    bed = drawn(room, "bed", slot)
    width, depth, _ = bed.size
    top = bed.top or 0.5
    count = 1 + dice.below(3, slot + "/pillows")
    for k in range(count):
        wide = min(dice.between(0.36, 0.62, slot + "/pillow", k), width / count - 0.04)
        pillow = small.pillow(dice.pick((0xF2EFE8, 0x8FA6B8, 0xB87A6A), slot + "/tint", k))
        x = (k - 0.5 * (count - 1)) * width / count
        high = dice.between(0.1, 0.2, slot + "/soft", k)
        bed.carry(pillow.resized(wide, 0.7 * wide, high), x, 0.32 * depth, z=0.9 * top)
    place = room.against_wall(bed, slot)
    if place is None:
        return
    wall = room.walls[place[0]]
    for side in (-1, 1):
        if dice.chance(0.7, slot + "/stand", side + 1):
            stand = drawn(room, "nightstand", f"{slot}/stand/{side}")
            load(dice, stand, f"{slot}/stand top/{side}", ("lamp", "book", "cup", "clock"), 2)
            offset = place[1] + side * (0.5 * width + 0.5 * stand.size[0] + 0.06)
            room.stand(stand, *wall.at(offset, 0.5 * stand.size[1] + 0.04), wall.yaw)


def sofa_set(room: Room, slot: str) -> None:
    """A couch at a wall, a low table before it, an armchair, a television on its stand."""
    dice = room.dice
    couch = drawn(room, "couch", slot)
    for side in (-1, 1):
        if dice.chance(0.6, slot + "/pillow", side + 1):
            tint = dice.pick((0xB23A34, 0x2F6DA8, 0xE0A72E, 0xE8E2D6), slot + "/tint", side + 1)
            wide = dice.between(0.3, 0.55, slot + "/wide", side + 1)
            pillow = small.pillow(tint).resized(wide, 0.75 * wide, 0.3 * wide)
            couch.carry(pillow, side * 0.28 * couch.size[0], 0.0, 0.4 * side)
    place = room.against_wall(couch, slot)
    if place is not None:
        wall, low = room.walls[place[0]], drawn(room, "coffee table", slot + "/low")
        load(dice, low, slot + "/low top", SMALL, 2)
        out = couch.size[1] + dice.between(0.3, 0.6, slot + "/out") + 0.5 * low.size[1]
        room.stand(low, *wall.at(place[1], out), wall.yaw)
    stand = drawn(room, "tv stand", slot + "/stand")
    tv = drawn(room, "tv", slot + "/tv")
    if tv.size[0] < stand.size[0] - 0.05:
        stand.carry(tv, 0.0, 0.0)
    room.against_wall(stand, slot + "/stand")
    armchair = drawn(room, "armchair", slot + "/arm")
    room.free_spot(armchair, slot + "/arm", dice.between(0.0, 6.28, slot + "/arm yaw"))


def kitchen_row(room: Room, slot: str) -> None:
    """Counters, a stove and a refrigerator along the longest walls, cabinets above."""
    dice = room.dice
    look = dice.pick(
        (
            Material("wood", 0xE2DED5, 0xD6D1C6),
            Material("wood", *large.OAK),
            Material("plain", 0x6F8A86),
        ),
        slot + "/front",
    )
    stone = Material("speckle", 0x4A4A4C, 0x8A8784)
    wall = max(range(len(room.walls)), key=lambda k: room.walls[k].length)
    height = dice.between(0.82, 1.0, slot + "/height")
    room.against_wall(drawn(room, "refrigerator", slot + "/cold"), slot + "/cold", [wall], near=0.0)
    for k in range(1 + dice.below(2, slot + "/counters")):
        width = dice.between(0.9, 1.5, slot + "/w", k)
        item = large.counter(width, look, stone).resized(width, 0.62, height)
        load(dice, item, f"{slot}/top/{k}", ("sink", "microwave", "pot", *SMALL), 4)
        room.against_wall(item, f"{slot}/counter/{k}", [wall], near=0.3 + 0.4 * k)
        if k == 0:
            room.against_wall(drawn(room, "stove", slot + "/hot"), slot + "/hot", [wall], near=0.5)
    wide = dice.between(1.0, 1.8, slot + "/upper")
    upper = Item("kitchen cabinets", (wide, 0.34, 0.65))
    for k in range(3):
        upper.box(
            ((k - 1) * wide / 3, -0.17, 0), (wide / 3 - 0.006, 0.34, 0.65), large.fronts(look, 1)
        )
    room.hang(upper, dice.between(1.75, 1.95, slot + "/high"), slot + "/upper", [wall])


def bath_set(room: Room, slot: str) -> None:
    """A bathtub, a toilet, a washing machine, and a basin on a cabinet."""
    dice = room.dice
    for name in ("bathtub", "toilet", "washing machine"):
        if dice.chance(0.85, f"{slot}/{name}/is"):
            room.against_wall(drawn(room, name, f"{slot}/{name}"), f"{slot}/{name}")
    base = drawn(room, "cabinet", slot + "/base")
    sink = drawn(room, "sink", slot + "/sink")
    if sink.size[0] < base.size[0] - 0.04 and sink.size[1] < base.size[1]:
        base.carry(sink, 0.0, 0.0)
    room.against_wall(base, slot + "/base")


def wall_things(room: Room, names: Sequence[str], count: int) -> None:
    """Hang drawn things at drawn heights; shelves carry small things."""
    dice = room.dice
    for k in range(count):
        slot = f"hung/{k}"
        thing = drawn(room, dice.pick(names, slot + "/kind") if k else "shelf", slot)
        lowest = 0.5 * thing.size[2] + 0.35
        z = dice.between(max(lowest, 0.85), min(2.05, room.height - lowest + 0.2), slot + "/z")
        over = thing.raw_category == "shelf"
        if over:
            # Its boards reach out from the wall, so what stands on it does as well.
            depth = thing.size[1]
            shelf_load = Item("", (thing.size[0], depth, 0.0), top=thing.top)
            load(dice, shelf_load, slot + "/top", SMALL, 3)
            for child, (x, y, high), yaw in shelf_load.children:
                thing.carry(child, x, y - 0.5 * depth, yaw, high)
            z = max(z, dice.between(1.2, 1.8, slot + "/over"))
        room.hang(thing, z, slot, over=over)
