# SPDX-License-Identifier: Apache-2.0
"""Grounded answers: where an image shows an object, as a box or as a point on it.

The object is named, is the one of its kind that is nearest to something, or is pointed at in
another image. Boxes and points are those of `references`: of the pixels that are to be seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

import numpy as np

from spatial_engine.engines.base import (
    AnswerForm,
    Engine,
    Facts,
    Metric,
    Named,
    Subject,
    equal_shares,
)
from spatial_engine.engines.candidates import CandidateTable, Gathered, Row
from spatial_engine.engines.chains import of_objects
from spatial_engine.engines.contents import content_of
from spatial_engine.engines.context import SceneContext
from spatial_engine.engines.frame_view import View, reference_view, views_of
from spatial_engine.engines.layout_scene import OBJECTS, answered
from spatial_engine.engines.masks import seen_runs
from spatial_engine.engines.references import (
    COLOURS,
    PHRASES,
    Reference,
    Sights,
    iou,
    mark_of,
    phrase_of,
    sights_of,
)
from spatial_engine.records import answers
from spatial_engine.records.answers import norm1000
from spatialcore.draws import uniform_below
from spatialcore.relations.eye import tells_apart
from spatialcore.relations.scene_object import SceneObject, gap
from spatialcore.relations.verdict import Answer, Reason, Rejection

if TYPE_CHECKING:
    from spatial_engine.recipe import Recipe
    from spatial_engine.records.chains import Chain, Telling
    from spatial_engine.records.marks import Mark
    from spatial_engine.records.place import Place
    from spatial_engine.reference.scene import ReferenceScene

Quantity = Literal["named", "nearest", "nearest_camera", "match"]
Form = Literal["box", "point"]
THIRDS = ("left", "middle", "right")
MOST_PAIRS = 6  # of images of an object that is to be found again
MOST_STILL = 0.5  # IoU of its boxes in two images, up to which it has moved between them


@dataclass(frozen=True, slots=True)
class Grounding(Engine):
    """One of the tasks whose answer is a place in an image.

    Attributes:
        quantity: Which object is asked for.
        form: Whether its box or a point on it is the answer.
    """

    quantity: Quantity
    form: Form
    subject: ClassVar[Subject] = OBJECTS
    needs_objects: ClassVar[bool] = True
    needs_metres: ClassVar[bool] = False

    @property
    def task(self) -> str:
        """Task name."""
        return f"grounding.{self.quantity}.{self.form}"

    @property
    def answer(self) -> AnswerForm:
        """A box or a point in 0-1000 coordinates."""
        return AnswerForm("box" if self.form == "box" else "coordinate", "norm1000")

    @property
    def metric(self) -> Metric:
        """How well the box fits, or whether the point is on the object."""
        return "IoU" if self.form == "box" else "on the object"

    def strata(self, recipe: Recipe) -> tuple[tuple[str, float], ...]:
        """In which third of the image's width the object lies."""
        return equal_shares(THIRDS) if recipe.word_strata else (("", 1.0),)

    def candidates(self, context: SceneContext) -> CandidateTable:
        """Every object of every shown frame that the question singles out."""
        sights, views = sights_of(context, context.shown), views_of(context)
        gathered = Gathered(self.task, context.place)
        for row, found in context.cached(
            ("grounding", self._asked_by), lambda: self._asked(context, sights, views)
        ):
            if isinstance(found, Rejection):
                gathered.refuse(found.reason)
            else:
                gathered.keep(
                    row,
                    stratum=_third(context.place, found.value),
                    content=self._content(context.place, sights, row),
                )
        return gathered.table()

    @property
    def _asked_by(self) -> str:
        """Forms of one name ask the same rows; pairs of images are drawn for each form."""
        return self.task if self.quantity == "match" else self.quantity

    def _asked(
        self, context: SceneContext, sights: Sights, views: Mapping[int, View]
    ) -> list[tuple[Row, Answer[Reference] | Rejection]]:
        """What might be asked, and what was found."""
        return [
            (row, self._ask(views[row.frames[-1]], sights, row))
            for row in self._possible(context, sights)
        ]

    def _possible(self, context: SceneContext, sights: Sights) -> Iterator[Row]:
        """Frames that show an object, or two of them, and what else a question names."""
        layout = sights.layout
        shown = {
            frame: [layout.objects[r].object_id for r in np.flatnonzero(layout.shown[:, column])]
            for column, frame in enumerate(layout.frames)
        }
        if self.quantity == "match":
            for item in layout.objects:
                k, place = item.object_id, context.place
                pairs = list(combinations([f for f in layout.frames if k in shown[f]], 2))
                pairs.sort(key=lambda two: place.draw(self.task, (*two, k), "pair"))
                for two in pairs[:MOST_PAIRS]:
                    swapped = place.draw(self.task, (*two, k), "swap") & 1
                    yield Row(two[::-1] if swapped else two, (k,))
            return
        for frame, ids in shown.items():
            if self.quantity == "nearest":
                yield from (Row((frame,), (a, b)) for a, b in product(ids, ids) if a != b)
            else:
                yield from (Row((frame,), (k,)) for k in ids)

    def _content(self, place: Place, sights: Sights, row: Row) -> int:
        """What the text tells of the place: the kind of the object, or where it was before."""
        if self.quantity == "match":
            before = sights.at(row.items[0], row.frames[0], "boxed")
            assert isinstance(before, Reference)
            return content_of("third", THIRDS[_third(place, before)])
        return content_of(*(sights.layout.object(k).category for k in row.items))

    def _ask(self, view: View, sights: Sights, row: Row) -> Answer[Reference] | Rejection:
        """Where the last image shows the object, or why it is not asked."""
        target, frame = row.items[0], row.frames[-1]
        fault, evidence = self._singled_out(view, sights, row)
        if fault is not None:
            return Rejection(fault, evidence)
        box, point = (sights.at(target, frame, by) for by in ("boxed", "pointed"))
        for one in (box, point):
            if isinstance(one, Reason):
                return Rejection(one)
        assert isinstance(point, Reference)
        return Answer(point, evidence)

    def _singled_out(
        self, view: View, sights: Sights, row: Row
    ) -> tuple[Reason | None, dict[str, Any]]:
        """Why the question does not single out one object, or None; and what it measured."""
        target = row.items[0]
        if self.quantity == "named":
            return view.sole(target), {}
        if self.quantity == "match":
            places = [sights.at(target, frame, "boxed") for frame in row.frames]
            for one in places:
                if isinstance(one, Reason):
                    return one, {}
            before, after = (one.corners for one in places if isinstance(one, Reference))
            still = iou(before, after)
            return Reason.DEAD_ZONE if still > MOST_STILL else None, {"iou": still}
        found = view.instances(target)
        if isinstance(found, Rejection):
            return found.reason, {}
        ids = view.shown_ids(target)
        if len(ids) < 2:
            return Reason.COUNT_RANGE, {}
        others = [k for k in ids if k != target]
        if self.quantity == "nearest_camera":
            return _nearest_camera(view, target, others)
        return _nearest_thing(view, target, others, row.items[1])

    def facts(self, context: SceneContext, rows: Sequence[Row]) -> list[Facts]:
        """Answer and evidence of candidates."""
        sights, views = sights_of(context, context.shown), views_of(context)
        return [self._facts(context.place, views[row.frames[-1]], sights, row) for row in rows]

    def recompute(self, reference: ReferenceScene, row: Row) -> tuple[Facts, str]:
        """The same from the source, where boxes and points are found again.

        Raises:
            ValueError: The row has no answer.
        """
        view = reference_view(reference, row.frames, row.frames[-1])
        return self._facts(reference.place, view, sights_of(reference, row.frames), row), ""

    def _facts(self, place: Place, view: View, sights: Sights, row: Row) -> Facts:
        found = answered(self.task, row, self._ask(view, sights, row))
        one, image = found.value, place.frame_images[row.frames[-1]]
        size = image.width, image.height
        if self.form == "box":
            u0, v0, u1, v1 = one.corners
            answer = answers.box(*norm1000(u0, v0, *size), *norm1000(u1, v1, *size))
        else:
            u, v = one.point
            answer = answers.coordinate(*norm1000(u, v, *size))
        evidence = {
            **found.evidence, "box": list(one.corners), "point": list(one.point),
        }  # fmt: skip
        if self.form == "point":
            _, uv = sights.pixels(row.frames[-1])[row.items[0]]
            evidence["seen_runs"] = seen_runs(uv, answer.number, size)
        slots = {"place": answer.span}
        if self.quantity == "match":
            phrase, marks, told = self._pointed_out(place, sights, row)
            return Facts(answer, evidence | told, slots | {"object": phrase}, marks)
        names = [view.layout.object(k).category for k in row.items]
        return Facts(
            answer, evidence, slots | dict(zip(("category", "landmark"), names, strict=False))
        )

    def _pointed_out(
        self, place: Place, sights: Sights, row: Row
    ) -> tuple[str, tuple[tuple[Mark, ...], ...], dict[str, Any]]:
        """Phrase and marks of an object in the first of two images."""
        before = sights.at(row.items[0], row.frames[0], "boxed")
        assert isinstance(before, Reference)
        key = (*sorted(row.frames), *row.items)
        drawn = bool(place.draw(self.task, key, "drawn") & 1)
        texts = PHRASES[f"boxed {'drawn' if drawn else 'given'}"]
        text = texts[uniform_below(place.draw(self.task, key, "phrase"), len(texts))]
        colour = COLOURS[uniform_below(place.draw(self.task, key, "colour"), len(COLOURS))]
        marks = ((mark_of(before, place, colour),), ()) if drawn else ()
        told = {"before": list(before.corners), "drawn": drawn}
        return phrase_of(before, place, row.frames, text, colour), marks, told

    def named(self, reference: ReferenceScene, row: Row) -> list[Named]:
        """The object and what else is named; all of a kind of which one is the nearest."""
        ids = list(row.items)
        if self.quantity.startswith("nearest"):
            view = reference_view(reference, row.frames, row.frames[-1])
            ids += [k for k in view.shown_ids(ids[0]) if k not in ids]
        return [Named(k, row.frames[-1:]) for k in ids]

    def chain(self, told: Telling) -> Chain | None:
        """The numbers of its evidence in words."""
        return of_objects.grounding(told, self.quantity, self.form)


