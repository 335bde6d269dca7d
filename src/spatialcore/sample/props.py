# SPDX-License-Identifier: Apache-2.0
"""More things for rooms, each a list of parts in proportion; the catalogue draws their sizes.

A part is (shape, centre, size, material) in metres: "b" a box, "c" an upright cylinder, "e" an
ellipsoid, "y" a cylinder along y, "x" a cylinder along x.
"""

from __future__ import annotations

import math

from spatialcore.sample.dice import Dice
from spatialcore.sample.furniture import BLACK, STEEL, WHITE, fabric, fronts, wood
from spatialcore.sample.solids import Item, Material, rotation

Numbers = tuple[float, float, float]
Part = tuple[str, Numbers, Numbers, Material]

COLOURS = (0xB23A34, 0x2F6DA8, 0x3C8C55, 0xE0A72E, 0x7B4F9B, 0xE8E2D6, 0x2F3B45, 0xD9743B)
BRASS = Material("plain", 0xB9A15A)
CERAMIC = Material("plain", 0xF1F0EC, 0xE4E2DC)
MIRROR = Material("plain", 0xC3CDD2, 0xAFBBC2, absorption=0.9)
CLOTHS = (0x5B6F8C, 0x8C4A3C, 0xD9C7A0, 0x4F6B52, 0x9A5C7A)


def paint(dice: Dice, slot: str) -> Material:
    """A drawn bright paint."""
    return Material("plain", dice.pick(COLOURS, slot + "/paint"))


def of_parts(raw: str, parts: list[Part]) -> Item:
    """An item of parts; its footprint is that of the parts."""
    item = Item(raw, (0.0, 0.0, 0.0))
    turns = {"y": rotation("x", 0.5 * math.pi), "x": rotation("y", 0.5 * math.pi)}
    for shape, centre, size, material in parts:
        if shape == "b":
            item.box(centre, size, material)
        elif shape == "e":
            item.ellipsoid(centre, size, material)
        elif shape == "c":
            item.cylinder(centre, 0.5 * size[0], size[2], material)
        else:
            item.cylinder(centre, 0.5 * size[2], size["xy".index(shape)], material, turns[shape])
    lo, hi = item.extent()
    item.size = (float(hi[0] - lo[0]), float(hi[1] - lo[1]), float(hi[2]))
    return item


def _legs(x: float, y: float, height: float, side: float, m: Material) -> list[Part]:
    return [
        ("b", (sx, sy, 0.5 * height), (side, side, height), m) for sx in (-x, x) for sy in (-y, y)
    ]


def bench(dice: Dice, slot: str) -> Item:
    """A bench without a back."""
    m = wood(dice, slot)
    seat: Part = ("b", (0, 0, 0.43), (1.2, 0.36, 0.05), m)
    return of_parts("bench", [seat, *_legs(0.52, 0.13, 0.41, 0.06, m)])


def stool(dice: Dice, slot: str) -> Item:
    """A round stool."""
    seat: Part = ("c", (0, 0, 0.48), (0.36, 0.36, 0.05), fabric(dice, slot))
    return of_parts("stool", [seat, *_legs(0.11, 0.11, 0.46, 0.035, wood(dice, slot + "/m"))])


def ottoman(dice: Dice, slot: str) -> Item:
    """An upholstered block."""
    m = fabric(dice, slot)
    parts: list[Part] = [("b", (0, 0, 0.24), (0.6, 0.5, 0.36), m)]
    parts += [("b", (0, 0, 0.4), (0.58, 0.48, 0.06), m)]
    return of_parts("ottoman", [*parts, *_legs(0.24, 0.19, 0.08, 0.04, BLACK)])


def piano(dice: Dice, slot: str) -> Item:
    """An upright piano."""
    m = wood(dice, slot)
    keys = Material("keys", 0xEFEDE6, 0x1D1E20, scale=0.03)
    return of_parts(
        "piano",
        [
            ("b", (0, 0.12, 0.6), (1.45, 0.36, 1.2), m),
            ("b", (0, -0.16, 0.68), (1.45, 0.3, 0.06), m),
            ("b", (0, -0.18, 0.715), (1.3, 0.2, 0.012), keys),
            ("b", (-0.68, -0.2, 0.33), (0.08, 0.2, 0.66), m),
            ("b", (0.68, -0.2, 0.33), (0.08, 0.2, 0.66), m),
        ],
    )


