# SPDX-License-Identifier: Apache-2.0
"""The cells of an image that show an object, from the points of the scene that are seen there.

A cell is the object's where the point that is seen nearest to its middle is one of the object's,
and not farther off than its points are apart. So a mask ends halfway to what stands before, behind
or beside the object, and in gaps through which something else is seen. Points of other things that
lie between those of the object do not count: of the wall right behind a door some are taken for
seen, since the sensor is not exact enough to tell.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spatial_engine.records.marks import cell_of
from spatial_engine.records.mask_rule import GAP, NEIGHBOUR, REACH, Apart, Pixels, middles, outside
from spatialcore.types import Float64


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
    mine = _squared(tree.query(at)[0])
    window = np.ix_(near_rows, near_columns)
    shape = len(near_rows), len(near_columns)
    cells[window] = apart.within(mine, GAP).reshape(shape)
    if not cells.all():
        cells &= apart.off_gaps(_squared(distance_transform_edt(cells)), size)
    beside = outside(others, cells, size)
    reach = apart.reach
    beside = beside[((beside >= low - reach) & (beside <= high + reach)).all(axis=1)]
    theirs = np.full(len(at), np.iinfo(np.int64).max)
    if len(beside):
        theirs = _squared(cKDTree(beside).query(at)[0])
    cells[:] = False
    cells[window] = (apart.within(mine, REACH) & (mine <= theirs)).reshape(shape)
    return cells


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
