# SPDX-License-Identifier: Apache-2.0
"""Small things: what stands on furniture, on the floor, and hangs on walls."""

from __future__ import annotations

import math

from spatialcore.sample.dice import Dice
from spatialcore.sample.furniture import BLACK, STEEL, WHITE
from spatialcore.sample.solids import Item, Material, rotation

CARDBOARD = Material("plain", 0xB08A5A, 0x9B7848)
LEAVES = Material("leaf", 0x4E8A3A, 0x24511F)
EARTH = Material("speckle", 0x3A2A1E, 0x1E140D)


def monitor(seed: int) -> Item:
    """A computer monitor on a foot."""
    item = Item("monitor", (0.55, 0.2, 0.46))
    item.cylinder((0, 0.02, 0.0075), 0.11, 0.015, BLACK)
    item.box((0, 0.04, 0.12), (0.05, 0.03, 0.22), BLACK)
    item.box(
        (0, 0.01, 0.3),
        (0.55, 0.03, 0.33),
        Material("screen", 0x1A1B1E, scale=1.0, glow=0.75, absorption=0.6, seed=seed),
    )
    return item


def keyboard() -> Item:
    """A keyboard."""
    item = Item("keyboard", (0.43, 0.14, 0.025))
    item.box((0, 0, 0.0125), (0.43, 0.14, 0.025), Material("keys", 0x3A3C40, 0x101114, scale=0.02))
    return item


def laptop(seed: int) -> Item:
    """An open laptop."""
    item = Item("laptop", (0.33, 0.3, 0.24))
    item.box(
        (0, -0.03, 0.01), (0.33, 0.23, 0.02), Material("keys", 0x9A9DA1, 0x46484C, scale=0.024)
    )
    screen = Material("screen", 0x222326, scale=1.0, glow=0.75, absorption=0.6, seed=seed)
    item.box((0, 0.12, 0.12), (0.33, 0.012, 0.22), screen, rotation("x", -0.3))
    return item


def table_lamp(shade: int) -> Item:
    """A table lamp with a lit shade."""
    item = Item("lamp", (0.26, 0.26, 0.44))
    item.cylinder((0, 0, 0.01), 0.08, 0.02, STEEL)
    item.cylinder((0, 0, 0.14), 0.012, 0.26, STEEL)
    item.cylinder((0, 0, 0.34), 0.13, 0.19, Material("plain", shade, shade, glow=0.6))
    return item


def floor_lamp(shade: int) -> Item:
    """A standing lamp."""
    item = Item("floor lamp", (0.38, 0.38, 1.62))
    item.cylinder((0, 0, 0.015), 0.15, 0.03, BLACK)
    item.cylinder((0, 0, 0.72), 0.015, 1.4, BLACK)
    item.cylinder((0, 0, 1.48), 0.18, 0.28, Material("plain", shade, shade, glow=0.6))
    return item


def plant(height: float, dice: Dice, k: int) -> Item:
    """A potted plant: stem and leaves as ellipsoids at drawn angles."""
    item = Item("plant", (0.42 * height + 0.1, 0.42 * height + 0.1, height))
    pot = 0.26 * height
    clay = Material("plain", dice.pick((0xB5623E, 0xD8D4CB, 0x4B5563), "plant/pot", k))
    item.cylinder((0, 0, 0.5 * pot), 0.15 * height, pot, clay)
    item.cylinder((0, 0, pot), 0.13 * height, 0.01, EARTH)
    item.cylinder(
        (0, 0, 0.5 * height), 0.012 * height, 0.5 * height, Material("wood", 0x6B4A2C, 0x4A321D)
    )
    for n in range(11):
        angle = 2.4 * n + dice.between(0.0, 0.6, "plant/turn", k, n)
        tilt = dice.between(0.3, 1.1, "plant/tilt", k, n)
        R = rotation("z", angle) @ rotation("y", tilt)
        reach = 0.17 * height
        z = (0.5 + 0.033 * n) * height
        centre = (
            reach * math.sin(tilt) * math.cos(angle),
            reach * math.sin(tilt) * math.sin(angle),
            z,
        )
        item.ellipsoid(centre, (0.05 * height, 0.15 * height, 0.36 * height), LEAVES, R)
    return item


