# SPDX-License-Identifier: Apache-2.0
"""Overlap of frames: how many scene points two frames both see, for every pair."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spatialcore import _dispatch
from spatialcore._check import check_choice, check_threads, library_of
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

        shared, count = self.intersection.double(), self.count.double()
        union = count[:, None] + count[None, :] - shared
        return (shared / union.clamp(min=1.0)).to(getattr(torch, name))


class PairBlock(NamedTuple):
    """Pairs of frames that share points, sorted by (i, j).

    Attributes:
        i: (n,) int32 first frame.
        j: (n,) int32 second frame, i < j.
        intersection: (n,) uint32, at least 1.
    """

    i: NDArray[np.int32]
    j: NDArray[np.int32]
    intersection: NDArray[np.uint32]


def pairwise_overlap(
    visible: BitMask, *, backend: str | None = None, threads: int | None = None
) -> Overlap:
    """Intersection over union of the visible point sets of every pair of frames.

    Args:
        visible: BitMask, F frames x P points.
        backend: "reference", "cpu", "cuda", "triton"; None chooses by where the words live.
        threads: CPU threads; None uses the process's affinity mask.

    Returns:
        Overlap(intersection (F, F) uint32, count (F,) uint32, iou (F, F) float64); iou is computed
        on first use and is 0 where both sets are empty. The integers are exact on every backend.

    Raises:
        TypeError: `visible` is not a BitMask; the message names what came.
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
    _check_mask(visible)
    run = _dispatch.kernel("overlap", "pairwise_overlap", backend, [visible.words])
    intersection = run(visible, check_threads(threads))
    count = intersection.diagonal()
    return Overlap(intersection, count.copy() if library_of(count) == "numpy" else count)


def overlapping_pairs(visible: BitMask, *, threads: int | None = None) -> Iterator[PairBlock]:
    """Pairs of frames that share at least one point, in blocks of bounded memory.

    At most 64 MiB of intersections are held at once, so 10,000 frames need no F x F array.

    Args:
        visible: BitMask, F frames x P points, numpy words.
        threads: CPU threads; None uses the process's affinity mask.

    Yields:
        PairBlock(i, j, intersection); blocks follow each other in the order of (i, j).

    Raises:
        TypeError: `visible` is not a BitMask.
        BackendUnavailable: The words do not live on the host.

    Examples:
        >>> seen = np.array([[True, True, False], [False, True, True], [False, False, False]])
        >>> [block] = overlapping_pairs(BitMask.from_bool(seen))
        >>> block.i.tolist(), block.j.tolist(), block.intersection.tolist()
        ([0], [1], [1])
    """
    _check_mask(visible)
    open_rows = _dispatch.kernel("overlap", "OverlapRows", "cpu", [visible.words])
    return _pair_blocks(open_rows(visible, check_threads(threads)), len(visible))


def _pair_blocks(rows: Any, frame_count: int) -> Iterator[PairBlock]:
    step = max(1, _STRIP_BYTES // max(1, 4 * frame_count))
    for begin in range(0, frame_count, step):
        block = PairBlock(*rows.pairs(begin, min(begin + step, frame_count)))
        if len(block.i):
            yield block


def _check_mask(visible: object) -> None:
    if not isinstance(visible, BitMask):
        raise TypeError(f"visible must be a BitMask, got {type(visible).__name__}")
