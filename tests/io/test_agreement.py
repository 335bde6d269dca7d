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
from tests import rays

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
