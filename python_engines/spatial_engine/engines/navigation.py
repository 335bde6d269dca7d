# SPDX-License-Identifier: Apache-2.0
"""Walks through a scene: turn-by-turn instructions from a place that the question names.

The geometry is in `spatialcore.relations`: `free_space`, `routes`, `walks` and `starts`. An answer
is walked on the floor grid before it is asked, from every place that the question's words allow,
and walked again when a response is scored.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING, Any, ClassVar

from spatial_engine.engines.base import AnswerForm, Engine, Facts, Named, Subject, equal_shares
from spatial_engine.engines.budgets import FrameAnswer
from spatial_engine.engines.candidates import CandidateTable, Row
from spatial_engine.engines.chains import of_plans
from spatial_engine.engines.context import SceneContext
from spatial_engine.engines.layout_scene import OBJECTS, answered
from spatial_engine.engines.navigation_check import astray, longer
from spatial_engine.engines.navigation_scene import (
    NavigationScene,
    navigation_scene,
    reference_navigation,
    table_of,
    unseen,
    walked,
)
from spatial_engine.records import answers
from spatialcore.relations import walks
from spatialcore.relations.free_space import FreeSpace, approach, passable_runs, sees
from spatialcore.relations.routes import Route, route_between
from spatialcore.relations.starts import StartPlace, arrivals, possible_starts, start_place
from spatialcore.relations.verdict import Answer, Evidence, Reason, Rejection

if TYPE_CHECKING:
    from spatial_engine.recipe import Recipe
    from spatial_engine.records.chains import Chain, Telling
    from spatial_engine.reference.scene import ReferenceScene

_RULES = walks.DEFAULT_RULES
_LENGTHS_M = (2.0, 3.5)  # borders of the bins of a walk's length
_LEGS = ("one leg", "two legs", "more legs")
_MOST_OF_ONE_LEG = 0.5  # of the rows: most straight walks need no plan of a route


@dataclass(frozen=True, slots=True)
class NavigationInstructions(Engine):
    """How to walk from one object to another, turn by turn.

    A row's items are the object one stands at, the one that is faced there, and the goal. One
    stands on the line from the first to the second, a stated gap before the first.
    """

    task: ClassVar[str] = "navigation.instructions"
    answer: ClassVar[AnswerForm] = AnswerForm("steps", "steps")
    subject: ClassVar[Subject] = OBJECTS
    needs_objects: ClassVar[bool] = True
    needs_up: ClassVar[bool] = True
    of_walk: ClassVar[bool] = True

    def bin_count(self, recipe: Recipe) -> int:
        """One for each range of lengths."""
        del recipe
        return len(_LENGTHS_M) + 1

    def strata(self, recipe: Recipe) -> tuple[tuple[str, float], ...]:
        """One, two or more legs, where the recipe balances what answers say."""
        return equal_shares(_LEGS) if recipe.word_strata else (("", 1.0),)

    def caps(self, recipe: Recipe) -> tuple[float, ...]:
        """Walks of one leg are no more than half of the rows that there are."""
        return (_MOST_OF_ONE_LEG, 1.0, 1.0) if recipe.word_strata else (1.0,)

    def candidates(self, context: SceneContext) -> CandidateTable:
        """Every start and facing among unique objects, with each other one as the goal."""
        scene = navigation_scene(context)
        rejected: Counter[str] = Counter()
        rows: list[tuple[int, ...]] = []
        walked: list[tuple[int, float]] = []  # legs and metres of the rows
        pool = scene.pool(self.task)
        for start, facing in permutations(pool, 2):
            goals = [k for k in pool if k not in (start, facing)]
            place = _place(scene, start, facing)
            if isinstance(place, Rejection):
                rejected[str(place.reason)] += len(goals)
                continue
            for goal in goals:
                found = self._walk(scene, (start, facing, goal))
                if isinstance(found, Rejection):
                    rejected[str(found.reason)] += 1
                else:
                    rows.append((start, facing, goal))
                    walked.append((len(found.value.steps), found.evidence["length_m"]))
        bins = [bisect_right(_LENGTHS_M, length_m) for _, length_m in walked]
        strata = [min(legs, len(_LEGS)) - 1 for legs, _ in walked]
        return table_of(
            self.task, scene, rows, rejected,
            bin=bins, stratum=strata if context.recipe.word_strata else 0,
        )  # fmt: skip

    def _walk(
        self, scene: NavigationScene, items: tuple[int, ...]
    ) -> Answer[walks.Instructions] | Rejection:
        return scene.answer((self.task, items), lambda: _described(scene, *items))

    def facts(self, context: SceneContext, rows: Sequence[Row]) -> list[Facts]:
        """The steps of candidates."""
        scene = navigation_scene(context)
        found = [answered(self.task, row, self._walk(scene, row.items)) for row in rows]
        return [self._facts(scene, *both) for both in zip(rows, found, strict=True)]

    def _facts(self, scene: NavigationScene, row: Row, found: Answer[walks.Instructions]) -> Facts:
        start, facing, goal = (scene.layout.object(k).category for k in row.items)
        answer = answers.steps(found.value.steps)
        slots = {
            "start": start, "gap": f"{found.evidence['start_gap_m']:.1f}", "face": facing,
            "target": goal, "steps": answer.span,
        }  # fmt: skip
        return Facts(answer, found.evidence, slots, variant=found.value.target_side)

    def recompute(self, reference: ReferenceScene, row: Row) -> tuple[Facts, str]:
        """The same walk on the floor of the source's own cloud.

        Its length is found by another search, and it is walked by other means from every start.

        Raises:
            ValueError: The row names an object that the source does not have, or has no answer.
        """
        scene = reference_navigation(reference, row.frames)
        found = answered(self.task, row, self._walk(scene, row.items))
        broken = unseen(scene, row.items) or longer(scene, found) or astray(scene, found)
        return self._facts(scene, row, found), broken

    def told(self, scene: SceneContext | ReferenceScene, row: Row) -> FrameAnswer:
        """The steps that the row's frames give, with the landmarks that they show."""
        shown = walked(scene, row.frames)
        if fault := unseen(shown, row.items):
            return FrameAnswer("", fault)
        found = self._walk(shown, row.items)
        if isinstance(found, Rejection):
            return FrameAnswer("", str(found.reason))
        return FrameAnswer(answers.steps(found.value.steps).span)

    def named(self, reference: ReferenceScene, row: Row) -> list[Named]:
        """The ends of the walk, what is faced, and the landmarks."""
        scene = reference_navigation(reference, row.frames)
        found = answered(self.task, row, self._walk(scene, row.items))
        words = {step.landmark for step in found.value.steps}
        marks = [i.object_id for i in scene.layout.objects if i.category in words]
        return [Named(k, row.frames) for k in (*row.items, *marks)]

    def chain(self, told: Telling) -> Chain | None:
        """The numbers of its evidence in words."""
        return of_plans.navigation(told)


