# SPDX-License-Identifier: Apache-2.0
"""What the places of two points tell of their depths before anything is seen.

What lies lower in an image is mostly closer, and so is what lies nearer to its left or right rim;
and whoever walks along the walls of a room has them on one side.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spatial_engine.engines.frame_points import Int64, Views

CUE_COUNT = 8  # lower or upper, outer or inner, left or right
SIDES = ("lower", "upper")
"""Where the closer of two points lies: each as often as its opposite in all three respects."""
_HEIGHTS = 4  # bands of an image


def cue_of(first: Views, other: Views) -> Int64:
    """(n, k) which cue holds of first points (n, 1) beside other points (n, k)."""
    closer = other.z < first.z
    upper = closer == (other.uv[..., 1] < first.uv[..., 1])
    inner = closer == (_off_centre(other) < _off_centre(first))
    right = closer == (other.uv[..., 0] > first.uv[..., 0])
    cue: Int64 = 4 * upper.astype(np.int64) + 2 * inner + right
    return cue


def balanced(cue: Int64, first: Views, other: Views) -> tuple[Int64, Int64]:
    """(n,) content and stratum of comparisons (n, 1) of which a cue holds.

    The content says in which quarters of the image's height the points lie, and which cue it is, or
    which is the opposite of it; the stratum, which of the two.
    """
    rows = [(_HEIGHTS * v.uv[:, 0, 1] // v.size[:, 0, 1]).astype(np.int64) for v in (first, other)]
    heights = _HEIGHTS * np.minimum(*rows) + np.maximum(*rows)
    upper: Int64 = cue // (CUE_COUNT // 2)
    either = np.where(upper == 1, CUE_COUNT - 1 - cue, cue)
    return 2 + CUE_COUNT // 2 * heights + either, upper  # past the contents "none" and "any"


def _off_centre(views: Views) -> NDArray[np.float64]:
    """Distance from the upright line through the image's middle, of its width."""
    away: NDArray[np.float64] = np.abs(views.uv[..., 0] / views.width - 0.5)
    return away
