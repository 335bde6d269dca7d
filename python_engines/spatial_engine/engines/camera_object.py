# SPDX-License-Identifier: Apache-2.0
"""Camera and object: how far, which way, how both change from image to image, seen or not.

Distances are from the camera to the nearest point of the object that the image shows. Directions
are seen from above, from where the camera looks. An object that an image does not show is one that
an overlapping image shows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise, permutations
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from spatial_engine.engines.asked import AskedEngine
from spatial_engine.engines.base import WORD, AnswerForm, Facts, Metric, equal_shares
from spatial_engine.engines.candidates import Row
from spatial_engine.engines.chains import of_cameras
from spatial_engine.engines.contents import ANY, content_of, number_strata, number_stratum
from spatial_engine.engines.numeric_choice import NumericChoice
from spatial_engine.engines.view_set import ViewSet, shortest_chains
from spatial_engine.records import answers
from spatialcore.relations.verdict import Answer, Evidence, Reason, Rejection

if TYPE_CHECKING:
    from spatial_engine.recipe import Recipe
    from spatial_engine.records.chains import Chain, Telling

Quantity = Literal[
    "distance", "unseen_bearing", "unseen_direction", "distance_change", "distance_difference",
    "orbit_angle", "nearest_image",
]  # fmt: skip
ORDINALS = ("first", "second", "third", "fourth")
SIDES = ("left", "right", "behind")
WORDS: Mapping[str, tuple[str, ...]] = {
    "unseen_direction": SIDES,
    "distance_change": ("nearer", "farther"),
    "nearest_image": ORDINALS,
}
_UNITS: Mapping[str, tuple[AnswerForm, float]] = {
    "distance": (AnswerForm("number", "m"), 0.1),
    "distance_difference": (AnswerForm("number", "m"), 0.1),
    "unseen_bearing": (AnswerForm("integer", "degree"), 1.0),
    "orbit_angle": (AnswerForm("integer", "degree"), 1.0),
}
NEAREST_M, FARTHEST_M = 0.5, 10.0
LEAST_FLOOR_M = 0.7  # nearer things have no one direction
LEAST_DIFFERENCE_M = 0.3
LEAST_BEARING_DEG, MOST_BEARING_DEG = 25.0, 170.0
LEAST_ORBIT_DEG = 15.0
WIDEST_DEG = 25.0  # from the middle of an object to its corners
AHEAD_DEG, BEHIND_DEG = 35.0, 135.0  # to either side
LINKED = 3  # images from one that shows an object to one that does not
SETS = 12  # of four images, of one object


@dataclass(frozen=True, slots=True)
class CameraObject(AskedEngine):
    """One of the tasks about a camera and an object.

    Attributes:
        quantity: What is asked.
    """

    quantity: Quantity

    @property
    def task(self) -> str:
        """Task name."""
        return f"camera_object.{self.quantity}"

    @property
    def needs_objects(self) -> bool:
        """All of them are about objects."""
        return True

    @property
    def needs_up(self) -> bool:
        """Whether a direction on the floor is asked for; distances need none."""
        return self.quantity in ("unseen_bearing", "unseen_direction", "orbit_angle")

    @property
    def needs_metres(self) -> bool:
        """All keep thresholds in metres."""
        return True

    @property
    def words(self) -> tuple[str, ...]:
        """The closed set of answers, () for a number."""
        return WORDS.get(self.quantity, ())

    @property
    def answer(self) -> AnswerForm:
        """A word, metres or degrees."""
        return WORD if self.words else _UNITS[self.quantity][0]

    @property
    def metric(self) -> Metric:
        """Lengths are scored as those of scene_layout, angles as those of cameras."""
        if self.words:
            return "accuracy"
        return "MRA" if self.answer.unit == "m" else "within 20 %"

    @property
    def has_choice(self) -> bool:
        """All numbers have a choice."""
        return not self.words

    def strata(self, recipe: Recipe) -> tuple[tuple[str, float], ...]:
        """One for each word, or size of a number."""
        if not recipe.word_strata:
            return (("", 1.0),)
        if self.words:
            return equal_shares(self.words)
        form, scale = _UNITS[self.quantity]
        return number_strata(form.unit, scale)

    def said(self, views: ViewSet, row: Row, value: Any) -> tuple[int, int]:
        """The word, or the size of the number; what one object's name tells is balanced by name."""
        if self.quantity == "unseen_direction":  # doors are seldom where one looks
            return self.words.index(value), content_of(views.category(row.items[0]))
        if self.words:
            return self.words.index(value), 0
        stratum = number_stratum(value, _UNITS[self.quantity][1])
        one = self.quantity == "distance"
        return stratum, content_of(views.category(row.items[0])) if one else ANY

    def possible(self, views: ViewSet) -> Iterator[Row]:
        """Frames, and an object that they show or lack."""
        chains = self._chains(views) if self.quantity.startswith("unseen") else []
        for row, object_id in enumerate(views.ids.tolist()):
            sole = views.sole[row]
            shown = [f for f, c in views.columns.items() if views.shown[row, c] and sole[c]]
            if self.quantity == "distance":
                yield from (Row((f,), (object_id,)) for f in shown)
            elif self.quantity == "nearest_image":
                yield from (
                    Row(four, (object_id,)) for four in self._fours(views, object_id, shown)
                )
            elif self.quantity in ("unseen_bearing", "unseen_direction"):
                clear = {f for f, c in views.columns.items() if sole[c]}
                lacking = {f for f, c in views.columns.items() if views.unseen[row, c]} & clear
                for chain in chains:
                    if chain[0] in shown and chain[-1] in lacking and clear.issuperset(chain):
                        yield Row(chain, (object_id,))
            else:
                for a, b in permutations(shown, 2):
                    later = views.place.draw(self.task, (min(a, b), max(a, b), object_id), "swap")
                    if (a > b) == bool(later & 1) and views.overlapping(a, b):
                        yield Row((a, b), (object_id,))

    def _chains(self, views: ViewSet) -> list[tuple[int, ...]]:
        """Three images that lead from one to another by overlaps, in both directions.

        What is behind somebody takes more than two images to know; were there as many as it takes,
        their number would tell how far one has to turn.
        """
        found = [chain for chain in shortest_chains(views) if len(chain) == LINKED]
        return [*found, *(chain[::-1] for chain in found)]

    def _fours(self, views: ViewSet, object_id: int, shown: list[int]) -> list[tuple[int, ...]]:
        """Sets of four frames, in a drawn order; each set once."""
        found: dict[tuple[int, ...], tuple[int, ...]] = {}
        for k in range(SETS if len(shown) >= 4 else 0):
            draws = views.place.draw_rows(
                self.task, (shown, [object_id] * len(shown), [k] * len(shown)), "set"
            )
            four = tuple(shown[i] for i in np.argsort(draws, kind="stable")[:4])
            found.setdefault(tuple(sorted(four)), four)
        return list(found.values())

    def ask(self, views: ViewSet, row: Row) -> Answer[Any] | Rejection:
        """The answer of the geometry; evidence holds what was measured."""
        (object_id,) = row.items
        fault = views.name_fault(row.items, row.frames)
        if fault is not None:
            return Rejection(fault)
        if self.quantity in ("unseen_bearing", "unseen_direction"):
            return self._unseen(views, object_id, row.frames)
        if not all(views.shows(object_id, frame) for frame in row.frames):
            return Rejection(Reason.CATEGORY_NOT_SEEN)
        if self.quantity == "orbit_angle":
            if not all(views.middle_shown(object_id, frame) for frame in row.frames):
                return Rejection(Reason.HIDDEN_PART)
            return self._orbit(views, object_id, *row.frames)
        ranges: list[float] = []
        for frame in row.frames:
            found = views.range_of(object_id, frame)
            if isinstance(found, Reason):
                return Rejection(found)
            ranges.append(found)
        evidence: Evidence = {"ranges_m": ranges}
        if not all(NEAREST_M <= metres <= FARTHEST_M for metres in ranges):
            return Rejection(Reason.DISTANCE_RANGE, evidence)
        return self._of_ranges(views, row, ranges, evidence)

    def _of_ranges(
        self, views: ViewSet, row: Row, ranges: list[float], evidence: Evidence
    ) -> Answer[Any] | Rejection:
        if self.quantity == "distance":
            return Answer(ranges[0], evidence)
        if self.quantity == "nearest_image":
            least, second = sorted(ranges)[:2]
            if not views.apart(least, second):
                return Rejection(Reason.DISTANCE_GAP, evidence)
            return Answer(ORDINALS[ranges.index(least)], evidence)
        if not views.overlapping(*row.frames):
            return Rejection(Reason.NO_OVERLAP, evidence)
        first, second = ranges
        if not views.apart(first, second):
            return Rejection(Reason.DEAD_ZONE, evidence)
        if self.quantity == "distance_change":
            return Answer("nearer" if second < first else "farther", evidence)
        difference = abs(second - first)
        if difference < LEAST_DIFFERENCE_M:
            return Rejection(Reason.DEAD_ZONE, evidence)
        return Answer(difference, evidence)

    def _unseen(
        self, views: ViewSet, object_id: int, frames: tuple[int, ...]
    ) -> Answer[Any] | Rejection:
        """Which way an object is from the last of the cameras, which does not see it."""
        there, here = frames[0], frames[-1]
        if not all(views.overlapping(a, b) for a, b in pairwise(frames)):
            return Rejection(Reason.NO_OVERLAP)
        if not (views.shows(object_id, there) and views.lacks(object_id, here)):
            return Rejection(Reason.CATEGORY_NOT_SEEN)
        if not views.level(here):
            return Rejection(Reason.STEEP_VIEW)
        if self.quantity == "unseen_bearing" and not views.middle_shown(object_id, there):
            return Rejection(Reason.HIDDEN_PART)
        # Whichever images lead there.
        return views.kept(
            (self.task, object_id, here), lambda: self._bearing(views, object_id, here)
        )

    def _bearing(self, views: ViewSet, object_id: int, here: int) -> Answer[Any] | Rejection:
        """Which way an object is from a camera."""
        stand, item = views.stand(here), views.object(object_id)
        away, bearing = stand.floor_distance(item.centroid), stand.bearing(item.centroid)
        evidence: Evidence = {"bearing_deg": bearing, "floor_distance_m": away}
        if not LEAST_FLOOR_M <= away <= FARTHEST_M:
            return Rejection(Reason.DISTANCE_RANGE, evidence)
        corners = [stand.bearing(corner) for corner in item.box.corners]
        spread = max(abs((c - bearing + 180.0) % 360.0 - 180.0) for c in corners)
        evidence["spread_deg"] = spread
        if self.quantity == "unseen_bearing":
            if spread > WIDEST_DEG:
                return Rejection(Reason.SECTOR_SPLIT, evidence)
            if not LEAST_BEARING_DEG <= abs(bearing) <= MOST_BEARING_DEG:
                return Rejection(Reason.DIRECTION_BORDER, evidence)
            return Answer(abs(bearing), evidence)
        border = views.recipe.guards.direction_border_deg
        if min(abs(abs(bearing) - b) for b in (AHEAD_DEG, BEHIND_DEG)) < border:
            return Rejection(Reason.DIRECTION_BORDER, evidence)
        words = [side_of(c) for c in (bearing, *corners)]
        if words[0] == "ahead":
            return Rejection(Reason.DIRECTION_BORDER, evidence)
        if sum(word != words[0] for word in words[1:]) > 1:
            return Rejection(Reason.SECTOR_SPLIT, evidence)
        return Answer(words[0], evidence)

    def _orbit(self, views: ViewSet, object_id: int, a: int, b: int) -> Answer[Any] | Rejection:
        """By how much the line of sight to an object turned, seen from above."""
        if not views.overlapping(a, b):
            return Rejection(Reason.NO_OVERLAP)
        item = views.object(object_id)
        stands = [views.stand(frame) for frame in (a, b)]
        away = [stand.floor_distance(item.centroid) for stand in stands]
        turn = views.measures.turn(item.centroid, stands[0].position, stands[1].position)
        size = item.box.corners[:, :2] - item.centroid[:2]
        half = float(np.sqrt((size * size).sum(axis=1)).max())
        evidence: Evidence = {"turn_deg": turn, "floor_distances_m": away, "half_width_m": half}
        if not all(max(LEAST_FLOOR_M, 2.0 * half) <= metres <= FARTHEST_M for metres in away):
            return Rejection(Reason.DISTANCE_RANGE, evidence)
        if not LEAST_ORBIT_DEG <= abs(turn) <= MOST_BEARING_DEG:
            return Rejection(Reason.DEAD_ZONE, evidence)
        return Answer(abs(turn), evidence)

    def tell(self, views: ViewSet, row: Row, found: Answer[Any]) -> Facts:
        """The object's name, and the answer."""
        slots = {"category": views.category(row.items[0])}
        if self.words:
            answer = answers.word(found.value)
        elif self.answer.unit == "m":
            answer = answers.number(found.value, "m")
        else:
            answer = answers.integer(found.value, "degree")
        return Facts(answer, found.evidence, slots | {"answer": answer.span})

    def chain(self, told: Telling) -> Chain | None:
        """The numbers of its evidence in words."""
        return of_cameras.camera_object(told, self.quantity)


def side_of(bearing: float) -> str:
    """The word for a bearing: ahead, left, right or behind."""
    if abs(bearing) < AHEAD_DEG:
        return "ahead"
    if abs(bearing) >= BEHIND_DEG:
        return "behind"
    return "left" if bearing > 0 else "right"


OPEN = tuple(CameraObject(quantity) for quantity in get_args(Quantity))
CAMERA_OBJECT = (*OPEN, *(NumericChoice(one) for one in OPEN if one.has_choice))