def file_cabinet(dice: Dice, slot: str) -> Item:
    """A steel cabinet of drawers."""
    look = Material("plain", dice.pick((0x9AA0A4, 0x5E6E63, 0xC8C4B8), slot), absorption=0.15)
    return of_parts("file cabinet", [("b", (0, 0, 0.65), (0.46, 0.6, 1.3), fronts(look, 4))])


def ladder(dice: Dice, slot: str) -> Item:
    """A leaning step ladder, closed."""
    m = dice.pick((STEEL, Material("wood", 0xB98A56, 0x8C6239)), slot)
    rungs: list[Part] = [("b", (0, 0, 0.25 + 0.28 * k), (0.36, 0.09, 0.03), m) for k in range(6)]
    rails: list[Part] = [("b", (s * 0.2, 0, 0.9), (0.04, 0.1, 1.8), m) for s in (-1, 1)]
    return of_parts("ladder", rungs + rails)


def washing_machine(dice: Dice, slot: str) -> Item:
    """A front loader."""
    body = dice.pick((WHITE, STEEL), slot)
    return of_parts(
        "washing machine",
        [
            ("b", (0, 0.01, 0.43), (0.6, 0.58, 0.86), body),
            ("y", (0, -0.285, 0.42), (0, 0.02, 0.36), BLACK),
            ("b", (0, -0.285, 0.78), (0.54, 0.015, 0.1), Material("plain", 0x9EA4A8)),
        ],
    )


def toilet(dice: Dice, slot: str) -> Item:
    """A toilet with its tank."""
    lid = dice.pick((WHITE, Material("plain", 0x3D4650)), slot)
    return of_parts(
        "toilet",
        [
            ("b", (0, 0.26, 0.56), (0.4, 0.18, 0.4), CERAMIC),
            ("b", (0, 0.1, 0.19), (0.24, 0.4, 0.38), CERAMIC),
            ("e", (0, -0.08, 0.36), (0.38, 0.56, 0.16), CERAMIC),
            ("b", (0, -0.04, 0.43), (0.36, 0.42, 0.03), lid),
        ],
    )


def bathtub(dice: Dice, slot: str) -> Item:
    """A bathtub with water."""
    water = Material("plain", dice.pick((0x9CC4CC, 0xB8D3D6), slot), absorption=0.4)
    sides: list[Part] = [("b", (s * 0.8, 0, 0.28), (0.08, 0.72, 0.56), CERAMIC) for s in (-1, 1)]
    sides += [("b", (0, s * 0.33, 0.28), (1.6, 0.06, 0.56), CERAMIC) for s in (-1, 1)]
    return of_parts("bathtub", [*sides, ("b", (0, 0, 0.2), (1.56, 0.62, 0.4), water)])


def coat_rack(dice: Dice, slot: str) -> Item:
    """A pole with arms."""
    m = wood(dice, slot)
    parts: list[Part] = [
        ("c", (0, 0, 0.02), (0.4, 0.4, 0.04), m),
        ("c", (0, 0, 0.9), (0.05, 0.05, 1.72), m),
    ]
    for z in (1.45, 1.65):
        parts += [("x", (0, 0, z), (0.4, 0, 0.04), m), ("y", (0, 0, z), (0, 0.4, 0.04), m)]
    return of_parts("coat rack", parts)


def suitcase(dice: Dice, slot: str) -> Item:
    """An upright suitcase."""
    m = Material("panels", dice.pick(COLOURS, slot), absorption=0.1)
    return of_parts(
        "suitcase",
        [
            ("b", (0, 0, 0.36), (0.44, 0.26, 0.64), m),
            ("b", (0, 0, 0.7), (0.2, 0.03, 0.06), BLACK),
            ("b", (0, 0, 0.02), (0.38, 0.22, 0.04), BLACK),
        ],
    )


def basket(dice: Dice, slot: str) -> Item:
    """A woven basket full of cloth."""
    weave = Material("stripes", dice.pick((0xB08A5A, 0x8A6A42, 0xCDB48A), slot), scale=0.03)
    cloth = Material("fabric", dice.pick(CLOTHS, slot + "/cloth"))
    return of_parts(
        "basket",
        [
            ("c", (0, 0, 0.2), (0.42, 0.42, 0.4), weave),
            ("e", (0, 0, 0.4), (0.38, 0.38, 0.1), cloth),
        ],
    )


def backpack(dice: Dice, slot: str) -> Item:
    """A standing backpack."""
    m = Material("fabric", dice.pick(COLOURS, slot))
    return of_parts(
        "backpack",
        [
            ("b", (0, 0, 0.21), (0.32, 0.2, 0.42), m),
            ("e", (0, 0, 0.42), (0.32, 0.2, 0.14), m),
            ("b", (0, -0.13, 0.16), (0.24, 0.08, 0.22), m),
        ],
    )


