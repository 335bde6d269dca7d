# SPDX-License-Identifier: Apache-2.0
"""What the best constant answer scores, by the rule that a task is scored by.

The rules are those of `scoring`; here they are over arrays, for one answer against many truths.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from spatial_engine.engines.base import Metric

Float64 = NDArray[np.float64]
TOLERANCE = 0.20  # of the truth: what scoring accepts as a right number
POINT_RADIUS = 50.0  # of 1000 along the width: what scoring accepts as the right point
TURN = 15.0  # degrees: what scoring accepts as the right direction
IOU_STEPS = (0.5, 0.6, 0.7, 0.8, 0.9)
_THETAS = np.linspace(0.5, 0.95, 10)  # of relative accuracy
_GUESSES = 256  # truths that are tried as a constant answer


def constant_score(metric: Metric, values: Float64, aspects: Float64, unit: str) -> float | None:
    """Mean score of the best constant answer; None where no constant of numbers is one.

    Args:
        metric: How the task is scored. A point on an object is held against the true point, as
            near as one has to be elsewhere.
        values: (N, D) the true answers, N > 0.
        aspects: (N,) height over width of the image that each is about.
        unit: Unit of the answers.
    """
    width = values.shape[1]
    if metric == "within 15 degrees":
        return best_turn(values[:, 0])
    if metric == "MRA":
        return best_relative(values[:, 0])
    if width == 4:
        return best_box(values)
    if unit == "norm1000":
        scale = np.stack([np.ones_like(aspects), aspects], axis=1)
        return best_truth(values, np.full(len(values), POINT_RADIUS), scale)
    if width == 1:
        return best_constant(np.abs(values[:, 0]))
    return best_truth(values, TOLERANCE * np.linalg.norm(values, axis=1)) if width else None


def best_constant(truths: Float64) -> float:
    """Share of truths that lie within 20 % of the best constant guess."""
    return best_guess(truths)[1]


def best_guess(truths: Float64) -> tuple[float, float]:
    """The constant that is within 20 % of the most truths, and the share of them.

    A guess g is right for truth t iff 0.8 t <= g <= 1.2 t, so the best g is where most of these
    intervals overlap; the count changes only at their ends.
    """
    starts, ends = np.sort((1 - TOLERANCE) * truths), np.sort((1 + TOLERANCE) * truths)
    open_at = np.arange(1, len(starts) + 1) - np.searchsorted(ends, starts, side="left")
    best = int(open_at.argmax())
    return float(starts[best]), float(open_at[best] / len(truths))


def best_turn(truths: Float64) -> float:
    """Share of directions in degrees that lie within 15 of the best constant, around the circle."""
    turns = np.sort(truths % 360.0)
    around = np.concatenate([turns, turns + 360.0])
    ends = np.searchsorted(around, turns + 2 * TURN, side="right")
    return float((ends - np.arange(len(turns))).max() / len(turns))


def best_relative(truths: Float64) -> float:
    """Mean relative accuracy of the best constant among the truths, as VSI-Bench defines it."""
    numbers, counts = np.unique(truths, return_counts=True)

    def mean(guess: Float64) -> float:
        away = np.abs(guess - numbers)
        error = np.divide(away, np.abs(numbers), out=away.copy(), where=numbers != 0)
        met = (error[:, None] <= 1 - _THETAS).mean(axis=1)
        met[numbers == 0] = guess == 0
        return float(met @ counts / len(truths))

    return _best(numbers, mean)


def best_box(truths: Float64) -> float:
    """Mean share of the IoU steps that the best of the boxes (x0, y0, x1, y1) reaches."""
    areas = (truths[:, 2] - truths[:, 0]) * (truths[:, 3] - truths[:, 1])

    def mean(guess: Float64) -> float:
        sides = np.minimum(guess[2:], truths[:, 2:]) - np.maximum(guess[:2], truths[:, :2])
        shared = np.maximum(sides, 0.0).prod(axis=1)
        own = (guess[2] - guess[0]) * (guess[3] - guess[1])
        iou = shared / np.maximum(areas + own - shared, 1e-12)
        return float(np.mean([iou >= step for step in IOU_STEPS]))

    return _best(truths, mean)


def best_truth(truths: Float64, radii: Float64, scale: Float64 | None = None) -> float:
    """Share of truths that one of them, given as a constant answer, is right for.

    Args:
        truths: (N, D) answers; up to 256 of them, evenly spread in their order, are tried.
        radii: (N,) how far from a truth an answer may be.
        scale: (N, D) factors of the axes, None for 1: a pixel is not as wide as it is high in
            units of 1/1000 of the image.
    """

    def share(guess: Float64) -> float:
        away = (truths - guess) * (1.0 if scale is None else scale)
        return float((np.linalg.norm(away, axis=1) <= radii).mean())

    return _best(truths, share)


def _best(guesses: Float64, mean: Callable[[Float64], float]) -> float:
    """The best mean score of up to 256 guesses, evenly spread in their order."""
    tried = np.unique(np.linspace(0, len(guesses) - 1, _GUESSES).astype(np.int64))
    return max(mean(guess) for guess in guesses[tried])
