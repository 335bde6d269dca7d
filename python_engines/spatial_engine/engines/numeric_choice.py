# SPDX-License-Identifier: Apache-2.0
"""Numeric tasks as a choice: the open task's question with four numbers to pick from.

The four are a ladder: each is the one below it times a drawn factor, and a person can tell any two
apart. Which of them is the truth is drawn first, each rank with equal chance, and the ladder is
built from there with the same steps up as down: so that equal ladders come of every rank, and
neither the spread of the numbers nor a place among them tells. What numbers are common in rooms
would still tell; therefore ladders of one size are a content, and of each the plan takes every
rank equally often.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

from spatial_engine.engines.base import (
    LETTER,
    AnswerForm,
    Engine,
    Facts,
    Kind,
    Named,
    Subject,
    equal_shares,
)
from spatial_engine.engines.budgets import FrameAnswer
from spatial_engine.engines.candidates import CandidateTable, Row
from spatial_engine.engines.chains import of_plans
from spatial_engine.engines.contents import of_form
from spatial_engine.engines.context import SceneContext
from spatial_engine.engines.scene_layout import SceneLayout
from spatial_engine.records import answers
from spatial_engine.records.answers import Answer
from spatial_engine.records.place import Place
from spatialcore.draws import uniform_below

if TYPE_CHECKING:
    from spatial_engine.engines.asked import AskedEngine
    from spatial_engine.engines.revisit import Revisit
    from spatial_engine.engines.walk_task import WalkEngine
    from spatial_engine.recipe import Recipe
    from spatial_engine.records.chains import Chain, Telling
    from spatial_engine.reference.scene import ReferenceScene

LETTERS = ("A", "B", "C", "D")
RANKS = ("smallest", "second", "third", "largest")
LEAST_COUNT = 2  # of things that are counted
LEAST_DEG = 10  # that a person tells two angles apart by
_SPREAD = 251  # a step is its least ratio times 1.000, 1.001, ... or 1.250


class Separation(NamedTuple):
    """How far apart two numbers are to be told by eye.

    Attributes:
        permille: Of the larger one.
        least: In units of the last digit that is shown.
        floor: The smallest number that may be offered, in the same units.
        ceiling: The greatest one, as no angle is above 180 degrees; 0 is none.
    """

    permille: int
    least: int
    floor: int
    ceiling: int = 0


def ladder(truth: int, apart: Separation, draw: Callable[[str, int], int]) -> tuple[int, ...]:
    """Four rising numbers, one of them the truth, its rank and the three steps drawn.

    A step leads up to the larger of two numbers, and by the same rule down to the smaller: what it
    is between does not depend on which of the two is the truth. Only whole numbers are compared.

    Args:
        truth: In units of the last digit that is shown; positive.
        apart: What separates two of them.
        draw: Uniform 64-bit integer of a slot and a number.

    Returns:
        Four numbers, or () where one of them would be below the floor or above the ceiling, or
        none are apart.

    Example:
        >>> ladder(100, Separation(200, 1, 1), lambda slot, k: 0)
        (100, 125, 157, 197)
    """
    share = 1000 - apart.permille
    if share <= 0:
        return ()
    rank = uniform_below(draw("rank", 0), len(RANKS))
    steps = [1000 + uniform_below(draw("distractor", k), _SPREAD) for k in range(len(RANKS) - 1)]
    numbers = [truth]
    for step in steps[rank:]:
        v = numbers[-1]
        numbers.append(max(-(-v * step // share), v + apart.least))
    for step in reversed(steps[:rank]):
        v = numbers[0]
        numbers.insert(0, min(v * share // step, v - apart.least))
    above = apart.ceiling and numbers[-1] > apart.ceiling
    return tuple(numbers) if numbers[0] >= apart.floor and not above else ()


@dataclass(frozen=True, slots=True)
class NumericChoice(Engine):
    """A numeric task with four numbers to choose from.

    Attributes:
        open: The task without options.
    """

    open: SceneLayout | AskedEngine | WalkEngine | Revisit
    answer: ClassVar[AnswerForm] = LETTER
    words: ClassVar[tuple[str, ...]] = LETTERS
    whole_contents: ClassVar[bool] = True
    graded_contents: ClassVar[bool] = True

    @property
    def task(self) -> str:
        """Task name."""
        return f"{self.open.task}.choice"

    @property
    def subject(self) -> Subject:
        """As the open task."""
        return self.open.subject

    @property
    def kind(self) -> Kind:
        """As the open task."""
        return self.open.kind

    @property
    def needs_up(self) -> bool:
        """As the open task."""
        return self.open.needs_up

    @property
    def needs_objects(self) -> bool:
        """As the open task."""
        return self.open.needs_objects

    @property
    def of_walk(self) -> bool:
        """As the open task."""
        return self.open.of_walk

    @property
    def question_type(self) -> str:
        """That of the open task, marked: the public benchmark asks for the number."""
        return f"{self.open.question_type}_choice"

    def strata(self, recipe: Recipe) -> tuple[tuple[str, float], ...]:
        """One for each rank of the truth where the recipe balances what answers say."""
        if recipe.word_strata:
            return equal_shares(RANKS)
        return (("", 1.0),)

    def candidates(self, context: SceneContext) -> CandidateTable:
        """The open task's rows that have a ladder, each size of ladders a content."""
        table = self.open.every(context)
        if context.recipe.word_strata:
            table = of_form(table, context, self.open.task, choice=True)
        rows = table.rows()
        opened = self.open.facts(context, rows)
        found = [self._ladder(context.place, *both) for both in zip(rows, opened, strict=True)]
        kept = np.array([bool(numbers) for numbers in found], dtype=bool)
        rejected = dict(table.rejected) | {"distractor_short": int((~kept).sum())}
        if not kept.any():
            return CandidateTable.empty(rejected)
        ladders = [
            (numbers, numbers.index(_whole(facts.answer)))
            for numbers, facts in zip(found, opened, strict=True) if numbers
        ]  # fmt: skip
        frames, items = table.frames[kept], table.items[kept]
        balanced = context.recipe.word_strata
        return CandidateTable.build(
            frames, items,
            context.place.draw_rows(self.task, [*frames.T, *items.T], "select"),
            stratum=[rank for _, rank in ladders] if balanced else 0,
            content=[_size(numbers) for numbers, _ in ladders] if balanced else 0,
            rejected=rejected,
        )  # fmt: skip

    def facts(self, context: SceneContext, rows: Sequence[Row]) -> list[Facts]:
        """The open task's facts, as choices."""
        opened = self.open.facts(context, rows)
        return [self._chosen(context.place, *both) for both in zip(rows, opened, strict=True)]

    def recompute(self, reference: ReferenceScene, row: Row) -> tuple[Facts, str]:
        """The open task's facts from the source, as a choice.

        Raises:
            ValueError: The row has no answer, or no three wrong numbers.
        """
        facts, broken = self.open.recompute(reference, row)
        return self._chosen(reference.place, row, facts), broken

    def told(self, scene: SceneContext | ReferenceScene, row: Row) -> FrameAnswer:
        """The number itself, as the open task tells it."""
        return self.open.told(scene, row)

    def named(self, reference: ReferenceScene, row: Row) -> Sequence[Named]:
        """Those of the open task."""
        return self.open.named(reference, row)

    def _ladder(self, place: Place, row: Row, facts: Facts) -> tuple[int, ...]:
        """The four numbers, () where the truth is too small for its rank."""
        key, guards = (*sorted(row.frames), *row.items), place.recipe.guards
        unit = facts.answer.unit
        least = round(guards.min_seen_m * _PER_METRE.get(unit, 0)) or 1
        if unit == "degree":
            least = LEAST_DEG
        floor = LEAST_COUNT if unit == "count" else least
        ceiling = 180 if unit == "degree" else 0
        apart = Separation(round(1000 * guards.min_seen_share), least, floor, ceiling)
        return ladder(
            _whole(facts.answer), apart, lambda slot, k: place.draw(self.task, (*key, k), slot)
        )

    def _chosen(self, place: Place, row: Row, facts: Facts) -> Facts:
        """The facts as a choice; ValueError where they have no ladder."""
        numbers, truth = self._ladder(place, row, facts), _whole(facts.answer)
        if not numbers:
            raise ValueError(f"{self.task}: {row} has no four numbers (distractor_short)")
        key = (*sorted(row.frames), *row.items)
        order = sorted(
            range(len(numbers)), key=lambda k: (place.draw(self.task, (*key, k), "order"), k)
        )
        options = tuple(_text(facts.answer, numbers[k]) for k in order)
        letter = LETTERS[order.index(numbers.index(truth))]
        evidence = {**facts.evidence, "number": facts.answer.number[0]}
        slots = {**facts.slots, "options": answers.option_lines(options), "letter": letter}
        return facts._replace(
            answer=answers.letter(letter), evidence=evidence, slots=slots, options=options
        )

    def chain(self, told: Telling) -> Chain | None:
        """That of the open task, then the option that is its number."""
        opened = self.open.chain(told)
        return None if opened is None else of_plans.numeric_choice(told, opened)


_PER_METRE = {"m": 10, "cm": 100}  # units of the last digit that an answer shows


def _digits(answer: Answer) -> int:
    """Units of the last digit that is shown in 1."""
    return 1 if answer.type == "integer" else 10


def _whole(answer: Answer) -> int:
    """The number in units of the last digit that is shown."""
    return round(_digits(answer) * answer.number[0])


def _size(numbers: tuple[int, ...]) -> int:
    """Which size a ladder has, in steps of a fifth of its middle; exact."""
    return ((numbers[0] * numbers[-1]) ** 2).bit_length()


def _text(answer: Answer, value: int) -> str:
    """A number as the open answer writes it, without its unit, which the question names."""
    return answer._replace(number=(value / _digits(answer),)).span


NUMERIC_CHOICE = tuple(
    NumericChoice(SceneLayout(quantity))
    for quantity in ("object_count", "absolute_distance", "object_size", "room_size")
)