def guitar(dice: Dice, slot: str) -> Item:
    """A guitar upright on a low stand."""
    m = wood(dice, slot)
    return of_parts(
        "guitar",
        [
            ("y", (0, 0, 0.25), (0, 0.1, 0.4), m),
            ("y", (0, 0, 0.5), (0, 0.1, 0.3), m),
            ("b", (0, -0.02, 0.82), (0.05, 0.03, 0.5), BLACK),
            ("b", (0, -0.02, 1.07), (0.08, 0.03, 0.14), m),
            ("b", (0, 0.02, 0.03), (0.26, 0.24, 0.06), BLACK),
        ],
    )


def fan(dice: Dice, slot: str) -> Item:
    """A standing fan."""
    m = dice.pick((WHITE, BLACK, STEEL), slot)
    return of_parts(
        "fan",
        [
            ("c", (0, 0, 0.015), (0.36, 0.36, 0.03), m),
            ("c", (0, 0, 0.45), (0.04, 0.04, 0.86), m),
            ("y", (0, -0.03, 0.98), (0, 0.1, 0.42), Material("stripes", 0xA9AEB2, scale=0.02)),
        ],
    )


def fire_extinguisher(dice: Dice, slot: str) -> Item:
    """A red bottle with a hose."""
    red = Material("plain", dice.pick((0xB3231E, 0xC8332B), slot))
    return of_parts(
        "fire extinguisher",
        [
            ("c", (0, 0, 0.22), (0.16, 0.16, 0.44), red),
            ("c", (0, 0, 0.48), (0.06, 0.06, 0.08), BLACK),
            ("b", (0.05, 0, 0.5), (0.12, 0.03, 0.03), BLACK),
        ],
    )


def bucket(dice: Dice, slot: str) -> Item:
    """A bucket."""
    m = paint(dice, slot)
    return of_parts(
        "bucket",
        [("c", (0, 0, 0.14), (0.28, 0.28, 0.28), m), ("c", (0, 0, 0.285), (0.3, 0.3, 0.02), m)],
    )


def broom(dice: Dice, slot: str) -> Item:
    """A broom that stands on its bristles."""
    m = paint(dice, slot)
    return of_parts(
        "broom",
        [
            ("b", (0, 0, 0.08), (0.34, 0.07, 0.16), Material("stripes", 0xC9A24B, scale=0.012)),
            ("c", (0, 0, 0.7), (0.03, 0.03, 1.2), m),
        ],
    )


def radiator(dice: Dice, slot: str) -> Item:
    """A radiator under its valve."""
    ribs = Material("stripes", dice.pick((0xE8E6E1, 0xC9CCCE), slot), scale=0.09)
    return of_parts(
        "radiator",
        [
            ("b", (0, 0, 0.4), (1.0, 0.1, 0.56), ribs),
            ("c", (0.47, 0, 0.06), (0.03, 0.03, 0.12), STEEL),
        ],
    )


def mirror(dice: Dice, slot: str) -> Item:
    """A framed mirror; its origin at the middle of the back."""
    m = wood(dice, slot)
    return of_parts(
        "mirror",
        [
            ("b", (0, -0.015, 0), (0.6, 0.03, 0.9), m),
            ("b", (0, -0.02, 0), (0.52, 0.03, 0.82), MIRROR),
        ],
    )


def towel(dice: Dice, slot: str) -> Item:
    """A towel over a rail; its origin at the middle of the back."""
    m = Material("fabric", dice.pick(CLOTHS, slot), seed=dice.below(9, slot + "/s"))
    return of_parts(
        "towel",
        [
            ("x", (0, -0.06, 0.3), (0.6, 0, 0.025), STEEL),
            ("b", (0, -0.06, 0), (0.46, 0.05, 0.62), m),
        ],
    )


def wall_shelf(dice: Dice, slot: str) -> Item:
    """A board on brackets; its origin at the middle of the back."""
    m = wood(dice, slot)
    item = of_parts(
        "shelf",
        [
            ("b", (0, -0.12, 0), (0.9, 0.24, 0.03), m),
            ("b", (-0.35, -0.08, -0.06), (0.03, 0.16, 0.09), m),
            ("b", (0.35, -0.08, -0.06), (0.03, 0.16, 0.09), m),
        ],
    )
    item.top = 0.015
    return item
