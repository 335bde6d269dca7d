# SPDX-License-Identifier: Apache-2.0
"""Overlap on a GPU: popcount, one-bit matrix products and Triton against torch's products."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any
from unittest.mock import patch

import numpy as np

from benchmarks.device.tables import Variant
from spatialcore import BitMask, _cpu, pairwise_overlap, pairwise_overlap_batch
from spatialcore._libraries import on_host


def random_mask(frame_count: int, point_count: int, seed: int = 0) -> BitMask:
    """A third of the bits set: nothing to skip."""
    rng = np.random.default_rng(seed)
    words = rng.integers(0, 1 << 63, (frame_count, -(-point_count // 64)), np.uint64)
    words &= rng.integers(0, 1 << 63, words.shape, np.uint64)
    if point_count % 64:
        words[:, -1] &= np.uint64((1 << point_count % 64) - 1)
    return BitMask(words, point_count)


def to_device(mask: BitMask, device: str) -> BitMask:
    """The mask with torch words."""
    import torch

    return BitMask(torch.from_numpy(mask.words.view(np.int64)).to(device), mask.point_count)


def by(method: str, run: Callable[[], Any]) -> Callable[[], Any]:
    """`run` with the method for overlaps fixed instead of chosen by size."""
    least = 0 if method == "tensor cores" else 1 << 62
    module = import_module("spatialcore._cuda")

    def fixed() -> Any:
        with patch.object(module, "TENSOR_CORE_FRAMES", least):
            return run()

    return fixed


def variants(mask: BitMask, device: str, rates: dict[str, float]) -> list[Variant]:
    """Ours and peers on one mask. Floors: a popcount each 32 bits, a byte product each bit."""
    import torch

    expected = _cpu.pairwise_overlap(mask, 0)
    placed = to_device(mask, device)
    frame_count, width = placed.words.shape
    bit_pairs = frame_count * (frame_count + 1) / 2 * 64 * width
    counted = rates.get("popcount_32_bits")
    popcount_floor = None if counted is None else bit_pairs / 32 / counted
    byte_floor = 2 * frame_count**2 * 64 * width / rates["matrix_int8"]

    def wrong(got: Any) -> float:
        counts = on_host(getattr(got, "intersection", got)).astype(np.int64)
        return float(np.abs(counts - expected).max(initial=0))

    def ours(backend: str) -> Callable[[], Any]:
        return lambda: pairwise_overlap(placed, backend=backend)

    made = [
        Variant("ours, cuda, by size", ours("cuda"), wrong),
        Variant("ours, cuda, tensor cores", by("tensor cores", ours("cuda")), wrong),
        Variant("ours, cuda, popcount", by("popcount", ours("cuda")), wrong, floor=popcount_floor),
        Variant("ours, triton", ours("triton"), wrong, needs=("triton",), floor=popcount_floor),
    ]
    # Peers get their bytes for nothing, then pay for them: both are shown.
    octets = placed.to_bool().to(torch.int8)
    pad = (-len(octets)) % 32
    padded = torch.nn.functional.pad(octets, (0, (-octets.shape[1]) % 16, 0, pad))
    halves = octets.to(torch.bfloat16) if frame_count <= 1000 else None

    def int8_product(a: Any) -> Any:
        return torch._int_mm(a, a.T)[:frame_count, :frame_count]

    def end_to_end() -> Any:
        bits = placed.to_bool().to(torch.int8)
        return int8_product(torch.nn.functional.pad(bits, (0, (-bits.shape[1]) % 16, 0, pad)))

    made.append(
        Variant("torch int8 product, unpacked", lambda: int8_product(padded), wrong,
                floor=byte_floor)
    )  # fmt: skip
    made.append(Variant("torch int8 product, end to end", end_to_end, wrong, capture=False))
    if halves is not None:  # bfloat16 holds 8 bits: rounded counts, no overlap, only a speed
        made.append(
            Variant("torch bfloat16 product, not exact", lambda: (halves @ halves.T).float(),
                    wrong, float(mask.point_count))
        )  # fmt: skip
    return made


def batch_variants(masks: list[BitMask], device: str) -> list[Variant]:
    """Many masks: one launch, and one after another."""
    expected = [_cpu.pairwise_overlap(mask, 0) for mask in masks]
    placed = [to_device(mask, device) for mask in masks]

    def wrong(got: Any) -> float:
        pairs = zip(got, expected, strict=True)
        return float(max(abs(on_host(a.intersection) - b.astype(np.int64)).max() for a, b in pairs))

    return [
        Variant("ours, one launch", lambda: pairwise_overlap_batch(placed, backend="cuda"), wrong,
                capture=False),
        Variant("ours, one by one",
                lambda: [pairwise_overlap(mask, backend="cuda") for mask in placed], wrong),
    ]  # fmt: skip
