# SPDX-License-Identifier: Apache-2.0
"""Covisibility of posed maps on a GPU: ours by the readings of every map, torch by all pairs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.device.tables import Variant
from benchmarks.ops.bench_covisibility import (
    ABSOLUTE,
    RELATIVE,
    by_kernel,
    lifted,
    seen_counts,
    share,
    thinned,
)
from benchmarks.ops.room import make
from spatialcore import DepthRule, DepthViews, visible_points
from spatialcore._libraries import on_host


def variants(every: int, frame_count: int, device: str) -> list[Variant]:
    """Ours and the peer on `frame_count` maps of a room, every `every`-th reading of both axes."""
    import torch

    scene = make(1000, frame_count)
    depth, k = thinned(scene.depth, every)
    poses, (_, h, w) = scene.cam_from_world, depth.shape
    expected = by_kernel(depth, k, poses)
    cloud = lifted(depth, k, poses)
    rule = DepthRule.tolerance(RELATIVE, ABSOLUTE)

    def placed(array: Any) -> Any:
        return torch.from_numpy(np.ascontiguousarray(array)).to(device)

    points, given = placed(cloud.astype(np.float32)), (placed(k), placed(poses), placed(depth))
    views = [DepthViews(p, *given, (w, h), 0.001) for p in placed(cloud)]
    pose, metres = placed(poses.astype(np.float32)), placed((depth * 0.001).astype(np.float32))

    def wrong(got: Any) -> float:
        counts = np.stack([on_host(row) for row in got])
        return float(np.abs(share(counts, depth) - expected).max())

    def ours(backend: str) -> Callable[[], Any]:
        return lambda: [
            visible_points(**one._asdict(), rule=rule, backend=backend).counts() for one in views
        ]

    return [
        Variant("ours, cuda, a launch a map", ours("cuda"), wrong, capture=False),
        Variant("torch, all pairs", lambda: seen_counts(points, k, pose, metres), wrong, 0.02,
                capture=False),
    ]  # fmt: skip