def cup(colour: int) -> Item:
    """A mug with a handle."""
    item = Item("cup", (0.12, 0.09, 0.1))
    m = Material("plain", colour)
    item.cylinder((0, 0, 0.05), 0.042, 0.1, m)
    item.cylinder((0, 0, 0.098), 0.036, 0.006, Material("plain", 0x3A2314))
    item.box((0.052, 0, 0.05), (0.025, 0.012, 0.05), m)
    return item


def bottle(colour: int) -> Item:
    """A bottle."""
    item = Item("bottle", (0.08, 0.08, 0.28))
    m = Material("plain", colour, absorption=0.35)
    item.cylinder((0, 0, 0.09), 0.037, 0.18, m)
    item.ellipsoid((0, 0, 0.18), (0.074, 0.074, 0.06), m)
    item.cylinder((0, 0, 0.24), 0.014, 0.08, m)
    return item


def bowl(colour: int) -> Item:
    """A bowl with fruit."""
    item = Item("bowl", (0.28, 0.28, 0.14))
    item.cylinder((0, 0, 0.035), 0.13, 0.07, Material("plain", colour))
    for k, fruit in enumerate((0xC23B22, 0xE0A526, 0x7FA83A, 0xD9692B)):
        angle = 0.5 * math.pi * k + 0.4
        item.ellipsoid(
            (0.06 * math.cos(angle), 0.06 * math.sin(angle), 0.09),
            (0.08, 0.08, 0.08),
            Material("plain", fruit),
        )
    return item


def book(width: float, depth: float, colour: int) -> Item:
    """A closed book lying flat."""
    item = Item("book", (width, depth, 0.035))
    item.box((0, 0, 0.0175), (width, depth, 0.035), Material("plain", colour))
    item.box((0.004, 0, 0.0175), (width, depth - 0.012, 0.025), Material("plain", 0xE6DFCC))
    return item


def pillow(colour: int, width: float = 0.5, depth: float = 0.36) -> Item:
    """A pillow lying flat."""
    item = Item("pillow", (width, depth, 0.14))
    m = Material("fabric", colour, seed=colour & 63)
    item.ellipsoid((0, 0, 0.07), (width * 1.1, depth * 1.1, 0.15), m)
    item.box((0, 0, 0.055), (width * 0.78, depth * 0.78, 0.07), m)
    return item


def closed_box(width: float, depth: float, height: float) -> Item:
    """A closed cardboard box with tape."""
    item = Item("box", (width, depth, height), top=height)
    item.box((0, 0, 0.5 * height), (width, depth, height), CARDBOARD)
    item.box((0, 0, height), (0.05, depth + 0.002, 0.004), Material("plain", 0xD8C9A0))
    return item


def open_box(width: float, depth: float, height: float) -> Item:
    """An open cardboard box: a floor and four walls, so that things can be in it."""
    item = Item("box", (width, depth, height), top=0.012)
    item.box((0, 0, 0.006), (width, depth, 0.012), CARDBOARD)
    for s in (-1, 1):
        item.box((s * 0.5 * (width - 0.012), 0, 0.5 * height), (0.012, depth, height), CARDBOARD)
        item.box((0, s * 0.5 * (depth - 0.012), 0.5 * height), (width, 0.012, height), CARDBOARD)
    return item


def ball(colour: int) -> Item:
    """A striped ball."""
    item = Item("ball", (0.16, 0.16, 0.16))
    item.ellipsoid((0, 0, 0.08), (0.16, 0.16, 0.16), Material("stripes", colour, scale=0.05))
    return item


def trash_can(colour: int) -> Item:
    """An open round bin."""
    item = Item("trash can", (0.3, 0.3, 0.36))
    item.cylinder((0, 0, 0.18), 0.14, 0.36, Material("stripes", colour, scale=0.03))
    item.cylinder((0, 0, 0.358), 0.125, 0.008, BLACK)
    return item


