# SPDX-License-Identifier: Apache-2.0
"""A source that contradicts itself: every verb that would make something of it ends with 3."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spatialcore import cli
from tests import rays
from tests.fabricate import clip_arrays, write_npz

GL = np.diag([1.0, -1.0, -1.0, 1.0])
SWAP = np.eye(4)[[1, 0, 2, 3]]
Matrix = Callable[[np.ndarray], np.ndarray]


def same(matrix: np.ndarray) -> np.ndarray:
    return matrix


def capture(
    folder: Path, *, pose: Matrix = same, unit: float = 1000.0, K: Matrix = same,
    depth: Matrix = same, depth_K: Matrix | None = None,
) -> Path:  # fmt: skip
    folder.mkdir(parents=True)
    camera = rays.pinhole(128, 96)
    np.savetxt(folder / "intrinsic.txt", K(camera.K.copy()))
    if depth_K is not None:
        np.savetxt(folder / "depth_intrinsic.txt", depth_K(camera.K.copy()))
    (folder / "scene_meta.json").write_text(json.dumps({"world_up": [0, 0, 1]}))
    for k, shot in enumerate(rays.shots([camera] * 6)):
        Image.fromarray(shot.colour).save(folder / f"{k:05d}.jpg")
        stored = np.rint(depth(shot.depth) * unit).clip(0, 65535).astype(np.uint16)
        Image.fromarray(stored).save(folder / f"{k:05d}.png")
        np.savetxt(folder / f"{k:05d}.txt", pose(shot.world_from_cam))
    return folder


def zoomed(factor: float) -> Matrix:
    return lambda K: K * np.array([[factor], [factor], [1.0]])


def moved(factor: float) -> Matrix:
    def move(pose: np.ndarray) -> np.ndarray:
        out = pose.copy()
        out[:3, 3] *= factor
        return out

    return move


WRONG: dict[str, tuple[dict[str, object], str]] = {
    "inverted": ({"pose": np.linalg.inv}, "world-to-camera"),
    "opengl": ({"pose": lambda m: m @ GL}, "OpenGL"),
    "metres for millimetres": ({"pose": moved(1000.0)}, "unit of depth, 1000 times as large"),
    "positions in cm": ({"pose": moved(100.0)}, "unit of depth, 100 times as large"),
    "depth of TUM": ({"unit": 5000.0}, "unit of depth, 5 times as small"),
    "depth mirrored": ({"depth": lambda d: d[:, ::-1]}, "mirrored against"),
    "depth upside down": ({"depth": lambda d: d[::-1]}, "upside down"),
    "axes exchanged": ({"pose": lambda m: SWAP @ m}, "poses mirror the world"),
    "y up": ({"K": lambda K: K * np.array([[1.0], [-1.0], [1.0]])}, "mirrored axis"),
    "K of half": ({"K": zoomed(0.5)}, "K of images 2 times as small"),
    "K of three times": ({"K": zoomed(3.0), "depth_K": same}, "principal point"),
    "K of double": ({"K": zoomed(2.0), "depth_K": same}, "principal point"),
    "K of others": ({"K": zoomed(0.7), "depth_K": same}, "K belongs to images of about"),
    "depth K of others": ({"depth_K": zoomed(0.75)}, "K of images 1.3 times as small"),
}


@pytest.mark.parametrize("name", WRONG)
def test_every_verb_refuses(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    change, why = WRONG[name]
    place = str(capture(tmp_path / "room", **change))
    cli.main(["check", place])
    assert why in capsys.readouterr().out.replace("\n", " ")
    for verb in ("index", "plan", "generate"):
        code = cli.main([verb, place, "-o", str(tmp_path / verb)])
        said = "".join(capsys.readouterr())
        assert code == 3, said
        assert why in said


def test_clips_outside_their_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arrays = clip_arrays()
    arrays["fx_fy_cx_cy"] = arrays["fx_fy_cx_cy"] * np.float32(8.0)
    arrays["fx_fy_cx_cy"][2:] = [15.75, 11.5]
    place = str(write_npz(tmp_path / "clips/walk.npz", arrays))
    assert cli.main(["check", place]) == 1
    assert "wrong" in capsys.readouterr().out
    for verb in ("index", "plan", "generate"):
        assert cli.main([verb, place, "-o", str(tmp_path / verb)]) == 3
        assert "project outside its images" in "".join(capsys.readouterr())


def test_sound_captures_pass(tmp_path: Path) -> None:
    for k, change in enumerate(({}, {"depth_K": same}, {"K": zoomed(1.02)})):
        place = capture(tmp_path / f"room{k}", **change)
        assert cli.main(["index", str(place), "-o", str(tmp_path / f"index{k}")]) == 0
    trusted = ["--trust-source", "-o", str(tmp_path / "trusted")]
    wrong = capture(tmp_path / "wrong", pose=np.linalg.inv)
    assert cli.main(["index", str(wrong), *trusted]) == 0
