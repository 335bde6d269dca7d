# SPDX-License-Identifier: Apache-2.0
"""COLMAP, Replica and WAI: tiny scenes written byte by byte, read with their conventions undone."""

import contextlib
import json
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spatialcore.errors import SceneFormatError
from spatialcore.io.colmap_model import read_model
from spatialcore.io.open import open_source
from spatialcore.io.quaternions import rotation_of_quaternion
from spatialcore.io.wai import is_wai
from spatialcore.lens import Lens
from spatialcore.types import invert_pose
from tests import rays

COUNT = 6
SHOTS = rays.shots([rays.pinhole(96, 72)] * COUNT)
K = SHOTS[0].camera.K


def quaternion(R):
    """(w, x, y, z) of a rotation whose angle is under half a turn."""
    w = 0.5 * np.sqrt(1 + np.trace(R))
    x, y, z = R[2, 1] - R[1, 2], R[0, 2] - R[2, 0], R[1, 0] - R[0, 1]
    return np.array([w, x / (4 * w), y / (4 * w), z / (4 * w)])


def save_jpeg(path, colour):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(colour).save(path, quality=95)


def entries():
    """(name, quaternion, translation) of each image, cam_from_world."""
    for k, shot in enumerate(SHOTS):
        m = np.asarray(invert_pose(shot.world_from_cam))
        yield f"walk/{k + 9}.jpg", quaternion(m[:3, :3]), m[:3, 3]


def write_colmap(folder, kind, depth="npy"):
    sparse = folder / "sparse" / "0"
    sparse.mkdir(parents=True)
    fx, fy, cx, cy = K[0, 0], K[1, 1], K[0, 2] + 0.5, K[1, 2] + 0.5
    rows = list(entries())
    if kind == "txt":
        (sparse / "cameras.txt").write_text(
            "# cameras\n"
            f"1 OPENCV 192 144 {2 * fx} {2 * fy} {2 * cx} {2 * cy} 0.01 0 0 0\n"
            f"7 PINHOLE 96 72 {fx} {fy} {cx} {cy}\n"
        )
        lines = ["# images"]
        for k, (name, q, t) in enumerate(rows):
            numbers = " ".join(repr(float(v)) for v in (*q, *t))
            lines += [f"{k + 1} {numbers} {7 if k else 1} {name}", "10 20 -1" if k else ""]
        (sparse / "images.txt").write_text("\n".join(lines) + "\n")
    else:
        cameras = struct.pack("<Q", 2) + struct.pack("<IiQQ4d", 7, 1, 96, 72, fx, fy, cx, cy)
        cameras += struct.pack(
            "<IiQQ8d", 1, 4, 192, 144, 2 * fx, 2 * fy, 2 * cx, 2 * cy, 0.01, 0, 0, 0
        )
        images = struct.pack("<Q", len(rows))
        for k, (name, q, t) in enumerate(rows):
            images += struct.pack("<I7dI", k + 1, *q, *t, 7 if k else 1) + name.encode() + b"\0"
            images += struct.pack("<Q", 1) + struct.pack("<2dq", 10, 20, -1)
        (sparse / "cameras.bin").write_bytes(cameras)
        (sparse / "images.bin").write_bytes(images)
    for (name, _, _), shot in zip(rows, SHOTS, strict=True):
        save_jpeg(folder / "images" / name, shot.colour)
        z = shot.depth.astype(np.float32)
        if depth == "npy":
            path = folder / "depth" / Path(name).with_suffix(".npy")
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, z)
        elif depth == "dense":
            path = folder / "stereo/depth_maps" / f"{name}.geometric.bin"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"96&72&1&" + z.astype("<f4").tobytes())
    return folder


def test_quaternions_by_hand():
    half = np.sqrt(0.5)
    quarter = rotation_of_quaternion(np.array([half, 0, 0, half]))
    np.testing.assert_allclose(quarter, [[0, -1, 0], [1, 0, 0], [0, 0, 1]], atol=1e-15)
    assert np.isnan(rotation_of_quaternion(np.zeros(4))).all()


