# SPDX-License-Identifier: Apache-2.0
"""Where is the same point in another view: by coordinates, or among four marked points.

The point is one that both frames may ask about. Distractors lie on real surface of image 2, apart
from the answer and from each other in pixels, and from the answer in space: none is right within
the scoring radius. The published recipe draws them as uniform pixels instead.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spatial_engine import answers
from spatial_engine.engine import CandidateTable, Facts, Place, Row, SceneContext
from spatial_engine.engines.frame_pairs import band_pairs, overlap_bin, pair_swap, visible_counts
from spatial_engine.engines.frame_points import (
    FramePoints,
    PointView,
    apart_from,
    drawn_colour,
    frame_points,
    mark_at,
    pixels_between,
    point_view,
    reference_rejection,
    reference_view,
    view_norm1000,
)
from spatialcore.draws import first_passing, smallest_common, uniform_below

if TYPE_CHECKING:
    from spatial_engine.reference import ReferenceScene
    from spatialcore.relations.recipe import Recipe

Form = Literal["choice", "coordinate"]
LETTERS = ("A", "B", "C", "D")
DISTRACTOR_COUNT = 3
HARD_SHARE = 0.15  # of W: a hard distractor lies no farther from the answer
PIXEL_RIM = 10  # the published distractors keep off the right and lower rim by this much
# Pairs of a bin that are looked at, in quotas of the scene: what the plan can take and more.
_LOOK_AHEAD = 4


class _Pairs(NamedTuple):
    """Pairs in the band in the order shown, bounded by the scene's quota (n rows)."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    bin: NDArray[np.int64]


def _frames_key(frames: Sequence[int]) -> tuple[int, int]:
    return min(frames), max(frames)


