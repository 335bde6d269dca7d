# SPDX-License-Identifier: Apache-2.0
"""Depth of a point, and which of two points is closer, by marks or by coordinates.

Depth is z, the distance along the viewing direction; it is never the range to the camera.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from spatial_engine.engines.base import (
    LETTER,
    AnswerForm,
    Engine,
    Facts,
    Metric,
    Subject,
    equal_shares,
)
from spatial_engine.engines.candidates import CandidateTable, Row
from spatial_engine.engines.chains import of_points
from spatial_engine.engines.context import SceneContext
from spatial_engine.engines.depth_cues import CUE_COUNT, SIDES, balanced, cue_of
from spatial_engine.engines.depth_pixels import depth_pixels
from spatial_engine.engines.frame_points import (
    Int64,
    Test,
    Views,
    drawn_colours,
    first_passing,
    first_points,
    marks_at,
    pixels_apart,
    point_ids,
    point_views,
    points_of_ids,
    unseen_frames,
    views_norm1000,
)
from spatial_engine.engines.point_checks import reference_rejection, reference_views
from spatial_engine.engines.published import Published
from spatial_engine.records import answers
from spatial_engine.records.place import Place
from spatialcore.draws import uniform_below_rows

if TYPE_CHECKING:
    from spatial_engine.recipe import Guards, Recipe
    from spatial_engine.records.chains import Chain, Telling
    from spatial_engine.records.marks import Mark
    from spatial_engine.reference.scene import ReferenceScene

Form = Literal["marked", "coordinate"]
BIN_M = 0.5  # depth values are balanced over bins of this width
_MOST_BINNED_M = 100.0  # a recipe without a depth limit is not balanced over depth
_LETTERS = ("A", "B")
_LOOK = 3  # quotas of a scene that are listed, so that enough is left when cues are balanced
# Depths and comparisons of one image tell about each other.
_SUBJECT = Subject("depth")


def depth_bins(recipe: Recipe) -> int:
    """Depth bins of 0.5 m up to the recipe's limit, one where it has none."""
    most = recipe.rules.guards.depth_max_m
    return math.ceil(most / BIN_M) if most <= _MOST_BINNED_M else 1


def _rounding(recipe: Recipe, task: str) -> answers.Rounding:
    return "truncate" if task in recipe.truncated_tasks else recipe.rounding


def _seen(views: Views, pixels: NDArray[np.int64]) -> list[list[dict[str, Any]]]:
    """Evidence of each point (n, k): pixel, depth, and the depth pixel that stands for it."""
    return [
        [{"uv": uv, "z_m": z, "depth_pixel": pixel} for uv, z, pixel in zip(*row, strict=True)]
        for row in zip(views.uv.tolist(), views.z.tolist(), pixels.tolist(), strict=True)
    ]


def _evidence(
    context: SceneContext, rows: Sequence[Row], views: Views
) -> list[list[dict[str, Any]]]:
    return _seen(views, depth_pixels(context, [row.frames[0] for row in rows], views))


def _reference_evidence(
    reference: ReferenceScene, frame: int, views: Views
) -> list[list[dict[str, Any]]]:
    size = reference.depth_size(frame)
    return _seen(views, reference.pixel_map(frame).depth_pixel(views.uv, size))


def _views(context: SceneContext, rows: Sequence[Row]) -> Views:
    """The points of each row as its frame sees them."""
    frames = [row.frames[0] for row in rows]
    return point_views(context, frames, points_of_ids(context, [row.items for row in rows]))


def _drawn(place: Place, task: str, rows: Sequence[Row], slot: str) -> NDArray[np.uint64]:
    """The draw of each row."""
    columns = np.array([(*row.frames, *row.items) for row in rows], dtype=np.int64).T
    return place.draw_rows(task, list(columns), slot)


