# SPDX-License-Identifier: Apache-2.0
"""Distance accumulation against scipy, numba and torch, one core."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from benchmarks.ops.ceilings import Ceilings
from benchmarks.ops.compare import Comparison, Variant, options, write
from benchmarks.ops.harness import one_thread
from spatialcore import _cpu

FLOOR = 0.01


def clip(step_count: int, track_count: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    group = rng.integers(0, 6, track_count)
    drift = np.cumsum(rng.normal(size=(step_count, 6, 3)) * 0.006, axis=0)
    tracks = rng.normal((0, 0, 4), size=(1, track_count, 3)) + drift[:, group]
    tracks += rng.normal(size=tracks.shape) * 0.0015
    return tracks.astype(np.float32).astype(np.float64)


def table_of(step_count: int, track_count: int, tracks: np.ndarray) -> Comparison:
    expected = _cpu.accumulate_distance_change(tracks, FLOOR, "float64", 1)
    return Comparison(
        f"accumulate: {track_count} tracks x {step_count} steps",
        "pair steps/s",
        len(expected) * (step_count - 1),
        expected,
    )


def ours(tracks: np.ndarray) -> list[Variant]:
    """Each precision by the best set, float32 by every other too. A step takes one root a pair."""

    def by(precision: str, tolerance: float, isa: str = "") -> Variant:
        return Variant(
            f"ours, {precision}{isa and f', {isa}'}",
            lambda: _cpu.accumulate_distance_change(tracks, FLOOR, precision, 1),
            tolerance=tolerance,
            isa=isa,
            ceiling="sqrt_float64" if precision == "float64" else "sqrt_float32",
        )

    best = [by("exact", 1e-3), by("float32", 0.2), by("float64", 0.0)]
    return best + [by("float32", 0.2, isa) for isa in _cpu.isas()[:-1]]


def peers(tracks: np.ndarray, every: bool) -> list[Variant]:
    made = [Variant("numba float32", numba_sum(tracks), needs="numba", tolerance=0.2)]
    if every:
        made += [
            Variant("scipy pdist, one a step", lambda: scipy_sum(tracks), tolerance=1e-9),
            Variant("torch.cdist float32", torch_sum(tracks), needs="torch", tolerance=0.2),
            Variant("published loop", lambda: published_sum(tracks), tolerance=1e-9),
        ]
    return made


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
    ceilings, given = Ceilings(), options()
    tables = []
    for track_count in (1008,) if given.short else (304, 1008, 2000):
        tracks = clip(150, track_count)
        variants = [*ours(tracks), *peers(tracks, track_count <= 1008)]
        tables.append(table_of(150, track_count, tracks).measure(variants, ceilings))
    write("rigidity", tables, ceilings, given.output)


if __name__ == "__main__":
    main()
