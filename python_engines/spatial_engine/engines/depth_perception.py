# SPDX-License-Identifier: Apache-2.0
"""Depth of a point, and which of two points is closer, by marks or by coordinates.

Depth is z, the distance along the viewing direction; it is never the range to the camera.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from spatial_engine import answers
from spatial_engine.engine import CandidateTable, Facts, Place, Row, SceneContext
from spatial_engine.engines.frame_points import (
    FramePoints,
    PointView,
    drawn_colour,
    first_points,
    frame_points,
    frames_to_ask,
    mark_at,
    pixels_between,
    point_view,
    reference_rejection,
    reference_view,
    scene_pixel_map,
    unseen_frames,
    view_norm1000,
)
from spatialcore.draws import first_passing

if TYPE_CHECKING:
    from spatial_engine.reference import ReferenceScene
    from spatialcore.occlusion import PixelMap
    from spatialcore.relations.recipe import Guards, Recipe

Form = Literal["marked", "coordinate"]
BIN_M = 0.5  # depth values are balanced over bins of this width
_MOST_BINNED_M = 100.0  # a recipe without a depth limit is not balanced over depth
_LETTERS = ("A", "B")


def depth_bins(recipe: Recipe) -> int:
    """Depth bins of 0.5 m up to the recipe's limit, one where it has none."""
    most = recipe.guards.depth_max_m
    return math.ceil(most / BIN_M) if most <= _MOST_BINNED_M else 1


def _rounding(recipe: Recipe, task: str) -> answers.Rounding:
    return "truncate" if task in recipe.truncated_tasks else recipe.rounding


def _seen(view: PointView, pixel_map: PixelMap, depth_size: tuple[int, int]) -> dict[str, Any]:
    """A point's evidence: pixel, depth, and the depth pixel that stands for it."""
    return {
        "uv": [view.u, view.v],
        "z_m": view.z,
        "depth_pixel": list(pixel_map.depth_pixel(view.u, view.v, depth_size)),
    }


