# SPDX-License-Identifier: Apache-2.0
"""What one constant answer scores, by hand and by the rules of scoring; numbers that wait."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spatial_engine.dataset.constants import (
    best_box,
    best_constant,
    best_relative,
    best_truth,
    best_turn,
)
from spatial_engine.dataset.spill import Spill
from spatial_engine.scoring.places import iou_score, turn_error
from spatial_engine.scoring.vsibench import mean_relative_accuracy


def test_the_best_number_is_within_a_fifth_of_most_truths() -> None:
    # 0.9 allows 0.72 to 1.08 and 1.2 allows 0.96 to 1.44: 1.0 serves both.
    assert best_constant(np.array([0.9, 1.2, 5.0, 50.0])) == 0.5
    assert best_constant(np.array([0.0, 0.0, 1.0])) == pytest.approx(2 / 3)


def test_zero_vectors_are_only_met_by_zero() -> None:
    truths = np.array([[0.0, 0, 0], [0, 0, 0], [100, 0, 0], [0, 110, 0]])
    assert best_truth(truths, 0.2 * np.linalg.norm(truths, axis=1)) == 0.5


def test_a_point_may_be_five_percent_of_the_width_away() -> None:
    # In an image twice as wide as high, 90 units of height are 45 of width.
    truths = np.array([[500.0, 500], [500, 590], [500, 700]])
    flat = np.tile([1.0, 0.5], (3, 1))
    assert best_truth(truths, np.full(3, 50.0), flat) == pytest.approx(2 / 3)
    assert best_truth(truths, np.full(3, 50.0)) == pytest.approx(1 / 3)


def test_a_constant_direction_reaches_around_the_circle() -> None:
    turns = np.array([350.0, 5, 20, 90, 180])
    assert best_turn(turns) == 3 / 5  # 5 is within 15 of 350 and of 20
    tried = np.arange(0.0, 360.0, 0.5)
    rng = np.random.default_rng(3)
    drawn = rng.integers(0, 360, 40).astype(float)
    by_rule = max(np.mean([turn_error(a, t) <= 15 for t in drawn]) for a in tried)
    assert best_turn(drawn) == by_rule


def test_constants_of_other_rules_are_scored_as_scoring_does() -> None:
    rng = np.random.default_rng(4)
    numbers = np.round(rng.uniform(0, 4, 60), 1)
    numbers[0] = 0.0
    by_rule = max(np.mean([mean_relative_accuracy(g, t) for t in numbers]) for g in numbers)
    assert best_relative(numbers) == pytest.approx(by_rule)
    corners = rng.uniform(0, 400, (50, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(200, 500, (50, 2))], axis=1)
    by_rule = max(np.mean([iou_score(g, t) for t in boxes]) for g in boxes)
    assert best_box(boxes) == pytest.approx(by_rule)


def test_numbers_wait_in_the_order_of_their_parts(tmp_path: Path) -> None:
    spill = Spill(tmp_path / "numbers")
    spill.add("a", 2, np.array([5.0, 6.0]))
    spill.add("b", 0, np.array([9], np.uint64))
    spill.add("a", 0, np.array([1.0]))
    spill.add("a", 1, np.zeros(0))
    assert spill.read("a").tolist() == [1, 5, 6]
    assert spill.read("b").dtype == np.uint64
    assert len(spill.read("c")) == 0
    spill.close()
