# SPDX-License-Identifier: Apache-2.0
"""ViPE's results, written byte by byte: a video, arrays of poses and K, zips of EXR and masks."""

from __future__ import annotations

import contextlib
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from spatialcore.errors import SceneFormatError
from spatialcore.io.images import open_image
from spatialcore.io.open import open_source, open_sources
from spatialcore.io.survey import survey_scene
from tests.fabricate import write_npz
from tests.phones import png, put, video
from tests.rays import BOXES, pinhole, shots

OpenEXR = pytest.importorskip("OpenEXR")
pytest.importorskip("av")
COUNT = 8
SHOTS = shots([pinhole(96, 72)] * COUNT)
K = SHOTS[0].camera.K
NAMES = ("walk", "my walk")


def exr(depth: np.ndarray) -> bytes:
    stream = io.BytesIO()
    channels = {"Z": np.ascontiguousarray(depth.astype(np.float16))}
    OpenEXR.File({"compression": OpenEXR.ZIP_COMPRESSION}, channels).write(stream)
    return stream.getvalue()


def packed(path: Path, contents: dict[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)


def write_vipe(root: Path, name: str = "walk", *, masks: bool = True) -> Path:
    """One result; K differs from frame to frame in its last digits."""
    video(root / f"rgb/{name}.mp4", [shot.colour for shot in SHOTS])
    inds = np.arange(COUNT)
    poses = np.stack([shot.world_from_cam for shot in SHOTS]).astype(np.float32)
    write_npz(root / f"pose/{name}.npz", {"data": poses, "inds": inds})
    rows = np.array([[K[0, 0] + 0.01 * k, K[1, 1], K[0, 2], K[1, 2]] for k in range(COUNT)])
    write_npz(root / f"intrinsics/{name}.npz", {"data": rows.astype(np.float32), "inds": inds})
    put(root / f"intrinsics/{name}_camera.txt", "".join(f"{k}: PINHOLE\n" for k in inds))
    packed(root / f"depth/{name}.zip", {f"{k:05d}.exr": exr(s.depth) for k, s in enumerate(SHOTS)})
    if masks:
        pictures = [png(np.maximum(s.instance, 0).astype(np.uint8)) for s in SHOTS]
        packed(root / f"mask/{name}.zip", {f"{k:05d}.png": p for k, p in enumerate(pictures)})
        phrases = [f"{k}: {box[0]}\n" for k, box in enumerate(BOXES, start=1)]
        put(root / f"mask/{name}.txt", "0: background\n" + "".join(phrases))
    return root


def test_results_come_back(tmp_path: Path) -> None:
    for name in NAMES:
        write_vipe(tmp_path / "results", name)
    (source,) = open_sources(tmp_path)
    assert (source.kind, source.scene_ids()) == ("vipe", ("my_walk", "walk"))
    assert open_source(tmp_path / "results").files == open_source(tmp_path / "results/rgb").files
    scene = source.open("walk")
    assert [f.reason for f in scene.frames] == [""] * COUNT
    assert (scene.metric, scene.world_up, scene.depth_scale) == (True, None, 1.0)
    assert "geometry_predicted" in scene.notes
    assert scene.frames[3].image == "rgb/walk.mp4#frame=3"
    assert scene.frames[3].depth == "depth/walk.zip#00003.exr"
    for k, (frame, shot) in enumerate(zip(scene.frames, SHOTS, strict=True)):
        np.testing.assert_allclose(frame.world_from_cam, shot.world_from_cam, atol=1e-6)
        np.testing.assert_allclose(scene.read_depth(frame), shot.depth, rtol=1e-3)
        assert scene.color_of(frame).K[0, 0] == pytest.approx(K[0, 0] + 0.01 * k, abs=1e-4)
        picture = np.asarray(open_image(scene.root, str(frame.image))).astype(int)
        assert np.abs(picture - shot.colour).mean() < 12
        np.testing.assert_array_equal(scene.read_instance(frame), shot.instance)
    assert [o.category for o in scene.objects] == [box[0] for box in BOXES]
    report = survey_scene(source, "walk")
    assert report.agreement > 0.97
    assert report.verdict == "limited"


def test_frames_without_a_part_are_masked(tmp_path: Path) -> None:
    write_vipe(tmp_path)
    rows = np.stack([SHOTS[0].world_from_cam] * 3)
    write_npz(tmp_path / "pose/walk.npz", {"data": rows, "inds": np.array([0, 2, 30])})
    lines = ["0: PINHOLE", "1: PINHOLE", "2: MEI", "3: PANORAMA"]
    put(tmp_path / "intrinsics/walk_camera.txt", "\n".join(lines))
    packed(tmp_path / "depth/walk.zip", {"00000.exr": exr(SHOTS[0].depth)})
    scene = open_source(tmp_path).open("walk")
    reasons = {frame.index: frame.reason for frame in scene.frames}
    assert reasons[0] == ""
    assert reasons[2] == "camera_model_unknown"
    assert reasons[3] == "panorama"
    assert reasons[4] == "pose_missing"
    assert reasons[30] == "intrinsic_missing"
    put(tmp_path / "rgb/other.mp4", "a video without poses is none of its results")
    assert open_source(tmp_path).scene_ids() == ("walk",)


def test_masks_are_those_of_the_video(tmp_path: Path) -> None:
    write_vipe(tmp_path)
    packed(tmp_path / "mask/walk.zip", {"00001.png": png(np.zeros((5, 5), np.uint8))})
    scene = open_source(tmp_path).open("walk")
    assert f"instance_missing={COUNT - 1}" in scene.notes
    for frame in scene.frames[:2]:
        with pytest.raises(SceneFormatError):
            scene.read_instance(frame)
    write_vipe(tmp_path / "b", masks=False)
    assert open_source(tmp_path / "b").open("walk").objects == ()


@pytest.mark.parametrize("name", [
    "pose/walk.npz", "intrinsics/walk.npz", "intrinsics/walk_camera.txt", "depth/walk.zip",
    "mask/walk.zip", "mask/walk.txt", "rgb/walk.mp4",
])  # fmt: skip
def test_damage_is_typed(tmp_path: Path, name: str) -> None:
    path = write_vipe(tmp_path) / name
    whole, rng = path.read_bytes(), np.random.default_rng()
    bad = np.full((3, 4, 4), np.nan)
    if name.startswith("pose"):
        for arrays in ({"data": bad}, {"data": bad, "inds": np.array([1, 2])},
                       {"data": bad[:, :3], "inds": np.arange(3)},
                       {"data": bad, "inds": np.array([-1, 0, 1 << 40])}):  # fmt: skip
            write_npz(path, arrays)
            with pytest.raises(SceneFormatError):
                open_source(tmp_path).open("walk")
    for _ in range(12):
        damaged = bytearray(whole)
        for _ in range(3):
            damaged[int(rng.integers(len(damaged)))] = int(rng.integers(256))
        path.write_bytes(bytes(damaged[: int(rng.integers(1, len(damaged)))]))
        with contextlib.suppress(SceneFormatError):  # anything else fails the test
            scene = open_source(tmp_path).open("walk")
            for frame in scene.frames[:1]:
                scene.read_depth(frame)
                if scene.read_instance:
                    scene.read_instance(frame)
