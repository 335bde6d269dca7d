# SPDX-License-Identifier: Apache-2.0
"""Distance accumulation against scipy, numba and torch, one core."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from benchmarks.ops.compare import Comparison, ceilings, one_thread, options, write
from spatialcore import _cpu

FLOOR = 0.01


def clip(step_count: int, track_count: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    group = rng.integers(0, 6, track_count)
    drift = np.cumsum(rng.normal(size=(step_count, 6, 3)) * 0.006, axis=0)
    tracks = rng.normal((0, 0, 4), size=(1, track_count, 3)) + drift[:, group]
    tracks += rng.normal(size=tracks.shape) * 0.0015
    return tracks.astype(np.float32).astype(np.float64)


def compare(step_count: int, track_count: int, rates: dict[str, float]) -> Comparison:
    tracks = clip(step_count, track_count)
    expected = _cpu.accumulate_distance_change(tracks, FLOOR, "float64", 1)
    table = Comparison(
        f"accumulate: {track_count} tracks x {step_count} steps",
        "pair steps/s",
        len(expected) * (step_count - 1),
        expected,
        rates.get("sqrt_float32"),
    )
    for precision, tolerance in (("exact", 1e-3), ("float32", 0.2), ("float64", 0.0)):
        if precision == "float64":
            table.ceiling = rates.get("sqrt_float64")
        table.add(
            f"ours, {precision}",
            lambda p=precision: _cpu.accumulate_distance_change(tracks, FLOOR, p, 1),
            tolerance=tolerance,
        )
    table.ceiling = None
    table.add("numba float32", numba_sum(tracks), needs="numba", tolerance=0.2, repeats=2)
    if track_count <= 1100:
        table.add("scipy pdist, one a step", lambda: scipy_sum(tracks), tolerance=1e-9, repeats=1)
        table.add("torch.cdist float32", torch_sum(tracks), needs="torch", tolerance=0.2, repeats=1)
        table.add("published loop", lambda: published_sum(tracks), tolerance=1e-9, repeats=1)
    return table


def scipy_sum(tracks: np.ndarray) -> np.ndarray:
    from scipy.spatial.distance import pdist

    previous = pdist(tracks[0])
    total = np.zeros_like(previous)
    for points in tracks[1:]:
        now = pdist(points)
        change = np.abs(now - previous)
        total += np.where(change > FLOOR, change, 0.0)
        previous = now
    return total


def published_sum(tracks: np.ndarray) -> np.ndarray:
    from scipy.spatial.distance import pdist, squareform

    total = np.zeros((tracks.shape[1],) * 2)
    for before, after in pairwise(tracks):
        change = np.abs(squareform(pdist(after)) - squareform(pdist(before)))
        total += np.where(change > FLOOR, change, 0.0)
    return total[np.triu_indices(len(total), 1)]


def torch_sum(tracks: np.ndarray) -> Any:
    upper = np.triu_indices(tracks.shape[1], 1)

    def run() -> np.ndarray:
        import torch

        points = torch.from_numpy(tracks.astype(np.float32))
        exact = "donot_use_mm_for_euclid_dist"
        previous = torch.cdist(points[0], points[0], compute_mode=exact)
        total = torch.zeros_like(previous)
        for step in points[1:]:
            now = torch.cdist(step, step, compute_mode=exact)
            change = (now - previous).abs()
            total += torch.where(change > FLOOR, change, 0.0)
            previous = now
        return total.numpy()[upper]

    return run


def numba_sum(tracks: np.ndarray) -> Any:
    import numba

    @numba.njit(fastmath=True)
    def rows(points: Any, total: Any) -> None:
        step_count, _, n = points.shape
        at = 0
        for i in range(n - 1):
            previous = np.empty(n - 1 - i, np.float32)
            for t in range(step_count):
                for j in range(i + 1, n):
                    dx = points[t, 0, j] - points[t, 0, i]
                    dy = points[t, 1, j] - points[t, 1, i]
                    dz = points[t, 2, j] - points[t, 2, i]
                    d = np.sqrt(dx * dx + dy * dy + dz * dz)
                    if t:
                        change = abs(d - previous[j - i - 1])
                        if change > np.float32(FLOOR):
                            total[at + j - i - 1] += change
                    previous[j - i - 1] = d
            at += n - 1 - i

    packed = np.ascontiguousarray(tracks.transpose(0, 2, 1), dtype=np.float32)

    def run() -> np.ndarray:
        total = np.zeros(tracks.shape[1] * (tracks.shape[1] - 1) // 2, np.float32)
        rows(packed, total)
        return total

    return run


def main() -> None:
    one_thread()
    rates = ceilings()
    short = options().short
    tables = [compare(150, n, rates) for n in ((1008,) if short else (304, 1008, 2000))]
    write("rigidity", tables, rates, options().output)


if __name__ == "__main__":
    main()
