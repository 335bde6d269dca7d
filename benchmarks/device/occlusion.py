# SPDX-License-Identifier: Apache-2.0
"""Occlusion on a GPU: our kernels, the same test in torch (eager and compiled) and in cupy."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.device.tables import Compiled, Variant
from benchmarks.ops import room
from spatialcore import BitMask, DepthViews, _cpu, visible_points, visible_points_batch
from spatialcore._libraries import on_host

WIDTH, HEIGHT = room.SIZE
FRAME_TILE = 32  # frames that read a point once (kernels/cuda/occlusion.cu)
PEER_FRAMES = 10  # frames at a time, so that peers' temporaries fit


def scene(point_count: int, frame_count: int, distinct: int = 48) -> DepthViews:
    """A room in Morton order on the host; past `distinct` frames the walk is repeated."""
    made = room.make(point_count, min(distinct, frame_count))
    turn = np.arange(frame_count) % len(made.depth)
    points = np.ascontiguousarray(made.points_world[_cpu.morton_order(made.points_world)])
    return DepthViews(points, room.K, made.cam_from_world[turn], made.depth[turn], room.SIZE, 0.001)


def to_device(given: DepthViews, device: str) -> DepthViews:
    """The scene with torch arrays."""
    import torch

    arrays = [torch.from_numpy(np.ascontiguousarray(a)).to(device) for a in given[:4]]
    return DepthViews(*arrays, *given[4:])


def floor_bytes(given: DepthViews) -> int:
    """Points once a tile of frames, every map once, bits out."""
    point_count, frame_count = len(given.points_world), len(given.cam_from_world)
    tiles = -(-frame_count // FRAME_TILE)
    words = frame_count * (-(-point_count // 64)) * 8
    return 12 * point_count * tiles + 2 * frame_count * WIDTH * HEIGHT + words


def wrong_bits(got: BitMask, expected: BitMask) -> float:
    """Bits that differ."""
    return float(np.bitwise_count(got.to_host().words ^ expected.words).sum())


def torch_visible(points: Any, K: Any, poses: Any, depth: Any) -> Any:
    """(F, P) bool in float32: `depth` (F, h w) metres, whole arrays at once."""
    camera = poses[:, :3, :3] @ points.T + poses[:, :3, 3:]
    x, y, z = camera.unbind(1)
    u, v = K[0, 0] * x / z + K[0, 2], K[1, 1] * y / z + K[1, 2]
    inside = (z > 0) & (u >= 0) & (u < WIDTH) & (v >= 0) & (v < HEIGHT)
    column = u.nan_to_num().round().clamp(0, WIDTH - 1).long()
    row = v.nan_to_num().round().clamp(0, HEIGHT - 1).long()
    d = depth.gather(1, row * WIDTH + column)
    return inside & (d > 0) & ((z - d).abs() < (0.1 * z).clamp(min=0.05))


def cupy_visible(points: Any, K: Any, poses: Any, depth: Any) -> Any:
    """The same with cupy arrays."""
    import cupy

    camera = poses[:, :3, :3] @ points.T + poses[:, :3, 3:]
    x, y, z = camera[:, 0], camera[:, 1], camera[:, 2]
    u, v = K[0, 0] * x / z + K[0, 2], K[1, 1] * y / z + K[1, 2]
    inside = (z > 0) & (u >= 0) & (u < WIDTH) & (v >= 0) & (v < HEIGHT)
    column = cupy.clip(cupy.rint(cupy.nan_to_num(u)), 0, WIDTH - 1).astype(cupy.int64)
    row = cupy.clip(cupy.rint(cupy.nan_to_num(v)), 0, HEIGHT - 1).astype(cupy.int64)
    d = cupy.take_along_axis(depth, row * WIDTH + column, 1)
    return inside & (d > 0) & (cupy.abs(z - d) < cupy.maximum(0.1 * z, 0.05))


def variants(given: DepthViews, device: str, rates: dict[str, float]) -> list[Variant]:
    """Ours and peers on one scene."""
    expected = visible_points(**given._asdict())
    placed = to_device(given, device)
    floor = floor_bytes(given) / rates["copy_bytes"]

    def wrong(got: BitMask) -> float:
        return wrong_bits(got, expected)

    def ours(backend: str) -> Any:
        return lambda: visible_points(**placed._asdict(), backend=backend)

    made = [
        Variant("ours, cuda", ours("cuda"), wrong, floor=floor),
        Variant("ours, triton", ours("triton"), wrong, needs=("triton",), capture=False,
                floor=floor),
    ]  # fmt: skip
    return made + _peers(placed, expected)


def _peers(placed: DepthViews, expected: BitMask) -> list[Variant]:
    points, K, poses = (a.float() for a in placed[:3])
    depth = (placed.depth.float() * 0.001).reshape(len(poses), -1)
    frame_count = len(poses)
    starts = range(0, frame_count, PEER_FRAMES)

    def wrong_share(got: Any) -> float:
        flags = np.concatenate([on_host(part) for part in got])
        return float((flags != expected.to_bool()).mean())

    def in_parts(test: Any, *arrays: Any) -> Any:
        xyz, k, cam, maps = arrays
        return lambda: [
            test(xyz, k, cam[f : f + PEER_FRAMES], maps[f : f + PEER_FRAMES]) for f in starts
        ]

    arrays = points, K, poses, depth
    made = [
        Variant("torch, eager", in_parts(torch_visible, *arrays), wrong_share, 1e-4),
        Variant("torch.compile", in_parts(Compiled(torch_visible), *arrays), wrong_share, 1e-4,
                ("triton",), capture=False),
    ]  # fmt: skip

    def in_cupy() -> Any:
        import cupy

        return in_parts(cupy_visible, *(cupy.from_dlpack(a) for a in arrays))()

    made.append(Variant("cupy", in_cupy, wrong_share, 1e-4, ("cupy",), capture=False))
    return made


def batch_variants(scenes: list[DepthViews], device: str) -> list[Variant]:
    """Many small scenes: one launch, and one after another."""
    expected = [visible_points(**s._asdict()) for s in scenes]
    placed = [to_device(s, device) for s in scenes]

    def wrong(got: list[BitMask]) -> float:
        return sum(wrong_bits(a, b) for a, b in zip(got, expected, strict=True))

    return [
        Variant("ours, one launch", lambda: visible_points_batch(placed, backend="cuda"),
                wrong, capture=False),
        Variant("ours, one by one",
                lambda: [visible_points(**s._asdict(), backend="cuda") for s in placed],
                wrong),
    ]  # fmt: skip
