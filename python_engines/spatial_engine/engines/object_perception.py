# SPDX-License-Identifier: Apache-2.0
"""How tall, long and wide an object is, from the frames that together show its whole extent.

The frames are a minimal covering set: together they see the object from end to end on the asked
axis, and no frame of them is superfluous. By the published rule, ends within 10 %, such a set has
one or two frames; with `coverage = "bins"` every tenth of the side must be seen as well, and sets
have up to four (object_views.py). Sides are those of the gravity-aligned oriented box, or of the
room-aligned one in the published recipe.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spatial_engine.engines.base import AnswerForm, Engine, Facts, Named, Subject
from spatial_engine.engines.budgets import shown_frames
from spatial_engine.engines.candidates import CandidateTable, Row, joined
from spatial_engine.engines.chains import of_objects
from spatial_engine.engines.contents import content_of, number_strata, number_stratum
from spatial_engine.engines.context import SceneContext
from spatial_engine.engines.layout_scene import (
    LayoutScene,
    layout_scene,
    reference_layout,
)
from spatial_engine.engines.object_views import (
    BINS,
    TOLERANCE,
    Extent,
    SeenObjects,
    bins_of_frames,
    covering_sets,
    end_shares,
    object_axis,
    seen_objects,
)
from spatial_engine.engines.published import Published
from spatial_engine.engines.seen_sizes import extent_unsure
from spatial_engine.records import answers
from spatial_engine.records.place import Place
from spatial_engine.reference.extents import (
    coordinates_along,
    object_vertices,
    seen_ends,
    seen_extent,
)
from spatialcore.coverage import MOST_COVER_SIZE
from spatialcore.index.objects import (
    axis_sides,
    is_excluded,
    object_rows,
    seen_threshold,
    shows,
)
from spatialcore.index.tables import ObjectRow
from spatialcore.io.categories import confusable
from spatialcore.relations.verdict import Reason

if TYPE_CHECKING:
    from spatial_engine.recipe import Recipe
    from spatial_engine.records.chains import Chain, Telling
    from spatial_engine.reference.scene import ReferenceScene

Axis = Literal["height", "length", "width"]
_FIRST_MM = 10.0  # the first edge of sizes that are balanced is at 1.25 times this
SETS_PER_OBJECT = 100  # of one size: more pictures of one object teach little


class _Bins(NamedTuple):
    """Tenths of the side: those that each shown frame sees, and those that hold a vertex."""

    seen: list[list[int]]
    occupied: list[int]


@dataclass(frozen=True, slots=True)
class ObjectSize(Engine):
    """A side of a named object.

    Attributes:
        axis: Which side: height is vertical, length the longer and width the shorter horizontal.
    """

    axis: Axis
    answer: ClassVar[AnswerForm] = AnswerForm("integer", "mm")
    subject: ClassVar[Subject] = Subject("size", of_items=True)
    published: ClassVar[Published] = Published("MultiSPA", "object size")
    needs_objects: ClassVar[bool] = True
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
        """One, or one for each size of a set where bins have to be seen."""
        return MOST_COVER_SIZE if recipe.coverage == "bins" else 1

    def strata(self, recipe: Recipe) -> tuple[tuple[str, float], ...]:
        """One for each size where the recipe balances what answers say."""
        return number_strata("mm", _FIRST_MM) if recipe.word_strata else (("", 1.0),)

    def candidates(self, context: SceneContext) -> CandidateTable:
        """Covering sets of every object that may be asked about, at most 100 of a size."""
        recipe, seen = context.recipe, seen_objects(context, self.axis)
        rejected: Counter[str] = Counter()
        tables = []
        for object_id, by_size in sorted(covering_sets(context, self.axis).items()):
            row = seen.rows[object_id]
            reason = self._object_rejection(recipe, row)
            if reason:
                rejected[reason] += sum(map(len, by_size))
                continue
            built = context.scene.voxel is not None
            if built and self._unsure(layout_scene(context), row):
                rejected[str(Reason.EXTENT_UNSURE)] += sum(map(len, by_size))
                continue
            others = self._frames_of_others(recipe, seen, row)
            covered = seen.hidden_in(object_id, recipe.guards.object_open_share)
            for frames in by_size:
                unique = ~np.isin(frames, others).any(axis=1)
                rejected["category_not_unique"] += int((~unique).sum())
                clear = frames[unique]
                hidden = np.isin(clear, covered).any(axis=1)
                rejected["object_hidden"] += int(hidden.sum())
                clear = clear[~hidden]
                if self._by_ends(recipe) and len(clear):
                    ends = _both_ends(recipe, end_shares(context, row, self.axis, clear))
                    rejected[str(Reason.ENDS_UNSEEN)] += int((~ends).sum())
                    clear = clear[ends]
                if len(clear):
                    tables.append(self._chosen(context, object_id, clear))
        return joined(tables, rejected)

    def _by_ends(self, recipe: Recipe) -> bool:
        """Whether the ends of a side must be well in view."""
        return recipe.guards.object_end_share > 0

    def _unsure(self, layout: LayoutScene, row: ObjectRow) -> bool:
        """Whether the side of an object that masks labelled is not sure."""
        if layout.one_cluster is None:
            return False
        aligned = layout.recipe.rules.object_axes == "aligned"  # its axes are not those of the box
        axes = range(3) if aligned else [axis_sides(row, "oriented")[self.axis][0]]
        return extent_unsure(layout, layout.object(row.object_id), axes) is not None

    def _chosen(
        self, context: SceneContext, object_id: int, frames: NDArray[np.int32]
    ) -> CandidateTable:
        """The sets of one size with the smallest draws, in the order that they are shown."""
        ids, size = np.full(len(frames), object_id), frames.shape[1]
        columns = (*frames.T, ids)
        select = context.place.draw_rows(self.task, columns, "select")
        kept = np.sort(np.argsort(select, kind="stable")[:SETS_PER_OBJECT])
        columns = tuple(column[kept] for column in columns)
        shown = frames[kept]
        if size == 2:
            swap = context.place.draw_rows(self.task, columns, "order") >= np.uint64(1 << 63)
            shown[swap] = shown[swap][:, ::-1]
        elif size > 2:
            keys = [
                context.place.draw_rows(self.task, (*columns, np.full(len(kept), k)), "order")
                for k in range(size)
            ]
            shown = np.take_along_axis(shown, np.argsort(np.stack(keys, 1), kind="stable"), 1)
        bin = size - 1 if self.bin_count(context.recipe) > 1 else 0
        if not context.recipe.word_strata:
            return CandidateTable.build(shown, ids[kept], select[kept], bin=bin)
        row = seen_objects(context, self.axis).rows[object_id]
        side = axis_sides(row, context.recipe.rules.object_axes)[self.axis][1]
        return CandidateTable.build(
            shown, ids[kept], select[kept], bin=bin,
            stratum=number_stratum(1000 * side, _FIRST_MM),
            content=content_of(_name(context.recipe, row)),
        )  # fmt: skip

    def _object_rejection(self, recipe: Recipe, row: ObjectRow) -> str:
        """The guard that no set of this object passes, or ""."""
        guards = recipe.guards
        side = axis_sides(row, recipe.rules.object_axes)[self.axis][1]
        if side < guards.object_min_side_m:
            return "object_small"
        return "object_partial" if row.vertex_count < guards.object_partial_vertices else ""

    def _frames_of_others(self, recipe: Recipe, seen: SeenObjects, row: ObjectRow) -> list[int]:
        """Frames that see another object of the name or its family by even 1 %."""
        if not recipe.guards.object_unique:
            return []
        share = recipe.guards.object_other_share
        others = {
            other.object_id: share * other.vertex_count
            for other in seen.rows.values()
            if _same_name(recipe, other, row) and other.object_id != row.object_id
        }
        return [
            frame
            for (object_id, frame), count in seen.visible.items()
            if object_id in others and count and count >= others[object_id]
        ]

    def facts(self, context: SceneContext, rows: Sequence[Row]) -> list[Facts]:
        """The side of each object's box."""
        seen, place = seen_objects(context, self.axis), context.place
        subjects = {k: self._subject(place, seen.rows[k]) for k in {row.items[0] for row in rows}}
        by_bins = context.recipe.coverage == "bins"
        out = []
        for row in rows:
            object_id = row.items[0]
            extents = [seen.extent[object_id, frame] for frame in row.frames]
            bins = None
            if by_bins:
                item = seen.rows[object_id]
                bins = _Bins(*bins_of_frames(context, item, self.axis, row.frames))
            facts = _with_extents(subjects[object_id], extents, bins)
            if self._by_ends(context.recipe):
                item, frames = seen.rows[object_id], np.array([row.frames], np.int32)
                shown = end_shares(context, item, self.axis, frames)[0].tolist()
                facts = facts._replace(evidence={**facts.evidence, "ends_shown": shown})
            out.append(facts)
        return out

    def _subject(self, place: Place, item: ObjectRow) -> Facts:
        """What is said of an object, whichever frames show it."""
        recipe = place.recipe
        axis, side = axis_sides(item, recipe.rules.object_axes)[self.axis]
        evidence: dict[str, Any] = {
            "object_id": item.object_id,
            "axis": axis,
            "side_m": side,
            "vertex_count": item.vertex_count,
        }
        if recipe.rules.object_axes == "aligned":
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
        item, side = (
            items[object_id],
            axis_sides(items[object_id], recipe.rules.object_axes)[self.axis][1],
        )
        a = object_axis(item, recipe.rules.object_axes, self.axis)[None]
        ends = [seen_extent(reference, object_id, frame, a) for frame in row.frames]
        extents = [(float(e.low[0]), float(e.high[0])) for e in ends]
        counts = _reference_counts(reference, reference.visible, items, row.frames)
        bins = None
        if recipe.coverage == "bins":
            mine = object_vertices(reference, object_id)
            along = coordinates_along(reference, mine, a)[0]
            seen = [reference.object_points(frame)[mine] for frame in row.frames]
            bins = _reference_bins(along, [along[s] for s in seen])
        facts = _with_extents(self._subject(reference.place, item), extents, bins)
        shown = None
        if self._by_ends(recipe):
            shown = [list(seen_ends(reference, object_id, frame, a[0])) for frame in row.frames]
            facts = facts._replace(evidence={**facts.evidence, "ends_shown": shown})
        if is_excluded(recipe.rules, item.raw_category, item.category):
            return facts, "category_excluded"
        least = seen_threshold(recipe.rules, item.vertex_count)
        reason = _hidden(reference, items, row, least) or self._object_rejection(recipe, item)
        others = self._frames_of_others(recipe, SeenObjects(items, counts, {}, {}), item)
        if not reason and set(others) & set(row.frames):
            reason = "category_not_unique"
        reason = reason or _coverage_rejection(extents, side, bins)
        if not reason and shown and not _both_ends(recipe, np.array([shown]))[0]:
            reason = str(Reason.ENDS_UNSEEN)
        if not reason and reference.voxel is not None:
            layout = reference_layout(reference, shown_frames(reference.cloud_frames))
            reason = str(Reason.EXTENT_UNSURE) if self._unsure(layout, item) else ""
        return facts, reason

    def named(self, reference: ReferenceScene, row: Row) -> list[Named]:
        """The object, which each frame of its set shows."""
        del reference
        return [Named(row.items[0], (frame,)) for frame in row.frames]

    def chain(self, told: Telling) -> Chain | None:
        """The numbers of its evidence in words."""
        return of_objects.object_size(told, self.axis)


