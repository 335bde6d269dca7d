# SPDX-License-Identifier: Apache-2.0
"""Stray Scanner: pictures in a video, poses and K in a table."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from spatialcore.errors import SceneFormatError
from spatialcore.io.images import open_image
from spatialcore.io.open import open_source
from spatialcore.io.survey import survey
from spatialcore.types import Scene
from tests.phones import ARKIT_FROM_ROOM, SENSOR, held, put, stray, video
from tests.rays import shoot, walk

pytest.importorskip("av")


def _open(path: Path, **options: int) -> Scene:
    opened = pickle.loads(pickle.dumps(open_source(path, **options))).open("cap")
    assert isinstance(opened, Scene)
    return opened


@pytest.mark.parametrize("own", [False, True])
def test_capture(tmp_path: Path, own: bool) -> None:
    folder = stray(tmp_path / "cap", held(9), own_K=own)
    if own:
        (folder / "camera_matrix.csv").write_text(
            "1,0,1\n0,1,1\n0,0,1\n"
        )  # each row's K is preferred
    scene = _open(folder)
    assert (scene.kind, scene.metric, scene.depth_scale) == ("stray", True, 0.001)
    assert [f.reason for f in scene.frames] == [""] * 9
    assert (scene.color.size, scene.depth_size) == ((48, 64), (24, 32))
    np.testing.assert_allclose(scene.color.K[:2, 2], [47 - SENSOR.K[1, 2], SENSOR.K[0, 2]])
    frame = scene.frames[7]
    assert (frame.image, frame.depth) == (
        "cap/rgb.mp4#frame=7&rotate=90", "cap/depth/000007.png#rotate=90",
    )  # fmt: skip
    assert frame.time == pytest.approx(55.5 + 7 / 60)
    np.testing.assert_allclose(frame.world_from_cam, ARKIT_FROM_ROOM @ walk(9)[7], atol=1e-12)
    seen = np.asarray(open_image(scene.root, str(frame.image))).astype(float)
    errors = [np.abs(seen - shoot(pose, scene.color).colour).mean() for pose in walk(9)]
    assert int(np.argmin(errors)) == 7
    depth = scene.read_depth(frame) / 1000
    assert depth[0, 23] == 0
    level = shoot(walk(9)[7], scene.depth).depth
    np.testing.assert_allclose(np.where(depth > 0, depth, level), level, atol=1e-3)


def test_maps_and_poses_agree(tmp_path: Path) -> None:
    stray(tmp_path / "cap", held(8))
    (report,) = survey(open_source(tmp_path))
    assert (report.usable_count, report.error) == (8, "")
    assert report.agreement is not None
    assert report.agreement > 0.95


def test_stride_and_a_shorter_video(tmp_path: Path) -> None:
    folder = stray(tmp_path / "cap", held(8))
    video(folder / "rgb.mp4", [shot.colour for shot in held(5)])
    scene = _open(folder, stride=2)
    assert [(f.index, f.reason) for f in scene.frames] == [
        (0, ""), (2, ""), (4, ""), (6, "image_missing"),
    ]  # fmt: skip
    assert "video_frames=5, odometry has 8" in scene.notes


def test_rows_that_are_lost(tmp_path: Path) -> None:
    folder = stray(tmp_path / "cap", held(4), own_K=True)
    lines = (folder / "odometry.csv").read_text().splitlines()
    lines[1] = lines[1].replace(lines[1].split(", ")[2], "nan")
    parts = lines[2].split(", ")
    lines[2] = ", ".join([*parts[:5], "0", "0", "0", "0", *parts[9:]])
    put(folder / "odometry.csv", "\n".join(lines))
    (folder / "depth/000002.png").unlink()
    assert [f.reason for f in _open(folder).frames] == [
        "pose_nonfinite", "pose_nonfinite", "depth_missing", "",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("odometry.csv", ""),
        ("odometry.csv", "timestamp, frame, x, y, z, qx, qy, qz\n"),
        ("odometry.csv", "timestamp, frame, x, y, z, qx, qy, qz, qw\n1, 2, 3\n"),
        ("odometry.csv", "timestamp, frame, x, y, z, qx, qy, qz, qw\n1, -1, 3, 4, 5, 0, 0, 0, 1\n"),
        (
            "odometry.csv",
            "timestamp, frame, x, y, z, qx, qy, qz, qw\n1, nan, 3, 4, 5, 0, 0, 0, 1\n",
        ),
        ("odometry.csv", "timestamp, frame, x, y, z, qx, qy, qz, qw\n1, a, 3, 4, 5, 0, 0, 0, 1\n"),
        ("odometry.csv", "timestamp, frame, x, y, z, qx, qy, qz, qw\n"),
        ("camera_matrix.csv", "1 2 3"),
        ("camera_matrix.csv", "nan,0,1\n0,1,1\n0,0,1"),
        ("rgb.mp4", "no video"),
        ("rgb.mp4", ""),
    ],
)
def test_files_that_lie(tmp_path: Path, name: str, content: str) -> None:
    folder = stray(tmp_path / "cap", held(2))
    put(folder / name, content)
    with pytest.raises(SceneFormatError):
        _open(folder)
