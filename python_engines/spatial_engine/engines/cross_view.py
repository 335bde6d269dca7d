# SPDX-License-Identifier: Apache-2.0
"""Relations across images: of objects, or cameras, that no single image puts together.

Three to six images form a chain: each shares enough with another one, so that all of them can be
put together, but no image shows both of the objects that are asked about, and the two cameras that
are asked about share nothing. The images are shown in a drawn order, and no answer depends on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from spatial_engine.engines.asked import AskedEngine
from spatial_engine.engines.base import WORD, AnswerForm, Facts, Metric, Subject, equal_shares
from spatial_engine.engines.candidates import Row
from spatial_engine.engines.chains import of_cameras
from spatial_engine.engines.contents import ANY, content_of, number_strata, number_stratum
from spatial_engine.engines.layout_scene import OBJECTS
from spatial_engine.engines.numeric_choice import NumericChoice
from spatial_engine.engines.standing import QUADRANTS, SIDES, from_border, quadrant_of, side
from spatial_engine.engines.view_set import ViewSet, connected, shortest_chains
from spatial_engine.records import answers
from spatialcore.relations.verdict import Answer, Evidence, Reason, Rejection

if TYPE_CHECKING:
    from spatial_engine.recipe import Recipe
    from spatial_engine.records.chains import Chain, Telling

Quantity = Literal["object_distance", "object_direction", "camera_distance", "camera_direction"]
WORDS: Mapping[str, tuple[str, ...]] = {"object_direction": QUADRANTS, "camera_direction": SIDES}
LEAST_M, MOST_M = 0.5, 12.0
CHAINS = 250  # of a scene and task
SETS = 4  # of objects, of a chain
_BORDERS = (45.0, 135.0, -45.0, -135.0)


@dataclass(frozen=True, slots=True)
class CrossView(AskedEngine):
    """One of the tasks about what no image puts together.

    Attributes:
        quantity: What is asked.
    """

    quantity: Quantity

    @property
    def task(self) -> str:
        """Task name."""
        return f"cross_view.{self.quantity}"

    @property
    def of_objects(self) -> bool:
        """Whether objects are asked about, not cameras."""
        return self.quantity.startswith("object")

    @property
    def needs_objects(self) -> bool:
        """Whether it asks about labelled objects."""
        return self.of_objects

    @property
    def needs_up(self) -> bool:
        """Whether a direction on the floor is asked for."""
        return self.quantity.endswith("direction")

    @property
    def subject(self) -> Subject:
        """The places of objects, or the movement between two cameras."""
        return OBJECTS if self.of_objects else Subject("translation")

    @property
    def words(self) -> tuple[str, ...]:
        """The closed set of directions, () for a distance."""
        return WORDS.get(self.quantity, ())

    @property
    def answer(self) -> AnswerForm:
        """A word, or metres."""
        return WORD if self.words else AnswerForm("number", "m")

    @property
    def metric(self) -> Metric:
        """Lengths are scored as those of scene_layout."""
        return "accuracy" if self.words else "MRA"

    @property
    def has_choice(self) -> bool:
        """The distances have a choice."""
        return not self.words

    def strata(self, recipe: Recipe) -> tuple[tuple[str, float], ...]:
        """One for each word, or size of a distance."""
        if not recipe.word_strata:
            return (("", 1.0),)
        return equal_shares(self.words) if self.words else number_strata("m", 0.1)

    def said(self, views: ViewSet, row: Row, value: Any) -> tuple[int, int]:
        """The word, or the size of the number.

        More images lead farther, and some things stand farther from all others: of a distance
        between two things the number of images and one of the names, which is drawn, tell.
        """
        if self.words:
            return self.words.index(value), 0
        if not self.of_objects:
            return number_stratum(value, 0.1), ANY
        drawn = views.place.draw(self.task, (*sorted(row.frames), *row.items), "content")
        name = views.category(row.items[drawn & 1])
        return number_stratum(value, 0.1), content_of(f"{len(row.frames)} images", name)

    def named_items(self, row: Row) -> Sequence[int]:
        """The objects."""
        return row.items if self.of_objects else ()

    def possible(self, views: ViewSet) -> Iterator[Row]:
        """Chains of images in a drawn order, with two cameras of them or objects at their ends."""
        for chain in self._chains(views):
            draws = [views.place.draw(self.task, (*sorted(chain), f), "order") for f in chain]
            shown = tuple(f for _, f in sorted(zip(draws, chain, strict=True)))
            if not self.of_objects:
                swap = views.place.draw(self.task, (*sorted(chain), 0), "swap") & 1
                ends = (chain[0], chain[-1])
                yield Row(shown, ends[::-1] if swap else ends)
                continue
            sets = list(self._objects(views, chain))
            keys = [views.place.draw(self.task, (*sorted(chain), *s), "set") for s in sets]
            for k in np.argsort(np.array(keys, dtype=np.uint64), kind="stable")[:SETS].tolist():
                yield Row(shown, sets[k])

    def _chains(self, views: ViewSet) -> list[tuple[int, ...]]:
        """Shortest chains between frames that share too little, those of the smallest draws."""
        every = shortest_chains(views)
        if not self.of_objects:
            every = [chain for chain in every if not views.sharing(chain[0], chain[-1])]
        draws = [views.place.draw(self.task, (chain[0], chain[-1]), "chain") for chain in every]
        order = sorted(range(len(every)), key=lambda k: (draws[k], every[k]))
        return [every[k] for k in order[:CHAINS]]

    def _objects(self, views: ViewSet, chain: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        """Two objects at the ends of a chain, or two at one end and one at the other."""
        at = [views.columns[frame] for frame in chain]
        sole = views.sole[:, at].all(axis=1)
        for first, last in ((at[0], at[-1]), (at[-1], at[0])):
            here = views.ids[views.shown[:, first] & views.unseen[:, last] & sole].tolist()
            there = views.ids[views.shown[:, last] & views.unseen[:, first] & sole].tolist()
            if self.quantity == "object_distance":
                if first == at[0]:
                    yield from ((a, b) for a in here for b in there)
                continue
            for a, b in combinations(here, 2):
                yield from ((*pair, c) for c in there for pair in ((a, b), (b, a)))

    def ask(self, views: ViewSet, row: Row) -> Answer[Any] | Rejection:
        """The answer of the geometry; it is the same for every order of the frames."""
        if not connected(views, row.frames):
            return Rejection(Reason.NO_OVERLAP)
        if not self.of_objects:
            return self._cameras(views, *row.items)
        fault = views.name_fault(row.items, row.frames)
        if fault is not None:
            return Rejection(fault)
        *group, other = row.items
        for frame in row.frames:
            if not views.lacks(other, frame) and not all(views.lacks(k, frame) for k in group):
                return Rejection(Reason.VIEW_SHARED)
        if self.quantity == "object_direction":
            if not any(all(views.shows(k, f) for k in group) for f in row.frames):
                return Rejection(Reason.CATEGORY_NOT_SEEN)
            return quadrant_of(views, *row.items)
        found = views.gap(row.items[0], row.items[1], row.frames)
        if isinstance(found, Answer) and not LEAST_M <= found.value <= MOST_M:
            return Rejection(Reason.DISTANCE_RANGE, found.evidence)
        return found

    def _cameras(self, views: ViewSet, a: int, b: int) -> Answer[Any] | Rejection:
        if views.sharing(a, b):
            return Rejection(Reason.VIEW_SHARED)
        stand, target = views.stand(a), views.stand(b).position
        away = stand.range(target[None])
        evidence: Evidence = {"distance_m": away}
        if self.quantity == "camera_distance":
            if not LEAST_M <= away <= MOST_M:
                return Rejection(Reason.DISTANCE_RANGE, evidence)
            return Answer(away, evidence)
        if not views.level(a):
            return Rejection(Reason.STEEP_VIEW, evidence)
        bearing = stand.bearing(target)
        evidence |= {"bearing_deg": bearing, "floor_distance_m": stand.floor_distance(target)}
        if not LEAST_M <= evidence["floor_distance_m"] <= MOST_M:
            return Rejection(Reason.DISTANCE_RANGE, evidence)
        if from_border(bearing, _BORDERS) < views.recipe.guards.direction_border_deg:
            return Rejection(Reason.DIRECTION_BORDER, evidence)
        return Answer(side(bearing), evidence)

    def tell(self, views: ViewSet, row: Row, found: Answer[Any]) -> Facts:
        """The names of objects, or which of the images were taken by the cameras."""
        if self.quantity == "object_direction":
            names = map(views.category, row.items)
            slots = dict(zip(("stand", "face", "target"), names, strict=True))
        elif self.of_objects:
            first, second = map(views.category, row.items)
            slots = {"first": first, "second": second}
        else:
            places = [str(1 + row.frames.index(frame)) for frame in row.items]
            slots = dict(zip(("from_image", "to_image"), places, strict=True))
        answer = answers.word(found.value) if self.words else answers.number(found.value, "m")
        return Facts(answer, found.evidence, slots | {"answer": answer.span})

    def chain(self, told: Telling) -> Chain | None:
        """The numbers of its evidence in words."""
        return of_cameras.cross_view(told, self.quantity)


OPEN = tuple(CrossView(quantity) for quantity in get_args(Quantity))
CROSS_VIEW = (*OPEN, *(NumericChoice(one) for one in OPEN if one.has_choice))
