# SPDX-License-Identifier: Apache-2.0
"""An object's points without strays, voxel by voxel: the specification of index/clusters.py."""

from __future__ import annotations

from collections import Counter, deque
from itertools import product

import numpy as np
from numpy.typing import NDArray

from spatialcore.index.clusters import LEAST_POINTS, RIVAL_SHARE
from spatialcore.types import Cloud

Voxel = tuple[int, ...]
_STEPS = tuple(product((-1, 0, 1), repeat=3))


def largest_cluster(points: NDArray[np.float32], voxel: float) -> tuple[set[int], bool]:
    """Places of the points that an object keeps, and whether it is one cluster.

    Args:
        points: (n, 3) finite, metres.
        voxel: Side of a voxel, metres.
    """
    every = set(range(len(points)))
    if len(points) < LEAST_POINTS:
        return every, True
    of_point = [tuple(cell) for cell in np.floor(points.astype(np.float64) / voxel).tolist()]
    held = Counter(of_point)
    around = {cell: sum(held.get(other, 0) for other in _near(cell)) for cell in held}
    median = sorted(around[cell] for cell in of_point)[len(points) // 2]
    clusters = _grown({cell for cell in held if 2 * around[cell] >= median})
    # Of equal clusters the one with the lowest voxel; min() keeps the first of equals, too.
    sized = sorted(
        (-sum(held[cell] for cell in cluster), min(cluster), cluster) for cluster in clusters
    )
    main = sized[0][2]
    kept = {k for k, cell in enumerate(of_point) if any(other in main for other in _near(cell))}
    second = -sized[1][0] if len(sized) > 1 else 0
    return kept, second < RIVAL_SHARE * -sized[0][0]


def _near(cell: Voxel) -> list[Voxel]:
    """A voxel and its 26 neighbours."""
    x, y, z = cell
    return [(x + a, y + b, z + c) for a, b, c in _STEPS]


def _grown(dense: set[Voxel]) -> list[set[Voxel]]:
    """Sets of voxels that touch, by a flood from each that is left."""
    left, found = set(dense), []
    while left:
        seed = left.pop()
        cluster, edge = {seed}, deque([seed])
        while edge:
            for other in _near(edge.popleft()):
                if other in left:
                    left.discard(other)
                    cluster.add(other)
                    edge.append(other)
        found.append(cluster)
    return found


def trimmed(cloud: Cloud, voxel: float) -> Cloud:
    """The cloud after every object lost its strays; objects of several clusters keep all."""
    instance = cloud.instance.copy()
    for object_id in sorted(set(instance.tolist()) - {-1}):
        rows = np.flatnonzero(cloud.instance == object_id).tolist()
        kept, sure = largest_cluster(cloud.points_world[rows], voxel)
        if sure:
            instance[[row for k, row in enumerate(rows) if k not in kept]] = -1
    return Cloud(cloud.points_world, instance, cloud.colour)
