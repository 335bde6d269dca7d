# SPDX-License-Identifier: Apache-2.0
"""Masks of images as runs of cells: what a record holds of a mask, three numbers for each run.

An image has `MASK_CELLS` cells to its width, as high as they are wide, or a cell for each column
where it is narrower. A run is a row of cells, its first and its last column.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MASK_CELLS = 160
"""Cells across an image."""


def grid_shape(size: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of the cells of an image (W, H).

    Example:
        >>> grid_shape((648, 484)), grid_shape((112, 84))
        ((120, 160), (84, 112))
    """
    width, height = size
    columns = min(MASK_CELLS, width)
    return math.ceil(columns * height / width), columns


def runs_of(cells: NDArray[np.bool_]) -> tuple[int, ...]:
    """Runs of the cells (rows, columns) that are set: row, first and last column of each in turn.

    Example:
        >>> runs_of(np.array([[False, True, True], [True, False, True]]))
        (0, 1, 2, 1, 0, 0, 1, 2, 2)
    """
    edges = np.diff(np.pad(cells.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    rows, first = np.nonzero(edges == 1)
    _, end = np.nonzero(edges == -1)
    return tuple(np.stack([rows, first, end - 1], axis=1).ravel().tolist())


def cells_of(runs: Sequence[int], size: tuple[int, int]) -> NDArray[np.bool_]:
    """The cells (rows, columns) of an image (W, H) that are in runs; see `runs_fault`."""
    cells = np.zeros(grid_shape(size), np.bool_)
    for row, first, last in zip(runs[::3], runs[1::3], runs[2::3], strict=True):
        cells[row, first : last + 1] = True
    return cells


def cell_count(runs: Sequence[int]) -> int:
    """How many cells are in runs.

    Example:
        >>> cell_count((0, 1, 2, 1, 0, 0))
        3
    """
    return sum(runs[2::3]) - sum(runs[1::3]) + len(runs) // 3


def edge_count(runs: Sequence[int], size: tuple[int, int]) -> int:
    """How many cells of an image (W, H) in runs have one beside, above or below that is in none.

    Past the image there are no cells: what it cuts off has no edge there.

    Example:
        >>> edge_count((0, 0, 2, 1, 0, 2, 2, 0, 2), (5, 5))
        5
    """
    cells = np.pad(cells_of(runs, size), 1, constant_values=True)
    inner = cells[:-2, 1:-1] & cells[2:, 1:-1] & cells[1:-1, :-2] & cells[1:-1, 2:]
    return int(np.count_nonzero(cells[1:-1, 1:-1] & ~inner))


def runs_fault(runs: Sequence[int], size: tuple[int, int]) -> str:
    """What is wrong with runs on an image (W, H), or ""."""
    if len(runs) % 3 or not all(type(one) is int for one in runs):
        return "a mask is no list of whole numbers by threes"
    rows, columns = grid_shape(size)
    before = (-1, columns)
    for row, first, last in zip(runs[::3], runs[1::3], runs[2::3], strict=True):
        if not (0 <= row < rows and 0 <= first <= last < columns):
            return f"a mask of cells outside its image: row {row}, columns {first} to {last}"
        if (row, first) <= (before[0], before[1] + 1):
            return f"a mask whose runs touch or are out of order, at row {row}, column {first}"
        before = row, last
    return ""
