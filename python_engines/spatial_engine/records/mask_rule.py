# SPDX-License-Identifier: Apache-2.0
"""How far from an object's points a cell of an image is still the object's.

`spatial_engine.engines.masks` states the rule; it and `spatial_engine.reference.masks` measure the
distances, each in its own way.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spatial_engine.records.runs import grid_shape

Pixels = NDArray[np.int64]

NEIGHBOUR = 6  # of a square net of points, as far off as its diagonal
REACH = 1.25  # of the distance of that neighbour: of half of the points it is less
GAP = 0.75  # of the same: what lies less far off on all sides is a gap between points
APART = 2  # of squared distances: other things are so much farther off, 1.4 times as far


def middles(size: tuple[int, int]) -> tuple[Pixels, Pixels]:
    """Pixel rows and columns in the middles of the rows and columns of cells of an image (W, H)."""
    rows, columns = grid_shape(size)
    at = [(2 * np.arange(n) + 1) * size[0] // (2 * columns) for n in (rows, columns)]
    return at[0], at[1]


class Apart(NamedTuple):
    """How far an object's pixels are apart.

    Attributes:
        squared: Of the distance to the sixth nearest; of half of the pixels it is no more.
    """

    squared: int

    @classmethod
    def of(cls, neighbour: Pixels) -> Apart:
        """From (n,) squared distances of each pixel to the sixth nearest of the others."""
        return cls(int(np.sort(neighbour, axis=None)[len(neighbour) // 2]))

    @property
    def reach(self) -> int:
        """Pixels beyond which no cell is the object's."""
        return math.ceil(REACH * math.sqrt(self.squared))

    def within(self, own: Pixels, share: float) -> NDArray[np.bool_]:
        """Which squared distances are no more than a share of it."""
        return np.asarray(own <= share**2 * self.squared)

    def off_gaps(self, steps: Pixels, size: tuple[int, int]) -> NDArray[np.bool_]:
        """Which squared distances in cells of an image (W, H) are more than a gap and a cell.

        Middles of cells on the two sides of an edge lie up to a cell from it.
        """
        gap = GAP * math.sqrt(self.squared) * grid_shape(size)[1]
        return np.asarray(steps * size[0] ** 2 > (gap + size[0]) ** 2)


def clear_of(own: Pixels, others: Pixels) -> NDArray[np.bool_]:
    """Which cells are an object's, by squared distances to its pixels and to those of all else."""
    return np.asarray(APART * own <= others)


def outside(pixels: Pixels, cells: NDArray[np.bool_], size: tuple[int, int]) -> Pixels:
    """The pixels (n, 2) of an image (W, H) that lie in none of some cells."""
    column, row = (pixels * cells.shape[1] // size[0]).T
    free = ~cells[np.minimum(row, len(cells) - 1), column]
    return np.asarray(pixels[free])
