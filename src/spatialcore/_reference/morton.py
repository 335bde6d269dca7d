# SPDX-License-Identifier: Apache-2.0
"""Morton order of points: the specification of `spatialcore._cpu.morton_order`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

AXIS_BITS = 21


def morton_order(points: NDArray[Any]) -> NDArray[np.uint32]:
    """Rows sorted by Morton key, ties by row.

    Cell indices are floor((p - min) / cell), at most 2^21 - 1, with cell = (largest extent of an
    axis) / 2^21 in float64; the key takes their bits in turn, x lowest. Minimum and extent are
    those of the finite points; the others come last.

    Args:
        points: (P, 3) float32 metres.

    Returns:
        order: (P,) uint32, row of the k-th point.
    """
    xyz = points.astype(np.float64)
    finite = np.isfinite(xyz).all(axis=1)
    key = np.full(len(xyz), np.iinfo(np.uint64).max, np.uint64)
    if finite.any():
        kept = xyz[finite]
        low = kept.min(axis=0)
        cell = (kept.max(axis=0) - low).max() / 2.0**AXIS_BITS
        steps = (kept - low) / cell if cell > 0 else np.zeros_like(kept)
        cells = np.minimum(steps, 2.0**AXIS_BITS - 1).astype(np.uint64)
        key[finite] = 0
        for bit in range(AXIS_BITS):
            for axis in range(3):
                one = (cells[:, axis] >> np.uint64(bit)) & np.uint64(1)
                key[finite] |= one << np.uint64(3 * bit + axis)
    return np.argsort(key, kind="stable").astype(np.uint32)
