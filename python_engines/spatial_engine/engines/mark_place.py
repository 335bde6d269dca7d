# SPDX-License-Identifier: Apache-2.0
"""Where on an object a mark may stand so that nobody takes it for a mark on something else.

A vertex within the sensor's noise of its reading can still lie under a keyboard, or at a rim whose
pixel shows the wall behind: the vertices that are seen around it tell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

CLEAR = 0.95  # of the points that are seen around a mark, that are the object's ...
LEAST_OWN = 0.8  # ... or at least, at the clearest place, where no place is clear
REACH = 2.0  # radii of a mark, that count as around it
TRIED = 64  # places nearest to the middle that are looked at, and as many of the rest


def around(uv: NDArray[np.float64]) -> cKDTree:
    """A tree of the whole pixels that pixels (n, 2) lie in, for `mark_place`."""
    from scipy.spatial import cKDTree

    return cKDTree(np.rint(uv[np.isfinite(uv).all(axis=1)]))


def mark_place(
    uv: NDArray[np.float64], may: NDArray[np.bool_], seen: cKDTree, radius: float
) -> tuple[int, int] | None:
    """The pixel nearest to an object's middle around which nearly all that is seen is its own.

    Args:
        uv: (n, 2) finite pixels of the points of the object that are seen.
        may: (n,) which of them may carry a mark.
        seen: Pixels of all points that are seen, the object's included.
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
    # Whole pixels and half a pixel between: no rounding decides.
    reach = np.floor(REACH * radius) + 0.5
    own, every = (_counts(tree, places, reach) for tree in (around(uv), seen))
    for share in (CLEAR, LEAST_OWN):
        good = np.flatnonzero(own >= share * every)
        if len(good):
            u, v = places[good[0] if share == CLEAR else good[np.argmax((own / every)[good])]]
            return int(u), int(v)
    return None


def _counts(tree: cKDTree, places: NDArray[np.float64], reach: float) -> NDArray[np.int64]:
    found: Any = tree.query_ball_point(places, reach, p=np.inf, return_length=True)
    return np.asarray(found, dtype=np.int64)