@pytest.mark.parametrize(("kind", "depth"), [("txt", "npy"), ("bin", "npy"), ("bin", "dense")])
def test_colmap(tmp_path, kind, depth):
    write_colmap(tmp_path / "room", kind, depth)
    source = open_source(tmp_path)
    assert (source.kind, source.scene_ids()) == ("colmap", ("room",))
    scene = source.open("room")
    # Names count 9, 10, ...: capture order is that of the numbers.
    assert [f.name for f in scene.frames] == [str(k + 9) for k in range(COUNT)]
    assert [f.reason for f in scene.frames] == [""] * COUNT
    assert not scene.metric
    assert "scale_unknown" in scene.notes
    factor = scene.depth_scale
    middle = np.median([np.median(s.depth[::4, ::4]) for s in SHOTS])
    assert factor == pytest.approx(2.0 / middle, rel=0.05)
    for frame, shot in zip(scene.frames, SHOTS, strict=True):
        wanted = shot.world_from_cam.copy()
        wanted[:3, 3] *= factor
        np.testing.assert_allclose(frame.world_from_cam, wanted, atol=1e-9)
        np.testing.assert_allclose(scene.read_depth(frame), shot.depth, rtol=1e-6)
        np.testing.assert_allclose(scene.color_of(frame).K, K, atol=1e-9)
    lens = scene.color_of(scene.frames[0]).lens
    assert lens == Lens("opencv", (0.01,))
    assert scene.color.lens is None


def test_colmap_without_depth_says_what_is_missing(tmp_path):
    write_colmap(tmp_path / "room", "txt", depth="none")
    with pytest.raises(SceneFormatError, match="put one for each image into depth/") as error:
        open_source(tmp_path).open("room")
    assert error.value.code == "depth_missing"


def test_colmap_says_metres_where_a_person_does(tmp_path):
    write_colmap(tmp_path / "room", "bin")
    (tmp_path / "room" / "scene_meta.json").write_text('{"metric": true, "world_up": [0, 0, 1]}')
    scene = open_source(tmp_path).open("room")
    assert (scene.metric, scene.depth_scale) == (True, 1.0)


def test_damaged_colmap_models_are_refused_quickly(tmp_path):
    folder = write_colmap(tmp_path / "room", "bin") / "sparse" / "0"
    cameras, images = (folder / "cameras.bin").read_bytes(), (folder / "images.bin").read_bytes()
    for name, content in {
        "cameras.bin": struct.pack("<Q", 1 << 60) + cameras[8:],
        "images.bin": struct.pack("<Q", 1 << 40) + images[8:],
    }.items():
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(content)
        with pytest.raises(SceneFormatError, match="declares"):
            read_model(folder)
        (folder / name).write_bytes(whole)
    rng = np.random.default_rng(5)
    for trial in range(200):
        damaged = bytearray(images if trial % 2 else cameras)
        damaged[int(rng.integers(len(damaged)))] ^= 1 << int(rng.integers(8))
        if trial % 5 == 0:
            damaged = damaged[: int(rng.integers(len(damaged)))]
        (folder / ("images.bin" if trial % 2 else "cameras.bin")).write_bytes(bytes(damaged))
        with contextlib.suppress(SceneFormatError):  # anything else fails the test
            read_model(folder)
        (folder / "cameras.bin").write_bytes(cameras)
        (folder / "images.bin").write_bytes(images)


def write_replica(root):
    folder = root / "room0"
    for k, shot in enumerate(SHOTS):
        save_jpeg(folder / f"results/frame{k:06d}.jpg", shot.colour)
        units = np.rint(shot.depth * 6553.5).astype(np.uint16)
        Image.fromarray(units).save(folder / f"results/depth{k:06d}.png")
    np.savetxt(folder / "traj.txt", np.stack([s.world_from_cam.ravel() for s in SHOTS]))
    camera = {"w": 96, "h": 72, "fx": K[0, 0], "fy": K[1, 1], "cx": K[0, 2], "cy": K[1, 2]}
    (root / "cam_params.json").write_text(json.dumps({"camera": {**camera, "scale": 6553.5}}))
    return folder


