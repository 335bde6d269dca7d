# SPDX-License-Identifier: Apache-2.0
"""The cells of an image that show an object, from the points of the scene that are seen there.

A cell is the object's where a point of it is seen near to its middle, not farther off than the
object's points are apart, and those of other things are 1.4 times as far or farther. A mesh has
points along the edges of a thing, and those of what is behind begin some way off: halfway between
lies on what is behind. So a mask ends close to the object's last points where something else is
seen beside them, and in gaps through which it is seen. Points of other things that lie between
those of the object do not count: of the wall right behind a door some are taken for seen, since the
sensor is not exact enough to tell.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spatial_engine.records.marks import cell_of
from spatial_engine.records.mask_rule import (
    APART,
    GAP,
    NEIGHBOUR,
    REACH,
    Apart,
    Pixels,
    clear_of,
    middles,
    outside,
)
from spatialcore.types import Float64

if TYPE_CHECKING:
    from scipy.spatial import cKDTree


def mask_cells(own: Pixels, others: Pixels, size: tuple[int, int]) -> NDArray[np.bool_]:
    """The cells (rows, columns) of an image that show an object, by trees of its pixels.

    Args:
        own: (n, 2) distinct pixels (column, row) of the object's points that are seen.
        others: (m, 2) those of all other points that are seen.
        size: (W, H) of the image.

    Returns:
        No cell is set of an object of so few pixels that none has `NEIGHBOUR` others.
    """
    from scipy.ndimage import distance_transform_edt
    from scipy.spatial import cKDTree

    rows, columns = middles(size)
    cells = np.zeros((len(rows), len(columns)), np.bool_)
    if len(own) <= NEIGHBOUR:
        return cells
    tree = cKDTree(own)
    apart = Apart.of(_squared(tree.query(own, k=[NEIGHBOUR + 1])[0][:, 0]))
    low, high = own.min(axis=0) - apart.reach, own.max(axis=0) + apart.reach
    near_rows = np.flatnonzero((rows >= low[1]) & (rows <= high[1]))
    near_columns = np.flatnonzero((columns >= low[0]) & (columns <= high[0]))
    at = np.stack(np.meshgrid(columns[near_columns], rows[near_rows]), axis=-1).reshape(-1, 2)
    if not len(at):
        return cells
    mine = _nearest(tree, at, apart.reach)
    window = np.ix_(near_rows, near_columns)
    shape = len(near_rows), len(near_columns)
    near = apart.within(mine, GAP).reshape(shape)
    if not (near.all() and near.shape == cells.shape):  # then there is no way out of them
        past = [(int(k[0] > 0), int(k[-1] + 1 < n))
                for k, n in zip((near_rows, near_columns), cells.shape, strict=True)]  # fmt: skip
        steps = distance_transform_edt(np.pad(near, past))[past[0][0] :, past[1][0] :]
        near = apart.off_gaps(_squared(steps[: shape[0], : shape[1]]), size)
    cells[window] = near
    reach = math.ceil(math.sqrt(APART) * apart.reach)  # beyond it nothing is too near to a cell
    (u, v), (u0, v0), (u1, v1) = others.T, low - reach, high + reach
    around = (u >= u0) & (u <= u1) & (v >= v0) & (v <= v1)
    beside = outside(others[around], cells, size)
    shown = apart.within(mine, REACH)
    if len(beside):
        # A cell that is farther from the object than it reaches is none of its cells anyway.
        shown[shown] = clear_of(mine[shown], _nearest(cKDTree(beside), at[shown], reach))
    cells[:] = False
    cells[window] = shown.reshape(shape)
    return cells


def _nearest(tree: cKDTree, at: Pixels, reach: int) -> Pixels:
    """(n,) squared distances to the nearest pixel of a tree; of those beyond a reach some more."""
    away, _ = tree.query(at, distance_upper_bound=reach + 1)
    return _squared(np.minimum(away, 2 * reach + 2))


def _squared(distances: NDArray[np.float64]) -> Pixels:
    """Squares of distances between pixels: whole numbers, so that no last bit decides."""
    return np.rint(distances * distances).astype(np.int64)


def seen_runs(
    uv: Float64, truth: Sequence[float], size: tuple[int, int]
) -> list[tuple[int, int, int]]:
    """The cells of an image that show an object, as (row, first column, last column) of runs.

    Cells are `marks.CELLS` to the width and as high as wide. Those with a visible vertex, those
    between two of them, and that of the truth, which is one of them but for its rounding.

    Args:
        uv: (n, 2) pixels of the visible vertices.
        truth: The point in 0..1000.
        size: (W, H) of the image.
    """
    shares = 1000 * uv / np.array(size)
    cells = {cell_of(float(x), float(y), size) for x, y in shares.tolist()}
    cells.add(cell_of(truth[0], truth[1], size))
    runs: list[tuple[int, int, int]] = []
    for column, row in sorted(cells, key=lambda cell: (cell[1], cell[0])):
        if runs and runs[-1][0] == row and column - runs[-1][2] <= 2:
            runs[-1] = (row, runs[-1][1], column)
        else:
            runs.append((row, column, column))
    return runs
