# SPDX-License-Identifier: Apache-2.0
"""What moves in a clip over four to eight images: which way, which thing, which one first.

Things are rigid parts of the clip's tracks, pointed at by marks in the first image. A part that is
offered as an answer moves at some time of the clip, so that where a mark lies tells nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from spatial_engine.engines.base import (
    LETTER,
    WORD,
    AnswerForm,
    Engine,
    Facts,
    Kind,
    Subject,
    equal_shares,
)
from spatial_engine.engines.candidates import CandidateTable, Row
from spatial_engine.engines.contents import ANY, number_strata, number_stratum
from spatial_engine.engines.context import SceneContext
from spatial_engine.engines.frame_points import drawn_colours, marks_at
from spatial_engine.engines.layout_scene import answered
from spatial_engine.engines.track_pairs import TRACKS, clip_view
from spatial_engine.records import answers
from spatial_engine.records.marks import mark_radius
from spatial_engine.records.place import Place
from spatialcore.relations.verdict import Answer, Evidence, Reason, Rejection

if TYPE_CHECKING:
    from spatial_engine.recipe import Recipe
    from spatial_engine.reference.scene import ReferenceScene

Float64 = NDArray[np.float64]
Quantity = Literal["point_direction", "point_speed", "which_moved", "moved_first"]
LETTERS = ("A", "B", "C", "D")
# Word for a positive and a negative component on x, y, z of the first image's camera.
DIRECTIONS = ("right", "left", "down", "up", "away", "closer")
IMAGES = (4, 6, 8)
STRIDES = (1, 2, 3, 5, 8)
STARTS = 8  # of stretches of one length
LEAST_MOVE_M = 0.10  # of a direction
DOMINANCE = 2.0  # of the largest component over each other one
MOST_UNEVEN = 0.05  # of the gap that is told, by which one between two frames may differ
RIM_SHARE = 0.04  # of the width: a mark at the rim sits on something that is cut off
MOST_DETOUR = 1.3  # of the path over the straight line


@dataclass(frozen=True, eq=False)
class ClipStory:
    """A clip: where its tracks are, and which thing each belongs to (T frames, N tracks).

    Attributes:
        place: Names and draws.
        frame: (T,) frame indices.
        track: (N,) ids.
        world: (T, N, 3) metres.
        seen: (T, N) whether a track is visible, in the image.
        inside: (T, N) whether a mark at it lies in the image, too.
        uv: (T, N, 2) pixels.
        axes: (T, 3, 3) rows are the axes of each camera in the world.
        label: (N,) rigid part, -1 none.
        size: (W, H).
        clock: (T,) seconds, None where the source does not tell.
    """

    place: Place
    frame: NDArray[np.int64]
    track: NDArray[np.int64]
    world: Float64
    seen: NDArray[np.bool_]
    inside: NDArray[np.bool_]
    uv: Float64
    axes: Float64
    label: NDArray[np.int64]
    size: tuple[int, int]
    clock: tuple[float | None, ...] = ()

    def gap_s(self, times: Sequence[int]) -> float | None:
        """Seconds from each of evenly spaced frames to the next, as told; None where unknown."""
        clock = [self.clock[t] if self.clock else None for t in times]
        known = [second for second in clock if second is not None]
        if len(known) < len(clock):
            return None
        gaps = [b - a for a, b in pairwise(known)]
        gap = float(f"{(known[-1] - known[0]) / len(gaps):.2g}")
        even = gap > 0 and all(abs(one - gap) <= MOST_UNEVEN * gap for one in gaps)
        return gap if even else None

    @cached_property
    def time_of(self) -> Mapping[int, int]:
        """Row of each frame."""
        return {frame: t for t, frame in enumerate(self.frame.tolist())}

    @cached_property
    def column_of(self) -> Mapping[int, int]:
        """Column of each track."""
        return {track: n for n, track in enumerate(self.track.tolist())}

    @cached_property
    def movable(self) -> NDArray[np.bool_]:
        """(N,) whether a track leaves its first seen place by as much as a moving point does."""
        out = np.zeros(len(self.track), dtype=bool)
        for n in range(len(self.track)):
            at = self.world[self.seen[:, n], n]
            if len(at):
                out[n] = _way(at).max() >= self.place.recipe.guards.moving_min_m
        return out

    @cached_property
    def stretches(self) -> list[tuple[int, ...]]:
        """Rows of frames of stretches of the clip: so many images, evenly spaced."""
        found: dict[tuple[int, ...], None] = {}
        for count in IMAGES:
            for stride in STRIDES:
                rest = len(self.frame) - 1 - stride * (count - 1)
                if rest >= 0:
                    for k in range(STARTS):
                        begin = k * rest // (STARTS - 1)
                        found[tuple(range(begin, begin + stride * count, stride))] = None
        return list(found)

    def whole(self, times: Sequence[int], n: int) -> bool:
        """Whether a track is seen in all frames, and can be marked in the first."""
        u, v = self.uv[times[0], n]
        rim, (W, H) = RIM_SHARE * self.size[0], self.size
        clear = rim <= u <= W - rim and rim <= v <= H - rim
        return bool(clear and self.seen[list(times), n].all() and self.inside[times[0], n])


def _way(points: Float64) -> Float64:
    """(k,) metres from the first of points (k, 3)."""
    dx, dy, dz = (points - points[0]).T
    found: Float64 = np.sqrt((dx * dx + dy * dy) + dz * dz)
    return found


@dataclass(frozen=True, slots=True)
class TrackStory(Engine):
    """One of the tasks about what moves.

    Attributes:
        quantity: What is asked.
    """

    quantity: Quantity
    kind: ClassVar[Kind] = "clip"
    subject: ClassVar[Subject] = Subject("movement")

    @property
    def task(self) -> str:
        """Task name."""
        return f"over_time.{self.quantity}"

    @property
    def of_point(self) -> bool:
        """Whether one marked point is asked about, not several things."""
        return self.quantity in ("point_direction", "point_speed")

    @property
    def words(self) -> tuple[str, ...]:
        """Directions, or letters of marks; () for a speed."""
        if self.of_point:
            return DIRECTIONS if self.quantity == "point_direction" else ()
        return LETTERS

    @property
    def answer(self) -> AnswerForm:
        """A word, a speed or a letter."""
        if self.quantity == "point_speed":
            return AnswerForm("integer", "cm/s")
        return WORD if self.of_point else LETTER

    def strata(self, recipe: Recipe) -> tuple[tuple[str, float], ...]:
        """One for each word or letter, or size of a speed."""
        if not recipe.word_strata:
            return (("", 1.0),)
        return equal_shares(self.words) if self.words else number_strata("cm/s", 1.0)

    def candidates(self, context: SceneContext) -> CandidateTable:
        """Stretches of the clip with the points that are asked about."""
        view = context.cached("clip_view", lambda: clip_view(context.track, context.recipe))
        if view.reason:
            return CandidateTable.empty({view.reason: 1})
        story, rejected = _story(context), Counter[str]()
        kept: list[Row] = []
        stratum: list[int] = []
        for row in self._possible(story):
            found = self._ask(story, row)
            if isinstance(found, Rejection):
                rejected[str(found.reason)] += 1
            else:
                kept.append(row)
                stratum.append(
                    self.words.index(found.value) if self.words else number_stratum(found.value)
                )
        if not kept:
            return CandidateTable.empty(rejected)
        frames = np.array([_filled(row.frames, max(IMAGES)) for row in kept])
        items = np.array([_filled(row.items, len(LETTERS)) for row in kept])
        chosen = context.place.draw_rows(self.task, [*frames.T, *items.T], "select")
        balanced = context.recipe.word_strata
        return CandidateTable.build(
            frames,
            items,
            chosen,
            stratum=stratum if balanced else 0,
            rejected=rejected,
            content=0 if self.words or not balanced else ANY,
        )

    def _possible(self, story: ClipStory) -> Iterator[Row]:
        """Stretches, each with one point, or with a point of every thing that ever moves."""
        place = story.place
        draws = place.draw_rows(self.task, (story.track,), "point")
        order = [n for n in np.argsort(draws, kind="stable").tolist() if story.label[n] >= 0]
        for times in story.stretches:
            frames = tuple(story.frame[list(times)].tolist())
            if self.of_point:
                taken: Counter[int] = Counter()
                for n in order:
                    label = int(story.label[n])
                    if taken[label] < TRACKS[place.split] and story.movable[n]:
                        taken[label] += 1
                        yield Row(frames, (int(story.track[n]),))
                continue
            first: dict[int, int] = {}
            for n in order:
                if story.movable[n] and story.whole(times, n):
                    first.setdefault(int(story.label[n]), int(story.track[n]))
            things = list(first.values())[: len(LETTERS)]
            if len(things) >= 2:
                letters = [place.draw(self.task, (*frames, k), "letters") for k in things]
                yield Row(frames, tuple(k for _, k in sorted(zip(letters, things, strict=True))))

    def _ask(self, story: ClipStory, row: Row) -> Answer[Any] | Rejection:
        """The word, letter or speed, or why there is none."""
        times = [story.time_of[frame] for frame in row.frames]
        columns = [story.column_of[track] for track in row.items]
        if not all(story.whole(times, n) for n in columns):
            return Rejection(Reason.NO_VISIBLE_POINTS)
        points = story.world[np.ix_(times, columns)]
        guards = story.place.recipe.guards
        if self.quantity == "point_direction":
            return _direction(points[:, 0], story.axes[times[0]])
        if self.quantity == "point_speed":
            return _speed(points[:, 0], story.gap_s(times))
        if len(set(story.label[columns].tolist())) < len(columns):
            return Rejection(Reason.ORDER_AMBIGUOUS)
        if not story.movable[columns].all():
            return Rejection(Reason.DISTRACTOR_SHORT)
        spots = story.uv[times[0], columns]
        least = guards.min_pixel_separation * story.size[0]
        if any(float(np.hypot(*(a - b))) < least for a, b in combinations(spots, 2)):
            return Rejection(Reason.MARKS_CLOSE)
        ways = np.stack([_way(points[:, k]) for k in range(len(columns))])
        evidence: Evidence = {"ways_m": ways.tolist()}
        moving = ways >= guards.moving_min_m
        if self.quantity == "which_moved":
            still = (ways < guards.static_max_m).all(axis=1)
            if moving[:, -1].sum() != 1 or still.sum() != len(columns) - 1:
                return Rejection(Reason.DEAD_ZONE, evidence)
            return Answer(LETTERS[int(moving[:, -1].argmax())], evidence)
        if not moving[:, -1].all():
            return Rejection(Reason.DEAD_ZONE, evidence)
        onset = moving.argmax(axis=1)
        first = int(onset.argmin())
        others = np.delete(ways[:, onset[first]], first)
        evidence["first_moved_at"] = onset.tolist()
        if not (others < guards.static_max_m).all():
            return Rejection(Reason.ORDER_AMBIGUOUS, evidence)
        return Answer(LETTERS[first], evidence)

    def facts(self, context: SceneContext, rows: Sequence[Row]) -> list[Facts]:
        """Answer, evidence and marks of candidates."""
        return [self._facts(_story(context), row) for row in rows]

    def _facts(self, story: ClipStory, row: Row) -> Facts:
        found = answered(self.task, row, self._ask(story, row))
        t, columns = story.time_of[row.frames[0]], [story.column_of[k] for k in row.items]
        colour = drawn_colours(
            np.array([story.place.draw(self.task, (*row.frames, *row.items), "colour")], np.uint64)
        )
        letters = "" if self.of_point else "".join(LETTERS[: len(columns)])
        share = story.place.recipe.rules.guards.mark_radius_share
        marks = marks_at(story.uv[t, columns][None], story.size, share, colour, letters)[0]
        evidence = found.evidence | {"uv": story.uv[t, columns].tolist()}
        empty = ((),) * (len(row.frames) - 1)
        slots = {}
        if self.quantity == "point_speed":
            answer = answers.integer(found.value, "cm/s")
            slots["gap"] = f"{found.evidence['gap_s']:g}"
        elif self.of_point:
            answer = answers.word(found.value)
        else:
            answer = answers.letter(found.value)
        options = LETTERS[: len(letters)]
        slots["answer"] = answer.span
        return Facts(answer, evidence, slots, (marks, *empty), options)

    def recompute(self, reference: ReferenceScene, row: Row) -> tuple[Facts, str]:
        """The same from the clip's readings by matrix products, its parts by the reference."""
        story = reference.cached("clip_story", lambda: _reference_story(reference))
        return self._facts(story, row), ""


