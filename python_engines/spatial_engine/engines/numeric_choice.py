# SPDX-License-Identifier: Apache-2.0
"""Numeric layout tasks as a choice: the open task's question with four numbers to pick from.

The wrong numbers are the truth times a factor of [0.4, 1.8], as they are written, each at least
20 % of the truth from the truth and from one another: the tolerance of the open form, so that none
of them would be right there. How many of them are below the truth is drawn first, 0, 1 or 2 with
equal chance, since free draws would make the second smallest number right in nearly half of the
questions. Three below the truth could only stand at 0.4, 0.6 and 0.8 of it, which would tell.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from spatial_engine.engines.base import (
    LETTER,
    AnswerForm,
    Engine,
    Facts,
    Named,
    Subject,
    equal_shares,
)
from spatial_engine.engines.candidates import CandidateTable, Row
from spatial_engine.engines.context import SceneContext
from spatial_engine.engines.layout_scene import OBJECTS
from spatial_engine.engines.scene_layout import SceneLayout
from spatial_engine.records import answers
from spatial_engine.records.answers import Answer
from spatial_engine.records.place import Place
from spatialcore.draws import uniform_below

if TYPE_CHECKING:
    from spatial_engine.recipe import Recipe
    from spatial_engine.reference.scene import ReferenceScene

LETTERS = ("A", "B", "C", "D")
WRONG = 3
MOST_BELOW = 2


def wrong_numbers(truth: int, draw: Callable[[str, int], int]) -> tuple[int, ...]:
    """Three numbers that are at least a fifth of the truth from it and from one another, ascending.

    Of all such sets in [0.4, 1.8] times the truth with the drawn count below the truth, each is as
    likely as its offsets: sorted uniform draws, spread by the least distance. Whole numbers decide,
    so nothing is rounded.

    Args:
        truth: In units of the last digit that is shown; positive.
        draw: Uniform 64-bit integer of a slot and a number.

    Returns:
        Three numbers, or () where the truth is too small to have them.

    Example:
        >>> wrong_numbers(100, lambda slot, k: 0)
        (120, 140, 160)
    """
    gap = -(-truth // 5)
    below, above = (-(-2 * truth // 5), 4 * truth // 5), (-(-6 * truth // 5), 9 * truth // 5)

    def slack(side: tuple[int, int], count: int) -> int:
        return side[1] - side[0] - (count - 1) * gap if count else 0

    counts = [
        n for n in range(MOST_BELOW + 1)
        if slack(below, n) >= 0 and slack(above, WRONG - n) >= 0
    ]  # fmt: skip
    if truth <= 0 or not counts:
        return ()
    lower = counts[uniform_below(draw("rank", 0), len(counts))]
    found: list[int] = []
    for side, count in ((below, lower), (above, WRONG - lower)):
        room = slack(side, count) + 1
        offsets = sorted(
            uniform_below(draw("distractor", len(found) + k), room) for k in range(count)
        )
        found += [side[0] + offset + k * gap for k, offset in enumerate(offsets)]
    return tuple(found)


@dataclass(frozen=True, slots=True)
class NumericChoice(Engine):
    """A numeric task of scene_layout with four numbers to choose from.

    Attributes:
        open: The task without options.
    """

    open: SceneLayout
    answer: ClassVar[AnswerForm] = LETTER
    subject: ClassVar[Subject] = OBJECTS
    needs_up: ClassVar[bool] = True
    words: ClassVar[tuple[str, ...]] = LETTERS

    @property
    def task(self) -> str:
        """Task name."""
        return f"{self.open.task}.choice"

    @property
    def question_type(self) -> str:
        """That of the open task, marked: the public benchmark asks for the number."""
        return f"{self.open.question_type}_choice"

    def strata(self, recipe: Recipe) -> tuple[tuple[str, float], ...]:
        """One for each letter where the recipe balances words."""
        if recipe.word_strata:
            return equal_shares(LETTERS)
        return (("", 1.0),)

    def candidates(self, context: SceneContext) -> CandidateTable:
        """The open task's rows that have three wrong numbers."""
        table = self.open.candidates(context)
        rows = table.rows()
        opened = self.open.facts(context, rows)
        found = [self._choice(context.place, *both) for both in zip(rows, opened, strict=True)]
        kept = np.array([facts is not None for facts in found], dtype=bool)
        rejected = dict(table.rejected) | {"distractor_short": int((~kept).sum())}
        if not kept.any():
            return CandidateTable.empty(rejected)
        stratum = [LETTERS.index(str(facts.answer.text)) for facts in found if facts is not None]
        frames, items = table.frames[kept], table.items[kept]
        return CandidateTable.build(
            frames, items,
            context.place.draw_rows(self.task, [*frames.T, *items.T], "select"),
            stratum=stratum if context.recipe.word_strata else 0,
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

    def named(self, reference: ReferenceScene, row: Row) -> Sequence[Named]:
        """Those of the open task."""
        return self.open.named(reference, row)

    def _chosen(self, place: Place, row: Row, facts: Facts) -> Facts:
        choice = self._choice(place, row, facts)
        if choice is None:
            raise ValueError(f"{self.task}: {row} has no three wrong numbers (distractor_short)")
        return choice

    def _choice(self, place: Place, row: Row, facts: Facts) -> Facts | None:
        """The facts with options and a letter; None where the number is too small to have them."""
        key = (*sorted(row.frames), *row.items)
        digits = 1 if facts.answer.type == "integer" else 10
        truth = round(digits * facts.answer.number[0])
        wrong = wrong_numbers(truth, lambda slot, k: place.draw(self.task, (*key, k), slot))
        if not wrong:
            return None
        numbers = (truth, *wrong)
        order = sorted(
            range(len(numbers)), key=lambda k: (place.draw(self.task, (*key, k), "order"), k)
        )
        options = tuple(_text(facts.answer, numbers[k] / digits) for k in order)
        letter = LETTERS[order.index(0)]
        evidence = {**facts.evidence, "number": facts.answer.number[0]}
        slots = {**facts.slots, "options": answers.option_lines(options), "letter": letter}
        return facts._replace(
            answer=answers.letter(letter), evidence=evidence, slots=slots, options=options
        )


def _text(answer: Answer, value: float) -> str:
    """A number as the open answer writes it, without its unit, which the question names."""
    return answer._replace(number=(value,)).span


NUMERIC_CHOICE = tuple(
    NumericChoice(SceneLayout(quantity))
    for quantity in ("object_count", "absolute_distance", "object_size", "room_size")
)
