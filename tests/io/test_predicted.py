# SPDX-License-Identifier: Apache-2.0
"""Geometry that a network predicted: archives of Depth Anything 3 and of VGGT's demo."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest

from spatialcore.errors import SceneFormatError
from spatialcore.io.images import holds_bytes, open_image
from spatialcore.io.open import open_source
from spatialcore.io.survey import survey_scene
from spatialcore.types import invert_pose
from tests.fabricate import write_npz
from tests.phones import png, put
from tests.rays import pinhole, shots

COUNT = 8
SHOTS = shots([pinhole(98, 70)] * COUNT)
K = SHOTS[0].camera.K
SCALE = 0.37  # what the network made of a metre


def arrays(*, homogeneous: bool = False) -> dict[str, np.ndarray]:
    """As Depth Anything 3 exports them."""
    E = np.stack([np.asarray(invert_pose(s.world_from_cam)) for s in SHOTS])
    E[:, :3, 3] *= SCALE
    return {
        "image": np.stack([s.colour for s in SHOTS]),
        "depth": np.stack([s.depth * SCALE for s in SHOTS]).astype(np.float32),
        "conf": np.ones((COUNT, 70, 98), np.float32),
        "extrinsics": (E if homogeneous else E[:, :3]).astype(np.float32),
        "intrinsics": np.stack([K] * COUNT).astype(np.float32),
    }


def vggt_arrays() -> dict[str, np.ndarray]:
    found = arrays()
    pictures = found["image"].transpose(0, 3, 1, 2).astype(np.float32) / 255
    return {
        "images": pictures, "depth": found["depth"][..., None], "extrinsic": found["extrinsics"],
        "intrinsic": found["intrinsics"], "depth_conf": found["conf"],
    }  # fmt: skip


def check(folder: Path, *, metric: bool = False) -> None:
    source = open_source(folder)
    assert (source.kind, len(source.scene_ids())) == ("predicted", 1)
    scene = source.open(source.scene_ids()[0])
    assert [f.reason for f in scene.frames] == [""] * COUNT
    assert scene.metric is metric
    assert ("scale_unknown" in scene.notes) is not metric
    assert "geometry_predicted" in scene.notes
    factor = scene.depth_scale
    assert factor == (1.0 if metric else pytest.approx(factor))
    for frame, shot in zip(scene.frames, SHOTS, strict=True):
        wanted = shot.world_from_cam.copy()
        wanted[:3, 3] *= SCALE * factor
        np.testing.assert_allclose(frame.world_from_cam, wanted, atol=1e-5)
        np.testing.assert_allclose(scene.read_depth(frame), shot.depth * SCALE, rtol=1e-5)
        np.testing.assert_allclose(scene.color_of(frame).K, K, atol=1e-4)
        picture = open_image(scene.root, str(frame.image))
        np.testing.assert_array_equal(np.asarray(picture), shot.colour)
    report = survey_scene(source, source.scene_ids()[0])
    assert report.agreement > 0.97
    assert ("lengths in metres" in dict(report.missing)) is not metric


@pytest.mark.parametrize("place", ["exports/npz/results.npz", "results.npz", "npz/results.npz"])
@pytest.mark.parametrize("homogeneous", [False, True])
def test_depth_anything(tmp_path: Path, place: str, homogeneous: bool) -> None:
    write_npz(tmp_path / "hall" / place, arrays(homogeneous=homogeneous))
    check(tmp_path)
    check(tmp_path / "hall")


def test_a_metric_model_says_so(tmp_path: Path) -> None:
    write_npz(tmp_path / "hall/results.npz", {**arrays(), "is_metric": np.array(1)})
    check(tmp_path, metric=True)
    write_npz(tmp_path / "hall/results.npz", {**arrays(), "is_metric": np.array(0)})
    check(tmp_path)
    put(tmp_path / "hall/scene_meta.json", '{"metric": true}')
    assert open_source(tmp_path).open("hall").metric


def test_vggt_and_an_archive_by_its_own_name(tmp_path: Path) -> None:
    write_npz(tmp_path / "hall/predictions.npz", vggt_arrays())
    check(tmp_path)
    write_npz(tmp_path / "b/yard.npz", arrays())
    assert open_source(tmp_path / "b").scene_ids() == ("yard",)
    check(tmp_path / "b/yard.npz")


def test_pictures_beside_a_small_export(tmp_path: Path) -> None:
    small = arrays()
    del small["image"]
    write_npz(tmp_path / "hall/exports/mini_npz/results.npz", small)
    with pytest.raises(SceneFormatError, match="into images/") as error:
        open_source(tmp_path).open("hall")
    assert error.value.code == "image_missing"
    for k, shot in enumerate(SHOTS):
        put(tmp_path / f"hall/images/{k}.png", png(shot.colour))
    check(tmp_path)


def last_picture(root: Path) -> None:
    scene = open_source(root).open("hall")
    open_image(scene.root, str(scene.frames[-1].image))


def test_pixels_hold_no_bytes_and_damage_is_typed(tmp_path: Path) -> None:
    assert not holds_bytes("a.npz#image/3")
    assert holds_bytes("a.npz#images_jpeg_bytes/3")
    whole = arrays()
    for name, bad in {
        "depth": whole["depth"][..., None, None], "extrinsics": whole["extrinsics"][:-1],
        "intrinsics": np.stack([np.eye(4)] * COUNT), "image": whole["image"][:2],
    }.items():  # fmt: skip
        path = write_npz(tmp_path / "hall/results.npz", {**whole, name: bad})
        with pytest.raises(SceneFormatError):
            last_picture(tmp_path)
    path = write_npz(tmp_path / "hall/results.npz", whole)
    stored, rng = path.read_bytes(), np.random.default_rng()
    for _ in range(30):
        damaged = bytearray(stored)
        for _ in range(3):
            damaged[int(rng.integers(len(damaged)))] = int(rng.integers(256))
        path.write_bytes(bytes(damaged[: int(rng.integers(1, len(damaged)))]))
        with contextlib.suppress(SceneFormatError):  # anything else fails the test
            scene = open_source(tmp_path).open("hall")
            scene.read_depth(scene.frames[0])
            open_image(scene.root, str(scene.frames[0].image))
