# SPDX-License-Identifier: Apache-2.0
"""Sums of the changes of every pair's distance. Contract: spatialcore.rigidity.

    tracks   (T, N, 3)          m  in   float64; a point with a non-finite coordinate is missing
    change   (N (N - 1) / 2,)   m  out  float64, condensed, i < j row by row
    pairs    (N (N - 1) / 2, 2)         scratch of "exact": int32 (i, j) of the doubtful pairs
    listed   (1,)                       scratch of "exact": int64, how many there are

float64: d_t = sqrt((dx dx + dy dy) + dz dz), t ascending, nothing fused, the rounded square root:
the bits of the reference. float32: the same in float32. exact: float32, and a pair whose change
came within the error bound of the floor at any step is listed; a second kernel sums the listed
pairs again in float64, so no decision flips. Bound: 16 * 2^-24 (M + d) as in kernels/cuda/
rigidity.cu. The list's order depends on the schedule, its results do not, and nothing waits.

A program owns BLOCK x BLOCK pairs over the whole clip, previous distance and sum in registers.
Bytes: 2 * BLOCK * 24 * T for BLOCK^2 pairs; the square root is the bound.
Docs: docs/gpu.md. Tests: tests/ops/test_triton.py.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl

from spatialcore._triton.place import check_place, upload

BLOCK = 32
WARPS = 4
REDO_BLOCK = 128  # listed pairs of a program
REDO_PROGRAMS = 1024  # they take the list in turns, since its length stays on the device
ERROR_UNITS = 16.0 * 2.0**-24  # of M + d
LARGEST = 1e18  # metres: squares beyond it do not fit float32


@triton.jit
def _reading(tracks, at, there, dtype: tl.constexpr):
    """Coordinates of a vector of points, NaN where one is missing."""
    x = tl.load(tracks + at, mask=there, other=0.0)
    y = tl.load(tracks + at + 1, mask=there, other=0.0)
    z = tl.load(tracks + at + 2, mask=there, other=0.0)
    present = (x - x == 0) & (y - y == 0) & (z - z == 0)
    nothing = float("nan")
    return tl.where(present, x, nothing).to(dtype), y.to(dtype), z.to(dtype)


@triton.jit
def _distance(px, py, pz, qx, qy, qz):
    dx, dy, dz = px - qx, py - qy, pz - qz
    square = (dx * dx + dy * dy) + dz * dz
    if square.dtype == tl.float32:
        return tl.sqrt_rn(square)
    else:  # noqa: RET505 - both branches are types of one kernel
        return tl.sqrt(square)


@triton.jit
def _magnitude(x, y, z):
    return tl.maximum(tl.maximum(tl.abs(x), tl.abs(y)), tl.abs(z))


@triton.jit
def _change_kernel(
    tracks,  # (T, N, 3)
    step_count,
    track_count,
    noise_floor,  # (1,) float64
    change,  # (N (N - 1) / 2,)
    pairs,  # (N (N - 1) / 2, 2)
    listed,  # (1,)
    SINGLE: tl.constexpr,
    LIST: tl.constexpr,
    ERROR: tl.constexpr,
    SQUARES: tl.constexpr,
    BLOCK: tl.constexpr,
):
    if tl.program_id(1) < tl.program_id(0):
        return
    dtype: tl.constexpr = tl.float32 if SINGLE else tl.float64
    rows = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    columns = tl.program_id(1).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    floor = tl.load(noise_floor).to(dtype)
    previous = tl.full((BLOCK, BLOCK), float("nan"), dtype=dtype)
    total = tl.zeros((BLOCK, BLOCK), dtype=dtype)
    doubtful = tl.zeros((BLOCK, BLOCK), dtype=tl.int32)
    p, q = 3 * rows, 3 * columns
    for _ in range(0, step_count):
        px, py, pz = _reading(tracks, p, rows < track_count, dtype)
        qx, qy, qz = _reading(tracks, q, columns < track_count, dtype)
        d = _distance(px[:, None], py[:, None], pz[:, None], qx[None, :], qy[None, :], qz[None, :])
        step_change = tl.abs(d - previous)
        total += tl.where(step_change > floor, step_change, 0.0)
        if LIST:
            size = tl.maximum(_magnitude(px, py, pz)[:, None], _magnitude(qx, qy, qz)[None, :])
            bound = ERROR * (size + tl.maximum(d, previous))
            near = (tl.abs(step_change - floor) <= bound) | (size > SQUARES)
            doubtful |= near.to(tl.int32)
        previous = d
        p += 3 * track_count
        q += 3 * track_count
    i, j = rows[:, None], columns[None, :]
    wanted = (i < j) & (j < track_count)
    at = i * track_count - i * (i + 1) // 2 + (j - i - 1)
    tl.store(change + at, total.to(tl.float64), mask=wanted)
    if LIST:
        flags = tl.reshape(tl.where(wanted, doubtful, 0), (BLOCK * BLOCK,))
        begin = tl.atomic_add(listed, tl.sum(flags).to(tl.int64))
        place = 2 * (begin + tl.cumsum(flags) - 1)
        ij = tl.arange(0, BLOCK * BLOCK)
        tl.store(pairs + place, tl.program_id(0) * BLOCK + ij // BLOCK, mask=flags > 0)
        tl.store(pairs + place + 1, tl.program_id(1) * BLOCK + ij % BLOCK, mask=flags > 0)


@triton.jit
def _redo_kernel(
    tracks, step_count, track_count, noise_floor, change, pairs, listed, BLOCK: tl.constexpr
):
    count = tl.load(listed)
    floor = tl.load(noise_floor)
    for first in range(tl.program_id(0) * BLOCK, count, tl.num_programs(0) * BLOCK):
        k = tl.arange(0, BLOCK).to(tl.int64) + first
        there = k < count
        i = tl.load(pairs + 2 * k, mask=there, other=0).to(tl.int64)
        j = tl.load(pairs + 2 * k + 1, mask=there, other=0).to(tl.int64)
        previous = tl.full((BLOCK,), float("nan"), dtype=tl.float64)
        total = tl.zeros((BLOCK,), dtype=tl.float64)
        p, q = 3 * i, 3 * j
        for _ in range(0, step_count):
            px, py, pz = _reading(tracks, p, there, tl.float64)
            qx, qy, qz = _reading(tracks, q, there, tl.float64)
            d = _distance(px, py, pz, qx, qy, qz)
            step_change = tl.abs(d - previous)
            total += tl.where(step_change > floor, step_change, 0.0)
            previous = d
            p += 3 * track_count
            q += 3 * track_count
        at = i * track_count - i * (i + 1) // 2 + (j - i - 1)
        tl.store(change + at, total, mask=there)


def accumulate_distance_change(
    tracks: Any, noise_floor: float, precision: str, threads: int = 0
) -> Any:
    """Condensed sums (N (N - 1) / 2,) float64 on the tracks' device, every precision.

    Contract: `spatialcore.rigidity`.

    Raises:
        BackendUnavailable: The tracks live on the host and Triton does not interpret.
    """
    check_place(tracks)
    clip = tracks.detach().to(torch.float64).contiguous()
    step_count, track_count = clip.shape[:2]
    pair_count = track_count * (track_count - 1) // 2
    change = torch.empty(pair_count, dtype=torch.float64, device=clip.device)
    if not pair_count:
        return change
    exact = precision == "exact"
    pairs = torch.empty((pair_count if exact else 0, 2), dtype=torch.int32, device=clip.device)
    listed = torch.zeros(1, dtype=torch.int64, device=clip.device)
    floor = upload([noise_floor], clip)
    side = triton.cdiv(track_count, BLOCK)
    _change_kernel[(side, side)](
        clip, step_count, track_count, floor, change, pairs, listed,
        SINGLE=precision != "float64", LIST=exact, ERROR=ERROR_UNITS, SQUARES=LARGEST,
        BLOCK=BLOCK,
        num_warps=WARPS, enable_fp_fusion=False,
    )  # fmt: skip
    if exact:
        programs = min(REDO_PROGRAMS, triton.cdiv(pair_count, REDO_BLOCK))
        _redo_kernel[(programs,)](
            clip, step_count, track_count, floor, change, pairs, listed, BLOCK=REDO_BLOCK,
            num_warps=WARPS, enable_fp_fusion=False,
        )  # fmt: skip
    return change
