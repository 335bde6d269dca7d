# SPDX-License-Identifier: Apache-2.0
"""Questions about objects that one image answers: how many, on which side, which is nearer.

The frames are those of the layout questions. An object may be named where its frame sees it and no
other object of its category or family (a coffee table beside a table) shows even a little, or
might: one that only the tolerant rule for points sees may be hidden, or the pose may be off, and
neither is to be asked about.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

import numpy as np

from spatial_engine.engines.base import (
    WORD,
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
from spatial_engine.engines.contents import content_of, in_order
from spatial_engine.engines.context import SceneContext
from spatial_engine.engines.frame_view import View, reference_view, views_of
from spatial_engine.engines.layout_scene import OBJECTS, answered
from spatial_engine.records import answers
from spatialcore.relations.verdict import Answer, Rejection

if TYPE_CHECKING:
    from spatial_engine.recipe import Recipe
    from spatial_engine.records.chains import Chain, Telling
    from spatial_engine.reference.scene import ReferenceScene

Quantity = Literal["object_count", "image_side", "nearer"]
TASKS: Mapping[str, str] = {
    "object_count": "scene_layout.object_count.image",
    "image_side": "spatial_relation.image_side",
    "nearer": "spatial_relation.nearer.image",
}
WORDS: Mapping[str, tuple[str, ...]] = {
    "object_count": (),
    "image_side": ("left", "right"),
    "nearer": ("nearer", "farther"),
}
COUNTS = ("1", "2", "3", "more")
"""Strata of a count, so that few are not the only answer."""
_TURNED = {"nearer": "farther", "farther": "nearer"}


@dataclass(frozen=True, slots=True)
class OneImage(Engine):
    """One of the one-image tasks.

    Attributes:
        quantity: What is asked.
    """

    quantity: Quantity
    subject: ClassVar[Subject] = OBJECTS

    needs_objects: ClassVar[bool] = True
    needs_metres: ClassVar[bool] = False

    @property
    def task(self) -> str:
        """Task name."""
        return TASKS[self.quantity]

    @property
    def words(self) -> tuple[str, ...]:
        """The closed set of answers, () for a count."""
        return WORDS[self.quantity]

    @property
    def answer(self) -> AnswerForm:
        """A word, or a count."""
        return WORD if self.words else AnswerForm("integer", "count")

    @property
    def metric(self) -> Metric:
        """A count is scored as the count of a scene is."""
        return "accuracy" if self.words else "MRA"

    def bin_count(self, recipe: Recipe) -> int:
        """Two objects are asked in the order of the alphabet, or the other way round."""
        return 2 if recipe.word_strata and self.quantity == "nearer" else 1

    def strata(self, recipe: Recipe) -> tuple[tuple[str, float], ...]:
        """An equal share for each word, or for 1, 2, 3 and more."""
        if not recipe.word_strata:
            return (("", 1.0),)
        return equal_shares(self.words or COUNTS)

    def candidates(self, context: SceneContext) -> CandidateTable:
        """Every object, or ordered pair of objects, of every shown frame."""
        gathered = Gathered(self.task, context.place)
        for frame, view in views_of(context).items():
            for items, word in self._told(view, gathered):
                names = [view.layout.object(k).category for k in items]
                if self.quantity == "nearer":
                    word = in_order(word, names, _TURNED)
                gathered.keep(
                    Row((frame,), items), bin=int(names != sorted(names)),
                    stratum=self._stratum(word), content=content_of(*names),
                )  # fmt: skip
        return gathered.table()

    @property
    def opposite(self) -> Mapping[str, str]:
        """What a word becomes when two objects are asked the other way round."""
        return _TURNED

    def _told(self, view: View, gathered: Gathered) -> Iterator[tuple[tuple[int, ...], Any]]:
        """Objects that have an answer, and the answer; the reasons of others are counted."""
        if self.quantity == "nearer":
            yield from self._all_nearer(view, gathered)
            return
        for items in self._possible(view):
            found = self._ask(view, items)
            if isinstance(found, Rejection):
                gathered.refuse(found.reason)
            else:
                yield items, found.value

    def _all_nearer(self, view: View, gathered: Gathered) -> Iterator[tuple[tuple[int, ...], str]]:
        """`View.nearer` of every two objects that the frame shows and may name."""
        ids = [k for (k,) in self._seen(view)]
        faults = {k: view.sole(k) for k in ids}
        sole = [k for k in ids if faults[k] is None]
        for fault in faults.values():
            if fault is not None:  # of the first object, or of the second one alone
                gathered.refuse(fault, len(ids) - 1 + len(sole))
        first, second, words, refused = view.all_nearer(sole)
        gathered.rejected.update(refused)
        yield from zip(zip(first, second, strict=True), words, strict=True)

    def _seen(self, view: View) -> Iterator[tuple[int, ...]]:
        """Objects of which some vertex is seen."""
        some = view.layout.visible_count[:, view.column] > 0
        yield from ((view.layout.objects[row].object_id,) for row in np.flatnonzero(some).tolist())

    def _stratum(self, value: Any) -> int:
        return self.words.index(value) if self.words else min(int(value), len(COUNTS)) - 1

    def _possible(self, view: View) -> Iterator[tuple[int, ...]]:
        """Objects that might be asked about: some vertex of each is seen."""
        seen = list(self._seen(view))
        if self.quantity == "object_count":
            first = {view.layout.object(k).category: k for (k,) in reversed(seen)}
            seen = [(k,) for k in sorted(first.values())]
        yield from seen

    def _ask(self, view: View, items: tuple[int, ...]) -> Answer[Any] | Rejection:
        """The answer of the geometry, or why there is none."""
        if self.quantity == "object_count":
            return view.instances(items[0])
        for k in items:
            reason = view.sole(k)
            if reason is not None:
                return Rejection(reason)
        return view.nearer(*items) if self.quantity == "nearer" else view.side(items[0])

    def facts(self, context: SceneContext, rows: Sequence[Row]) -> list[Facts]:
        """Answer and evidence of candidates."""
        views = views_of(context)
        return [self._facts(views[row.frames[0]], row) for row in rows]

    def _facts(self, view: View, row: Row) -> Facts:
        found = answered(self.task, row, self._ask(view, row.items))
        names = [view.layout.object(k).category for k in row.items]
        if self.quantity == "object_count":
            answer = answers.integer(found.value, "count")
            slots = {"category": names[0], "count": answer.span}
        else:
            answer = answers.word(found.value)
            slots = dict(zip(("first", "second"), names, strict=False)) | {"word": answer.span}
        return Facts(answer, found.evidence, slots)

    def recompute(self, reference: ReferenceScene, row: Row) -> tuple[Facts, str]:
        """The same facts from the source's cloud and the reference's visibility.

        Raises:
            ValueError: The row names an object that the source does not have, or has no answer.
        """
        return self._facts(reference_view(reference, row.frames, row.frames[0]), row), ""

    def named(self, reference: ReferenceScene, row: Row) -> list[Named]:
        """The objects of a row, or all instances that are counted."""
        ids = list(row.items)
        if self.quantity == "object_count":
            ids = reference_view(reference, row.frames, row.frames[0]).shown_ids(ids[0])
        return [Named(k, row.frames) for k in ids]

    def chain(self, told: Telling) -> Chain | None:
        """The numbers of its evidence in words."""
        return of_objects.one_image(told, self.quantity)


ONE_IMAGE = tuple(OneImage(quantity) for quantity in get_args(Quantity))
