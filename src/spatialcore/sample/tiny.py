# SPDX-License-Identifier: Apache-2.0
"""Plain rooms made by the thousand: at most six categories, each of one colour of its own."""

from __future__ import annotations

from collections.abc import Callable

from spatialcore.sample.dice import Dice
from spatialcore.sample.rooms import Room
from spatialcore.sample.solids import Item, Material

MOST_OF_ONE = 3


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
    """Three to six categories, one to three of each, on a plain floor."""
    w, d = dice.between(3.6, 4.6, "w"), dice.between(3.4, 4.2, "d")
    room = Room(room_id, "tiny", ((0.0, 0.0), (w, 0.0), (w, d), (0.0, d)), 2.4, dice)
    floor = dice.pick((0x8C8478, 0x9C9488, 0x7C7870), "floor")
    wall = dice.pick((0xD8D4CC, 0xCCD0D4, 0xE0DCD4), "wall")
    room.build_shell(
        Material("plain", floor, floor),
        [Material("plain", wall, wall)],
        Material("plain", 0xECECEC, 0xECECEC),
    )
    for kind in dice.order(len(CATEGORIES), "kinds")[: 3 + dice.below(4, "kind count")]:
        make, colour = CATEGORIES[kind]
        look = Material("plain", colour, colour)
        for k in range(1 + dice.below(MOST_OF_ONE, "count", kind)):
            room.free_spot(make(look), f"spot/{kind}/{k}", dice.between(0.0, 6.283, "yaw", kind, k))
    return room
