# SPDX-License-Identifier: Apache-2.0
"""What is done for each frame of a long list: once for what frames share, and the same as alone."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from spatialcore.errors import SceneFormatError
from spatialcore.io import colmap_model, file_tree, frame_headers
from spatialcore.io.clocks import all_nearest, nearest
from spatialcore.io.colmap_model import read_model
from spatialcore.io.file_tree import FileTree
from spatialcore.io.images import image_size
from spatialcore.io.matrices import matrix_rows, pose_reason
from spatialcore.io.open import open_source
from spatialcore.io.quaternions import rotation_of_quaternion
from spatialcore.types import invert_pose
from tests.fabricate import nerfstudio_capture
from tests.io.test_reconstructions import write_colmap, write_wai


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("images/walk/9.jpg", "depth/walk/9.png", "depths/8.npy", "9.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "images/7.jpg").mkdir()
    (tmp_path / "linked").symlink_to("images")
    (tmp_path / "round").symlink_to(".")
    return tmp_path


PLACES = ("images/", "linked/", "depth/", "depths/", "")


@pytest.mark.parametrize("most", [1024, 0])  # of folders that are listed
def test_files_are_found_as_the_system_finds_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(file_tree, "_MOST_FOLDERS", most)
    tree = FileTree(folder)
    names = ["walk/9.jpg", "./walk/9.jpg", "walk//9.jpg", "9.jpg", "7.jpg", "8", "walk/9", "none/9",
             "9.jpg/1", "round/round/9.jpg", "a..b", "x" * 300]  # fmt: skip
    for name in 2 * names:
        for place in PLACES:
            for suffix in ("", ".npy", ".png"):
                wanted = folder / f"{place}{name}{suffix}"
                found = tree.find(name, (place,), (suffix,))
                assert found == (wanted if there(wanted) else None)
    assert tree.find("9", PLACES, (".npy", ".jpg", ".png")) == folder / "9.jpg"
    assert tree.find("walk/9", PLACES, (".npy", ".png")) == folder / "depth/walk/9.png"
    for name in ("../9.jpg", "walk/../../9.jpg", "/etc/passwd", "walk\\9.jpg", "walk/9\0.jpg"):
        with pytest.raises(SceneFormatError) as error:
            tree.find(name)
        assert error.value.code == "path_escape"


def there(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name too long
        return False


def test_a_folder_is_listed_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = FileTree(folder)
    assert tree.find("walk/none.jpg", PLACES) is None
    monkeypatch.setattr("os.listdir", None)
    assert all(tree.find(f"walk/none_{k}.jpg", PLACES) is None for k in range(100))


def test_the_nearest_of_many_is_the_nearest_of_each() -> None:
    rng = np.random.default_rng(3)
    times = np.sort(rng.integers(0, 60, 40) / 30)
    wanted = np.concatenate([rng.uniform(-1, 3, 200), times, times + 1 / 60, times - 1 / 60])
    for some in (times, times[:1], times[:0]):
        for gap in (0.0, 0.02, 1 / 60, 5.0):
            assert all_nearest(some, wanted, gap) == [nearest(some, float(t), gap) for t in wanted]


def test_poses_of_a_model_are_those_of_each_image(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    images = [(str(k), tuple(rng.normal(size=4)), tuple(rng.normal(size=3)), 1) for k in range(50)]
    images.append(("zero", (0.0,) * 4, (0.0,) * 3, 1))
    for (_, q, t, _), pose in zip(images, colmap_model._poses(images), strict=True):
        alone = np.eye(4)
        alone[:3, :3], alone[:3, 3] = rotation_of_quaternion(np.array(q)), t
        np.testing.assert_array_equal(pose, invert_pose(alone))
    folder = write_colmap(tmp_path / "room", "txt") / "sparse/0"
    (folder / "images.txt").write_text("# none\n")
    assert read_model(folder) == []


def test_matrices_of_json() -> None:
    rows = [[1, 2.5], [3, -4e14]]
    np.testing.assert_array_equal(matrix_rows(rows, (3, 4), (2, 2)), rows)
    for wrong in (None, [], "11", [1, 2], [[1, 2], [3]], [[1], [2, 3, 4]], [[1, "2"], [3, 4]],
                  [[True, 2], [3, 4]], [[1, 2], None], {"0": [1, 2]}):  # fmt: skip
        assert matrix_rows(wrong, (2, 2)) is None
    for large in (math.nan, math.inf, -1e15, 10**400):
        found = matrix_rows([[1, 2], [3, large]], (2, 2))
        assert found is not None
        assert np.isnan(found).all()


def test_reasons_of_poses_by_hand() -> None:
    turned = np.eye(4)
    turned[:2, :2] = [[0.6, -0.8], [0.8, 0.6]]
    assert pose_reason(turned) == ""
    for at, value, reason in (((0, 3), math.nan, "pose_nonfinite"), ((3, 1), 0.1, "pose_not_rigid"),
                              ((2, 2), -1.0, "pose_mirrored"), ((0, 0), 0.61, "pose_not_rigid"),
                              ((0, 2), 0.1, "pose_not_rigid"), ((1, 3), 2e6, "pose_not_rigid"),
                              ((3, 3), 1.1, "pose_not_rigid")):  # fmt: skip
        pose = turned.copy()
        pose[at] = value
        assert pose_reason(pose) == reason


def frames_of(folder: Path, name: str) -> list[dict]:
    stored: list[dict] = json.loads((folder / name).read_text())["frames"]
    return sorted(stored, key=lambda frame: frame.get("file_path", ""))


def put_frames(folder: Path, name: str, frames: list[dict]) -> None:
    stored = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps(stored | {"frames": frames}))


def test_each_file_is_opened_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crowd is looked into while it is listed; what was seen then is not opened again."""
    nerfstudio_capture(tmp_path / "room", count=64)
    opened: list[Path] = []

    def size(path: Path) -> tuple[int, int]:
        opened.append(path)
        return image_size(path)

    monkeypatch.setattr("spatialcore.io.crowds.CROWD", 64)
    monkeypatch.setattr(frame_headers, "image_size", size)
    scene = open_source(tmp_path).open("room")
    assert sum(frame.valid for frame in scene.frames) == 64
    assert len(opened) == len(set(opened)) == 64


