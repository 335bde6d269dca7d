# SPDX-License-Identifier: Apache-2.0
"""Sparse rooms made by the thousand: at most six categories, each with a hue of its own.

What a word says about a thing is its hue alone: sizes, shades, floors and walls vary from instance
to instance, so that no name tells which thing is nearer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from spatialcore.sample.dice import Dice
from spatialcore.sample.rooms import Room
from spatialcore.sample.solids import Item, Material

MOST_OF_ONE = 3
SIZES = (0.75, 1.35)
"""A side of an instance, as a share of its category's."""
SHADES = (0.8, 1.0)
"""Brightness of an instance, as a share of its category's."""
FLOORS = (("tiles", 0.45), ("planks", 0.16), ("rug", 0.3), ("wood", 0.3), ("speckle", 0.2))
WALLS = (("brick", 0.3), ("stripes", 0.25), ("speckle", 0.25), ("panels", 0.5), ("plain", 0.3))


def _chair(m: Material) -> Item:
    item = Item("chair", (0.46, 0.46, 0.9))
    item.box((0, 0, 0.44), (0.44, 0.44, 0.06), m)
    item.box((0, 0.2, 0.68), (0.44, 0.05, 0.44), m)
    for x in (-0.19, 0.19):
        for y in (-0.19, 0.19):
            item.box((x, y, 0.21), (0.05, 0.05, 0.42), m)
    return item


def _table(m: Material) -> Item:
    item = Item("table", (1.0, 0.7, 0.74))
    item.box((0, 0, 0.71), (1.0, 0.7, 0.06), m)
    for x in (-0.44, 0.44):
        for y in (-0.29, 0.29):
            item.box((x, y, 0.34), (0.07, 0.07, 0.68), m)
    return item


def _box(m: Material) -> Item:
    item = Item("box", (0.42, 0.42, 0.42))
    item.box((0, 0, 0.21), (0.42, 0.42, 0.42), m)
    return item


def _plant(m: Material) -> Item:
    item = Item("plant", (0.44, 0.44, 1.0))
    item.cylinder((0, 0, 0.16), 0.14, 0.32, m)
    item.ellipsoid((0, 0, 0.66), (0.44, 0.44, 0.7), m)
    return item


def _lamp(m: Material) -> Item:
    item = Item("lamp", (0.36, 0.36, 1.35))
    item.cylinder((0, 0, 0.02), 0.15, 0.04, m)
    item.cylinder((0, 0, 0.6), 0.025, 1.2, m)
    item.cylinder((0, 0, 1.2), 0.18, 0.3, m)
    return item


def _couch(m: Material) -> Item:
    item = Item("couch", (1.3, 0.75, 0.75))
    item.box((0, -0.05, 0.21), (1.1, 0.65, 0.42), m)
    item.box((0, 0.3, 0.375), (1.3, 0.15, 0.75), m)
    for x in (-0.6, 0.6):
        item.box((x, -0.05, 0.28), (0.1, 0.65, 0.56), m)
    return item


CATEGORIES: tuple[tuple[Callable[[Material], Item], int], ...] = (
    (_chair, 0xD02020),
    (_table, 0x2850D8),
    (_box, 0xF0D020),
    (_plant, 0x20A038),
    (_lamp, 0xA030C0),
    (_couch, 0xF08020),
)


def tiny_room(room_id: str, dice: Dice) -> Room:
    """Three to six categories, one to three of each, between patterned walls."""
    w, d = dice.between(3.4, 5.0, "w"), dice.between(3.2, 4.6, "d")
    height = dice.between(2.3, 2.8, "height")
    room = Room(room_id, "tiny", ((0.0, 0.0), (w, 0.0), (w, d), (0.0, d)), height, dice)
    floor = dice.pick((0x8C8478, 0x9C9488, 0x7C7870, 0xA49A8C, 0x6C6864), "floor")
    wall = dice.pick((0xD8D4CC, 0xCCD0D4, 0xE0DCD4, 0xC4C4BC, 0xB8BCC4), "wall")
    room.build_shell(
        _surface(FLOORS, floor, dice, "floor"),
        [_surface(WALLS, wall, dice, "wall")],
        Material("plain", 0xECECEC, 0xECECEC),
    )
    for kind in dice.order(len(CATEGORIES), "kinds")[: 3 + dice.below(4, "kind count")]:
        for k in range(1 + dice.below(MOST_OF_ONE, "count", kind)):
            item = _instance(kind, k, dice)
            room.free_spot(item, f"spot/{kind}/{k}", dice.between(0.0, 6.283, "yaw", kind, k))
    return room


def _surface(looks: Sequence[tuple[str, float]], colour: int, dice: Dice, slot: str) -> Material:
    texture, scale = dice.pick(looks, f"{slot}/texture")
    scale *= dice.between(0.7, 1.4, f"{slot}/scale")
    return Material(texture, colour, scale=scale, seed=dice.below(1 << 16, f"{slot}/seed"))


def _instance(kind: int, number: int, dice: Dice) -> Item:
    """The `number`-th thing of a category, in a size and a shade of its own."""
    make, colour = CATEGORIES[kind]
    shade = dice.between(*SHADES, "shade", kind, number)
    channels = [round(shade * (colour >> shift & 255)) for shift in (16, 8, 0)]
    shaded = channels[0] << 16 | channels[1] << 8 | channels[2]
    item = make(Material("plain", shaded, shaded))
    low, high = item.extent()
    sides = [
        float(side) * dice.between(*SIZES, "side", kind, number, axis)
        for axis, side in enumerate(high - low)
    ]
    return item.resized(*sides)
