# SPDX-License-Identifier: Apache-2.0
"""The furnished rooms: a program says what belongs into a kind of room; all else is drawn.

Every id gives another room: its floor plan, openings, groups of furniture, single things, their
sizes, looks and places are drawn, and things that are at home elsewhere turn up as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from spatialcore.sample import furniture as large
from spatialcore.sample import groups
from spatialcore.sample.catalogue import KINDS, of_place
from spatialcore.sample.dice import Dice
from spatialcore.sample.hidden import hide
from spatialcore.sample.rooms import Room
from spatialcore.sample.solids import Material

CEILING = Material("plain", 0xEFEDE8, 0xE4E1DB)
WALL_PAINTS = (0xD9D3C3, 0xC9D3D6, 0xD8C9B8, 0xC5CFBC, 0xDCD6CE, 0xCBC4D2)
ACCENTS = (
    Material("brick", 0xA5583F, 0xB9AFA2, scale=0.24),
    Material("stripes", 0xB7C4CF, 0xA4B4C2, scale=0.12),
    Material("plain", 0x5F7A78),
    Material("plain", 0x8C5A4A),
    Material("tiles", 0xE3E6E4, 0xD6DEDD, scale=0.15),
)
FULL = 0.28  # share of the floor that furniture may take
MOST = 32  # labelled things of a room before the walls are hung
AT_HOME = 0.55  # share of the single things that belong to the room's kind
COPIES = (1, 1, 1, 2, 2, 3, 4)
EDGE = 0.25  # metres from the walls within which free things stand first

Group = Callable[[Room, str], None]
Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Program:
    """What belongs into a kind of room.

    Attributes:
        kind: Its name.
        width: Range in metres.
        depth: Range in metres.
        angled: Share of rooms with an L-shaped floor.
        groups: Groups of furniture in the order in which they are set.
        things: Kinds that are at home here.
        hung: Kinds on the walls.
    """

    kind: str
    width: Range
    depth: Range
    angled: float
    groups: tuple[Group, ...]
    things: tuple[str, ...]
    hung: tuple[str, ...]


def floor_plan(dice: Dice, program: Program) -> tuple[tuple[float, float], ...]:
    """Corners of the floor, counter-clockwise: a rectangle, or an L with any corner cut out."""
    w, d = dice.between(*program.width, "w"), dice.between(*program.depth, "d")
    if not dice.chance(program.angled, "angled") or min(w, d) < 3.6:
        return ((0.0, 0.0), (w, 0.0), (w, d), (0.0, d))
    cw = min(dice.between(0.28, 0.45, "cut w") * w, w - 2.2)
    cd = min(dice.between(0.28, 0.45, "cut d") * d, d - 2.2)
    corners = [(0.0, 0.0), (w, 0.0), (w, d - cd), (w - cw, d - cd), (w - cw, d), (0.0, d)]
    mirror_x, mirror_y = (dice.chance(0.5, "mirror", k) for k in range(2))
    corners = [(w - x if mirror_x else x, d - y if mirror_y else y) for x, y in corners]
    return tuple(corners[::-1] if mirror_x != mirror_y else corners)


def _shell(room: Room) -> None:
    dice = room.dice
    paint = Material("plain", dice.pick(WALL_PAINTS, "paint"), seed=dice.below(99, "paint/seed"))
    looks = [paint] * len(room.polygon)
    looks[dice.below(len(looks), "accent wall")] = dice.pick(ACCENTS, "accent")
    floors = (
        Material("planks", *dice.pick(large.WOODS[:3], "floor wood"), scale=0.14),
        Material("tiles", 0xD8D2C6, dice.pick((0xA9B4B8, 0x8B6F5A), "tile"), scale=0.33),
        Material("stripes", 0x6F7682, 0x666D78, scale=0.5),
    )
    room.build_shell(dice.pick(floors, "floor"), looks, CEILING)
    lacquer = Material("wood", 0xE2DED5, 0xD6D1C6, seed=dice.below(99, "lacquer"))
    order = [k for k in dice.order(len(room.walls), "openings") if room.walls[k].length > 1.5]
    for k, wall in enumerate(order[: 1 + dice.chance(0.3, "second door")]):
        size = (dice.between(0.72, 1.15, "door/w", k), dice.between(1.88, 2.32, "door/h", k))
        room.add_door(wall, dice.between(0.12, 0.88, "door", k), lacquer, size)
    for k, wall in enumerate(order[::-1][: dice.below(3, "windows")]):
        low = dice.between(0.6, 1.1, "window/low", k)
        high = min(low + dice.between(0.7, 1.4, "window/h", k), room.height - 0.15)
        width = min(dice.between(0.7, 2.1, "window/w", k), room.walls[wall].length - 0.5)
        if room.wall_spans[wall]:
            continue
        room.add_window(wall, dice.between(0.25, 0.75, "window", k), width, lacquer, (low, high))


def _room_left(room: Room) -> bool:
    taken = sum(w * d for _, _, w, d, _ in room.footprints)
    return taken < FULL * room.area and len(room.objects) < MOST + 2 + len(room.polygon)


def _single_things(room: Room, program: Program, count: int) -> None:
    """Things one by one, some of them several times; tops are loaded."""
    dice = room.dice
    everything = tuple(of_place("w", tuple(KINDS)) + of_place("f", tuple(KINDS)))
    for k in range(count):
        slot = f"thing/{k}"
        at_home = dice.chance(AT_HOME, slot + "/home")
        name = dice.pick(program.things if at_home else everything, slot + "/kind")
        for copy in range(dice.pick(COPIES, slot + "/copies")):
            if not _room_left(room):
                return
            item = groups.drawn(room, name, f"{slot}/{copy}")
            if item.size[0] * item.size[1] > 0.12:
                groups.load(dice, item, f"{slot}/{copy}/top", groups.SMALL, 3)
            places = KINDS[name].places
            if "w" in places and not ("f" in places and dice.chance(0.4, slot + "/free", copy)):
                room.against_wall(item, f"{slot}/{copy}", gap=0.04)
            elif "f" in places:
                yaw = dice.between(0.0, 2.0 * math.pi, slot + "/yaw", copy)
                room.free_spot(item, f"{slot}/{copy}", yaw, EDGE)


def furnish(program: Program, room_id: str, dice: Dice) -> Room:
    """A furnished room of a program."""
    room = Room(
        room_id, program.kind, floor_plan(dice, program), dice.between(2.4, 2.95, "h"), dice
    )
    _shell(room)
    lo, hi = room.bounds
    if dice.chance(0.6, "rug/is"):
        rug = groups.drawn(room, "rug", "rug")
        x, y = (dice.between(0.35, 0.65, "rug/at", k) * (hi[k] - lo[k]) for k in range(2))
        room.lay(rug, x, y, dice.pick((0.0, 0.5 * math.pi, 0.3), "rug/yaw"))
    for k, group in enumerate(program.groups):
        group(room, f"{group.__name__}/{k}")
    hide(room)
    _single_things(room, program, 9 + dice.below(5, "things"))
    for k in range(1 + dice.below(4, "low")):
        slot = f"low/{k}"
        thing = groups.drawn(room, dice.pick(groups.LOW_OR_HIGH, slot + "/kind"), slot)
        room.free_spot(thing, slot, dice.between(0.0, 2.0 * math.pi, slot + "/yaw"), EDGE)
    groups.wall_things(room, program.hung, 3 + dice.below(4, "hung"))
    return room


_PROGRAMS = (
    Program(
        "office", (3.8, 5.2), (3.4, 4.8), 0.25, (groups.desk_set, groups.desk_set),
        ("bookshelf", "cabinet", "file cabinet", "trash can", "plant", "box", "office chair",
         "coat rack", "floor lamp", "backpack", "printer", "stool", "fan"),
        ("whiteboard", "clock", "picture", "shelf"),
    ),
    Program(
        "bedroom", (3.9, 5.2), (3.6, 4.8), 0.25, (groups.bed_set,),
        ("wardrobe", "dresser", "desk", "chair", "plant", "basket", "box", "suitcase", "ottoman",
         "bench", "floor lamp", "guitar", "teddy bear", "shoe", "radiator"),
        ("picture", "mirror", "clock", "shelf"),
    ),
    Program(
        "living room", (4.8, 6.4), (4.3, 5.6), 0.55, (groups.sofa_set, groups.table_set),
        ("bookshelf", "cabinet", "armchair", "ottoman", "floor lamp", "plant", "piano", "speaker",
         "globe", "vase", "basket", "stool", "guitar", "box", "radiator"),
        ("picture", "picture", "clock", "shelf", "mirror"),
    ),
    Program(
        "kitchen", (3.9, 5.2), (3.4, 4.6), 0.2, (groups.kitchen_row, groups.table_set),
        ("cabinet", "trash can", "stool", "chair", "plant", "bucket", "broom", "box", "basket",
         "washing machine", "bench", "fire extinguisher"),
        ("clock", "picture", "shelf", "towel"),
    ),
    Program(
        "dining room", (3.8, 5.4), (3.4, 4.9), 0.3, (groups.table_set, groups.table_set),
        ("cabinet", "dresser", "plant", "floor lamp", "bench", "piano", "chair", "vase", "ladder",
         "box", "speaker"),
        ("picture", "mirror", "clock", "shelf"),
    ),
    Program(
        "bathroom", (3.3, 4.4), (3.0, 4.0), 0.1, (groups.bath_set,),
        ("basket", "cabinet", "stool", "bench", "bucket", "trash can", "radiator", "plant", "box",
         "broom", "shoe"),
        ("mirror", "towel", "towel", "shelf", "clock"),
    ),
    Program(
        "studio", (4.4, 6.0), (3.9, 5.2), 0.4, (groups.desk_set, groups.bed_set, groups.table_set),
        ("guitar", "speaker", "toolbox", "ladder", "suitcase", "bookshelf", "fan", "ball", "globe",
         "coat rack", "box", "plant", "umbrella", "backpack"),
        ("picture", "shelf", "whiteboard", "mirror"),
    ),
)  # fmt: skip

TEMPLATES: tuple[Callable[[str, Dice], Room], ...] = tuple(
    partial(furnish, program) for program in _PROGRAMS
)
