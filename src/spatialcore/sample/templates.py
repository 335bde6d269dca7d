# SPDX-License-Identifier: Apache-2.0
"""The furnished rooms: office, bedroom, living room (L-shaped), kitchen.

A template draws sizes, materials and places, so every id gives another room of the same kind.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from spatialcore.sample import furniture as large
from spatialcore.sample import objects as small
from spatialcore.sample.dice import Dice
from spatialcore.sample.rooms import Room
from spatialcore.sample.solids import Item, Material

CEILING = Material("plain", 0xEFEDE8, 0xE4E1DB)
WHITE_PAINT = Material("plain", 0xE9E7E1, 0xDEDBD4)
WALL_PAINTS = (0xD9D3C3, 0xC9D3D6, 0xD8C9B8, 0xC5CFBC, 0xDCD6CE, 0xCBC4D2)
SHADES = (0xF3E3B8, 0xF0C9A0, 0xE8E8DC, 0xD9A9A0)
COLOURS = (0xB23A34, 0x2F6DA8, 0x3C8C55, 0xE0A72E, 0x7B4F9B, 0xE8E2D6, 0x2F3B45, 0xD9743B)


def _shell(dice: Dice, room: Room, floor: Material, accent: Material) -> None:
    paint = Material("plain", dice.pick(WALL_PAINTS, "paint"), seed=dice.below(99, "paint/seed"))
    looks = [paint] * len(room.polygon)
    looks[dice.below(len(looks), "accent wall")] = accent
    room.build_shell(floor, looks, CEILING)


def _rectangle(width: float, depth: float) -> tuple[tuple[float, float], ...]:
    return ((0.0, 0.0), (width, 0.0), (width, depth), (0.0, depth))


def _pictures(room: Room, count: int) -> None:
    dice = room.dice
    for k in range(count):
        w, h = dice.between(0.5, 0.95, "picture/w", k), dice.between(0.4, 0.65, "picture/h", k)
        sky = dice.pick((0x6FA4D8, 0xE0A070, 0x8FB8C8), "picture/sky", k)
        land = dice.pick((0x5C8A3C, 0x8A6B3C, 0x3C5F7A), "picture/land", k)
        room.hang(
            small.picture(w, h, sky, land, dice.below(999, "picture/seed", k)), 1.6, f"picture/{k}"
        )


def _boxes(room: Room) -> None:
    dice = room.dice
    closed = small.closed_box(*(dice.between(0.28, 0.5, "box/size", k) for k in range(3)))
    if dice.chance(0.6, "box/stack"):
        closed.carry(
            small.closed_box(0.24, 0.2, 0.16), 0.01, 0.0, dice.between(-0.6, 0.6, "box/turn")
        )
    closed.carry(small.concealed_ball(dice.pick(COLOURS, "box/ball")), 0.0, 0.0, z=0.06)
    room.free_spot(closed, "box/spot", dice.between(0.0, math.pi, "box/yaw"))
    opened = small.open_box(0.42, 0.34, 0.26)
    opened.carry(
        small.cup(dice.pick(COLOURS, "box/cup")), dice.between(-0.1, 0.1, "box/cup x"), 0.02, 0.7
    )
    room.free_spot(opened, "open box/spot", dice.between(0.0, math.pi, "open box/yaw"))


def _chair_at(
    room: Room, chair: Item, table_rect: int, distance: float, side: float, sway: float
) -> None:
    """Put a chair before the side of a placed footprint that looks along `side`, facing it."""
    x, y, _, _, yaw = room.footprints[table_rect]
    toward = yaw + side
    cx, cy = x + distance * math.sin(toward), y - distance * math.cos(toward)
    room.stand(chair, cx, cy, toward + math.pi + sway, ignore=[room.footprints[table_rect]])


def _workplace(room: Room, k: int, m: Material) -> None:
    dice = room.dice
    width = dice.between(1.25, 1.6, "desk/w", k)
    item = large.desk(width, 0.72, m)
    item.carry(
        small.monitor(dice.below(99, "monitor", k)),
        -0.08,
        0.16,
        dice.between(-0.2, 0.2, "monitor/yaw", k),
    )
    item.carry(small.keyboard(), -0.08, -0.14, dice.between(-0.1, 0.1, "keyboard/yaw", k))
    item.carry(
        small.cup(dice.pick(COLOURS, "cup", k)),
        0.38 * width,
        -0.18,
        dice.between(0, 6, "cup/yaw", k),
    )
    if k == 0:
        item.carry(small.table_lamp(dice.pick(SHADES, "shade")), -0.38 * width, 0.16)
    else:
        colour = dice.pick(large.BOOK_COLOURS, "book", k)
        item.carry(
            small.book(0.24, 0.17, colour),
            -0.36 * width,
            0.05,
            dice.between(-0.5, 0.5, "book/yaw", k),
        )
    if room.against_wall(item, f"desk/{k}") is None:
        return
    seat = large.office_chair(large.fabric(dice, "office chair", k))
    _chair_at(
        room, seat, len(room.footprints) - 1, 0.7, 0.0, dice.between(-0.7, 0.7, "chair/yaw", k)
    )


def office(room_id: str, dice: Dice) -> Room:
    """Two workplaces, a shelf, a whiteboard."""
    w, d = dice.between(4.0, 4.8, "w"), dice.between(3.6, 4.4, "d")
    room = Room(room_id, "office", _rectangle(w, d), dice.between(2.5, 2.8, "h"), dice)
    _shell(
        dice,
        room,
        Material("stripes", 0x6F7682, 0x666D78, scale=0.5),
        Material("brick", 0xA5583F, 0xB9AFA2, scale=0.24),
    )
    room.add_door(0, dice.between(0.15, 0.3, "door"), WHITE_PAINT)
    room.add_window(2, dice.between(0.4, 0.6, "window"), 1.7, WHITE_PAINT)
    m = large.wood(dice, "desk wood")
    room.against_wall(
        large.bookshelf(
            dice.between(0.9, 1.3, "shelf/w"), 1.95, large.wood(dice, "shelf"), dice, 0
        ),
        "shelf",
    )
    _workplace(room, 0, m)
    _workplace(room, 1, m)
    low = large.cabinet("cabinet", 0.9, 0.45, 0.78, 3, large.wood(dice, "cabinet"))
    low.carry(small.plant(0.5, dice, 0), -0.22, 0.0)
    low.carry(small.closed_box(0.3, 0.24, 0.18), 0.2, 0.03, 0.3)
    room.against_wall(low, "cabinet")
    room.hang(small.whiteboard(1.5, 1.0), 1.5, "whiteboard")
    room.against_wall(small.trash_can(0x3F5E73), "trash can", gap=0.08)
    room.free_spot(small.plant(1.15, dice, 1), "plant/spot", 0.0)
    _boxes(room)
    _pictures(room, 1)
    room.hang(small.clock(0.16), 2.1, "clock")
    return room


def bedroom(room_id: str, dice: Dice) -> Room:
    """A double bed between night stands, a wardrobe, a dresser, a desk."""
    w, d = dice.between(4.3, 4.9, "w"), dice.between(3.9, 4.5, "d")
    room = Room(room_id, "bedroom", _rectangle(w, d), dice.between(2.45, 2.7, "h"), dice)
    planks = Material("planks", *dice.pick(large.WOODS[:3], "floor"), scale=0.13)
    _shell(dice, room, planks, Material("stripes", 0xB7C4CF, 0xA4B4C2, scale=0.12))
    room.add_door(0, 0.86, WHITE_PAINT)
    room.add_window(1, 0.55, 1.4, WHITE_PAINT)
    m = large.wood(dice, "bed wood")
    cover, linen = large.fabric(dice, "cover"), Material("fabric", 0xE7E3DA, 0xD5D0C5)
    width = dice.between(1.5, 1.7, "bed/w")
    bed = large.bed(width, m, cover, linen)
    tint = dice.pick(COLOURS, "pillow")
    for s in (-1, 1):
        bed.carry(small.pillow(0xF2EFE8, 0.6, 0.4), s * 0.25 * width, 0.7, 0.08 * s, z=0.5)
    bed.carry(small.pillow(tint, 0.42, 0.3), 0.05, 0.3, 0.3, z=0.55)
    room.lay(small.rug(2.3, 1.6, dice.pick(COLOURS[:5], "rug"), 0xD8CDB8), 0.5 * w, d - 2.2, 0.0)
    place = room.against_wall(bed, "bed", walls=[2], near=0.5)
    for k, s in enumerate((-1, 1)):
        if place is None:
            break
        stand = large.cabinet("nightstand", 0.46, 0.4, 0.52, 2, m)
        stand.carry(small.table_lamp(dice.pick(SHADES, "shade")), 0.04 * s, 0.05)
        if k == 0:
            stand.carry(
                small.book(0.2, 0.14, dice.pick(large.BOOK_COLOURS, "book")), -0.1, -0.1, 0.4
            )
        wall = room.walls[2]
        x, y = wall.at(place[1] + s * (0.5 * width + 0.3), 0.24)
        room.stand(stand, x, y, wall.yaw)
    room.against_wall(
        large.wardrobe(dice.between(1.2, 1.6, "wardrobe/w"), 2.05, large.wood(dice, "wardrobe")),
        "wardrobe",
        walls=[3, 0, 1],
        near=0.5,
    )
    desk = large.desk(1.2, 0.6, m)
    desk.carry(
        small.laptop(dice.below(99, "laptop")), -0.1, 0.0, dice.between(-0.25, 0.25, "laptop/yaw")
    )
    desk.carry(small.cup(tint), 0.42, 0.08, 1.0)
    if room.against_wall(desk, "desk", walls=[1, 0, 3]) is not None:
        _chair_at(
            room,
            large.chair(m, cover),
            len(room.footprints) - 1,
            0.62,
            0.0,
            dice.between(-0.5, 0.5, "chair/yaw"),
        )
    dresser = large.cabinet("dresser", 1.0, 0.46, 0.82, 4, large.wood(dice, "dresser"))
    dresser.carry(small.plant(0.45, dice, 0), -0.3, 0.0)
    dresser.carry(small.bottle(0x2E6B4F), 0.2, 0.05)
    room.against_wall(dresser, "dresser", walls=[0, 3, 1])
    room.free_spot(small.plant(1.0, dice, 1), "plant/spot", 0.0)
    _boxes(room)
    _pictures(room, 2)
    return room


def living_room(room_id: str, dice: Dice) -> Room:
    """L-shaped: a sofa group before a television, a dining table in the other arm."""
    w, d = dice.between(5.8, 6.4, "w"), dice.between(5.0, 5.5, "d")
    cut_w, cut_d = dice.between(2.2, 2.6, "cut w"), dice.between(1.9, 2.2, "cut d")
    polygon = (
        (0.0, 0.0),
        (w, 0.0),
        (w, d - cut_d),
        (w - cut_w, d - cut_d),
        (w - cut_w, d),
        (0.0, d),
    )
    room = Room(room_id, "living room", polygon, dice.between(2.55, 2.85, "h"), dice)
    planks = Material("planks", *dice.pick(large.WOODS[:3], "floor"), scale=0.16)
    _shell(
        dice, room, planks, Material("plain", dice.pick((0x5F7A78, 0x8C5A4A, 0x6B7A94), "accent"))
    )
    room.add_door(1, 0.25, large_white(dice))
    room.add_window(0, 0.3, 2.0, WHITE_PAINT)
    room.add_window(4, 0.5, 1.5, WHITE_PAINT)
    m = large.wood(dice, "wood")
    stand = large.tv_stand(1.7, m)
    stand.carry(small.television(1.15, dice.below(99, "tv")), 0.0, 0.02)
    stand.carry(small.plant(0.35, dice, 0), 0.72, 0.0)
    room.against_wall(stand, "tv", walls=[5], near=0.62)
    x, y = 2.55, d - 0.38 * d
    room.lay(small.rug(2.2, 1.7, dice.pick(COLOURS[:5], "rug"), 0xE0D5BE), 1.75, y, 0.5 * math.pi)
    cloth = large.fabric(dice, "sofa")
    sofa = large.sofa(2.1, cloth)
    for k, s in enumerate((-0.7, 0.62)):
        sofa.carry(small.pillow(dice.pick(COLOURS, "pillow", k), 0.4, 0.34), s, 0.02, 0.5 * s)
    room.stand(sofa, x + 0.25, y, -0.5 * math.pi)
    coffee = large.table("coffee table", 1.0, 0.55, 0.42, m)
    coffee.carry(small.book(0.26, 0.19, dice.pick(large.BOOK_COLOURS, "book")), -0.2, 0.05, 0.5)
    coffee.carry(small.cup(dice.pick(COLOURS, "cup")), 0.25, -0.08, 2.0)
    room.stand(coffee, 1.62, y, 0.5 * math.pi)
    room.stand(
        large.sofa(0.92, large.fabric(dice, "armchair"), "armchair"), 1.35, y - 1.45, math.pi - 0.5
    )
    table = large.table("table", 1.5, 0.85, 0.75, large.wood(dice, "table"))
    table.carry(small.bowl(0xE6E2D8), 0.1, 0.0)
    table.carry(small.bottle(0x6B2E2E), -0.4, 0.1)
    if room.stand(table, w - 1.95, 1.6, dice.between(-0.1, 0.1, "table/yaw")) is not None:
        at = len(room.footprints) - 1
        for k in range(4):
            side, reach = (0.0, 0.66) if k < 2 else (math.pi, 0.66)
            _side_chair(
                room,
                at,
                large.chair(m, cloth),
                side,
                reach,
                -0.36 if k % 2 else 0.36,
                dice.between(-0.3, 0.3, "chair", k),
            )
    room.against_wall(large.bookshelf(1.1, 2.0, m, dice, 0), "shelf", walls=[2, 3, 1, 5])
    low = large.cabinet("cabinet", 1.2, 0.42, 0.85, 3, m)
    low.carry(small.table_lamp(dice.pick(SHADES, "shade")), -0.35, 0.0)
    room.against_wall(low, "cabinet", walls=[1, 0, 3])
    room.against_wall(small.floor_lamp(dice.pick(SHADES, "floor shade")), "floor lamp", gap=0.08)
    room.free_spot(small.plant(1.3, dice, 1), "plant/spot", 0.0)
    _boxes(room)
    _pictures(room, 3)
    return room


def large_white(dice: Dice) -> Material:
    """White lacquer with a drawn grain."""
    return Material("wood", 0xE2DED5, 0xD6D1C6, seed=dice.below(99, "white"))


def _side_chair(
    room: Room, at: int, chair: Item, side: float, reach: float, shift: float, sway: float
) -> None:
    x, y, _, _, yaw = room.footprints[at]
    toward = yaw + side
    px = x + reach * math.sin(toward) + shift * math.cos(toward)
    py = y - reach * math.cos(toward) + shift * math.sin(toward)
    room.stand(chair, px, py, toward + math.pi + sway, ignore=[room.footprints[at]])


def kitchen(room_id: str, dice: Dice) -> Room:
    """A row of counters with a stove and a refrigerator, a round table with chairs."""
    w, d = dice.between(4.2, 5.0, "w"), dice.between(3.6, 4.2, "d")
    room = Room(room_id, "kitchen", _rectangle(w, d), dice.between(2.5, 2.7, "h"), dice)
    tiles = Material(
        "tiles", 0xD8D2C6, dice.pick((0xA9B4B8, 0x8B6F5A, 0xC2B49A), "tile"), scale=0.33
    )
    _shell(dice, room, tiles, Material("tiles", 0xE3E6E4, 0xD6DEDD, scale=0.15))
    room.add_door(1, 0.2, large_white(dice))
    room.add_window(3, 0.5, 1.3, WHITE_PAINT)
    look = dice.pick(
        (
            Material("wood", 0xE2DED5, 0xD6D1C6),
            Material("wood", *large.OAK),
            Material("plain", 0x6F8A86),
        ),
        "front",
    )
    stone = Material("speckle", 0x4A4A4C, 0x8A8784)
    room.against_wall(
        large.refrigerator(Material("plain", 0xC9CBCC, 0xBFC1C3, absorption=0.15)),
        "fridge",
        walls=[2],
        near=0.0,
    )
    first = large.counter(1.2, look, stone)
    first.carry(small.microwave(), -0.25, 0.05)
    first.carry(small.bottle(0x3E6B2E), 0.35, 0.12)
    room.against_wall(first, "counter/0", walls=[2], near=0.3)
    room.against_wall(large.stove(), "stove", walls=[2], near=0.52)
    second = large.counter(1.2, look, stone)
    second.carry(small.sink(), 0.0, 0.02)
    room.against_wall(second, "counter/1", walls=[2], near=0.8)
    upper = Item("kitchen cabinets", (1.8, 0.34, 0.65))
    for k in range(3):
        upper.box((-0.6 + 0.6 * k, -0.17, 0), (0.594, 0.34, 0.65), large.fronts(look, 1))
    room.hang(upper, 1.85, "upper", walls=[2])
    m = large.wood(dice, "table wood")
    table = large.round_table("table", dice.between(0.5, 0.6, "table/r"), 0.75, m)
    table.carry(small.bowl(0x3E6E8E), 0.05, 0.05)
    table.carry(small.cup(dice.pick(COLOURS, "cup", 0)), -0.3, 0.12, 1.0)
    table.carry(small.cup(dice.pick(COLOURS, "cup", 1)), 0.1, -0.32, 4.0)
    if (
        room.stand(
            table,
            0.5 * w + dice.between(-0.3, 0.3, "table/x"),
            0.4 * d,
            dice.between(0, 1, "table/yaw"),
        )
        is not None
    ):
        at = len(room.footprints) - 1
        seat = large.fabric(dice, "seat")
        for k in range(4):
            side = 0.5 * math.pi * k + dice.between(-0.2, 0.2, "chair/side", k)
            _chair_at(
                room,
                large.chair(m, seat),
                at,
                dice.between(0.72, 0.86, "chair/out", k),
                side,
                dice.between(-0.5, 0.5, "chair/yaw", k),
            )
    side_board = large.cabinet("cabinet", 1.0, 0.42, 0.84, 3, m)
    side_board.carry(small.plant(0.45, dice, 0), 0.3, 0.0)
    side_board.carry(small.book(0.22, 0.16, dice.pick(large.BOOK_COLOURS, "book")), -0.2, 0.0, 0.4)
    room.against_wall(side_board, "cabinet", walls=[0, 1, 3])
    room.against_wall(small.trash_can(0x6B6F73), "trash can", gap=0.08)
    _boxes(room)
    _pictures(room, 1)
    room.hang(small.clock(0.18), 2.0, "clock")
    return room


TEMPLATES: tuple[Callable[[str, Dice], Room], ...] = (office, bedroom, living_room, kitchen)
