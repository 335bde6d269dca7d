# SPDX-License-Identifier: Apache-2.0
"""TUM RGB-D sequences and nerfstudio captures: clocks, axes, pixel centres, units."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from spatialcore.errors import SceneFormatError
from spatialcore.io.images import open_image
from spatialcore.io.open import open_source
from spatialcore.io.tum import nearest, poses_from_quaternions
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


def test_nerfstudio_frames_of_another_camera_are_masked(tmp_path: Path) -> None:
    folder = nerfstudio_capture(tmp_path / "k")
    stored = json.loads((folder / "transforms.json").read_text())
    stored["frames"][0]["fl_x"] = 31.0
    del stored["frames"][1]["transform_matrix"]
    stored["frames"][2]["cx"] = 16.5
    (folder / "transforms.json").write_text(json.dumps(stored))
    scene = open_source(folder).open("k")
    assert [f.reason for f in scene.frames] == ["", "pose_missing", "intrinsic_differs"]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"k1": 0.1}, "distortion"),
        ({"camera_model": "OPENCV_FISHEYE"}, "distortion"),
        ({"fl_x": None}, "intrinsic_missing"),
        ({"fl_x": -3}, "intrinsic"),
        ({"applied_scale": 0}, "format"),
        ({"frames": 3}, "format"),
        ({"frames": []}, "intrinsic_missing"),
        ({"frames": [{"file_path": "../../x.jpg", "transform_matrix": "no"}]}, "path_escape"),
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
