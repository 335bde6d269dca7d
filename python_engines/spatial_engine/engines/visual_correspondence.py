# SPDX-License-Identifier: Apache-2.0
"""Where is the same point in another view: by coordinates, or among four marked points.

The point is one that both frames may ask about. Distractors lie on real surface of image 2, apart
in pixels and in space, where the point is as likely to be by its place in image 1; so that where
the marks lie does not tell. The published recipe draws them as uniform pixels instead.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spatial_engine.engines.base import LETTER, AnswerForm, Engine, Facts, Subject
from spatial_engine.engines.candidates import BEYOND_QUOTA, CandidateTable, Row
from spatial_engine.engines.chains import of_points
from spatial_engine.engines.context import SceneContext
from spatial_engine.engines.frame_pairs import (
    band_pairs,
    overlap_bin,
    overlap_bin_count,
    pair_swap,
    visible_counts,
)
from spatial_engine.engines.frame_points import (
    Float64,
    Int64,
    Views,
    drawn_colours,
    marks_at,
    mask_rows,
    point_ids,
    point_views,
    points_of_ids,
    views_norm1000,
)
from spatial_engine.engines.match_points import (
    DISTRACTOR_COUNT,
    HARD_SHARE,
    Matched,
    with_distractors,
)
from spatial_engine.engines.point_checks import reference_rejection, reference_views
from spatial_engine.engines.published import Published
from spatial_engine.records import answers
from spatial_engine.records.place import Place
from spatialcore.draws import smallest_seen, uniform_below, uniform_below_rows

if TYPE_CHECKING:
    from spatial_engine.recipe import Recipe
    from spatial_engine.records.chains import Chain, Telling
    from spatial_engine.records.marks import Mark
    from spatial_engine.reference.scene import ReferenceScene

Form = Literal["choice", "coordinate"]
LETTERS = ("A", "B", "C", "D")
PIXEL_RIM = 10  # the published distractors keep off the right and lower rim by this much
# Pairs that are looked at, in quotas of the scene: what the plan takes of it and as much again.
_LOOK_AHEAD = 2
_HALF = np.uint64(1 << 63)


class _Pairs(NamedTuple):
    """Pairs in the band in the order shown, bounded by the scene's quota (n rows)."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    bin: NDArray[np.int64]
    left_out: dict[str, int]  # the others, by reason


def _key_columns(rows: Sequence[Row]) -> list[Int64]:
    """Frames ascending, then the items: a column each."""
    key = np.array([(min(r.frames), max(r.frames), *r.items) for r in rows], dtype=np.int64)
    return list(key.reshape(len(rows), -1).T)


def _looked_at(sizes: Int64, quota: int | None) -> int:
    """How many pairs of a bin are looked at: as few as give some quotas of the scene together."""
    wanted = int(sizes.sum()) if quota is None else _LOOK_AHEAD * quota
    low, high = 0, int(sizes.max(initial=0))
    while low < high:
        middle = (low + high) // 2
        low, high = (
            (low, middle) if np.minimum(sizes, middle).sum() >= wanted else (middle + 1, high)
        )
    return low


