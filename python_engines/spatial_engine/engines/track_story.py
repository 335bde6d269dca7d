# SPDX-License-Identifier: Apache-2.0
"""What moves in a clip over four to eight images: which way, which thing, which one first.

Things are rigid parts of the clip's tracks, pointed at by marks in the first image. A part that is
offered as an answer moves at some time of the clip, so that where a mark lies tells nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
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
    number_strata,
    number_stratum,
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
        return equal_shares(self.words) if self.words else number_strata("cm/s", 1.0)

    def candidates(self, context: SceneContext) -> CandidateTable:
        """Stretches of the clip with the points that are asked about."""
        view = context.cached("clip_view", lambda: clip_view(context.track, context.recipe))
        if view.reason:
            return CandidateTable.empty({view.reason: 1})
        story = clip_story(context)
        gathered = Gathered(self.task, context.place, width=(max(IMAGES), len(LETTERS)))
        for row in self._possible(story):
            found = self._ask(story, row)
            if isinstance(found, Rejection):
                gathered.refuse(found.reason)
            elif self.words:
                gathered.keep(
                    row,
                    stratum=self.words.index(found.value),
                    content=self._content(story, row),
                )
            else:
                gathered.keep(row, stratum=number_stratum(found.value), content=ANY)
        return gathered.table()

    def _content(self, story: ClipStory, row: Row) -> int:
        """Of a direction where its point lies; which of several things tells no place."""
        if not self.of_point:
            return 0
        at = story.uv[story.time_of[row.frames[0]], story.column_of[row.items[0]]]
        return int(place_contents(at[None], story.size)[0])

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


def _direction(points: Float64, axes: Float64) -> Answer[str] | Rejection:
    """Along which axis of a camera a point (k, 3) moved by far the most."""
    shift = points[-1] - points[0]
    x, y, z = ((axes[:, 0] * shift[0] + axes[:, 1] * shift[1]) + axes[:, 2] * shift[2]).tolist()
    net, path = float(way_of(points)[-1]), _path_of(points)
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


def _path_of(points: Float64) -> float:
    """Metres along the straight lines from each of points (k, 3) to the next."""
    dx, dy, dz = np.diff(points, axis=0).T
    return float(sum(np.sqrt((dx * dx + dy * dy) + dz * dz).tolist()))


def _speed(points: Float64, gap_s: float | None) -> Answer[float] | Rejection:
    """Centimetres per second of a point (k, 3), along the straight lines from image to image."""
    path = _path_of(points)
    if gap_s is None:
        return Rejection(Reason.TIME_UNKNOWN)
    evidence: Evidence = {"path_m": path, "gap_s": gap_s}
    if path < LEAST_MOVE_M:
        return Rejection(Reason.DEAD_ZONE, evidence)
    return Answer(100.0 * path / (gap_s * (len(points) - 1)), evidence)


TRACK_STORY = tuple(TrackStory(quantity) for quantity in get_args(Quantity))
