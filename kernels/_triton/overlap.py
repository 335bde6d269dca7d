# SPDX-License-Identifier: Apache-2.0
"""Pairwise intersections of packed point sets by popcount. Contract: spatialcore.overlap.

    words         (F, 2 W)  int32, the halves of the mask's 64-bit words   in
    intersection  (F, F)    int32, symmetric, counts on the diagonal       out

Exact integers. A program owns a tile of BLOCK x BLOCK pairs and streams the words, STEP halves at a
time; tiles below the diagonal are written by their mirror images. Popcount is written with shifts
and one multiplication: the form that the compiler turns into `popc` (a last step of shifts is not
recognised, and twice the code) and that the interpreter can run. Bytes: 2
BLOCK rows of 8 W for BLOCK^2 pairs.
Docs: docs/gpu.md. Tests: tests/ops/test_triton.py.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl

from spatialcore._triton.place import check_place
from spatialcore.bitmask import BitMask

BLOCK = 16  # 16 x 16 pairs x 32 halves is the largest product that stays in registers
STEP = 32


@triton.jit
def _overlap_kernel(
    words,  # (F, half_count)
    intersection,  # (F, F)
    frame_count,
    half_count,
    BLOCK: tl.constexpr,
    STEP: tl.constexpr,
):
    if tl.program_id(1) < tl.program_id(0):
        return
    rows = (tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)).to(tl.int64)
    columns = (tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)).to(tl.int64)
    counts = tl.zeros((BLOCK, BLOCK), dtype=tl.int32)
    for first in range(0, half_count, STEP):
        half = first + tl.arange(0, STEP)
        inside = half[None, :] < half_count
        a = tl.load(
            words + rows[:, None] * half_count + half[None, :],
            mask=(rows[:, None] < frame_count) & inside,
            other=0,
        )
        b = tl.load(
            words + columns[:, None] * half_count + half[None, :],
            mask=(columns[:, None] < frame_count) & inside,
            other=0,
        )
        x = (a[:, None, :] & b[None, :, :]).to(tl.uint32)
        x = x - ((x >> 1) & 0x55555555)
        x = (x & 0x33333333) + ((x >> 2) & 0x33333333)
        x = (x + (x >> 4)) & 0x0F0F0F0F
        x = (x * 0x01010101) >> 24
        counts += tl.sum(x.to(tl.int32), axis=2)
    both = (rows[:, None] < frame_count) & (columns[None, :] < frame_count)
    tl.store(intersection + rows[:, None] * frame_count + columns[None, :], counts, mask=both)
    tl.store(intersection + columns[None, :] * frame_count + rows[:, None], counts, mask=both)


def pairwise_overlap(visible: BitMask, threads: int = 0) -> Any:
    """Intersections (F, F) int32 on the words' device; contract: `spatialcore.overlap`.

    Raises:
        BackendUnavailable: The words live on the host and Triton does not interpret.
    """
    words = visible.words
    check_place(words)
    frame_count = len(words)
    intersection = torch.zeros((frame_count, frame_count), dtype=torch.int32, device=words.device)
    if frame_count and words.shape[1]:
        halves = words.contiguous().view(torch.int32)
        side = triton.cdiv(frame_count, BLOCK)
        _overlap_kernel[(side, side)](
            halves, intersection, frame_count, halves.shape[1], BLOCK=BLOCK, STEP=STEP
        )
    return intersection
