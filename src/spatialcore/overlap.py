# SPDX-License-Identifier: Apache-2.0
"""Overlap of frames: how many scene points two frames both see, for every pair."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from spatialcore import _dispatch
from spatialcore._check import check_choice, check_threads, dtype_of, library_of, on_host
from spatialcore._libraries import library_at
from spatialcore.bitmask import BitMask

_STRIP_BYTES = 64 << 20  # one strip of intersections in `overlapping_pairs`
_IOU_ROWS = 64  # rows of the quotient computed at once: no second (F, F) array is held


@dataclass(frozen=True, eq=False)
class Overlap:
    """Intersections of every pair of frames.

    Attributes:
        intersection: (F, F) uint32, symmetric; the diagonal holds the counts.
        count: (F,) uint32, visible points of each frame.
    """

    intersection: Any
    count: Any

    @cached_property
    def iou(self) -> Any:
        """(F, F) float64 intersection over union in [0, 1], 0 where both sets are empty."""
        return self.iou_as(np.float64)

    def iou_as(self, dtype: Any) -> Any:
        """Intersection over union, divided in float64 and stored as `dtype`.

        Args:
            dtype: float32 or float64; the numpy name serves for torch and cupy arrays too.

        Returns:
            (F, F) of `dtype`, on the device of the intersections; not kept.
        """
        name = np.dtype(dtype).name
        check_choice("dtype", name, ("float32", "float64"))
        if library_of(self.intersection) == "torch":
            return self._iou_torch(name)
        xp: Any = import_module(library_of(self.intersection))
        out = xp.zeros(self.intersection.shape, name)
        count = self.count.astype(np.float64)
        for begin in range(0, len(out), _IOU_ROWS):
            rows = slice(begin, begin + _IOU_ROWS)
            shared = self.intersection[rows].astype(np.float64)
            union = count[rows, None] + count[None, :] - shared
            out[rows] = shared / xp.maximum(union, 1.0)
        return out

    def _iou_torch(self, name: str) -> Any:
        import torch

        # Counts are unsigned bits in int32.
        shared = (self.intersection.long() & 0xFFFFFFFF).double()
        count = (self.count.long() & 0xFFFFFFFF).double()
        union = count[:, None] + count[None, :] - shared
        return (shared / union.clamp(min=1.0)).to(getattr(torch, name))


class PairBlock(NamedTuple):
    """Pairs of frames that share points, sorted by (i, j), where the mask lives.

    Attributes:
        i: (n,) int32 first frame; int64 on a GPU.
        j: (n,) int32 second frame, i < j; int64 on a GPU.
        intersection: (n,) uint32, at least 1.
    """

    i: Any
    j: Any
    intersection: Any


def pairwise_overlap(
    visible: BitMask | Any, *, backend: str | None = None, threads: int | None = None
) -> Overlap:
    """Intersection over union of the visible point sets of every pair of frames.

    Args:
        visible: BitMask, F frames x P points; or (F, P) bool, which is packed first.
        backend: "reference", "cpu", "cuda", "triton"; None chooses by where the words live.
        threads: CPU threads; None uses the process's affinity mask.

    Returns:
        Overlap(intersection (F, F) uint32, count (F,) uint32, iou (F, F) float64); iou is computed
        on first use and is 0 where both sets are empty. The integers are exact on every backend.

    Raises:
        TypeError: `visible` is neither a BitMask nor boolean; the message names what came.
        BackendUnavailable: The backend is not installed, or cannot run these arrays.

    Source: MultiSPA (arXiv 2505.17015), eq. 4. Cost: F^2 P / 2 bits; see docs/ops/overlap.md.

    Examples:
        >>> seen = np.array([[True, True, False], [False, True, True], [False, False, False]])
        >>> overlap = pairwise_overlap(BitMask.from_bool(seen))
        >>> overlap.intersection.tolist()
        [[2, 1, 0], [1, 2, 0], [0, 0, 0]]
        >>> overlap.iou[0].round(3).tolist()
        [1.0, 0.333, 0.0]
    """
    if library_of(visible) and dtype_of(visible) == "bool":
        visible = BitMask.from_bool(on_host(visible))
    _check_mask(visible)
    run = _dispatch.kernel("overlap", "pairwise_overlap", backend, [visible.words])
    return _overlap(run(visible, check_threads(threads)))


def pairwise_overlap_batch(
    masks: Sequence[BitMask], *, backend: str | None = None, threads: int | None = None
) -> list[Overlap]:
    """`pairwise_overlap` of many masks.

    With "cuda" all masks are one launch, since one scene does not fill a GPU; the other backends
    take them one after another. The integers are those of `pairwise_overlap`.

    Args:
        masks: BitMasks of any sizes, all in one place.
        backend: As for `pairwise_overlap`.
        threads: CPU threads; None uses the process's affinity mask.

    Returns:
        An Overlap for each mask, in order.

    Raises:
        TypeError: One is not a BitMask.
        ValueError: The masks live in more than one place.
        BackendUnavailable: The backend is not installed, or cannot run these arrays.

    Examples:
        >>> masks = [BitMask.from_bool(np.ones((f, 5), bool)) for f in (1, 2)]
        >>> [overlap.intersection.tolist() for overlap in pairwise_overlap_batch(masks)]
        [[[5]], [[5, 5], [5, 5]]]
    """
    for mask in masks:
        _check_mask(mask)
    workers = check_threads(threads)
    if not masks:
        return []
    words = [mask.words for mask in masks]
    run = _dispatch.batch_kernel("overlap", "pairwise_overlap", backend, words)
    if run is None:
        return [pairwise_overlap(mask, backend=backend, threads=threads) for mask in masks]
    return [_overlap(intersection) for intersection in run(masks, workers)]


def _overlap(intersection: Any) -> Overlap:
    count = intersection.diagonal()
    return Overlap(intersection, count.copy() if library_of(count) == "numpy" else count)


def overlapping_pairs(visible: BitMask, *, threads: int | None = None) -> Iterator[PairBlock]:
    """Pairs of frames that share at least one point, in blocks of bounded memory.

    On the host at most 64 MiB of intersections are held at once, so 10,000 frames need no F x F
    array. On a GPU the F x F intersections are one launch, and every block waits for its size.

    Args:
        visible: BitMask, F frames x P points.
        threads: CPU threads; None uses the process's affinity mask.

    Yields:
        PairBlock(i, j, intersection); blocks follow each other in the order of (i, j).

    Raises:
        TypeError: `visible` is not a BitMask.
        BackendUnavailable: No backend can run these arrays.

    Examples:
        >>> seen = np.array([[True, True, False], [False, True, True], [False, False, False]])
        >>> [block] = overlapping_pairs(BitMask.from_bool(seen))
        >>> block.i.tolist(), block.j.tolist(), block.intersection.tolist()
        ([0], [1], [1])
    """
    _check_mask(visible)
    if library_of(visible.words) != "numpy":
        return _device_blocks(pairwise_overlap(visible, threads=threads).intersection)
    open_rows = _dispatch.kernel("overlap", "OverlapRows", "cpu", [visible.words])
    return _pair_blocks(open_rows(visible, check_threads(threads)), len(visible))


def _pair_blocks(rows: Any, frame_count: int) -> Iterator[PairBlock]:
    step = max(1, _STRIP_BYTES // max(1, 4 * frame_count))
    for begin in range(0, frame_count, step):
        block = PairBlock(*rows.pairs(begin, min(begin + step, frame_count)))
        if len(block.i):
            yield block


def _device_blocks(intersection: Any) -> Iterator[PairBlock]:
    """Blocks of the upper triangle of intersections that lie on a GPU."""
    lib = library_at(intersection)
    frame_count = len(intersection)
    frames = lib.arange(frame_count, "int64")
    step = max(1, _STRIP_BYTES // max(1, 4 * frame_count))
    for begin in range(0, frame_count, step):
        strip = intersection[begin : begin + step]
        shared = (strip != 0) & (frames[None, :] > frames[begin : begin + step, None])
        i, j = lib.nonzero(shared)
        if len(i):
            yield PairBlock(i + begin, j, strip[i, j])


def _check_mask(visible: object) -> None:
    if not isinstance(visible, BitMask):
        raise TypeError(f"visible must be a BitMask, got {type(visible).__name__}")
