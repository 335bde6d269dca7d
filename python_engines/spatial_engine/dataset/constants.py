# SPDX-License-Identifier: Apache-2.0
"""What the best constant answer scores."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

TOLERANCE = 0.20  # of the truth: what scoring accepts as a right number
POINT_RADIUS = 50.0  # of 1000 along the width: what scoring accepts as the right point
_GUESSES = 256  # truths that are tried as a constant answer


def best_constant(truths: NDArray[np.float64]) -> float:
    """Share of truths that lie within 20 % of the best constant guess."""
    return best_guess(truths)[1]


def best_guess(truths: NDArray[np.float64]) -> tuple[float, float]:
    """The constant that is within 20 % of the most truths, and the share of them.

    A guess g is right for truth t iff 0.8 t <= g <= 1.2 t, so the best g is where most of these
    intervals overlap; the count changes only at their ends.
    """
    starts, ends = np.sort((1 - TOLERANCE) * truths), np.sort((1 + TOLERANCE) * truths)
    open_at = np.arange(1, len(starts) + 1) - np.searchsorted(ends, starts, side="left")
    best = int(open_at.argmax())
    return float(starts[best]), float(open_at[best] / len(truths))


def best_truth(
    truths: NDArray[np.float64],
    radii: NDArray[np.float64],
    scale: NDArray[np.float64] | None = None,
) -> float:
    """Share of truths that one of them, given as a constant answer, is right for.

    Args:
        truths: (N, D) answers; up to 256 of them, evenly spread in their order, are tried.
        radii: (N,) how far from a truth an answer may be.
        scale: (N, D) factors of the axes, None for 1: a pixel is not as wide as it is high in
            units of 1/1000 of the image.
    """
    tried = np.unique(np.linspace(0, len(truths) - 1, _GUESSES).astype(np.int64))
    best = 0
    for guess in truths[tried]:
        away = (truths - guess) * (1.0 if scale is None else scale)
        best = max(best, int((np.linalg.norm(away, axis=1) <= radii).sum()))
    return best / len(truths)
