# SPDX-License-Identifier: Apache-2.0
"""Four numbers of a choice by hand and by rule; letters, ranks and chance."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spatial_engine.dataset.compose import make
from spatial_engine.engines.context import SceneContext
from spatial_engine.engines.numeric_choice import (
    LETTERS,
    NUMERIC_CHOICE,
    RANKS,
    NumericChoice,
    Separation,
    ladder,
)
from spatial_engine.scoring.baselines import chance
from spatialcore.draws import draw
from tests.engines.test_scene_layout import scene

CENTIMETRES = Separation(200, 10, 10)


def drawn(seed: int) -> Callable[[str, int], int]:
    """Draws of a scene, by slot and number."""
    return lambda slot, k: draw(seed, "choice", "rooms", "room", [k], slot)


def fixed(rank: int, step: int) -> Callable[[str, int], int]:
    """A draw that chooses `rank`, and the shortest (0) or longest (1) steps."""
    top = (1 << 64) - 1
    return lambda slot, k: (rank << 62) + 1 if slot == "rank" else top * step


def test_a_ladder_by_hand() -> None:
    """A fifth of the larger number is a quarter of the smaller; steps are 1.25 to 1.5625."""
    plain = Separation(200, 1, 1)
    assert ladder(100, plain, fixed(0, 0)) == (100, 125, 157, 197)
    assert ladder(100, plain, fixed(3, 0)) == (51, 64, 80, 100)
    assert ladder(100, plain, fixed(1, 1)) == (64, 100, 157, 246)
    # Ten centimetres are more than a fifth of fifteen; below ten there is no length to offer.
    assert ladder(20, CENTIMETRES, fixed(1, 0)) == (10, 20, 30, 40)
    assert ladder(20, CENTIMETRES, fixed(2, 0)) == ()
    # Things that are counted: two is the smallest number that is ever right.
    assert ladder(4, Separation(200, 1, 2), fixed(2, 0)) == (2, 3, 4, 5)
    assert ladder(4, Separation(200, 1, 2), fixed(3, 0)) == ()
    degrees = Separation(200, 10, 10, 180)
    assert ladder(93, degrees, fixed(0, 0)) == ()  # 180 is the widest turn there is
    assert ladder(92, degrees, fixed(0, 0)) == (92, 115, 144, 180)
    assert ladder(20, degrees, fixed(2, 0)) == ()


@given(st.integers(10, 100_000), st.integers(0, 1000))
def test_the_members_of_a_ladder_can_be_told_apart(truth: int, seed: int) -> None:
    found = ladder(truth, CENTIMETRES, drawn(seed))
    if found:
        assert len(found) == 4
        assert truth in found
        assert all(5 * (b - a) >= b and b - a >= 10 for a, b in pairwise(found))


def test_equal_ladders_come_of_every_rank() -> None:
    """Truths as likely at every size: neither rank nor shape tells, not the median, not a gap."""
    found = []
    for seed in range(40_000):
        truth = round(math.exp(5 + 6 * draw(seed, "choice", "rooms", "room", [], "t") / 2.0**64))
        rungs = ladder(truth, Separation(200, 1, 1), drawn(seed))
        if rungs and 600 <= rungs[0] <= 6000:  # away from the ends, where some ranks cannot be
            found.append((rungs, rungs.index(truth)))
    ranks = np.array([rank for _, rank in found])
    error = 3 * math.sqrt(0.25 * 0.75 / len(ranks))
    assert len(found) > 12_000
    assert np.abs(np.bincount(ranks, minlength=4) / len(ranks) - 0.25).max() < 1.5 * error
    gaps = np.diff(np.log([rungs for rungs, _ in found]), axis=1)
    for guess in (gaps.argmax(axis=1), gaps.argmin(axis=1), gaps.argmax(axis=1) + 1):
        assert abs(float((guess == ranks).mean()) - 0.25) < error


@pytest.fixture(scope="module")
def context() -> SceneContext:
    layout = scene()
    made = SceneContext(None, layout.place)  # type: ignore[arg-type]
    made._cache["scene_layout"] = layout
    return made


@pytest.mark.parametrize("engine", NUMERIC_CHOICE, ids=lambda engine: engine.task)
def test_the_letter_names_the_open_answer(context: SceneContext, engine: NumericChoice) -> None:
    table = engine.candidates(context)
    assert [name for name, _ in engine.strata(context.recipe)] == list(RANKS)
    assert len({int(h) for h in table.hash}) == len(table)
    for row, rank in zip(table.rows()[:40], table.stratum.tolist(), strict=False):
        record = make(engine, context, row)
        opened = make(engine.open, context, row)
        right = record.options[LETTERS.index(record.answer_text or "")]
        assert sorted(record.options, key=float).index(right) == rank
        assert float(right) == opened.answer_number[0] == record.facts["number"]
        assert right in opened.answer
        assert all(option in record.question for option in record.options)
        assert len(set(map(float, record.options))) == 4
        assert (record.form, chance(record)) == ("choice", 0.25)


def test_a_count_of_two_is_refused_by_reason(context: SceneContext) -> None:
    """Two chairs can be the smallest of four numbers, and no other: here another was drawn."""
    table = next(e for e in NUMERIC_CHOICE if "count" in e.task).candidates(context)
    assert len(table) + table.rejected.get("distractor_short", 0) == 1
    assert set(table.stratum.tolist()) <= {0}
