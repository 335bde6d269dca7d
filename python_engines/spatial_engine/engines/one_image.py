# SPDX-License-Identifier: Apache-2.0
"""Questions about objects that one image answers: how many, on which side, which is nearer.

The frames are those of the layout questions. An object may be named where its frame sees it and no
other object of its category or family (a coffee table beside a table) shows even a little, or
might: one that only the tolerant rule for points sees may be hidden, or the pose may be off, and
neither is to be asked about.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

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
from spatial_engine.engines.contents import content_of, in_order
from spatial_engine.engines.context import SceneContext
from spatial_engine.engines.layout_scene import (
    OBJECTS,
    LayoutScene,
    answered,
    layout_scene,
    reference_layout,
)
from spatial_engine.records import answers
from spatialcore.relations import pairs
from spatialcore.relations.scene_object import SceneObject, viewer_range
from spatialcore.relations.verdict import Answer, Reason, Rejection
from spatialcore.types import Camera, Float64, invert_pose, transform_points

if TYPE_CHECKING:
    from spatial_engine.recipe import Recipe
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


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """One frame of a layout.

    Attributes:
        layout: Objects and names.
        column: The frame's column of `visible_count`.
        camera: Of its image.
        world_from_cam: (4, 4).
    """

    layout: LayoutScene
    column: int
    camera: Camera
    world_from_cam: Float64
    _sole: dict[int, Reason | None] = field(default_factory=dict, init=False, repr=False)
    _ranges: dict[tuple[int, bool], float] = field(default_factory=dict, init=False, repr=False)

    def instances(self, object_id: int) -> Answer[int] | Rejection:
        """How many of the object's category the frame sees, when it sees each well or not at all.

        Returns:
            The count, or `name_ambiguous` (something of another name of the family might show),
            or `object_partial`, or `count_unsure` (one is near a surface that is not its own), or
            `category_not_seen`. Evidence: `object_ids` and
            `visible` vertices of all instances.
        """
        layout = self.layout
        rows = self._rows(layout.object(object_id).category)
        visible = layout.visible_count[rows, self.column]
        seen = layout.shown[rows, self.column]
        evidence = {
            "object_ids": [layout.objects[r].object_id for r in rows], "visible": visible.tolist(),
        }  # fmt: skip
        if bool((layout.visible_count[self._rival_rows(object_id), self.column] > 0).any()):
            return Rejection(Reason.NAME_AMBIGUOUS, evidence)
        unclear = (visible > 0) & ~seen
        if bool((unclear & (visible < layout.seen_from[rows])).any()):
            return Rejection(Reason.OBJECT_PARTIAL, evidence)
        if bool(unclear.any()):
            return Rejection(Reason.COUNT_UNSURE, evidence)
        count = int(seen.sum())
        return Answer(count, evidence) if count else Rejection(Reason.CATEGORY_NOT_SEEN, evidence)

    def shown_ids(self, object_id: int) -> list[int]:
        """The instances of an object's category that the frame shows."""
        layout = self.layout
        rows = self._rows(layout.object(object_id).category)
        return [layout.objects[r].object_id for r in rows if layout.shown[r, self.column]]

    def sole(self, object_id: int) -> Reason | None:
        """Why the object may not be named by its category in this frame, or None."""
        if object_id not in self._sole:
            self._sole[object_id] = self._named(object_id)
        return self._sole[object_id]

    def _named(self, object_id: int) -> Reason | None:
        layout = self.layout
        rows = self._rows(layout.object(object_id).category)
        mine = np.array([layout.objects[r].object_id == object_id for r in rows])
        if not bool(layout.shown[rows, self.column][mine].all()):
            return Reason.CATEGORY_NOT_SEEN
        least = layout.recipe.guards.object_other_share * layout.vertex_count
        others, rivals = np.array(rows)[~mine], self._rival_rows(object_id)
        for reason, found in (
            (Reason.CATEGORY_NOT_UNIQUE, others), (Reason.NAME_AMBIGUOUS, rivals),
        ):  # fmt: skip
            if bool((layout.visible_count[found, self.column] > least[found]).any()):
                return reason
        return None

    def seen_part(self, object_id: int) -> SceneObject | None:
        """What the frame shows of an object."""
        frame = self.layout.frames[self.column]
        return self.layout.seen_part(self.layout.object(object_id), (frame,))

    def nearer(self, a: int, b: int) -> Answer[str] | Rejection:
        """Whether the nearest point of a that is to be seen is nearer to the camera than that of b.

        Returns:
            The word about a, or `dead_zone`, or `hidden_part` (with the parts of both that the
            image does not show the word would be another, or none). Evidence: `range_a_m` and
            `range_b_m` of what is seen, `whole_a_m` and `whole_b_m` of the objects.
        """
        part_a, part_b, rules = self.seen_part(a), self.seen_part(b), self.layout.relation_rules
        if part_a is None or part_b is None:
            return Rejection(Reason.CATEGORY_NOT_SEEN)
        near = self._range_of(a, part_a), self._range_of(b, part_b)
        seen = pairs.nearer_to_viewer(*near, rules=rules)
        if isinstance(seen, Rejection):
            return seen
        ranges = [self._range_of(k, self.layout.object(k), whole=True) for k in (a, b)]
        whole = pairs.nearer_to_viewer(*ranges, rules=rules)
        evidence = seen.evidence | {"whole_a_m": ranges[0], "whole_b_m": ranges[1]}
        if isinstance(whole, Rejection) or whole.value != seen.value:
            return Rejection(Reason.HIDDEN_PART, evidence)
        return Answer(seen.value, evidence)

    def side(self, object_id: int) -> Answer[str] | Rejection:
        """In which half of the image an object lies, by its middle and by what of it is to be seen.

        Returns:
            As `pairs.image_side`, or `hidden_part` where the two are in different halves.
        """
        item, cam_from_world = self.layout.object(object_id), invert_pose(self.world_from_cam)
        found = pairs.image_side(
            item, self.camera, cam_from_world, rules=self.layout.relation_rules
        )
        part = self.seen_part(object_id)
        if isinstance(found, Rejection) or part is None:
            return found
        u = float(
            np.median(self.camera.project(transform_points(cam_from_world, part.outline))[0][:, 0])
        )
        evidence = found.evidence | {"seen_u": u}
        if (u > 0.5 * (self.camera.size[0] - 1)) != (found.value == "right"):
            return Rejection(Reason.HIDDEN_PART, evidence)
        return Answer(found.value, evidence)

    def _range_of(self, object_id: int, item: SceneObject, *, whole: bool = False) -> float:
        """Metres from the camera to the nearest vertex of an object, or of what is seen of it."""
        if (object_id, whole) not in self._ranges:
            viewer = self.world_from_cam[:3, 3]
            self._ranges[object_id, whole] = viewer_range(viewer, item)
        return self._ranges[object_id, whole]

    def _rival_rows(self, object_id: int) -> NDArray[np.intp]:
        """Rows of the objects whose names the object's may be taken for."""
        rivals = self.layout.rivals[self.layout.object(object_id).category]
        found = [row for name in rivals for row in self._rows(name)]
        return np.array(found, dtype=np.intp)

    def _rows(self, category: str) -> list[int]:
        """Rows of a category's instances in `layout.objects`."""
        return [r for r, item in enumerate(self.layout.objects) if item.category == category]


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
            for items in self._possible(view):
                found = self._ask(view, items)
                if isinstance(found, Rejection):
                    gathered.refuse(found.reason)
                    continue
                names = [view.layout.object(k).category for k in items]
                word = found.value
                if self.quantity == "nearer":
                    word = in_order(word, names, _TURNED)
                gathered.keep(
                    Row((frame,), items), bin=int(names != sorted(names)),
                    stratum=self._stratum(word), content=content_of(*names),
                )  # fmt: skip
        return gathered.table()

    def _stratum(self, value: Any) -> int:
        return self.words.index(value) if self.words else min(int(value), len(COUNTS)) - 1

    def _possible(self, view: View) -> Iterator[tuple[int, ...]]:
        """Objects that might be asked about: some vertex of each is seen."""
        layout = view.layout
        some = layout.visible_count[:, view.column] > 0
        seen = [i for i, shown in zip(layout.objects, some.tolist(), strict=True) if shown]
        if self.quantity == "object_count":
            first = {item.category: item.object_id for item in reversed(seen)}
            yield from ((k,) for k in sorted(first.values()))
        elif self.quantity == "image_side":
            yield from ((item.object_id,) for item in seen)
        else:
            yield from permutations((item.object_id for item in seen), 2)

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


def reference_view(reference: ReferenceScene, frames: tuple[int, ...], frame: int) -> View:
    """One of some frames as the source and the reference give it."""
    layout = reference_layout(reference, frames)
    column = layout.frames.index(frame)
    return View(layout, column, reference.camera(frame), reference.world_from_cam(frame))


def views_of(context: SceneContext) -> dict[int, View]:
    """The shown frames; what is found of them serves all tasks."""

    def make() -> dict[int, View]:
        layout, scene = layout_scene(context), context.scene
        return {
            frame: View(layout, column, scene.color_camera(frame), scene.world_from_cam(frame))
            for column, frame in enumerate(layout.frames)
        }

    return context.cached("one_image.views", make)


ONE_IMAGE = tuple(OneImage(quantity) for quantity in get_args(Quantity))
