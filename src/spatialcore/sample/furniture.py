# SPDX-License-Identifier: Apache-2.0
"""Large parametric furniture. Every function returns an `Item` in its own frame."""

from __future__ import annotations

import math

from spatialcore.sample.dice import Dice
from spatialcore.sample.solids import Item, Material, rotation

OAK, WALNUT = (0xB98A56, 0x8C6239), (0x6E4528, 0x43281A)
BIRCH, WHITE_WOOD = (0xD9BC8C, 0xB98F5C), (0xE4E1DA, 0xCFCBC2)
WOODS = (OAK, WALNUT, BIRCH, WHITE_WOOD)
FABRICS = (0x5B6F8C, 0x8C4A3C, 0x5F7F5A, 0xB0A184, 0x4A4F57, 0xA8703A, 0x7B5A7E)
STEEL = Material("plain", 0x8E9296, 0x73777B, absorption=0.25)
BLACK = Material("plain", 0x1D1E20, 0x17181A, absorption=0.45)
WHITE = Material("plain", 0xE8E6E1, 0xDAD7D0)


def wood(dice: Dice, slot: str, *ints: int) -> Material:
    """A drawn kind of wood."""
    colour, accent = dice.pick(WOODS, slot, *ints)
    return Material("wood", colour, accent, seed=dice.below(1000, slot + "/grain", *ints))


def fabric(dice: Dice, slot: str, *ints: int) -> Material:
    """A drawn upholstery fabric."""
    return Material(
        "fabric", dice.pick(FABRICS, slot, *ints), seed=dice.below(99, slot + "/s", *ints)
    )


def fronts(material: Material, count: int) -> Material:
    """The material as the front of `count` drawers."""
    return Material(
        "drawers", material.colour, material.accent, scale=float(count), seed=material.seed
    )


def _legs(item: Item, width: float, depth: float, height: float, side: float, m: Material) -> None:
    x, y = 0.5 * (width - side) - 0.03, 0.5 * (depth - side) - 0.03
    for sx in (-x, x):
        for sy in (-y, y):
            item.box((sx, sy, 0.5 * height), (side, side, height), m)


def table(name: str, width: float, depth: float, height: float, m: Material) -> Item:
    """A rectangular table with four legs."""
    item = Item(name, (width, depth, height), top=height)
    item.box((0, 0, height - 0.02), (width, depth, 0.04), m)
    item.box((0, 0, height - 0.075), (width - 0.16, depth - 0.16, 0.07), m)
    _legs(item, width, depth, height - 0.04, 0.06, m)
    return item


def round_table(name: str, radius: float, height: float, m: Material) -> Item:
    """A round table on one foot."""
    item = Item(name, (2 * radius, 2 * radius, height), top=height)
    item.cylinder((0, 0, height - 0.02), radius, 0.04, m)
    item.cylinder((0, 0, 0.5 * height), 0.05, height - 0.06, m)
    item.cylinder((0, 0, 0.02), 0.55 * radius, 0.04, m)
    return item


def desk(width: float, depth: float, m: Material) -> Item:
    """A desk with a drawer block at the right."""
    item = Item("desk", (width, depth, 0.74), top=0.74)
    item.box((0, 0, 0.725), (width, depth, 0.03), m)
    item.box((0.5 * width - 0.22, 0.02, 0.355), (0.4, depth - 0.08, 0.71), fronts(m, 3))
    item.box((-0.5 * width + 0.03, 0, 0.355), (0.04, depth - 0.06, 0.71), m)
    item.box((-0.2, 0.5 * depth - 0.05, 0.5), (width - 0.45, 0.02, 0.36), m)
    return item


def chair(m: Material, seat: Material) -> Item:
    """A dining chair with a slatted back."""
    item = Item("chair", (0.44, 0.46, 0.9))
    item.box((0, 0, 0.45), (0.43, 0.43, 0.04), seat)
    for x in (-0.19, 0.19):
        item.box((x, -0.19, 0.215), (0.035, 0.035, 0.43), m)
        item.box((x, 0.2, 0.45), (0.035, 0.035, 0.9), m)
    for z in (0.6, 0.72, 0.84):
        item.box((0, 0.2, z), (0.37, 0.02, 0.07), m)
    return item


