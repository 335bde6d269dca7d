# SPDX-License-Identifier: Apache-2.0
"""How tall, long and wide an object is, from one or two frames that show its whole extent.

The frames are a minimal covering set: together they see the object from end to end on the asked
axis, within 10 %, and no frame of them is superfluous. Such a set never has more than two frames
(docs/ops/coverage.md), so none is lost to sampling. Sides are those of the gravity-aligned oriented
box, or of the room-aligned one in the published recipe.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spatial_engine import answers
from spatial_engine.engine import CandidateTable, Facts, Place, Row, SceneContext
from spatialcore.relations.objects import axis_sides, is_excluded, object_rows, seen_threshold
from spatialcore.relations.tables import ObjectRow

if TYPE_CHECKING:
    from spatial_engine.reference import ReferenceScene
    from spatialcore.relations.recipe import Recipe
    from spatialcore.types import Scene

Axis = Literal["height", "length", "width"]
SETS_PER_OBJECT = 100  # of one size: more pictures of one object teach little
TOLERANCE = 0.1  # of the side: how much of it a set may miss


class _Seen(NamedTuple):
    """Visible vertices of the objects in every frame, by object id and frame."""

    rows: dict[int, ObjectRow]
    visible: dict[tuple[int, int], int]
    extent: dict[tuple[int, int], tuple[float, float]]


@dataclass(frozen=True, slots=True)
class ObjectSize:
    """A side of a named object.

    Attributes:
        axis: Which side: height is vertical, length the longer and width the shorter horizontal.
    """

    axis: Axis
    kind: ClassVar[Literal["scene", "clip"]] = "scene"
    words: ClassVar[tuple[str, ...]] = ()
    needs_up: ClassVar[bool] = True

    @property
    def task(self) -> str:
        """Task name."""
        return f"object_perception.{self.axis}"

    @property
    def question_type(self) -> str:
        """Published name."""
        return f"object_perception_{self.axis}_estimation"

    def bin_count(self, recipe: Recipe) -> int:
        """One."""
        del recipe
        return 1

    def strata(self, recipe: Recipe) -> tuple[tuple[str, float], ...]:
        """One."""
        del recipe
        return (("", 1.0),)

    def candidates(self, context: SceneContext) -> CandidateTable:
        """Covering sets of every object that may be asked about, at most 100 of a size."""
        recipe, sets = context.recipe, context.scene.view_sets
        seen = self._seen(context)
        mine = (np.array(sets.axis) == self.axis) & (np.array(sets.axes) == recipe.object_axes)
        rejected: Counter[str] = Counter()
        tables = []
        for object_id in np.unique(sets.object_id[mine]).tolist():
            row = seen.rows[object_id]
            reason = self._object_rejection(recipe, row)
            frames = sets.frames[mine & (sets.object_id == object_id)]
            if reason:
                rejected[reason] += len(frames)
                continue
            unique = np.array([self._is_unique(recipe, seen, row, f) for f in frames.tolist()])
            rejected["category_not_unique"] += int((~unique).sum())
            tables += [
                self._chosen(context, object_id, frames[unique & (singles == single)])
                for singles in [frames[:, 1] < 0]
                for single in (True, False)
            ]
        return _joined([table for table in tables if len(table)], rejected)

    def _chosen(
        self, context: SceneContext, object_id: int, frames: NDArray[np.int32]
    ) -> CandidateTable:
        """The sets of one size with the smallest draws, in the order that they are shown."""
        if not len(frames):
            return CandidateTable.empty()
        used = frames[:, :1] if frames[0, 1] < 0 else frames
        ids = np.full(len(used), object_id)
        columns = (*used.T, ids)
        select = context.place.draw_rows(self.task, columns, "select")
        kept = np.sort(np.argsort(select, kind="stable")[:SETS_PER_OBJECT])
        swap = context.place.draw_rows(self.task, columns, "order")[kept] >= np.uint64(1 << 63)
        shown = frames[kept].copy()
        if used.shape[1] == 2:
            shown[swap] = shown[swap][:, ::-1]
        return CandidateTable.build(shown, ids[kept], select[kept])

    def _object_rejection(self, recipe: Recipe, row: ObjectRow) -> str:
        """The guard that no set of this object passes, or ""."""
        guards = recipe.guards
        side = axis_sides(row, recipe.object_axes)[self.axis][1]
        if side < guards.object_min_side_m:
            return "object_small"
        return "object_partial" if row.vertex_count < guards.object_partial_vertices else ""

    def _is_unique(
        self, recipe: Recipe, seen: _Seen, row: ObjectRow, frames: tuple[int, ...]
    ) -> bool:
        """Whether no shown frame sees another object of the same name by even 1 %."""
        if not recipe.guards.object_unique:
            return True
        others = [
            other
            for other in seen.rows.values()
            if _name(recipe, other) == _name(recipe, row) and other.object_id != row.object_id
        ]
        share = recipe.guards.object_other_share
        return not any(
            seen.visible.get((other.object_id, frame), 0) >= share * other.vertex_count
            for other in others
            for frame in frames
        )

    def _seen(self, context: SceneContext) -> _Seen:
        def make() -> _Seen:
            scene, axes = context.scene, context.recipe.object_axes
            table, rows = scene.object_frames, {row.object_id: row for row in scene.objects}
            keys = list(zip(table.object_id.tolist(), table.frame.tolist(), strict=True))
            lo, hi = getattr(table, f"lo_{axes}"), getattr(table, f"hi_{axes}")
            index = [axis_sides(rows[k[0]], axes)[self.axis][0] for k in keys]
            at = np.arange(len(keys))
            pairs = zip(lo[at, index].tolist(), hi[at, index].tolist(), strict=True)
            counts = table.visible_count.tolist()
            return _Seen(
                rows, dict(zip(keys, counts, strict=True)), dict(zip(keys, pairs, strict=True))
            )

        return context.cached(("object_perception", self.axis), make)

    def facts(self, context: SceneContext, row: Row) -> Facts:
        """The side of the object's box."""
        seen, object_id = self._seen(context), row.items[0]
        extents = [seen.extent[object_id, frame] for frame in row.frames]
        return self._facts(context.place, seen.rows[object_id], extents)

    def _facts(self, place: Place, item: ObjectRow, extents: list[tuple[float, float]]) -> Facts:
        recipe = place.recipe
        axis, side = axis_sides(item, recipe.object_axes)[self.axis]
        evidence: dict[str, Any] = {
            "object_id": item.object_id,
            "axis": axis,
            "side_m": side,
            "extents_m": [list(extent) for extent in extents],
            "coverage_m": max(hi for _, hi in extents) - min(lo for lo, _ in extents),
            "vertex_count": item.vertex_count,
        }
        if recipe.object_axes == "aligned":
            evidence["box_aligned"] = item.box_aligned.tolist()
        else:
            evidence["box_center"] = item.box_center.tolist()
            evidence["box_size"] = item.box_size.tolist()
        rounding = "truncate" if self.task in recipe.truncated_tasks else recipe.rounding
        answer = answers.integer(1000 * side, "mm", rounding)
        slots = {"category": _name(recipe, item), "value_mm": answer.span}
        return Facts(answer, evidence, slots)

    def recompute(self, reference: ReferenceScene, row: Row) -> tuple[Facts, str]:
        """Box and extents from the source's vertices, visibility by the float64 reference."""
        recipe, object_id = reference.recipe, row.items[0]
        items = reference.cached("object_rows", lambda: _reference_rows(reference))
        item = items[object_id]
        turn = np.eye(3) if recipe.object_axes == "aligned" else item.box_R.T
        axis, side = axis_sides(item, recipe.object_axes)[self.axis]
        instance, points = reference.cloud.instance, reference.points
        extents: list[tuple[float, float]] = []
        counts: dict[tuple[int, int], int] = {}
        for frame in row.frames:
            seen = reference.visible(frame)
            found = points[seen & (instance == object_id)].astype(np.float64) @ turn[axis]
            extents.append((float(found.min()), float(found.max())))
            by_id = np.bincount(instance[seen & (instance >= 0)], minlength=max(items) + 1)
            counts |= {(other, frame): int(by_id[other]) for other in items}
        facts = self._facts(reference.place, item, extents)
        if is_excluded(recipe, item.raw_category, item.category):
            return facts, "category_excluded"
        least = seen_threshold(recipe, item.vertex_count)
        if min(counts[object_id, frame] for frame in row.frames) < least:
            return facts, "object_partial"
        reason = self._object_rejection(recipe, item)
        if not reason and not self._is_unique(recipe, _Seen(items, counts, {}), item, row.frames):
            reason = "category_not_unique"
        return facts, reason or _coverage_rejection(extents, side)


