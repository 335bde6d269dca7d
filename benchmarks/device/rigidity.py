# SPDX-License-Identifier: Apache-2.0
"""Distance accumulation on a GPU: three precisions against loops over steps in torch and cuML."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.device.tables import Compiled, Variant
from benchmarks.ops.bench_rigidity import FLOOR, clip
from spatialcore import (
    _cpu,
    accumulate_distance_change,
    accumulate_distance_change_batch,
)
from spatialcore._libraries import on_host

# Largest errors: float64 none, exact its bound, float32 a flipped decision each.
TOLERANCE = {"float64": 0.0, "exact": 1e-3, "float32": 0.5}


def cdist_loop(tracks: Any) -> Any:
    """(N, N) sums by torch.cdist, a step at a time; the float32 differences, not a product."""
    import torch

    total = torch.zeros((tracks.shape[1],) * 2, dtype=tracks.dtype, device=tracks.device)
    previous = torch.cdist(tracks[0], tracks[0], compute_mode="donot_use_mm_for_euclid_dist")
    for points in tracks[1:]:
        now = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")
        change = (now - previous).abs()
        total += torch.where(change > FLOOR, change, 0)
        previous = now
    return total


def difference_step(points: Any, previous: Any, total: Any) -> tuple[Any, Any]:
    """One step without cdist, for torch.compile to fuse."""
    import torch

    delta = points[:, None] - points[None]
    now = (delta * delta).sum(-1).sqrt()
    change = (now - previous).abs()
    return now, total + torch.where(change > FLOOR, change, 0.0)


def variants(
    step_count: int, track_count: int, device: str, rates: dict[str, float]
) -> list[Variant]:
    """Ours in every precision, and peers in float32."""
    import torch

    host = clip(step_count, track_count)
    expected = _cpu.accumulate_distance_change(host, FLOOR, "float64", 0)
    tracks = torch.from_numpy(host).to(device)
    roots = len(expected) * step_count
    upper = np.triu_indices(track_count, 1)

    def wrong(got: Any) -> float:
        sums = on_host(got).astype(np.float64)
        return float(np.abs((sums[upper] if sums.ndim == 2 else sums) - expected).max())

    def ours(backend: str, precision: str) -> Any:
        return lambda: accumulate_distance_change(
            tracks, noise_floor=FLOOR, precision=precision, backend=backend
        )

    def floor(precision: str) -> float | None:
        rate = rates.get("root_float64" if precision == "float64" else "root_float32")
        return None if rate is None else roots / rate

    made = [
        Variant(f"ours, {backend}, {precision}", ours(backend, precision), wrong,
                TOLERANCE[precision], ("triton",) if backend == "triton" else (),
                backend == "cuda", floor(precision))
        for backend in ("cuda", "triton")
        for precision in ("float64", "exact", "float32")
    ]  # fmt: skip
    single = tracks.float()
    step = Compiled(difference_step)

    def compiled() -> Any:
        total = torch.zeros((track_count,) * 2, dtype=single.dtype, device=device)
        delta = single[0][:, None] - single[0][None]
        previous = (delta * delta).sum(-1).sqrt()
        for points in single[1:]:
            previous, total = step(points, previous, total)
        return total

    def cuml_loop() -> Any:
        import cupy
        from cuml.metrics import pairwise_distances

        total, previous = 0, None
        for points in cupy.from_dlpack(single):
            now = pairwise_distances(points)
            if previous is not None:
                change = cupy.abs(now - previous)
                total = total + cupy.where(change > FLOOR, change, 0)
            previous = now
        return total

    return [
        *made,
        Variant("torch.cdist, float32", lambda: cdist_loop(single), wrong, 0.5),
        Variant("torch.compile, float32", compiled, wrong, 0.5, ("triton",), capture=False),
        Variant("cuML distances", cuml_loop, wrong, 0.5, ("cuml", "cupy"), capture=False),
    ]


def batch_variants(clip_count: int, steps: int, tracks: int, device: str) -> list[Variant]:
    """Many clips: one launch, and one after another."""
    import torch

    host = [clip(steps, tracks + k % 5) for k in range(clip_count)]
    expected = [_cpu.accumulate_distance_change(c, FLOOR, "float64", 0) for c in host]
    placed = [torch.from_numpy(c).to(device) for c in host]

    def wrong(got: Any) -> float:
        return float(max(np.abs(on_host(a) - b).max() for a, b in zip(got, expected, strict=True)))

    settings: dict[str, Any] = {"noise_floor": FLOOR, "backend": "cuda"}
    return [
        Variant("ours, one launch", lambda: accumulate_distance_change_batch(placed, **settings),
                wrong, capture=False),
        Variant("ours, one by one",
                lambda: [accumulate_distance_change(c, **settings) for c in placed], wrong),
    ]  # fmt: skip
