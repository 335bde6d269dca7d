# SPDX-License-Identifier: Apache-2.0
"""Captures whose frames stand in a list a split, with the keys of Blender's synthetic scenes."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from spatialcore.errors import SceneFormatError
from spatialcore.io.open import open_source
from spatialcore.lens import Lens
from spatialcore.types import Scene
from tests import rays
from tests.fabricate import nerfstudio_capture, png16

COUNTS = {"train": 4, "val": 1, "test": 3}
SHOTS = rays.shots([rays.pinhole(96, 72)] * sum(COUNTS.values()))


def write_blender(folder: Path, *, depth: bool = True) -> list[rays.Shot]:
    """`train/r_0.png` and so on, one angle of view a list; the shots in the order of the names."""
    shots = iter(SHOTS)
    written: dict[str, list[rays.Shot]] = {}
    K = SHOTS[0].camera.K
    assert K[0, 0] == K[1, 1]
    for split, count in COUNTS.items():
        (folder / split).mkdir(parents=True)
        frames = []
        written[split] = [next(shots) for _ in range(count)]
        for k, shot in enumerate(written[split]):
            Image.fromarray(shot.colour).convert("RGBA").save(folder / split / f"r_{k}.png")
            pose = shot.world_from_cam.copy()
            pose[:3, 1:3] *= -1
            frame = {"file_path": f"./{split}/r_{k}", "rotation": 0.01}
            if depth:
                units = np.rint(shot.depth * 1000).astype(np.uint16)
                (folder / split / f"z_{k}.png").write_bytes(png16(units))
                frame["depth_file_path"] = f"./{split}/z_{k}.png"
            frames.append({**frame, "transform_matrix": pose.tolist()})
        stored = {"camera_angle_x": 2 * math.atan(48 / K[0, 0]), "frames": frames}
        (folder / f"transforms_{split}.json").write_text(json.dumps(stored))
    return [*written["test"], *written["train"], *written["val"]]


def changed(path: Path, **fields: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def opened(root: Path) -> Scene:
    source = open_source(root)
    assert source.kind == "nerfstudio"
    return source.open("lego")


def test_all_splits_are_one_capture(tmp_path: Path) -> None:
    shots = write_blender(tmp_path / "lego")
    scene = opened(tmp_path)
    assert [f.reason for f in scene.frames] == [""] * len(shots)
    assert [f.image for f in scene.frames[:4]] == [
        "lego/test/r_0.png", "lego/test/r_1.png", "lego/test/r_2.png", "lego/train/r_0.png",
    ]  # fmt: skip
    assert scene.color.size == (96, 72)
    np.testing.assert_allclose(scene.color.K, SHOTS[0].camera.K, atol=1e-9)
    for frame, shot in zip(scene.frames, shots, strict=True):
        np.testing.assert_allclose(frame.world_from_cam, shot.world_from_cam, atol=1e-12)
        metres = scene.read_depth(frame) * scene.depth_scale
        np.testing.assert_allclose(metres, shot.depth, atol=6e-4)
    assert "split_lists=train 4, val 1, test 3" in scene.notes
    read = {path.name for path in scene.inputs if path.suffix == ".json"}
    assert read == {f"transforms_{split}.json" for split in COUNTS}


def test_lists_of_nerfstudio_over_one_folder(tmp_path: Path) -> None:
    """Frames that one list has make the same scene when each split has some of them."""
    folder = nerfstudio_capture(tmp_path / "lego", count=6)
    whole = opened(tmp_path)
    path = folder / "transforms.json"
    stored = json.loads(path.read_text())
    path.unlink()
    for k, split in enumerate(("train", "test")):
        part = {**stored, "frames": stored["frames"][k::2]}
        (folder / f"transforms_{split}.json").write_text(json.dumps(part))
    scene = opened(tmp_path)
    assert [(f.image, f.depth, f.reason) for f in scene.frames] == [
        (f.image, f.depth, f.reason) for f in whole.frames
    ]
    np.testing.assert_array_equal(scene.color.K, whole.color.K)
    assert "split_lists=train 3, test 3" in scene.notes


def test_each_list_has_its_own_camera_and_scale(tmp_path: Path) -> None:
    write_blender(tmp_path / "lego")
    path = tmp_path / "lego/transforms_test.json"
    changed(path, w=96, h=72, fl_x=61.0, cx=48.0, cy=36.0, k1=0.01, applied_scale=0.5)
    frames = opened(tmp_path).frames
    assert [f.color is not None for f in frames] == [True] * 3 + [False] * 5
    assert frames[0].color.K[0].tolist() == [61.0, 0.0, 47.5]
    assert frames[0].color.lens == Lens("opencv", (0.01, 0.0, 0.0, 0.0))
    moved = frames[0].world_from_cam[:3, 3] / SHOTS[5].world_from_cam[:3, 3]
    np.testing.assert_allclose(moved, 2.0)


def test_transforms_json_is_read_alone(tmp_path: Path) -> None:
    folder = nerfstudio_capture(tmp_path / "lego")
    (folder / "transforms_test.json").write_text("{}")
    scene = opened(tmp_path)
    assert len(scene.frames) == 3
    assert "lists_not_read=transforms_test.json" in scene.notes


def test_a_picture_of_two_lists_counts_once(tmp_path: Path) -> None:
    write_blender(tmp_path / "lego")
    train = json.loads((tmp_path / "lego/transforms_train.json").read_text())
    changed(tmp_path / "lego/transforms_val.json", frames=train["frames"][:1])
    reasons = [f.reason for f in opened(tmp_path).frames]
    assert reasons.count("frame_repeated") == 1
    assert reasons.count("") == 7


def test_depth_that_is_drawn_is_refused_with_a_sentence(tmp_path: Path) -> None:
    write_blender(tmp_path / "lego", depth=False)
    with pytest.raises(SceneFormatError, match="no depth map is named") as error:
        opened(tmp_path)
    Image.new("RGBA", (96, 72)).save(tmp_path / "lego/test/r_1_depth_0001.png")
    with pytest.raises(
        SceneFormatError, match=r"lego/test/r_1_depth_0001\.png .* drawings"
    ) as error:
        opened(tmp_path)
    assert error.value.code == "no_usable_frames"
    assert "depth_file_path" in str(error.value)


def test_a_picture_without_a_head_masks_its_frame(tmp_path: Path) -> None:
    write_blender(tmp_path / "lego")
    (tmp_path / "lego/train/r_1.png").write_bytes(b"\x89PNG")
    (tmp_path / "lego/train/r_2.png").unlink()
    reasons = [f.reason for f in opened(tmp_path).frames]
    assert sorted(filter(None, reasons)) == ["image_bad", "image_missing"]


def test_lists_that_cannot_be_used(tmp_path: Path) -> None:
    write_blender(tmp_path / "lego")
    path = tmp_path / "lego/transforms_val.json"
    kept = path.read_text()
    for fields in ({"frames": 3}, {"applied_scale": 0}, {"depth_unit_scale_factor": 0.1}):
        changed(path, **fields)
        with pytest.raises(SceneFormatError) as error:
            opened(tmp_path)
        assert error.value.code == "transforms_bad"
        assert "transforms_val.json" in str(error.value)
        path.write_text(kept)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(SceneFormatError, match=r"transforms_val\.json") as error:
        opened(tmp_path)
    assert error.value.code == "not_a_file"
