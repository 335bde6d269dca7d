# SPDX-License-Identifier: Apache-2.0
"""Object view sets and greedy coverage against plain numpy and a search over all sets, one core."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from benchmarks.ops.compare import Comparison, Variant, options, write
from benchmarks.ops.harness import one_thread
from spatialcore import _cpu
from spatialcore.bitmask import BitMask
from spatialcore.coverage import max_coverage, minimal_view_sets


def intervals(frame_count: int) -> tuple[np.ndarray, np.ndarray]:
    ends = np.sort(np.random.default_rng(0).uniform(0, 1, (frame_count, 2)), axis=1)
    return np.ascontiguousarray(ends[:, 0]), np.ascontiguousarray(ends[:, 1])


def search_sets(lo: np.ndarray, hi: np.ndarray, most: int) -> np.ndarray:
    """Minimal covering sets level by level, as a search without the closed form finds them."""
    minimal: list[set[int]] = []
    for size in range(1, most + 1):
        for frames in combinations(range(len(lo)), size):
            if any(m <= set(frames) for m in minimal):
                continue
            chosen = list(frames)
            if abs((hi[chosen].max() - lo[chosen].min()) - 1.0) <= 0.1:
                minimal.append(set(frames))
    return np.array([len(minimal)])


def view_sets(frame_count: int, search: bool) -> tuple[Comparison, list[Variant]]:
    lo, hi = intervals(frame_count)

    def counts(sets: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        return np.array([len(sets[0]) + len(sets[1])])

    def kernel() -> tuple[np.ndarray, np.ndarray]:
        return _cpu.minimal_view_sets(lo, hi, 1.0, 0.1)

    expected = counts(minimal_view_sets(lo, hi, 1.0, backend="reference")).astype(float)
    table = Comparison(f"view sets: {frame_count} frames", "pairs/s", frame_count**2 / 2, expected)
    variants = [
        Variant("ours", kernel, counts),
        Variant(
            "numpy reference", lambda: minimal_view_sets(lo, hi, 1.0, backend="reference"), counts
        ),
    ]
    if search:
        variants.append(Variant("search of sets up to 3", lambda: search_sets(lo, hi, 3)))
    return table, variants


def greedy(row_count: int, point_count: int) -> tuple[Comparison, list[Variant]]:
    sets = BitMask.from_bool(np.random.default_rng(0).random((row_count, point_count)) < 0.01)
    expected = max_coverage(sets, 32, backend="reference").order.astype(float)
    table = Comparison(
        f"greedy 32 of {row_count} rows x {point_count} points",
        "row bits/s",
        32.0 * row_count * point_count,
        expected,
    )
    return table, [
        Variant("ours, lazy", lambda: _cpu.max_coverage(sets, 32)[0]),
        Variant("numpy greedy", lambda: max_coverage(sets, 32, backend="reference").order),
    ]


def main() -> None:
    one_thread()
    inputs = [view_sets(25, search=True), view_sets(400, search=False), greedy(300, 100_000)]
    tables = [table.measure(variants) for table, variants in inputs]
    write("coverage", tables, output=options().output)


if __name__ == "__main__":
    main()
