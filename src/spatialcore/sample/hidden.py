# SPDX-License-Identifier: Apache-2.0
"""Things that nobody sees, hidden on purpose: no question may name or count them.

The mesh holds them, as an annotator may leave what is known to lie somewhere. Each place is closed
to every look from standing height: a taped box, a cupboard behind a door, the drawer under a table
top, a case of glass that gives the depth sensor no reading.
"""

from __future__ import annotations

from spatialcore.sample import furniture as large
from spatialcore.sample import objects as small
from spatialcore.sample.catalogue import KINDS
from spatialcore.sample.dice import Dice
from spatialcore.sample.rooms import Room, door_leaf
from spatialcore.sample.solids import GLASS, Item, Material

IN_BOX = "in a closed box"
BEHIND_DOOR = "behind a door"
UNDER_TABLE = "under a table top"
BEHIND_GLASS = "behind glass"
PANE = Material("plain", 0x33505A, 0x2A444D, absorption=GLASS)


def concealed(dice: Dice, slot: str, where: str, room: tuple[float, float, float]) -> Item:
    """A drawn small thing that fits into (width, depth, height), marked as hidden."""
    names = ("ball", "cup", "book", "bottle", "hat", "vase", "shoe", "teddy bear", "bowl")
    item = KINDS[dice.pick(names, slot + "/kind")].drawn(dice, slot)
    shrink = min(1.0, *(limit / side for limit, side in zip(room, item.size, strict=True)))
    item = item.resized(*(shrink * side for side in item.size)).centred()
    item.concealed = where
    return item


def closed_box(dice: Dice, slot: str) -> Item:
    """A taped box on the floor with something in it."""
    w, d, h = (dice.between(0.28, 0.55, slot + "/size", k) for k in range(3))
    item = small.closed_box(w, d, h)
    thing = concealed(dice, slot + "/thing", IN_BOX, (0.7 * w, 0.7 * d, 0.6 * h))
    item.carry(thing, 0.0, 0.0, z=0.06)
    return item


def cupboard(dice: Dice, slot: str) -> Item:
    """A built-in cupboard: walls and a door, and something right behind the door."""
    width, depth = dice.between(0.82, 1.0, slot + "/w"), dice.between(0.3, 0.45, slot + "/d")
    height = dice.between(1.9, 2.2, slot + "/h")
    white = Material("plain", 0xDEDBD3)
    item = Item("", (width + 0.1, depth, height + 0.06))
    for s in (-1, 1):
        side = (0.05, depth, height + 0.06)
        item.box((s * (0.5 * width + 0.025), 0, 0.5 * side[2]), side, white)
    item.box((0, 0, height + 0.03), (width, depth, 0.06), white)
    leaf = door_leaf(large.wood(dice, slot + "/wood")).resized(width, 0.1, height)
    front = 0.09 - 0.5 * depth
    item.carry(leaf, 0.0, front, z=0.0)
    thing = concealed(dice, slot + "/thing", BEHIND_DOOR, (0.4, 0.12, 0.6))
    item.carry(thing, 0.0, front + 0.05 + 0.5 * thing.size[1], z=dice.between(0.3, 0.9, slot))
    return item


def table_with_drawer(dice: Dice, slot: str) -> Item:
    """A table with a closed drawer under its top, and something in the drawer."""
    m = large.wood(dice, slot)
    w, d = dice.between(0.9, 1.5, slot + "/w"), dice.between(0.6, 0.85, slot + "/d")
    top = dice.between(0.62, 0.9, slot + "/top")
    item = Item("table", (w, d, top), top=top)
    item.box((0, 0, top - 0.02), (w, d, 0.04), m)
    deep, under = 0.16, top - 0.12
    item.box((0, 0, top - 0.05 - deep), (w - 0.12, d - 0.12, 0.02), m)
    for s in (-1, 1):
        item.box((s * (0.5 * w - 0.07), 0, under), (0.02, d - 0.12, deep), m)
        item.box((0, s * (0.5 * d - 0.07), under), (w - 0.12, 0.02, deep), large.fronts(m, 1))
        for t in (-1, 1):
            leg = (s * (0.5 * w - 0.05), t * (0.5 * d - 0.05), 0.5 * (top - 0.04))
            item.box(leg, (0.06, 0.06, top - 0.04), m)
    thing = concealed(dice, slot + "/thing", UNDER_TABLE, (w - 0.3, d - 0.3, 0.11))
    item.carry(thing, 0.0, 0.0, z=top - 0.05 - thing.size[2])
    return item


def display_case(dice: Dice, slot: str) -> Item:
    """A case of dark glass on a base, and something behind the glass."""
    w, d = dice.between(0.45, 0.9, slot + "/w"), dice.between(0.32, 0.5, slot + "/d")
    base, pane = dice.between(0.3, 0.8, slot + "/base"), dice.between(0.35, 0.8, slot + "/pane")
    m = large.wood(dice, slot)
    item = Item("display case", (w, d, base + pane + 0.04), top=base + pane + 0.04)
    item.box((0, 0, 0.5 * base), (w, d, base), large.fronts(m, 2))
    item.box((0, 0, base + 0.5 * pane), (w - 0.03, d - 0.03, pane), PANE)
    item.box((0, 0, base + pane + 0.02), (w, d, 0.04), m)
    thing = concealed(dice, slot + "/thing", BEHIND_GLASS, (w - 0.16, d - 0.16, pane - 0.08))
    item.carry(thing, 0.0, 0.06 - 0.5 * (d - thing.size[1]), z=base + 0.01)
    return item


def hide(room: Room) -> None:
    """A closed box in every room, and the other places by draw."""
    dice = room.dice
    room.free_spot(
        closed_box(dice, "hidden/box"), "hidden/box/spot", dice.between(0, 3, "hidden"), 0.2
    )
    first, second, *_ = dice.order(3, "hidden/places")
    for k in (first, second):
        slot = f"hidden/{k}"
        item = (cupboard, table_with_drawer, display_case)[k](dice, slot)
        room.against_wall(item, slot, gap=0.0 if k == 0 else 0.04)