def rug(width: float, depth: float, colour: int, accent: int) -> Item:
    """A rug with a border and diamonds."""
    item = Item("rug", (width, depth, 0.012), top=0.012)
    item.box(
        (0, 0, 0.006),
        (width, depth, 0.012),
        Material("rug", colour, accent, scale=0.28, seed=colour & 63),
    )
    return item


def picture(width: float, height: float, sky: int, land: int, seed: int) -> Item:
    """A framed landscape; its back on the wall, its origin at the middle of the back."""
    item = Item("picture", (width, 0.03, height))
    item.box((0, -0.015, 0), (width, 0.03, height), Material("picture", sky, land, seed=seed))
    return item


def whiteboard(width: float, height: float) -> Item:
    """A whiteboard with a tray."""
    item = Item("whiteboard", (width, 0.03, height))
    item.box((0, -0.01, 0), (width, 0.02, height), STEEL)
    item.box(
        (0, -0.013, 0),
        (width - 0.05, 0.022, height - 0.05),
        Material("plain", 0xF2F2F0, 0xE6E8EA, absorption=0.2),
    )
    item.box((0, -0.04, -0.5 * height), (0.5 * width, 0.08, 0.02), STEEL)
    for k, colour in enumerate((0x2A5DB0, 0xB02A2A, 0x2A8A4A)):
        item.box(
            (-0.1 + 0.1 * k, -0.05, 0.018 - 0.5 * height),
            (0.08, 0.016, 0.016),
            Material("plain", colour),
        )
        item.box(
            (-0.3 * width + 0.22 * width * k, -0.0245, 0.1),
            (0.16 * width, 0.003, 0.012),
            Material("plain", colour),
        )
        item.box(
            (-0.3 * width + 0.22 * width * k, -0.0245, -0.02),
            (0.12 * width, 0.003, 0.012),
            Material("plain", colour),
        )
    return item


def television(width: float, seed: int) -> Item:
    """A television on a foot."""
    height = 0.58 * width
    item = Item("tv", (width, 0.22, height + 0.08))
    item.box((0, 0.03, 0.01), (0.4 * width, 0.2, 0.02), BLACK)
    item.box((0, 0.04, 0.06), (0.08, 0.04, 0.1), BLACK)
    item.box(
        (0, 0.02, 0.08 + 0.5 * height),
        (width, 0.05, height),
        Material("picture", 0x4F86C6, 0x2F6B35, glow=0.7, absorption=0.6, seed=seed),
    )
    return item


def microwave() -> Item:
    """A microwave oven."""
    item = Item("microwave", (0.48, 0.36, 0.28), top=0.28)
    item.box((0, 0, 0.14), (0.48, 0.36, 0.28), WHITE)
    item.box((-0.06, -0.18, 0.14), (0.3, 0.01, 0.2), BLACK)
    item.box((0.18, -0.18, 0.14), (0.08, 0.01, 0.22), STEEL)
    return item


def sink() -> Item:
    """A sink basin that is set on a worktop, with a tap."""
    item = Item("sink", (0.5, 0.42, 0.3))
    item.box((0, 0, 0.006), (0.5, 0.42, 0.012), STEEL)
    item.box((0, -0.02, 0.013), (0.4, 0.3, 0.004), BLACK)
    item.cylinder((0, 0.17, 0.13), 0.014, 0.26, STEEL)
    item.cylinder((0, 0.1, 0.26), 0.011, 0.15, STEEL, rotation("x", 0.5 * math.pi))
    return item


def clock(radius: float) -> Item:
    """A round wall clock."""
    item = Item("clock", (2 * radius, 0.04, 2 * radius))
    flat = rotation("x", 0.5 * math.pi)
    item.cylinder((0, -0.02, 0), radius, 0.04, BLACK, flat)
    item.cylinder((0, -0.022, 0), 0.88 * radius, 0.042, WHITE, flat)
    item.box((0, -0.045, 0.3 * radius), (0.014, 0.004, 0.6 * radius), BLACK)
    item.box((0.2 * radius, -0.045, 0), (0.45 * radius, 0.004, 0.018), BLACK)
    return item
