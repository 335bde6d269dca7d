# SPDX-License-Identifier: Apache-2.0
"""The floor plan of a room: angles in degrees, free floor, what fits on it, shared walls."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING, Any, Literal, get_args

from spatial_engine.engines.base import (
    LETTER,
    WORD,
    AnswerForm,
    Facts,
    Metric,
    Subject,
    equal_shares,
)
from spatial_engine.engines.candidates import Row
from spatial_engine.engines.chains import of_plans
from spatial_engine.engines.contents import ANY, content_of, number_strata, number_stratum
from spatial_engine.engines.layout_scene import OBJECTS
from spatial_engine.engines.walk_task import WalkEngine, WalkScene
from spatial_engine.records import answers
from spatialcore.draws import uniform_below
from spatialcore.relations.directions import bearing_deg
from spatialcore.relations.eye import tells_apart
from spatialcore.relations.floor_plan import wall_of
from spatialcore.relations.free_space import FreeSpace
from spatialcore.relations.scene_object import SceneObject
from spatialcore.relations.verdict import Answer, Reason, Rejection

if TYPE_CHECKING:
    from spatial_engine.recipe import Recipe
    from spatial_engine.records.chains import Chain, Telling

Quantity = Literal["bearing", "free_area", "fits", "same_wall"]
LETTERS = ("A", "B", "C", "D")
FITS = ("yes", "no")
LEAST_AWAY_M = 1.0  # from where one stands to what one faces and turns to
WIDEST_DEG = 12.0  # from the middle of what one faces or turns to, to its corners
OFFERS = 4  # sets of wrong options for two objects at one wall, at most
LEAST_FREE_M2 = 1.0
LEAST_SEEN = 0.45  # of the open floor, that the frames show where its area is asked
DIAMETERS_CM = tuple(range(60, 401, 10))  # of round rugs that may fit
SECTORS = 12  # of the turns of a bearing
CORRECT_DEG = 15.0


@dataclass(frozen=True, slots=True)
class FloorPlan(WalkEngine):
    """One of the tasks about a floor plan.

    Attributes:
        quantity: What is asked.
    """

    quantity: Quantity

    @property
    def task(self) -> str:
        """Task name."""
        return f"floor_plan.{self.quantity}"

    @property
    def needs_objects(self) -> bool:
        """The free floor needs no labels."""
        return self.quantity in ("bearing", "same_wall")

    @property
    def of_points(self) -> bool:
        """A diameter is no point, either."""
        return False

    @property
    def needs_metres(self) -> bool:
        """All lengths are metres."""
        return True

    @property
    def subject(self) -> Subject:
        """The free floor is one thing of a room; the others are about their objects."""
        return OBJECTS if self.needs_objects else Subject("floor")

    @property
    def words(self) -> tuple[str, ...]:
        """The closed set, () for numbers."""
        return {"fits": FITS, "same_wall": LETTERS}.get(self.quantity, ())

    @property
    def answer(self) -> AnswerForm:
        """Degrees, square metres, yes or no, or a letter."""
        return {
            "bearing": AnswerForm("integer", "degree"), "free_area": AnswerForm("number", "m2"),
            "fits": WORD, "same_wall": LETTER,
        }[self.quantity]  # fmt: skip

    @property
    def metric(self) -> Metric:
        """Turns on the circle, areas as those of rooms."""
        metrics: dict[str, Metric] = {"bearing": "within 15 degrees", "free_area": "MRA"}
        return metrics.get(self.quantity, "accuracy")

    @property
    def graded_contents(self) -> bool:
        """What is wider than one thing that does not fit does not fit, either."""
        return self.quantity == "fits"

    def chance(self, options: Any) -> float | None:
        """Of a turn: how much of the circle counts as right."""
        if self.quantity == "bearing":
            return 2 * CORRECT_DEG / 360
        return super(FloorPlan, self).chance(options)

    def strata(self, recipe: Recipe) -> tuple[tuple[str, float], ...]:
        """Twelfths of the circle, bins of an area, words, or which of two names is right."""
        if not recipe.word_strata:
            return (("", 1.0),)
        if self.quantity == "bearing":
            return equal_shares([f"from {30 * k} degrees" for k in range(SECTORS)])
        if self.quantity == "free_area":
            return number_strata("m2")
        return equal_shares(FITS if self.quantity == "fits" else ("first", "second"))

    def things(self, items: tuple[int, ...]) -> tuple[int, ...]:
        """A diameter is no object."""
        return items if self.needs_objects else ()

    def possible(self, walk: WalkScene) -> Iterator[tuple[int, ...]]:
        """Sets of three objects, the room, a diameter, or five objects at walls."""
        if self.quantity == "free_area":
            yield ()
        elif self.quantity == "fits":
            yield from ((diameter,) for diameter in DIAMETERS_CM)
        elif self.quantity == "bearing":
            yield from permutations(walk.pool(self.task, walk.layout.unique), 3)
        else:
            yield from self._at_walls(walk)

    def _at_walls(self, walk: WalkScene) -> Iterator[tuple[int, ...]]:
        """An object, another one at its wall, and two or three at other walls, by draws."""
        room = walk.four_walls
        if isinstance(room, Rejection):
            return
        found = {item.object_id: wall_of(item, room) for item in walk.layout.unique}
        wall = {k: one.value for k, one in found.items() if isinstance(one, Answer)}
        for a, b in permutations(sorted(wall), 2):
            if wall[a] != wall[b]:
                continue
            others = [k for k in sorted(wall) if wall[k] != wall[a]]
            place, offered = walk.layout.place, set[frozenset[int]]()
            for turn in range(OFFERS):
                draws = {k: place.draw(self.task, (a, b, k, turn), "distractor") for k in others}
                drawn = tuple(sorted(others, key=draws.__getitem__)[:3])
                if len(drawn) >= 2 and frozenset(drawn) not in offered:
                    offered.add(frozenset(drawn))
                    yield (a, b, *drawn)

    def left_out(self, walk: WalkScene) -> Mapping[str, int]:
        """Rooms without four walls, and objects that stand at none or at two of them."""
        room = walk.four_walls if self.quantity == "same_wall" else None
        if isinstance(room, Rejection):
            return {str(room.reason): 1}
        if room is None:
            return {}
        found = [wall_of(item, room) for item in walk.layout.unique]
        return Counter(str(one.reason) for one in found if isinstance(one, Rejection))

    def ask(self, walk: WalkScene, items: tuple[int, ...]) -> Answer[Any] | Rejection:
        """Degrees clockwise, square metres, a word, or a name."""
        if self.quantity == "bearing":
            return _bearing(walk, [walk.layout.object(k) for k in items])
        if self.quantity == "same_wall":
            return self._same_wall(walk, [walk.layout.object(k) for k in items])
        room, floor = walk.layout.room, walk.open_floor
        if isinstance(room, Rejection):
            return room
        if isinstance(floor, Rejection):
            return floor
        share = float(walk.seen_floor.sum() / floor.free.sum())
        if share < LEAST_SEEN if self.quantity == "free_area" else not share:
            return Rejection(Reason.ROOM_PARTLY_SEEN, {"floor_seen": share})
        if self.quantity == "free_area":
            return _free_area(floor, room.value)
        return self._fits(walk, floor, items[0])

    def _fits(self, walk: WalkScene, floor: FreeSpace, diameter_cm: int) -> Answer[str] | Rejection:
        """Whether a disc lies on the open floor that the frames show.

        Of floor that they do not show nothing is said: a disc that fits on no floor at all would be
        far wider than one that is seen to fit, and each width would have one answer in all rooms.
        """
        rules, diameter = walk.layout.rules, diameter_cm / 100
        seen = walk.widest_seen
        middle = floor.center((seen.row, seen.column)).tolist()
        evidence = {"seen_m": seen.diameter_m, "seen_xy": middle, "diameter_m": diameter}
        share, metres = rules.min_seen_share, rules.min_seen_m
        if not tells_apart(seen.diameter_m, diameter, share=share, metres=metres):
            return Rejection(Reason.DEAD_ZONE, evidence)
        return Answer(FITS[diameter > seen.diameter_m], evidence)

    def _same_wall(self, walk: WalkScene, things: list[SceneObject]) -> Answer[str] | Rejection:
        room = walk.four_walls
        if isinstance(room, Rejection):
            return room
        walls = []
        for item in things:
            found = wall_of(item, room)
            if isinstance(found, Rejection):
                return found
            walls.append(found.value)
        if walls[1] != walls[0] or walls[0] in walls[2:]:
            return Rejection(Reason.WALL_UNSURE, {"walls": walls})
        sides = {item.category: wall for item, wall in zip(things, walls, strict=True)}
        return Answer(things[1].category, {"walls": sides, "room_m": (2 * room.half).tolist()})

    def said(self, walk: WalkScene, items: tuple[int, ...], value: Any) -> tuple[int, int]:
        """What a text could tell: the diameter, or two of the names."""
        if self.quantity == "bearing":
            return int(value // (360 / SECTORS)) % SECTORS, 0
        if self.quantity == "free_area":
            return number_stratum(value), ANY
        if self.quantity == "fits":
            return FITS.index(value), content_of("diameter", str(items[0]))
        names = [walk.layout.object(k).category for k in items]
        drawn = walk.layout.place.draw(self.task, items, "content")
        other = names[2 + uniform_below(drawn, len(names) - 2)]
        return int(value > other), content_of(value, other)

    def tell(self, walk: WalkScene, row: Row, found: Answer[Any]) -> Facts:
        """Names, a diameter, or options."""
        names = [walk.layout.object(k).category for k in self.things(row.items)]
        if self.quantity == "bearing":
            turn = answers.integer(round(found.value) % 360, "degree")
            slots = {"stand": names[0], "face": names[1], "target": names[2]}
            return Facts(turn, found.evidence, slots | {"turn_deg": turn.span})
        if self.quantity == "free_area":
            area = answers.number(found.value, "m2")
            return Facts(area, found.evidence, {"area_m2": area.span})
        if self.quantity == "fits":
            word = answers.word(found.value)
            slots = {"diameter": f"{row.items[0] / 100:.1f}", "word": word.span}
            return Facts(word, found.evidence, slots)
        options = tuple(self.shuffled(walk, row, names[1:], "order"))
        letter = LETTERS[options.index(found.value)]
        slots = {
            "primary": names[0], "options": answers.option_lines(options), "letter": letter,
        }  # fmt: skip
        return Facts(answers.letter(letter), found.evidence, slots, options=options)

    def chain(self, told: Telling) -> Chain | None:
        """The numbers of its evidence in words."""
        return of_plans.floor_plan(told, self.quantity)


def _bearing(walk: WalkScene, things: list[SceneObject]) -> Answer[float] | Rejection:
    """Degrees to turn clockwise at the first from facing the second to facing the third."""
    stand, face, target = (item.centroid for item in things)
    away = [math.hypot(*(other[:2] - stand[:2])) for other in (face, target)]
    turn = bearing_deg(stand, face, target)
    spread = [_spread(walk, things[0], item) for item in things[1:]]
    evidence = {"angle_deg": turn, "floor_m": away, "spread_deg": spread}
    if min(away) < LEAST_AWAY_M:
        return Rejection(Reason.DISTANCE_RANGE, evidence)
    if max(spread) > WIDEST_DEG:
        return Rejection(Reason.SECTOR_SPLIT, evidence)
    if abs(turn) < CORRECT_DEG:
        return Rejection(Reason.DEAD_ZONE, evidence)
    return Answer(-turn % 360.0, evidence)


def _spread(walk: WalkScene, stand: SceneObject, item: SceneObject) -> float:
    """Degrees from the middle of an object to its corners, as seen from another."""

    def make() -> float:
        at, middle = stand.centroid, item.centroid
        return max(abs(bearing_deg(at, middle, corner)) for corner in item.box.corners)

    return walk.layout.of_whole(("spread", stand.object_id, item.object_id), make)


def _free_area(floor: FreeSpace, room_m2: float) -> Answer[float] | Rejection:
    """Square metres of floor on which nothing stands."""
    area = int(floor.free.sum()) * floor.cell_m**2
    evidence = {"free_m2": area, "room_m2": room_m2, "cells": int(floor.free.sum())}
    if not LEAST_FREE_M2 <= area < room_m2:
        return Rejection(Reason.DEAD_ZONE, evidence)
    return Answer(area, evidence)


FLOOR_PLAN = tuple(FloorPlan(quantity) for quantity in get_args(Quantity))
