# SPDX-License-Identifier: Apache-2.0
"""Points of a scene in the index's order, and clouds built from depth where none is given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spatialcore.errors import SceneFormatError
from spatialcore.types import Float32, Float64

Int32 = NDArray[np.int32]

VOXELS_M = (0.03, 0.02, 0.01, 0.005)
ENOUGH_POINTS = 20_000  # the largest voxel that gives as many is taken
LEAST_POINTS = 1_000  # with fewer, one frame is enough for a voxel
DEPTH_RANGE_M = (0.3, 6.0)  # sensor noise grows with z^2
EDGE_RELATIVE = 0.05  # a reading is on an edge if a 4-neighbour differs by more than
FARTHEST_M = 1e4  # float32 holds millimetres up to here
THINNEST_M = 1e-3
EDGE_ABSOLUTE_M = 0.05  # the larger of the two


class OrderedCloud(NamedTuple):
    """Points in Morton order.

    Attributes:
        points: (P, 3) float32 metres, in the index's world.
        source_row: (P,) uint32 row in the source's cloud.
        instance: (P,) int32 object id, -1 = none.
    """

    points: Float32
    source_row: NDArray[np.uint32]
    instance: Int32


class BuiltCloud(NamedTuple):
    """A cloud made from depth, in the order of voxel keys.

    Attributes:
        points: (P, 3) float32 metres, in the index's world.
        instance: (P,) int32, -1 = none or under 60 % agreement.
        voxel: Side of a voxel, metres.
        min_frames: Frames that a voxel had to be seen by: 2, or 1 where too few are.
    """

    points: Float32
    instance: Int32
    voxel: float
    min_frames: int


class PosedDepth(NamedTuple):
    """What one frame adds to a cloud.

    Attributes:
        depth: (h, w) uint16 or float32.
        K: (3, 3) of the map, pixels.
        world_from_cam: (4, 4).
        instance: (h, w) int32 ids on the depth grid, or None.
    """

    depth: NDArray[Any]
    K: Float64
    world_from_cam: Float64
    instance: Int32 | None


def order_cloud(points: Float32, instance: Int32) -> OrderedCloud:
    """Sort a source's cloud by Morton key, 21 bits an axis, ties by source row.

    Points that are not finite come last, so that a damaged vertex keeps its row and is never seen.

    Args:
        points: (P, 3) float32 in the index's world, source order.
        instance: (P,) int32.
    """
    from spatialcore import _cpu

    order = _cpu.morton_order(np.ascontiguousarray(points, dtype=np.float32))
    return OrderedCloud(
        np.ascontiguousarray(points[order]),
        order.astype(np.uint32),
        np.ascontiguousarray(instance[order], dtype=np.int32),
    )


def check_cloud(points: Float32, scene: Path) -> None:
    """Refuse a cloud that no question can be asked about.

    Args:
        points: (P, 3) float32 in the index's world.
        scene: Named in the error.

    Raises:
        SceneFormatError: Codes "cloud_empty", "points_nonfinite", "points_far" and
            "cloud_degenerate": all points on one line.
    """

    def refused(what: str, code: str, hint: str = "") -> SceneFormatError:
        return SceneFormatError(scene, what, hint, code=code)

    if not len(points):
        raise refused("has a cloud without points", "cloud_empty")
    bad = int((~np.isfinite(points).all(axis=1)).sum())
    if bad:
        raise refused(f"has {bad} of {len(points)} points that are not finite", "points_nonfinite")
    lo, hi = points.min(axis=0), points.max(axis=0)
    farthest = float(max(abs(lo).max(), abs(hi).max()))
    if farthest > FARTHEST_M:
        raise refused(f"has a point {farthest:.3g} m from the origin", "points_far")
    away = points.astype(np.float64) - points.mean(axis=0, dtype=np.float64)
    spread = np.sqrt(np.maximum(np.linalg.eigvalsh(away.T @ away / len(points)), 0.0))
    if spread[1] < THINNEST_M:
        raise refused("has a cloud whose points lie on one line", "cloud_degenerate")


class CloudBuilder:
    """The surface that at least two frames see, as the mean reading of each voxel.

    Readings outside 0.3 to 6 m or on a depth edge are left out. The largest voxel that gives
    20,000 points is taken, else the smallest; with fewer than 1,000 points in voxels that two
    frames see, one frame is enough.

    Args:
        depth_scale: Metres per unit.
        voxels: Sides to try, metres, descending.
    """

    def __init__(self, depth_scale: float, voxels: Sequence[float] = VOXELS_M) -> None:
        from spatialcore import _cpu

        self._scale = depth_scale
        self._voxels = voxels
        self._grid = _cpu.VoxelCloud(voxels[0])

    def add(self, frame: PosedDepth) -> None:
        """Count the readings of one more frame; frames come in order."""
        self._grid.add_frame(
            frame.depth,
            self._scale,
            np.ascontiguousarray(frame.K, dtype=np.float64),
            np.ascontiguousarray(frame.world_from_cam),
            depth_min=DEPTH_RANGE_M[0],
            depth_max=DEPTH_RANGE_M[1],
            edge_relative=EDGE_RELATIVE,
            edge_absolute=EDGE_ABSOLUTE_M,
            instance=frame.instance,
        )

    def finish(self, frames: Callable[[], Iterable[PosedDepth]]) -> BuiltCloud:
        """The cloud.

        Args:
            frames: Yields what was added, again; called once for each further voxel size tried.

        Returns:
            BuiltCloud; no points where no reading counts.
        """
        from spatialcore import _cpu

        voxel = self._voxels[0]
        for smaller in self._voxels[1:]:
            if self._grid.count(2) >= ENOUGH_POINTS:
                break
            voxel, self._grid = smaller, _cpu.VoxelCloud(smaller)
            for frame in frames():
                self.add(frame)
        min_frames = 2 if self._grid.count(2) >= LEAST_POINTS else 1
        points, instance = self._grid.extract(min_frames)
        return BuiltCloud(points, instance, voxel, min_frames)
