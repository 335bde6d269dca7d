# SPDX-License-Identifier: Apache-2.0
"""Coverage by direct reading of the definitions; see `spatialcore.coverage`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from spatialcore.bitmask import BitMask

Float64 = NDArray[np.float64]
Int32 = NDArray[np.int32]


def axis_extents(
    points: Float64,
    visible: BitMask,
    object_rows: Sequence[NDArray[np.int64]],
    axes: Float64,
    threads: int,
) -> tuple[Float64, Float64]:
    """Least and greatest coordinate of each object's visible points, (O, F, 3), NaN if unseen."""
    shape = (len(object_rows), len(visible), 3)
    lo, hi = np.full(shape, np.nan), np.full(shape, np.nan)
    for o, rows in enumerate(object_rows):
        x, y, z = points[rows].T
        along = np.stack([(a[0] * x + a[1] * y) + a[2] * z for a in axes[o]], axis=1)
        for f, seen in enumerate(visible.at(rows)):
            if seen.any():
                lo[o, f], hi[o, f] = along[seen].min(axis=0), along[seen].max(axis=0)
    return lo, hi


def minimal_view_sets(
    lo: Float64, hi: Float64, target: float, tolerance: float
) -> tuple[Int32, Int32]:
    """Minimal covering sets of one or two frames by testing all of them."""
    seen = [int(i) for i in np.flatnonzero(lo <= hi)] if target > 0 else []

    def covers(frames: Sequence[int]) -> bool:
        extent = max(hi[i] for i in frames) - min(lo[i] for i in frames)
        return bool(abs(extent - target) <= tolerance * target)

    singles = [i for i in seen if covers([i])]
    rest = [i for i in seen if i not in singles]
    pairs = [pair for pair in combinations(rest, 2) if covers(pair)]
    return np.array(singles, np.int32), np.array(pairs, np.int32).reshape(-1, 2)


def max_coverage(sets: BitMask, k: int) -> tuple[Int32, NDArray[np.int64]]:
    """Greedy: every round takes the row with most uncovered points, the lowest on ties."""
    left = sets.to_bool()
    order, gain = [], []
    for _ in range(min(k, len(left))):
        counts = left.sum(axis=1)
        best = int(counts.argmax())
        if counts[best] == 0:
            break
        order.append(best)
        gain.append(int(counts[best]))
        left &= ~left[best]
    return np.array(order, np.int32), np.array(gain, np.int64)


def minimal_covers(bins: NDArray[np.uint64], required: int, most: int) -> tuple[Int32, ...]:
    """Sets of 1..most frames that see every required bin and lose one without any member."""
    masks = [int(b) for b in bins]

    def covers(frames: Sequence[int]) -> bool:
        seen = 0
        for i in frames:
            seen |= masks[i]
        return required & ~seen == 0

    found: list[Int32] = []
    for size in range(1, most + 1):
        sets = [
            frames
            for frames in combinations(range(len(masks)), size)
            if required
            and covers(frames)
            and not any(covers(frames[:n] + frames[n + 1 :]) for n in range(size))
        ]
        found.append(np.array(sets, np.int32).reshape(-1, size))
    return tuple(found)
