# SPDX-License-Identifier: Apache-2.0
"""What one constant answer scores, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from spatial_engine.dataset.constants import best_constant, best_truth


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