def office_chair(m: Material) -> Item:
    """A swivel chair on a five-spoke foot."""
    item = Item("office chair", (0.56, 0.56, 1.0))
    for k in range(5):
        angle = 2 * math.pi * k / 5
        x, y = 0.14 * math.cos(angle), 0.14 * math.sin(angle)
        item.box((x, y, 0.06), (0.28, 0.04, 0.04), BLACK, rotation("z", angle))
        item.ellipsoid((1.9 * x, 1.9 * y, 0.03), (0.06, 0.06, 0.06), BLACK)
    item.cylinder((0, 0, 0.24), 0.03, 0.34, STEEL)
    item.box((0, 0, 0.46), (0.48, 0.48, 0.09), m)
    item.box((0, 0.23, 0.78), (0.44, 0.07, 0.48), m, rotation("x", -0.12))
    for x in (-0.27, 0.27):
        item.box((x, 0.02, 0.66), (0.05, 0.28, 0.03), BLACK)
        item.box((x, 0.1, 0.56), (0.03, 0.04, 0.2), BLACK)
    return item


def sofa(width: float, m: Material, name: str = "couch") -> Item:
    """A sofa, or an armchair when narrow."""
    item = Item(name, (width, 0.88, 0.82), top=0.46)
    item.box((0, 0, 0.17), (width - 0.06, 0.84, 0.22), m)
    seats = max(1, round((width - 0.4) / 0.65))
    each = (width - 0.4) / seats
    for k in range(seats):
        x = (k - 0.5 * (seats - 1)) * each
        item.box((x, -0.06, 0.37), (each - 0.015, 0.7, 0.18), m)
        item.box((x, 0.26, 0.62), (each - 0.015, 0.17, 0.38), m, rotation("x", -0.16))
    item.box((0, 0.38, 0.47), (width - 0.1, 0.1, 0.62), m)
    for x in (-0.5 * width + 0.1, 0.5 * width - 0.1):
        item.box((x, 0, 0.34), (0.2, 0.86, 0.52), m)
        item.cylinder((x, 0, 0.6), 0.1, 0.86, m, rotation("x", 0.5 * math.pi))
    return item


def bed(width: float, m: Material, cover: Material, linen: Material) -> Item:
    """A bed, its head at the wall."""
    item = Item("bed", (width, 2.08, 0.95), top=0.55)
    item.box((0, 0.0, 0.18), (width, 2.04, 0.2), m)
    item.box((0, -0.02, 0.39), (width - 0.06, 1.96, 0.22), linen)
    item.box((0, -0.35, 0.42), (width, 1.32, 0.27), cover)
    item.box((0, 1.01, 0.5), (width + 0.04, 0.06, 0.9), m)
    _legs(item, width, 2.04, 0.1, 0.08, m)
    return item


def cabinet(
    name: str, width: float, depth: float, height: float, drawers: int, m: Material
) -> Item:
    """A closed cabinet with drawers; a dresser, a night stand, a counter."""
    item = Item(name, (width, depth, height), top=height)
    item.box((0, 0, 0.03), (width - 0.06, depth - 0.06, 0.06), BLACK)
    item.box(
        (0, 0.0, 0.5 * (height - 0.03) + 0.02),
        (width - 0.02, depth - 0.02, height - 0.09),
        fronts(m, drawers),
    )
    item.box((0, 0, height - 0.0125), (width, depth, 0.025), m)
    return item


def wardrobe(width: float, height: float, m: Material) -> Item:
    """A wardrobe with panelled doors."""
    panels = Material("panels", m.colour, m.accent, seed=m.seed)
    item = Item("wardrobe", (width, 0.6, height))
    item.box((0, 0.01, 0.5 * height), (width, 0.58, height), panels)
    item.box((0, 0, height - 0.02), (width + 0.03, 0.61, 0.04), m)
    for x in (-0.04, 0.04):
        item.cylinder((x, -0.3, 1.05), 0.008, 0.16, STEEL)
    return item


