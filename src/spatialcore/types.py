# SPDX-License-Identifier: Apache-2.0
"""What readers yield and everything else takes: cameras, frames, scenes, clips, and poses.

Conventions (docs/conventions.md): metres, pixels, radians; OpenCV camera (x right, y down,
z forward); integer pixel coordinates are pixel centres; poses are `b_from_a`, 4x4 float64;
`depth` is z in the camera frame; 0 or NaN is no reading.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spatialcore.box import OrientedBox
from spatialcore.camera import Camera as Camera

Float64 = NDArray[np.float64]
Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One posed image. A frame that cannot be used keeps its row and says why.

    Attributes:
        index: Row of the scene's frame table before masking; for numeric names the number.
        name: File stem, or the number as text.
        world_from_cam: (4, 4) float64 as the source stores it, or None when missing.
        reason: "" when valid, else a reason code such as "pose_nonfinite" or "depth_missing".
        image: uri relative to the source's root, or None.
        depth: uri relative to the source's root, or None.
        time: Seconds, or None.
        color: Camera of this image, or None: that of the scene.
        depth_camera: Camera of this depth map, or None: that of the scene.
    """

    index: int
    name: str
    world_from_cam: Float64 | None
    image: str | None = None
    depth: str | None = None
    reason: str = ""
    time: float | None = None
    color: Camera | None = None
    depth_camera: Camera | None = None

    @property
    def valid(self) -> bool:
        """Whether the frame may be used."""
        return not self.reason