def _reference_counts(
    reference: ReferenceScene,
    seen: Callable[[int], NDArray[np.bool_]],
    items: Mapping[int, ObjectRow],
    frames: Sequence[int],
) -> dict[tuple[int, int], int]:
    """Points of each object that `seen` tells of each frame, by (object id, frame)."""
    instance = reference.cloud.instance
    counts: dict[tuple[int, int], int] = {}
    for frame in frames:
        by_id = np.bincount(instance[seen(frame) & (instance >= 0)], minlength=max(items) + 1)
        counts |= {(other, frame): int(by_id[other]) for other in items}
    return counts


def _hidden(reference: ReferenceScene, items: Mapping[int, ObjectRow], row: Row, least: int) -> str:
    """What keeps a frame of a row from showing its object, by the float64 reference, or ""."""
    whole = reference.visible
    if reference.rules.objects == "surface":
        whole = reference.inside
    found, inside = (
        _reference_counts(reference, seen, items, row.frames)
        for seen in (reference.object_points, whole)
    )
    keys = [(row.items[0], frame) for frame in row.frames]
    counts = [found[key] for key in keys], [inside[key] for key in keys]
    if not shows(reference.rules, *counts, least).all():
        return "object_partial"
    share = reference.recipe.guards.object_open_share
    return "object_hidden" if any(a < share * b for a, b in zip(*counts, strict=True)) else ""


