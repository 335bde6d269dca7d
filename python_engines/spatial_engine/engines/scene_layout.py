# SPDX-License-Identifier: Apache-2.0
"""Scene layout over a list of shown frames: counts, distances, directions, sizes, appearance.

The geometry is in `spatialcore.relations.layout` and `.room`. A question is asked about categories
all of whose instances some shown frame sees, so the frames suffice to answer it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from spatial_engine.engines import seen_answers as seen
from spatial_engine.engines.base import (
    LETTER,
    AnswerForm,
    Engine,
    Facts,
    Metric,
    Named,
    Subject,
    equal_shares,
)
from spatial_engine.engines.budgets import FrameAnswer
from spatial_engine.engines.candidates import CandidateTable, Row
from spatial_engine.engines.chains import of_objects
from spatial_engine.engines.contents import ANY, content_of, number_strata, number_stratum, of_form
from spatial_engine.engines.context import SceneContext
from spatial_engine.engines.layout_scene import (
    OBJECTS,
    LayoutScene,
    answered,
    layout_of,
    layout_scene,
    reference_layout,
)
from spatial_engine.engines.published import Published
from spatial_engine.engines.seen_sizes import size_fault
from spatial_engine.records import answers
from spatialcore.draws import uniform_below
from spatialcore.relations import layout as geometry
from spatialcore.relations.directions import relative_direction
from spatialcore.relations.verdict import Answer, Reason, Rejection

if TYPE_CHECKING:
    from spatial_engine.recipe import Recipe
    from spatial_engine.records.chains import Chain, Telling
    from spatial_engine.reference.scene import ReferenceScene

Quantity = Literal[
    "object_count", "absolute_distance", "relative_distance", "relative_direction_easy",
    "relative_direction_medium", "relative_direction_hard", "object_size", "room_size",
    "appearance_order",
]  # fmt: skip
QUESTION_TYPES: Mapping[str, str] = {
    "object_count": "object_counting", "absolute_distance": "object_abs_distance",
    "relative_distance": "object_rel_distance",
    "relative_direction_easy": "object_rel_direction_easy",
    "relative_direction_medium": "object_rel_direction_medium",
    "relative_direction_hard": "object_rel_direction_hard",
    "object_size": "object_size_estimation", "room_size": "room_size_estimation",
    "appearance_order": "obj_appearance_order",
}  # fmt: skip
_NUMBERS: Mapping[str, AnswerForm] = {
    "object_count": AnswerForm("integer", "count"), "absolute_distance": AnswerForm("number", "m"),
    "object_size": AnswerForm("integer", "cm"), "room_size": AnswerForm("number", "m2"),
}  # fmt: skip
SECTORS: Mapping[str, tuple[str, ...]] = {
    "easy": ("left", "right"), "medium": ("left", "right", "back"),
    "hard": ("front-left", "front-right", "back-left", "back-right"),
}  # fmt: skip
# Of the first bin's width: sizes are told in metres here.
_SCALE: Mapping[str, float] = {"absolute_distance": 0.1, "object_size": 0.01}
_POOL = 8  # categories that sets of four are drawn from: 70 sets for each primary
_ORDER_POOL = 18  # the same where there is no primary: 3,060 sets, few of them well apart in time
_LETTERS = "ABCD"


@dataclass(frozen=True, slots=True)
class SceneLayout(Engine):
    """One of the layout tasks.

    Attributes:
        quantity: What is asked.
    """

    quantity: Quantity
    subject: ClassVar[Subject] = OBJECTS
    of_walk: ClassVar[bool] = True
    needs_up: ClassVar[bool] = True

    @property
    def task(self) -> str:
        """Task name."""
        return f"scene_layout.{self.quantity}"

    @property
    def needs_objects(self) -> bool:
        """All but the room's size are about objects."""
        return self.quantity != "room_size"

    @property
    def question_type(self) -> str:
        """The VSI-Bench type."""
        return QUESTION_TYPES[self.quantity]

    @property
    def form(self) -> str:
        """easy, medium or hard for a direction, else ""."""
        return self.quantity.rpartition("_")[2] if "direction" in self.quantity else ""

    @property
    def words(self) -> tuple[str, ...]:
        """The letters of a choice, else ()."""
        if self.form:
            return tuple(_LETTERS[: len(SECTORS[self.form])])
        choice = self.quantity in ("relative_distance", "appearance_order")
        return tuple(_LETTERS) if choice else ()

    @property
    def answer(self) -> AnswerForm:
        """A letter, or a number of what is asked."""
        return _NUMBERS.get(self.quantity, LETTER)

    @property
    def metric(self) -> Metric:
        """Numbers are scored as VSI-Bench scores them."""
        return "accuracy" if self.words else "MRA"

    @property
    def published(self) -> Published:
        """The row of its VSI-Bench type; the three difficulties of direction share one."""
        row = "object_rel_direction" if self.form else self.question_type
        return Published("VSI-Bench", row)

    def strata(self, recipe: Recipe) -> tuple[tuple[str, float], ...]:
        """One for each sector of a direction, size of a number, or order of two categories."""
        if not recipe.word_strata:
            return (("", 1.0),)
        if self.form:
            return equal_shares(SECTORS[self.form])
        if self.quantity in _NUMBERS:
            return number_strata(_NUMBERS[self.quantity].unit, _SCALE.get(self.quantity, 1.0))
        return equal_shares(("first", "second"))

    def candidates(self, context: SceneContext) -> CandidateTable:
        """Every set of objects that has an answer in the shown frames and is for this form."""
        table = self.every(context)
        if self.quantity not in _NUMBERS or not context.recipe.word_strata:
            return table
        return of_form(table, context, self.task, choice=False)

    def every(self, context: SceneContext) -> CandidateTable:
        """Every set of objects that has an answer in the shown frames, whatever the form."""
        layout = layout_scene(context)
        sectors = SECTORS.get(self.form, ()) if context.recipe.word_strata else ()
        rejected: Counter[str]
        if self.form:
            items_table, words, rejected = self._directions(layout)
            content = [0] * len(words)
            stratum = [sectors.index(word) if sectors else 0 for word in words]
        else:
            told, rejected = self._told(layout)
            rows = [items for items, _ in told]
            items_table = np.array(rows, dtype=np.int64).reshape(len(rows), -1 if rows else 0)
            stratum, content = [0] * len(rows), [0] * len(rows)
            if context.recipe.word_strata and rows:
                said = [self._said(layout, items, value) for items, value in told]
                content, stratum = [list(column) for column in zip(*said, strict=True)]
        if self.quantity not in ("object_count", "room_size"):
            rejected += Counter(layout.unnamed())
        if not len(stratum):
            return CandidateTable.empty(rejected)
        shown = np.tile(np.array(layout.frames, dtype=np.int32), (len(stratum), 1))
        columns = [*shown.T, *items_table.T]
        chosen = context.place.draw_rows(self.task, columns, "select")
        return CandidateTable.build(
            shown, items_table, chosen, stratum=stratum, content=content, rejected=rejected
        )

    def _said(self, layout: LayoutScene, items: tuple[int, ...], value: Any) -> tuple[int, int]:
        """Content and stratum of an answer that is no direction.

        Of a choice among categories two are looked at: the right one and another one that is drawn,
        or for an order two that are drawn.
        """
        if self.quantity in _NUMBERS:
            named = self.quantity in ("object_count", "object_size")
            content = content_of(layout.object(items[0]).category) if named else ANY
            return content, number_stratum(value, _SCALE.get(self.quantity, 1.0))
        names = [layout.object(k).category for k in items]
        order = (value, *(n for n in names[1:] if n != value)) if isinstance(value, str) else value
        draws = [layout.place.draw(self.task, (*items, k), "content") for k in range(2)]
        last = 1 + uniform_below(draws[0], len(order) - 1)
        first = 0 if isinstance(value, str) else uniform_below(draws[1], last)
        return content_of(order[first], order[last]), int(order[first] > order[last])

    def _directions(self, layout: LayoutScene) -> tuple[NDArray[np.int64], list[str], Counter[str]]:
        """Ids and words of the sets of three that have an answer, and the others by reason."""
        if len(layout.frames) < 2:
            return np.zeros((0, 3), np.int64), [], Counter()
        found = layout.directions(self.form)
        clear = np.flatnonzero(found.refused == 0)
        words = found.words()
        ids = layout.turns.object_ids[clear]
        return ids, [words[k] for k in clear.tolist()], Counter(found.reasons())

    def _told(self, layout: LayoutScene) -> tuple[list[tuple[tuple[int, ...], Any]], Counter[str]]:
        """Sets of objects that have an answer, with its value, and the others by reason."""
        if self.quantity == "relative_distance":
            return seen.nearest_categories(layout, self._possible(layout))
        possible, rejected = self._possible_sets(layout)
        found = self._ask_all(layout, possible)
        rejected += Counter(str(one.reason) for one in found if isinstance(one, Rejection))
        both = zip(possible, found, strict=True)
        return [(k, one.value) for k, one in both if not isinstance(one, Rejection)], rejected

    def _possible_sets(self, layout: LayoutScene) -> tuple[list[tuple[int, ...]], Counter[str]]:
        """What is to be asked of the geometry, and what is refused without it."""
        if self.quantity != "appearance_order":
            return list(self._possible(layout)), Counter()
        # An order is clear where that of every two of its categories is, so most sets are refused
        # by one of their pairs.
        pool = self._pool(layout, "", _ORDER_POOL)
        unclear = {
            pair for pair in combinations(pool, 2)
            if getattr(self._ask(layout, pair), "reason", None) == Reason.ORDER_AMBIGUOUS
        }  # fmt: skip
        every = list(self._possible(layout))
        clear = [s for s in every if unclear.isdisjoint(combinations(s, 2))]
        return clear, Counter({str(Reason.ORDER_AMBIGUOUS): len(every) - len(clear)})

    def _possible(self, layout: LayoutScene) -> Iterator[tuple[int, ...]]:
        """Object ids of everything that might be asked, before any guard of the geometry."""
        if len(layout.frames) < 2:
            return
        unique = [item.object_id for item in layout.unique]
        if self.quantity == "room_size":
            yield ()
        elif self.quantity == "object_count":
            yield from ((items[0].object_id,) for items in layout.by_category.values())
        elif self.quantity == "object_size":
            yield from ((k,) for k in unique)
        elif self.quantity == "absolute_distance":
            yield from combinations(unique, 2)
        elif self.quantity == "relative_distance":
            for k in unique:
                for four in combinations(self._pool(layout, layout.object(k).category), 4):
                    yield (k, *four)
        else:
            yield from combinations(self._pool(layout, "", _ORDER_POOL), 4)

    def _pool(self, layout: LayoutScene, without: str, count: int = _POOL) -> list[int]:
        """First ids of a few askable categories, the same ones for the same scene and seed."""
        firsts = [layout.by_category[n][0].object_id for n in layout.askable if n != without]
        firsts.sort(key=lambda k: (layout.place.draw(self.task, (k,), "distractor"), k))
        return sorted(firsts[:count])

    def _ask_all(
        self, layout: LayoutScene, possible: Sequence[tuple[int, ...]]
    ) -> list[Answer[Any] | Rejection]:
        """`_ask` of many sets of objects."""
        if self.form:
            found, turn_of = layout.directions(self.form), layout.turn_of
            return [found[turn_of[items]] for items in possible]
        return [self._ask(layout, items) for items in possible]

    def _ask(self, layout: LayoutScene, items: tuple[int, ...]) -> Answer[Any] | Rejection:
        """The answer of the geometry, in SI units, or why there is none."""
        things, rules = [layout.object(k) for k in items], layout.rules
        if self.quantity == "room_size":
            return seen.room_told(layout)
        if self.quantity == "object_count":
            if rivals := layout.rivals[things[0].category]:
                return Rejection(Reason.NAME_AMBIGUOUS, {"rivals": list(rivals)})
            return geometry.object_count(
                layout.objects, things[0].category, seen=layout.seen, rules=rules
            )
        if self.quantity == "appearance_order":
            sightings = [layout.sightings[item.category] for item in things]
            return geometry.appearance_order(sightings, times=layout.times, rules=rules)
        if self.quantity == "relative_distance":
            return seen.nearest_category(layout, things)
        if self.quantity == "absolute_distance":
            return seen.gap_between(layout, things)
        if self.quantity == "object_size":
            if len(things[0].outline) < layout.recipe.guards.object_partial_vertices:
                return Rejection(Reason.OBJECT_PARTIAL, {"vertices": len(things[0].outline)})
            size = geometry.object_size(things[0], rules=rules)
            if isinstance(size, Rejection):
                return size
            return size_fault(layout, things[0], "longest_side") or size
        stand, face, target = things
        return relative_direction(stand, face, target, self.form, rules=rules)

    def facts(self, context: SceneContext, rows: Sequence[Row]) -> list[Facts]:
        """Answer and evidence of candidates."""
        layout = layout_scene(context)
        found = self._ask_all(layout, [row.items for row in rows])
        return [
            self._facts(layout, row, answered(self.task, row, one))
            for row, one in zip(rows, found, strict=True)
        ]

    def _facts(self, layout: LayoutScene, row: Row, found: Answer[Any]) -> Facts:
        names = [layout.object(k).category for k in row.items]
        value = found.value
        if self.quantity == "object_count":
            answer = answers.integer(value, "count")
            return Facts(answer, found.evidence, {"category": names[0], "count": answer.span})
        if self.quantity == "object_size":
            answer = answers.integer(100 * value, "cm")
            return Facts(answer, found.evidence, {"category": names[0], "size_cm": answer.span})
        if self.quantity == "room_size":
            answer = answers.number(value, "m2")
            return Facts(answer, found.evidence, {"area_m2": answer.span})
        if self.quantity == "absolute_distance":
            answer = answers.number(value, "m")
            slots = {"first": names[0], "second": names[1], "distance_m": answer.span}
            return Facts(answer, found.evidence, slots)
        options, slots = self._options(layout, row, names, value)
        right = ", ".join(value) if isinstance(value, tuple) else value
        letter = _LETTERS[options.index(right)]
        slots |= {"options": answers.option_lines(options), "letter": letter}
        return Facts(answers.letter(letter), found.evidence, slots, options=options)

    def _options(
        self, layout: LayoutScene, row: Row, names: list[str], value: Any
    ) -> tuple[tuple[str, ...], dict[str, str]]:
        """What a choice offers, in a keyed order, and the slots that name the objects."""
        key = (*sorted(row.frames), *row.items)

        def shuffled(texts: list[str], slot: str) -> list[str]:
            draws = [layout.place.draw(self.task, (*key, k), slot) for k in range(len(texts))]
            return [texts[k] for k in sorted(range(len(texts)), key=lambda k: (draws[k], k))]

        if self.form:
            slots = {"stand": names[0], "face": names[1], "target": names[2]}
            return tuple(shuffled(list(SECTORS[self.form]), "order")), slots
        if self.quantity == "relative_distance":
            return tuple(shuffled(names[1:], "order")), {"primary": names[0]}
        wrong = [", ".join(p) for p in permutations(sorted(names)) if p != value]
        offered = [", ".join(value), *shuffled(wrong, "distractor")[:3]]
        listed = ", ".join(shuffled(sorted(names), "letters"))
        return tuple(shuffled(offered, "order")), {"categories": listed}

    def recompute(self, reference: ReferenceScene, row: Row) -> tuple[Facts, str]:
        """The same facts from the source's cloud and the reference's visibility.

        Raises:
            ValueError: The row names an object that the source does not have, or has no answer.
        """
        layout = reference_layout(reference, row.frames)
        found = answered(self.task, row, self._ask(layout, row.items))
        return self._facts(layout, row, found), self._unseen(layout, row)

    def told(self, scene: SceneContext | ReferenceScene, row: Row) -> FrameAnswer:
        """What the row's frames answer; of a count, how many of the things they show."""
        layout = layout_of(scene, row.frames)
        if fault := self._unseen(layout, row):  # a count has none
            return FrameAnswer("", fault)
        ask = seen.count_told if self.quantity == "object_count" else self._ask
        found: Answer[Any] | Rejection = ask(layout, row.items)
        if isinstance(found, Rejection):
            return FrameAnswer("", str(found.reason))
        if self.quantity in _NUMBERS:
            return FrameAnswer(self._facts(layout, row, found).answer.span)
        listed = self.quantity == "appearance_order"
        return FrameAnswer(", ".join(found.value) if listed else found.value)

    def named(self, reference: ReferenceScene, row: Row) -> list[Named]:
        """The objects of a row; every instance of what is counted, or may be the nearest."""
        layout, ids = reference_layout(reference, row.frames), list(row.items)
        if self.quantity == "object_count":  # fragments are not counted
            found = answered(self.task, row, self._ask(layout, row.items))
            ids = list(found.evidence["object_ids"])
        if self.quantity == "relative_distance":
            categories = {layout.object(k).category for k in ids}
            ids = [i.object_id for i in layout.objects if i.category in categories]
        return [Named(k, row.frames) for k in ids]

    def _unseen(self, layout: LayoutScene, row: Row) -> str:
        """The guard of the shown frames that a row breaks, or ""."""
        if self.quantity == "object_count":  # a count that has an answer keeps the guard
            return ""
        sole = {"relative_distance": 1, "appearance_order": 0}.get(self.quantity)
        return layout.name_fault([layout.object(k) for k in row.items], sole=sole)

    def chain(self, told: Telling) -> Chain | None:
        """The numbers of its evidence in words."""
        return of_objects.scene_layout(told, self.quantity)


SCENE_LAYOUT = tuple(SceneLayout(quantity) for quantity in get_args(Quantity))
