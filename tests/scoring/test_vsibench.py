# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spatial_engine.scoring.extract import extract_choice, extract_number
from spatial_engine.scoring.vsibench import aggregate, mean_relative_accuracy, score_row

PAIRS = [(3, 4), (1.1, 1), (1.5, 1), (9, 10), (4, 5), (19, 20), (17, 20)]
TABLE = {
    "spatial-mllm": [0.5, 0.8, 0.0, 0.9, 0.6, 1.0, 0.7],
    "official": [0.6, 0.9, 0.1, 0.9, 0.6, 1.0, 0.8],
    "exact": [0.6, 0.9, 0.1, 0.9, 0.7, 1.0, 0.8],
}


@pytest.mark.parametrize("dialect", TABLE)
def test_the_table_of_dialects(dialect):
    assert [mean_relative_accuracy(p, g, dialect) for p, g in PAIRS] == TABLE[dialect]


def test_how_often_the_dialects_differ():
    """Counts measured on the published arithmetic over g = 1..60, p = 1..2 g."""
    pairs = [(p, g) for g in range(1, 61) for p in range(1, 2 * g + 1)]
    assert len(pairs) == 3660
    made = {d: [mean_relative_accuracy(p, g, d) for p, g in pairs] for d in TABLE}

    def differ(first, second):
        return sum(a != b for a, b in zip(made[first], made[second], strict=True))

    assert differ("official", "spatial-mllm") == 132
    assert differ("official", "exact") == 30


@given(g=st.integers(1, 1000), p=st.integers(0, 3000))
def test_bounds_and_perfection(g, p):
    for dialect in TABLE:
        assert 0 <= mean_relative_accuracy(p, g, dialect) <= 1
        assert mean_relative_accuracy(g, g, dialect) == 1


def test_zero_and_nonsense():
    assert mean_relative_accuracy(0, 0) == 1
    assert mean_relative_accuracy(1, 0) == 0
    assert mean_relative_accuracy(math.inf, 1) == 0
    with pytest.raises(ValueError, match="dialect"):
        mean_relative_accuracy(1, 1, "own")


@pytest.mark.parametrize(
    ("text", "extractor", "choice"),
    [
        ("<answer>B</answer> then <answer>\nA.\n</answer>", "spatial-mllm", "a"),
        ("A. chair", "spatial-mllm", "a. chair"),
        ("A. chair", "official", "a"),
        ("B", "official", "b"),
        ("(C) the lamp", "lenient", "c"),
        ("A. chair", "lmms-eval-2026", "a"),
    ],
)
def test_choices(text, extractor, choice):
    assert extract_choice(text, extractor) == choice


@pytest.mark.parametrize(
    ("text", "extractor", "number"),
    [
        ("2 meters", "spatial-mllm", None),
        ("<answer>1,250.5</answer>", "spatial-mllm", 1250.5),
        ("2 meters", "official", 2.0),
        ("about 2", "official", None),
        ("There are three", "lmms-eval-2026", 3.0),
        ("There are 12 or so", "lmms-eval-2026", 12.0),
        ("seventeen", "lenient", 17.0),
        ("none", "lenient", None),
        ("inf", "official", None),
    ],
)
def test_numbers(text, extractor, number):
    assert extract_number(text, extractor) == number


def test_rows_and_aggregation():
    assert score_row("object_counting", "4", "3") == 0.6
    assert score_row("object_counting", "4", "3", dialect="spatial-mllm") == 0.5
    assert score_row("route_planning", "B", "B.") == 1
    with pytest.raises(ValueError, match="unknown question type"):
        score_row("poetry", "A", "A")
    got = aggregate(
        [
            ("object_rel_direction_easy", 1.0),
            ("object_rel_direction_hard", 0.0),
            ("object_rel_direction_hard", 0.0),
            ("object_counting", 0.8),
        ]
    )
    assert got["object_rel_direction"] == 0.5
    assert got["macro"] == pytest.approx((0.5 + 0.8) / 2)
    assert got["micro"] == pytest.approx(1.8 / 4)
