# SPDX-License-Identifier: Apache-2.0
"""Structured3D: a tiny house written byte by byte, its cameras, ids, classes and boxes."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import numpy as np
import pytest

from spatialcore.errors import SceneFormatError
from spatialcore.io.nyu40 import NYU40, labels_of_colours
from spatialcore.io.open import open_source
from spatialcore.io.structured3d import Structured3dSource
from spatialcore.io.survey import survey_scene
from spatialcore.types import Scene
from tests.fabricate import png16
from tests.phones import millimetres, png, put
from tests.rays import BOXES, pinhole, shots

COUNT = 8
SHOTS = shots([pinhole(96, 72)] * COUNT)
CLASSES = ("table", "chair", "cabinet", "otherprop", "lamp")
# Ids of the house count from 0 and are not in order.
IDS = (0, 41, 7, 3, 600)
COLOURS = {"table": (255, 152, 150), "chair": (188, 189, 34), "cabinet": (31, 119, 180),
           "otherprop": (100, 85, 144), "lamp": (96, 207, 209)}  # fmt: skip


def camera_text(k: int) -> str:
    shot = SHOTS[k]
    m, half = shot.world_from_cam, np.arctan([48 / shot.camera.K[0, 0], 36 / shot.camera.K[1, 1]])
    # Up leans: the camera's own up is what is left of it across the view.
    up = -m[:3, 1] + 0.3 * m[:3, 2]
    numbers = [*(m[:3, 3] * 1000), *(2.5 * m[:3, 2]), *up, *half, 1]
    return " ".join(repr(float(x)) for x in numbers)


def classes_png(instance: np.ndarray, form: str) -> bytes:
    if form == "numbers":
        table = np.array([0, *(NYU40.index(name) + 1 for name in CLASSES)], np.uint8)
        return png(table[np.maximum(instance, 0)])
    table = np.array([(0, 0, 0), *(COLOURS[name] for name in CLASSES)], np.uint8)
    return png(table[np.maximum(instance, 0)])


def write_house(root: Path, name: str = "scene_00007", form: str = "numbers") -> Path:
    folder = root / name
    for k, shot in enumerate(SHOTS):
        view = folder / f"2D_rendering/{'485142' if k < 4 else '906322'}/perspective/full/{k % 4}"
        put(view / "rgb_rawlight.png", png(shot.colour))
        put(view / "depth.png", millimetres(shot))
        ids = np.array([65535, *IDS], np.uint16)[np.maximum(shot.instance, 0)]
        put(view / "instance.png", png16(ids))
        put(view / "semantic.png", classes_png(shot.instance, form))
        put(view / "camera_pose.txt", camera_text(k) + "\n")
    boxes = []
    for number, (_, low, high, _) in zip(IDS, BOXES, strict=True):
        half = (np.subtract(high, low) * 500).tolist()
        center = (np.add(low, high) * 500).tolist()
        turned = [[0, 1, 0], [-1, 0, 0], [0, 0, 1]]
        boxes.append({"ID": number, "basis": turned, "coeffs": [half[1], half[0], half[2]],
                      "centroid": center})  # fmt: skip
    put(folder / "bbox_3d.json", json.dumps(boxes))
    put(folder / "annotation_3d.json", "{}")
    (folder / "2D_rendering/485142/panorama/full").mkdir(parents=True)
    return folder


def open_house(root: Path, name: str = "scene_00007") -> Scene:
    source = open_source(root)
    assert (source.kind, source.scene_ids()) == ("structured3d", (name,))
    return source.open(name)


@pytest.mark.parametrize("form", ["numbers", "colours"])
def test_a_house(tmp_path: Path, form: str) -> None:
    write_house(tmp_path, form=form)
    scene = open_house(tmp_path)
    assert [f.reason for f in scene.frames] == [""] * COUNT
    assert (scene.metric, scene.split, scene.world_up.tolist()) == (True, "train", [0, 0, 1])
    assert scene.frames[5].name == "906322_1"
    np.testing.assert_allclose(scene.color.K, SHOTS[0].camera.K, atol=1e-9)
    for frame, shot in zip(scene.frames, SHOTS, strict=True):
        np.testing.assert_allclose(frame.world_from_cam, shot.world_from_cam, atol=1e-9)
        np.testing.assert_allclose(scene.read_depth(frame) / 1000, shot.depth, atol=1e-3)
        ids = np.array([-1, *(number + 1 for number in IDS)])[np.maximum(shot.instance, 0)]
        np.testing.assert_array_equal(scene.read_instance(frame), ids)
    names = {o.object_id - 1: o.category for o in scene.objects}
    assert names == dict(zip(IDS, CLASSES, strict=True))
    for item in scene.objects:
        _, low, high, _ = BOXES[IDS.index(item.object_id - 1)]
        corners = item.box.corners
        np.testing.assert_allclose([corners.min(axis=0), corners.max(axis=0)], [low, high])
    report = survey_scene(open_source(tmp_path), scene.id)
    assert (report.verdict, report.object_count) == ("ok", 5)
    assert report.agreement > 0.97


@pytest.mark.parametrize(("name", "split"), [
    ("scene_02999", "train"), ("scene_03000", "val"), ("scene_03400", "val"), ("my_house", None),
])  # fmt: skip
def test_published_splits(tmp_path: Path, name: str, split: str | None) -> None:
    write_house(tmp_path, name)
    assert open_house(tmp_path, name).split == split


def test_what_is_missing_masks_its_frame(tmp_path: Path) -> None:
    folder = write_house(tmp_path)
    views = [folder / f"2D_rendering/485142/perspective/full/{k}" for k in range(4)]
    put(views[0] / "camera_pose.txt", "1 2 3")
    (views[1] / "depth.png").unlink()
    put(views[2] / "camera_pose.txt", "0 0 0 0 0 1 0 0 1 0.5 0.4 1")  # looks along its own up
    (views[3] / "rgb_rawlight.png").rename(views[3] / "rgb_coldlight.png")
    (folder / "2D_rendering/906322/perspective/full/0/instance.png").unlink()
    put(folder / "bbox_3d.json", '[{"ID": 41, "coeffs": "wide"}, 5, {"ID": 0}]')
    scene = open_house(tmp_path)
    wanted = ["pose_unreadable", "depth_missing", "pose_unreadable", *[""] * 5]
    assert [f.reason for f in scene.frames] == wanted
    assert "instance_missing=1" in scene.notes
    assert all(item.box is None for item in scene.objects)


def test_colours_of_classes() -> None:
    every = np.array([[COLOURS[name] for name in CLASSES], [(0, 0, 0)] * 5], np.uint8)
    found = labels_of_colours(every)
    assert [NYU40[k - 1] for k in found[0]] == list(CLASSES)
    assert not found[1].any()


@pytest.mark.parametrize("name", [
    "bbox_3d.json", "2D_rendering/485142/perspective/full/1/camera_pose.txt",
    "2D_rendering/485142/perspective/full/1/instance.png",
    "2D_rendering/485142/perspective/full/1/semantic.png",
])  # fmt: skip
def test_damage_is_typed(tmp_path: Path, name: str) -> None:
    path = write_house(tmp_path) / name
    whole, rng = path.read_bytes(), np.random.default_rng()
    for _ in range(15):
        damaged = bytearray(whole)
        damaged[int(rng.integers(len(damaged)))] = int(rng.integers(256))
        path.write_bytes(bytes(damaged[: int(rng.integers(1, len(damaged)))]))
        source = open_source(tmp_path)
        assert isinstance(source, Structured3dSource)
        with contextlib.suppress(SceneFormatError):  # anything else fails the test
            scene = source.open("scene_00007")
            scene.read_instance(scene.frames[1])
