# SPDX-License-Identifier: Apache-2.0
"""A sample room in another world: turned, or as a mirror shows it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatial_engine.engines.context import SceneContext
from spatial_engine.recipe import Recipe
from spatialcore.index.config import IndexConfig
from spatialcore.index.index import Index, build_index
from spatialcore.io.open import open_sources
from spatialcore.types import Camera, Frame, Scene
from tests.index.scenes import MemorySource

QUARTER = np.array([[0.0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
MIRROR_X = np.diag([-1.0, 1.0, 1.0, 1.0])


def sample_room(folder: Path, number: int = 0) -> Scene:
    """A room of the sample set with meshes and labels."""
    (source,) = open_sources(folder / "scannet")
    scene = source.open(source.scene_ids()[number])
    assert isinstance(scene, Scene)
    return scene


def moved(scene: Scene, world2_from_world: NDArray[np.float64], *, mirrored: bool = False) -> Scene:
    """The room after a motion of its aligned world; a mirrored one is seen in mirrored images."""
    align = np.eye(4) if scene.aligned_from_world is None else scene.aligned_from_world
    motion = world2_from_world @ align
    flip = MIRROR_X if mirrored else np.eye(4)
    assert scene.read_cloud is not None
    cloud = scene.read_cloud()
    points = cloud.points_world.astype(np.float64) @ motion[:3, :3].T + motion[:3, 3]
    turned = dataclasses.replace(cloud, points_world=points.astype(np.float32))

    def camera(one: Camera | None) -> Camera | None:
        if one is None or not mirrored:
            return one
        K = one.K.copy()
        K[0, 2] = one.width - 1 - K[0, 2]
        return dataclasses.replace(one, K=K)

    def frame(one: Frame) -> Frame:
        pose = one.world_from_cam
        if pose is not None and np.isfinite(pose).all():
            pose = motion @ pose @ flip
        return dataclasses.replace(
            one, world_from_cam=pose,
            color=camera(one.color), depth_camera=camera(one.depth_camera),
        )  # fmt: skip

    def read_depth(one: Frame) -> NDArray[Any]:
        stored = scene.read_depth(one)
        return np.ascontiguousarray(stored[:, ::-1]) if mirrored else stored

    color = camera(scene.color)
    assert color is not None
    return dataclasses.replace(
        scene, source="rooms", frames=tuple(map(frame, scene.frames)), read_cloud=lambda: turned,
        color=color,
        depth=camera(scene.depth), read_depth=read_depth, aligned_from_world=None,
        world_up=np.array([0.0, 0.0, 1.0]), inputs=(),
    )  # fmt: skip


def opened(scene: Scene, folder: Path, recipe: Recipe) -> SceneContext:
    """The room indexed, with a quota of 40 rows for each task."""
    from spatial_engine.engines import engines

    build_index([MemorySource({scene.id: scene})], folder, config=IndexConfig(recipe.rules))
    found = Index.open(folder).open_scene(scene.source, scene.id)
    quota = {engine.task: 40 for engine in engines()}
    return SceneContext.open(found, recipe, 0, "train", scene_quota=quota)
