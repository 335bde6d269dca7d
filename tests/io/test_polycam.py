# SPDX-License-Identifier: Apache-2.0
"""Polycam's raw exports: OpenGL cameras, y up, corrected pictures first."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from spatialcore.errors import SceneFormatError
from spatialcore.io.images import open_image
from spatialcore.io.open import open_source
from spatialcore.io.survey import survey
from spatialcore.types import Scene
from tests.phones import ARKIT_FROM_ROOM, SENSOR, halved, held, polycam, put
from tests.rays import shoot, walk


def _open(path: Path) -> Scene:
    opened = pickle.loads(pickle.dumps(open_source(path))).open("cap")
    assert isinstance(opened, Scene)
    return opened


def _cameras(folder: Path) -> list[Path]:
    return sorted((folder / "keyframes/corrected_cameras").iterdir(), key=lambda p: int(p.stem))


def _edit(path: Path, **fields: object) -> None:
    put(path, json.dumps(json.loads(path.read_text()) | fields))


def test_export(tmp_path: Path) -> None:
    scene = _open(polycam(tmp_path / "cap", held(5)))
    assert (scene.kind, scene.metric, scene.depth_scale) == ("polycam", True, 0.001)
    assert [f.reason for f in scene.frames] == [""] * 5
    np.testing.assert_array_equal(scene.world_up, [0, 1, 0])
    assert (scene.color.size, scene.depth_size) == ((48, 64), (24, 32))
    assert scene.frames[1].time == pytest.approx(98.7)
    for frame, pose in zip(scene.frames, walk(5), strict=True):
        np.testing.assert_allclose(frame.world_from_cam, ARKIT_FROM_ROOM @ pose, atol=1e-12)
    level = shoot(walk(5)[2], scene.depth)
    depth = scene.read_depth(scene.frames[2]) / 1000
    # Low confidence is dropped, medium is kept: stored (0, 0) and (0, 1), on the right when turned.
    assert depth[0, 23] == 0
    assert depth[1, 23] > 0
    depth[0, 23] = level.depth[0, 23]
    np.testing.assert_allclose(depth, level.depth, atol=1e-3)
    assert open_image(scene.root, str(scene.frames[2].image)).size == (48, 64)
    assert scene.depth is not None
    np.testing.assert_allclose(
        scene.depth.K[:2, 2], [23 - halved(SENSOR).K[1, 2], halved(SENSOR).K[0, 2]]
    )


def test_maps_and_poses_agree(tmp_path: Path) -> None:
    polycam(tmp_path / "cap", held(8))
    (report,) = survey(open_source(tmp_path))
    assert (report.usable_count, report.error) == (8, "")
    assert report.agreement is not None
    assert report.agreement > 0.95


def test_long_captures_have_no_corrected_pictures(tmp_path: Path) -> None:
    scene = _open(polycam(tmp_path / "cap", held(3), corrected=False))
    assert scene.notes == ("poses_not_optimised", "distortion_ignored", "frames_turned=3")
    assert str(scene.frames[0].image) == "cap/keyframes/images/98000000.jpg#rotate=90"


def test_frames_that_lack_something(tmp_path: Path) -> None:
    folder = polycam(tmp_path / "cap", held(8))
    cameras = _cameras(folder)
    cameras[0].unlink()
    put(cameras[1], "{")
    put(cameras[2], "[" * 30_000)
    _edit(cameras[3], t_11="one")
    _edit(cameras[4], fx=None)
    _edit(cameras[5], t_00=10**400)
    (folder / "keyframes/depth" / f"{cameras[6].stem}.png").unlink()
    put(folder / "keyframes/corrected_images/readme.txt", "no picture")
    assert [f.reason for f in _open(folder).frames] == [
        "intrinsic_missing", "intrinsic_bad", "intrinsic_bad", "pose_missing", "intrinsic_bad",
        "pose_missing", "depth_missing", "",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "fields", [{"fx": -1}, {"width": 0}, {"width": 1 << 20}, {"cx": 1e9}, {"height": 640}]
)
def test_no_usable_camera(tmp_path: Path, fields: dict[str, object]) -> None:
    folder = polycam(tmp_path / "cap", held(2))
    for path in _cameras(folder):
        _edit(path, **fields)
    with pytest.raises(SceneFormatError) as error:
        _open(folder)
    assert error.value.code == "intrinsic_missing"