def _place(scene: NavigationScene, start: int, facing: int) -> Answer[StartPlace] | Rejection:
    """Where one stands at an object and sees the one that is faced; or why nowhere."""
    return scene.layout.of_whole(
        ("place", start, facing), lambda: _seen_place(scene, start, facing)
    )


def _seen_place(scene: NavigationScene, start: int, facing: int) -> Answer[StartPlace] | Rejection:
    floor, layout = scene.roomy, scene.layout
    if isinstance(floor, Rejection):
        return floor
    faced = layout.object(facing)
    place = start_place(floor, layout.object(start), faced)
    if isinstance(place, Answer) and not sees(floor, place.value.xy, faced):
        return Rejection(Reason.NO_LANDMARK, place.evidence)
    return place


def _route(scene: NavigationScene, start: int, facing: int, goal: int) -> Answer[Route] | Rejection:
    """The way from where one stands to the goal; or why there is none."""
    return scene.layout.of_whole(
        ("route", start, facing, goal), lambda: _walked_route(scene, start, facing, goal)
    )


def _walked_route(
    scene: NavigationScene, start: int, facing: int, goal: int
) -> Answer[Route] | Rejection:
    floor, place = scene.roomy, _place(scene, start, facing)
    if isinstance(floor, Rejection):
        return floor
    if isinstance(place, Rejection):
        return place
    end = approach(floor, scene.layout.object(goal), place.value.xy)
    if isinstance(end, Rejection):
        return end
    return route_between(floor, place.value.cell, end.value, start_xy=place.value.xy)


def _described(
    scene: NavigationScene, start: int, facing: int, goal: int
) -> Answer[walks.Instructions] | Rejection:
    floor, layout = scene.roomy, scene.layout
    place, route = _place(scene, start, facing), _route(scene, start, facing, goal)
    if isinstance(floor, Rejection):
        return floor
    if isinstance(place, Rejection):
        return place
    if isinstance(route, Rejection):
        return route
    faced = layout.object(facing)
    found = walks.instructions(floor, route.value, layout.unique, faced, layout.object(goal))
    if isinstance(found, Rejection):
        return found
    face_xy, goal_xy = faced.centroid[:2].tolist(), route.value.corners[-1].tolist()
    starts = layout.of_whole(
        ("starts", start, facing),
        lambda: possible_starts(floor, place.value.xy, _RULES.start_slack_m),
    )
    share = arrivals(floor, starts, face_xy, goal_xy, found.value.steps)
    evidence: Evidence = {
        **route.evidence, **found.evidence, **place.evidence, "face_xy": face_xy,
        "goal_xy": goal_xy, "start_slack_m": _RULES.start_slack_m, "starts": len(starts),
        "target_side": found.value.target_side,
        "floor": layout.of_whole("floor", lambda: _floor(scene.space)),
    }  # fmt: skip
    if share < 1:
        return Rejection(Reason.START_UNSURE, {**evidence, "arrive": share})
    return Answer(found.value, evidence)


def _floor(space: FreeSpace | Rejection) -> dict[str, Any]:
    return {} if isinstance(space, Rejection) else passable_runs(space)


NAVIGATION = (NavigationInstructions(),)