@dataclass(frozen=True, slots=True)
class DepthValue:
    """How deep is one point?

    Attributes:
        form: How the point is shown.
    """

    form: Form
    kind: ClassVar[Literal["scene", "clip"]] = "scene"
    words: ClassVar[tuple[str, ...]] = ()
    needs_up: ClassVar[bool] = False

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

    def strata(self, recipe: Recipe) -> tuple[tuple[str, float], ...]:
        """One."""
        del recipe
        return (("", 1.0),)

    def candidates(self, context: SceneContext) -> CandidateTable:
        """First points of the frames within the scene's quota."""
        frames, points, depths = [], [], []
        for frame, count in frames_to_ask(context, self.task):
            seen = frame_points(context, frame)
            for k in first_points(context, self.task, frame, count):
                frames.append(frame)
                points.append(int(seen.id[k]))
                depths.append(float(seen.z[k]))
        last = depth_bins(context.recipe) - 1
        bins = np.minimum(np.array(depths) // BIN_M, last) if last else np.zeros(len(depths))
        return CandidateTable.build(
            frames, points, context.place.draw_rows(self.task, (frames, points), "select"),
            bin=bins, rejected=unseen_frames(context),
        )  # fmt: skip

    def facts(self, context: SceneContext, row: Row) -> Facts:
        """The point's depth."""
        view = point_view(context, row.frames[0], row.items[0])
        evidence = _seen(view, scene_pixel_map(context), context.scene.depth_size)
        return self._facts(context.place, row, view, context.scene.image_size, evidence)

    def _facts(
        self,
        place: Place,
        row: Row,
        view: PointView,
        size: tuple[int, int],
        evidence: dict[str, Any],
    ) -> Facts:
        answer = answers.integer(1000 * view.z, "mm", _rounding(place.recipe, self.task))
        slots = {"depth_mm": answer.span}
        if self.form == "coordinate":
            x, y = view_norm1000(view, size)
            slots |= {"x": str(x), "y": str(y)}
            return Facts(answer, {**evidence, "norm1000": [x, y]}, slots)
        colour = drawn_colour(place.draw(self.task, (*row.frames, *row.items), "colour"))
        share = place.recipe.guards.mark_radius_share
        return Facts(answer, evidence, slots, ((mark_at(view, size, share, colour),),))

    def recompute(self, reference: ReferenceScene, row: Row) -> tuple[Facts, str]:
        """The depth from the source's vertex and pose."""
        frame, point = row.frames[0], row.items[0]
        view = reference_view(reference, frame, point)
        h, w = reference.depth(frame).shape
        evidence = _seen(view, reference.pixel_map, (w, h))
        facts = self._facts(reference.place, row, view, reference.image_size, evidence)
        return facts, reference_rejection(reference, frame, point)


@dataclass(frozen=True, slots=True)
class DepthComparison:
    """Which of two points is closer, or farther?

    Attributes:
        form: How the points are shown and named.
    """

    form: Form
    kind: ClassVar[Literal["scene", "clip"]] = "scene"
    needs_up: ClassVar[bool] = False

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

    def bin_count(self, recipe: Recipe) -> int:
        """One."""
        del recipe
        return 1

    def strata(self, recipe: Recipe) -> tuple[tuple[str, float], ...]:
        """One: letters and order are keyed draws, each half and half."""
        del recipe
        return (("", 1.0),)

    def candidates(self, context: SceneContext) -> CandidateTable:
        """First points of the frames, each with the second point of the smallest draw."""
        rejected = Counter(unseen_frames(context))
        frames, pairs = [], []
        for frame, count in frames_to_ask(context, self.task):
            seen = frame_points(context, frame)
            for first in first_points(context, self.task, frame, count):
                second, reason = self._second(context, seen, frame, first)
                if reason:
                    rejected[reason] += 1
                    continue
                frames.append(frame)
                pairs.append((int(seen.id[first]), int(seen.id[second])))
        table = np.array(pairs, dtype=np.int64).reshape(-1, 2)
        columns = (np.array(frames, dtype=np.int64), table[:, 0], table[:, 1])
        return CandidateTable.build(
            frames, table, context.place.draw_rows(self.task, columns, "select"), rejected=rejected
        )

    def _second(
        self, context: SceneContext, seen: FramePoints, frame: int, first: int
    ) -> tuple[int, str]:
        """Row of the second point, and "" or the guard that left none."""
        state = context.place.draw(self.task, (frame, int(seen.id[first])), "point/1")

        def passes(rows: NDArray[np.intp]) -> NDArray[np.bool_]:
            tests = self._tests(context, seen, first, rows)
            return np.asarray(np.stack([passed for _, passed in tests]).all(axis=0))

        second = first_passing(state, seen.id, passes)
        return second, "" if second >= 0 else self._guard(context, seen, first)

    def _guard(self, context: SceneContext, seen: FramePoints, first: int) -> str:
        """The guard that turned the last possible second point away."""
        tests = self._tests(context, seen, first, np.arange(len(seen.id)))
        left = np.logical_and.accumulate([passed for _, passed in tests]).any(axis=1)
        return tests[int(np.argmin(left))][0]

    def _tests(
        self, context: SceneContext, seen: FramePoints, first: int, rows: NDArray[np.intp]
    ) -> list[tuple[str, NDArray[np.bool_]]]:
        guards, size = context.recipe.guards, context.scene.image_size
        z, at = seen.z[rows], seen.z[first]
        least = np.maximum(guards.min_depth_gap_m, guards.min_depth_gap_share * np.maximum(z, at))
        # Whole millimetres must differ in every recipe, otherwise there is no answer.
        differ = np.rint(1000 * z) != np.rint(1000 * at)
        apart = pixels_between(seen, rows, first) >= guards.min_pixel_separation * size[0]
        tests = [
            ("depth_gap", differ & (np.abs(z - at) >= least)), ("points_too_close", apart)
        ]  # fmt: skip
        if self.form == "coordinate":
            gap = np.rint(1000 * seen.uv[rows] / size) - np.rint(1000 * seen.uv[first] / size)
            units = np.maximum(np.abs(gap[:, 0]), np.abs(gap[:, 1]))
            tests.append(("coordinates_equal", units >= max(1, guards.min_coordinate_gap)))
        return tests

    def facts(self, context: SceneContext, row: Row) -> Facts:
        """The closer or farther point, by letter or coordinate."""
        views = [point_view(context, row.frames[0], point) for point in row.items]
        pixel_map, size = scene_pixel_map(context), context.scene.depth_size
        evidence = [_seen(view, pixel_map, size) for view in views]
        return self._facts(context.place, row, views, context.scene.image_size, evidence)

    def _facts(
        self,
        place: Place,
        row: Row,
        views: list[PointView],
        size: tuple[int, int],
        evidence: list[dict[str, Any]],
    ) -> Facts:
        key = (*row.frames, *row.items)
        swapped = bool(place.draw(self.task, key, "letters") >> 63)
        variant = "farther" if place.draw(self.task, key, "order") >> 63 else "closer"
        lettered = views[::-1] if swapped else views
        depths = [view.z for view in lettered]
        wanted = depths.index(min(depths) if variant == "closer" else max(depths))
        numbers: dict[str, Any] = {"points": evidence, "order": variant}
        if self.form == "marked":
            numbers["letters"] = ["B", "A"] if swapped else ["A", "B"]
            colour = drawn_colour(place.draw(self.task, key, "colour"))
            share = place.recipe.guards.mark_radius_share
            marks = tuple(
                mark_at(view, size, share, colour, letter)
                for view, letter in zip(lettered, _LETTERS, strict=True)
            )
            answer = answers.letter(_LETTERS[wanted])
            return Facts(answer, numbers, {"letter": answer.span}, (marks,), _LETTERS, variant)
        (x1, y1), (x2, y2) = (view_norm1000(view, size) for view in lettered)
        x, y = ((x1, y1), (x2, y2))[wanted]
        texts = {"x1": x1, "y1": y1, "x2": x2, "y2": y2, "x": x, "y": y}
        slots = {name: str(value) for name, value in texts.items()}
        numbers["norm1000"] = [[x1, y1], [x2, y2]]
        return Facts(answers.coordinate(x, y), numbers, slots, variant=variant)

    def recompute(self, reference: ReferenceScene, row: Row) -> tuple[Facts, str]:
        """Both depths from the source's vertices and pose."""
        frame = row.frames[0]
        views = [reference_view(reference, frame, point) for point in row.items]
        h, w = reference.depth(frame).shape
        evidence = [_seen(view, reference.pixel_map, (w, h)) for view in views]
        facts = self._facts(reference.place, row, views, reference.image_size, evidence)
        for point in row.items:
            reason = reference_rejection(reference, frame, point)
            if reason:
                return facts, reason
        return facts, self._rejection(reference.recipe.guards, views, reference.image_size)

    def _rejection(self, guards: Guards, views: list[PointView], size: tuple[int, int]) -> str:
        a, b = views
        least = max(guards.min_depth_gap_m, guards.min_depth_gap_share * max(a.z, b.z))
        if round(1000 * a.z) == round(1000 * b.z) or abs(a.z - b.z) < least:
            return "depth_gap"
        if math.hypot(a.u - b.u, a.v - b.v) < guards.min_pixel_separation * size[0]:
            return "points_too_close"
        if self.form == "coordinate":
            pairs = zip(view_norm1000(a, size), view_norm1000(b, size), strict=True)
            if max(abs(p - q) for p, q in pairs) < max(1, guards.min_coordinate_gap):
                return "coordinates_equal"
        return ""


DEPTH_PERCEPTION = (
    DepthValue("marked"),
    DepthValue("coordinate"),
    DepthComparison("marked"),
    DepthComparison("coordinate"),
)
