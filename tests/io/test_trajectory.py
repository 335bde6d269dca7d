# SPDX-License-Identifier: Apache-2.0
"""Folders with one list of poses (Open3D, slambook), written byte by byte."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import numpy as np
import pytest

from spatialcore.errors import SceneFormatError
from spatialcore.io.open import open_source
from tests.fabricate import matrix_text
from tests.phones import jpg, millimetres, png, put
from tests.rays import pinhole, shots

SHOTS = shots([pinhole(64, 48)] * 11)
K = SHOTS[0].camera.K


def write_open3d(folder: Path, *, first: int = 0, where: str = "trajectory.log") -> Path:
    lines = []
    for k, shot in enumerate(SHOTS):
        put(folder / f"color/{k}.jpg", jpg(shot.colour))  # 10 comes behind 9
        put(folder / f"depth/{k}.png", millimetres(shot))
        rows = [" ".join(f"{x:.12g}" for x in row) for row in shot.world_from_cam]
        lines += [f"{first + k} {first + k} {first + k + 1}", *rows]
    put(folder / where, "\n".join(lines) + "\n")
    stored = {"width": 64, "height": 48, "intrinsic_matrix": K.T.ravel().tolist()}
    put(folder / "camera_intrinsic.json", json.dumps(stored))
    return folder


def pgm(pixels: np.ndarray) -> bytes:
    h, w = pixels.shape
    return f"P5\n{w} {h}\n65535\n".encode() + pixels.astype(">u2").tobytes()


def write_slambook(folder: Path) -> Path:
    from scipy.spatial.transform import Rotation

    lines = []
    for k, shot in enumerate(SHOTS, start=1):
        put(folder / f"color/{k}.png", png(shot.colour))
        put(folder / f"depth/{k}.pgm", pgm(np.rint(shot.depth * 1000)))
        m = shot.world_from_cam
        numbers = [*m[:3, 3], *Rotation.from_matrix(m[:3, :3]).as_quat()]
        lines.append(" ".join(repr(float(x)) for x in numbers))
    put(folder / "pose.txt", "\n".join(lines))
    put(folder / "intrinsic.txt", matrix_text(K))
    return folder


@pytest.mark.parametrize("write", [write_open3d, write_slambook])
def test_a_walk_comes_back(tmp_path: Path, write) -> None:
    write(tmp_path / "lab")
    source = open_source(tmp_path)
    assert (source.kind, source.scene_ids()) == ("trajectory", ("lab",))
    scene = source.open("lab")
    assert [f.reason for f in scene.frames] == [""] * 11
    assert (scene.metric, scene.world_up, scene.depth_scale) == (True, None, 0.001)
    np.testing.assert_allclose(scene.color.K, K, atol=1e-5)
    for frame, shot in zip(scene.frames, SHOTS, strict=True):
        np.testing.assert_allclose(frame.world_from_cam, shot.world_from_cam, atol=1e-9)
        np.testing.assert_allclose(scene.read_depth(frame) / 1000, shot.depth, atol=1e-3)


def test_a_log_counts_pictures_and_lies_in_scene(tmp_path: Path) -> None:
    folder = write_open3d(tmp_path / "lab", where="scene/trajectory.log")
    lines = (folder / "scene/trajectory.log").read_text().splitlines()
    put(folder / "scene/trajectory.log", "\n".join([*lines[:10], *lines[15:]]))
    scene = open_source(tmp_path).open("lab")
    reasons = ["", "", "pose_missing", *[""] * 8]
    assert [f.reason for f in scene.frames] == reasons
    np.testing.assert_allclose(scene.frames[3].world_from_cam, SHOTS[3].world_from_cam, atol=1e-9)


def test_lacks_are_said(tmp_path: Path) -> None:
    folder = write_open3d(tmp_path / "lab")
    (folder / "depth/10.png").unlink()
    scene = open_source(tmp_path).open("lab")
    assert scene.frames[10].reason == "depth_missing"
    assert "pictures=11, maps=10" in scene.notes
    (folder / "camera_intrinsic.json").unlink()
    with pytest.raises(SceneFormatError) as error:
        open_source(tmp_path).open("lab")
    assert error.value.code == "intrinsic_missing"


@pytest.mark.parametrize(("write", "name"), [
    (write_open3d, "trajectory.log"), (write_open3d, "camera_intrinsic.json"),
    (write_slambook, "pose.txt"),
])  # fmt: skip
def test_damage_is_typed(tmp_path: Path, write, name: str) -> None:
    path = write(tmp_path / "lab") / name
    whole, rng = path.read_bytes(), np.random.default_rng()
    for text in (b"", b"1 2", b"\xff\xfe", b"nan " * 19 * 11, b"[[[", b"1e400 " * 19):
        path.write_bytes(text)
        with contextlib.suppress(SceneFormatError):
            assert not any(f.valid for f in open_source(tmp_path).open("lab").frames)
    for _ in range(40):
        damaged = bytearray(whole)
        damaged[int(rng.integers(len(damaged)))] = int(rng.integers(256))
        path.write_bytes(bytes(damaged[: int(rng.integers(1, len(damaged)))]))
        with contextlib.suppress(SceneFormatError):  # anything else fails the test
            open_source(tmp_path).open("lab")