@pytest.mark.parametrize("layout", ["nerfstudio", "wai"])
def test_frames_with_and_without_cameras_of_their_own(tmp_path: Path, layout: str) -> None:
    """A camera that most frames share is not given to those that have another."""
    if layout == "wai":
        folder, name = write_wai(tmp_path / "room"), "scene_meta.json"
    else:
        folder, name = nerfstudio_capture(tmp_path / "room", count=6), "transforms.json"
    frames = frames_of(folder, name)
    scene = open_source(tmp_path).open("room")
    fx = scene.color.K[0, 0]
    frames[1] |= {"fl_x": 1.25 * fx, "fl_y": 1.25 * fx}
    frames[3] |= {"fl_x": "none"}
    put_frames(folder, name, frames)
    scene = open_source(tmp_path).open("room")
    found = [scene.color_of(f).K[0, 0] if f.valid else f.reason for f in scene.frames]
    assert found == [fx, 1.25 * fx, fx, "intrinsic_missing", fx, fx]


def test_names_too_long_for_a_file_mask_their_frames(tmp_path: Path) -> None:
    folder, name = nerfstudio_capture(tmp_path / "room", count=6), "transforms.json"
    frames = frames_of(folder, name)
    frames[1]["file_path"], frames[2]["file_path"] = "images/" + 300 * "x", 300 * "y" + ".jpg"
    frames[4]["depth_file_path"] = "depths/" + 300 * "z" + ".png"
    put_frames(folder, name, frames)
    scene = open_source(tmp_path).open("room")
    reasons = sorted(frame.reason for frame in scene.frames)
    assert reasons == ["", "", "", "depth_missing", "image_missing", "image_missing"]
