# SPDX-License-Identifier: Apache-2.0
"""Walks through a scene: turn-by-turn instructions, and the missing turns of a walk.

The geometry is in `spatialcore.relations`: `free_space`, `routes` and `walks`. An answer is walked
again on the floor grid before it is asked, and when a response is scored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations, product
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from spatial_engine.engines.base import LETTER, AnswerForm, Engine, Facts, Named, Subject
from spatial_engine.engines.candidates import CandidateTable, Row
from spatial_engine.engines.context import SceneContext
from spatial_engine.engines.layout_scene import OBJECTS, answered
from spatial_engine.engines.navigation_scene import (
    NavigationScene,
    navigation_scene,
    reference_navigation,
)
from spatial_engine.engines.published import Published
from spatial_engine.records import answers
from spatialcore.relations import walks
from spatialcore.relations.free_space import FreeSpace, passable_runs
from spatialcore.relations.routes import Route, TurnRules, plan_route, route_turns
from spatialcore.relations.verdict import Answer, Reason, Rejection

if TYPE_CHECKING:
    from spatial_engine.reference.scene import ReferenceScene

_LETTERS = "ABCD"
_TURNS = ("left", "right", "back")
_PATH_SLACK = 1e-9  # of the path's length: two sums of the same steps in another order


def _table(
    task: str, scene: NavigationScene, rows: Sequence[tuple[int, ...]], rejected: Counter[str]
) -> CandidateTable:
    """Rows of objects, of one width, over the shown frames."""
    if not rows:
        return CandidateTable.empty(rejected)
    width = max(map(len, rows))
    items = np.array([(*row, *(-1,) * (width - len(row))) for row in rows], dtype=np.int64)
    shown = np.tile(np.array(scene.layout.frames, dtype=np.int32), (len(rows), 1))
    chosen = scene.layout.place.draw_rows(task, [*shown.T, *items.T], "select")
    return CandidateTable.build(shown, items, chosen, rejected=rejected)


def _unseen(scene: NavigationScene, items: Sequence[int]) -> str:
    """The guard of the shown frames that a row breaks, or ""."""
    unique = {item.object_id for item in scene.layout.unique}
    return "" if unique.issuperset(items) else str(Reason.CATEGORY_NOT_UNIQUE)


@dataclass(frozen=True, slots=True)
class RoutePlan(Engine):
    """The missing turns of a walk that goes straight from object to object."""

    task: ClassVar[str] = "scene_layout.route_plan"
    answer: ClassVar[AnswerForm] = LETTER
    published: ClassVar[Published] = Published("VSI-Bench", "route_planning")
    question_type: ClassVar[str] = "route_planning"
    subject: ClassVar[Subject] = OBJECTS
    words: ClassVar[tuple[str, ...]] = tuple(_LETTERS)
    needs_up: ClassVar[bool] = True

    def candidates(self, context: SceneContext) -> CandidateTable:
        """Every walk over a few unique objects whose turns, and those of its start, are clear."""
        scene = navigation_scene(context)
        rejected: Counter[str] = Counter()
        rows: list[tuple[int, ...]] = []
        pool = scene.pool(self.task)
        found: list[tuple[int, ...]] = list(permutations(pool, 3))
        while found:
            clear = []
            for items in found:
                turns = self._ask(scene, items)
                if isinstance(turns, Rejection):
                    rejected[str(turns.reason)] += 1
                else:
                    clear.append(items)
            rows += clear
            longer = len(clear[0]) < TurnRules().max_turns + 2 if clear else False
            found = [(*i, k) for i in clear for k in pool if longer and k not in i]
        return _table(self.task, scene, rows, rejected)

    def _ask(
        self, scene: NavigationScene, items: tuple[int, ...]
    ) -> Answer[tuple[str, ...]] | Rejection:
        space = scene.space
        if isinstance(space, Rejection):
            return space
        rules = TurnRules(border_deg=scene.layout.recipe.guards.turn_border_deg)
        return scene.answer(
            (self.task, items),
            lambda: route_turns(space, [scene.layout.object(k) for k in items], rules=rules),
        )

    def facts(self, context: SceneContext, rows: Sequence[Row]) -> list[Facts]:
        """The turns of candidates."""
        scene = navigation_scene(context)
        found = [answered(self.task, row, self._ask(scene, row.items)) for row in rows]
        return [self._facts(scene, *both) for both in zip(rows, found, strict=True)]

    def _facts(self, scene: NavigationScene, row: Row, found: Answer[tuple[str, ...]]) -> Facts:
        options = self._options(scene, row, found.value)
        letter = _LETTERS[options.index(_spoken(found.value))]
        names = [scene.layout.object(k).category for k in row.items]
        legs = [f"go forward until the {names[1]}"]
        for k, name in enumerate(names[2:], 1):
            legs += [f"make turn {k}", f"go forward until the {name}"]
        slots = {
            "stand": names[0], "face": names[1], "legs": "; ".join(legs), "letter": letter,
            "options": answers.option_lines(options),
        }  # fmt: skip
        evidence = {**found.evidence, "turns": list(found.value)}
        return Facts(answers.letter(letter), evidence, slots, options=options)

    def _options(self, scene: NavigationScene, row: Row, turns: tuple[str, ...]) -> tuple[str, ...]:
        """The true sequence of turns and up to three others, in a keyed order."""
        place, key = scene.layout.place, (*sorted(row.frames), *row.items)
        others = [t for t in product(_TURNS, repeat=len(turns)) if t != turns]
        order = sorted(
            range(len(others)), key=lambda k: (place.draw(self.task, (*key, k), "distractor"), k)
        )
        offered = sorted([turns, *(others[k] for k in order[:3])])
        order = sorted(
            range(len(offered)), key=lambda k: (place.draw(self.task, (*key, k), "order"), k)
        )
        return tuple(_spoken(offered[k]) for k in order)

    def recompute(self, reference: ReferenceScene, row: Row) -> tuple[Facts, str]:
        """The same turns on the floor of the source's own cloud.

        Raises:
            ValueError: The row names an object that the source does not have, or has no answer.
        """
        scene = reference_navigation(reference, row.frames)
        found = answered(self.task, row, self._ask(scene, row.items))
        return self._facts(scene, row, found), _unseen(scene, row.items)

    def named(self, reference: ReferenceScene, row: Row) -> list[Named]:
        """The objects of the walk."""
        del reference
        return [Named(k, row.frames) for k in row.items]


def _spoken(turns: Sequence[str]) -> str:
    return ", then ".join(f"turn {turn}" for turn in turns)


@dataclass(frozen=True, slots=True)
class NavigationInstructions(Engine):
    """How to walk from one object to another, turn by turn.

    A row's items are the object one starts at, the one that is faced there, and the goal.
    """

    task: ClassVar[str] = "navigation.instructions"
    answer: ClassVar[AnswerForm] = AnswerForm("steps", "steps")
    subject: ClassVar[Subject] = OBJECTS
    needs_up: ClassVar[bool] = True

    def candidates(self, context: SceneContext) -> CandidateTable:
        """Every ordered pair of a few unique objects, with each object one can face at first."""
        scene = navigation_scene(context)
        rejected: Counter[str] = Counter()
        rows: list[tuple[int, ...]] = []
        for start, goal in permutations(scene.pool(self.task), 2):
            route = _route(scene, start, goal)
            if isinstance(route, Rejection):
                rejected[str(route.reason)] += 1
                continue
            for facing in _faced(scene, start, goal, route.value):
                found = self._ask(scene, (start, facing, goal))
                if isinstance(found, Rejection):
                    rejected[str(found.reason)] += 1
                else:
                    rows.append((start, facing, goal))
        return _table(self.task, scene, rows, rejected)

    def _ask(
        self, scene: NavigationScene, items: tuple[int, ...]
    ) -> Answer[walks.Instructions] | Rejection:
        return scene.answer((self.task, items), lambda: self._described(scene, *items))

    def _described(
        self, scene: NavigationScene, start: int, facing: int, goal: int
    ) -> Answer[walks.Instructions] | Rejection:
        route = _route(scene, start, goal)
        if isinstance(route, Rejection) or isinstance(scene.space, Rejection):
            return route if isinstance(route, Rejection) else Rejection(Reason.NO_ROUTE)
        if facing not in _faced(scene, start, goal, route.value):
            return Rejection(Reason.NO_LANDMARK)
        layout = scene.layout
        marks = scene.kept(
            ("landmarks", start, goal), lambda: walks.landmarks(route.value, layout.unique)
        )
        found = walks.instructions(
            scene.space, route.value, marks, layout.object(facing), layout.object(goal)
        )
        if isinstance(found, Rejection):
            return found
        corners = route.value.corners
        evidence = {
            **route.evidence, **found.evidence, "start_xy": corners[0].tolist(),
            "goal_xy": corners[-1].tolist(), "target_side": found.value.target_side,
            "floor": scene.kept("floor", lambda: _floor(scene.space)),
        }  # fmt: skip
        return Answer(found.value, evidence)

    def facts(self, context: SceneContext, rows: Sequence[Row]) -> list[Facts]:
        """The steps of candidates."""
        scene = navigation_scene(context)
        found = [answered(self.task, row, self._ask(scene, row.items)) for row in rows]
        return [self._facts(scene, *both) for both in zip(rows, found, strict=True)]

    def _facts(self, scene: NavigationScene, row: Row, found: Answer[walks.Instructions]) -> Facts:
        start, facing, goal = (scene.layout.object(k).category for k in row.items)
        answer = answers.steps(found.value.steps)
        slots = {"start": start, "face": facing, "target": goal, "steps": answer.span}
        return Facts(answer, found.evidence, slots, variant=found.value.target_side)

    def recompute(self, reference: ReferenceScene, row: Row) -> tuple[Facts, str]:
        """The same walk on the floor of the source's own cloud, its length by another search.

        Raises:
            ValueError: The row names an object that the source does not have, or has no answer.
        """
        scene = reference_navigation(reference, row.frames)
        found = answered(self.task, row, self._ask(scene, row.items))
        return self._facts(scene, row, found), _unseen(scene, row.items) or _longer(scene, found)

    def named(self, reference: ReferenceScene, row: Row) -> list[Named]:
        """The ends of the walk, what is faced, and the landmarks."""
        scene = reference_navigation(reference, row.frames)
        found = answered(self.task, row, self._ask(scene, row.items))
        words = {step.landmark for step in found.value.steps}
        marks = [i.object_id for i in scene.layout.objects if i.category in words]
        return [Named(k, row.frames) for k in (*row.items, *marks)]


def _route(scene: NavigationScene, start: int, goal: int) -> Answer[Route] | Rejection:
    space, layout = scene.space, scene.layout
    if isinstance(space, Rejection):
        return space
    return scene.kept(
        ("route", start, goal),
        lambda: plan_route(space, layout.object(start), layout.object(goal)),
    )


def _faced(scene: NavigationScene, start: int, goal: int, route: Route) -> list[int]:
    """Ids of the objects one can face at the start: seen in a shown frame, neither end."""
    if isinstance(scene.space, Rejection):
        return []
    space, layout = scene.space, scene.layout
    near = scene.kept(
        ("faced", start, goal),
        lambda: walks.facing_objects(space, route.corners[0], layout.objects),
    )
    unique = {item.object_id for item in layout.unique}
    return [i.object_id for i in near if i.object_id in unique - {start, goal}]


def _floor(space: FreeSpace | Rejection) -> dict[str, Any]:
    return {} if isinstance(space, Rejection) else passable_runs(space)


def _longer(scene: NavigationScene, found: Answer[Any]) -> str:
    """Nothing when Dijkstra's search over the same cells finds the same length, else `no_route`."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import dijkstra

    space = scene.space
    if isinstance(space, Rejection):
        return str(Reason.NO_ROUTE)
    free, (H, W) = space.free, space.free.shape
    number = np.arange(H * W).reshape(H, W)
    ends: list[tuple[Any, Any, Any]] = []
    for dr, dc in ((0, 1), (1, 0), (1, 1), (1, -1)):
        here = (slice(0, H - dr), slice(max(0, -dc), W - max(0, dc)))
        there = (slice(dr, H), slice(max(0, dc), W + min(0, dc)))
        open_step = free[here] & free[there]
        if dr and dc:  # both cells beside a diagonal step
            open_step &= free[here[0], there[1]] & free[there[0], here[1]]
        length = np.full(int(open_step.sum()), np.hypot(dr, dc) * space.cell_m)
        ends.append((number[here][open_step], number[there][open_step], length))
    a, b, length = (np.concatenate([e[k] for e in ends]) for k in range(3))
    graph = coo_array((length, (a, b)), shape=(H * W, H * W)).tocsr()
    first, last = (row * W + column for row, column in (
        found.evidence["start_cell"], found.evidence["goal_cell"]
    ))  # fmt: skip
    shortest = float(dijkstra(graph, directed=False, indices=first)[last])
    same = abs(shortest - found.evidence["path_m"]) <= _PATH_SLACK * max(shortest, 1.0)
    return "" if same else str(Reason.NO_ROUTE)


NAVIGATION = (RoutePlan(), NavigationInstructions())
