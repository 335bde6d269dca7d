# SPDX-License-Identifier: Apache-2.0
"""Two scans of one room as one scene of two visits; `spatialcore.visits` says how it is numbered.

Both must have a labelled mesh in which an id is the same thing, and the transform from the later
world to the first one must bring most surfaces together: what was not registered is refused.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatialcore.box import OrientedBox
from spatialcore.errors import SceneFormatError
from spatialcore.types import (
    Cloud,
    Float32,
    Float64,
    Frame,
    Object3D,
    Scene,
    compose_poses,
    transform_points,
)
from spatialcore.visits import FRAMES, OBJECTS

NEAR_M, LEAST_NEAR = 0.05, 0.5  # a registered room has so many of its points so near again
_LOOKED = 4000  # points that a registration is judged by
_LEVEL = 0.01  # of the vertical, that a transform may tilt


@dataclass(frozen=True, slots=True)
class _Visits:
    """Reads depth and points of both scans; picklable."""

    first: Scene
    later: Scene
    first_from_later: Float64

    def depth(self, frame: Frame) -> NDArray[Any]:
        """The stored map of a frame of either visit."""
        if frame.index < FRAMES:
            return self.first.read_depth(frame)
        return self.later.read_depth(replace(frame, index=frame.index - FRAMES))

    def cloud(self) -> Cloud:
        """The points of both visits in the first one's world."""
        assert self.first.read_cloud is not None
        assert self.later.read_cloud is not None
        a, b = self.first.read_cloud(), self.later.read_cloud()
        moved = transform_points(self.first_from_later, b.points_world).astype(np.float32)
        later = np.where(b.instance < 0, -1, b.instance + OBJECTS).astype(np.int32)
        visit = np.repeat(np.array([0, 1], np.uint8), [len(a.instance), len(later)])
        return Cloud(
            np.concatenate([a.points_world, moved]), np.concatenate([a.instance, later]), None,
            visit,
        )  # fmt: skip


def two_visits(first: Scene, later: Scene, transforms: tuple[Float64, ...], id: str) -> Scene:
    """The scene of both visits.

    Args:
        first: The scan whose world stays.
        later: The other scan of the same room.
        transforms: (4, 4) first_from_later, or several readings of it (units, orders): the one that
            brings the surfaces together is taken.
        id: Of the scene.

    Raises:
        SceneFormatError: A scan has no labelled mesh, the scans have other units of depth, numbers
            are too large, or no transform registers them; code "visits_apart" or what it is.
    """
    for scan in (first, later):
        if scan.read_cloud is None or not scan.objects:
            what = f"scan {scan.id} has no labelled mesh: what moved is not known"
            raise SceneFormatError(first.root / scan.id, what, code="labels_missing")
        if scan.frames[-1].index >= FRAMES or max(o.object_id for o in scan.objects) >= OBJECTS:
            what = f"scan {scan.id} has numbers past {FRAMES:,} frames or {OBJECTS:,} objects"
            raise SceneFormatError(first.root / scan.id, what, code="frame_count")
    if first.depth_scale != later.depth_scale:
        what = f"scans {first.id} and {later.id} store depth in different units"
        raise SceneFormatError(first.root / later.id, what, code="depth_scale")
    reads = _Visits(first, later, _registered(first, later, transforms))
    turned = reads.first_from_later
    return replace(
        first,
        id=id,
        frames=(
            *(replace(frame, name=f"first-{frame.name}") for frame in first.frames),
            *(_later_frame(later, frame, turned) for frame in later.frames),
        ),
        read_depth=reads.depth,
        read_cloud=reads.cloud,
        read_instance=None,
        objects=(*first.objects, *(_later_object(item, turned) for item in later.objects)),
        inputs=tuple(dict.fromkeys((*first.inputs, *later.inputs))),
        notes=tuple(sorted({*first.notes, *later.notes})),
        visits=2,
    )


def _later_frame(scan: Scene, frame: Frame, first_from_later: Float64) -> Frame:
    pose = frame.world_from_cam
    if pose is not None and np.isfinite(pose).all():
        pose = compose_poses(first_from_later, pose)
    return replace(
        frame,
        index=frame.index + FRAMES,
        name=f"later-{frame.name}",
        world_from_cam=pose,
        color=scan.color_of(frame),
        depth_camera=scan.depth_of(frame),
    )


def _later_object(item: Object3D, first_from_later: Float64) -> Object3D:
    box = item.box
    if box is not None:
        turn = first_from_later[:3, :3]
        center = transform_points(first_from_later, box.center)
        box = OrientedBox(center, box.size, turn @ box.R)
    return replace(item, object_id=item.object_id + OBJECTS, box=box)


def _registered(first: Scene, later: Scene, transforms: tuple[Float64, ...]) -> Float64:
    """The transform that brings most of the later points to the first ones."""
    assert first.read_cloud is not None
    assert later.read_cloud is not None
    here, there = (_spread(scan.read_cloud().points_world) for scan in (first, later))  # type: ignore[misc]
    best, share = None, 0.0
    for transform in transforms:
        if abs(transform[2, 2] - 1.0) <= _LEVEL:
            near = _near_share(here, transform_points(transform, there))
            best, share = (transform, near) if near > share else (best, share)
    if best is None or share < LEAST_NEAR:
        what = (
            f"is no scan of the same room in the world of {first.id}: {share:.0%} of its points "
            f"lie within {NEAR_M:g} m of the others"
        )
        raise SceneFormatError(first.root / later.id, what, code="visits_apart")
    return best


def _spread(points: Float32) -> Float64:
    """A few of the points, evenly over their rows; the ones to be met are all there."""
    finite = points[np.isfinite(points).all(axis=1)].astype(np.float64)
    return finite[:: max(1, len(finite) // (8 * _LOOKED))]


def _near_share(here: Float64, there: Float64) -> float:
    from scipy.spatial import cKDTree

    looked = there[:: max(1, len(there) // _LOOKED)]
    away, _ = cKDTree(here).query(looked, distance_upper_bound=2 * NEAR_M)
    return float((away <= NEAR_M + _spacing(here)).mean()) if len(looked) else 0.0


def _spacing(points: Float64) -> float:
    """Metres from a point to its neighbour, in the middle of all: the points are a sample."""
    from scipy.spatial import cKDTree

    away, _ = cKDTree(points).query(points[:: max(1, len(points) // 500)], k=2)
    return float(np.median(away[:, 1]))