@dataclass(frozen=True, slots=True)
class DepthValue(Engine):
    """How deep is one point?

    Attributes:
        form: How the point is shown.
    """

    form: Form
    answer: ClassVar[AnswerForm] = AnswerForm("integer", "mm")
    subject: ClassVar[Subject] = _SUBJECT
    within_quota: ClassVar[bool] = True  # frames are chosen by the quota of the scene
    published: ClassVar[Published] = Published("MultiSPA", "depth value")

    @property
    def task(self) -> str:
        """Task name."""
        return f"depth_perception.value.{self.form}"

    @property
    def question_type(self) -> str:
        """Published name."""
        return {"marked": "depth_estimation_dot", "coordinate": "depth_estimation_coor"}[self.form]

    def bin_count(self, recipe: Recipe) -> int:
        """Bins of depth."""
        return depth_bins(recipe)

    def candidates(self, context: SceneContext) -> CandidateTable:
        """First points of the frames within the scene's quota."""
        frames, points = first_points(context, self.task)
        z = point_views(context, frames, points[:, None]).z[:, 0]
        last = depth_bins(context.recipe) - 1
        bins = np.minimum(z // BIN_M, last) if last else np.zeros(len(z))
        ids = point_ids(context, points)
        return CandidateTable.build(
            frames, ids, context.place.draw_rows(self.task, (frames, ids), "select"),
            bin=bins, rejected=unseen_frames(context),
        )  # fmt: skip

    def facts(self, context: SceneContext, rows: Sequence[Row]) -> list[Facts]:
        """The depth of each point."""
        views = _views(context, rows)
        return self._facts(context.place, rows, views, _evidence(context, rows, views))

    def _facts(
        self,
        place: Place,
        rows: Sequence[Row],
        views: Views,
        evidence: list[list[dict[str, Any]]],
    ) -> list[Facts]:
        rounding = _rounding(place.recipe, self.task)
        depths = answers.integers(1000 * views.z[:, 0], "mm", rounding)
        if self.form == "coordinate":
            return [
                Facts(
                    answer, {**seen, "norm1000": [x, y]},
                    {"depth_mm": text, "x": str(x), "y": str(y)},
                )
                for (answer, text), (seen,), ((x, y),) in zip(
                    depths, evidence, views_norm1000(views.uv, views.size).tolist(), strict=True
                )
            ]  # fmt: skip
        colours = drawn_colours(_drawn(place, self.task, rows, "colour"))
        marks = marks_at(views.uv, views.size, place.recipe.rules.guards.mark_radius_share, colours)
        return [
            Facts(answer, seen, {"depth_mm": text}, (mark,))
            for (answer, text), (seen,), mark in zip(depths, evidence, marks, strict=True)
        ]

    def recompute(self, reference: ReferenceScene, row: Row) -> tuple[Facts, str]:
        """The depth from the source's vertex and pose."""
        frame, point = row.frames[0], row.items[0]
        views = reference_views(reference, frame, [point])
        evidence = _reference_evidence(reference, frame, views)
        facts = self._facts(reference.place, [row], views, evidence)
        return facts[0], reference_rejection(reference, frame, [point])

    def chain(self, told: Telling) -> Chain | None:
        """The numbers of its evidence in words."""
        return of_points.depth_value(told)


@dataclass(frozen=True, slots=True)
class DepthComparison(Engine):
    """Which of two points is closer, or farther?

    Attributes:
        form: How the points are shown and named.
    """

    form: Form
    subject: ClassVar[Subject] = _SUBJECT
    within_quota: ClassVar[bool] = True  # frames are chosen by the quota of the scene
    published: ClassVar[Published] = Published("MultiSPA", "depth comparison")
    whole_contents: ClassVar[bool] = True

    needs_metres: ClassVar[bool] = False

    @property
    def task(self) -> str:
        """Task name."""
        return f"depth_perception.comparison.{self.form}"

    @property
    def question_type(self) -> str:
        """Published name."""
        names = {"marked": "annotated", "coordinate": "coordinate"}
        return f"depth_comparison_{names[self.form]}"

    @property
    def words(self) -> tuple[str, ...]:
        """The two letters, where points are marked."""
        return _LETTERS if self.form == "marked" else ()

    @property
    def answer(self) -> AnswerForm:
        """A letter, or the coordinates of the right point."""
        return LETTER if self.form == "marked" else AnswerForm("coordinate", "norm1000")

    @property
    def metric(self) -> Metric:
        """A point must also lie nearer to the right one than to the other."""
        return "accuracy" if self.form == "marked" else "nearest, within 5 % of W"

    def strata(self, recipe: Recipe) -> tuple[tuple[str, float], ...]:
        """Where the closer point lies beside the other one: each way equally often."""
        return equal_shares(SIDES) if recipe.word_strata else (("", 1.0),)

    def candidates(self, context: SceneContext) -> CandidateTable:
        """First points of the frames, each with the second point of the smallest draw.

        Where the closer one is to lie is drawn first.
        """
        guarded = context.recipe.word_strata
        frames, first = first_points(context, self.task, _LOOK if guarded else 1)
        views, ids = point_views(context, frames, first[:, None]), point_ids(context, first)
        states = context.place.draw_rows(self.task, (frames, ids), "point/1")
        drawn = context.place.draw_rows(self.task, (frames, ids), "cue")
        cue = uniform_below_rows(drawn, CUE_COUNT).astype(np.int64)

        def tested(test: Callable[[Guards, Views, Views], NDArray[np.bool_]]) -> Test:
            def passed(queries: Int64, points: Int64, other: Views) -> NDArray[np.bool_]:
                del points
                return test(context.recipe.guards, views.take(queries), other)

            return passed

        def cued(queries: Int64, points: Int64, other: Views) -> NDArray[np.bool_]:
            del points
            return np.asarray(cue_of(views.take(queries), other) == cue[queries, None])

        tests = [("depth_gap", tested(_depths_differ)), ("points_too_close", tested(_apart))]
        if self.form == "coordinate":
            tests.append(("coordinates_equal", tested(_coordinates_differ)))
        if guarded:
            tests.append(("position_cue", cued))
        rejected = Counter(unseen_frames(context))
        second = first_passing(context, frames, states, tests, rejected)
        found = second >= 0
        columns = (frames[found], ids[found], point_ids(context, second[found]))
        others = point_views(context, frames[found], second[found, None])
        content, stratum = balanced(cue[found], views.take(found), others)
        return CandidateTable.build(
            columns[0], np.stack(columns[1:], axis=1),
            context.place.draw_rows(self.task, columns, "select"),
            stratum=stratum if guarded else 0, content=content if guarded else 0,
            rejected=rejected,
        )  # fmt: skip

    def facts(self, context: SceneContext, rows: Sequence[Row]) -> list[Facts]:
        """The closer or farther points, by letter or coordinate."""
        views = _views(context, rows)
        return self._facts(context.place, rows, views, _evidence(context, rows, views))

    def _facts(
        self,
        place: Place,
        rows: Sequence[Row],
        views: Views,
        evidence: list[list[dict[str, Any]]],
    ) -> list[Facts]:
        half = np.uint64(1 << 63)
        swapped = _drawn(place, self.task, rows, "letters") >= half
        farther = _drawn(place, self.task, rows, "order") >= half
        uv = np.where(swapped[:, None, None], views.uv[:, ::-1], views.uv)
        z = np.where(swapped[:, None], views.z[:, ::-1], views.z)
        wanted = np.where(farther, z.argmax(axis=1), z.argmin(axis=1)).tolist()
        variants = ["farther" if far else "closer" for far in farther.tolist()]
        if self.form == "coordinate":
            pixels = views_norm1000(uv, views.size).tolist()
            told = map(_told_by_coordinates, pixels, wanted, evidence, variants)
            return list(told)
        colours = drawn_colours(_drawn(place, self.task, rows, "colour"))
        share = place.recipe.rules.guards.mark_radius_share
        marks = marks_at(uv, views.size, share, colours, "".join(_LETTERS))
        return [
            _told_by_letter(*row)
            for row in zip(wanted, evidence, variants, swapped.tolist(), marks, strict=True)
        ]

    def recompute(self, reference: ReferenceScene, row: Row) -> tuple[Facts, str]:
        """Both depths from the source's vertices and pose."""
        frame = row.frames[0]
        views = reference_views(reference, frame, row.items)
        evidence = _reference_evidence(reference, frame, views)
        facts = self._facts(reference.place, [row], views, evidence)[0]
        reason = reference_rejection(reference, frame, row.items)
        if reason:
            return facts, reason
        size = reference.camera(frame).size
        return facts, self._rejection(reference.recipe.guards, views, size)

    def _rejection(self, guards: Guards, views: Views, size: tuple[int, int]) -> str:
        (a, b), (p, q) = views.z[0].tolist(), views.uv[0].tolist()
        least = max(guards.min_depth_gap_m, guards.min_depth_gap_share * max(a, b))
        if round(1000 * a) == round(1000 * b) or abs(a - b) < least:
            return "depth_gap"
        if math.dist(p, q) < guards.min_pixel_separation * size[0]:
            return "points_too_close"
        if self.form == "coordinate":
            m, n = (answers.norm1000(u, v, *size) for u, v in (p, q))
            if max(abs(m[0] - n[0]), abs(m[1] - n[1])) < max(1, guards.min_coordinate_gap):
                return "coordinates_equal"
        return ""

    def chain(self, told: Telling) -> Chain | None:
        """The numbers of its evidence in words."""
        return of_points.depth_comparison(told)


def _depths_differ(guards: Guards, first: Views, other: Views) -> NDArray[np.bool_]:
    """Which of the other points (n, k) are so much closer or farther than the first ones (n, 1)."""
    z, at = other.z, first.z
    least = np.maximum(guards.min_depth_gap_m, guards.min_depth_gap_share * np.maximum(z, at))
    # Whole millimetres must differ in every recipe, otherwise there is no answer.
    differ = np.rint(1000 * z) != np.rint(1000 * at)
    return np.asarray(differ & (np.abs(z - at) >= least))


def _apart(guards: Guards, first: Views, other: Views) -> NDArray[np.bool_]:
    return pixels_apart(other.uv, first.uv, guards.min_pixel_separation * other.width)


def _coordinates_differ(guards: Guards, first: Views, other: Views) -> NDArray[np.bool_]:
    gap = np.abs(views_norm1000(other.uv, other.size) - views_norm1000(first.uv, first.size))
    return np.asarray(np.maximum(gap[..., 0], gap[..., 1]) >= max(1, guards.min_coordinate_gap))


def _told_by_letter(
    wanted: int,
    evidence: list[dict[str, Any]],
    variant: str,
    swapped: bool,
    marks: tuple[Mark, ...],
) -> Facts:
    letters = ["B", "A"] if swapped else ["A", "B"]
    numbers = {"points": evidence, "order": variant, "letters": letters}
    answer = answers.letter(_LETTERS[wanted])
    return Facts(answer, numbers, {"letter": answer.span}, (marks,), _LETTERS, variant)


def _told_by_coordinates(
    pixels: list[list[int]], wanted: int, evidence: list[dict[str, Any]], variant: str
) -> Facts:
    (x1, y1), (x2, y2) = pixels
    x, y = pixels[wanted]
    slots = {
        "x1": str(x1), "y1": str(y1), "x2": str(x2), "y2": str(y2), "x": str(x), "y": str(y)
    }  # fmt: skip
    numbers = {"points": evidence, "order": variant, "norm1000": pixels}
    return Facts(answers.coordinate(x, y), numbers, slots, variant=variant)


DEPTH_PERCEPTION = (
    DepthValue("marked"),
    DepthValue("coordinate"),
    DepthComparison("marked"),
    DepthComparison("coordinate"),
)
