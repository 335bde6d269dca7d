# SPDX-License-Identifier: Apache-2.0
"""The grid of a cognitive map on the map of its scene, found from objects that lie on both."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatial_engine.view.shapes import Shape, label, lines
from spatialcore.relations.floor_plan import MAP_CELLS

_MOST_CELL_CM = 10_000.0


def grid_through(places: NDArray[np.float64], points: NDArray[np.float64]) -> list[Shape]:
    """Lines of a grid, and the names of its lowest corner cells; nothing where no grid fits.

    Args:
        places: (N, 2) columns and rows, as fractions of cells.
        points: (N, 2) the same objects on the page, whose y runs downward.
    """
    here, there = (values @ np.array([1, 1j]) for values in (points, places))
    fits = [_similarity(z, here) for z in (there, there.conj())]
    mirrored = fits[1][2] < fits[0][2]
    factor, shift, _ = fits[int(mirrored)]
    if not 0 < abs(factor) < _MOST_CELL_CM:
        return []

    def placed(cells: Any) -> NDArray[np.complex128]:
        z = np.asarray(cells, dtype=np.complex128)
        return np.asarray(factor * (z.conj() if mirrored else z) + shift)

    steps = np.arange(MAP_CELLS + 1)
    across = [[k * 1j, k * 1j + MAP_CELLS] for k in steps]
    ends = placed([[k, k + MAP_CELLS * 1j] for k in steps] + across)
    shapes = [lines("grid", np.stack([ends.real, ends.imag], axis=2))]
    for column in (0, MAP_CELLS - 1):
        at = placed(column + 0.5 + 0.5j)
        shapes.append(label("number", (float(at.real), float(at.imag)), f"{column}, 0"))
    return shapes


def _similarity(start: NDArray[Any], end: NDArray[Any]) -> tuple[complex, complex, float]:
    """Factor and shift, as complex numbers, that take points nearest to others; what is left."""
    terms = np.stack([start, np.ones_like(start)], axis=1)
    (factor, shift), *_ = np.linalg.lstsq(terms, end, rcond=None)
    return complex(factor), complex(shift), float(np.abs(terms @ [factor, shift] - end).sum())
