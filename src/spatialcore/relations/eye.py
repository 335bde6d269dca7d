# SPDX-License-Identifier: Apache-2.0
"""What a person who looks at images can tell apart: the two numbers that comparisons share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MIN_SEEN_SHARE = 0.20
"""Least difference of two compared lengths, of the larger ..."""
MIN_SEEN_M = 0.10
"""... and in metres."""


def tells_apart(a: float, b: float, *, share: float, metres: float) -> bool:
    """Whether a person sees that two lengths differ.

    Args:
        a: Metres, not negative.
        b: Metres, not negative.
        share: Least difference as a share of the larger length ...
        metres: ... and at least, metres.

    Example:
        >>> tells_apart(0.5, 0.6, share=0.2, metres=0.1)
        False
        >>> tells_apart(0.5, 0.7, share=0.2, metres=0.1)
        True
    """
    low, high = (a, b) if a <= b else (b, a)
    return high - low >= max(metres, share * high)


def tell_apart(
    a: NDArray[np.float64], b: NDArray[np.float64], *, share: float, metres: float
) -> NDArray[np.bool_]:
    """`tells_apart` of each two of (n,) lengths.

    Example:
        >>> tell_apart(np.array([0.5]), np.array([0.6, 0.7]), share=0.2, metres=0.1).tolist()
        [False, True]
    """
    low, high = np.minimum(a, b), np.maximum(a, b)
    return np.asarray(high - low >= np.maximum(metres, share * high))
