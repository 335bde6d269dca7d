# SPDX-License-Identifier: Apache-2.0
"""Things that a hand lifts: what stands on furniture, or on the floor beside it."""

from __future__ import annotations

from spatialcore.sample.dice import Dice
from spatialcore.sample.furniture import BLACK, STEEL, WHITE, wood
from spatialcore.sample.props import BRASS, CERAMIC, CLOTHS, COLOURS, Part, of_parts, paint
from spatialcore.sample.solids import Item, Material


def vase(dice: Dice, slot: str) -> Item:
    """A vase with a narrow neck."""
    m = paint(dice, slot)
    return of_parts(
        "vase",
        [
            ("e", (0, 0, 0.12), (0.18, 0.18, 0.24), m),
            ("c", (0, 0, 0.02), (0.1, 0.1, 0.04), m),
            ("c", (0, 0, 0.26), (0.07, 0.07, 0.1), m),
        ],
    )


def candle(dice: Dice, slot: str) -> Item:
    """A candle on a plate of brass."""
    wax = Material("plain", dice.pick((0xF1EBD9, 0xC23B22, 0x5F7F5A), slot))
    return of_parts(
        "candle",
        [
            ("c", (0, 0, 0.01), (0.12, 0.12, 0.02), BRASS),
            ("c", (0, 0, 0.1), (0.06, 0.06, 0.18), wax),
        ],
    )


def kettle(dice: Dice, slot: str) -> Item:
    """A kettle with a handle and a spout."""
    m = dice.pick((STEEL, BLACK, WHITE), slot)
    return of_parts(
        "kettle",
        [
            ("c", (0, 0, 0.1), (0.17, 0.17, 0.2), m),
            ("e", (0, 0, 0.2), (0.17, 0.17, 0.06), m),
            ("b", (0.11, 0, 0.13), (0.03, 0.025, 0.16), BLACK),
            ("b", (-0.1, 0, 0.17), (0.06, 0.03, 0.04), m),
        ],
    )


def toaster(dice: Dice, slot: str) -> Item:
    """A toaster with two slots."""
    m = dice.pick((STEEL, WHITE, Material("plain", 0xB23A34)), slot)
    slots: list[Part] = [("b", (0, s * 0.04, 0.19), (0.22, 0.025, 0.01), BLACK) for s in (-1, 1)]
    return of_parts("toaster", [("b", (0, 0, 0.095), (0.3, 0.18, 0.19), m), *slots])


def coffee_maker(dice: Dice, slot: str) -> Item:
    """A coffee maker with its pot."""
    m = dice.pick((BLACK, STEEL, WHITE), slot)
    return of_parts(
        "coffee maker",
        [
            ("b", (0, 0.08, 0.18), (0.22, 0.12, 0.36), m),
            ("b", (0, -0.02, 0.32), (0.22, 0.2, 0.08), m),
            ("b", (0, -0.02, 0.015), (0.22, 0.26, 0.03), m),
            (
                "c",
                (0, -0.05, 0.11),
                (0.13, 0.13, 0.16),
                Material("plain", 0x3A2314, absorption=0.3),
            ),
        ],
    )


def plate(dice: Dice, slot: str) -> Item:
    """A plate."""
    rim = Material("plain", dice.pick((0xE8E2D6, 0x2F6DA8, 0xB9C7C0), slot))
    return of_parts(
        "plate",
        [
            ("c", (0, 0, 0.012), (0.25, 0.25, 0.024), rim),
            ("c", (0, 0, 0.025), (0.17, 0.17, 0.004), CERAMIC),
        ],
    )


def pot(dice: Dice, slot: str) -> Item:
    """A cooking pot with its lid."""
    m = dice.pick((STEEL, BLACK, Material("plain", 0x9A2F24)), slot)
    return of_parts(
        "pot",
        [
            ("c", (0, 0, 0.08), (0.24, 0.24, 0.16), m),
            ("c", (0, 0, 0.165), (0.25, 0.25, 0.015), STEEL),
            ("c", (0, 0, 0.185), (0.03, 0.03, 0.03), BLACK),
            ("b", (0, 0, 0.13), (0.34, 0.04, 0.02), BLACK),
        ],
    )


def jug(dice: Dice, slot: str) -> Item:
    """A jug with a handle."""
    m = paint(dice, slot)
    return of_parts(
        "jug",
        [
            ("c", (0, 0, 0.11), (0.13, 0.13, 0.22), m),
            ("b", (0.085, 0, 0.12), (0.04, 0.02, 0.13), m),
        ],
    )


def tray(dice: Dice, slot: str) -> Item:
    """A tray with a rim."""
    m = wood(dice, slot)
    rim: list[Part] = [("b", (s * 0.2, 0, 0.025), (0.012, 0.3, 0.05), m) for s in (-1, 1)]
    rim += [("b", (0, s * 0.144, 0.025), (0.4, 0.012, 0.05), m) for s in (-1, 1)]
    return of_parts("tray", [("b", (0, 0, 0.006), (0.4, 0.3, 0.012), m), *rim])


def printer(dice: Dice, slot: str) -> Item:
    """A printer with paper in it."""
    m = dice.pick((WHITE, BLACK, Material("plain", 0x8E9296)), slot)
    return of_parts(
        "printer",
        [
            ("b", (0, 0, 0.1), (0.44, 0.36, 0.2), m),
            ("b", (0, -0.22, 0.06), (0.3, 0.12, 0.015), m),
            ("b", (0, 0.1, 0.24), (0.24, 0.02, 0.12), WHITE),
        ],
    )


