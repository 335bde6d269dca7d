# SPDX-License-Identifier: Apache-2.0
"""Posed folders under the names that tools and people give their files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spatialcore.errors import SceneFormatError
from spatialcore.io.open import open_source
from spatialcore.types import Scene
from tests.phones import jpg, millimetres, png, put
from tests.rays import pinhole, shots

COUNT = 11
SHOTS = shots([pinhole(64, 48)] * COUNT)
K = SHOTS[0].camera.K


def text(matrix: np.ndarray, sep: str = " ") -> str:
    return "\n".join(sep.join(repr(float(x)) for x in row) for row in matrix)


def write(
    folder: Path, color: str, depth: str, pose: str, *, K_file: str | None = "intrinsic.txt",
    number: str = "{:06d}", rows: int = 4,
) -> Path:  # fmt: skip
    for k, shot in enumerate(SHOTS):
        name = number.format(k)
        picture = png(shot.colour) if color.lower().endswith("png") else jpg(shot.colour)
        put(folder / color.format(name), picture)
        put(folder / depth.format(name), millimetres(shot))
        put(folder / pose.format(name), text(shot.world_from_cam[:rows]))
    if K_file is not None:
        put(folder / K_file, text(K))
    return folder


def check(root: Path, scene_id: str = "room") -> Scene:
    source = open_source(root)
    assert source.kind == "posed_images"
    scene = source.open(scene_id)
    assert [f.reason for f in scene.frames] == [""] * COUNT
    assert [f.index for f in scene.frames] == list(range(COUNT))
    for frame, shot in zip(scene.frames, SHOTS, strict=True):
        np.testing.assert_array_equal(frame.world_from_cam, shot.world_from_cam)
        np.testing.assert_allclose(scene.read_depth(frame) / 1000, shot.depth, atol=1e-3)
        np.testing.assert_allclose(scene.color_of(frame).K, K)
    return scene


NAMES = [
    ("color/{}.jpg", "depth/{}.png", "pose/{}.txt"),
    ("color/{}.JPG", "depth/{}.PNG", "pose/{}.txt"),
    ("rgb/{}.png", "depth/{}.png", "poses/{}.txt"),
    ("images/{}.jpg", "depths/{}.png", "poses/{}.txt"),
    ("rgb/{}_color.jpg", "depth/{}_depth.png", "pose/{}_pose.txt"),
    ("rgb/rgb_{}.jpg", "depth/depth_{}.png", "pose/pose_{}.txt"),
    ("rgb/img-{}.jpg", "depth/depth-{}.png", "pose/{}.txt"),
    ("frame_{}_rgb.jpg", "frame_{}_depth.png", "frame_{}_pose.txt"),
    ("frame-{}.color.png", "frame-{}.depth.png", "frame-{}.pose.txt"),
    ("color_{}.png", "depth_{}.png", "pose_{}.txt"),
    ("{}.jpg", "{}.png", "{}.txt"),
    ("posed_images/{}.jpg", "posed_images/{}.png", "posed_images/{}.txt"),
]


@pytest.mark.parametrize("names", NAMES)
@pytest.mark.parametrize("number", ["{:06d}", "{}"])
def test_names(tmp_path: Path, names: tuple[str, str, str], number: str) -> None:
    write(tmp_path / "room", *names, number=number)
    check(tmp_path)


@pytest.mark.parametrize("place", [
    "intrinsics.txt", "camera-intrinsics.txt", "K.txt", "intrinsic/intrinsic_color.txt",
    "../intrinsic.txt", "../camera-intrinsics.txt",
])  # fmt: skip
def test_places_of_intrinsics(tmp_path: Path, place: str) -> None:
    write(tmp_path / "room", *NAMES[0], K_file=place)
    scene = check(tmp_path)
    assert (tmp_path / "room" / place).resolve() in [p.resolve() for p in scene.inputs]


def test_forms_of_intrinsics_and_poses(tmp_path: Path) -> None:
    write(tmp_path / "room", *NAMES[0], rows=3)
    put(tmp_path / "room/intrinsic.txt", f"{K[0, 0]} {K[1, 1]} {K[0, 2]} {K[1, 2]}")
    check(tmp_path)
    put(tmp_path / "room/intrinsic.txt", text(K, ","))
    check(tmp_path)
    put(tmp_path / "room/intrinsic.txt", "1 2 3 4 5")
    with pytest.raises(SceneFormatError):
        check(tmp_path)


def test_intrinsics_of_every_frame(tmp_path: Path) -> None:
    write(tmp_path / "room", *NAMES[0], K_file=None)
    for k in range(COUNT):
        own = K.copy()
        own[0, 0] += 0.1 * k
        put(tmp_path / f"room/intrinsics/{k:06d}.txt", text(own))
    put(tmp_path / "room/intrinsics/000004.txt", "lost")
    (tmp_path / "room/intrinsics/000005.txt").unlink()
    scene = open_source(tmp_path).open("room")
    reasons = ["intrinsic_missing" if k in (4, 5) else "" for k in range(COUNT)]
    assert [f.reason for f in scene.frames] == reasons
    for k in (0, 3, 10):
        wanted = K[0, 0] + 0.1 * k
        assert scene.color_of(scene.frames[k]).K[0, 0] == pytest.approx(wanted)


def test_words_that_would_make_two_frames_one_are_kept(tmp_path: Path) -> None:
    folder = write(tmp_path / "room", *NAMES[0])
    put(folder / "color/rgb_000003.jpg", jpg(SHOTS[0].colour))
    scene = open_source(tmp_path).open("room")
    assert sum(f.valid for f in scene.frames) == COUNT
    assert [f.name for f in scene.frames if not f.valid] == ["rgb_000003"]


def test_without_intrinsics_the_message_says_where_it_may_lie(tmp_path: Path) -> None:
    write(tmp_path / "room", *NAMES[0], K_file=None)
    with pytest.raises(SceneFormatError, match="here or above") as error:
        open_source(tmp_path).open("room")
    assert error.value.code == "intrinsic_missing"


def test_webp_pictures(tmp_path: Path) -> None:
    folder = write(tmp_path / "room", *NAMES[0])
    for path in (folder / "color").iterdir():
        Image.open(path).save(path.with_suffix(".webp"))
        path.unlink()
    check(tmp_path)


@pytest.mark.parametrize(
    ("kind", "suffix"), [("color", ".bmp"), ("depth", ".jpg"), ("pose", ".npy")]
)
def test_files_that_are_not_read_are_named(tmp_path: Path, kind: str, suffix: str) -> None:
    """Not "no image is named by the layout": they lie where they should, in another encoding."""
    folder = write(tmp_path / "room", *NAMES[0])
    for path in (folder / kind).iterdir():
        path.rename(path.with_suffix(suffix))
    with pytest.raises(SceneFormatError, match=rf"{kind}/ holds {COUNT} {suffix} files") as error:
        open_source(tmp_path).open("room")
    assert error.value.code == "no_usable_frames"
