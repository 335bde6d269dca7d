# SPDX-License-Identifier: Apache-2.0
"""Clouds from posed depth in plain numpy: the specification of `_cpu.VoxelCloud`.

Readings of all frames are held at once; csrc/include/spatialcore/cloud.h has the formulas.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]

_AXIS_BIAS = 1 << 20
_UNITS = 1 << 20
_MAJORITY = 3, 5  # at least 60 % of the readings
_MORTON_BITS = 21  # an axis


def on_depth_edge(metres: Float64, relative: float, absolute: float) -> NDArray[np.bool_]:
    """(h, w) bool: readings from which a 4-neighbour with a reading differs by too much.

    Args:
        metres: (h, w), 0 = no reading.
        relative: Allowed difference as a share of the smaller reading.
        absolute: Least allowed difference, metres.
    """
    edge = np.zeros(metres.shape, np.bool_)
    for axis in (0, 1):
        for here, there in ((slice(1, None), slice(None, -1)), (slice(None, -1), slice(1, None))):
            cut = [slice(None), slice(None)]
            other = [slice(None), slice(None)]
            cut[axis], other[axis] = here, there
            a, b = metres[tuple(cut)], metres[tuple(other)]
            limit = np.maximum(relative * np.minimum(a, b), absolute)
            edge[tuple(cut)] |= (a > 0) & (b > 0) & (np.abs(a - b) > limit)
    return edge


def voxel_readings(
    depth: NDArray[np.generic],
    depth_scale: float,
    K: Float64,
    world_from_cam: Float64,
    voxel: float,
    *,
    depth_range: tuple[float, float],
    edge_relative: float,
    edge_absolute: float,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Fixed-point world coordinates of the readings that count.

    Returns:
        fixed: (n, 3) int64 in units of voxel / 2^20; pixel: (n,) index into the flat map.
    """
    d = depth.astype(np.float64) * depth_scale
    metres = np.where((d > 0) & np.isfinite(d), d, 0.0)
    kept = (metres > 0) & (metres >= depth_range[0]) & (metres <= depth_range[1])
    kept &= ~on_depth_edge(metres, edge_relative, edge_absolute)
    row, column = np.nonzero(kept)
    z = metres[row, column]
    x = (column - K[0, 2]) / K[0, 0] * z
    y = (row - K[1, 2]) / K[1, 1] * z
    m = world_from_cam
    world = [((m[r, 0] * x + m[r, 1] * y) + m[r, 2] * z) + m[r, 3] for r in range(3)]
    q = np.floor(np.stack(world, axis=1) / voxel * float(_UNITS))
    inside = (np.abs(q) < float(_UNITS) * (_AXIS_BIAS - 1)).all(axis=1)
    return q[inside].astype(np.int64), (row * depth.shape[1] + column)[inside]


def voxel_cloud(
    frames: Iterable[tuple[NDArray[np.generic], Float64, NDArray[np.int32] | None]],
    depth_scale: float,
    K: Float64,
    voxel: float,
    min_frames: int,
    *,
    depth_range: tuple[float, float] = (0.3, 6.0),
    edge_relative: float = 0.05,
    edge_absolute: float = 0.05,
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Mean reading of every voxel that enough frames see, by ascending voxel index.

    Args:
        frames: (depth (h, w), world_from_cam (4, 4), instance (h, w) or None).
        depth_scale: Metres per unit.
        K: (3, 3) of the depth images.
        voxel: Side, metres.
        min_frames: Frames that a voxel needs.
        depth_range: Least and greatest depth, metres.
        edge_relative: See `on_depth_edge`.
        edge_absolute: See `on_depth_edge`.

    Returns:
        points (V, 3) float32 and instance (V,) int32.
    """
    fixed, frame_of, id_of = [np.zeros((0, 3), np.int64)], [np.zeros(0, int)], [np.zeros(0, int)]
    for number, (depth, world_from_cam, instance) in enumerate(frames):
        q, pixel = voxel_readings(
            depth, depth_scale, K, world_from_cam, voxel, depth_range=depth_range,
            edge_relative=edge_relative, edge_absolute=edge_absolute,
        )  # fmt: skip
        fixed.append(q)
        frame_of.append(np.full(len(q), number))
        ids = np.full(depth.size, -1) if instance is None else instance.reshape(-1)
        id_of.append(ids[pixel].astype(np.int64))
    q, ids = np.concatenate(fixed), np.concatenate(id_of)
    # One number for the three indices, in their order: sorting it is sorting voxels.
    x, y, z = ((q >> 20) + _AXIS_BIAS).T
    keys, slot = np.unique(x << 42 | y << 21 | z, return_inverse=True)
    count = np.bincount(slot, minlength=len(keys))
    pairs = np.unique(slot * len(fixed) + np.concatenate(frame_of))
    kept = np.bincount(pairs // len(fixed), minlength=len(keys)) >= min_frames
    points = np.empty((len(keys), 3), np.float32)
    for axis in range(3):
        index = (keys >> (42 - 21 * axis) & (1 << 21) - 1) - _AXIS_BIAS
        # Whole numbers below 2^53: the float64 sums are exact.
        total = np.bincount(slot, weights=q[:, axis] & (_UNITS - 1), minlength=len(keys))
        points[:, axis] = (index + (total / count + 0.5) / float(_UNITS)) * voxel
    return points[kept], _majority(slot, ids, count)[kept]


def _majority(slot: NDArray[Any], ids: NDArray[Any], count: NDArray[Any]) -> NDArray[np.int32]:
    """The id of at least 60 % of each voxel's readings, else -1."""
    out = np.full(len(count), -1, np.int32)
    span = int(ids.max(initial=-1)) + 2
    votes, number = np.unique(slot * span + (ids + 1), return_counts=True)
    voxel, voted = votes // span, votes % span - 1
    enough = number * _MAJORITY[1] >= count[voxel] * _MAJORITY[0]
    out[voxel[enough]] = voted[enough]
    return out


def morton_order(points: NDArray[np.float32]) -> NDArray[np.int64]:
    """Rows by Morton key, ties by row; points that are not finite come last.

    Args:
        points: (P, 3).
    """
    finite = np.isfinite(points).all(axis=1)
    rows = np.flatnonzero(finite)
    if len(rows):
        rows = rows[np.argsort(morton_keys(points[rows]), kind="stable")]
    return np.concatenate([rows, np.flatnonzero(~finite)])


def morton_keys(points: NDArray[np.float32]) -> NDArray[np.uint64]:
    """Interleaved bits (x lowest) of floor((p - min) / cell), 21 bits an axis.

    cell = (largest extent of an axis) / 2^21.

    Args:
        points: (P, 3) finite.
    """
    p = points.astype(np.float64)
    lo = p.min(axis=0)
    cell = float((p.max(axis=0) - lo).max()) / (1 << _MORTON_BITS)
    steps = np.floor((p - lo) / cell) if cell > 0 else np.zeros_like(p)
    code = np.minimum(steps, (1 << _MORTON_BITS) - 1).astype(np.uint64)
    key = np.zeros(len(p), np.uint64)
    for axis in range(3):
        key |= _spread(code[:, axis]) << np.uint64(axis)
    return key


def _spread(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Put two zero bits between the low 21 bits."""
    for shift, mask in (
        (32, 0x1F00000000FFFF),
        (16, 0x1F0000FF0000FF),
        (8, 0x100F00F00F00F00F),
        (4, 0x10C30C30C30C30C3),
        (2, 0x1249249249249249),
    ):
        x = (x | (x << np.uint64(shift))) & np.uint64(mask)
    return x
