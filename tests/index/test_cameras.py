# SPDX-License-Identifier: Apache-2.0
"""Frames with their own cameras and lenses: who sees what follows each frame's own camera."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from spatialcore.index import IndexConfig
from spatialcore.index.build import build_scene
from spatialcore.index.rules import load_rules
from spatialcore.index.store import SceneIndex
from spatialcore.lens import Lens
from spatialcore.types import Camera, Frame, Object3D, Scene
from tests import rays

LENSES = {"barrel": Lens("opencv", (-0.2, 0.03, 0.002, -0.001)), "fisheye": Lens("fisheye", ())}


class Held:
    """A source of one scene in memory."""

    kind = key = "held"

    def __init__(self, scene: Scene) -> None:
        self.scene, self.root = scene, scene.root

    def scene_ids(self):
        return (self.scene.id,)

    def open(self, scene_id):
        return self.scene


def scene_of(shots, *, own: bool, labels: bool = True) -> Scene:
    """The shots as a scene, every frame with its own camera or all with the first one's."""
    first = shots[0].camera
    frames = tuple(
        Frame(
            index=k, name=f"{k:03d}", world_from_cam=shot.world_from_cam, image=f"{k}.jpg",
            depth=f"memory#{k}", color=shot.camera if own else None,
            depth_camera=shot.camera if own else None,
        )
        for k, shot in enumerate(shots)
    )  # fmt: skip
    return Scene(
        source="held", id="room", space="room", root=Path(),
        color=first, depth=None, depth_size=first.size, depth_scale=1.0, frames=frames,
        read_depth=lambda frame: shots[frame.index].depth.astype(np.float32),
        read_instance=(lambda frame: shots[frame.index].instance) if labels else None,
        objects=tuple(Object3D(k, box[0], box[0]) for k, box in enumerate(rays.BOXES, 1)),
        world_up=np.array([0.0, 0.0, 1.0]),
    )  # fmt: skip


def indexed(scene: Scene, path) -> SceneIndex:
    build_scene(Held(scene), scene.id, IndexConfig(load_rules("default")), path, threads=1)
    return SceneIndex.open(path)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    shots = rays.shots([rays.pinhole()] * 8)
    return shots, indexed(scene_of(shots, own=False), tmp_path_factory.mktemp("plain") / "room")


def test_one_camera_written_for_every_frame_changes_no_bit(plain, tmp_path):
    shots, shared = plain
    own = indexed(scene_of(shots, own=True), tmp_path / "room")
    for name in ("points.npy", "instance.npy", "visible.npy", "askable.npy", "pairs.parquet"):
        assert (own.path / name).read_bytes() == (shared.path / name).read_bytes(), name
    camera = shots[0].camera
    assert all(own.color_camera(f).same_as(camera) for f in own.valid_frames.tolist())


def refocused(k: int) -> Camera:
    """A phone's camera: focal length and principal point of frame k, and every third turned."""
    camera = rays.pinhole(120, 160, 50.0) if k % 3 == 0 else rays.pinhole()
    K = camera.K.copy()
    K[:2, :2] *= 1 + 0.012 * np.sin(k / 2)
    K[:2, 2] += (0.7 * np.cos(k), 0.6 * np.sin(k))
    return dataclasses.replace(camera, K=K)


def seen_by_rays(shot: rays.Shot, points) -> tuple[np.ndarray, np.ndarray]:
    """Which points the frame's own exact depth shows, and where it is too near to call."""
    cam = (points - shot.world_from_cam[:3, 3]) @ shot.world_from_cam[:3, :3]
    uv, z = shot.camera.project(cam)
    with np.errstate(invalid="ignore"):
        inside = ((uv >= 0) & (uv < np.array(shot.camera.size))).all(axis=1) & (z > 0)
    u, v = (np.rint(np.nan_to_num(uv[:, k])).astype(int) for k in (0, 1))
    w, h = shot.camera.size
    d = shot.depth[np.clip(v, 0, h - 1), np.clip(u, 0, w - 1)]
    gap = np.abs(z - d) - np.maximum(0.1 * z, 0.05)
    border = np.abs(uv % 1 - 0.5) < 1e-6
    return inside & (d > 0) & (gap < 0), (np.abs(gap) < 1e-6) | np.nan_to_num(border).any(axis=1)


@pytest.mark.parametrize("kind", ["refocused", "barrel", "fisheye"])
def test_each_frame_sees_through_its_own_camera(tmp_path, kind):
    if kind == "refocused":
        cameras = [refocused(k) for k in range(9)]
    else:
        cameras = [dataclasses.replace(rays.pinhole(), lens=LENSES[kind])] * 12
    shots = rays.shots(cameras)
    index = indexed(scene_of(shots, own=kind == "refocused"), tmp_path / "room")
    assert index.valid_frames.tolist() == list(range(len(shots)))
    points = np.asarray(index.points, np.float64)
    assert len(points) > 2000
    # Every point of the cloud lies on a surface of the room, within a voxel.
    assert np.quantile(rays_distance(points), 0.99) < 0.03
    visible = index.visible.to_bool()
    for row, shot in enumerate(shots):
        wanted, unsure = seen_by_rays(shot, points)
        assert not ((visible[row] != wanted) & ~unsure).any()
        assert index.color_camera(row).same_as(shot.camera)
    assert (index.askable.to_bool() <= visible).all()
    assert index.askable.counts().sum() > 0.3 * visible.sum()


def rays_distance(points: np.ndarray) -> np.ndarray:
    """Metres from each point to the nearest face of the room or of a box."""
    out = np.min([np.abs(points - rays.ROOM[k]).min(axis=1) for k in (0, 1)], axis=0)
    for _, low, high, _ in rays.BOXES:
        low, high = np.array(low), np.array(high)
        outside = np.linalg.norm(np.maximum(np.maximum(low - points, points - high), 0), axis=1)
        inside = np.minimum(points - low, high - points).min(axis=1)
        out = np.minimum(out, np.where(inside > 0, inside, outside))
    return out