def bookshelf(width: float, height: float, m: Material, dice: Dice, slot: int) -> Item:
    """An open shelf whose rows hold single books of drawn sizes and colours."""
    item = Item("bookshelf", (width, 0.3, height), top=height)
    for x in (-0.5 * width + 0.0125, 0.5 * width - 0.0125):
        item.box((x, 0, 0.5 * height), (0.025, 0.3, height), m)
    item.box((0, 0.14, 0.5 * height), (width, 0.015, height), m)
    rows = max(3, round(height / 0.37))
    gap = (height - 0.03) / rows
    for k in range(rows + 1):
        item.box((0, 0, 0.015 + k * gap), (width - 0.05, 0.28, 0.025), m)
    for k in range(rows):
        _books(item, width - 0.08, 0.03 + k * gap, gap, dice, slot, k)
    return item


BOOK_COLOURS = (
    0x8F2D2A,
    0x2F4F7F,
    0x3E6B48,
    0xC9A24B,
    0xE1DACB,
    0x333A44,
    0x7D5A86,
    0xC4673A,
    0x4D8C96,
)


def _books(item: Item, width: float, z: float, gap: float, dice: Dice, slot: int, row: int) -> None:
    """Fill one shelf from the left until a drawn share of its width; the rest stays empty."""
    x, k = -0.5 * width, 0
    end = -0.5 * width + width * dice.between(0.55, 0.98, "books/fill", slot, row)
    while True:
        thick = dice.between(0.025, 0.06, "books/thick", slot, row, k)
        if x + thick > end:
            return
        tall = gap * dice.between(0.58, 0.86, "books/tall", slot, row, k)
        deep = dice.between(0.15, 0.22, "books/deep", slot, row, k)
        colour = dice.pick(BOOK_COLOURS, "books/colour", slot, row, k)
        item.box(
            (x + 0.5 * thick, 0.12 - 0.5 * deep, z + 0.5 * tall),
            (thick - 0.003, deep, tall),
            Material("plain", colour),
        )
        x, k = x + thick, k + 1


def refrigerator(m: Material) -> Item:
    """A two-door refrigerator."""
    item = Item("refrigerator", (0.62, 0.65, 1.78))
    item.box((0, 0.02, 0.91), (0.6, 0.6, 1.74), m)
    item.box((0, -0.3, 1.45), (0.59, 0.05, 0.62), m)
    item.box((0, -0.3, 0.6), (0.59, 0.05, 1.04), m)
    for z in (1.3, 0.95):
        item.cylinder((-0.24, -0.345, z), 0.012, 0.26, STEEL)
    item.box((0, 0, 0.03), (0.56, 0.56, 0.06), BLACK)
    return item


def counter(width: float, m: Material, stone: Material) -> Item:
    """A row of kitchen cabinets under one worktop."""
    item = Item("kitchen cabinets", (width, 0.62, 0.9), top=0.9)
    count = max(1, round(width / 0.6))
    for k in range(count):
        x = (k - 0.5 * (count - 1)) * width / count
        item.box((x, 0.02, 0.47), (width / count - 0.008, 0.56, 0.76), fronts(m, 1 + 2 * (k % 2)))
    item.box((0, 0.04, 0.045), (width - 0.04, 0.5, 0.09), BLACK)
    item.box((0, 0, 0.88), (width, 0.62, 0.04), stone)
    return item


def stove() -> Item:
    """A stove with four plates and an oven door."""
    item = Item("stove", (0.6, 0.62, 0.91), top=0.91)
    item.box((0, 0.01, 0.45), (0.59, 0.6, 0.9), WHITE)
    item.box((0, -0.3, 0.42), (0.48, 0.02, 0.42), BLACK)
    item.cylinder((0, -0.33, 0.68), 0.012, 0.46, STEEL, rotation("y", 0.5 * math.pi))
    for k, x in enumerate((-0.14, 0.14)):
        for y in (-0.13, 0.15):
            item.cylinder((x, y, 0.903), 0.07 + 0.02 * k, 0.014, BLACK)
    for k in range(4):
        item.cylinder(
            (-0.2 + 0.133 * k, -0.31, 0.8), 0.02, 0.03, STEEL, rotation("x", 0.5 * math.pi)
        )
    return item


def tv_stand(width: float, m: Material) -> Item:
    """A low board for a television."""
    item = Item("tv stand", (width, 0.42, 0.5), top=0.5)
    item.box((0, 0.01, 0.27), (width - 0.02, 0.39, 0.4), fronts(m, 2))
    item.box((0, 0, 0.4875), (width, 0.42, 0.025), m)
    _legs(item, width, 0.4, 0.08, 0.05, BLACK)
    return item
