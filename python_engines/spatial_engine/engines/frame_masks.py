# SPDX-License-Identifier: Apache-2.0
"""The masks of one image: the pixels that are an object's, and whether a mask can point at it.

Planning asks of every object and image whether a mask is large enough, and making draws few of
them. Most are large by cells that no rule could give to anything else, which are counted for all
objects of an image at once; masks themselves are painted when they are drawn. A cell at the edge of
a mask is as often half on something else, so a small mask must not be nearly all edge.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from spatial_engine.records.mask_rule import NEIGHBOUR, Pixels, middles
from spatial_engine.records.runs import cell_count, edge_count, runs_of
from spatialcore.relations.verdict import Reason

LEAST_CELLS = 30
"""Cells of a mask."""
FEW_CELLS = 150
"""Cells of a mask that may be as thin as it is: of two or three cells a quarter can be off."""
EDGE_SHARE = 0.7
"""Of the cells of a smaller one, that lie at its edge: more where it is under three cells wide."""
Paint = Callable[[Pixels, Pixels, tuple[int, int]], NDArray[np.bool_]]
_EMPTY, _OTHER, _FIRST = 0, 1, 2  # no point, another thing or several, the first object


def pixel_keys(uv: NDArray[np.float64], size: tuple[int, int]) -> Pixels:
    """(n,) row * width + column of the pixels that (n, 2) places round to in an image (W, H)."""
    pixels = np.clip(np.rint(uv), 0, np.array(size) - 1).astype(np.int64)
    return np.asarray(pixels[:, 1] * size[0] + pixels[:, 0])


class FrameMasks:
    """What an image shows of objects, as cells.

    Args:
        size: (W, H) of the image.
        rest: (n,) `pixel_keys` of the points that are seen of no object.
        own: Those of each object.
        paint: The cells that show pixels, and not other ones.
    """

    def __init__(
        self, size: tuple[int, int], rest: Pixels, own: Mapping[int, Pixels], paint: Paint
    ) -> None:
        self._size, self._own, self._paint = size, own, paint
        self._label = {object_id: _FIRST + k for k, object_id in enumerate(own)}
        image = self._labelled(rest)
        self._keys = np.flatnonzero(image)
        self._labels = image[self._keys]
        self._sole = np.bincount(self._labels, minlength=_FIRST + len(own))
        self._sure = np.bincount(self._sure_cells(image), minlength=_FIRST + len(own))
        self._runs: dict[int, tuple[int, ...]] = {}

    def _labelled(self, rest: Pixels) -> NDArray[np.int32]:
        """(H * W,) what each pixel shows."""
        image = np.full(self._size[0] * self._size[1], _EMPTY, np.int32)
        keys = np.concatenate([np.zeros(0, np.int64), *self._own.values()])
        labels = np.repeat(list(self._label.values()), [len(own) for own in self._own.values()])
        image[keys] = labels
        image[keys[image[keys] != labels]] = _OTHER  # several objects: one of them was written
        image[rest] = _OTHER
        return image

    def _sure_cells(self, image: NDArray[np.int32]) -> NDArray[np.int32]:
        """The labels of the cells that show something by any spacing of its points.

        Of the nine pixels about a cell's middle some are an object's and none another's: the
        former lie within a diagonal of pixels, the latter 1.4 times as far off. Six neighbours are
        no nearer than such a diagonal, and a mask reaches farther than that.
        """
        rows, columns = middles(self._size)
        width, height = self._size
        wide = np.zeros((max(height, int(rows[-1]) + 1) + 2, width + 2), np.int32)
        wide[1 : height + 1, 1:-1] = image.reshape(height, width)
        low = np.full((len(rows), len(columns)), np.iinfo(np.uint32).max, np.uint32)
        high = np.zeros(low.shape, np.int32)
        for down in range(3):
            for right in range(3):
                seen = wide[rows + down].take(columns + right, axis=1)
                np.maximum(high, seen, out=high)
                # Less one: what is empty comes last.
                np.minimum(low, (seen - 1).view(np.uint32), out=low)
        return np.asarray(high[(low == high.view(np.uint32) - 1) & (high >= _FIRST)])

    def fault(self, object_id: int) -> Reason | None:
        """Why no mask can point at an object which the image shows something of, or None.

        Returns:
            `mask_small` (fewer than `LEAST_CELLS`), or `mask_thin` (fewer than `FEW_CELLS`, and
            more than `EDGE_SHARE` of them have one beside, above or below them without a mask).
        """
        label = self._label[object_id]
        if self._sole[label] > NEIGHBOUR and self._sure[label] >= FEW_CELLS:
            return None
        runs = self.runs(object_id)
        count = cell_count(runs)
        if count < LEAST_CELLS:
            return Reason.MASK_SMALL
        thin = count < FEW_CELLS and edge_count(runs, self._size) > EDGE_SHARE * count
        return Reason.MASK_THIN if thin else None

    def runs(self, object_id: int) -> tuple[int, ...]:
        """Runs of the cells that show an object which the image shows something of."""
        if object_id not in self._runs:
            mine, width = np.unique(self._own[object_id]), self._size[0]
            theirs = self._keys[self._labels != self._label[object_id]]
            own, others = (np.stack([k % width, k // width], axis=1) for k in (mine, theirs))
            self._runs[object_id] = runs_of(self._paint(own, others, self._size))
        return self._runs[object_id]
