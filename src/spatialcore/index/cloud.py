# SPDX-License-Identifier: Apache-2.0
"""Points of a scene in the index's order, and clouds built from depth where none is given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spatialcore.camera import pinhole_depth
from spatialcore.errors import SceneFormatError
from spatialcore.types import Float32, Float64

if TYPE_CHECKING:
    from spatialcore.index.visibility import View

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


class PosedMaps:
    """What each frame adds to a cloud; may be walked as often as the maps.

    Behind a lens a map is taken as a pinhole of the same K would show it.

    Args:
        maps: (row, depth) of each frame.
        views: How the frames see, by row.
        world_from_cam: (F, 4, 4) by row.
        labels: Row -> (h, w) int32 instance ids on the depth grid, or None.
    """

    def __init__(
        self,
        maps: Iterable[tuple[int, NDArray[Any]]],
        views: Sequence[View],
        world_from_cam: Float64,
        labels: Callable[[int], Int32 | None],
    ) -> None:
        self._maps, self._views, self._labels = maps, views, labels
        self._world_from_cam = world_from_cam

    def __iter__(self) -> Iterator[PosedDepth]:
        for row, depth in self._maps:
            camera, instance = self._views[row].depth, self._labels(row)
            if camera.lens is not None:
                depth = pinhole_depth(depth, camera)
                instance = None if instance is None else pinhole_depth(instance + 1, camera) - 1
            yield PosedDepth(depth, camera.K, self._world_from_cam[row], instance)


def build_cloud(
    frames: Iterable[PosedDepth], depth_scale: float, voxels: Sequence[float] = VOXELS_M
) -> BuiltCloud:
    """The surface that at least two frames see, as the mean reading of each voxel.

    Readings outside 0.3 to 6 m or on a depth edge are left out. The largest voxel that gives
    20,000 points is taken, else the smallest; with fewer than 1,000 points in voxels that two
    frames see, one frame is enough.

    Args:
        frames: In order; walked once for each voxel size tried.
        depth_scale: Metres per unit.
        voxels: Sides to try, metres, descending.

    Returns:
        BuiltCloud; no points where no reading counts.
    """
    from spatialcore import _cpu

    for voxel in voxels:
        grid = _cpu.VoxelCloud(voxel)
        for frame in frames:
            grid.add_frame(
                frame.depth,
                depth_scale,
                np.ascontiguousarray(frame.K, dtype=np.float64),
                np.ascontiguousarray(frame.world_from_cam),
                depth_min=DEPTH_RANGE_M[0],
                depth_max=DEPTH_RANGE_M[1],
                edge_relative=EDGE_RELATIVE,
                edge_absolute=EDGE_ABSOLUTE_M,
                instance=frame.instance,
            )
        count = grid.count(2)
        if count >= ENOUGH_POINTS:
            break
    min_frames = 2 if count >= LEAST_POINTS else 1
    points, instance = grid.extract(min_frames)
    return BuiltCloud(points, instance, voxel, min_frames)