def telephone(dice: Dice, slot: str) -> Item:
    """A telephone with its receiver."""
    m = dice.pick((BLACK, Material("plain", 0xB23A34), Material("plain", 0xD8CDB8)), slot)
    return of_parts(
        "telephone",
        [
            ("b", (0, 0, 0.03), (0.2, 0.2, 0.06), m),
            ("b", (-0.06, 0, 0.075), (0.05, 0.2, 0.03), m),
            (
                "b",
                (0.04, -0.02, 0.062),
                (0.08, 0.1, 0.006),
                Material("keys", 0xE8E6E1, 0x4A4A4C, scale=0.02),
            ),
        ],
    )


def speaker(dice: Dice, slot: str) -> Item:
    """A loudspeaker."""
    m = dice.pick((BLACK, wood(dice, slot + "/wood")), slot)
    return of_parts(
        "speaker",
        [
            ("b", (0, 0.01, 0.2), (0.22, 0.24, 0.4), m),
            ("y", (0, -0.115, 0.13), (0, 0.02, 0.16), STEEL),
            ("y", (0, -0.115, 0.3), (0, 0.02, 0.08), STEEL),
        ],
    )


def radio(dice: Dice, slot: str) -> Item:
    """A radio with a handle."""
    m = paint(dice, slot)
    return of_parts(
        "radio",
        [
            ("b", (0, 0, 0.09), (0.3, 0.1, 0.18), m),
            ("y", (-0.08, -0.05, 0.09), (0, 0.02, 0.12), BLACK),
            ("b", (0.07, -0.052, 0.12), (0.1, 0.01, 0.04), WHITE),
            ("b", (0, 0, 0.21), (0.2, 0.02, 0.02), STEEL),
        ],
    )


def globe(dice: Dice, slot: str) -> Item:
    """A globe on a foot."""
    sea = Material("picture", 0x3F77B5, 0x5C8A3C, seed=dice.below(99, slot))
    return of_parts(
        "globe",
        [
            ("c", (0, 0, 0.015), (0.18, 0.18, 0.03), BRASS),
            ("c", (0, 0, 0.06), (0.03, 0.03, 0.08), BRASS),
            ("e", (0, 0, 0.22), (0.26, 0.26, 0.26), sea),
        ],
    )


def teddy_bear(dice: Dice, slot: str) -> Item:
    """A sitting teddy bear."""
    m = Material("fabric", dice.pick((0x9B6B3C, 0xC9A878, 0x6B4A2C), slot))
    limbs: list[Part] = [("e", (s * 0.1, -0.1, 0.05), (0.1, 0.2, 0.1), m) for s in (-1, 1)]
    limbs += [("e", (s * 0.14, -0.02, 0.2), (0.09, 0.09, 0.18), m) for s in (-1, 1)]
    limbs += [("e", (s * 0.08, 0, 0.45), (0.07, 0.05, 0.07), m) for s in (-1, 1)]
    body: list[Part] = [
        ("e", (0, 0, 0.16), (0.24, 0.2, 0.32), m), ("e", (0, 0, 0.37), (0.2, 0.19, 0.19), m),
    ]  # fmt: skip
    return of_parts("teddy bear", body + limbs)


def hat(dice: Dice, slot: str) -> Item:
    """A hat with a brim."""
    m = Material("fabric", dice.pick(CLOTHS, slot))
    return of_parts(
        "hat",
        [("c", (0, 0, 0.01), (0.32, 0.32, 0.02), m), ("c", (0, 0, 0.07), (0.18, 0.18, 0.12), m)],
    )


def toolbox(dice: Dice, slot: str) -> Item:
    """A toolbox with a handle."""
    m = Material("plain", dice.pick(COLOURS, slot))
    return of_parts(
        "toolbox",
        [
            ("b", (0, 0, 0.1), (0.44, 0.2, 0.2), m),
            ("b", (0, 0, 0.255), (0.26, 0.03, 0.03), BLACK),
            ("b", (-0.11, 0, 0.22), (0.02, 0.03, 0.06), BLACK),
            ("b", (0.11, 0, 0.22), (0.02, 0.03, 0.06), BLACK),
        ],
    )


def shoe(dice: Dice, slot: str) -> Item:
    """One shoe."""
    m = Material("plain", dice.pick((0x3A2A1E, 0x1D1E20, 0xB23A34, 0xE8E6E1), slot))
    return of_parts(
        "shoe",
        [
            ("b", (0, 0, 0.015), (0.1, 0.28, 0.03), BLACK),
            ("e", (0, -0.06, 0.05), (0.1, 0.16, 0.09), m),
            ("b", (0, 0.07, 0.07), (0.09, 0.13, 0.11), m),
        ],
    )


def umbrella(dice: Dice, slot: str) -> Item:
    """A closed umbrella that stands."""
    m = Material("fabric", dice.pick(COLOURS, slot))
    return of_parts(
        "umbrella",
        [
            ("c", (0, 0, 0.42), (0.09, 0.09, 0.6), m),
            ("c", (0, 0, 0.06), (0.02, 0.02, 0.12), STEEL),
            ("c", (0, 0, 0.78), (0.03, 0.03, 0.14), BLACK),
        ],
    )


def book(dice: Dice, slot: str) -> Item:
    """One closed book of a drawn colour."""
    cover = paint(dice, slot)
    page = Material("plain", 0xE6DFCC)
    return of_parts(
        "book",
        [
            ("b", (0, 0, 0.0175), (0.24, 0.17, 0.035), cover),
            ("b", (0.004, 0, 0.0175), (0.24, 0.158, 0.025), page),
        ],
    )