def _direction(points: Float64, axes: Float64) -> Answer[str] | Rejection:
    """Along which axis of a camera a point (k, 3) moved by far the most."""
    shift = points[-1] - points[0]
    x, y, z = ((axes[:, 0] * shift[0] + axes[:, 1] * shift[1]) + axes[:, 2] * shift[2]).tolist()
    net = float(_way(points)[-1])
    path = float(sum(_way(np.stack(pair))[-1] for pair in pairwise(points)))
    evidence: Evidence = {"shift_m": [x, y, z], "net_m": net, "path_m": path}
    if net < LEAST_MOVE_M:
        return Rejection(Reason.DEAD_ZONE, evidence)
    if path > MOST_DETOUR * net:
        return Rejection(Reason.TO_AND_FRO, evidence)
    sizes = [abs(x), abs(y), abs(z)]
    largest, second = sorted(sizes, reverse=True)[:2]
    if largest < DOMINANCE * second:
        return Rejection(Reason.DIRECTION_BORDER, evidence)
    axis = sizes.index(largest)
    return Answer(DIRECTIONS[2 * axis + ((x, y, z)[axis] < 0)], evidence)


def _speed(points: Float64, gap_s: float | None) -> Answer[float] | Rejection:
    """Centimetres per second of a point (k, 3), along the straight lines from image to image."""
    path = float(sum(_way(np.stack(pair))[-1] for pair in pairwise(points)))
    if gap_s is None:
        return Rejection(Reason.TIME_UNKNOWN)
    evidence: Evidence = {"path_m": path, "gap_s": gap_s}
    if path < LEAST_MOVE_M:
        return Rejection(Reason.DEAD_ZONE, evidence)
    return Answer(100.0 * path / (gap_s * (len(points) - 1)), evidence)


