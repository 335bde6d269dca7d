# SPDX-License-Identifier: Apache-2.0
"""What stands in the rooms: kinds of things, the sizes that they come in, and where they may be.

Sizes are drawn for every instance over ranges that overlap, so which of two categories is the
taller or the longer one changes from room to room, and so does what stands on what.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from spatialcore.sample import furniture as large
from spatialcore.sample import objects as small
from spatialcore.sample import props, trinkets
from spatialcore.sample.dice import Dice
from spatialcore.sample.solids import Item, Material

Range = tuple[float, float]
Builder = Callable[[Dice, str], Item]
ODD = 0.2  # share of instances of an unusual size, outside of their range by up to `ODD_FACTOR`
ODD_FACTOR = 1.35
SHADES = (0xF3E3B8, 0xF0C9A0, 0xE8E8DC, 0xD9A9A0)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of thing.

    Attributes:
        make: Gives it in some size.
        size: Ranges of width, depth and height in metres; two ranges that are equal to None follow
            the drawn height in proportion.
        places: Letters of where it may be: w with its back at a wall, f free on the floor, t on top
            of something, h hung on a wall.
    """

    make: Builder
    size: tuple[Range | None, Range | None, Range]
    places: str

    def drawn(self, dice: Dice, slot: str) -> Item:
        """An instance; all of it follows from the dice and the slot."""
        item = self.make(dice, slot)
        lo, hi = item.extent()
        base = hi - lo
        factor = 1.0
        if dice.chance(ODD, slot + "/odd"):
            factor = dice.between(1.0 / ODD_FACTOR, ODD_FACTOR, slot + "/odd factor")
        height = factor * dice.between(*self.size[2], slot + "/height")
        sides = [
            factor * dice.between(*given, slot + name)
            if given is not None
            else float(base[axis]) * height / float(base[2])
            for axis, (given, name) in enumerate(zip(self.size, ("/width", "/depth"), strict=False))
        ]
        return item.resized(sides[0], sides[1], height)


def _number(dice: Dice, slot: str) -> int:
    return dice.below(1000, slot + "/look")


def _paint(dice: Dice, slot: str) -> int:
    return dice.pick(props.COLOURS, slot + "/colour")


def _chair(dice: Dice, slot: str) -> Item:
    return large.chair(large.wood(dice, slot), large.fabric(dice, slot + "/seat"))


def _office_chair(dice: Dice, slot: str) -> Item:
    return large.office_chair(large.fabric(dice, slot))


def _couch(dice: Dice, slot: str) -> Item:
    return large.sofa(dice.pick((1.5, 2.1, 2.6), slot + "/seats"), large.fabric(dice, slot))


def _armchair(dice: Dice, slot: str) -> Item:
    return large.sofa(0.92, large.fabric(dice, slot), "armchair")


def _bed(dice: Dice, slot: str) -> Item:
    linen = Material("fabric", 0xE7E3DA, 0xD5D0C5)
    return large.bed(1.6, large.wood(dice, slot), large.fabric(dice, slot + "/cover"), linen)


def _table(dice: Dice, slot: str) -> Item:
    m = large.wood(dice, slot)
    if dice.chance(0.35, slot + "/round"):
        return large.round_table("table", 0.5, 0.75, m)
    return large.table("table", 1.4, 0.8, 0.75, m)


def _coffee_table(dice: Dice, slot: str) -> Item:
    return large.table("coffee table", 1.0, 0.55, 0.42, large.wood(dice, slot))


def _cabinet(name: str, drawers: int) -> Builder:
    def make(dice: Dice, slot: str) -> Item:
        return large.cabinet(name, 1.0, 0.45, 0.8, drawers, large.wood(dice, slot))

    return make


def _bookshelf(dice: Dice, slot: str) -> Item:
    rows = dice.between(0.9, 2.1, slot + "/rows")
    return large.bookshelf(1.1, rows, large.wood(dice, slot), dice, _number(dice, slot))


def _refrigerator(dice: Dice, slot: str) -> Item:
    body = dice.pick((0xC9CBCC, 0xE8E6E1, 0x8C4A3C), slot + "/body")
    return large.refrigerator(Material("plain", body, absorption=0.15))


