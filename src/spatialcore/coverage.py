# SPDX-License-Identifier: Apache-2.0
"""Coverage: which frames together show the whole of an object, and which sets cover most points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spatialcore import _dispatch
from spatialcore._check import check_count, check_number, check_shape, check_threads
from spatialcore.bitmask import BitMask

Float64 = NDArray[np.float64]
Int32 = NDArray[np.int32]

MOST_COVER_FRAMES = 64  # the exact search over bins is for at most this many frames
MOST_COVER_SIZE = 4


class Extents(NamedTuple):
    """What each frame sees of each object along three axes.

    Attributes:
        lo: (O, F, 3) float64 metres, least coordinate of the visible points; NaN where unseen.
        hi: (O, F, 3) float64 metres, greatest coordinate.
    """

    lo: Float64
    hi: Float64


class ViewSets(NamedTuple):
    """All minimal covering sets of frames.

    Attributes:
        singles: (S,) int32 frames that cover alone, ascending.
        pairs: (Q, 2) int32 pairs i < j that cover together, lexicographic.
    """

    singles: Int32
    pairs: Int32


class Coverage(NamedTuple):
    """A greedy order of rows.

    Attributes:
        order: (n,) int32 rows, n <= k.
        gain: (n,) int64 points that each row adds, at least 1.
    """

    order: Int32
    gain: NDArray[np.int64]


class SeenBins(NamedTuple):
    """Bins of an object along an axis, as bits of a word.

    Attributes:
        seen: (F,) uint64, the bins that each frame sees.
        occupied: The bins that hold a point of the object.
    """

    seen: NDArray[np.uint64]
    occupied: int


def axis_extents(
    points: ArrayLike,
    visible: BitMask,
    object_rows: Sequence[ArrayLike],
    axes: ArrayLike,
    *,
    backend: str | None = None,
    threads: int | None = None,
) -> Extents:
    """The interval of each object that each frame sees, along the object's axes.

    Args:
        points: (P, 3) float32 or float64, metres.
        visible: BitMask, F frames x P points.
        object_rows: For each of O objects its point indices; order and repeats do not matter.
        axes: (O, 3, 3), one axis a row; the coordinate is ((a0 x + a1 y) + a2 z) in float64.
        backend: "reference" or "cpu" (default).
        threads: CPU threads; None uses the process's affinity mask.

    Returns:
        Extents(lo, hi), each (O, F, 3) float64 metres, NaN where the frame sees no point.

    Raises:
        ValueError: Shapes disagree, or a point index is outside [0, P).

    Examples:
        >>> visible = BitMask.from_bool([[True, True, False], [False, False, False]])
        >>> lo, hi = axis_extents(np.eye(3), visible, [[0, 1, 2]], np.eye(3)[None])
        >>> (hi - lo)[0].tolist()
        [[1.0, 1.0, 0.0], [nan, nan, nan]]
    """
    xyz = np.ascontiguousarray(points, dtype=np.float64)
    check_shape("points", xyz, ("P", 3), sizes={"P": visible.point_count})
    turned = np.ascontiguousarray(axes, dtype=np.float64)
    check_shape("axes", turned, ("O", 3, 3), sizes={"O": len(object_rows)})
    rows = [np.unique(np.asarray(r, dtype=np.int64)) for r in object_rows]
    if any(r.size and (r[0] < 0 or r[-1] >= visible.point_count) for r in rows):
        raise ValueError(f"object_rows must lie in [0, {visible.point_count})")
    run = _dispatch.kernel("coverage", "axis_extents", backend, [visible.words])
    return Extents(*run(xyz, visible, rows, turned, check_threads(threads)))


def minimal_view_sets(
    lo: ArrayLike,
    hi: ArrayLike,
    target: float,
    *,
    tolerance: float = 0.1,
    backend: str | None = None,
) -> ViewSets:
    """All minimal sets of frames whose joint extent is the target, within the tolerance.

    The extent of a set is its greatest hi minus its least lo. The frame with the least lo and the
    one with the greatest hi have the extent of the whole set, so no minimal set has three frames:
    the answer is complete, without sampling.

    Args:
        lo: (F,) metres, least coordinate that each frame sees on one axis, NaN where unseen.
        hi: (F,) metres, greatest coordinate.
        target: Side of the box on this axis, metres; no set covers a target of 0 or less.
        tolerance: Share of the target by which the extent may differ, both ways.
        backend: "reference" or "cpu" (default).

    Returns:
        ViewSets(singles (S,), pairs (Q, 2)) int32.

    Source: MultiSPA (arXiv 2505.17015), object coverage; closed form in docs/ops/coverage.md.

    Examples:
        >>> minimal_view_sets([0.0, 0.4, 0.0], [0.5, 1.0, 1.0], 1.0)
        ViewSets(singles=array([2], dtype=int32), pairs=array([[0, 1]], dtype=int32))
    """
    low = np.ascontiguousarray(lo, dtype=np.float64)
    high = np.ascontiguousarray(hi, dtype=np.float64)
    check_shape("hi", high, ("F",), sizes=check_shape("lo", low, ("F",)))
    slack = check_number("tolerance", tolerance, least=0.0, most=1e300)
    side = check_number("target", target)
    run = _dispatch.kernel("coverage", "minimal_view_sets", backend, [low, high])
    return ViewSets(*run(low, high, side, slack))


def max_coverage(sets: BitMask, k: int, *, backend: str | None = None) -> Coverage:
    """Up to k rows that together cover many points, greedily.

    Each round takes the row that adds most points, the lower row on ties, and stops when none adds
    any. Bounds of earlier rounds spare most recounts ("lazy"); the order is that of plain greedy,
    whose coverage is at least 1 - 1/e of the best possible.

    Args:
        sets: BitMask, rows x points.
        k: Most rows to take.
        backend: "reference" or "cpu" (default).

    Returns:
        Coverage(order, gain), each (n,) with n <= k.

    Source: Nemhauser, Wolsey and Fisher 1978; lazy evaluation: Minoux 1978.

    Examples:
        >>> sets = BitMask.from_indices([[0, 1], [1, 2, 3], [0, 3]], 4)
        >>> max_coverage(sets, 3)
        Coverage(order=array([1, 0], dtype=int32), gain=array([3, 1]))
    """
    if not isinstance(sets, BitMask):
        raise TypeError(f"sets must be a BitMask, got {type(sets).__name__}")
    run = _dispatch.kernel("coverage", "max_coverage", backend, [sets.words])
    return Coverage(*run(sets, check_count("k", k)))


def covering_sets_by_bins(
    points: ArrayLike,
    visible: BitMask,
    rows: ArrayLike,
    axis: ArrayLike,
    *,
    bin_count: int = 10,
    most: int = MOST_COVER_SIZE,
    backend: str | None = None,
) -> tuple[Int32, ...]:
    """All minimal sets of frames that see every occupied bin of an object along an axis.

    Unlike an extent, bins do not forgive a gap in the middle, so sets of three and four frames
    exist. The axis between the object's ends is cut into equal bins, the last one closed; a bin
    counts when the object has points in it, and is seen when one of them is visible.

    Args:
        points: (P, 3) metres.
        visible: BitMask of at most 64 frames x P points.
        rows: (n,) point indices of the object.
        axis: (3,) direction.
        bin_count: Bins, 1 to 64.
        most: Largest set, 1 to 4.
        backend: "reference" or "cpu" (default).

    Returns:
        For s = 1..most an (n_s, s) int32 array of sets, frames ascending, lexicographic.

    Raises:
        ValueError: More than 64 frames, or a value outside its range.

    Examples:
        >>> visible = BitMask.from_bool([[True, False, True], [False, True, False]])
        >>> [s.tolist() for s in covering_sets_by_bins(
        ...     [[0, 0, 0], [1, 0, 0], [2, 0, 0]], visible, [0, 1, 2], [1, 0, 0], bin_count=3)]
        [[], [[0, 1]], [], []]
    """
    if len(visible) > MOST_COVER_FRAMES:
        raise ValueError(
            f"visible must have at most {MOST_COVER_FRAMES} frames, got {len(visible)}"
        )
    largest = _in_range("most", most, MOST_COVER_SIZE)
    bins = seen_bins(points, visible, rows, axis, bin_count=bin_count)
    run = _dispatch.kernel("coverage", "minimal_covers", backend, [visible.words])
    return tuple(run(bins.seen, bins.occupied, largest))


def seen_bins(
    points: ArrayLike, visible: BitMask, rows: ArrayLike, axis: ArrayLike, *, bin_count: int = 10
) -> SeenBins:
    """Which bins of an object each frame sees along an axis; see `covering_sets_by_bins`.

    Args:
        points: (P, 3) metres.
        visible: BitMask, F frames x P points.
        rows: (n,) point indices of the object.
        axis: (3,) direction; the coordinate is ((a0 x + a1 y) + a2 z) in float64.
        bin_count: Bins, 1 to 64.

    Returns:
        SeenBins(seen (F,) uint64, occupied): bit b stands for bin b, counted from the low end.

    Raises:
        ValueError: Shapes disagree, or a value is outside its range.

    Examples:
        >>> visible = BitMask.from_bool([[True, False, True], [False, True, False]])
        >>> seen_bins([[0, 0, 0], [1, 0, 0], [2, 0, 0]], visible, [0, 1, 2], [1, 0, 0], bin_count=3)
        SeenBins(seen=array([5, 2], dtype=uint64), occupied=7)
    """
    bins = _in_range("bin_count", bin_count, 64)
    xyz = np.asarray(points)
    check_shape("points", xyz, ("P", 3), sizes={"P": visible.point_count})
    along = np.asarray(axis, dtype=np.float64)
    check_shape("axis", along, (3,))
    index = np.unique(np.asarray(rows, dtype=np.int64))
    x, y, z = xyz[index].astype(np.float64).T
    bin_index = _bin_of((along[0] * x + along[1] * y) + along[2] * z, bins)
    bit = np.uint64(1) << bin_index.astype(np.uint64)
    seen = np.where(visible.at(index), bit, np.uint64(0))
    masks = np.bitwise_or.reduce(seen, axis=1, initial=np.uint64(0))
    return SeenBins(masks, int(np.bitwise_or.reduce(bit, initial=np.uint64(0))))


def _bin_of(coordinate: Float64, bin_count: int) -> NDArray[np.int64]:
    if coordinate.size == 0:
        return np.zeros(0, np.int64)
    low, extent = coordinate.min(), np.ptp(coordinate)
    if extent == 0:
        return np.zeros(len(coordinate), np.int64)
    share = (coordinate - low) / extent
    return np.asarray(np.minimum((share * bin_count).astype(np.int64), bin_count - 1))


def _in_range(name: str, value: int, most: int) -> int:
    if not 1 <= check_count(name, value) <= most:
        raise ValueError(f"{name} must lie in [1, {most}], got {value}")
    return int(value)
