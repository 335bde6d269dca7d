# SPDX-License-Identifier: Apache-2.0
"""Clouds from posed depth in plain numpy: the specification of `_cpu.VoxelCloud`.

csrc/include/spatialcore/cloud.h has the formulas. Frames are summed up one by one, so that memory
grows with the surface and not with the number of readings.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spatialcore._reference.morton import morton_order
from spatialcore.box import contains_points
from spatialcore.index.cloud import (
    DEPTH_RANGE_M,
    EDGE_ABSOLUTE_M,
    EDGE_RELATIVE,
    ENOUGH_POINTS,
    LEAST_POINTS,
    VOXELS_M,
)
from spatialcore.index.objects import box_of_points
from spatialcore.types import Cloud, Object3D

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

_AXIS_BIAS = 1 << 20
_UNITS = 1 << 20
_MAJORITY = 3, 5  # at least 60 % of the readings
_PENDING_ROWS = 1 << 21  # rows of single frames that wait to be summed up: 130 MB


class PosedReadings(NamedTuple):
    """One frame of a cloud.

    Attributes:
        depth: (h, w) as stored.
        K: (3, 3) of the depth map.
        world_from_cam: (4, 4).
        instance: (h, w) int ids on the depth grid, -1 = none, or None.
    """

    depth: NDArray[Any]
    K: Float64
    world_from_cam: Float64
    instance: NDArray[Any] | None


class Voxels(NamedTuple):
    """Readings summed up by voxel and object id, ascending by both (N rows).

    Attributes:
        voxel: Side, metres.
        key: (N,) the three indices of the voxel as one number, x highest.
        id: (N,) object id of the readings, -1 = none.
        sums: (N, 5) sums of the offsets on x, y, z in units of voxel / 2^20, readings, and frames,
            which the first row of a voxel counts for all of them.
    """

    voxel: float
    key: Int64
    id: Int64
    sums: Int64

    def _totals(self) -> tuple[Int64, Int64]:
        """First row of each voxel, and its sums (V, 5)."""
        if not len(self.key):
            return np.zeros(0, np.int64), np.zeros((0, 5), np.int64)
        first = np.flatnonzero(np.diff(self.key, prepend=self.key[0] - 1))
        return first, np.add.reduceat(self.sums, first, axis=0)

    def count(self, min_frames: int) -> int:
        """Voxels that so many frames have readings in."""
        return int((self._totals()[1][:, 4] >= min_frames).sum())

    def extract(self, min_frames: int) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """Mean reading (V, 3) of those voxels by ascending key, and the id that 60 % have or -1."""
        first, total = self._totals()
        points = np.empty((len(first), 3), np.float32)
        for axis in range(3):
            index = (self.key[first] >> (42 - 21 * axis) & (1 << 21) - 1) - _AXIS_BIAS
            mean = total[:, axis] / np.maximum(total[:, 3], 1)
            points[:, axis] = (index + (mean + 0.5) / float(_UNITS)) * self.voxel
        instance = np.full(len(first), -1, np.int32)
        of_row = np.repeat(np.arange(len(first)), np.diff(first, append=len(self.key)))
        enough = self.sums[:, 3] * _MAJORITY[1] >= total[of_row, 3] * _MAJORITY[0]
        instance[of_row[enough]] = self.id[enough]
        kept = total[:, 4] >= min_frames
        return points[kept], instance[kept]


def on_depth_edge(
    metres: Float64, relative: float = EDGE_RELATIVE, absolute: float = EDGE_ABSOLUTE_M
) -> NDArray[np.bool_]:
    """(h, w) bool: readings from which a 4-neighbour with a reading differs by too much.

    Args:
        metres: (h, w), 0 = no reading.
        relative: Allowed difference as a share of the smaller reading.
        absolute: Least allowed difference, metres.
    """
    edge = np.zeros(metres.shape, np.bool_)
    for one, other in (
        (np.s_[1:, :], np.s_[:-1, :]),
        (np.s_[:, 1:], np.s_[:, :-1]),
    ):
        a, b = metres[one], metres[other]
        limit = np.maximum(relative * np.minimum(a, b), absolute)
        jump = (a > 0) & (b > 0) & (np.abs(a - b) > limit)
        edge[one] |= jump
        edge[other] |= jump
    return edge


def voxels_of(frames: Iterable[PosedReadings], depth_scale: float, voxel: float) -> Voxels:
    """Every reading that counts, summed up by voxel and object id.

    Args:
        frames: In any order: sums are integers.
        depth_scale: Metres per unit.
        voxel: Side, metres.
    """
    summed = Voxels(voxel, *(np.zeros(0, np.int64),) * 2, np.zeros((0, 5), np.int64))
    waiting: list[Voxels] = []
    for frame in frames:
        waiting.append(_frame_voxels(frame, depth_scale, voxel))
        if sum(len(part.key) for part in waiting) > _PENDING_ROWS:
            summed, waiting = _summed([summed, *waiting]), []
    return _summed([summed, *waiting])


def _frame_voxels(frame: PosedReadings, depth_scale: float, voxel: float) -> Voxels:
    d = frame.depth.astype(np.float64) * depth_scale
    metres = np.where((d > 0) & np.isfinite(d), d, 0.0)
    kept = (metres >= DEPTH_RANGE_M[0]) & (metres <= DEPTH_RANGE_M[1]) & ~on_depth_edge(metres)
    row, column = np.nonzero(kept)
    K, m = frame.K, frame.world_from_cam
    z = metres[row, column]
    x = (column - K[0, 2]) / K[0, 0] * z
    y = (row - K[1, 2]) / K[1, 1] * z
    world = [((m[r, 0] * x + m[r, 1] * y) + m[r, 2] * z) + m[r, 3] for r in range(3)]
    q = np.floor(np.stack(world, axis=1) / voxel * float(_UNITS))
    inside = (np.abs(q) < float(_UNITS) * (_AXIS_BIAS - 1)).all(axis=1)
    fixed = q[inside].astype(np.int64)
    # One number for the three indices, in their order: sorting it is sorting voxels.
    i, j, k = ((fixed >> 20) + _AXIS_BIAS).T
    ids = np.full(len(fixed), -1, np.int64)
    if frame.instance is not None:
        ids = frame.instance[row, column][inside].astype(np.int64)
    sums = np.column_stack([fixed & (_UNITS - 1), np.ones_like(ids), np.zeros_like(ids)])
    found = _summed([Voxels(voxel, i << 42 | j << 21 | k, ids, sums)])
    found.sums[:, 4] = np.diff(found.key, prepend=-1) != 0
    return found


def _summed(parts: list[Voxels]) -> Voxels:
    """Rows of one key and id added up, in the order of keys and ids."""
    key, ids, sums = (np.concatenate(column) for column in list(zip(*parts, strict=True))[1:])
    if not len(key):
        return Voxels(parts[0].voxel, key, ids, sums)
    order = np.lexsort((ids, key))
    key, ids, sums = key[order], ids[order], sums[order]
    first = np.flatnonzero(np.r_[True, (np.diff(key) != 0) | (np.diff(ids) != 0)])
    return Voxels(parts[0].voxel, key[first], ids[first], np.add.reduceat(sums, first, axis=0))


def built_cloud(
    frames: Callable[[], Iterable[PosedReadings]], depth_scale: float
) -> tuple[Cloud, float]:
    """The cloud that the index builds where a source has no mesh, in Morton order, and its voxel.

    Args:
        frames: Called once for each voxel size tried.
        depth_scale: Metres per unit.
    """
    for voxel in VOXELS_M:
        voxels = voxels_of(frames(), depth_scale, voxel)
        if voxels.count(2) >= ENOUGH_POINTS:
            break
    points, instance = voxels.extract(2 if voxels.count(2) >= LEAST_POINTS else 1)
    order = morton_order(points)
    return Cloud(points[order], instance[order]), voxel


def in_boxes(
    objects: Sequence[Object3D], cloud: Cloud, index_from_world: Float64, up_known: bool
) -> Cloud:
    """The cloud after objects without a point took those in their boxes that are no other's.

    The index gives a point to the smallest box first; here the smallest comes last and wins.
    """
    drawn = np.isin([o.object_id for o in objects], cloud.instance)
    boxes = [
        (box_of_points(o.box, index_from_world, up_known), o.object_id)
        for o, has in zip(objects, drawn, strict=True)
        if o.box is not None and not has
    ]
    instance, x = cloud.instance.copy(), cloud.points_world[:, 0].copy()
    for box, object_id in sorted(boxes, key=lambda pair: (-pair[0].volume, -pair[1])):
        reach = 0.5 * math.sqrt(float((box.size**2).sum())) + 1e-3  # of the ball around the box
        with np.errstate(invalid="ignore"):
            near = np.abs(x - np.float32(box.center[0])) <= np.float32(reach)
        rows = np.flatnonzero(near)
        rows = rows[cloud.instance[rows] < 0]
        with np.errstate(invalid="ignore"):
            instance[rows[contains_points(box, cloud.points_world[rows])]] = object_id
    return replace(cloud, instance=instance)
