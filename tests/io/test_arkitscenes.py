# SPDX-License-Identifier: Apache-2.0
"""ARKitScenes: joins by time, inverted poses, turned pictures, tables."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from spatialcore.errors import SceneFormatError
from spatialcore.io.clocks import pose_at
from spatialcore.io.images import open_image
from spatialcore.io.open import open_source
from spatialcore.io.survey import survey
from spatialcore.types import Scene
from tests.phones import SENSOR, arkit_annotation, arkitscenes_video, held, millimetres, png, put
from tests.rays import BOXES, shoot, walk

TABLE = "video_id,visit_id,fold,sky_direction\n{}\n"


def _open(path: Path, scene: str = "4001") -> Scene:
    opened = pickle.loads(pickle.dumps(open_source(path))).open(scene)
    assert isinstance(opened, Scene)
    return opened


@pytest.mark.parametrize("inner", [False, True])
def test_video(tmp_path: Path, inner: bool) -> None:
    arkitscenes_video(tmp_path / "raw/Training/4001", held(6), inner=inner)
    scene = _open(tmp_path / "raw")
    assert (scene.kind, scene.id, scene.space, scene.split) == ("arkitscenes",) + ("4001",) * 2 + (
        "train",
    )
    assert [f.reason for f in scene.frames] == [""] * 6
    assert (scene.metric, scene.depth_scale) == (True, 0.001)
    np.testing.assert_array_equal(scene.world_up, [0, 0, 1])
    assert scene.color.size == (48, 64)
    # A quarter turn: rows become columns from the right.
    np.testing.assert_array_equal(scene.color.K[:2, 2], [47 - SENSOR.K[1, 2], SENSOR.K[0, 2]])
    for frame, pose in zip(scene.frames, walk(6), strict=True):
        np.testing.assert_allclose(frame.world_from_cam, pose, atol=1e-9)
        assert str(frame.image).endswith(".png#rotate=90")
    level = shoot(walk(6)[3], scene.color)
    depth = scene.read_depth(scene.frames[3]) / 1000
    assert depth[0, 47] == 0  # the stored corner (0, 0), whose confidence is low
    depth[0, 47] = level.depth[0, 47]
    np.testing.assert_allclose(depth, level.depth, atol=1e-3)
    picture = np.asarray(open_image(scene.root, str(scene.frames[3].image)))
    assert (picture == level.colour).mean() > 0.9


def test_one_video_has_the_same_uris_however_it_is_named(tmp_path: Path) -> None:
    folder = arkitscenes_video(tmp_path / "raw/Validation/4001", held(2), inner=True)
    uris = {
        (open_source(path).root, _open(path).frames[0].image, _open(path).split)
        for path in (folder, folder.parent, tmp_path / "raw")
    }
    name = "Validation/4001/4001_frames/lowres_wide/4001_6845.700.png#rotate=90"
    assert uris == {(tmp_path / "raw", name, "val")}


def test_tables(tmp_path: Path) -> None:
    arkitscenes_video(tmp_path / "Training/4001", held(3))
    put(tmp_path / "metadata.csv", TABLE.format("4001,9001.0,Validation,Right"))
    scene = _open(tmp_path)
    assert (scene.space, scene.split) == ("9001", "val")
    # Gravity is believed before the column, and the difference is said.
    assert "sky_direction_differs=Right" in scene.notes
    assert tmp_path / "metadata.csv" in scene.inputs
    put(tmp_path / "metadata.csv", TABLE.format("4001,NA,,Left"))
    scene = _open(tmp_path)
    assert (scene.space, scene.split, scene.notes) == ("4001", "train", ("frames_turned=3",))


def test_the_column_decides_where_gravity_does_not(tmp_path: Path) -> None:
    shots = held(2)
    down = np.diag([1.0, -1.0, -1.0, 1.0])
    down[:3, 3] = (2.0, 1.0, 1.4)
    folder = arkitscenes_video(tmp_path / "4001", [shoot(down, SENSOR) for _ in shots])
    assert "upright_unknown" in _open(folder).notes
    put(tmp_path / "metadata.csv", TABLE.format("4001,1,Training,Down"))
    scene = _open(folder)
    assert (scene.color.size, scene.notes) == (SENSOR.size, ("frames_turned=2",))
    assert str(scene.frames[0].image).endswith("#rotate=180")


def test_pictures_of_a_larger_stream_are_preferred(tmp_path: Path) -> None:
    folder = arkitscenes_video(tmp_path / "4001", held(4))
    for k, shot in enumerate(held(4)):
        name = f"4001_{6845.7 + 0.1 * k:.3f}"
        large = np.repeat(np.repeat(shot.colour, 2, axis=0), 2, axis=1)
        put(folder / f"wide/{name}.png", png(large))
        (w, h), K = SENSOR.size, SENSOR.K
        line = (
            f"{2 * w} {2 * h} {2 * K[0, 0]} {2 * K[1, 1]} {2 * K[0, 2] + 0.5} {2 * K[1, 2] + 0.5}"
        )
        put(folder / f"wide_intrinsics/{name}.pincam", line)
    scene = _open(folder)
    assert (scene.color.size, scene.depth_size) == ((96, 128), (48, 64))
    np.testing.assert_allclose(scene.depth.K[:2, 2], [47 - SENSOR.K[1, 2], SENSOR.K[0, 2]])
    # Depth of the laser scanner lies beside no confidence.
    for k, shot in enumerate(held(4)):
        put(folder / f"highres_depth/4001_{6845.7 + 0.1 * k:.3f}.png", millimetres(shot))
    scene = _open(folder)
    assert "highres_depth" in str(scene.frames[0].depth)
    assert (scene.read_depth(scene.frames[0]) > 0).all()


def test_poses_between_two() -> None:
    poses = np.stack(walk(3))
    times = np.array([0.0, 0.1, 0.3])
    assert pose_at(times, poses, 0.104)[0] is poses[1] or not pose_at(times, poses, 0.104)[1]
    pose, between = pose_at(times, poses, 0.05)
    assert between
    assert pose is not None
    np.testing.assert_allclose(pose[:3, 3], (poses[0, :3, 3] + poses[1, :3, 3]) / 2)
    # Half the way twice is the whole way.
    half = poses[0, :3, :3].T @ pose[:3, :3]
    np.testing.assert_allclose(poses[0, :3, :3] @ half @ half, poses[1, :3, :3], atol=1e-12)
    assert pose_at(times, poses, 0.2) == (None, False)
    assert pose_at(times, poses, 0.31) == (None, False)
    assert pose_at(times[:0], poses[:0], 0.0) == (None, False)


def test_frames_that_lack_something(tmp_path: Path) -> None:
    folder = arkitscenes_video(tmp_path / "4001", held(8))
    (folder / "lowres_depth/4001_6845.700.png").unlink()
    put(folder / "lowres_wide/4001_6845.900.png", b"no picture")
    put(folder / "lowres_wide_intrinsics/4001_6845.799.pincam", "64 48 1 2")
    (folder / "lowres_wide_intrinsics/4001_6845.999.pincam").unlink()
    lines = (folder / "lowres_wide.traj").read_text().splitlines()
    del lines[6:]
    put(folder / "lowres_wide.traj", "\n".join(lines))
    put(folder / "lowres_wide/notes.txt", "no picture")
    scene = _open(folder)
    assert [f.reason for f in scene.frames] == [
        "depth_missing", "intrinsic_bad", "image_bad", "intrinsic_missing", "", "",
        "pose_missing", "pose_missing",
    ]  # fmt: skip


def test_maps_and_poses_agree(tmp_path: Path) -> None:
    arkitscenes_video(tmp_path / "4001", held(8))
    (report,) = survey(open_source(tmp_path))
    assert (report.verdict, report.usable_count, report.error) == ("limited", 8, "")
    assert report.agreement is not None
    assert report.agreement > 0.97


@pytest.mark.parametrize(
    "text", ["", "1 2 3", "a b c d e f g", "1 0 0 0 0 0 0 0", "nan nan nan nan nan nan nan"]
)
def test_trajectories_that_lie(tmp_path: Path, text: str) -> None:
    folder = arkitscenes_video(tmp_path / "4001", held(2))
    put(folder / "lowres_wide.traj", text)
    if text.startswith("nan"):
        assert {f.reason for f in _open(folder).frames} == {"pose_missing"}
        return
    with pytest.raises(SceneFormatError, match="traj"):
        _open(folder)


def test_confidence_of_another_size(tmp_path: Path) -> None:
    folder = arkitscenes_video(tmp_path / "4001", held(2))
    put(folder / "confidence/4001_6845.700.png", png(np.zeros((3, 5), np.uint8)))
    scene = _open(folder)
    with pytest.raises(SceneFormatError) as error:
        scene.read_depth(scene.frames[0])
    assert error.value.code == "confidence_bad"
    put(folder / "confidence/4001_6845.700.png", b"damage")
    with pytest.raises(SceneFormatError):
        scene.read_depth(scene.frames[0])


def test_boxes(tmp_path: Path) -> None:
    folder = arkitscenes_video(tmp_path / "4001", held(3))
    arkit_annotation(folder)
    scene = _open(folder)
    assert [o.category for o in scene.objects] == ["table", "chair", "cabinet", "trash can", "lamp"]
    box = scene.objects[0].box
    assert box is not None
    _, low, high, _ = BOXES[0]
    np.testing.assert_allclose(box.corners.min(axis=0), low, atol=1e-12)
    np.testing.assert_allclose(box.corners.max(axis=0), high, atol=1e-12)
    # The first axis is the world's y, and its side the table's along y.
    np.testing.assert_allclose(box.R[:, 0], [0, 1, 0])
    assert box.size[0] == pytest.approx(high[1] - low[1])
    assert folder / "4001_3dod_annotation.json" in scene.inputs


@pytest.mark.parametrize(
    "change",
    [
        {"data": 3}, {"data": [3]}, {"data": [{"label": "a"}]}, {"data": [{"segments": 1}]},
        {"centroid": [1, 2]}, {"axesLengths": [1, 2, -3]}, {"normalizedAxes": [1] * 9},
        {"centroid": [1, 2, "x"]}, {"centroid": [1, 2, 10**400]}, {"label": 3},
        {"centroid": [1, 2, float("nan")]},
    ],
)  # fmt: skip
def test_boxes_that_lie(tmp_path: Path, change: dict[str, object]) -> None:
    folder = arkitscenes_video(tmp_path / "4001", held(2))
    arkit_annotation(folder)
    path = folder / "4001_3dod_annotation.json"
    stored = json.loads(path.read_text())
    row = stored["data"][1]
    target = {"data": stored, "label": row}.get(next(iter(change)), row["segments"]["obbAligned"])
    target.update(change)
    put(path, json.dumps(stored))
    with pytest.raises(SceneFormatError) as error:
        _open(folder)
    assert error.value.code == "annotation_bad"
