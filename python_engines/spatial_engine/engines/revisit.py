# SPDX-License-Identifier: Apache-2.0
"""A room that was visited twice: which thing moved, how far, nearer to what, and where it is now.

Three images of a visit are followed by three of a later one. What moved is 30 cm or more from where
it was; what stayed lies within 10 cm, most of its points where some were; between nothing is asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

from spatial_engine.engines.base import (
    LETTER,
    WORD,
    AnswerForm,
    Engine,
    Facts,
    Kind,
    Metric,
    Named,
    Subject,
    equal_shares,
)
from spatial_engine.engines.candidates import CandidateTable, Gathered, Row
from spatial_engine.engines.chains import of_visits
from spatial_engine.engines.contents import (
    ANY,
    content_of,
    number_strata,
    number_stratum,
    of_form,
    pair_content,
)
from spatial_engine.engines.context import SceneContext
from spatial_engine.engines.grounding import THIRDS
from spatial_engine.engines.layout_scene import OBJECTS, answered
from spatial_engine.engines.numeric_choice import NumericChoice
from spatial_engine.engines.references import Reference
from spatial_engine.engines.visits import Move, Visits, reference_visits, visits_of
from spatial_engine.records import answers
from spatial_engine.records.answers import norm1000
from spatialcore.relations.verdict import Answer, Evidence, Reason, Rejection
from spatialcore.visits import object_in, thing_of

if TYPE_CHECKING:
    from spatial_engine.recipe import Recipe
    from spatial_engine.records.chains import Chain, Telling
    from spatial_engine.reference.scene import ReferenceScene

Quantity = Literal["which_moved", "distance", "gap_change", "place"]
LETTERS = ("A", "B", "C", "D")
WORDS = ("nearer", "farther")
SETS, PLACES = 8, 4  # questions about one thing that moved, at most
MOST_M = 8.0


@dataclass(frozen=True, slots=True)
class Revisit(Engine):
    """One of the tasks about two visits.

    Attributes:
        quantity: What is asked.
    """

    quantity: Quantity
    kind: ClassVar[Kind] = "revisit"
    subject: ClassVar[Subject] = OBJECTS
    needs_up: ClassVar[bool] = True
    needs_objects: ClassVar[bool] = True

    @property
    def task(self) -> str:
        """Task name."""
        return f"revisit.{self.quantity}{'.box' if self.quantity == 'place' else ''}"

    @property
    def words(self) -> tuple[str, ...]:
        """The letters of the things, the words of a change, () for a length or a place."""
        return {"which_moved": LETTERS, "gap_change": WORDS}.get(self.quantity, ())

    @property
    def answer(self) -> AnswerForm:
        """A letter, a word, metres, or a box in the last image."""
        return {
            "which_moved": LETTER, "gap_change": WORD, "distance": AnswerForm("number", "m"),
            "place": AnswerForm("box", "norm1000"),
        }[self.quantity]  # fmt: skip

    @property
    def metric(self) -> Metric:
        """A length is scored as those of scene_layout."""
        if self.words:
            return "accuracy"
        return "MRA" if self.quantity == "distance" else "IoU"

    @property
    def paired_contents(self) -> bool:
        """Of what moved: no name is more often the one that did than one that did not."""
        return self.quantity == "which_moved"

    def strata(self, recipe: Recipe) -> tuple[tuple[str, float], ...]:
        """Which of two names moved, the word, the size of the length, or the third of the image."""
        if not recipe.word_strata:
            return (("", 1.0),)
        if self.quantity == "distance":
            return number_strata("m", 0.1)
        return equal_shares(
            {"which_moved": ("first", "second"), "gap_change": WORDS}.get(self.quantity, THIRDS)
        )

    def candidates(self, context: SceneContext) -> CandidateTable:
        """Every row that has an answer, and is for this form."""
        table = self.every(context)
        if self.quantity != "distance" or not context.recipe.word_strata:
            return table
        return of_form(table, context, self.task, choice=False)

    def every(self, context: SceneContext) -> CandidateTable:
        """Every row that has an answer, whatever the form."""
        return context.cached(("revisit", self.task), lambda: self._every(context))

    def _every(self, context: SceneContext) -> CandidateTable:
        visits, gathered = visits_of(context), Gathered(self.task, context.place)
        for thing in visits.things:
            found = visits.move(thing)
            if isinstance(found, Reason):
                gathered.refuse(found)
            elif found.moved:
                self._about(visits, thing, gathered)
            elif not found.still:
                gathered.refuse(Reason.DEAD_ZONE if found.same_size else Reason.EXTENT_UNSURE)
        return gathered.table()

    def _about(self, visits: Visits, thing: int, gathered: Gathered) -> None:
        """The rows about a thing that moved."""
        asked: set[frozenset[int]] = set()
        possible = list(self._possible(visits, thing))
        if not possible:  # nothing that stayed is in one image with it, or too few things are
            gathered.refuse(Reason.NO_LANDMARK)
        for items, last in possible:
            frames = visits.images(self.task, items, last)
            alone = self.quantity in ("distance", "place")
            row = Row(frames, items[:1] if alone else items)
            if not frames:
                gathered.refuse(Reason.CATEGORY_NOT_SEEN)
                continue
            found = self._ask(visits, row)
            if isinstance(found, Rejection):
                gathered.refuse(found.reason)
            elif (key := frozenset((*frames, *row.items))) not in asked:
                asked.add(key)
                stratum, content = self._said(visits, row, found)
                gathered.keep(row, stratum=stratum, content=content)
                if self.quantity == "place" and len(asked) == PLACES:
                    return

    def _possible(self, visits: Visits, thing: int) -> Iterator[tuple[tuple[int, ...], int]]:
        """The things that the images of a question are to show, and its last image or -1.

        The first one moved, the others stayed.
        """
        rest = [k for k in visits.things if visits.still(k)]
        if self.quantity == "which_moved":
            for k in range(SETS):
                yield from ((items, -1) for items in self._offer(visits, thing, rest, k))
            return
        before, after = visits.first.frames, visits.later.frames
        others = [
            k for k in self._drawn(visits, thing, rest, 0)
            if visits.anchored(thing, (*before, *after), [k])
        ]  # fmt: skip
        if self.quantity != "place":
            yield from (((thing, other), -1) for other in others)
            return
        views, later = visits.later, object_in(thing, 1)
        shown = [f for f in views.frames if views.shows(later, f)]
        shown.sort(key=lambda f: visits.place.draw(self.task, (thing, f), "last"))
        for last in shown:
            beside = [k for k in others if visits.anchored(thing, (*before, last), [k])]
            yield from (((thing, other), last) for other in beside[:1])

    def _drawn(self, visits: Visits, thing: int, rest: Sequence[int], k: int) -> list[int]:
        """What stayed, in an order that is drawn for a thing."""
        draws = {other: visits.place.draw(self.task, (thing, other, k), "other") for other in rest}
        return sorted(rest, key=draws.__getitem__)

    def _offer(
        self, visits: Visits, thing: int, rest: Sequence[int], k: int
    ) -> Iterator[tuple[int, ...]]:
        """A thing that moved and three of other names that stayed, which images show together."""
        items = [thing]
        for other in self._drawn(visits, thing, rest, k):
            new = visits.name(other) not in map(visits.name, items)
            if new and visits.images(self.task, (*items, other)):
                items.append(other)
            if len(items) == len(LETTERS):
                yield tuple(items)
                return

    def _said(self, visits: Visits, row: Row, found: Answer[Any]) -> tuple[int, int]:
        """Stratum and content of an answer."""
        names = [visits.name(k) for k in row.items]
        if self.quantity == "which_moved":
            pair = names[:2]
            return int(pair[0] > pair[1]), pair_content(*pair)
        if self.quantity == "gap_change":
            return WORDS.index(found.value), content_of(*names)
        if self.quantity == "distance":
            return number_stratum(found.value, 0.1), ANY
        u0, _, u1, _ = found.value.corners
        width = visits.place.frame_images[found.value.frame].width
        return min(2, int(1.5 * (u0 + u1) / width)), ANY

    def _ask(self, visits: Visits, row: Row) -> Answer[Any] | Rejection:
        """The answer of the geometry, or why there is none."""
        found = [visits.move(k) for k in row.items]
        moves = [one for one in found if isinstance(one, Move)]
        if len(moves) < len(found):
            return Rejection(next(one for one in found if isinstance(one, Reason)))
        evidence: Evidence = {
            "moved_m": [one.metres for one in moves],
            "near_shares": [one.near_share for one in moves],
        }
        if not moves[0].moved or not all(one.still for one in moves[1:]):
            return Rejection(Reason.DEAD_ZONE, evidence)
        fault = visits.fault(row.items, row.frames)
        if fault is not None:
            return Rejection(fault, evidence)
        shown = row.frames
        if self.quantity == "place":
            shown = (*visits.split(shown)[0], shown[-1])
        landmarks = row.items[1:] if self.quantity == "gap_change" else ()
        if not visits.anchored(row.items[0], shown, landmarks):
            return Rejection(Reason.NO_LANDMARK, evidence)
        if self.quantity == "place":
            return self._place(visits, row, evidence)
        if self.quantity == "gap_change":
            return self._gap_change(visits, row, evidence)
        if self.quantity == "distance":
            far = moves[0].metres > MOST_M
            return Rejection(Reason.DISTANCE_RANGE) if far else Answer(moves[0].metres, evidence)
        names = [visits.name(k) for k in row.items]
        if len(set(names)) < len(names):
            return Rejection(Reason.CATEGORY_NOT_UNIQUE, evidence)
        return Answer(names[0], evidence)

    def _gap_change(self, visits: Visits, row: Row, evidence: Evidence) -> Answer[str] | Rejection:
        """Whether a thing has come nearer to another, by what is seen and by the whole things."""
        gaps = []
        for visit, (views, frames) in enumerate(
            zip((visits.first, visits.later), visits.split(row.frames), strict=True)
        ):
            a, b = (object_in(k, visit) for k in row.items)
            found = views.gap(a, b, frames)
            if isinstance(found, Rejection):
                return found
            gaps.append(found.value)
        evidence = {**evidence, "gaps_m": gaps}
        if not visits.first.apart(*gaps):
            return Rejection(Reason.DEAD_ZONE, evidence)
        return Answer("nearer" if gaps[1] < gaps[0] else "farther", evidence)

    def _place(self, visits: Visits, row: Row, evidence: Evidence) -> Answer[Reference] | Rejection:
        """Where the last image shows what moved, where everything else in it stayed."""
        thing, last = row.items[0], row.frames[-1]
        for later in visits.later.ids.tolist():
            other = thing_of(later)
            if other != thing and not (visits.later.lacks(later, last) or visits.still(other)):
                return Rejection(Reason.COUNT_UNSURE, evidence)
        found = visits.sights.at(object_in(thing, 1), last, "boxed")
        if isinstance(found, Reason):
            return Rejection(found, evidence)
        return Answer(found, {**evidence, "box": list(found.corners)})

    def facts(self, context: SceneContext, rows: Sequence[Row]) -> list[Facts]:
        """Answer and evidence of candidates."""
        visits = visits_of(context)
        return [self._facts(visits, row) for row in rows]

    def recompute(self, reference: ReferenceScene, row: Row) -> tuple[Facts, str]:
        """The same from the source, measured in another way.

        Raises:
            ValueError: The row has no answer.
        """
        return self._facts(reference_visits(reference, row.frames), row), ""

    def _facts(self, visits: Visits, row: Row) -> Facts:
        found = answered(self.task, row, self._ask(visits, row))
        names = [visits.name(k) for k in row.items]
        evidence = {**found.evidence, "images_before": len(visits.split(row.frames)[0])}
        if self.quantity == "which_moved":
            key = (*sorted(row.frames), *row.items)
            draws = [visits.place.draw(self.task, (*key, k), "order") for k in range(len(names))]
            options = tuple(name for _, name in sorted(zip(draws, names, strict=True)))
            letter = LETTERS[options.index(names[0])]
            slots = {"options": answers.option_lines(options), "letter": letter}
            return Facts(answers.letter(letter), evidence, slots, options=options)
        if self.quantity == "place":
            u0, v0, u1, v1 = found.value.corners
            image = visits.place.frame_images[found.value.frame]
            size = image.width, image.height
            answer = answers.box(*norm1000(u0, v0, *size), *norm1000(u1, v1, *size))
            return Facts(answer, evidence, {"place": answer.span})
        if self.quantity == "distance":
            answer = answers.number(found.value, "m")
        else:
            answer = answers.word(found.value)
        slots = dict(zip(("object", "landmark"), names, strict=False))
        return Facts(answer, evidence, slots | {"answer": answer.span})

    def named(self, reference: ReferenceScene, row: Row) -> list[Named]:
        """The things, in the images of both visits."""
        visits = reference_visits(reference, row.frames)
        frames = visits.split(row.frames)
        if self.quantity == "place":
            frames = frames[0], row.frames[-1:]
        return [Named(object_in(k, v), frames[v]) for k in row.items for v in (0, 1)]

    def chain(self, told: Telling) -> Chain | None:
        """The numbers of its evidence in words."""
        return of_visits.revisit(told, self.quantity)


OPEN = tuple(Revisit(quantity) for quantity in get_args(Quantity))
REVISIT = (*OPEN, NumericChoice(OPEN[1]))