@dataclass(frozen=True, slots=True)
class Match(Engine):
    """Find a point of image 1 in image 2.

    Attributes:
        form: How the point is shown and answered.
    """

    form: Form

    needs_metres: ClassVar[bool] = False
    within_quota: ClassVar[bool] = True  # pairs of a bin are looked at as far as it may need

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

    @property
    def answer(self) -> AnswerForm:
        """A letter, or the point's coordinates in the second image."""
        return LETTER if self.form == "choice" else AnswerForm("coordinate", "norm1000")

    @property
    def subject(self) -> Subject:
        """Matches of one form in one pair of images: where one point went hints at the others."""
        return Subject(self.task)

    @property
    def published(self) -> Published:
        """The row of its form."""
        return Published("MultiSPA", f"correspondence {self.form}")

    def bin_count(self, recipe: Recipe) -> int:
        """Overlap bins of the recipe's band."""
        return overlap_bin_count(recipe)

    def candidates(self, context: SceneContext) -> CandidateTable:
        """Pairs in the band, each with its point and, for a choice, its distractors."""
        pairs = self._pairs(context)
        first, second = pairs.first, pairs.second
        key = [np.minimum(first, second), np.maximum(first, second)]
        scene = context.scene
        point = smallest_seen(
            context.place.draw_rows(self.task, key, "point"), scene.askable,
            mask_rows(context, first), scene.source_row, 1, others=mask_rows(context, second),
        )  # fmt: skip
        kept = np.flatnonzero(point[:, 0] >= 0)
        rejected = Counter(pairs.left_out)
        rejected["no_common_point"] = len(point) - len(kept)
        items = point[kept]
        if self.form == "choice" and context.recipe.rules.askable != "visible":
            items = self._with_distractors(context, pairs, kept, items[:, 0])
            whole = (items >= 0).all(axis=1)
            rejected["distractor_short"] = int((~whole).sum())
            kept, items = kept[whole], items[whole]
        shown = np.stack([first[kept], second[kept]], axis=1)
        select = context.place.draw_rows(self.task, (shown.min(1), shown.max(1)), "select")
        if not len(kept):
            return CandidateTable.empty(rejected)
        return CandidateTable.build(
            shown, point_ids(context, items), select, bin=pairs.bin[kept], rejected=rejected
        )

    def _pairs(self, context: SceneContext) -> _Pairs:
        """The pairs, in each bin those with the smallest draws, grouped by the second image."""
        pairs = band_pairs(context)
        swap = pair_swap(context, self.task, pairs)
        keys = context.place.draw_rows(self.task, (pairs.i, pairs.j), "select")
        order = np.lexsort((keys, pairs.bin))
        sizes = np.bincount(pairs.bin, minlength=self.bin_count(context.recipe))
        most = _looked_at(sizes, context.scene_quota.get(self.task))
        rank = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        kept = order[rank < most]
        left_out = {"out_of_band": pairs.out_of_band, BEYOND_QUOTA: len(order) - len(kept)}
        if context.takes is not None:
            kept = kept[context.takes(self.task, pairs.bin[kept], 0, keys[kept])]
        shown = np.where(
            swap[:, None], np.stack([pairs.j, pairs.i], 1), np.stack([pairs.i, pairs.j], 1)
        )
        kept = kept[np.argsort(shown[kept, 1], kind="stable")]
        return _Pairs(shown[kept, 0], shown[kept, 1], pairs.bin[kept], left_out)

    def _with_distractors(
        self, context: SceneContext, pairs: _Pairs, kept: Int64, points: Int64
    ) -> Int64:
        """(n, 4) the points of the kept pairs and three more of image 2 each; -1 for none."""
        first, second = pairs.first[kept], pairs.second[kept]
        key = [np.minimum(first, second), np.maximum(first, second)]
        draws = {
            slot: context.place.draw_rows(self.task, key, slot)
            for slot in ("difficulty", "member", "distractor")
        }
        central = uniform_below_rows(draws["member"], len(LETTERS)) == 0
        rows = Matched(
            first, second, pairs.bin[kept], points, draws["distractor"],
            draws["difficulty"] >= _HALF, central,
        )  # fmt: skip
        return with_distractors(context, self.task, rows)

    def facts(self, context: SceneContext, rows: Sequence[Row]) -> list[Facts]:
        """The points' places in image 2, as coordinates or letters."""
        shown = np.array([row.frames for row in rows], dtype=np.int64).reshape(-1, 2)
        points = points_of_ids(context, [row.items for row in rows])
        views = [
            point_views(context, shown[:, 0], points[:, :1]),
            point_views(context, shown[:, 1], points),
        ]
        both = Views.beside(views)
        pairs, counts = band_pairs(context), visible_counts(context)
        at = np.searchsorted(pairs.key, (shown.min(axis=1) << 32) | shown.max(axis=1))
        overlaps = [
            {"intersection": common, "visible_counts": [counts[first], counts[second]]}
            for common, (first, second) in zip(
                pairs.intersection[at].tolist(), shown.tolist(), strict=True
            )
        ]
        return self._facts(context.place, rows, both, overlaps)

    def _facts(
        self,
        place: Place,
        rows: Sequence[Row],
        views: Views,
        overlaps: list[dict[str, Any]],
    ) -> list[Facts]:
        """Facts of n rows; views are (n, 1 + items): the point in image 1, and all in image 2."""
        evidence = [
            {**overlap, "uv": uv, "z_m": z}
            for overlap, uv, z in zip(
                overlaps, views.uv[:, :2].tolist(), views.z[:, :2].tolist(), strict=True
            )
        ]
        if self.form == "choice":
            return self._choices(place, rows, views, evidence)
        return [
            Facts(
                answers.coordinate(x2, y2), {**numbers, "norm1000": [[x1, y1], [x2, y2]]},
                {"x1": str(x1), "y1": str(y1), "x2": str(x2), "y2": str(y2)},
            )
            for ((x1, y1), (x2, y2)), numbers in zip(
                views_norm1000(views.uv, views.size).tolist(), evidence, strict=True
            )
        ]  # fmt: skip

    def _choices(
        self,
        place: Place,
        rows: Sequence[Row],
        views: Views,
        evidence: list[dict[str, Any]],
    ) -> list[Facts]:
        key, uv = _key_columns(rows), views.uv
        first, second = views.size[:, :1], views.size[:, 1:2]
        if uv.shape[1] == 2:  # the published rule
            uv = np.concatenate([uv, self._pixels(place, key, uv[:, 1], second[:, 0])], axis=1)
            difficulty = ["uniform"] * len(rows)
        else:
            hard = place.draw_rows(self.task, key[:2], "difficulty") >= _HALF
            difficulty = ["hard" if one else "easy" for one in hard.tolist()]
        slots = [np.full(len(rows), k) for k in range(4)]
        letters = [place.draw_rows(self.task, [*key, slot], "letters") for slot in slots]
        order = np.argsort(np.stack(letters, axis=1), axis=1, kind="stable")
        colours = drawn_colours(place.draw_rows(self.task, key, "colour"))
        share = place.recipe.rules.guards.mark_radius_share
        shown = np.take_along_axis(uv[:, 1:], order[..., None], axis=1)
        right = np.argmin(order, axis=1).tolist()
        marks = zip(
            marks_at(uv[:, :1], first, share, colours),
            marks_at(shown, second, share, colours, "".join(LETTERS)),
            strict=True,
        )
        return [
            _told(numbers, kind, pixels, LETTERS[letter], both)
            for numbers, kind, pixels, letter, both in zip(
                evidence, difficulty, uv[:, 1:].tolist(), right, marks, strict=True
            )
        ]

    def _pixels(self, place: Place, key: list[Int64], target: Float64, sizes: Int64) -> Float64:
        """(n, 3, 2) uniform pixels off the rim that are not the answer's: as published."""
        answer = np.rint(target).tolist()
        rows = zip(*(column.tolist() for column in key), strict=True)
        return np.array([
            [self._pixel(place, row, k, at, size) for k in range(DISTRACTOR_COUNT)]
            for row, at, size in zip(rows, answer, sizes.tolist(), strict=True)
        ], dtype=np.float64).reshape(-1, DISTRACTOR_COUNT, 2)  # fmt: skip

    def _pixel(
        self,
        place: Place,
        key: tuple[int, ...],
        k: int,
        answer: list[float],
        size: list[int],
    ) -> list[int]:
        for attempt in itertools.count():
            pixel = [
                uniform_below(
                    place.draw(self.task, (*key, axis, attempt), f"distractor/{k}"),
                    max(1, size[axis] - PIXEL_RIM + 1),
                )
                for axis in (0, 1)
            ]
            if pixel != answer:
                break
        return pixel

    def recompute(self, reference: ReferenceScene, row: Row) -> tuple[Facts, str]:
        """Pixels from the source's vertices and poses; separations measured again."""
        first, second = row.frames
        views = [
            reference_views(reference, first, row.items[:1]),
            reference_views(reference, second, row.items),
        ]
        both = Views.beside(views)
        seen = [reference.visible(frame) for frame in row.frames]
        common = int((seen[0] & seen[1]).sum())
        counts = [int(mask.sum()) for mask in seen]
        overlap = {"intersection": common, "visible_counts": counts}
        facts = self._facts(reference.place, [row], both, [overlap])[0]
        union = np.array([sum(counts) - common])
        if overlap_bin(np.array([common]), union, reference.recipe)[0] < 0:
            return facts, "out_of_band"
        for frame, points in ((first, row.items[:1]), (second, row.items)):
            reason = reference_rejection(reference, frame, points)
            if reason:
                return facts, reason
        hard = facts.evidence.get("difficulty") == "hard"
        return facts, self._separation(reference, row, views[1].uv[0].tolist(), hard)

    def _separation(
        self, reference: ReferenceScene, row: Row, pixels: list[list[float]], hard: bool
    ) -> str:
        """Return "distractor_short" when two points are too close, or hard ones too far."""
        guards, W = reference.recipe.guards, reference.camera(row.frames[1]).width
        points = [reference.points[i].astype(np.float64) for i in row.items]
        for (a, p), (b, q) in itertools.combinations(zip(pixels, points, strict=True), 2):
            if math.dist(a, b) < guards.distractor_pixel_share * W:
                return "distractor_short"
            if np.linalg.norm(p - q) < guards.distractor_distance_m:
                return "distractor_short"
        reach = min(max(math.dist(a, b) for b in pixels) for a in pixels)
        return "distractor_short" if hard and reach > HARD_SHARE * W else ""

    def chain(self, told: Telling) -> Chain | None:
        """The numbers of its evidence in words."""
        return of_points.match(told)


def _told(
    evidence: dict[str, Any],
    difficulty: str,
    pixels: list[list[float]],
    letter: str,
    marks: tuple[tuple[Mark, ...], ...],
) -> Facts:
    """The facts of a choice; pixels are those of the answer and of the distractors."""
    target, *others = pixels
    evidence |= {
        "difficulty": difficulty,
        "distractor_px": [math.dist(other, target) for other in others],
        "distractor_uv": others,
    }
    answer = answers.letter(letter)
    return Facts(answer, evidence, {"letter": answer.span}, marks, LETTERS)


VISUAL_CORRESPONDENCE = (Match("choice"), Match("coordinate"))
