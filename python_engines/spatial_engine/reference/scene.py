# SPDX-License-Identifier: Apache-2.0
"""A scene as `verify` sees it: read from its source again, recomputed by the float64 reference.

Nothing here reads the index's masks, pair table or object tables. What the index stores of the
geometry itself, the turn of the world and a built cloud, is checked before it is used.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from spatial_engine.engines.base import FrameImage, Place
from spatialcore.errors import SpatialCoreError
from spatialcore.index.store import array_hash
from spatialcore.occlusion import DepthRule, PixelMap, visible_points
from spatialcore.types import (
    Camera,
    Cloud,
    Scene,
    Track3D,
    compose_poses,
    invert_pose,
    transform_points,
)

if TYPE_CHECKING:
    from spatial_engine.recipe import Recipe
    from spatialcore.index.store import SceneIndex

Float64 = NDArray[np.float64]
T = TypeVar("T")

# Visibility of this many frames is kept at once: rows are grouped by frame, so few are needed.
_KEPT_FRAMES = 64


class ReferenceScene:
    """One scene or clip of a source, for recomputing the facts of its records.

    Attributes:
        source: The opened scene or clip.
        place: Names, provenance and draws, as the engines see them.
        recipe: The recipe of the records.
        up: "given", "estimated" or "unknown".
        metric: Whether lengths are metres.
    """

    def __init__(
        self, opened: Scene | Track3D, index: SceneIndex, recipe: Recipe, seed: int, split: str
    ) -> None:
        self.source = opened
        self.recipe = recipe
        self.metric = opened.metric
        self.up = index.up
        self._index = index
        self._frames = {frame.index: frame for frame in opened.frames}
        images = {
            frame.index: FrameImage(frame.name, frame.image or "", *self.camera(frame.index).size)
            for frame in opened.frames
        }
        self.place = Place(
            opened.source, opened.space, opened.id, split, recipe, seed, index.depth_map, images
        )
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()

    def camera(self, frame: int) -> Camera:
        """Camera of a frame's image."""
        if isinstance(self.source, Scene):
            return self.source.color_of(self._frames[frame])
        return self.source.camera

    @cached_property
    def aligned_from_world(self) -> Float64:
        """(4, 4) turn to z up, then axis alignment, derived again and checked against the index.

        Raises:
            SpatialCoreError: The index was made with another turn.
        """
        up = self.source.world_up
        turn = np.eye(4) if up is None else _zup_from_up(np.asarray(up, dtype=np.float64))
        aligned = self.source.aligned_from_world if isinstance(self.source, Scene) else None
        if aligned is not None:
            turn = compose_poses(aligned, turn)
        stored = self._index.aligned_from_world
        if not np.allclose(turn, stored, rtol=0.0, atol=1e-9):
            raise SpatialCoreError(f"{self.place.scene}: the index turns the world differently")
        # The stored bits decide which float32 a vertex rounds to, hence they are used.
        return stored

    def world_from_cam(self, frame: int) -> Float64:
        """(4, 4) pose of a frame in the z-up, aligned world; ValueError when it has none."""
        stored = self._frames[frame].world_from_cam
        if stored is None or not np.isfinite(stored).all():
            raise ValueError(f"{self.place.scene}: frame {frame} has no pose")
        return compose_poses(self.aligned_from_world, stored)

    def cam_from_world(self, frame: int) -> Float64:
        """(4, 4) inverse of `world_from_cam`."""
        return invert_pose(self.world_from_cam(frame))

    @cached_property
    def cloud(self) -> Cloud:
        """The cloud in the z-up, aligned world; row = the point id of records.

        A mesh is read from the source. A built cloud is the index's, once its hash is checked.

        Raises:
            SpatialCoreError: The stored cloud is not the one that was built.
        """
        if not isinstance(self.source, Scene):
            raise TypeError(f"{self.place.scene} is a clip and has no cloud")
        if self.source.read_cloud is None:
            points, instance = np.asarray(self._index.points), np.asarray(self._index.instance)
            if array_hash(points, instance) != self._index.meta["cloud"]["hash"]:
                raise SpatialCoreError(f"{self.place.scene}: the stored cloud has changed")
            return Cloud(points, instance)
        cloud = self.source.read_cloud()
        turned = transform_points(self.aligned_from_world, cloud.points_world)
        return Cloud(turned.astype(np.float32), cloud.instance, cloud.colour)

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
        if not isinstance(self.source, Scene):
            raise TypeError(f"{self.place.scene} is a clip and has no depth")
        scene, row = self.source, self._frames[frame]
        return self.cached(("depth", frame), lambda: scene.read_depth(row))

    def depth_m(self, frame: int) -> Float64:
        """(h, w) float64 depth in metres; 0 where there is no reading."""
        scale = self.source.depth_scale if isinstance(self.source, Scene) else 1.0
        metres = self.depth(frame).astype(np.float64) * scale
        return np.where(np.isfinite(metres) & (metres > 0), metres, 0.0)

    def pixel_map(self, frame: int) -> PixelMap:
        """The map from a frame's colour to its depth pixels, chosen as docs/relations.md says."""
        scene, row = self.source, self._frames[frame]
        if not isinstance(scene, Scene):
            raise TypeError(f"{self.place.scene} is a clip and has no depth")
        color, depth, size = scene.color_of(row), scene.depth_of(row), scene.depth_size_of(row)
        kind = self._index.depth_map
        if kind == "from_sizes":
            return PixelMap.from_sizes(color.size, size)
        if depth is not None:
            return PixelMap.from_intrinsics(color.K, depth.K)
        if kind == "identity" and size == color.size:
            return PixelMap.identity()
        raise SpatialCoreError(f"{self.place.scene}: the source does not fit map {kind!r}")

    @property
    def rule(self) -> DepthRule:
        """The recipe's depth rule."""
        if self.recipe.rules.rule == "strict":
            return DepthRule.strict()
        return DepthRule.tolerance(
            self.recipe.rules.rule_relative, self.recipe.rules.rule_absolute_m
        )

    def visible(self, frame: int) -> NDArray[np.bool_]:
        """(P,) bool: which points of `cloud` the frame sees, by the float64 reference."""
        return self.cached(("visible", frame), lambda: self._visible(frame))

    def _visible(self, frame: int) -> NDArray[np.bool_]:
        if not isinstance(self.source, Scene):
            raise TypeError(f"{self.place.scene} is a clip and has no depth")
        mask = visible_points(
            self.points,
            self.camera(frame).K,
            self.cam_from_world(frame)[None],
            self.depth(frame)[None],
            image_size=self.camera(frame).size,
            depth_scale=self.source.depth_scale,
            depth_from_image=self.pixel_map(frame),
            rule=self.rule,
            backend="reference",
        )
        seen: NDArray[np.bool_] = mask.to_bool()[0]
        return seen

    def project(self, frame: int, points: NDArray[Any]) -> tuple[Float64, Float64]:
        """Pixels (n, 2) and z (n,) metres of world points, by a plain matrix product."""
        M = np.linalg.inv(self.world_from_cam(frame))
        cam = np.asarray(points, dtype=np.float64) @ M[:3, :3].T + M[:3, 3]
        z, camera = cam[:, 2], self.camera(frame)
        if camera.lens is not None:
            return camera.project(cam)[0], z
        with np.errstate(divide="ignore", invalid="ignore"):
            uv = (cam @ camera.K.T)[:, :2] / z[:, None]
        return uv, z

    @property
    def track(self) -> Track3D:
        """The clip; TypeError for a scene."""
        if not isinstance(self.source, Track3D):
            raise TypeError(f"{self.place.scene} is a scene, not a clip")
        return self.source


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
