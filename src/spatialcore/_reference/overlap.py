# SPDX-License-Identifier: Apache-2.0
"""Pairwise overlap as set arithmetic on the bits; see `spatialcore.overlap`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spatialcore.bitmask import BitMask


def pairwise_overlap(visible: BitMask, threads: int) -> NDArray[np.uint32]:
    """I[i, j] = |V_i and V_j|, (F, F) uint32."""
    frame_count = visible.frame_count
    intersection = np.zeros((frame_count, frame_count), np.uint32)
    for i in range(frame_count):
        both = visible.words & visible.words[i]
        intersection[i] = np.bitwise_count(both).sum(axis=1, dtype=np.uint32)
    return intersection
