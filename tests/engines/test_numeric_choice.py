# SPDX-License-Identifier: Apache-2.0
"""Wrong numbers of a choice by hand and by rule; letters, ranks and chance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spatial_engine.dataset.compose import make
from spatial_engine.engines.context import SceneContext
from spatial_engine.engines.numeric_choice import (
    LETTERS,
    NUMERIC_CHOICE,
    NumericChoice,
    wrong_numbers,
)
from spatial_engine.scoring.baselines import chance
from spatialcore.draws import draw
from tests.engines.test_scene_layout import scene

TOP = (1 << 64) - 1


def drawn(seed: int) -> Callable[[str, int], int]:
    """Draws of a scene, by slot and number."""
    return lambda slot, k: draw(seed, "choice", "rooms", "room", [k], slot)


def fixed(rank: int, offsets: dict[int, int]) -> Callable[[str, int], int]:
    """A draw that chooses `rank` of three ranks, and the lowest or highest (1) offsets."""
    return lambda slot, k: (rank << 64) // 3 + 1 if slot == "rank" else TOP * offsets.get(k, 0)


def test_wrong_numbers_by_hand() -> None:
    """Truth 100: below lies 40..80, above 120..180, the least distance is 20."""
    assert wrong_numbers(100, fixed(0, {})) == (120, 140, 160)
    assert wrong_numbers(100, fixed(0, {0: 1, 1: 1, 2: 1})) == (140, 160, 180)
    assert wrong_numbers(100, fixed(1, {0: 1})) == (80, 120, 140)
    assert wrong_numbers(100, fixed(2, {1: 1, 2: 1})) == (40, 80, 180)
    # Truth 3: only 2 below (1.2 to 2.4), 4 and 5 above (3.6 to 5.4).
    assert {wrong_numbers(3, drawn(seed)) for seed in range(50)} == {(2, 4, 5)}


@pytest.mark.parametrize("truth", [0, 1, 2])
def test_too_small_numbers_have_no_three_wrong_ones(truth: int) -> None:
    """Truth 2 leaves 1 and 3 only: 0.8 to 1.6, and 2.4 to 3.6."""
    assert wrong_numbers(truth, drawn(0)) == ()


@given(st.integers(3, 100_000), st.integers(0, 1000))
def test_wrong_numbers_obey_the_rule(truth: int, seed: int) -> None:
    """In [0.4, 1.8] of the truth, a fifth of it from the truth and from one another: exactly."""
    found = wrong_numbers(truth, drawn(seed))
    assert len(found) == 3
    assert list(found) == sorted(found)
    assert all(5 * v >= 2 * truth and 5 * v <= 9 * truth for v in found)
    assert all(5 * abs(a - b) >= truth for a, b in combinations((*found, truth), 2))


def test_no_rank_is_right_more_often_than_a_third() -> None:
    """The truth is the smallest, second or third of the four in a third of the questions each."""
    ranks = Counter(sum(v < 200 for v in wrong_numbers(200, drawn(seed))) for seed in range(3000))
    assert set(ranks) == {0, 1, 2}
    assert all(0.3 < count / 3000 < 0.37 for count in ranks.values())


def test_every_set_of_the_rule_can_come() -> None:
    """Truth 10 with two below (4..8, distance 2): all six pairs, and every number above."""
    found = {wrong_numbers(10, drawn(seed)) for seed in range(2000)}
    pairs = {s[:2] for s in found if s[1] < 10}
    assert pairs == {(4, 6), (4, 7), (4, 8), (5, 7), (5, 8), (6, 8)}
    assert {s[2] for s in found if s[1] < 10} == set(range(12, 19))


@pytest.fixture(scope="module")
def context() -> SceneContext:
    layout = scene()
    made = SceneContext(None, layout.place)  # type: ignore[arg-type]
    made._cache["scene_layout"] = layout
    return made


@pytest.mark.parametrize("engine", NUMERIC_CHOICE, ids=lambda engine: engine.task)
def test_the_letter_names_the_open_answer(context: SceneContext, engine: NumericChoice) -> None:
    table = engine.candidates(context)
    strata = engine.strata(context.recipe)
    assert [name for name, _ in strata] == list(LETTERS)
    assert len({int(h) for h in table.hash}) == len(table)
    for row, stratum in zip(table.rows()[:40], table.stratum.tolist(), strict=False):
        record = make(engine, context, row)
        opened = make(engine.open, context, row)
        assert record.answer_text == LETTERS[stratum]
        right = record.options[LETTERS.index(record.answer_text)]
        assert float(right) == opened.answer_number[0] == record.facts["number"]
        assert right in opened.answer
        assert all(option in record.question for option in record.options)
        assert len(set(map(float, record.options))) == 4
        assert (record.form, chance(record)) == ("choice", 0.25)


def test_a_count_of_two_is_refused_by_reason(context: SceneContext) -> None:
    """Two chairs: 1 and 3 are the only numbers far enough away."""
    table = next(e for e in NUMERIC_CHOICE if "count" in e.task).candidates(context)
    assert len(table) == 0
    assert table.rejected["distractor_short"] == 1