def _coverage_rejection(extents: list[tuple[float, float]], side: float) -> str:
    """Return "coverage_none" unless the set covers the side and none of it does so alone."""

    def covers(extent: float) -> bool:
        return abs(extent - side) <= TOLERANCE * side

    whole = max(hi for _, hi in extents) - min(lo for lo, _ in extents)
    alone = len(extents) > 1 and any(covers(hi - lo) for lo, hi in extents)
    return "" if covers(whole) and not alone else "coverage_none"


def _reference_rows(reference: ReferenceScene) -> dict[int, ObjectRow]:
    scene: Any = reference.source
    opened: Scene = scene
    rows, _ = object_rows(opened.objects, reference.points, reference.cloud.instance)
    return {row.object_id: row for row in rows}


def _name(recipe: Recipe, row: ObjectRow) -> str:
    """The word that the question uses: the canonical category, or the raw one as published."""
    return row.category if recipe.excluded_on == "canonical" else row.raw_category


def _joined(tables: list[CandidateTable], rejected: Counter[str]) -> CandidateTable:
    """The tables of all objects as one; rows of one frame are filled up by -1."""
    if not tables:
        return CandidateTable.empty(rejected)
    return CandidateTable.build(
        np.concatenate([table.frames for table in tables]),
        np.concatenate([table.items for table in tables]),
        np.concatenate([table.hash for table in tables]),
        rejected=rejected,
    )


OBJECT_PERCEPTION = (ObjectSize("height"), ObjectSize("length"), ObjectSize("width"))
