# SPDX-License-Identifier: Apache-2.0
"""What moves in a clip over four to eight images: which way, which thing, which one first.

Things are rigid parts of the clip's tracks, pointed at by marks in the first image. A part that is
offered as an answer moves at some time of the clip, so that where a mark lies tells nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, get_args

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
from spatial_engine.engines.candidates import CandidateTable, Gathered, Row
from spatial_engine.engines.chains import of_points
from spatial_engine.engines.clip_story import (
    IMAGES,
    ClipStory,
    clip_story,
    reference_story,
    way_of,
)
from spatial_engine.engines.contents import (
    ANY,
    content_of,
    number_strata,
    number_stratums,
    place_contents,
)
from spatial_engine.engines.context import SceneContext
from spatial_engine.engines.frame_points import drawn_colours, marks_at
from spatial_engine.engines.layout_scene import answered
from spatial_engine.engines.track_pairs import TRACKS, clip_view
from spatial_engine.records import answers
from spatialcore.relations.verdict import Answer, Evidence, Reason, Rejection

if TYPE_CHECKING:
    from spatial_engine.recipe import Recipe
    from spatial_engine.records.chains import Chain, Telling
    from spatial_engine.reference.scene import ReferenceScene

Float64 = NDArray[np.float64]
Quantity = Literal["point_direction", "point_speed", "which_moved", "moved_first"]
LETTERS = ("A", "B", "C", "D")
_RANKS = ("leftmost", "second from the left", "third from the left", "fourth from the left")
# Word for a positive and a negative component on x, y, z of the first image's camera.
DIRECTIONS = ("right", "left", "down", "up", "away", "closer")
LEAST_MOVE_M = 0.10  # of a direction
DOMINANCE = 2.0  # of the largest component over each other one
MOST_DETOUR = 1.3  # of the path over the straight line


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
        words = self.words if self.of_point else _RANKS
        return equal_shares(words) if words else number_strata("cm/s", 1.0)

    def candidates(self, context: SceneContext) -> CandidateTable:
        """Stretches of the clip with the points that are asked about."""
        view = context.cached("clip_view", lambda: clip_view(context.track, context.recipe))
        if view.reason:
            return CandidateTable.empty({view.reason: 1})
        story = clip_story(context)
        gathered = Gathered(self.task, context.place, width=(max(IMAGES), len(LETTERS)))
        if self.of_point:
            self._gather_points(story, gathered)
            return gathered.table()
        for row in self._possible(story):
            found = self._ask(story, row)
            if isinstance(found, Rejection):
                gathered.refuse(found.reason)
                continue
            content, stratum = self._places(story, row, LETTERS.index(found.value))
            gathered.keep(row, stratum=stratum, content=content)
        return gathered.table()

    def _places(self, story: ClipStory, row: Row, answer: int) -> tuple[int, int]:
        """Content and stratum of some things, by where their marks lie.

        What moves lies in the middle of a clip more often than what does not, and where all things
        move one way, on one side: of clips whose middlemost mark is the n-th from the left, each
        mark is the answer equally often.
        """
        if not story.place.recipe.word_strata:
            return 0, answer
        columns = [story.column_of[track] for track in row.items]
        x = story.uv[story.time_of[row.frames[0]], columns, 0]
        ranks = np.argsort(np.argsort(x, kind="stable"))
        middle = int(ranks[np.abs(x - story.size[0] / 2).argmin()])
        return content_of(f"of {len(columns)}", f"middle {middle}"), int(ranks[answer])

    def _order(self, story: ClipStory) -> list[int]:
        """Columns of the tracks of things that ever move, by their draws."""
        draws = story.place.draw_rows(self.task, (story.track,), "point")
        asked = (story.label >= 0) & story.movable
        return [n for n in np.argsort(draws, kind="stable").tolist() if asked[n]]

    def _gather_points(self, story: ClipStory, gathered: Gathered) -> None:
        """Every stretch with each of some points of each thing; a stretch's are asked at once."""
        taken: Counter[int] = Counter()
        columns = []
        for n in self._order(story):
            taken[label := int(story.label[n])] += 1
            if taken[label] <= TRACKS[story.place.split]:
                columns.append(n)
        for times in story.stretches:
            seen = [n for n in columns if story.whole(times, n)]
            gathered.refuse(Reason.NO_VISIBLE_POINTS, len(columns) - len(seen))
            if not seen:
                continue
            frames = tuple(story.frame[list(times)].tolist())
            points = story.world[np.ix_(times, seen)]
            contents = [ANY] * len(seen)
            found: NDArray[Any]
            if self.words:
                reasons, found, _ = _directions(points, story.axes[times[0]])
                contents = place_contents(story.uv[times[0], seen], story.size).tolist()
            else:
                reasons, speeds, _ = _speeds(points, story.gap_s(times))
                found = number_stratums(speeds)
            told = zip(seen, reasons, found.tolist(), contents, strict=True)
            for n, reason, stratum, content in told:
                if reason is not None:
                    gathered.refuse(reason)
                    continue
                row = Row(frames, (int(story.track[n]),))
                gathered.keep(row, stratum=stratum, content=content)

    def _possible(self, story: ClipStory) -> Iterator[Row]:
        """Stretches, each with a point of every thing that ever moves."""
        place, order = story.place, self._order(story)
        for times in story.stretches:
            frames = tuple(story.frame[list(times)].tolist())
            first: dict[int, int] = {}
            for n in order:
                if story.whole(times, n):
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
        ways = np.stack([way_of(points[:, k]) for k in range(len(columns))])
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
        return [self._facts(clip_story(context), row) for row in rows]

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
        story = reference.cached("clip_story", lambda: reference_story(reference))
        return self._facts(story, row), ""

    def chain(self, told: Telling) -> Chain | None:
        """The numbers of its evidence in words."""
        return of_points.track_story(told, self.quantity)