def test_replica(tmp_path):
    folder = write_replica(tmp_path)
    source = open_source(tmp_path)
    assert (source.kind, source.scene_ids()) == ("replica", ("room0",))
    scene = source.open("room0")
    assert scene.depth_scale == 1 / 6553.5
    assert scene.world_up.tolist() == [0, 0, 1]
    np.testing.assert_allclose(scene.color.K, K)
    for frame, shot in zip(scene.frames, SHOTS, strict=True):
        np.testing.assert_allclose(frame.world_from_cam, shot.world_from_cam, atol=1e-9)
        metres = scene.read_depth(frame) * scene.depth_scale
        np.testing.assert_allclose(metres, shot.depth, atol=1e-4)
    lines = (folder / "traj.txt").read_text().splitlines()
    (folder / "traj.txt").write_text("\n".join([lines[0], "1 2 three", *lines[2:]]))
    assert [f.reason for f in source.open("room0").frames][:3] == ["", "pose_unreadable", ""]
    (tmp_path / "cam_params.json").write_text('{"camera": {"w": 96}}')
    with pytest.raises(SceneFormatError, match="must hold"):
        source.open("room0")
    (tmp_path / "cam_params.json").unlink()
    with pytest.raises(SceneFormatError, match="scene's folder or above"):
        source.open("room0")


def write_wai(folder, **fields):
    frames = []
    for k, shot in enumerate(SHOTS):
        save_jpeg(folder / f"images/{k}.jpg", shot.colour)
        (folder / "depth").mkdir(exist_ok=True)
        np.save(folder / f"depth/{k}.npy", shot.depth.astype(np.float32))
        frames.append({
            "frame_name": f"f{k}", "image": f"images/{k}.jpg", "sensor": f"depth/{k}.npy",
            "transform_matrix": shot.world_from_cam.tolist(),
            "fl_x": K[0, 0], "fl_y": K[1, 1], "cx": K[0, 2] + 0.5, "cy": K[1, 2] + 0.5,
            "w": 96, "h": 72,
        })  # fmt: skip
    meta = {
        "version": "0.1", "camera_model": "PINHOLE", "camera_convention": "opencv",
        "frame_modalities": {"image": {"frame_key": "image", "format": "image"},
                             "depth": {"frame_key": "sensor", "format": "depth"}},
        "frames": frames, **fields,
    }  # fmt: skip
    (folder / "scene_meta.json").write_text(json.dumps(meta))
    return folder


def test_wai_says_up_in_its_own_scene_meta(tmp_path):
    write_wai(tmp_path / "room", world_up=[0, -2, 0])
    assert open_source(tmp_path).open("room").world_up.tolist() == [0, -1, 0]
    for wrong in ([0, 0, 0], [0, 1], "z", [0, "1", 0], [0, float("nan"), 1]):
        write_wai(tmp_path / "room", world_up=wrong)
        with pytest.raises(SceneFormatError, match="is no direction") as error:
            open_source(tmp_path).open("room")
        assert error.value.code == "scene_meta_bad"


def test_wai_cameras_are_opencv_ones(tmp_path):
    write_wai(tmp_path / "room")
    source = open_source(tmp_path)
    assert (source.kind, source.scene_ids()) == ("wai", ("room",))
    scene = source.open("room")
    assert [f.name for f in scene.frames] == [f"f{k}" for k in range(COUNT)]
    assert (scene.metric, scene.depth_scale) == (True, 1.0)
    np.testing.assert_allclose(scene.color.K, K, atol=1e-12)
    for frame, shot in zip(scene.frames, SHOTS, strict=True):
        np.testing.assert_array_equal(frame.world_from_cam, shot.world_from_cam)
        np.testing.assert_allclose(scene.read_depth(frame), shot.depth, rtol=1e-6)
    write_wai(tmp_path / "room", camera_convention="opengl")
    with pytest.raises(SceneFormatError, match="convention 'opengl'"):
        source.open("room")
    write_wai(tmp_path / "room", camera_model="OPENCV_FISHEYE")
    with pytest.raises(SceneFormatError, match="OPENCV_FISHEYE"):
        source.open("room")
    write_wai(tmp_path / "room", frames=[3, {"image": "../../x.jpg"}])
    with pytest.raises(SceneFormatError):
        source.open("room")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "scene_meta.json").write_text('{"world_up": [0, 0, 1]}')
    assert not is_wai(tmp_path / "other")
