# SPDX-License-Identifier: Apache-2.0
"""From point maps to the voxels that each candidate frame sees, as a `BitMask`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spatialcore import BitMask
from spatialmllm.geometry import PointMaps

DIVISIONS = 20
_FLAT = 1e-6  # of the longest side; a shorter side is rounding and sets no voxel size
_BITS = 21
_LAST = (1 << _BITS) - 1


class VoxelSets(NamedTuple):
    """`seen` is M candidates x V voxels, `edge` the side of a voxel in metres (0: no point)."""

    seen: BitMask
    edge: float


def voxel_sets(
    maps: PointMaps, *, divisions: int = DIVISIONS, confidence_percentile: float = 50.0
) -> VoxelSets:
    """Voxels seen by each frame.

    Valid points are finite and at least as sure as the given percentile of the clip. The voxel's
    side is the shortest side of their box over `divisions`; sides of zero length are passed over,
    so a planar scene works.

    Args:
        maps: Point maps of M frames.
        divisions: Voxels along the shortest side.
        confidence_percentile: Points below it are left out.

    Raises:
        ValueError: `divisions` is not positive.

    Source: Spatial-MLLM (arXiv 2505.23747), space-aware frame sampling.
    """
    if divisions < 1:
        raise ValueError(f"divisions must be positive, got {divisions}")
    count = len(maps.points_world)
    valid = np.isfinite(maps.points_world).all(axis=-1) & np.isfinite(maps.confidence)
    if not valid.any():
        return VoxelSets(BitMask.from_indices([[] for _ in range(count)], 0), 0.0)
    valid &= maps.confidence >= np.percentile(maps.confidence[valid], confidence_percentile)
    points = maps.points_world[valid].astype(np.float64)
    low = points.min(axis=0)
    sides = points.max(axis=0) - low
    long = sides[sides > _FLAT * sides.max()]
    edge = float(long.min() / divisions) if len(long) else 1.0
    cells = np.minimum(np.floor((points - low) / edge), _LAST).astype(np.int64)
    keys = cells[:, 0] << (2 * _BITS) | cells[:, 1] << _BITS | cells[:, 2]
    names, labels = np.unique(keys, return_inverse=True)
    frame_of = np.repeat(np.arange(count), valid.reshape(count, -1).sum(axis=1))
    rows: list[NDArray[np.int64]] = [np.unique(labels[frame_of == i]) for i in range(count)]
    return VoxelSets(BitMask.from_indices(rows, len(names)), edge)
