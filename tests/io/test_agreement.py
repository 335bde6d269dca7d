# SPDX-License-Identifier: Apache-2.0
"""Sources that contradict themselves are found, named and refused; sound ones pass."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from spatialcore.commands import check, index
from spatialcore.io.agreement import DepthShot, measure, share_outside
from spatialcore.io.open import open_source
from spatialcore.io.survey import survey_scene
from spatialcore.lens import Lens
from spatialcore.types import Camera
from tests import rays
from tests.phones import millimetres, png, put

GL = np.diag([1.0, -1.0, -1.0, 1.0])


@pytest.fixture(scope="module")
def sound():
    return [
        DepthShot(shot.depth.astype(np.float32), shot.camera.K, shot.world_from_cam)
        for shot in rays.shots([rays.pinhole()] * 10)
    ]


def with_pose(shots, change):
    return [dataclasses.replace(s, world_from_cam=change(s.world_from_cam)) for s in shots]


def with_depth(shots, change):
    return [dataclasses.replace(s, depth=change(s)) for s in shots]


def range_of(shot):
    h, w = shot.depth.shape
    v, u = np.mgrid[:h, :w]
    x, y = (u - shot.K[0, 2]) / shot.K[0, 0], (v - shot.K[1, 2]) / shot.K[1, 1]
    return (shot.depth * np.sqrt(1 + x * x + y * y)).astype(np.float32)


def test_sound_frames_agree(sound):
    found = measure(sound)
    assert found.share > 0.95
    assert not found.contradicted
    assert found.cause == ""


@pytest.mark.parametrize(
    ("wrong", "cause"),
    [
        (lambda s: with_pose(s, np.linalg.inv), "world-to-camera"),
        (lambda s: with_pose(s, lambda m: m @ GL), "OpenGL"),
        (
            lambda s: with_pose(s, lambda m: np.linalg.inv(m @ GL)),
            "world-to-camera poses with Open",
        ),
        (lambda s: with_depth(s, lambda x: x.depth / 5), "5 times as large"),
        (lambda s: with_depth(s, lambda x: x.depth * 10), "10 times as small"),
        (lambda s: with_depth(s, lambda x: x.depth[:, ::-1]), "mirrored"),
    ],
)
def test_a_wrong_convention_is_named(sound, wrong, cause):
    found = measure(wrong(sound))
    assert found.contradicted
    assert cause in found.cause
    assert found.cured > 0.9
    assert cause in found.sentence()


def test_noise_without_a_cause_names_none(sound):
    rng = np.random.default_rng(3)
    lost = with_depth(sound, lambda s: rng.uniform(0.5, 5, s.depth.shape).astype(np.float32))
    found = measure(lost)
    assert found.contradicted
    assert found.cause == ""


def test_too_few_readings_say_nothing(sound):
    nothing = with_depth(sound, lambda s: np.full_like(s.depth, np.nan))
    assert measure(nothing).share is None
    assert not measure(sound[:1]).contradicted


def write_posed(folder, change=lambda m: m, scale=1000.0):
    folder.mkdir(parents=True)
    camera = rays.pinhole()
    np.savetxt(folder / "intrinsic.txt", camera.K)
    (folder / "scene_meta.json").write_text(json.dumps({"world_up": [0, 0, 1]}))
    for k, shot in enumerate(rays.shots([camera] * 8)):
        Image.fromarray(shot.colour).save(folder / f"{k:05d}.jpg")
        Image.fromarray(np.rint(shot.depth * scale).astype(np.uint16)).save(folder / f"{k:05d}.png")
        np.savetxt(folder / f"{k:05d}.txt", change(shot.world_from_cam))


def test_check_and_index_refuse_what_contradicts_itself(tmp_path, capsys):
    write_posed(tmp_path / "scans" / "good")
    write_posed(tmp_path / "scans" / "inverted", np.linalg.inv)
    assert check.main([str(tmp_path / "scans"), "--json"]) == 3
    report = {s["id"]: s for s in json.loads(capsys.readouterr().out)["sources"][0]["scenes"]}
    assert report["good"]["verdict"] == "limited"
    assert (report["inverted"]["verdict"], report["inverted"]["code"]) == (
        "wrong", "source_contradicts",
    )  # fmt: skip
    assert "looks like world-to-camera poses" in report["inverted"]["error"]
    out = tmp_path / "idx"
    assert index.main([str(tmp_path / "scans"), "-o", str(out)]) == 3
    said = capsys.readouterr().out
    assert "skipped posed_images/inverted: source_contradicts" in said
    assert "--trust-source" in said
    trusted = [str(tmp_path / "scans"), "-o", str(tmp_path / "trusted"), "--trust-source"]
    assert index.main(trusted) == 0


def test_clips_whose_points_lie_outside_their_images(sample_dir):
    source = open_source(sample_dir / "tapvid3d" / "adt")
    clip = source.open(source.scene_ids()[0])
    assert share_outside(clip) < 0.02
    K = clip.camera.K * np.array([[2.0], [2.0], [1.0]])
    wrong = dataclasses.replace(clip, camera=dataclasses.replace(clip.camera, K=K))
    assert share_outside(wrong) > 0.05


@pytest.mark.real
def test_captured_scenes_agree(real_path):
    for name in ("apc_shelf_0000", "hololens_office_000"):
        assert check.main([str(real_path / "rgbd" / name), "--json"]) == 0
    for path in sorted((real_path / "tracks").glob("*.npz")):
        clip = open_source(path).open(path.stem)
        assert (share_outside(clip) or 0.0) < 0.01


LENSES = [
    Lens("fisheye", (0.05, -0.01)), Lens("fisheye", ()), Lens("opencv", (-0.2, 0.05, 0.001, 0.002)),
]  # fmt: skip


def write_lensed(folder, lens, change):
    """A nerfstudio capture behind a lens, its depth registered to the pictures."""
    camera = Camera(rays.pinhole(160, 120, 75).K, 160, 120, lens)
    model = "OPENCV_FISHEYE" if lens.model == "fisheye" else "OPENCV"
    names = ("k1", "k2", "k3", "k4") if lens.model == "fisheye" else ("k1", "k2", "p1", "p2")
    K, rows = camera.K, []
    for k, shot in enumerate(rays.shots([camera] * 8)):
        put(folder / f"images/{k}.png", png(shot.colour))
        put(folder / f"depth/{k}.png", millimetres(shot))
        rows.append({"file_path": f"images/{k}.png", "depth_file_path": f"depth/{k}.png",
                     "transform_matrix": (change(shot.world_from_cam) @ GL).tolist()})  # fmt: skip
    stored = {"camera_model": model, "fl_x": K[0, 0], "fl_y": K[1, 1], "cx": K[0, 2] + 0.5,
              "cy": K[1, 2] + 0.5, "w": 160, "h": 120, "frames": rows}  # fmt: skip
    stored |= dict(zip(names, lens.coefficients, strict=False))
    put(folder / "transforms.json", json.dumps(stored))


@pytest.mark.parametrize("lens", LENSES)
def test_agreement_is_measured_behind_a_lens(tmp_path, lens):
    write_lensed(tmp_path / "good", lens, lambda m: m)
    write_lensed(tmp_path / "inverted", lens, np.linalg.inv)
    write_lensed(tmp_path / "opengl", lens, lambda m: m @ GL)
    source = open_source(tmp_path)
    assert source.open("good").color.lens == lens
    found = {name: survey_scene(source, name) for name in source.scene_ids()}
    assert found["good"].agreement > 0.93
    assert found["good"].verdict != "wrong"
    for name, cause in (("inverted", "world-to-camera"), ("opengl", "OpenGL")):
        assert (found[name].verdict, found[name].code) == ("wrong", "source_contradicts")
        assert cause in found[name].error
