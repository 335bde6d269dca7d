# SPDX-License-Identifier: Apache-2.0
"""Covisibility of posed depth maps, all pairs: what share of the pixels of i is seen in j.

The peer is what one writes in torch from the description that feed-forward reconstruction models
give of theirs: lift every reading of every map into the world, project it into every other frame,
count where it lies in the image, in front, and as far as the reading there says. Ours is the same
question asked of `visible_points`, map by map: the readings of i are the points. Both answer with
(N, N) shares, which are compared first. The third row is what the index keeps instead: bits of one
cloud for the scene and their overlaps: shares of points, not of pixels, so only near them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.ops.compare import Comparison, Variant, options, write
from benchmarks.ops.harness import one_thread
from benchmarks.ops.room import K, make
from spatialcore import DepthRule, pairwise_overlap, visible_points

RELATIVE, ABSOLUTE = 0.1, 0.05
NAMES = ("ours, readings as points", "torch, all pairs", "ours, index of a cloud")


def thinned(depth: np.ndarray, every: int) -> tuple[np.ndarray, np.ndarray]:
    """Every `every`-th reading of both axes of maps (N, H, W), and the intrinsics of that grid.

    The outermost readings are left out: they lie on the image's edge, where rounding alone says
    whether their own frame sees them.
    """
    k = K.copy()
    k[:2] /= every
    inner = np.zeros_like(depth[:, ::every, ::every])
    inner[:, 1:-1, 1:-1] = depth[:, ::every, ::every][:, 1:-1, 1:-1]
    return inner, k


def lifted(depth: np.ndarray, k: np.ndarray, poses: np.ndarray) -> np.ndarray:
    """World points (N, h w, 3) float64 of maps in millimetres; NaN where there is no reading."""
    _, h, w = depth.shape
    d = depth.reshape(len(depth), -1) * 0.001
    d[d == 0] = np.nan
    row, column = np.divmod(np.arange(h * w), w)
    ray = np.stack([(column - k[0, 2]) / k[0, 0], (row - k[1, 2]) / k[1, 1], np.ones(h * w)], -1)
    camera = d[..., None] * ray
    return (camera - poses[:, None, :3, 3]) @ poses[:, :3, :3]


def share(seen: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Counts (N, N) over the number of readings of each row's map."""
    return seen / np.maximum((depth > 0).reshape(len(depth), -1).sum(1), 1)[:, None]


def by_kernel(depth: np.ndarray, k: np.ndarray, poses: np.ndarray) -> np.ndarray:
    """Ours: the readings of one map against all frames at a time."""
    _, h, w = depth.shape
    points = lifted(depth, k, poses)
    rule = DepthRule.tolerance(RELATIVE, ABSOLUTE)
    return share(np.stack([
        visible_points(p, k, poses, depth, image_size=(w, h), depth_scale=0.001, rule=rule,
                       threads=1).counts()
        for p in points
    ]), depth)  # fmt: skip


def seen_counts(points: Any, k: np.ndarray, poses: Any, metres: Any) -> Any:
    """The peer: readings of map i that map j confirms, (N, N), in torch and float32 on any device.

    `points` (N, h w, 3) world, `poses` (N, 4, 4) cam_from_world, `metres` (N, h, w).
    """
    import torch

    n, h, w = metres.shape
    flat, rows = metres.reshape(n, -1), []
    for p in points:
        x, y, z = (p @ poses[:, :3, :3].mT + poses[:, None, :3, 3]).unbind(-1)
        u, v = x / z * k[0, 0] + k[0, 2], y / z * k[1, 1] + k[1, 2]
        inside = (z > 0) & (u >= 0) & (u < w) & (v >= 0) & (v < h)
        column = u.nan_to_num().round().clamp(0, w - 1)
        row = v.nan_to_num().round().clamp(0, h - 1)
        d = flat.gather(1, (row * w + column).long())
        close = (z - d).abs() < (RELATIVE * z).clamp(min=ABSOLUTE)
        rows.append((inside & (d > 0) & close).sum(1))
    return torch.stack(rows)


def by_torch(depth: np.ndarray, k: np.ndarray, poses: np.ndarray) -> np.ndarray:
    import torch

    arrays = (lifted(depth, k, poses), poses, depth * 0.001)
    points, pose, metres = (torch.from_numpy(a.astype(np.float32)) for a in arrays)
    return share(seen_counts(points, k, pose, metres).numpy(), depth)


def index_of(points: np.ndarray, depth: np.ndarray, k: np.ndarray, poses: np.ndarray) -> np.ndarray:
    """Share of the cloud's points of i that j sees too."""
    _, h, w = depth.shape
    rule = DepthRule.tolerance(RELATIVE, ABSOLUTE)
    seen = visible_points(
        points, k, poses, depth, image_size=(w, h), depth_scale=0.001, rule=rule, threads=1
    )
    found = pairwise_overlap(seen, threads=1)
    return found.intersection / np.maximum(found.count, 1)[:, None]


def prepared(every: int, frame_count: int) -> tuple[Comparison, list[Variant]]:
    """`frame_count` maps of a room's walk, every `every`-th reading of both axes."""
    scene = make(200_000, frame_count)
    depth, k = thinned(scene.depth, every)
    poses = scene.cam_from_world
    expected = by_kernel(depth, k, poses)
    cloud = np.ascontiguousarray(scene.points_world)
    table = Comparison(
        f"covisibility: {frame_count} maps of {depth.shape[2]} x {depth.shape[1]}", "pixel pairs/s",
        float(frame_count) ** 2 * depth[0].size, expected,
    )  # fmt: skip
    # float32 puts a few readings of a map, which lie on pixels, to the other side of a pixel.
    variants = [
        Variant(NAMES[0], lambda: by_kernel(depth, k, poses)),
        Variant(NAMES[1], lambda: by_torch(depth, k, poses), tolerance=0.001, needs="torch"),
    ]
    index = Variant(NAMES[2], lambda: index_of(cloud, depth, k, poses), tolerance=0.25)
    return table, [*variants, index]


def main() -> None:
    one_thread()
    given = options()
    sizes = [(8, 40)] if given.short else [(8, 40), (4, 40), (8, 100)]
    inputs = [prepared(*size) for size in sizes]
    write("covisibility", [t.measure(v) for t, v in inputs], output=given.output)


if __name__ == "__main__":
    main()
