# SPDX-License-Identifier: Apache-2.0
"""Triton kernels that do one instruction again and again, with nothing read and little written."""

from __future__ import annotations

import triton
import triton.language as tl

BLOCK = 512
ROUNDS = 2048


@triton.jit
def root_rounds(out, ROUNDS: tl.constexpr, BLOCK: tl.constexpr):
    """X = sqrt(x + 1), rounded, ROUNDS times in every lane; the type is that of `out`."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(out + at)
    for _ in range(ROUNDS):
        y = x + 1
        if x.dtype == tl.float32:  # noqa: SIM108 - each type has its own root
            x = tl.sqrt_rn(y)
        else:
            x = tl.sqrt(y)
    tl.store(out + at, x)


@triton.jit
def popcount_rounds(out, ROUNDS: tl.constexpr, BLOCK: tl.constexpr):
    """X += popcount(x ^ round), ROUNDS times in every lane of 32 bits."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    total = tl.load(out + at).to(tl.uint32) + at.to(tl.uint32)
    for i in range(ROUNDS):
        x = total ^ i.to(tl.uint32)
        x = x - ((x >> 1) & 0x55555555)
        x = (x & 0x33333333) + ((x >> 2) & 0x33333333)
        x = (x + (x >> 4)) & 0x0F0F0F0F
        total += (x * 0x01010101) >> 24
    tl.store(out + at, total.to(tl.int32))
