# SPDX-License-Identifier: Apache-2.0
"""The cells of an image that show an object, a second time: by all pixels of a window, no tree.

The other way is `spatial_engine.engines.masks`, which states the rule.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from spatial_engine.records.mask_rule import (
    GAP,
    NEIGHBOUR,
    REACH,
    Apart,
    Pixels,
    clear_of,
    middles,
    outside,
)

_FEW = 1024  # pixels that are compared with one another, since they may lie far apart
_FIRST_RING = 8  # pixels: of more, the sixth nearest of half of them is hardly ever farther off
_FAR = np.iinfo(np.int64).max


def reference_mask_cells(own: Pixels, others: Pixels, size: tuple[int, int]) -> NDArray[np.bool_]:
    """The cells (rows, columns) of an image that show an object; arguments as of `mask_cells`."""
    rows, columns = middles(size)
    cells = np.zeros((len(rows), len(columns)), np.bool_)
    if len(own) <= NEIGHBOUR:
        return cells
    apart = _apart(own)
    corner = own.min(axis=0) - 3 * apart.reach
    window = tuple((own.max(axis=0) + 3 * apart.reach + 1 - corner).tolist()[::-1])
    mine = _away(own, corner, window)
    near = apart.within(mine, GAP)
    r, c = (k.ravel() for k in np.meshgrid(*map(np.arange, cells.shape), indexing="ij"))
    v, u = rows[r] - corner[1], columns[c] - corner[0]
    inside = (v >= 0) & (v < window[0]) & (u >= 0) & (u < window[1])
    r, c, v, u = (k[inside] for k in (r, c, v, u))
    cells[r, c] = near[v, u]
    beside = outside(others, _without_rim(cells, apart, size), size)
    shown = apart.within(mine, REACH) & clear_of(mine, _away(beside, corner, window))
    cells[r, c] = shown[v, u]
    return cells


def _without_rim(
    cells: NDArray[np.bool_], apart: Apart, size: tuple[int, int]
) -> NDArray[np.bool_]:
    """The cells that have only such cells about them, as far as a gap; past the image all are."""
    from scipy.ndimage import binary_erosion

    most = math.ceil(GAP * math.sqrt(apart.squared) * cells.shape[1] / size[0]) + 2
    y, x = np.mgrid[-most : most + 1, -most : most + 1]
    disc = ~apart.off_gaps(x**2 + y**2, size)
    return np.asarray(binary_erosion(cells, structure=disc, border_value=1))


def _apart(own: Pixels) -> Apart:
    """How far the pixels are apart, by counting the others of each ring by ring.

    The least squared distance within which more than half of the pixels have six others.
    """
    if len(own) <= _FEW:
        away = ((own[:, None] - own[None]) ** 2).sum(axis=2)
        return Apart.of(np.partition(away, NEIGHBOUR, axis=1)[:, NEIGHBOUR])  # itself is none
    low, far = own.min(axis=0), _FIRST_RING
    while True:
        there = np.zeros(own.max(axis=0) - low + 2 * far + 1, np.bool_)
        at = own - low + far
        there[at[:, 0], at[:, 1]] = True
        others = np.full(len(own), -1)  # itself is none
        steps = np.indices((2 * far + 1, 2 * far + 1)).reshape(2, -1).T - far
        squared = (steps**2).sum(axis=1)
        for ring in np.unique(squared[squared <= far**2]).tolist():
            for u, v in steps[squared == ring].tolist():
                others += there[at[:, 0] + u, at[:, 1] + v]
            if np.count_nonzero(others >= NEIGHBOUR) > len(own) // 2:
                return Apart(ring)
        far *= 2


def _away(pixels: Pixels, corner: Pixels, window: tuple[int, ...]) -> Pixels:
    """(h, w) squared distance of every pixel of a window to the nearest of some pixels in it."""
    from scipy.ndimage import distance_transform_edt

    at = pixels - corner
    at = at[((at >= 0) & (at < np.array(window[::-1]))).all(axis=1)]
    if not len(at):
        return np.full(window, _FAR)
    free = np.ones(window, np.bool_)
    free[at[:, 1], at[:, 0]] = False
    nearest = distance_transform_edt(free, return_distances=False, return_indices=True)
    here = np.indices(window)
    return np.asarray(((nearest - here) ** 2).sum(axis=0), dtype=np.int64)
