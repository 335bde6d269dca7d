# SPDX-License-Identifier: Apache-2.0
"""One image of a layout: what it shows of each object, under which names, how near and where."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spatial_engine.engines.context import SceneContext
from spatial_engine.engines.layout_scene import LayoutScene, layout_scene, reference_layout
from spatialcore.relations import pairs
from spatialcore.relations.eye import tell_apart
from spatialcore.relations.scene_object import SceneObject, viewer_range
from spatialcore.relations.verdict import Answer, Reason, Rejection
from spatialcore.types import Camera, Float64, invert_pose, transform_points

if TYPE_CHECKING:
    from spatial_engine.reference.scene import ReferenceScene


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
    _instances: dict[int, Answer[int] | Rejection] = field(
        default_factory=dict, init=False, repr=False
    )

    def instances(self, object_id: int) -> Answer[int] | Rejection:
        """How many of the object's category the frame sees, when it sees each well or not at all.

        Returns:
            The count, or `name_ambiguous` (something of another name of the family might show),
            or `object_partial`, or `count_unsure` (one is near a surface that is not its own), or
            `category_not_seen`. Evidence: `object_ids` and
            `visible` vertices of all instances.
        """
        if object_id not in self._instances:
            self._instances[object_id] = self._counted(object_id)
        return self._instances[object_id]

    def _counted(self, object_id: int) -> Answer[int] | Rejection:
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

    def all_nearer(
        self, ids: Sequence[int]
    ) -> tuple[list[int], list[int], list[str], Counter[str]]:
        """`nearer` of every two of some objects of which the image shows a part, by arrays.

        Returns:
            First objects, second ones and words of those that have an answer; the others by reason.
        """
        parts = [self.seen_part(k) for k in ids]
        there = [(k, part) for k, part in zip(ids, parts, strict=True) if part is not None]
        lacking, rules = len(ids) - len(there), self.layout.relation_rules
        near = np.array([self._range_of(k, part) for k, part in there])
        whole = np.array([
            self._range_of(k, self.layout.object(k), whole=True) for k, _ in there
        ])  # fmt: skip
        a, b = np.nonzero(~np.eye(len(there), dtype=np.bool_))

        def clear(ranges: Float64) -> NDArray[np.bool_]:
            share, metres = rules.min_seen_share, rules.min_seen_m
            return tell_apart(ranges[a], ranges[b], share=share, metres=metres)

        seen = clear(near)
        kept = seen & clear(whole) & ((near[a] < near[b]) == (whole[a] < whole[b]))
        refused = {
            Reason.CATEGORY_NOT_SEEN: lacking * (len(ids) - 1) + len(there) * lacking,
            Reason.DEAD_ZONE: int((~seen).sum()),
            Reason.HIDDEN_PART: int((seen & ~kept).sum()),
        }
        named = np.array([k for k, _ in there], dtype=np.int64)
        words = [("farther", "nearer")[one] for one in (near[a] < near[b])[kept].tolist()]
        return (
            named[a[kept]].tolist(), named[b[kept]].tolist(), words,
            Counter({str(reason): count for reason, count in refused.items() if count}),
        )  # fmt: skip

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
        # The same under whatever name, and whatever other frames are shown.
        key = "range", self.layout.frames[self.column], object_id, whole
        return self.layout.of_whole(key, lambda: viewer_range(self.world_from_cam[:3, 3], item))

    def _rival_rows(self, object_id: int) -> NDArray[np.intp]:
        """Rows of the objects whose names the object's may be taken for."""
        rivals = self.layout.rivals[self.layout.object(object_id).category]
        found = [row for name in rivals for row in self._rows(name)]
        return np.array(found, dtype=np.intp)

    def _rows(self, category: str) -> list[int]:
        """Rows of a category's instances in `layout.objects`."""
        return self.layout.rows_of[category]


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
