# SPDX-License-Identifier: Apache-2.0
"""Over a walk: how far the camera went, how far it got, where it turned, how many things it passed.

The length of a path is that of the straight lines from each image's camera to the next one's: it is
true for the images shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from spatial_engine.engines.asked import AskedEngine
from spatial_engine.engines.base import (
    LETTER,
    AnswerForm,
    Facts,
    Metric,
    Named,
    Subject,
    equal_shares,
)
from spatial_engine.engines.budgets import shown_frames
from spatial_engine.engines.candidates import Row
from spatial_engine.engines.chains import of_plans
from spatial_engine.engines.contents import ANY, content_of, number_strata, number_stratum
from spatial_engine.engines.context import SceneContext
from spatial_engine.engines.layout_scene import OBJECTS
from spatial_engine.engines.numeric_choice import NumericChoice
from spatial_engine.engines.view_set import (
    ViewSet,
    index_views,
    reference_views,
    views_of_index,
)
from spatial_engine.records import answers
from spatialcore.index.frames import wrap_deg
from spatialcore.relations.verdict import Answer, Evidence, Reason, Rejection

if TYPE_CHECKING:
    from spatial_engine.recipe import Recipe
    from spatial_engine.records.chains import Chain, Telling
    from spatial_engine.reference.scene import ReferenceScene

Quantity = Literal["path_length", "net_displacement", "turning_step", "object_count"]
LETTERS = ("A", "B", "C", "D")
STEPS = tuple(f"between image {k} and image {k + 1}" for k in range(1, 5))
_FORMS: Mapping[str, tuple[AnswerForm, float]] = {
    "path_length": (AnswerForm("number", "m"), 0.1),
    "net_displacement": (AnswerForm("number", "m"), 0.1),
    "object_count": (AnswerForm("integer", "count"), 1.0),
}
WINDOWS, STRIDE = (6, 10), 2  # images of a stretch of the walk, and from one to the next
STEPS_APART = (1, 2, 3)  # frames of the walk from an image to the next, where turns are asked
LEAST_PATH_M, LEAST_NET_M = 1.0, 0.5
LEAST_TURN_DEG, MOST_TURN_DEG = 30.0, 170.0
MOST_OTHER_TURN = 0.6  # of the largest, that any other turn may be
LONG_WALK = 32  # images
LEAST_WALK = 10


@dataclass(frozen=True, slots=True)
class WalkPath(AskedEngine):
    """One of the tasks about a walk.

    Attributes:
        quantity: What is asked.
    """

    quantity: Quantity

    @property
    def task(self) -> str:
        """Task name."""
        return f"over_time.{self.quantity}"

    @property
    def of_walk(self) -> bool:
        """Whether another number of the walk's frames has an answer, too."""
        return self.quantity in ("path_length", "net_displacement")

    @property
    def needs_objects(self) -> bool:
        """The count is of labelled objects."""
        return self.quantity == "object_count"

    @property
    def needs_up(self) -> bool:
        """Turns are about gravity."""
        return self.quantity == "turning_step"

    @property
    def needs_metres(self) -> bool:
        """Turns and counts are no lengths."""
        return self.of_walk

    @property
    def subject(self) -> Subject:
        """The walk, or the objects."""
        return OBJECTS if self.needs_objects else Subject("translation")

    @property
    def words(self) -> tuple[str, ...]:
        """The letters of the steps, else ()."""
        return LETTERS if self.quantity == "turning_step" else ()

    @property
    def answer(self) -> AnswerForm:
        """Metres, a count, or a letter."""
        return LETTER if self.words else _FORMS[self.quantity][0]

    @property
    def metric(self) -> Metric:
        """Numbers are scored as those of scene_layout."""
        return "accuracy" if self.words else "MRA"

    @property
    def has_choice(self) -> bool:
        """All numbers have a choice."""
        return not self.words

    def strata(self, recipe: Recipe) -> tuple[tuple[str, float], ...]:
        """One for each step, or size of a number."""
        if not recipe.word_strata:
            return (("", 1.0),)
        if self.words:
            return equal_shares(STEPS)
        form, scale = _FORMS[self.quantity]
        return number_strata(form.unit, scale)

    def said(self, views: ViewSet, row: Row, value: Any) -> tuple[int, int]:
        """The step, or the size of the number; a count is of its category."""
        if self.words:
            return STEPS.index(value), 0
        counted = self.quantity == "object_count"
        content = content_of(views.category(row.items[0])) if counted else ANY
        return number_stratum(value, _FORMS[self.quantity][1]), content

    def views(self, context: SceneContext) -> ViewSet:
        """The frames of the walk; for turns those of all walks, for counts twice as many."""
        if self.quantity == "turning_step":
            return index_views(context)
        if self.quantity == "object_count":
            frames = shown_frames(context.valid_frames.tolist(), LONG_WALK)
            return context.cached("long_views", lambda: views_of_index(context, frames))
        return context.cached("walk_views", lambda: views_of_index(context, context.shown))

    def possible(self, views: ViewSet) -> Iterator[Row]:
        """Stretches of the walk, or the categories that it passes."""
        frames = views.frames
        if self.quantity == "object_count":
            if len(frames) >= LEAST_WALK:
                for items in views.layout.by_category.values():
                    yield Row(frames, (items[0].object_id,))
        elif self.quantity == "turning_step":
            for step in STEPS_APART:
                length = step * len(STEPS) + 1
                for begin in range(len(frames) - length + 1):
                    yield Row(frames[begin : begin + length : step], ())
        else:
            if len(frames) > 2:
                yield Row(frames, ())
            for window in WINDOWS:
                for begin in range(0, len(frames) - window, STRIDE):
                    yield Row(frames[begin : begin + window], ())

    def ask(self, views: ViewSet, row: Row) -> Answer[Any] | Rejection:
        """The answer of the geometry."""
        if self.quantity == "object_count":
            return self._count(views, row.items[0])
        if self.quantity == "turning_step":
            return self._turn(views, row.frames)
        eyes = [views.stand(frame) for frame in row.frames]
        steps = [a.range(b.position[None]) for a, b in pairwise(eyes)]
        net = eyes[0].range(eyes[-1].position[None])
        evidence: Evidence = {"steps_m": steps, "net_m": net}
        path = float(sum(steps))
        value = path if self.quantity == "path_length" else net
        least = LEAST_PATH_M if self.quantity == "path_length" else LEAST_NET_M
        if value < least:
            return Rejection(Reason.DISTANCE_RANGE, evidence)
        return Answer(value, evidence)

    def _turn(self, views: ViewSet, frames: Sequence[int]) -> Answer[str] | Rejection:
        """In which step the camera turned by far the most."""
        if not all(views.level(frame) for frame in frames):
            return Rejection(Reason.STEEP_VIEW)
        if not all(views.sharing(a, b) for a, b in pairwise(frames)):
            return Rejection(Reason.NO_OVERLAP)
        headings = [views.stand(frame).heading_deg for frame in frames]
        turns = [float(wrap_deg(np.float64(b - a))) for a, b in pairwise(headings)]
        sizes = sorted((abs(turn) for turn in turns), reverse=True)
        evidence: Evidence = {"turns_deg": turns}
        if not LEAST_TURN_DEG <= sizes[0] <= MOST_TURN_DEG:
            return Rejection(Reason.DEAD_ZONE, evidence)
        if sizes[1] > MOST_OTHER_TURN * sizes[0]:
            return Rejection(Reason.ORDER_AMBIGUOUS, evidence)
        return Answer(STEPS[[abs(t) for t in turns].index(sizes[0])], evidence)

    def _count(self, views: ViewSet, object_id: int) -> Answer[int] | Rejection:
        """How many of a kind the walk passes, where no image shows all of them."""
        layout = views.layout
        name = views.category(object_id)
        ids = [item.object_id for item in layout.by_category[name]]
        if layout.rivals[name]:
            return Rejection(Reason.NAME_AMBIGUOUS)
        rows = [views.rows[k] for k in ids]
        most = int(views.shown[rows].sum(axis=0).max())
        evidence: Evidence = {"object_ids": ids, "most_in_one_image": most}
        if not views.shown[rows].any(axis=1).all():
            return Rejection(Reason.COUNT_UNSURE, evidence)
        if len(ids) < 2 or most == len(ids):
            return Rejection(Reason.COUNT_RANGE, evidence)
        return Answer(len(ids), evidence)

    def tell(self, views: ViewSet, row: Row, found: Answer[Any]) -> Facts:
        """The answer, with the steps that are offered or the name of what is counted."""
        if self.words:
            letter = LETTERS[STEPS.index(found.value)]
            slots = {"options": answers.option_lines(STEPS), "letter": letter}
            return Facts(answers.letter(letter), found.evidence, slots, options=STEPS)
        if self.quantity == "object_count":
            answer = answers.integer(found.value, "count")
            slots = {"category": views.category(row.items[0])}
        else:
            answer, slots = answers.number(found.value, "m"), {}
        return Facts(answer, found.evidence, slots | {"answer": answer.span})

    def named(self, reference: ReferenceScene, row: Row) -> list[Named]:
        """Everything that is counted."""
        if self.quantity != "object_count":
            return []
        found = self.ask(reference_views(reference, row.frames), row)
        return [Named(k, row.frames) for k in found.evidence.get("object_ids", ())]

    def chain(self, told: Telling) -> Chain | None:
        """The numbers of its evidence in words."""
        return of_plans.walk_path(told, self.quantity)


OPEN = tuple(WalkPath(quantity) for quantity in get_args(Quantity))
WALK_PATH = (*OPEN, *(NumericChoice(one) for one in OPEN if one.has_choice))