@dataclass(frozen=True, slots=True)
class Object3D:
    """An annotated object; its vertices are the cloud rows with `instance == object_id`.

    Attributes:
        object_id: Number in the cloud and in the masks.
        raw_category: Label as the source has it.
        category: Canonical category.
        box: In the source's world, or None. An object without vertices gets those points in its
            box that belong to no other.
    """

    object_id: int
    raw_category: str
    category: str
    box: OrientedBox | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Cloud:
    """Points of a scene in the source's world.

    Attributes:
        points_world: (P, 3) float32 metres.
        instance: (P,) int32 object id, -1 = none.
        colour: (P, 3) uint8 or None.
        visit: (P,) uint8 which visit a point is of, or None: there is one.
    """

    points_world: Float32
    instance: NDArray[np.int32]
    colour: NDArray[np.uint8] | None = None
    visit: NDArray[np.uint8] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """One posed RGB-D scan, opened lazily: arrays here, pixels by the readers' callables.

    Attributes:
        source: Key of the source, e.g. "scannet".
        id: Scene id, `[A-Za-z0-9._-]{1,128}`.
        space: Physical room; splits never cut through a space.
        root: Folder that uris are relative to.
        color: Camera of the colour images of frames that carry none of their own.
        depth: Likewise of the depth images, or None when the layout gives no depth intrinsics.
        depth_size: (w, h) of the depth images of frames without a depth camera of their own.
        depth_scale: Metres per unit of the stored depth; 1.0 for float depth.
        frames: All frames in index order, masked ones included.
        read_depth: frame -> (h, w) uint16 or float32 as stored; SceneFormatError if it cannot.
            Called from several threads, and several maps are kept: each call gives its own array.
        read_cloud: The mesh vertices with instances, or None: the index builds a cloud.
        read_instance: frame -> (h, w) int32 instance ids (-1 none) on the colour grid, or None.
        objects: Annotated objects.
        metric: Whether lengths are metres; metric questions are refused otherwise.
        world_up: (3,) unit vector in the source's world, None = unknown.
        up_estimated: Whether `world_up` was estimated from the cameras.
        aligned_from_world: (4, 4) axis alignment, or None when the layout has none.
        split: "train" or "val" when the source ships a list that says so, else None.
        kind: Name of the reader.
        inputs: Files whose change makes an index stale.
        notes: Warnings to show, such as "depth_view_narrow".
        visits: 2 where it holds two visits of a room, numbered as `spatialcore.visits` says.
    """

    source: str
    id: str
    space: str
    root: Path
    color: Camera
    depth: Camera | None
    depth_size: tuple[int, int]
    depth_scale: float
    frames: tuple[Frame, ...]
    read_depth: Callable[[Frame], NDArray[Any]]
    read_cloud: Callable[[], Cloud] | None = None
    read_instance: Callable[[Frame], NDArray[np.int32]] | None = None
    objects: tuple[Object3D, ...] = ()
    metric: bool = True
    world_up: Float64 | None = None
    up_estimated: bool = False
    aligned_from_world: Float64 | None = None
    split: str | None = None
    kind: str = "arrays"
    inputs: tuple[Path, ...] = ()
    notes: tuple[str, ...] = field(default=())
    visits: int = 1

    def __repr__(self) -> str:
        usable = sum(not frame.reason for frame in self.frames)
        return (
            f"Scene({self.source}/{self.id}: {usable} of {len(self.frames)} frames, "
            f"{self.color.width}x{self.color.height}, {len(self.objects)} objects)"
        )

    def show(self, path: Path | str | None = None, *, most_frames: int = 60) -> None:
        """Open it in the Rerun viewer, or write it to `path`; see `spatialcore.recording.show`."""
        # By name: these types know no reader.
        import_module("spatialcore.recording").show(self, path, most_frames=most_frames)

    def color_of(self, frame: Frame) -> Camera:
        """Camera of a frame's colour image."""
        return self.color if frame.color is None else frame.color

    def depth_of(self, frame: Frame) -> Camera | None:
        """Camera of a frame's depth map, or None when it is not known."""
        return self.depth if frame.depth_camera is None else frame.depth_camera

    def depth_size_of(self, frame: Frame) -> tuple[int, int]:
        """(w, h) of a frame's depth map."""
        return self.depth_size if frame.depth_camera is None else frame.depth_camera.size

    @classmethod
    def from_arrays(
        cls,
        K: ArrayLike,
        world_from_cam: ArrayLike,
        depth: Sequence[NDArray[Any]],
        *,
        image_size: tuple[int, int],
        depth_scale: float | None = None,
        depth_K: ArrayLike | None = None,
        points_world: ArrayLike | None = None,
        instance: ArrayLike | None = None,
        objects: Sequence[Object3D] = (),
        images: Sequence[str] | None = None,
        root: Path | None = None,
        id: str = "scene",
        source: str = "arrays",
        world_up: ArrayLike | None = (0.0, 0.0, 1.0),
    ) -> Scene:
        """A scene from arrays in memory, for users without a folder.

        Args:
            K: (3, 3) colour intrinsics, pixels.
            world_from_cam: (F, 4, 4) poses; non-finite ones are masked.
            depth: F maps (h, w), uint16 or float32.
            image_size: (W, H) of the colour images.
            depth_scale: Metres per unit; None means 1.0 for float depth, required for integers.
            depth_K: (3, 3) depth intrinsics; None when depth shares the colour grid or is unknown.
            points_world: (P, 3) metres; None lets the index build a cloud from the depth.
            instance: (P,) object ids, -1 none.
            objects: Annotated objects.
            images: F uris relative to `root`.
            root: Folder of the images.
            id: Scene id.
            source: Source key.
            world_up: (3,) up direction, None = unknown.

        Raises:
            ValueError: Shapes disagree, or integer depth came without `depth_scale`.
        """
        poses = np.asarray(world_from_cam, dtype=np.float64)
        if poses.ndim != 3 or poses.shape[1:] != (4, 4):
            raise ValueError(f"world_from_cam must have shape (F, 4, 4), got {poses.shape}")
        if len(depth) != len(poses):
            raise ValueError(f"{len(depth)} depth maps for {len(poses)} poses")
        maps = [np.asarray(d) for d in depth]
        if not maps:
            raise ValueError("a scene needs at least one frame")
        if any(d.shape != maps[0].shape or d.ndim != 2 for d in maps):
            raise ValueError("depth maps must be (h, w) and share one size")
        if depth_scale is None:
            if maps[0].dtype.kind != "f":
                raise ValueError("depth_scale is required for integer depth")
            depth_scale = 1.0
        h, w = maps[0].shape
        frames = tuple(
            Frame(
                index=i,
                name=f"{i:05d}",
                world_from_cam=pose,
                image=None if images is None else images[i],
                depth=f"memory#{i}",
                reason="" if np.isfinite(pose).all() else "pose_nonfinite",
            )
            for i, pose in enumerate(poses)
        )
        cloud = None
        if points_world is not None:
            xyz = np.ascontiguousarray(points_world, dtype=np.float32)
            ids = np.full(len(xyz), -1, np.int32) if instance is None else np.asarray(instance)
            cloud = Cloud(xyz, ids.astype(np.int32))
        up = None if world_up is None else np.asarray(world_up, dtype=np.float64)
        return cls(
            source=source,
            id=id,
            space=id,
            root=Path() if root is None else root,
            color=Camera(np.asarray(K), *image_size),
            depth=None if depth_K is None else Camera(np.asarray(depth_K), w, h),
            depth_size=(w, h),
            depth_scale=depth_scale,
            frames=frames,
            read_depth=lambda frame: maps[frame.index],
            read_cloud=None if cloud is None else lambda: cloud,
            objects=tuple(objects),
            world_up=up,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Track3D:
    """A clip of 3-D point tracks.

    Attributes:
        source: Key of the source, e.g. "adt".
        id: Clip id.
        space: The sequence; splits never cut through it.
        root: Folder that uris are relative to.
        camera: Camera of the images.
        frames: T frames; `world_from_cam` is the inverse of `cam_from_world`.
        cam_from_world: (T, 4, 4) float64.
        tracks_cam: (T, N, 3) float64 metres in each frame's camera; NaN = no reading.
        visible: (T, N) bool.
        track_index: (N,) int32 column of each kept track in the file.
        short_track_count: Tracks dropped because under 80 % of their readings are present.
        static_camera: Whether the source declares its camera static.
        metric: Whether lengths are metres.
        world_up: (3,) or None.
        split: "train", "val" or None.
        kind: Name of the reader.
        inputs: Files whose change makes an index stale.
        notes: Which key names the file used, and other warnings.
    """

    source: str
    id: str
    space: str
    root: Path
    camera: Camera
    frames: tuple[Frame, ...]
    cam_from_world: Float64
    tracks_cam: Float64
    visible: NDArray[np.bool_]
    track_index: NDArray[np.int32]
    short_track_count: int = 0
    static_camera: bool = False
    metric: bool = True
    world_up: Float64 | None = None
    split: str | None = None
    kind: str = "tapvid3d"
    inputs: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()

    def show(self, path: Path | str | None = None, *, most_frames: int = 60) -> None:
        """Open it in the Rerun viewer, or write it to `path`; see `spatialcore.recording.show`."""
        import_module("spatialcore.recording").show(self, path, most_frames=most_frames)

    def __repr__(self) -> str:
        steps, tracks = self.visible.shape
        return f"Track3D({self.source}/{self.id}: {steps} frames, {tracks} tracks)"


class Source(Protocol):
    """A place that holds scenes or clips. Picklable: workers reopen what they need."""

    @property
    def kind(self) -> str:
        """Name of the reader: "scannet", "posed_images", "tapvid3d"."""

    @property
    def key(self) -> str:
        """Source key of the records."""

    @property
    def root(self) -> Path:
        """Folder that uris are relative to."""

    def scene_ids(self) -> tuple[str, ...]:
        """Ids in sorted order, without opening any scene."""

    def open(self, scene_id: str) -> Scene | Track3D:
        """Open one scene or clip; SceneFormatError when it cannot be read."""


def invert_pose(b_from_a: ArrayLike) -> Float64:
    """General inverse of affine 4x4 matrices, elementwise in a fixed order.

    The 3x3 part is inverted as adjugate over determinant, the translation is -R^-1 t. Neither
    LAPACK nor BLAS takes part, so the bits do not depend on the machine's libraries.

    Args:
        b_from_a: (..., 4, 4) with last row (0, 0, 0, 1).

    Returns:
        a_from_b: (..., 4, 4) float64.
    """
    m = np.asarray(b_from_a, dtype=np.float64)
    a, b, c = m[..., 0, 0], m[..., 0, 1], m[..., 0, 2]
    d, e, f = m[..., 1, 0], m[..., 1, 1], m[..., 1, 2]
    g, h, i = m[..., 2, 0], m[..., 2, 1], m[..., 2, 2]
    tx, ty, tz = m[..., 0, 3], m[..., 1, 3], m[..., 2, 3]
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        det = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
        rows = (
            ((e * i - f * h) / det, (c * h - b * i) / det, (b * f - c * e) / det),
            ((f * g - d * i) / det, (a * i - c * g) / det, (c * d - a * f) / det),
            ((d * h - e * g) / det, (b * g - a * h) / det, (a * e - b * d) / det),
        )
        out = np.zeros_like(m)
        for r, (x, y, z) in enumerate(rows):
            out[..., r, 0], out[..., r, 1], out[..., r, 2] = x, y, z
            out[..., r, 3] = -(((x * tx) + y * ty) + z * tz)
    out[..., 3, 3] = 1.0
    return out


def compose_poses(c_from_b: ArrayLike, b_from_a: ArrayLike) -> Float64:
    """`c_from_b @ b_from_a` of affine 4x4 matrices, elementwise in a fixed order, float64."""
    p = np.asarray(c_from_b, dtype=np.float64)
    q = np.asarray(b_from_a, dtype=np.float64)
    out = np.zeros(np.broadcast_shapes(p.shape, q.shape))
    for r in range(3):
        for c in range(4):
            value = (p[..., r, 0] * q[..., 0, c] + p[..., r, 1] * q[..., 1, c]) + p[..., r, 2] * q[
                ..., 2, c
            ]
            out[..., r, c] = value + p[..., r, 3] if c == 3 else value
    out[..., 3, 3] = 1.0
    return out


def transform_points(b_from_a: ArrayLike, points_a: ArrayLike) -> Float64:
    """Apply one affine pose to points: ((r0 x + r1 y) + r2 z) + t, float64.

    Args:
        b_from_a: (4, 4).
        points_a: (..., 3).

    Returns:
        points_b: (..., 3) float64.
    """
    m = np.asarray(b_from_a, dtype=np.float64)
    p = np.asarray(points_a, dtype=np.float64)
    x, y, z = p[..., 0], p[..., 1], p[..., 2]
    return np.stack(
        [((m[r, 0] * x + m[r, 1] * y) + m[r, 2] * z) + m[r, 3] for r in range(3)], axis=-1
    )
