# SPDX-License-Identifier: Apache-2.0
"""TUM RGB-D sequences and nerfstudio captures: clocks, axes, pixel centres, units."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from spatialcore.errors import SceneFormatError
from spatialcore.io.clocks import nearest
from spatialcore.io.images import open_image
from spatialcore.io.open import open_source
from spatialcore.io.quaternions import poses_from_quaternions
from spatialcore.lens import Lens
from tests.fabricate import (
    COLOR_K,
    COLOR_SIZE,
    depth_map,
    jpeg,
    level_pose,
    nerfstudio_capture,
    png16,
    tum_sequence,
)


def test_tum_sequence(tmp_path: Path) -> None:
    tum_sequence(tmp_path / "desk")
    source = pickle.loads(pickle.dumps(open_source(tmp_path)))
    scene = source.open("desk")
    assert (source.kind, scene.kind, len(scene.frames)) == ("tum", "tum", 4)
    assert all(f.valid for f in scene.frames)
    quarter = np.array([[0, -1, 0, 0.2], [1, 0, 0, 2], [0, 0, 1, 3], [0, 0, 0, 1]])
    np.testing.assert_allclose(scene.frames[2].world_from_cam, quarter, atol=1e-12)
    np.testing.assert_array_equal(scene.color.K, COLOR_K)
    assert scene.depth_scale == 1 / 5000
    assert scene.depth is None
    assert scene.frames[1].time == pytest.approx(1305031102.033333)
    np.testing.assert_array_equal(scene.read_depth(scene.frames[1]), depth_map(COLOR_SIZE))
    assert open_image(scene.root, scene.frames[1].image).size == COLOR_SIZE


def test_tum_frames_without_partner_are_masked(tmp_path: Path) -> None:
    folder = tum_sequence(tmp_path / "desk")
    truth = (folder / "groundtruth.txt").read_text().splitlines()
    (folder / "groundtruth.txt").write_text("\n".join(truth[:2] + truth[3:]))
    depth = (folder / "depth.txt").read_text().splitlines()
    (folder / "depth.txt").write_text("\n".join(depth[1:]))
    first = next(iter(sorted((folder / "rgb").iterdir())))
    first.unlink()
    scene = open_source(folder).open("desk")
    assert [f.reason for f in scene.frames] == [
        "image_missing", "pose_missing", "", "depth_missing",
    ]  # fmt: skip


def test_tum_needs_a_camera(tmp_path: Path) -> None:
    folder = tum_sequence(tmp_path / "rgbd_dataset_freiburg1_desk")
    (folder / "intrinsic.txt").unlink()
    with pytest.raises(SceneFormatError) as error:
        open_source(folder).open(folder.name)
    assert error.value.code == "intrinsic_missing"
    for path in (folder / "rgb").iterdir():
        path.write_bytes(jpeg((640, 480)))
    for path in (folder / "depth").iterdir():
        path.write_bytes(png16(depth_map((640, 480))))
    scene = open_source(folder).open(folder.name)
    assert scene.color.K[0].tolist() == [517.3, 0, 318.6]
    assert "distortion_ignored" in scene.notes


@pytest.mark.parametrize("name", ["rgb.txt", "depth.txt", "groundtruth.txt"])
@pytest.mark.parametrize(
    "text",
    ["one", "1 2 3", "nan a b", "1,2 a", "1,2 2 3 4 5 6 7 8", "1.0 ../../etc/passwd", "\udcff"],
)
def test_tum_lists_that_lie(tmp_path: Path, name: str, text: str) -> None:
    folder = tum_sequence(tmp_path / "desk")
    (folder / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(SceneFormatError):
        open_source(folder).open("desk")


def test_nearest_and_quaternions() -> None:
    times = np.array([0.0, 1.0, 1.01])
    assert nearest(times, 1.004) == 1
    assert nearest(times, 1.006) == 2
    assert nearest(times, 0.5) is None
    assert nearest(np.zeros(0), 0.5) is None
    pose = poses_from_quaternions(np.zeros((2, 3)), np.array([[0, 0, 0, 2.0], [0, 0, 0, 0]]))
    np.testing.assert_array_equal(pose[0], np.eye(4))
    assert np.isnan(pose[1, 0, 0])


def test_nerfstudio_capture(tmp_path: Path) -> None:
    nerfstudio_capture(tmp_path / "kitchen")
    source = pickle.loads(pickle.dumps(open_source(tmp_path)))
    scene = source.open("kitchen")
    assert (source.kind, [f.name for f in scene.frames]) == (
        "nerfstudio", ["frame_00000", "frame_00001", "frame_00002"],
    )  # fmt: skip
    assert all(f.valid for f in scene.frames)
    np.testing.assert_array_equal(scene.color.K, COLOR_K)
    np.testing.assert_allclose(scene.frames[2].world_from_cam, level_pose(0.4, 1.0), atol=1e-12)
    # Half the size, edges aligned: (15.75 + 0.5) / 2 - 0.5.
    assert scene.depth.K[0].tolist() == [15.0, 0, 7.625]
    assert (scene.depth_scale, scene.world_up) == (0.001, None)
    np.testing.assert_array_equal(scene.read_depth(scene.frames[0]), depth_map())


def test_nerfstudio_scale_is_undone(tmp_path: Path) -> None:
    nerfstudio_capture(tmp_path / "k", applied_scale=0.25, depth_unit_scale_factor=0.0002)
    scene = open_source(tmp_path).open("k")
    assert scene.frames[1].world_from_cam[0, 3] == 2.0
    assert scene.depth_scale == 0.0002


def _edited(folder: Path, **fields: object) -> dict[str, object]:
    """transforms.json with a list of changes for each frame under `frames`."""
    stored = json.loads((folder / "transforms.json").read_text())
    in_order = sorted(stored["frames"], key=lambda frame: frame["file_path"])
    for frame, change in zip(in_order, fields.pop("frames", ()), strict=False):
        frame |= change
    stored |= fields
    (folder / "transforms.json").write_text(json.dumps(stored))
    return stored


def test_nerfstudio_paths_of_another_machine(tmp_path: Path) -> None:
    folder = nerfstudio_capture(tmp_path / "k")
    stored = json.loads((folder / "transforms.json").read_text())
    for frame in stored["frames"]:
        frame["file_path"] = f"/home/me/{frame['file_path']}"
    (folder / "transforms.json").write_text(json.dumps(stored))
    with pytest.raises(SceneFormatError, match=r"path_escape \(paths of a list are relative"):
        open_source(folder).open("k")


def test_nerfstudio_frames_carry_their_own_cameras(tmp_path: Path) -> None:
    folder = nerfstudio_capture(tmp_path / "k")
    _edited(folder, frames=[{"fl_x": 31.0}, {"transform_matrix": "lost"}, {"cx": 16.5}])
    scene = open_source(folder).open("k")
    assert [f.reason for f in scene.frames] == ["", "pose_missing", ""]
    cameras = [scene.color_of(frame) for frame in scene.frames]
    assert [(c.K[0, 0], c.K[0, 2]) for c in cameras] == [(31.0, 15.75), (30.0, 15.75), (30.0, 16.0)]
    # Depth is registered to its own image: edges coincide.
    assert scene.depth_of(scene.frames[2]).K[0].tolist() == [15.0, 0, (16.0 + 0.5) / 2 - 0.5]
    # A K written for every frame is the shared one, and no frame carries it.
    shared = {
        key: stored
        for key, stored in json.loads((folder / "transforms.json").read_text()).items()
        if key in ("fl_x", "fl_y", "cx", "cy")
    }
    nerfstudio_capture(tmp_path / "m")
    _edited(tmp_path / "m", frames=[shared] * 3)
    same = open_source(tmp_path / "m").open("m")
    assert [(f.color, f.depth_camera) for f in same.frames] == [(None, None)] * 3
    np.testing.assert_array_equal(same.color.K, COLOR_K)


def test_nerfstudio_lenses(tmp_path: Path) -> None:
    folder = nerfstudio_capture(tmp_path / "k", k1=0.1, p2=0.01, k3=0.002)
    camera = open_source(folder).open("k").color
    assert camera.lens == Lens("opencv", (0.1, 0, 0, 0.01, 0.002))
    _edited(folder, camera_model="OPENCV_FISHEYE", p2=0.0, k4=0.5)
    assert open_source(folder).open("k").color.lens == Lens("fisheye", (0.1, 0, 0.002, 0.5))
    _edited(folder, camera_model="SIMPLE_RADIAL", k1=0.0, k3=0.0, k4=0.0)
    assert open_source(folder).open("k").color.lens is None
    # A model of one frame counts for that frame.
    _edited(folder, frames=[{"camera_model": "FISHEYE", "k1": 0.2}, {}, {"camera_model": "WAVY"}])
    scene = open_source(folder).open("k")
    assert scene.color_of(scene.frames[0]).lens == Lens("fisheye", (0.2,))
    assert [f.reason for f in scene.frames] == ["", "", "camera_model_unknown"]


def test_nerfstudio_intrinsics_follow_the_size_of_the_images(tmp_path: Path) -> None:
    folder = nerfstudio_capture(tmp_path / "k")
    w, h = COLOR_SIZE
    twice = {"w": 2 * w, "h": 2 * h, "fl_x": 60.0, "fl_y": 62.0, "cx": 32.5, "cy": 24.5}
    _edited(folder, **twice)
    scene = open_source(folder).open("k")
    assert scene.color.K[0].tolist() == [30.0, 0.0, 32.5 / 2 - 0.5]
    assert "intrinsic_scaled" in scene.notes
    _edited(folder, h=h)
    with pytest.raises(SceneFormatError, match="another shape") as error:
        open_source(folder).open("k")
    assert error.value.code == "intrinsic_size"
    _edited(folder, w=w, h=h, fl_x=30, fl_y=31, cx=100.0, cy=12)
    with pytest.raises(SceneFormatError, match="outside the picture"):
        open_source(folder).open("k")


def test_nerfstudio_other_exporters(tmp_path: Path) -> None:
    folder = nerfstudio_capture(tmp_path / "k")
    stored = json.loads((folder / "transforms.json").read_text())
    for k, frame in enumerate(stored["frames"]):
        depth = folder / frame.pop("depth_file_path")
        metres = depth.with_suffix(".npy")
        np.save(metres, depth_map().astype(np.float32) / 1000)
        depth.unlink()
        frame["depth_path"] = str(metres.relative_to(folder)).replace("/", "\\")
        image = folder / frame["file_path"]
        frame["file_path"] = str(Path(frame["file_path"]).with_suffix("")) if k else image.name
    (folder / "transforms.json").write_text(json.dumps(stored))
    scene = open_source(folder).open("k")
    assert sorted(f.reason for f in scene.frames) == ["", "", "image_missing"]
    seen = next(f for f in scene.frames if f.valid)
    assert (scene.depth_scale, scene.read_depth(seen).dtype) == (1.0, np.float32)
    np.testing.assert_allclose(scene.read_depth(seen), depth_map() / 1000, rtol=1e-6)
    _edited(folder, integer_depth_scale=0.5)
    assert open_source(folder).open("k").depth_scale == 0.5


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"k4": 0.1}, "camera_model_unknown"),
        ({"camera_model": "EQUIRECTANGULAR"}, "panorama"),
        ({"fl_x": None}, "intrinsic_missing"),
        ({"fl_x": -3}, "intrinsic_bad"),
        ({"applied_scale": 0}, "transforms_bad"),
        ({"frames": 3}, "transforms_bad"),
        ({"frames": []}, "no_usable_frames"),
        ({"frames": [{"file_path": "../../x.jpg", "transform_matrix": "no"}]}, "no_usable_frames"),
        ({"frames": [{"file_path": 3}]}, "no_usable_frames"),
    ],
)
def test_nerfstudio_captures_that_cannot_be_used(
    tmp_path: Path, fields: dict[str, object], code: str
) -> None:
    nerfstudio_capture(tmp_path / "k", **fields)
    with pytest.raises(SceneFormatError) as error:
        open_source(tmp_path).open("k")
    assert error.value.code == code
