# SPDX-License-Identifier: Apache-2.0
"""Taking another's place: at an object that one stands at, or at a camera.

What is to the left of somebody who stands at one object and faces another, what is ahead after a
turn, which image is the view from there, and where a camera is on a map.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from spatial_engine.engines.asked import AskedEngine
from spatial_engine.engines.base import LETTER, WORD, AnswerForm, Facts, Subject, equal_shares
from spatial_engine.engines.candidates import Row
from spatial_engine.engines.chains import of_plans
from spatial_engine.engines.contents import content_of
from spatial_engine.engines.context import SceneContext
from spatial_engine.engines.layout_scene import OBJECTS
from spatial_engine.engines.standing import (
    STRAY_CORNERS,
    bearing_at,
    from_border,
    in_range,
    side,
    stand_fault,
)
from spatial_engine.engines.view_from import ORDINALS, WRONG, possible_views, view_from
from spatial_engine.engines.view_set import ViewSet, index_views, views_of_index
from spatial_engine.records import answers
from spatialcore.draws import uniform_below
from spatialcore.relations.verdict import Answer, Evidence, Reason, Rejection
from spatialcore.types import Float64

if TYPE_CHECKING:
    from spatial_engine.recipe import Recipe
    from spatial_engine.records.chains import Chain, Telling

Quantity = Literal["object_at", "after_turn", "view_from", "camera_on_map"]
LETTERS = ("A", "B", "C", "D")
CORNERS = ("ahead left", "ahead right", "behind left", "behind right")
SIDES_SAID = {"left": "to your left", "right": "to your right", "behind": "behind you"}
_BORDERS = (45.0, 135.0, -45.0, -135.0)
STEP_DEG = 15  # of a turn that is asked
LEAST_TURN_DEG, MOST_TURN_DEG = 30.0, 165.0
OFF_DEG, CORNER_OFF_DEG = 40.0, 20.0  # of a wrong object, and of its corners, from straight ahead
MAP_M = 8.0  # side of a map
LEAST_MAP_M, MOST_MAP_M = 0.4, 3.8


class _Turned(NamedTuple):
    """The bearings of all other objects for somebody who stands at one and faces another.

    Attributes:
        ids: (n,) the others.
        angle: (n,) degrees.
        corners: (n, 8) degrees.
    """

    ids: NDArray[np.int64]
    angle: Float64
    corners: Float64


@dataclass(frozen=True, slots=True)
class Perspective(AskedEngine):
    """One of the tasks about another's place.

    Attributes:
        quantity: What is asked.
    """

    quantity: Quantity
    needs_up: ClassVar[bool] = True

    @property
    def task(self) -> str:
        """Task name."""
        return f"perspective.{self.quantity}"

    @property
    def of_walk(self) -> bool:
        """Whether the frames of a walk are shown, which place the objects."""
        return self.quantity in ("object_at", "after_turn")

    @property
    def needs_objects(self) -> bool:
        """All but the map are about objects."""
        return self.quantity != "camera_on_map"

    @property
    def subject(self) -> Subject:
        """The places of objects, or a movement of the camera."""
        return OBJECTS if self.needs_objects else Subject("translation")

    @property
    def words(self) -> tuple[str, ...]:
        """Ordinals of images, else letters."""
        return ORDINALS if self.quantity == "view_from" else LETTERS

    @property
    def answer(self) -> AnswerForm:
        """An ordinal, or a letter."""
        return WORD if self.quantity == "view_from" else LETTER

    def strata(self, recipe: Recipe) -> tuple[tuple[str, float], ...]:
        """Which of two categories is right, which image, or which corner of the map."""
        if not recipe.word_strata:
            return (("", 1.0),)
        if self.of_walk:
            return equal_shares(("first", "second"))
        return equal_shares(ORDINALS if self.quantity == "view_from" else CORNERS)

    def said(self, views: ViewSet, row: Row, value: Any) -> tuple[int, int]:
        """Two of the offered categories, one of them right; or the place of the right image."""
        if self.quantity == "view_from":
            return ORDINALS.index(value), 0
        if not self.of_walk:
            right, ahead = value
            return 2 * (ahead < 0) + (right > 0), 0
        names = [views.category(k) for k in row.items[2:]]
        draw = views.place.draw(self.task, (*sorted(row.frames), *row.items), "content")
        other = names[1 + uniform_below(draw, WRONG)]
        return int(names[0] > other), content_of(names[0], other)

    def views(self, context: SceneContext) -> ViewSet:
        """The frames of the walk that is shown, or of all walks."""
        if not self.of_walk:
            return index_views(context)
        return context.cached("walk_views", lambda: views_of_index(context, context.shown))

    def named_items(self, row: Row) -> Sequence[int]:
        """The objects."""
        return row.items if self.needs_objects else ()

    def possible(self, views: ViewSet) -> Iterator[Row]:
        """What might be asked, wrong options drawn."""
        if self.quantity == "camera_on_map":
            for a, b in combinations(views.frames, 2):
                if views.overlapping(a, b):
                    swap = views.place.draw(self.task, (a, b), "swap") & 1
                    yield Row((b, a) if swap else (a, b), ())
        elif self.quantity == "view_from":
            yield from possible_views(self.task, views)
        else:
            for (stand, face), others in _turned(views).items():
                for right, wrong in self._offers(views, stand, face, others):
                    yield Row(views.frames, (stand, face, right, *wrong))

    def _offers(
        self, views: ViewSet, stand: int, face: int, others: _Turned
    ) -> Iterator[tuple[int, list[int]]]:
        """A right object and three wrong ones, for each side, or each sense of a turn."""
        border = views.recipe.guards.direction_border_deg

        def drawn(mask: NDArray[np.bool_], slot: str, count: int) -> list[int]:
            found = others.ids[mask].tolist()
            key = (*views.frames, stand, face)
            draws = [views.place.draw(self.task, (*key, k), slot) for k in found]
            return [k for _, k in sorted(zip(draws, found, strict=True))][:count]

        clear = np.abs((others.angle[:, None] - _BORDERS + 180) % 360 - 180).min(axis=1) >= border
        for name in SIDES_SAID:
            if self.quantity == "object_at":
                inside, reach = _on_side(others.angle, name), _on_side(others.corners, name)
                good = inside & clear & ((~reach).sum(axis=1) <= STRAY_CORNERS)
                bad = ~inside & clear & (reach.sum(axis=1) <= STRAY_CORNERS)
            elif name == "behind":
                continue
            else:
                sense = others.angle > 0 if name == "left" else others.angle < 0
                size = np.abs(others.angle)
                good = sense & (size >= LEAST_TURN_DEG) & (size <= MOST_TURN_DEG)
                good, bad = _after_turn(others, drawn(good, f"right/{name}", 1))
            right = drawn(good, f"right/{name}", 1)
            wrong = drawn(bad, f"distractor/{name}", WRONG)
            if right and len(wrong) == WRONG:
                yield right[0], wrong

    def ask(self, views: ViewSet, row: Row) -> Answer[Any] | Rejection:
        """The answer of the geometry: a category, an ordinal, or a place on the map."""
        if self.quantity == "camera_on_map":
            return self._on_map(views, *row.frames)
        fault = views.name_fault(row.items, row.frames)
        if fault is not None:
            return Rejection(fault)
        if self.quantity == "view_from":
            return view_from(views, row)
        stand, face, *offered = row.items
        fault = stand_fault(views, stand, face)
        if fault is not None:
            return Rejection(fault)
        found = [bearing_at(views, stand, face, k) for k in offered]
        evidence: Evidence = {
            "angles_deg": [one.angle for one in found],
            "floor_distances_m": [list(one.spans) for one in found],
        }
        if not all(in_range(views, one) for one in found):
            return Rejection(Reason.DISTANCE_RANGE, evidence)
        right, *wrong = found
        if self.quantity == "object_at":
            name = side(right.angle)
            evidence["side"] = name
            border = views.recipe.guards.direction_border_deg
            if name == "ahead" or any(from_border(f.angle, _BORDERS) < border for f in found):
                return Rejection(Reason.DIRECTION_BORDER, evidence)
            if any(side(one.angle) == name for one in wrong):
                return Rejection(Reason.DISTRACTOR_SHORT, evidence)
            stray = sum(side(corner) != name for corner in right.corners)
            into = [sum(side(corner) == name for corner in one.corners) for one in wrong]
            if max(stray, *into) > STRAY_CORNERS:
                return Rejection(Reason.SECTOR_SPLIT, evidence)
            return Answer(views.category(offered[0]), evidence)
        turn = STEP_DEG * round(right.angle / STEP_DEG)
        evidence["turn_deg"] = turn
        if not LEAST_TURN_DEG <= abs(right.angle) <= MOST_TURN_DEG:
            return Rejection(Reason.DIRECTION_BORDER, evidence)
        for one in wrong:
            off = [from_border(angle, (turn,)) for angle in (one.angle, *one.corners)]
            if off[0] < OFF_DEG or min(off) < CORNER_OFF_DEG:
                return Rejection(Reason.DISTRACTOR_SHORT, evidence)
        return Answer(views.category(offered[0]), evidence)

    def _on_map(self, views: ViewSet, first: int, second: int) -> Answer[Any] | Rejection:
        """Metres to the right of the first camera and ahead of it."""
        if not views.overlapping(first, second):
            return Rejection(Reason.NO_OVERLAP)
        if not views.level(first):
            return Rejection(Reason.STEEP_VIEW)
        place = views.stand(first).on_map(views.stand(second).position)
        evidence: Evidence = {"map_m": list(place)}
        if not all(LEAST_MAP_M <= abs(metres) <= MOST_MAP_M for metres in place):
            return Rejection(Reason.DISTANCE_RANGE, evidence)
        return Answer(place, evidence)

    def tell(self, views: ViewSet, row: Row, found: Answer[Any]) -> Facts:
        """Names, options and the answer."""
        if self.quantity == "view_from":
            stand, face = map(views.category, row.items)
            answer = answers.word(found.value)
            slots = {"stand": stand, "face": face, "answer": answer.span}
            return Facts(answer, found.evidence, slots)
        if self.quantity == "camera_on_map":
            x, y = (abs(metres) for metres in found.value)
            texts = [_map_text(u, v) for v in (y, -y) for u in (-x, x)]
            right, slots = _map_text(*found.value), {}
        else:
            texts = [views.category(k) for k in row.items[2:]]
            right, slots = texts[0], self._slots(views, row, found.evidence)
        key = (*sorted(row.frames), *row.items)
        draws = [views.place.draw(self.task, (*key, k), "order") for k in range(len(texts))]
        options = tuple(text for _, text in sorted(zip(draws, texts, strict=True)))
        letter = LETTERS[options.index(right)]
        slots |= {"options": answers.option_lines(options), "letter": letter}
        return Facts(answers.letter(letter), found.evidence, slots, options=options)

    def _slots(self, views: ViewSet, row: Row, evidence: Evidence) -> dict[str, str]:
        slots = {"stand": views.category(row.items[0]), "face": views.category(row.items[1])}
        if self.quantity == "object_at":
            return slots | {"side": SIDES_SAID[evidence["side"]]}
        turn = int(evidence["turn_deg"])
        side_word = "left" if turn > 0 else "right"
        return slots | {"turn": f"{abs(turn)} degrees to the {side_word}"}

    def chain(self, told: Telling) -> Chain | None:
        """The numbers of its evidence in words."""
        return of_plans.perspective(told, self.quantity)


def _map_text(right_m: float, ahead_m: float) -> str:
    """A place on the map of 0-1000 coordinates: (x, y), the first camera at (500, 500)."""
    scale = 1000.0 / MAP_M
    return f"({round(500 + scale * right_m)}, {round(500 - scale * ahead_m)})"


def _on_side(angles: Float64, name: str) -> NDArray[np.bool_]:
    """Whether bearings are in the quarter of a side, as `standing.side`."""
    if name == "behind":
        return np.asarray(np.abs(angles) > 135.0)
    within = (np.abs(angles) >= 45.0) & (np.abs(angles) <= 135.0)
    return np.asarray(within & ((angles > 0) == (name == "left")))


def _after_turn(
    others: _Turned, right: Sequence[int]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which object is ahead after the turn that leads to it, and which clearly are not."""
    good = np.isin(others.ids, right)
    if not good.any():
        return good, good
    turn = STEP_DEG * round(float(others.angle[good][0]) / STEP_DEG)
    off = np.abs((others.angle - turn + 180.0) % 360.0 - 180.0)
    corner = np.abs((others.corners - turn + 180.0) % 360.0 - 180.0).min(axis=1)
    return good, (off >= OFF_DEG) & (corner >= CORNER_OFF_DEG)


def _turned(views: ViewSet) -> dict[tuple[int, int], _Turned]:
    """The bearings of all unique objects, by where one stands and what one faces."""
    turns, found = views.layout.turns, {}
    if not len(turns.object_ids):
        return {}
    _, starts = np.unique(turns.object_ids[:, :2], axis=0, return_index=True)
    for block in np.split(np.arange(len(turns.object_ids)), sorted(starts.tolist())[1:]):
        near = block[turns.in_range[block]]
        stand, face = turns.object_ids[block[0], :2].tolist()
        found[stand, face] = _Turned(
            turns.object_ids[near, 2], turns.angle[near], turns.corners[near]
        )
    return found


PERSPECTIVE = tuple(Perspective(quantity) for quantity in get_args(Quantity))
