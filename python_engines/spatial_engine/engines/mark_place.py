# SPDX-License-Identifier: Apache-2.0
"""Where on an object a mark may stand so that nobody takes it for a mark on something else.

A vertex within the sensor's noise of its reading can still lie under a keyboard, or at a rim whose
pixel shows the wall behind: the vertices that are seen around it tell.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CLEAR = 0.95  # of the points that are seen around a mark, that are the object's ...
LEAST_OWN = 0.8  # ... or at least, at the clearest place, where no place is clear
REACH = 2.0  # radii of a mark, that count as around it
TRIED = 64  # places nearest to the middle that are looked at, and as many of the rest
_ROW = 1 << 20  # keys of one row of pixels and the next are so far apart: wider than any image


def around(uv: NDArray[np.float64]) -> NDArray[np.int64]:
    """Sorted keys of the whole pixels that pixels (n, 2), where finite, lie in."""
    u, v = np.rint(uv[np.isfinite(uv).all(axis=1)]).astype(np.int64).T
    return np.sort(v * _ROW + u)


def mark_place(
    uv: NDArray[np.float64], may: NDArray[np.bool_], seen: NDArray[np.int64], radius: float
) -> tuple[int, int] | None:
    """The pixel nearest to an object's middle around which nearly all that is seen is its own.

    Args:
        uv: (n, 2) finite pixels of the points of the object that are seen.
        may: (n,) which of them may carry a mark.
        seen: `around` all points that are seen, the object's included.
        radius: Of a mark, pixels.

    Returns:
        Column and row, or None where each place is beside something else.

    Example:
        >>> own = np.array([(x, 0.0) for x in range(40)])
        >>> other = np.array([(x, 1.0) for x in range(10, 40)])
        >>> mark_place(own, np.ones(40, bool), around(np.concatenate([own, other])), 3)
        (3, 0)
    """
    away = ((uv - np.median(uv, axis=0)) ** 2).sum(axis=1)
    near = np.flatnonzero(may)
    near = near[np.argsort(away[near], kind="stable")]
    near = np.concatenate([near[:TRIED], near[TRIED :: 1 + len(near) // TRIED]])
    if not len(near):
        return None
    places = np.rint(uv[near])
    own, every = (_counts(keys, places, int(REACH * radius)) for keys in (around(uv), seen))
    for share in (CLEAR, LEAST_OWN):
        good = np.flatnonzero(own >= share * every)
        if len(good):
            u, v = places[good[0] if share == CLEAR else good[np.argmax((own / every)[good])]]
            return int(u), int(v)
    return None


def _counts(keys: NDArray[np.int64], places: NDArray[np.float64], reach: int) -> NDArray[np.int64]:
    """How many of the pixels lie in the square of so many pixels around each place (m, 2)."""
    u, v = places.astype(np.int64).T[:, :, None]
    middle = (v + np.arange(-reach, reach + 1)) * _ROW + u
    ends = np.searchsorted(keys, middle + reach, "right")
    return np.asarray((ends - np.searchsorted(keys, middle - reach)).sum(axis=1))
