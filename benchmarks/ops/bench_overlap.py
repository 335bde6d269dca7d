# SPDX-License-Identifier: Apache-2.0
"""Pairwise overlap against array libraries and bit-vector libraries, one core.

The coherent mask has frames that see neighbouring runs of points,
as frames of a spatially sorted scan do; the random one has no structure to use.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.ops.ceilings import Ceilings
from benchmarks.ops.compare import Comparison, Variant, options, write
from benchmarks.ops.harness import one_thread
from spatialcore import _cpu
from spatialcore.bitmask import BitMask


def coherent_mask(frame_count: int, point_count: int) -> BitMask:
    """Frames that wander along the points; made a hundred rows at a time."""
    rng = np.random.default_rng(0)
    centre = np.cumsum(rng.normal(size=frame_count)) / np.sqrt(frame_count) % 1.0
    words = []
    for first in range(0, frame_count, 100):
        flags = np.zeros((min(100, frame_count - first), point_count), bool)
        for row, at in zip(flags, centre[first:], strict=False):
            for _ in range(30):
                begin = int((at + rng.normal() * 0.08) % 1.0 * point_count)
                row[begin : begin + point_count // 400] = True
            row &= rng.random(point_count, np.float32) < 0.8
        words.append(BitMask.from_bool(flags).words)
    return BitMask(np.concatenate(words), point_count)


def random_mask(frame_count: int, point_count: int) -> BitMask:
    return BitMask.from_bool(np.random.default_rng(0).random((frame_count, point_count)) < 0.3)


def table_of(name: str, mask: BitMask) -> Comparison:
    """The table of a mask; our paths on every set agree before anything is timed."""
    F, P = mask.shape
    expected = _cpu.pairwise_overlap(mask, 1, "dense")
    return Comparison(
        f"{name}: {F} frames x {P} points, {np.mean(mask.counts()) / P:.1%} seen",
        "bit pairs/s",
        F * (F - 1) / 2 * P,
        expected.astype(np.float64),
    )


def ours(mask: BitMask) -> list[Variant]:
    """By density, and either path by every set. A dense loop also counts the diagonal."""

    def path(name: str, isa: str) -> Variant:
        return Variant(
            f"ours, {name}, {isa}",
            lambda: _cpu.pairwise_overlap(mask, 1, name),
            isa=isa,
            ceiling="overlap_bits" if name == "dense" else "",
        )

    chosen = Variant("ours (path by density)", lambda: _cpu.pairwise_overlap(mask, 1))
    sets = [*reversed(_cpu.isas())]
    return [chosen, *(path(name, isa) for name in ("dense", "sparse") for isa in sets)]


def from_jaccard(distance: Any, count: np.ndarray) -> np.ndarray:
    """Shared points of every pair; the libraries give 1 - IoU, some of them of one triangle."""
    above = np.triu_indices(len(count), 1)  # the rest may never have been written
    iou = np.eye(len(count))
    iou[above] = 1.0 - np.asarray(distance)[above].astype(np.float64)
    iou.T[above] = iou[above]
    return np.rint(iou * (count[:, None] + count[None, :]) / (1.0 + iou))


def from_hamming(distance: Any, count: np.ndarray) -> np.ndarray:
    """Shared points of every pair from the number of points that one of both sees."""
    return (count[:, None] + count[None, :] - distance) / 2


def octets_of(mask: BitMask) -> np.ndarray:
    return np.ascontiguousarray(mask.words).view(np.uint8)


def numkong_jaccards(octets: np.ndarray) -> Any:
    import numkong

    return numkong.jaccards_symmetric(octets, dtype="uint1")


def peers(mask: BitMask, every: bool) -> list[Variant]:
    """Libraries that count common bits or give what they follow from; all of them, or the best."""
    words, count = mask.words, mask.counts().astype(np.float64)
    bits = mask.to_bool().view(np.int8)
    counted: dict[str, Callable[[Any], np.ndarray]] = {
        "jaccard": lambda d: from_jaccard(d, count),
        "hamming": lambda d: from_hamming(d, count),
        "count": np.asarray,
    }
    made = [
        Variant(name, run, counted[kind], 1.0 if kind == "jaccard" else 0.0, needs)
        for name, run, needs, kind in peer_runs(octets_of(mask), bits, every)
    ]
    if every:
        few = words[:20]
        row_by_row = lambda: np.stack([np.bitwise_count(words & row).sum(1) for row in few])  # noqa: E731
        part = len(few) / len(words) * 2
        made.append(Variant("numpy bitwise_count, row by row", row_by_row, part=part))
    return made


def peer_runs(
    octets: np.ndarray, bits: np.ndarray, every: bool
) -> list[tuple[str, Callable[[], Any], str, str]]:
    def simsimd() -> Any:
        import simsimd

        return simsimd.cdist(octets, octets, metric="jaccard", dtype="bin8")

    def faiss_hammings() -> Any:
        import faiss

        frame_count, octet_count = octets.shape
        out = np.empty((frame_count, frame_count), np.int32)
        rows = faiss.swig_ptr(octets)
        faiss.hammings(rows, rows, frame_count, frame_count, octet_count, faiss.swig_ptr(out))
        return out

    def torch_matmul() -> Any:
        import torch

        flags = torch.from_numpy(single)
        return (flags @ flags.T).numpy()

    def scipy_sparse() -> Any:
        from scipy.sparse import csr_matrix

        rows = csr_matrix(bits.astype(np.int32))
        return (rows @ rows.T).toarray()

    fastest = [
        ("numkong jaccards_symmetric", lambda: numkong_jaccards(octets), "numkong", "jaccard")
    ]
    if not every:
        return fastest
    single = bits.astype(np.float32)
    return [
        *fastest,
        ("simsimd cdist jaccard (both triangles)", simsimd, "simsimd", "jaccard"),
        ("faiss hammings (both triangles)", faiss_hammings, "faiss", "hamming"),
        ("scipy.sparse A @ A.T", scipy_sparse, "scipy", "count"),
        ("numpy float32 matmul", lambda: single @ single.T, "numpy", "count"),
        ("torch float32 matmul", torch_matmul, "torch", "count"),
    ]


def main() -> None:
    one_thread()
    ceilings, given = Ceilings(), options()
    masks = {"coherent": coherent_mask(300, 200_000), "random": random_mask(300, 200_000)}
    tables = [
        table_of(name, mask).measure([*ours(mask), *peers(mask, name == "coherent")], ceilings)
        for name, mask in masks.items()
    ]
    if not given.short:
        mask = coherent_mask(1000, 200_000)
        tables.append(
            table_of("coherent", mask).measure([*ours(mask), *peers(mask, False)], ceilings)
        )
    write("overlap", tables, ceilings, given.output)


if __name__ == "__main__":
    main()