def _picture(dice: Dice, slot: str) -> Item:
    sky = dice.pick((0x6FA4D8, 0xE0A070, 0x8FB8C8), slot + "/sky")
    land = dice.pick((0x5C8A3C, 0x8A6B3C, 0x3C5F7A), slot + "/land")
    return small.picture(0.7, 0.5, sky, land, _number(dice, slot))


def _plant(dice: Dice, slot: str) -> Item:
    return small.plant(1.0, dice, _number(dice, slot))


def _rug(dice: Dice, slot: str) -> Item:
    return small.rug(2.2, 1.6, _paint(dice, slot), dice.pick((0xD8CDB8, 0xE0D5BE), slot + "/rim"))


# Public figures of ordinary rooms, widened so that no pair of categories has one order.
KINDS: dict[str, Kind] = {
    "chair": Kind(_chair, ((0.38, 0.56), (0.4, 0.58), (0.72, 1.12)), "f"),
    "office chair": Kind(_office_chair, ((0.5, 0.68), (0.5, 0.68), (0.78, 1.25)), "f"),
    "stool": Kind(props.stool, ((0.3, 0.46), (0.3, 0.46), (0.36, 0.85)), "f"),
    "bench": Kind(props.bench, ((0.7, 1.7), (0.3, 0.52), (0.34, 0.6)), "wf"),
    "armchair": Kind(_armchair, ((0.72, 1.1), (0.72, 0.98), (0.66, 1.1)), "wf"),
    "couch": Kind(_couch, ((1.35, 2.5), (0.76, 1.05), (0.62, 1.05)), "w"),
    "ottoman": Kind(props.ottoman, ((0.4, 0.95), (0.38, 0.7), (0.3, 0.56)), "f"),
    "table": Kind(_table, ((0.8, 1.9), (0.65, 1.0), (0.56, 0.95)), "wf"),
    "coffee table": Kind(_coffee_table, ((0.6, 1.3), (0.42, 0.75), (0.3, 0.62)), "f"),
    "desk": Kind(
        lambda d, s: large.desk(1.4, 0.72, large.wood(d, s)),
        ((0.95, 1.8), (0.5, 0.85), (0.64, 1.05)),
        "w",
    ),
    "bed": Kind(_bed, ((0.9, 1.9), (1.75, 2.2), (0.55, 1.25)), "w"),
    "nightstand": Kind(_cabinet("nightstand", 2), ((0.36, 0.6), (0.32, 0.5), (0.38, 0.78)), "w"),
    "dresser": Kind(_cabinet("dresser", 4), ((0.75, 1.45), (0.38, 0.56), (0.62, 1.25)), "w"),
    "cabinet": Kind(_cabinet("cabinet", 3), ((0.6, 1.5), (0.32, 0.55), (0.5, 1.5)), "w"),
    "file cabinet": Kind(props.file_cabinet, ((0.38, 0.6), (0.45, 0.7), (0.6, 1.45)), "w"),
    "wardrobe": Kind(
        lambda d, s: large.wardrobe(1.4, 2.0, large.wood(d, s)),
        ((0.8, 1.8), (0.48, 0.68), (1.5, 2.25)),
        "w",
    ),
    "bookshelf": Kind(_bookshelf, ((0.6, 1.5), (0.24, 0.4), (0.8, 2.2)), "w"),
    "refrigerator": Kind(_refrigerator, ((0.5, 0.85), (0.52, 0.75), (0.82, 2.05)), "w"),
    "stove": Kind(lambda _d, _s: large.stove(), ((0.45, 0.8), (0.52, 0.68), (0.8, 1.05)), "w"),
    "washing machine": Kind(props.washing_machine, ((0.5, 0.7), (0.45, 0.66), (0.7, 1.1)), "w"),
    "toilet": Kind(props.toilet, ((0.34, 0.5), (0.58, 0.78), (0.65, 0.95)), "w"),
    "bathtub": Kind(props.bathtub, ((1.3, 1.85), (0.65, 0.9), (0.44, 0.72)), "w"),
    "piano": Kind(props.piano, ((1.2, 1.6), (0.5, 0.7), (0.95, 1.4)), "w"),
    "tv stand": Kind(
        lambda d, s: large.tv_stand(1.6, large.wood(d, s)),
        ((1.0, 2.0), (0.34, 0.5), (0.34, 0.75)),
        "w",
    ),
    "radiator": Kind(props.radiator, ((0.6, 1.5), (0.09, 0.16), (0.4, 0.9)), "w"),
    "ladder": Kind(props.ladder, ((0.36, 0.52), (0.1, 0.2), (0.9, 2.2)), "w"),
    "coat rack": Kind(props.coat_rack, ((0.38, 0.55), (0.38, 0.55), (1.45, 1.95)), "wf"),
    "floor lamp": Kind(
        lambda d, s: small.floor_lamp(d.pick(SHADES, s)),
        ((0.28, 0.5), (0.28, 0.5), (1.2, 1.95)),
        "wf",
    ),
    "fan": Kind(props.fan, ((0.34, 0.5), (0.3, 0.44), (0.5, 1.4)), "f"),
    "guitar": Kind(props.guitar, ((0.3, 0.42), (0.22, 0.3), (0.75, 1.2)), "w"),
    "suitcase": Kind(props.suitcase, ((0.34, 0.6), (0.2, 0.34), (0.45, 0.95)), "wf"),
    "trash can": Kind(
        lambda d, s: small.trash_can(_paint(d, s)), ((0.2, 0.46), (0.2, 0.46), (0.24, 0.72)), "wf"
    ),
    "basket": Kind(props.basket, ((0.25, 0.6), (0.25, 0.6), (0.18, 0.65)), "ft"),
    "bucket": Kind(props.bucket, ((0.2, 0.38), (0.2, 0.38), (0.2, 0.4)), "f"),
    "broom": Kind(props.broom, ((0.26, 0.42), (0.06, 0.1), (1.1, 1.5)), "w"),
    "fire extinguisher": Kind(props.fire_extinguisher, (None, None, (0.35, 0.7)), "w"),
    "backpack": Kind(props.backpack, ((0.26, 0.42), (0.2, 0.34), (0.34, 0.62)), "ft"),
    "box": Kind(
        lambda _d, _s: small.closed_box(0.4, 0.3, 0.3),
        ((0.18, 0.65), (0.16, 0.5), (0.12, 0.6)),
        "ft",
    ),
    "plant": Kind(_plant, (None, None, (0.22, 1.6)), "ft"),
    "vase": Kind(trinkets.vase, ((0.12, 0.34), (0.12, 0.34), (0.16, 0.75)), "tf"),
    "globe": Kind(trinkets.globe, (None, None, (0.22, 0.6)), "tf"),
    "speaker": Kind(trinkets.speaker, ((0.14, 0.36), (0.14, 0.38), (0.2, 1.05)), "tf"),
    "toolbox": Kind(trinkets.toolbox, ((0.3, 0.6), (0.16, 0.3), (0.16, 0.36)), "tf"),
    "teddy bear": Kind(trinkets.teddy_bear, (None, None, (0.2, 0.8)), "tf"),
    "shoe": Kind(trinkets.shoe, ((0.09, 0.12), (0.22, 0.32), (0.08, 0.2)), "f"),
    "lamp": Kind(
        lambda d, s: small.table_lamp(d.pick(SHADES, s)),
        ((0.18, 0.42), (0.18, 0.42), (0.28, 0.85)),
        "t",
    ),
    "monitor": Kind(
        lambda d, s: small.monitor(_number(d, s)), ((0.4, 0.85), (0.16, 0.26), (0.34, 0.6)), "t"
    ),
    "keyboard": Kind(
        lambda _d, _s: small.keyboard(), ((0.28, 0.5), (0.11, 0.19), (0.02, 0.04)), "t"
    ),
    "laptop": Kind(lambda d, s: small.laptop(_number(d, s)), (None, None, (0.18, 0.3)), "t"),
    "tv": Kind(
        lambda d, s: small.television(1.1, _number(d, s)),
        ((0.55, 1.5), (0.16, 0.28), (0.4, 0.95)),
        "t",
    ),
    "printer": Kind(trinkets.printer, ((0.34, 0.6), (0.34, 0.5), (0.2, 0.5)), "tf"),
    "telephone": Kind(trinkets.telephone, ((0.16, 0.26), (0.16, 0.26), (0.07, 0.13)), "t"),
    "radio": Kind(trinkets.radio, ((0.2, 0.5), (0.1, 0.2), (0.14, 0.34)), "t"),
    "microwave": Kind(
        lambda _d, _s: small.microwave(), ((0.4, 0.62), (0.3, 0.44), (0.24, 0.4)), "t"
    ),
    "toaster": Kind(trinkets.toaster, ((0.22, 0.42), (0.15, 0.26), (0.16, 0.3)), "t"),
    "kettle": Kind(trinkets.kettle, (None, None, (0.18, 0.34)), "t"),
    "coffee maker": Kind(trinkets.coffee_maker, ((0.16, 0.32), (0.2, 0.34), (0.26, 0.48)), "t"),
    "sink": Kind(lambda _d, _s: small.sink(), ((0.38, 0.62), (0.34, 0.46), (0.2, 0.4)), "t"),
    "cup": Kind(lambda d, s: small.cup(_paint(d, s)), (None, None, (0.07, 0.16)), "t"),
    "bottle": Kind(
        lambda d, s: small.bottle(_paint(d, s)), ((0.06, 0.12), (0.06, 0.12), (0.16, 0.4)), "t"
    ),
    "bowl": Kind(
        lambda d, s: small.bowl(_paint(d, s)), ((0.16, 0.4), (0.16, 0.4), (0.09, 0.2)), "t"
    ),
    "plate": Kind(trinkets.plate, ((0.17, 0.36), (0.17, 0.36), (0.02, 0.04)), "t"),
    "pot": Kind(trinkets.pot, ((0.24, 0.46), (0.18, 0.34), (0.12, 0.32)), "t"),
    "jug": Kind(trinkets.jug, (None, None, (0.14, 0.4)), "t"),
    "tray": Kind(trinkets.tray, ((0.28, 0.55), (0.22, 0.4), (0.03, 0.08)), "t"),
    "candle": Kind(trinkets.candle, ((0.07, 0.16), (0.07, 0.16), (0.1, 0.4)), "t"),
    "hat": Kind(trinkets.hat, ((0.24, 0.42), (0.24, 0.42), (0.1, 0.22)), "t"),
    "book": Kind(trinkets.book, ((0.16, 0.36), (0.12, 0.26), (0.015, 0.08)), "t"),
    "umbrella": Kind(trinkets.umbrella, ((0.08, 0.14), (0.08, 0.14), (0.6, 1.0)), "w"),
    "ball": Kind(lambda d, s: small.ball(_paint(d, s)), (None, None, (0.12, 0.5)), "f"),
    "picture": Kind(_picture, ((0.3, 1.3), (0.02, 0.05), (0.25, 0.95)), "h"),
    "mirror": Kind(props.mirror, ((0.35, 1.1), (0.025, 0.05), (0.4, 1.4)), "h"),
    "clock": Kind(lambda _d, _s: small.clock(0.16), (None, None, (0.2, 0.6)), "h"),
    "whiteboard": Kind(
        lambda _d, _s: small.whiteboard(1.4, 1.0), ((0.8, 1.8), (0.07, 0.11), (0.6, 1.15)), "h"
    ),
    "towel": Kind(props.towel, ((0.36, 0.7), (0.08, 0.11), (0.5, 1.0)), "h"),
    "shelf": Kind(props.wall_shelf, ((0.5, 1.4), (0.18, 0.32), (0.1, 0.16)), "h"),
    "rug": Kind(_rug, ((1.1, 2.6), (0.8, 1.8), (0.01, 0.014)), "l"),
}


def of_place(letter: str, names: tuple[str, ...]) -> list[str]:
    """The names whose kinds may be at a place."""
    return [name for name in names if letter in KINDS[name].places]
