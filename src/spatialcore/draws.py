# SPDX-License-Identifier: Apache-2.0
"""Counter-based draws: every random choice is a hash of what it is about.

No stream crosses a sample, so the outcome depends neither on the number of workers nor on the
order of the work. The text is hashed once by BLAKE2b; integers are folded in by the SplitMix64
step, which vectorises.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spatialcore import _cpu

if TYPE_CHECKING:
    from spatialcore.bitmask import BitMask

_GOLDEN = 0x9E3779B97F4A7C15
_MIX_1 = 0xBF58476D1CE4E5B9
_MIX_2 = 0x94D049BB133111EB
_MASK = (1 << 64) - 1


def text_hash(seed: int, task: str, source: str, scene: str, slot: str) -> int:
    """First 8 bytes (little-endian) of BLAKE2b over `seed|task|source|scene|slot`."""
    text = f"{seed}|{task}|{source}|{scene}|{slot}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


def fold(state: int, number: int) -> int:
    """SplitMix64 step of `state xor number`; `number` is taken modulo 2**64."""
    z = ((state ^ (number & _MASK)) + _GOLDEN) & _MASK
    z = ((z ^ (z >> 30)) * _MIX_1) & _MASK
    z = ((z ^ (z >> 27)) * _MIX_2) & _MASK
    return z ^ (z >> 31)


def fold_all(state: int, ints: Sequence[int]) -> int:
    """`fold` of every integer in turn, compiled: integers are int64."""
    return _cpu.fold_all(state, tuple(ints))


def fold_lists(
    states: NDArray[np.uint64], numbers: ArrayLike, ends: ArrayLike
) -> NDArray[np.uint64]:
    """`fold_all` of n states, each with a list of its own.

    Args:
        states: (n,) draws so far.
        numbers: (m,) int64, one list after the other.
        ends: (n,) where each list ends.

    Example:
        >>> states = np.array([1, 2], dtype=np.uint64)
        >>> folded = fold_lists(states, [5, 6, 7], [2, 3]).tolist()
        >>> folded == [fold_all(1, [5, 6]), fold_all(2, [7])]
        True
    """
    lists = np.asarray(numbers, dtype=np.int64), np.asarray(ends, dtype=np.int64)
    return _cpu.fold_lists(states, *lists)


def fold_table(state: int, table: NDArray[np.int64]) -> NDArray[np.uint64]:
    """`fold_all` of one state with each row of (n, k): uint64 (n,)."""
    n, width = table.shape
    states = np.full(n, state, dtype=np.uint64)
    return fold_lists(states, table.ravel(), np.arange(1, n + 1) * width)


def smallest_seen(
    states: NDArray[np.uint64],
    mask: BitMask,
    rows: ArrayLike,
    ids: NDArray[np.uint32],
    count: int,
    *,
    others: ArrayLike | None = None,
) -> NDArray[np.int64]:
    """Points with the smallest `fold(state, id)` among those that a frame sees, for n queries.

    Queries of the same frame are best neighbours: they share one pass over its bits.

    Args:
        states: (n,) the draw of each query so far.
        mask: F frames x P points.
        rows: (n,) row of each query's frame.
        ids: (P,) id of every point.
        count: How many points.
        others: (n,) row of a second frame that has to see the points, too; None asks for one.

    Returns:
        (n, count) points, ascending by draw, the lower point first among equals; -1 where a query
        has fewer.

    Example:
        >>> from spatialcore import BitMask
        >>> mask = BitMask.from_bool(np.array([[True, True, False, True]]))
        >>> ids = np.array([4, 5, 6, 7], dtype=np.uint32)
        >>> smallest_seen(np.array([7], dtype=np.uint64), mask, [0], ids, 4).tolist()
        [[0, 1, 3, -1]]
    """
    first = np.asarray(rows, dtype=np.int64)
    second = first if others is None else np.asarray(others, dtype=np.int64)
    return _cpu.smallest_seen(states, mask, first, second, ids, count)


def smallest_of_groups(
    values: NDArray[np.uint64], groups: ArrayLike, most: ArrayLike
) -> NDArray[np.int64]:
    """Rows of the smallest values of each group.

    Args:
        values: (n,) draws.
        groups: (n,) group of each, 0..G-1.
        most: (G,) how many rows a group gives; all that it has when there are fewer.

    Returns:
        (m,) rows by group, then value, the lower row first among equals.

    Example:
        >>> smallest_of_groups(np.array([9, 2, 7, 1], dtype=np.uint64), [0, 1, 0, 0], [2, 2])
        array([3, 2, 1])
    """
    return _cpu.smallest_of_groups(values, np.asarray(groups), np.asarray(most))


def fold_array(state: NDArray[np.uint64], numbers: ArrayLike) -> NDArray[np.uint64]:
    """`fold` for arrays: `state` uint64, `numbers` integers, broadcast against each other."""
    n = np.asarray(numbers)
    bits = n if n.dtype == np.uint64 else n.astype(np.int64).view(np.uint64)
    z: NDArray[np.uint64] = np.asarray(state ^ bits, dtype=np.uint64)
    with np.errstate(over="ignore"):
        z = z + np.uint64(_GOLDEN)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(_MIX_1)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(_MIX_2)
    return z ^ (z >> np.uint64(31))


def draw(seed: int, task: str, source: str, scene: str, ints: Sequence[int], slot: str) -> int:
    """A uniform 64-bit integer that is a function of its arguments alone.

    Args:
        seed: Seed of the data set.
        task: Task name, e.g. "camera_movement.distance".
        source: Source key.
        scene: Scene id.
        ints: Frame indices, then point or object ids, in order.
        slot: What the draw is for: "select", "swap", "point", "distractor/2", ...

    Returns:
        int in [0, 2**64).

    Example:
        >>> hex(draw(7, "camera_movement.distance", "scannet", "scene0000_00", [10, 25], "select"))
        '0x7494761ff7b9871a'
    """
    return fold_all(text_hash(seed, task, source, scene, slot), [int(n) for n in ints])


def draw_rows(
    seed: int, task: str, source: str, scene: str, ints: ArrayLike, slot: str
) -> NDArray[np.uint64]:
    """`draw` for every row of `ints` (n, k) at once: uint64 (n,)."""
    table = np.atleast_2d(np.asarray(ints, dtype=np.int64))
    return fold_table(text_hash(seed, task, source, scene, slot), table)


def uniform_below_rows(values: NDArray[np.uint64], n: ArrayLike) -> NDArray[np.int64]:
    """`uniform_below` of many draws; n, one for all or one for each, lies below 2**32."""
    most = np.asarray(n)
    if most.size and not (most.min() >= 1 and most.max() < 1 << 32):
        raise ValueError(f"n must lie in [1, 2**32), got {most.min()} to {most.max()}")
    half, factor = np.uint64(32), most.astype(np.uint64)
    low = (values & np.uint64(0xFFFFFFFF)) * factor >> half
    return (((values >> half) * factor + low) >> half).astype(np.int64)


def uniform_below(value: int, n: int) -> int:
    """Map a 64-bit draw to an integer in [0, n) by multiply-shift; ValueError when n < 1."""
    if n < 1:
        raise ValueError(f"n must be positive, got {n}")
    return (value * n) >> 64


def permutation(
    seed: int, task: str, source: str, scene: str, ints: Sequence[int], slot: str, n: int
) -> list[int]:
    """A permutation of range(n): indices sorted by the draw of `ints` followed by the index."""
    state = text_hash(seed, task, source, scene, slot)
    for number in ints:
        state = fold(state, int(number))
    keys = fold_array(np.full(n, state, dtype=np.uint64), np.arange(n))
    return [int(i) for i in np.argsort(keys, kind="stable")]
