# SPDX-License-Identifier: Apache-2.0
"""The points of a labelled object without the strays of its masks: its largest dense cluster.

A mask that is a pixel too wide labels the wall behind an object; a few such points double a book.
In a cloud that is built from depth maps every voxel of a surface has neighbours, and strays have
few. All is counted in whole voxels: `verify` counts again in another way and must find the same.
"""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LEAST_POINTS = 20
"""Points below which an object is left as it is."""
RIVAL_SHARE = 0.2
"""Share of the largest cluster from which on another one may be a part of the object, too."""
_OFFSETS = tuple(product((-1, 0, 1), repeat=3))


class Clusters(NamedTuple):
    """How an object's points hang together.

    Attributes:
        kept: (n,) bool, the largest cluster and what touches it.
        sizes: Points of the largest cluster's voxels, and of the next one's; 0 where there is none.
    """

    kept: NDArray[np.bool_]
    sizes: tuple[int, int]

    @property
    def sure(self) -> bool:
        """Whether one cluster is the object and the rest are strays."""
        return self.sizes[1] < RIVAL_SHARE * self.sizes[0]


def clusters_of(points: NDArray[np.float32], voxel: float) -> Clusters:
    """The clusters of one object.

    A voxel is dense when it and its 26 neighbours hold at least half as many of the object's points
    as those of the median point. Dense voxels that touch, by a corner too, are one cluster. The one
    of the most points is the object, on a tie that of the lowest voxel, with the points whose
    voxels touch it.

    Args:
        points: (n, 3) finite, metres.
        voxel: Side of the voxels that the cloud was built of, metres.
    """
    if len(points) < LEAST_POINTS:
        return Clusters(np.ones(len(points), np.bool_), (len(points), 0))
    cells, of_point, count = np.unique(
        np.floor(points.astype(np.float64) / voxel).astype(np.int64),
        axis=0, return_inverse=True, return_counts=True,
    )  # fmt: skip
    of_point = of_point.reshape(-1)
    neighbours = _neighbours(cells)
    near = np.where(neighbours >= 0, count[neighbours], 0).sum(axis=1)
    dense = 2 * near >= np.sort(near[of_point])[len(points) // 2]
    label = _components(neighbours, dense)
    sizes = np.bincount(label[dense], weights=count[dense]).astype(np.int64)
    main = int(np.argmax(sizes))  # labels run by the lowest voxel: the first of equals
    others = np.sort(np.delete(sizes, main))
    touching = (np.where(neighbours >= 0, label[neighbours], -1) == main).any(axis=1)
    return Clusters(touching[of_point], (int(sizes[main]), int(others[-1]) if len(others) else 0))


def _neighbours(cells: NDArray[np.int64]) -> NDArray[np.intp]:
    """(m, 27) row of each neighbouring cell, itself included; -1 where it is empty."""
    low = cells.min(axis=0) - 1
    sides = cells.max(axis=0) - low + 2
    key = _keys(cells - low, sides)  # cells are sorted, and so are their keys
    found = np.full((len(cells), len(_OFFSETS)), -1, np.intp)
    for k, offset in enumerate(_OFFSETS):
        wanted = _keys(cells - low + np.array(offset), sides)
        at = np.minimum(np.searchsorted(key, wanted), len(key) - 1)
        found[:, k] = np.where(key[at] == wanted, at, -1)
    return found


def _keys(cells: NDArray[np.int64], sides: NDArray[np.int64]) -> NDArray[np.int64]:
    key: NDArray[np.int64] = (cells[:, 0] * sides[1] + cells[:, 1]) * sides[2] + cells[:, 2]
    return key


def _components(neighbours: NDArray[np.intp], dense: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(m,) number of each dense cell's component, by the lowest cell; -1 for the others."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    one, k = np.nonzero((neighbours >= 0) & dense[:, None])
    other = neighbours[one, k]
    both = dense[other]
    one, other = one[both], other[both]
    m = len(dense)
    links = coo_array((np.ones(len(one), np.int8), (one, other)), shape=(m, m))
    _, found = connected_components(links, directed=False)
    label = np.full(m, -1, np.int64)
    _, first, of_cell = np.unique(found[dense], return_index=True, return_inverse=True)
    label[dense] = np.argsort(np.argsort(first))[of_cell.reshape(-1)]
    return label


def without_strays(
    points: NDArray[np.float32], instance: NDArray[np.int32], voxel: float
) -> NDArray[np.int32]:
    """Instances of a built cloud's points after every object lost its strays.

    An object of several clusters that count keeps all of its points: which of them is meant is not
    known, and its size is not asked (`Clusters.sure`).

    Args:
        points: (P, 3) finite, metres.
        instance: (P,) object id of each point, -1 = none.
        voxel: Side of the cloud's voxels, metres.
    """
    kept = instance.copy()
    order = np.argsort(instance, kind="stable")
    ids, first = np.unique(instance[order], return_index=True)
    for object_id, rows in zip(ids.tolist(), np.split(order, first[1:]), strict=True):
        found = clusters_of(points[rows], voxel)
        if object_id >= 0 and found.sure:
            kept[rows[~found.kept]] = -1
    return kept
