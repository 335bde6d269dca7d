# SPDX-License-Identifier: Apache-2.0
"""Captures on their side: pictures, maps, cameras and poses are turned upright as one."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spatial_engine.export.images import encoded
from spatialcore.errors import SceneFormatError
from spatialcore.io.depth_maps import read_depth
from spatialcore.io.frame_files import FrameFiles, build_frames
from spatialcore.io.images import holds_bytes, image_bytes, open_image
from spatialcore.io.intrinsics import Intrinsics
from spatialcore.io.upright import (
    TURNS,
    split_rotation,
    turned_camera,
    turned_map,
    turned_pose,
    turned_size,
    turned_uri,
    upright_turn,
)
from spatialcore.lens import Lens
from spatialcore.types import Camera, invert_pose, transform_points
from tests.phones import SENSOR, held, millimetres, png, put, rolled
from tests.rays import shoot, walk

UP = np.array([0.0, 0.0, 1.0])


def test_uris() -> None:
    for uri in ("a.png", "v.mp4#frame=3", "a.zip#b/c.png", "a.png#rotate=45"):
        for turn in TURNS:
            assert split_rotation(turned_uri(uri, turn)) == (uri, turn)


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize(
    "lens", [None, Lens("opencv", (0.1, 0.01, 0.02, -0.03, 0.004)), Lens("fisheye", (0.1, 0.02))]
)
def test_a_point_lands_on_the_same_pixel_of_the_turned_picture(
    turn: int, lens: Lens | None
) -> None:
    camera = Camera(np.array([[60.0, 0, 30.25], [0, 50.0, 21.5], [0, 0, 1]]), 64, 48, lens)
    pose = rolled(walk(3)[1], 20)
    rng = np.random.default_rng(3)
    points = transform_points(pose, rng.uniform([-0.4, -0.3, 1], [0.4, 0.3, 2], (50, 3)))
    uv, z = camera.project(transform_points(invert_pose(pose), points))
    number = np.zeros((48, 64), np.int64)
    upright, upright_camera = turned_pose(pose, turn), turned_camera(camera, turn)
    turned_uv, turned_z = upright_camera.project(transform_points(invert_pose(upright), points))
    np.testing.assert_allclose(turned_z, z, atol=1e-12)
    assert upright_camera.size == turned_size((64, 48), turn)
    for (u, v), (tu, tv) in zip(
        np.rint(uv).astype(int), np.rint(turned_uv).astype(int), strict=True
    ):
        number[:] = 0
        number[v, u] = 1
        assert turned_map(number, turn)[tv, tu] == 1
    assert np.linalg.det(upright[:3, :3]) == pytest.approx(1)


@pytest.mark.parametrize("turn", TURNS)
def test_gravity_says_how_the_phone_was_held(turn: int) -> None:
    poses = [shot.world_from_cam for shot in held(6, turn + 20)]
    assert upright_turn(poses, UP) == turn
    level = turned_pose(held(6, turn)[2].world_from_cam, turn)
    np.testing.assert_allclose(level, walk(6)[2], atol=1e-12)


def test_gravity_does_not_always_tell() -> None:
    down = np.eye(4)
    down[:3, :3] = np.diag([1.0, -1.0, -1.0])  # looks along -z
    assert upright_turn([down] * 4, UP) is None
    assert upright_turn([rolled(p, 45) for p in walk(4)], UP) is None
    assert upright_turn([], UP) is None
    assert upright_turn([np.full((4, 4), np.nan)], UP) is None
    # Half the walk in portrait and half in landscape: one turn would be wrong for half of it.
    assert upright_turn([rolled(p, 90 * (k % 2)) for k, p in enumerate(walk(8))], UP) is None


@pytest.mark.parametrize("turn", TURNS)
def test_frames_on_their_side_are_those_of_an_upright_camera(tmp_path: Path, turn: int) -> None:
    shots = held(3, turn)
    for k, shot in enumerate(shots):
        put(tmp_path / f"{k}.png", png(shot.colour))
        put(tmp_path / f"d{k}.png", millimetres(shot))
    files = [
        FrameFiles(
            k, str(k), tmp_path / f"{k}.png", tmp_path / f"d{k}.png", shot.world_from_cam,
            intrinsics=Intrinsics(SENSOR.K, SENSOR.size), rotate=turn,
        )
        for k, shot in enumerate(shots)
    ]  # fmt: skip
    built = build_frames(files, tmp_path, tmp_path)
    assert [f.reason for f in built.frames] == ["", "", ""]
    assert built.color_size == built.depth_size == turned_size(SENSOR.size, turn)
    assert built.color is not None
    assert built.notes == (("frames_turned=3",) if turn else ())
    for frame, pose in zip(built.frames, walk(3), strict=True):
        # What a level camera sees at the same place.
        level = shoot(pose, built.color)
        picture = open_image(tmp_path, str(frame.image))
        assert picture.size == built.color_size
        # Walls lie on edges of the pattern, where rounding decides the shade.
        assert (np.asarray(picture) == level.colour).mean() > 0.9
        stored = read_depth(tmp_path, frame)
        np.testing.assert_allclose(stored / 1000, level.depth, atol=1e-3)
        assert stored.flags.c_contiguous


def test_a_turned_picture_has_no_bytes_to_copy(tmp_path: Path) -> None:
    put(tmp_path / "a.png", png(held(1)[0].colour))
    assert holds_bytes("a.png")
    assert not holds_bytes("a.png#rotate=90")
    assert not holds_bytes("v.mp4#frame=1")
    with pytest.raises(SceneFormatError) as error:
        image_bytes(tmp_path, "a.png#rotate=90")
    assert error.value.code == "uri"
    copied = Image.open(io.BytesIO(encoded(tmp_path, "a.png#rotate=90")))
    assert (copied.format, copied.size) == ("JPEG", (48, 64))
    with pytest.raises(SceneFormatError):
        open_image(tmp_path, "a.png#rotate=45")