def _with_extents(subject: Facts, extents: list[Extent], bins: _Bins | None) -> Facts:
    """The facts of an object with what the shown frames see of its side."""
    evidence = {
        **subject.evidence,
        "extents_m": [list(extent) for extent in extents],
        "coverage_m": max(hi for _, hi in extents) - min(lo for lo, _ in extents),
    }
    if bins is not None:
        evidence |= {"bins_seen": bins.seen, "bins_occupied": bins.occupied}
    return Facts(subject.answer, evidence, subject.slots)


def _both_ends(recipe: Recipe, shares: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(n,) whether one frame of each set shows the low end well, and one the high; (n, k, 2)."""
    ends = np.any(shares >= recipe.guards.object_end_share, axis=1)
    return np.asarray(np.all(ends, axis=1))


def _reference_bins(along: NDArray[np.float64], found: list[NDArray[np.float64]]) -> _Bins:
    """Tenths between the object's ends, the last one closed, one vertex after the other."""
    low, high = float(along.min()), float(along.max())

    def bins_of(coordinates: NDArray[np.float64]) -> list[int]:
        shares = [(c - low) / (high - low) for c in coordinates.tolist()]
        return sorted({min(int(share * BINS), BINS - 1) for share in shares})

    return _Bins([bins_of(coordinates) for coordinates in found], bins_of(along))


def _coverage_rejection(extents: list[Extent], side: float, bins: _Bins | None) -> str:
    """Return "coverage_none" unless the set covers the side and needs all of its frames."""
    every = range(len(extents))

    def covers(frames: list[int]) -> bool:
        if not frames:
            return False
        whole = max(extents[k][1] for k in frames) - min(extents[k][0] for k in frames)
        return abs(whole - side) <= TOLERANCE * side

    def sees_all(frames: list[int]) -> bool:
        if bins is None:
            return covers(frames)
        return set().union(*(bins.seen[k] for k in frames)) == set(bins.occupied)

    spared = any(sees_all([k for k in every if k != left]) for left in every)
    return "" if covers([*every]) and sees_all([*every]) and not spared else "coverage_none"


def _reference_rows(reference: ReferenceScene) -> dict[int, ObjectRow]:
    objects, cloud = reference.scene.objects, reference.cloud
    rows, _ = object_rows(objects, cloud.points_world, cloud.instance)
    return {row.object_id: row for row in rows}


def _name(recipe: Recipe, row: ObjectRow) -> str:
    """The word that the question uses: the canonical category, or the raw one as published."""
    return row.category if recipe.rules.excluded_on == "canonical" else row.raw_category


def _same_name(recipe: Recipe, one: ObjectRow, other: ObjectRow) -> bool:
    """Whether a question's name of one object may be taken for the other."""
    a, b = _name(recipe, one), _name(recipe, other)
    return a == b or (recipe.guards.object_family and confusable(a, b))


OBJECT_PERCEPTION = (ObjectSize("height"), ObjectSize("length"), ObjectSize("width"))