@dataclass(frozen=True, slots=True)
class Match:
    """Find a point of image 1 in image 2.

    Attributes:
        form: How the point is shown and answered.
    """

    form: Form
    kind: ClassVar[Literal["scene", "clip"]] = "scene"
    needs_up: ClassVar[bool] = False

    @property
    def task(self) -> str:
        """Task name."""
        return f"visual_correspondence.match.{self.form}"

    @property
    def question_type(self) -> str:
        """Published name."""
        names = {"choice": "multiple_choice", "coordinate": "coor_2_coor"}
        return f"visual_correspondence_{names[self.form]}"

    @property
    def words(self) -> tuple[str, ...]:
        """The letters of a choice."""
        return LETTERS if self.form == "choice" else ()

    def bin_count(self, recipe: Recipe) -> int:
        """Overlap bins of the recipe's band."""
        low, high = recipe.band_percent
        return (high - low) // recipe.bin_percent

    def strata(self, recipe: Recipe) -> tuple[tuple[str, float], ...]:
        """One: letters are keyed draws."""
        del recipe
        return (("", 1.0),)

    def candidates(self, context: SceneContext) -> CandidateTable:
        """Pairs in the band, each with its point and, for a choice, its distractors."""
        pairs, out_of_band = self._pairs(context)
        rejected = Counter({"out_of_band": out_of_band})
        frames, items, bins = [], [], []
        for first, second, bin in zip(*(column.tolist() for column in pairs), strict=True):
            chosen, reason = self._items(context, (first, second))
            if reason:
                rejected[reason] += 1
                continue
            frames.append((first, second))
            items.append(chosen)
            bins.append(bin)
        shown = np.array(frames, dtype=np.int64).reshape(-1, 2)
        select = context.place.draw_rows(self.task, (shown.min(1), shown.max(1)), "select")
        if not frames:
            return CandidateTable.empty(rejected)
        return CandidateTable.build(shown, items, select, bin=bins, rejected=rejected)

    def _pairs(self, context: SceneContext) -> tuple[_Pairs, int]:
        """The pairs, in each bin those with the smallest draws, grouped by the second image."""
        pairs = band_pairs(context)
        swap = pair_swap(context, self.task, pairs)
        keys = context.place.draw_rows(self.task, (pairs.i, pairs.j), "select")
        order = np.lexsort((keys, pairs.bin))
        first_of_bin = np.searchsorted(pairs.bin[order], pairs.bin[order], side="left")
        most = _LOOK_AHEAD * context.scene_quota.get(self.task, len(order))
        kept = order[np.arange(len(order)) - first_of_bin < most]
        if context.takes is not None:
            kept = kept[context.takes(self.task, pairs.bin[kept], 0, keys[kept])]
        shown = np.where(
            swap[:, None], np.stack([pairs.j, pairs.i], 1), np.stack([pairs.i, pairs.j], 1)
        )
        kept = kept[np.argsort(shown[kept, 1], kind="stable")]
        return _Pairs(shown[kept, 0], shown[kept, 1], pairs.bin[kept]), pairs.out_of_band

    def _items(self, context: SceneContext, frames: tuple[int, int]) -> tuple[tuple[int, ...], str]:
        """Point and distractor ids, and "" or the guard that left none."""
        scene = context.scene
        state = context.place.draw(self.task, _frames_key(frames), "point")
        first, second = (scene.row_of_frame[frame] for frame in frames)
        point = smallest_common(state, scene.askable, first, second, scene.source_row)
        if point < 0:
            return (), "no_common_point"
        if self.form == "coordinate" or context.recipe.askable == "visible":
            return (point,), ""
        distractors = self._distractors(context, frames, point)
        if len(distractors) < DISTRACTOR_COUNT:
            return (), "distractor_short"
        return (point, *distractors), ""

    def _distractors(self, context: SceneContext, frames: tuple[int, int], point: int) -> list[int]:
        """Up to three ids, each the smallest draw among those apart from what was chosen."""
        seen: FramePoints = frame_points(context, frames[1])
        guards, W = context.recipe.guards, context.scene.image_size[0]
        at = int(np.flatnonzero(seen.id == point)[0])
        hard = self._is_hard(context.place, frames, point)
        chosen: list[int] = []

        def passes(rows: NDArray[np.intp]) -> NDArray[np.bool_]:
            free = apart_from(seen, [at, *chosen], rows, guards.distractor_pixel_share * W)
            free &= _metres_between(seen, rows, at) >= guards.distractor_distance_m
            return free & (pixels_between(seen, rows, at) <= HARD_SHARE * W) if hard else free

        for k in range(DISTRACTOR_COUNT):
            key = (*_frames_key(frames), point)
            state = context.place.draw(self.task, key, f"distractor/{k}")
            row = first_passing(state, seen.id, passes, look=128 if hard else 16)
            if row < 0:
                break
            chosen.append(row)
        return [int(seen.id[row]) for row in chosen]

    def _is_hard(self, place: Place, frames: Sequence[int], point: int) -> bool:
        key = (*_frames_key(frames), point)
        return bool(place.draw(self.task, key, "difficulty") >> 63)

    def facts(self, context: SceneContext, row: Row) -> Facts:
        """The point's place in image 2, as a coordinate or a letter."""
        first, second = row.frames
        views = [point_view(context, first, row.items[0])]
        views += [point_view(context, second, item) for item in row.items]
        pairs, counts = band_pairs(context), visible_counts(context)
        low, high = _frames_key(row.frames)
        at = int(np.searchsorted(pairs.key, (low << 32) | high))
        overlap = {
            "intersection": int(pairs.intersection[at]),
            "visible_counts": [counts[frame] for frame in row.frames],
        }
        return self._facts(context.place, row, views, context.scene.image_size, overlap)

    def _facts(
        self,
        place: Place,
        row: Row,
        views: list[PointView],
        size: tuple[int, int],
        overlap: dict[str, Any],
    ) -> Facts:
        source, target, *others = views
        evidence: dict[str, Any] = overlap | {
            "uv": [[source.u, source.v], [target.u, target.v]],
            "z_m": [source.z, target.z],
        }
        if self.form == "coordinate":
            (x1, y1), (x2, y2) = view_norm1000(source, size), view_norm1000(target, size)
            evidence["norm1000"] = [[x1, y1], [x2, y2]]
            slots = {"x1": str(x1), "y1": str(y1), "x2": str(x2), "y2": str(y2)}
            return Facts(answers.coordinate(x2, y2), evidence, slots)
        key = (*_frames_key(row.frames), *row.items)
        if not others:  # the published rule
            others = list(self._pixels(place, key, target, size))
            evidence["difficulty"] = "uniform"
        else:
            hard = self._is_hard(place, row.frames, row.items[0])
            evidence["difficulty"] = "hard" if hard else "easy"
        evidence["distractor_px"] = [math.hypot(o.u - target.u, o.v - target.v) for o in others]
        evidence["distractor_uv"] = [[o.u, o.v] for o in others]
        order = sorted(range(4), key=lambda k: place.draw(self.task, (*key, k), "letters"))
        colour = drawn_colour(place.draw(self.task, key, "colour"))
        share = place.recipe.guards.mark_radius_share
        shown = [target, *others]
        marks = tuple(
            mark_at(shown[k], size, share, colour, letter)
            for k, letter in zip(order, LETTERS, strict=True)
        )
        answer = answers.letter(LETTERS[order.index(0)])
        single = (mark_at(source, size, share, colour),)
        return Facts(answer, evidence, {"letter": answer.span}, (single, marks), LETTERS)

    def _pixels(
        self, place: Place, key: tuple[int, ...], target: PointView, size: tuple[int, int]
    ) -> Iterator[PointView]:
        """Three uniform pixels off the rim that are not the answer's: the published distractors."""
        answer = (round(target.u), round(target.v))
        for k in range(DISTRACTOR_COUNT):
            for attempt in itertools.count():
                u, v = (
                    uniform_below(
                        place.draw(self.task, (*key, axis, attempt), f"distractor/{k}"),
                        max(1, size[axis] - PIXEL_RIM + 1),
                    )
                    for axis in (0, 1)
                )
                if (u, v) != answer:
                    yield PointView(float(u), float(v), target.z)
                    break

    def recompute(self, reference: ReferenceScene, row: Row) -> tuple[Facts, str]:
        """Pixels from the source's vertices and poses; separations measured again."""
        first, second = row.frames
        views = [reference_view(reference, first, row.items[0])]
        views += [reference_view(reference, second, item) for item in row.items]
        seen = [reference.visible(frame) for frame in row.frames]
        common = int((seen[0] & seen[1]).sum())
        counts = [int(mask.sum()) for mask in seen]
        overlap = {"intersection": common, "visible_counts": counts}
        facts = self._facts(reference.place, row, views, reference.image_size, overlap)
        union = np.array([sum(counts) - common])
        if overlap_bin(np.array([common]), union, reference.recipe)[0] < 0:
            return facts, "out_of_band"
        asked = [(first, row.items[0]), *((second, item) for item in row.items)]
        for frame, point in asked:
            reason = reference_rejection(reference, frame, point)
            if reason:
                return facts, reason
        return facts, self._separation(reference, row, views[1:])

    def _separation(self, reference: ReferenceScene, row: Row, views: list[PointView]) -> str:
        """Return "distractor_short" when two marks are too close, or a distractor too far."""
        guards, W = reference.recipe.guards, reference.image_size[0]
        for a, b in itertools.combinations(views, 2):
            if math.hypot(a.u - b.u, a.v - b.v) < guards.distractor_pixel_share * W:
                return "distractor_short"
        hard = self._is_hard(reference.place, row.frames, row.items[0])
        target, *others = (reference.points[i].astype(np.float64) for i in row.items)
        for view, point in zip(views[1:], others, strict=True):
            if np.linalg.norm(point - target) < guards.distractor_distance_m:
                return "distractor_short"
            far = math.hypot(view.u - views[0].u, view.v - views[0].v)
            if hard and far > HARD_SHARE * W:
                return "distractor_short"
        return ""


def _metres_between(seen: FramePoints, rows: NDArray[np.intp], row: int) -> NDArray[np.float64]:
    """(k,) distance of points from one of them in space, metres."""
    d = seen.points[rows].astype(np.float64) - seen.points[row].astype(np.float64)
    apart: NDArray[np.float64] = np.sqrt(
        (d[:, 0] * d[:, 0] + d[:, 1] * d[:, 1]) + d[:, 2] * d[:, 2]
    )
    return apart


VISUAL_CORRESPONDENCE = (Match("choice"), Match("coordinate"))