def _nearest_camera(
    view: View, target: int, others: Sequence[int]
) -> tuple[Reason | None, dict[str, Any]]:
    ranges = {}
    for k in others:
        found = view.nearer(target, k)
        if isinstance(found, Rejection):
            return found.reason, found.evidence
        if found.value != "nearer":
            return Reason.DEAD_ZONE, found.evidence
        ranges[str(k)] = found.evidence["range_b_m"]
    return None, {"range_m": found.evidence["range_a_m"], "other_ranges_m": ranges}


def _nearest_thing(
    view: View, target: int, others: Sequence[int], landmark: int
) -> tuple[Reason | None, dict[str, Any]]:
    """Whether a target is nearest to a landmark, by whole objects and by what is seen of them."""
    layout, rules = view.layout, view.layout.relation_rules
    if view.layout.object(landmark).category == layout.object(target).category:
        return Reason.CATEGORY_NOT_UNIQUE, {}
    if (fault := view.sole(landmark)) is not None:
        return fault, {}
    ids = (landmark, target, *others)
    whole: list[SceneObject | None] = [layout.object(k) for k in ids]
    seen = [view.seen_part(k) for k in ids]
    evidence: dict[str, Any] = {}
    for name, things in (("gaps_m", whole), ("seen_gaps_m", seen)):
        if any(one is None for one in things):
            return Reason.CATEGORY_NOT_SEEN, {}
        first, *rest = (one for one in things if one is not None)
        gaps = [gap(first, one) for one in rest]
        evidence[name] = gaps
        nearest = min(gaps[1:])
        apart = tells_apart(gaps[0], nearest, share=rules.min_seen_share, metres=rules.min_seen_m)
        if not apart or gaps[0] > nearest:
            return Reason.DEAD_ZONE if name == "gaps_m" else Reason.HIDDEN_PART, evidence
    return None, evidence


def _third(place: Place, one: Reference) -> int:
    """In which third of its image's width the middle of an object's box lies."""
    width = place.frame_images[one.frame].width
    return min(2, int(1.5 * (one.corners[0] + one.corners[2]) / width))


GROUNDING = tuple(
    Grounding(quantity, form) for quantity in get_args(Quantity) for form in get_args(Form)
)
