# SPDX-License-Identifier: Apache-2.0
"""Which of P points each of F depth frames sees, as packed bits. Contract: spatialcore.occlusion.

    points          (P, 3)          m  in   float32 or float64; Morton order, or nothing is culled
    K               (F, 3, 3)          in   float64
    cam_from_world  (F, 4, 4)          in   float64
    depth           (F, h, w)          in   uint16 or float32
    settings        (7,)               in   float64: sizes, scale, rule
    maps            (1 or F, 4)        in   float64: the pixel map of all frames, or of each
    halves          (F, 2 ceil(P/64))  out  int32 halves of the words, little-endian

Numerics: `csrc/include/spatialcore/camera.h` in its order, float64, launched with
`enable_fp_fusion=False`: Triton's float64 division and square root are the rounded ones, so every
bit equals the reference. Rounding to a pixel adds and subtracts 1.5 * 2^52, which is round half to
even for what has been clipped to the map (rounding and clipping to whole numbers commute).

A program owns BLOCK points and FRAMES frames: the points and their box are read once, and a frame
whose frustum misses the box, by 1e4 times the rounding error of that test, costs 16 loads and a
store of zeros. Bytes for each point and frame: 12/FRAMES of points, 1/8 of bits, and the readings
of what lies inside.
Docs: docs/gpu.md. Tests: tests/ops/test_triton.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import triton
import triton.language as tl

from spatialcore._check import library_of
from spatialcore._triton.place import check_place, upload
from spatialcore.errors import BackendUnavailable

if TYPE_CHECKING:
    from spatialcore.occlusion import DepthRule, DepthViews

BLOCK = 256  # points of a program, neighbours in space
FRAMES = 32  # frames that share a program's points
WARPS = 4
CULL_MARGIN = 1e-11  # of the summed magnitudes; float64 rounding is below 1e-15
ROUND_TO_WHOLE = 6755399441055744.0  # 1.5 * 2^52, exact in float32 too


@triton.jit
def _outside_plane(pose, low_x, low_y, low_z, high_x, high_y, high_z, sx, sy, sz, MARGIN):
    """Whether (sx, sy, sz) . c < 0 for every point c of the box, beyond rounding; False for NaN."""
    x, y, z = sx * tl.load(pose + 3), sy * tl.load(pose + 7), sz * tl.load(pose + 11)
    most = x + y + z
    size = tl.abs(x) + tl.abs(y) + tl.abs(z)
    for axis in tl.static_range(3):
        low = low_x if axis == 0 else (low_y if axis == 1 else low_z)
        high = high_x if axis == 0 else (high_y if axis == 1 else high_z)
        x, y = sx * tl.load(pose + axis), sy * tl.load(pose + 4 + axis)
        z = sz * tl.load(pose + 8 + axis)
        along = x + y + z
        most += tl.where(along > 0, along * high, along * low)
        size += (tl.abs(x) + tl.abs(y) + tl.abs(z)) * tl.maximum(tl.abs(low), tl.abs(high))
    return most < -MARGIN * size


@triton.jit
def _nearest(x, size, ROUND):
    """round_half_even(x) clipped to [0, size - 1], as an int64."""
    clipped = tl.minimum(tl.maximum(x, 0.0), size - 1.0)
    return ((clipped + ROUND) - ROUND).to(tl.int64)


@triton.jit
def _occlusion_kernel(
    points,  # (P, 3)
    point_count,
    K,  # (F, 3, 3)
    cam_from_world,  # (F, 4, 4)
    frame_count,
    depth,  # (F, h, w)
    settings,  # (7,)
    maps,  # (1, 4) or (F, 4)
    map_stride,  # 0 or 4
    halves,  # (F, 2 ceil(P / 64))
    STRICT: tl.constexpr,
    BLOCK: tl.constexpr,
    FRAMES: tl.constexpr,
    MARGIN: tl.constexpr,
    ROUND: tl.constexpr,
):
    width, height = tl.load(settings), tl.load(settings + 1)
    map_width, map_height = tl.load(settings + 2), tl.load(settings + 3)
    scale = tl.load(settings + 4)
    relative, absolute = tl.load(settings + 5), tl.load(settings + 6)
    map_size = map_width.to(tl.int64) * map_height.to(tl.int64)

    p = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    there = p < point_count
    X = tl.load(points + 3 * p, mask=there, other=0).to(tl.float64)
    Y = tl.load(points + 3 * p + 1, mask=there, other=0).to(tl.float64)
    Z = tl.load(points + 3 * p + 2, mask=there, other=0).to(tl.float64)
    usable = there & (X - X == 0) & (Y - Y == 0) & (Z - Z == 0)
    far = float("inf")
    low_x, high_x = tl.min(tl.where(usable, X, far)), tl.max(tl.where(usable, X, -far))
    low_y, high_y = tl.min(tl.where(usable, Y, far)), tl.max(tl.where(usable, Y, -far))
    low_z, high_z = tl.min(tl.where(usable, Z, far)), tl.max(tl.where(usable, Z, -far))
    half_count = (point_count + 63) // 64 * 2
    half = tl.program_id(0).to(tl.int64) * (BLOCK // 32) + tl.arange(0, BLOCK // 32)
    bit = (tl.arange(0, BLOCK) % 32).to(tl.uint32)

    first = tl.program_id(1).to(tl.int64) * FRAMES
    for i in range(0, tl.minimum(frame_count - first, FRAMES)):
        f = first + i
        pose, k = cam_from_world + 16 * f, K + 9 * f
        fx, fy, cx, cy = tl.load(k), tl.load(k + 4), tl.load(k + 2), tl.load(k + 5)
        nothing = low_x > high_x
        for side in tl.static_range(5):
            sx = 0.0 * fx if side == 0 or side > 2 else (fx if side == 1 else -fx)
            sy = 0.0 * fy if side < 3 else (fy if side == 3 else -fy)
            edge = cx if side == 1 else (width - cx if side == 2 else cy)
            sz = 0.0 * cx + 1.0 if side == 0 else (height - cy if side == 4 else edge)
            nothing |= _outside_plane(
                pose, low_x, low_y, low_z, high_x, high_y, high_z, sx, sy, sz, MARGIN
            )
        words = tl.zeros((BLOCK // 32,), dtype=tl.uint32)
        if not nothing:
            x = ((tl.load(pose) * X + tl.load(pose + 1) * Y) + tl.load(pose + 2) * Z) + tl.load(
                pose + 3
            )
            y = ((tl.load(pose + 4) * X + tl.load(pose + 5) * Y) + tl.load(pose + 6) * Z) + tl.load(
                pose + 7
            )
            z = (
                (tl.load(pose + 8) * X + tl.load(pose + 9) * Y) + tl.load(pose + 10) * Z
            ) + tl.load(pose + 11)
            before = usable & (z > 0) & (z - z == 0)
            divisor = tl.where(before, z, 1.0)
            u = (fx * x) / divisor + cx
            v = (fy * y) / divisor + cy
            inside = before & (u >= 0) & (u < width) & (v >= 0) & (v < height)
            to_depth = maps + f * map_stride
            ax, bx = tl.load(to_depth), tl.load(to_depth + 1)
            ay, by = tl.load(to_depth + 2), tl.load(to_depth + 3)
            column = _nearest(ax * tl.where(inside, u, 0.0) + bx, map_width, ROUND)
            row = _nearest(ay * tl.where(inside, v, 0.0) + by, map_height, ROUND)
            at = f * map_size + row * map_width.to(tl.int64) + column
            d = tl.load(depth + at, mask=inside, other=0).to(tl.float64) * scale
            reading = inside & (d > 0) & (d - d == 0)
            if STRICT:
                visible = reading & (z < d)
            else:
                visible = reading & (tl.abs(z - d) < tl.maximum(relative * z, absolute))
            bits = visible.to(tl.uint32) << bit
            words = tl.sum(tl.reshape(bits, (BLOCK // 32, 32)), axis=1).to(tl.uint32)
        place = halves + f * half_count + half
        tl.store(place, words.to(tl.int32, bitcast=True), mask=half < half_count)


def visible_points(views: DepthViews, *, rule: DepthRule, threads: int = 0) -> Any:
    """Words (F, ceil(P / 64)) int64 on the points' device; contract: `spatialcore.occlusion`.

    Raises:
        BackendUnavailable: The arrays live on the host and Triton does not interpret, or the depth
            is an iterable.
    """
    points, depth = views.points_world, views.depth
    if not library_of(depth):
        raise BackendUnavailable("triton", "depth must be one tensor, not an iterable")
    check_place(points)
    frame_count, point_count = len(views.cam_from_world), len(points)
    word_count = (point_count + 63) // 64
    words = torch.empty((frame_count, word_count), dtype=torch.int64, device=points.device)
    if not words.numel():
        return words
    settings = (*views.image_size, depth.shape[2], depth.shape[1], views.depth_scale)
    maps = views.pixel_map_rows()
    intrinsics = views.K.expand(frame_count, 3, 3).to(torch.float64).contiguous()
    grid = (triton.cdiv(point_count, BLOCK), triton.cdiv(frame_count, FRAMES))
    _occlusion_kernel[grid](
        points.contiguous(),
        point_count,
        intrinsics,
        views.cam_from_world.to(torch.float64).contiguous(),
        frame_count,
        depth.contiguous(),
        upload((*settings, rule.relative, rule.absolute), points),
        upload(maps.ravel().tolist(), points),
        4 if len(maps) > 1 else 0,
        words.view(torch.int32),
        STRICT=rule.kind == "strict",
        BLOCK=BLOCK,
        FRAMES=FRAMES,
        MARGIN=CULL_MARGIN,
        ROUND=ROUND_TO_WHOLE,
        num_warps=WARPS,
        enable_fp_fusion=False,
    )
    return words
