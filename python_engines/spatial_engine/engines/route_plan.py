# SPDX-License-Identifier: Apache-2.0
"""The missing turns of a walk: which turns lead from object to object in straight lines.

Four sequences are offered that are alike: as many turns, and as many of them back, so that neither
the options nor the number of "back" among them tells the right one. A walk that only turns back
has none like it and is not asked, but for a single turn, where all three are offered. The plan asks
the sequences that are alike equally often.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations, product
from typing import TYPE_CHECKING, ClassVar

from spatial_engine.engines.base import LETTER, AnswerForm, Engine, Facts, Named, Subject
from spatial_engine.engines.budgets import FrameAnswer
from spatial_engine.engines.candidates import CandidateTable, Row
from spatial_engine.engines.chains import of_plans
from spatial_engine.engines.contents import content_of
from spatial_engine.engines.context import SceneContext
from spatial_engine.engines.layout_scene import OBJECTS, answered
from spatial_engine.engines.navigation_scene import (
    NavigationScene,
    navigation_scene,
    reference_navigation,
    table_of,
    unseen,
    walked,
)
from spatial_engine.engines.published import Published
from spatial_engine.records import answers
from spatial_engine.records.names import spoken
from spatialcore.relations.routes import TurnRules, route_turns, stop_cells
from spatialcore.relations.verdict import Answer, Reason, Rejection

if TYPE_CHECKING:
    from spatial_engine.recipe import Recipe
    from spatial_engine.records.chains import Chain, Telling
    from spatial_engine.reference.scene import ReferenceScene

_LETTERS = "ABCD"
_TURNS = ("left", "right", "back")
_OPTIONS = 4
Turns = tuple[str, ...]


def alike(turns: Turns) -> tuple[Turns, ...]:
    """The sequences of as many turns of which as many are back, itself among them, in order.

    Example:
        >>> alike(("back", "left"))
        (('back', 'left'), ('back', 'right'), ('left', 'back'), ('right', 'back'))
        >>> len(alike(("left",)))
        3
    """
    every = product(sorted(_TURNS), repeat=len(turns))
    backs = turns.count("back")
    return tuple(t for t in every if len(turns) == 1 or t.count("back") == backs)


SEQUENCES: tuple[Turns, ...] = tuple(
    turns
    for length in range(1, TurnRules().max_turns + 1)
    for turns in product(_TURNS, repeat=length)
    if len(alike(turns)) > 1
)
"""Every sequence that is asked, shorter ones first: the strata of the plan."""


@dataclass(frozen=True, slots=True)
class RoutePlan(Engine):
    """The missing turns of a walk that goes straight from object to object."""

    task: ClassVar[str] = "scene_layout.route_plan"
    answer: ClassVar[AnswerForm] = LETTER
    published: ClassVar[Published] = Published("VSI-Bench", "route_planning")
    question_type: ClassVar[str] = "route_planning"
    subject: ClassVar[Subject] = OBJECTS
    words: ClassVar[tuple[str, ...]] = tuple(_LETTERS)
    needs_objects: ClassVar[bool] = True
    needs_up: ClassVar[bool] = True
    of_walk: ClassVar[bool] = True

    def strata(self, recipe: Recipe) -> tuple[tuple[str, float], ...]:
        """One for each sequence of turns where the recipe balances words; each length alike."""
        if not recipe.word_strata:
            return (("", 1.0),)
        lengths = Counter(map(len, SEQUENCES))
        return tuple(
            (" ".join(turns), 1.0 / len(lengths) / lengths[len(turns)]) for turns in SEQUENCES
        )

    def candidates(self, context: SceneContext) -> CandidateTable:
        """Every walk over unique objects whose turns, and those of its start, are clear."""
        scene = navigation_scene(context)
        rejected: Counter[str] = Counter()
        rows: list[tuple[int, ...]] = []
        words: list[Turns] = []
        pool = scene.pool(self.task)
        found = self._begun(scene, pool, rejected)
        while found:
            clear = []
            for items in found:
                turns = self._turns(scene, items)
                if isinstance(turns, Rejection):
                    rejected[str(turns.reason)] += 1
                    continue
                clear.append(items)
                if len(alike(turns.value)) > 1:
                    rows.append(items)
                    words.append(turns.value)
                else:
                    rejected[str(Reason.TO_AND_FRO)] += 1
            longer = len(clear[0]) < TurnRules().max_turns + 2 if clear else False
            found = [(*i, k) for i in clear for k in pool if longer and k not in i]
        if not context.recipe.word_strata:
            return table_of(self.task, scene, rows, rejected)
        strata = [SEQUENCES.index(one) for one in words]
        contents = [content_of(*map(_spoken, alike(one))) for one in words]
        return table_of(self.task, scene, rows, rejected, stratum=strata, content=contents)

    def _begun(
        self, scene: NavigationScene, pool: Sequence[int], rejected: Counter[str]
    ) -> list[tuple[int, ...]]:
        """Sets of three whose first leg is clear."""
        begun: list[tuple[int, ...]] = []
        for pair in permutations(pool, 2):
            others = [k for k in pool if k not in pair]
            space = scene.space
            things = [scene.layout.object(k) for k in pair]
            leg = space if isinstance(space, Rejection) else stop_cells(space, things)
            if isinstance(leg, Rejection):
                rejected[str(leg.reason)] += len(others)
            else:
                begun += [(*pair, k) for k in others]
        return begun

    def _turns(self, scene: NavigationScene, items: tuple[int, ...]) -> Answer[Turns] | Rejection:
        space = scene.space
        if isinstance(space, Rejection):
            return space
        rules = TurnRules(border_deg=scene.layout.recipe.guards.turn_border_deg)
        return scene.layout.of_whole(
            (self.task, items),
            lambda: route_turns(space, [scene.layout.object(k) for k in items], rules=rules),
        )

    def facts(self, context: SceneContext, rows: Sequence[Row]) -> list[Facts]:
        """The turns of candidates."""
        scene = navigation_scene(context)
        found = [answered(self.task, row, self._turns(scene, row.items)) for row in rows]
        return [self._facts(scene, *both) for both in zip(rows, found, strict=True)]

    def _facts(self, scene: NavigationScene, row: Row, found: Answer[Turns]) -> Facts:
        options = self._options(scene, row, found.value)
        letter = _LETTERS[options.index(_spoken(found.value))]
        names = [scene.layout.object(k).category for k in row.items]
        said = [spoken(name) for name in names]
        legs = [f"walk straight to the {said[1]}"]
        for k, name in enumerate(said[2:], 1):
            legs += [f"make turn {k}", f"walk straight to the {name}"]
        slots = {
            "stand": names[0], "face": names[1], "legs": "; ".join(legs), "letter": letter,
            "options": answers.option_lines(options),
        }  # fmt: skip
        evidence = {**found.evidence, "turns": list(found.value)}
        return Facts(answers.letter(letter), evidence, slots, options=options)

    def _options(self, scene: NavigationScene, row: Row, turns: Turns) -> tuple[str, ...]:
        """The true sequence of turns and up to three that are alike, in a keyed order."""
        place, key = scene.layout.place, (*sorted(row.frames), *row.items)

        def shuffled(texts: Sequence[Turns], slot: str) -> list[Turns]:
            draws = [place.draw(self.task, (*key, k), slot) for k in range(len(texts))]
            return [texts[k] for k in sorted(range(len(texts)), key=lambda k: (draws[k], k))]

        others = [one for one in alike(turns) if one != turns]
        offered = sorted([turns, *shuffled(others, "distractor")[: _OPTIONS - 1]])
        return tuple(map(_spoken, shuffled(offered, "order")))

    def recompute(self, reference: ReferenceScene, row: Row) -> tuple[Facts, str]:
        """The same turns on the floor of the source's own cloud.

        Raises:
            ValueError: The row names an object that the source does not have, or has no answer.
        """
        scene = reference_navigation(reference, row.frames)
        found = answered(self.task, row, self._turns(scene, row.items))
        broken = "" if len(alike(found.value)) > 1 else str(Reason.TO_AND_FRO)
        return self._facts(scene, row, found), unseen(scene, row.items) or broken

    def told(self, scene: SceneContext | ReferenceScene, row: Row) -> FrameAnswer:
        """The turns that the row's frames give."""
        shown = walked(scene, row.frames)
        if fault := unseen(shown, row.items):
            return FrameAnswer("", fault)
        found = self._turns(shown, row.items)
        if isinstance(found, Rejection):
            return FrameAnswer("", str(found.reason))
        return FrameAnswer(_spoken(found.value))

    def named(self, reference: ReferenceScene, row: Row) -> list[Named]:
        """The objects of the walk."""
        del reference
        return [Named(k, row.frames) for k in row.items]

    def chain(self, told: Telling) -> Chain | None:
        """The numbers of its evidence in words."""
        return of_plans.route_plan(told)


def _spoken(turns: Turns) -> str:
    return ", then ".join(f"turn {turn}" for turn in turns)


ROUTES = (RoutePlan(),)