class _Way(NamedTuple):
    """How points moved over some images (m points).

    Attributes:
        shift: (m, 3) metres from the first place to the last, on the axes of a camera.
        net: (m,) its length.
        path: (m,) metres along the straight lines from image to image.
    """

    shift: Float64
    net: Float64
    path: Float64


# Why a point's movement is not told, or None, by point.
_Reasons = list[Reason | None]


def _directions(points: Float64, axes: Float64) -> tuple[_Reasons, NDArray[np.int64], _Way]:
    """Along which axis of a camera points (k, m, 3) moved by far the most.

    Returns:
        Why each has no direction; (m,) rows of `DIRECTIONS`; and what was measured.
    """
    shift = points[-1] - points[0]
    x, y, z = (axes[:, k] * shift[:, k, None] for k in range(3))
    along, net, path = (x + y) + z, _ways(points)[-1], _paths(points)
    sizes = np.abs(along)
    _, second, largest = np.sort(sizes, axis=1).T
    axis = sizes.argmax(axis=1)
    negative = np.take_along_axis(along, axis[:, None], axis=1)[:, 0] < 0
    faults = (
        (net < LEAST_MOVE_M, Reason.DEAD_ZONE), (path > MOST_DETOUR * net, Reason.TO_AND_FRO),
        (largest < DOMINANCE * second, Reason.DIRECTION_BORDER),
    )  # fmt: skip
    return _first_faults(faults), 2 * axis + negative, _Way(along, net, path)


def _direction(points: Float64, axes: Float64) -> Answer[str] | Rejection:
    """`_directions` of one point (k, 3)."""
    (reason,), (found,), way = _directions(points[:, None], axes)
    net, path = float(way.net[0]), float(way.path[0])
    evidence: Evidence = {"shift_m": way.shift[0].tolist(), "net_m": net, "path_m": path}
    return Answer(DIRECTIONS[found], evidence) if reason is None else Rejection(reason, evidence)


def _speeds(points: Float64, gap_s: float | None) -> tuple[_Reasons, Float64, Float64]:
    """Centimetres per second of points (k, m, 3), along the straight lines from image to image.

    Returns:
        Why each has no speed; (m,) speeds; and (m,) metres of the paths.
    """
    path = _paths(points)
    if gap_s is None:
        return [Reason.TIME_UNKNOWN] * len(path), np.zeros(len(path)), path
    speed = 100.0 * path / (gap_s * (len(points) - 1))
    return _first_faults([(path < LEAST_MOVE_M, Reason.DEAD_ZONE)]), speed, path


def _speed(points: Float64, gap_s: float | None) -> Answer[float] | Rejection:
    """`_speeds` of one point (k, 3)."""
    (reason,), (speed,), (path,) = _speeds(points[:, None], gap_s)
    if gap_s is None:
        return Rejection(Reason.TIME_UNKNOWN)
    evidence: Evidence = {"path_m": float(path), "gap_s": gap_s}
    return Answer(float(speed), evidence) if reason is None else Rejection(reason, evidence)


def _first_faults(faults: Sequence[tuple[NDArray[np.bool_], Reason]]) -> _Reasons:
    """For each point the first of several faults that it has."""
    out: _Reasons = [None] * len(faults[0][0])
    for found, reason in reversed(faults):
        for k in np.flatnonzero(found).tolist():
            out[k] = reason
    return out


def _ways(points: Float64) -> Float64:
    """(k, m) metres from the first of points (k, m, 3)."""
    away = points - points[0]
    x, y, z = (away[..., k] for k in range(3))
    return np.asarray(np.sqrt((x * x + y * y) + z * z))


def _paths(points: Float64) -> Float64:
    """(m,) metres along the straight lines from each of points (k, m, 3) to the next."""
    total = np.zeros(points.shape[1])
    for start, end in pairwise(points):
        x, y, z = (end - start).T
        total = total + np.sqrt((x * x + y * y) + z * z)
    return total


TRACK_STORY = tuple(TrackStory(quantity) for quantity in get_args(Quantity))
