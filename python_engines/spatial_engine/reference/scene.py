# SPDX-License-Identifier: Apache-2.0
"""A scene as `verify` sees it: read from its source again, recomputed by the float64 reference.

Nothing here reads a file of the index. A cloud that the index built is built again, the turn of the
world is derived again, and the rules are those that the records' manifest holds.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spatial_engine.records.marks import Refer
from spatial_engine.records.place import FrameImage, Place
from spatial_engine.reference.cloud import PosedReadings, built_cloud, in_boxes
from spatial_engine.reference.clusters import trimmed
from spatial_engine.reference.guards import PointGuards, point_guards, visible_only
from spatial_engine.reference.splats import SceneDiscs
from spatialcore.camera import pinhole_depth
from spatialcore.errors import SceneFormatError, SpatialCoreError
from spatialcore.index.askable import askable_rule
from spatialcore.index.frames import frame_pixel_map, index_world
from spatialcore.index.visibility import depth_rule, pixel_map_name, surface_rule
from spatialcore.occlusion import DepthRule, PixelMap, visible_points
from spatialcore.types import (
    Camera,
    Cloud,
    Frame,
    Scene,
    Track3D,
    compose_poses,
    invert_pose,
    transform_points,
)

if TYPE_CHECKING:
    from spatial_engine.recipe import Recipe
    from spatialcore.index.rules import Rules

Float64 = NDArray[np.float64]
T = TypeVar("T")

# So many maps and masks of frames are kept at once, up to five of a frame: rows are grouped by
# frame, so few are needed.
_KEPT_FRAMES = 160


class ReferenceScene:
    """One scene or clip of a source, for recomputing the facts of its records.

    Attributes:
        source: The opened scene or clip.
        place: Names, provenance and draws, as the engines see them.
        recipe: The recipe of the records.
        metric: Whether lengths are metres.
        up_known: Whether the source says which way is up.
        refer: How objects are pointed at; "" where they are named.
        plain: The scene whose objects are named, of one whose objects are pointed at.
    """

    def __init__(self, opened: Scene | Track3D, recipe: Recipe, seed: int, split: str) -> None:
        self.source = opened
        self.recipe = recipe
        self.metric = opened.metric
        self.up_known = opened.world_up is not None
        self._frames = {frame.index: frame for frame in opened.frames}
        images = {
            frame.index: FrameImage(frame.name, frame.image or "", *self.camera(frame.index).size)
            for frame in opened.frames
        }
        self.place = Place(
            opened.source, opened.space, opened.id, split, recipe, seed, self.map_name, images
        )
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()
        self._open_shares: dict[int, dict[int, float]] = {}
        self._voxel: float | None = None
        self._readable: set[int] = set()
        self.refer: Refer = ""
        self.plain: ReferenceScene | None = None

    def referring(self, by: Refer) -> ReferenceScene:
        """The same scene with objects that have no names and are pointed at."""

        def make() -> ReferenceScene:
            _ = self.cloud  # read once for both
            other = copy.copy(self)
            other.refer, other.plain = by, self
            return other

        return self.cached(("referring", by), make)

    @property
    def scene(self) -> Scene:
        """The scene; TypeError for a clip."""
        if not isinstance(self.source, Scene):
            raise TypeError(f"{self.source.id} is a clip and has neither cloud nor depth")
        return self.source

    @property
    def track(self) -> Track3D:
        """The clip; TypeError for a scene."""
        if not isinstance(self.source, Track3D):
            raise TypeError(f"{self.source.id} is a scene, not a clip")
        return self.source

    @cached_property
    def map_name(self) -> str:
        """How colour pixels meet depth pixels, as the recipe's rules say; "" for a clip."""
        return "" if isinstance(self.source, Track3D) else pixel_map_name(self.source, self.rules)

    @property
    def rules(self) -> Rules:
        """The recipe's rules."""
        return self.recipe.rules

    def camera(self, frame: int) -> Camera:
        """Camera of a frame's image."""
        if isinstance(self.source, Track3D):
            return self.source.camera
        return self.source.color_of(self._frames[frame])

    def depth_size(self, frame: int) -> tuple[int, int]:
        """(w, h) of a frame's depth map."""
        return self.scene.depth_size_of(self._frames[frame])

    def pixel_map(self, frame: int) -> PixelMap:
        """The map from a frame's colour pixels to its depth pixels."""
        depth = self.scene.depth_of(self._frames[frame])
        return frame_pixel_map(self.map_name, self.camera(frame), depth, self.depth_size(frame))

    @cached_property
    def aligned_from_world(self) -> Float64:
        """(4, 4) turn to z up, then axis alignment, derived in two ways that must agree.

        Raises:
            SpatialCoreError: They do not.
        """
        up = self.source.world_up
        turn = np.eye(4) if up is None else _zup_from_up(np.asarray(up, dtype=np.float64))
        aligned = self.source.aligned_from_world if isinstance(self.source, Scene) else None
        # The bits of the index's formula decide which float32 a vertex rounds to.
        exact = index_world(up, aligned).aligned_from_world
        if not np.allclose(exact, turn if aligned is None else aligned @ turn, rtol=0, atol=1e-9):
            raise SpatialCoreError(f"{self.source.id}: the index's formula turns the world wrongly")
        return exact

    def world_from_cam(self, frame: int) -> Float64:
        """(4, 4) pose of a frame in the z-up, aligned world; ValueError when it cannot be used."""
        return self._pose(self._frames[frame])

    def _pose(self, frame: Frame) -> Float64:
        stored, name = frame.world_from_cam, f"{self.source.id}: frame {frame.index}"
        if frame.reason or stored is None or not np.isfinite(stored).all():
            raise ValueError(f"{name} has no pose ({frame.reason or 'pose_missing'})")
        pose = compose_poses(self.aligned_from_world, stored)
        if not np.isfinite(invert_pose(pose)).all():
            raise ValueError(f"{name} has a pose without an inverse")
        return pose

    @cached_property
    def cloud(self) -> Cloud:
        """The cloud in the z-up, aligned world; row = the point id of records.

        A mesh is read from the source; where there is none the cloud is built again from the depth
        maps, which are read once for each size of voxel that is tried. Objects that are boxes have
        the points in them.
        """
        turn, objects = self.aligned_from_world, self.scene.objects
        return in_boxes(objects, self._source_cloud(), turn, self.up_known)

    def _source_cloud(self) -> Cloud:
        if self.scene.read_cloud is None:
            built, self._voxel = built_cloud(self._posed_readings, self.scene.depth_scale)
            clustered = self.rules.object_points == "cluster"
            return trimmed(built, self._voxel) if clustered else built
        cloud = self.scene.read_cloud()
        points = np.asarray(cloud.points_world, np.float32)
        if not np.array_equal(self.aligned_from_world, np.eye(4)):
            points = transform_points(self.aligned_from_world, points).astype(np.float32)
        return replace(cloud, points_world=points)

    @cached_property
    def valid_frames(self) -> tuple[int, ...]:
        """The frames that can be asked about: those with a pose and a map of the right size."""
        return tuple(sorted(frame.index for frame in self.scene.frames if self._usable(frame)))

    def _usable(self, frame: Frame) -> bool:
        try:
            self._pose(frame)
            return self.scene.read_depth(frame).shape == self.depth_size(frame.index)[::-1]
        except (ValueError, SceneFormatError):
            return False

    def _posed_readings(self) -> Iterator[PosedReadings]:
        """The frames that a cloud is built from: those with a pose and a map of the right size."""
        for frame in self.scene.frames:
            try:
                pose, depth = self._pose(frame), self.scene.read_depth(frame)
            except (ValueError, SceneFormatError):
                continue
            if depth.shape == self.depth_size(frame.index)[::-1]:
                self._readable.add(frame.index)
                yield self._straight(frame, PosedReadings(
                    depth, self._depth_K(frame), pose, self._instance(frame)
                ))  # fmt: skip

    def _straight(self, frame: Frame, posed: PosedReadings) -> PosedReadings:
        """Readings as a pinhole would show them; those behind a lens are resampled, nearest."""
        lens = self.camera(frame.index).lens
        if lens is None:
            return posed
        camera = Camera(posed.K, *self.depth_size(frame.index), lens)
        ids = posed.instance
        return posed._replace(
            depth=pinhole_depth(posed.depth, camera),
            instance=None if ids is None else pinhole_depth(ids + 1, camera) - 1,
        )

    def _depth_K(self, frame: Frame) -> Float64:  # noqa: N802
        """(3, 3) of the depth map, as given or as the pixel map implies."""
        given, m = self.scene.depth_of(frame), self.pixel_map(frame.index)
        if given is not None:
            return given.K
        affine = np.array([[m.ax, 0.0, m.bx], [0.0, m.ay, m.by], [0.0, 0.0, 1.0]])
        return np.asarray(affine @ self.camera(frame.index).K)

    def _instance(self, frame: Frame) -> NDArray[Any] | None:
        """(h, w) object id of the colour pixel nearest to each depth pixel, -1 outside."""
        if self.scene.read_instance is None:
            return None
        try:
            stored = self.scene.read_instance(frame)
        except SceneFormatError:
            return None
        m, (w, h) = self.pixel_map(frame.index), self.depth_size(frame.index)
        W, H = self.camera(frame.index).size
        row, column = np.mgrid[:h, :w]
        u = np.rint((column - m.bx) / m.ax).astype(np.int64)
        v = np.rint((row - m.by) / m.ay).astype(np.int64)
        inside = (u >= 0) & (u < W) & (v >= 0) & (v < H)
        ids = stored[np.clip(v, 0, H - 1), np.clip(u, 0, W - 1)]
        return np.where(inside, ids, -1)

    @property
    def voxel(self) -> float | None:
        """Metres, side of the voxels of a cloud that was built again; None for a mesh."""
        return self._voxel if len(self.points) else None

    @property
    def cloud_frames(self) -> tuple[int, ...]:
        """The frames that a cloud was built from again, ascending; () for a mesh."""
        return tuple(sorted(self._readable)) if len(self.points) else ()

    @property
    def points(self) -> NDArray[np.float32]:
        """(P, 3) float32 metres, see `cloud`."""
        return self.cloud.points_world

    def cached(self, key: Hashable, make: Callable[[], T]) -> T:
        """`make()`, kept while its key is among the most recent ones."""
        if key not in self._kept:
            self._kept[key] = make()
            while len(self._kept) > _KEPT_FRAMES:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        value: T = self._kept[key]
        return value

    def depth(self, frame: int) -> NDArray[Any]:
        """(h, w) depth map of a frame as stored."""
        scene, row = self.scene, self._frames[frame]
        return self.cached(("depth", frame), lambda: scene.read_depth(row))

    def depth_m(self, frame: int) -> Float64:
        """(h, w) float64 depth in metres; NaN where there is no reading."""
        metres = self.depth(frame).astype(np.float64) * self.scene.depth_scale
        return np.where(np.isfinite(metres) & (metres > 0), metres, np.nan)

    def visible(self, frame: int) -> NDArray[np.bool_]:
        """(P,) bool: which points of `cloud` the frame sees, by the float64 reference."""
        rule = depth_rule(self.rules)
        return self.cached(("visible", frame), lambda: self._near(frame, rule))

    def surface(self, frame: int) -> NDArray[np.bool_]:
        """(P,) bool: which points lie on the surface that the frame's depth map shows."""
        rule = surface_rule(self.rules)
        return self.cached(("surface", frame), lambda: self._near(frame, rule))

    def object_points(self, frame: int) -> NDArray[np.bool_]:
        """(P,) bool: which points tell what the frame shows of an object."""
        by_surface = self.rules.objects == "surface"
        return self.surface(frame) if by_surface else self.visible(frame)

    def inside(self, frame: int) -> NDArray[np.bool_]:
        """(P,) bool: which points have their pixel in the image, seen or not."""
        return self.cached(("inside", frame), lambda: self._inside(frame))

    def _inside(self, frame: int) -> NDArray[np.bool_]:
        camera = self.camera(frame)
        cam = transform_points(invert_pose(self.world_from_cam(frame)), self.points)
        uv, z = camera.project(cam)
        with np.errstate(invalid="ignore"):  # NaN compares false: no pixel
            inside = ((uv >= 0) & (uv < np.array(camera.size))).all(axis=1)
        return np.asarray(inside & (z > 0))

    @cached_property
    def _discs(self) -> SceneDiscs:
        return SceneDiscs(self.cloud)

    def open_share(self, frame: int, object_id: int) -> float:
        """Share of an object's points in a frame's image that no other surface of the cloud hides.

        Found without any depth map; 0 where the image holds none of its points.
        """
        if frame not in self._open_shares:
            cam_from_world = invert_pose(self.world_from_cam(frame))
            shares = self._discs.open_shares(frame, cam_from_world, self.inside(frame))
            self._open_shares[frame] = shares
        return self._open_shares[frame].get(object_id, 0.0)

    def _near(self, frame: int, rule: DepthRule) -> NDArray[np.bool_]:
        if self.camera(frame).lens is not None:
            return self._near_behind_lens(frame, rule)
        mask = visible_points(
            self.points,
            self.camera(frame).K,
            invert_pose(self.world_from_cam(frame))[None],
            self.depth(frame)[None],
            image_size=self.camera(frame).size,
            depth_scale=self.scene.depth_scale,
            depth_from_image=self.pixel_map(frame),
            rule=rule,
            backend="reference",
        )
        seen: NDArray[np.bool_] = mask.to_bool()[0]
        return seen

    def _near_behind_lens(self, frame: int, rule: DepthRule) -> NDArray[np.bool_]:
        """The rule of `visible_points` on the lens's pixels."""
        camera = self.camera(frame)
        cam = transform_points(invert_pose(self.world_from_cam(frame)), self.points)
        uv, z = camera.project(cam)
        pixels = self.pixel_map(frame).depth_pixel(np.nan_to_num(uv), self.depth_size(frame))
        reading = self.depth_m(frame)[pixels[:, 1], pixels[:, 0]]
        with np.errstate(invalid="ignore"):  # NaN compares false: no pixel, or no reading
            inside = ((uv >= 0) & (uv < np.array(camera.size))).all(axis=1) & (z > 0)
            gap = np.abs(z - reading)
            near = gap < np.maximum(rule.relative * z, rule.absolute)
            seen: NDArray[np.bool_] = inside & (z < reading if rule.kind == "strict" else near)
        return seen

    def project(self, frame: int, rows: ArrayLike) -> tuple[Float64, Float64]:
        """Pixels (n, 2) and z (n,) metres of rows of the cloud, by a plain matrix product."""
        M = np.linalg.inv(self.world_from_cam(frame))
        cam = self.points[np.asarray(rows, np.int64)].astype(np.float64) @ M[:3, :3].T + M[:3, 3]
        z, camera = cam[:, 2], self.camera(frame)
        if camera.lens is not None:
            return camera.project(cam)[0], z
        with np.errstate(divide="ignore", invalid="ignore"):
            uv = (cam @ camera.K.T)[:, :2] / z[:, None]
        return uv, z

    def guards(self, frame: int, rows: ArrayLike) -> PointGuards:
        """The guards on rows of the cloud in a frame, by the recipe's rules.

        Pixels are those of the specification: a last bit may decide a guard.
        """
        rows = np.asarray(rows, np.int64)
        visible = self.visible(frame)[rows]
        if self.rules.askable == "visible":
            return visible_only(visible)
        camera, size = self.camera(frame), self.depth_size(frame)
        cam = transform_points(invert_pose(self.world_from_cam(frame)), self.points[rows])
        uv, z = camera.project(cam)
        pixels = self.pixel_map(frame).depth_pixel(np.nan_to_num(uv), size)
        rule = askable_rule(self.rules.guards, camera.size, size)
        return point_guards(uv, z, visible, self.depth_m(frame), pixels, rule, camera.size)


def _zup_from_up(up: Float64) -> Float64:
    """Shortest-arc rotation that takes a unit vector to +z, by Rodrigues' formula, as (4, 4)."""
    up = up / np.linalg.norm(up)
    z = np.array([0.0, 0.0, 1.0])
    cos = float(up @ z)
    out = np.eye(4)
    if cos < -1.0 + 1e-12:
        out[:3, :3] = np.diag([1.0, -1.0, -1.0])
        return out
    axis = np.cross(up, z)
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    out[:3, :3] = np.eye(3) + cross + cross @ cross / (1.0 + cos)
    return out