def _filled(numbers: Sequence[int], width: int) -> list[int]:
    return [*numbers, *[-1] * (width - len(numbers))]


def _story(context: SceneContext) -> ClipStory:
    return context.cached("clip_story", lambda: _index_story(context))


def _index_story(context: SceneContext) -> ClipStory:
    clip = context.track
    view = context.cached("clip_view", lambda: clip_view(clip, context.recipe))
    parts = context.scene.parts
    label_of = dict(zip(parts.track.tolist(), parts.label.tolist(), strict=True))
    track = clip.track_index.astype(np.int64)
    return ClipStory(
        context.place, view.frame, track, view.world, view.seen, view.inside, view.uv,
        np.asarray(clip.cam_from_world)[:, :3, :3],
        np.array([label_of.get(k, -1) for k in track.tolist()], dtype=np.int64),
        clip.camera.size, tuple(frame.time for frame in clip.frames),
    )  # fmt: skip


def _reference_story(reference: ReferenceScene) -> ClipStory:
    """The clip by inverse matrices and products, its rigid parts by the float64 reference."""
    from spatial_engine.engines.object_movement import reference_labels

    clip, recipe = reference.track, reference.recipe
    labels = reference.cached("part_labels", lambda: reference_labels(reference))
    track = clip.track_index.astype(np.int64)
    T, N = clip.visible.shape
    world = np.full((T, N, 3), np.nan)
    posed = np.array([bool(np.isfinite(pose).all()) for pose in clip.cam_from_world])
    ones = np.ones((N, 1))
    for t in np.flatnonzero(posed).tolist():
        here = np.concatenate([clip.tracks_cam[t], ones], axis=1)
        world[t] = (here @ np.linalg.inv(clip.cam_from_world[t]).T)[:, :3]
    depth = clip.tracks_cam[..., 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        image = clip.tracks_cam @ clip.camera.K.T
        uv = image[..., :2] / (depth + recipe.track_pixel_offset)[..., None]
        size = np.array(clip.camera.size)
        pictured = np.array([bool(frame.image) for frame in clip.frames]) & posed
        seen = clip.visible & (depth > 0) & (uv >= 0).all(axis=-1) & (uv < size).all(axis=-1)
        marks = recipe.rules.guards
        edge = mark_radius(int(size[0]), marks.mark_radius_share) if marks.border else 0
        inside = (uv >= edge).all(axis=-1) & (uv < size - edge).all(axis=-1)
    seen &= pictured[:, None]
    return ClipStory(
        reference.place, np.array([frame.index for frame in clip.frames]), track, world, seen,
        seen & inside, uv, np.stack([np.linalg.inv(p)[:3, :3].T for p in clip.cam_from_world]),
        np.array([labels.get(k, -1) for k in track.tolist()]), clip.camera.size,
        tuple(frame.time for frame in clip.frames),
    )  # fmt: skip


TRACK_STORY = tuple(TrackStory(quantity) for quantity in get_args(Quantity))
