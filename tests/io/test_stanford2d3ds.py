# SPDX-License-Identifier: Apache-2.0
"""2D-3D-S: a tiny area of two rooms, its cameras, its labels by colour, and damage."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import numpy as np
import pytest

from spatialcore.errors import SceneFormatError
from spatialcore.io import frame_files, frame_headers
from spatialcore.io.images import image_size
from spatialcore.io.open import open_source
from spatialcore.io.stanford2d3ds import Stanford2d3dsSource
from spatialcore.io.survey import survey_scene
from spatialcore.types import Scene
from tests import rays
from tests.fabricate import png16
from tests.phones import png, put

COUNT = 6
CAMERA = rays.pinhole(108, 108, 75)
SHOTS = rays.shots([CAMERA] * COUNT)
ROOM, OTHER = "conferenceRoom_1", "office_12"
POSITION = "0d600f92f8d14e288ddc590c32584a5a"
# Rows of the table: another room's chair, then the room's; ids of the ray-cast room by row.
CLASSES = ("table", "chair", "bookcase", "clutter", "board")
LABELS = ["<UNK>_0_<UNK>_0_0", f"chair_1_{OTHER}_1",
          *(f"{name}_{k}_{ROOM}_1" for k, name in enumerate(CLASSES, start=1)),
          f"table_1_{ROOM}_3"]  # fmt: skip
NOTHING = 0x0D0D0D


def stem(k: int, room: str = ROOM) -> str:
    return f"camera_{POSITION}_{room}_frame_{k}_domain_"


def colours(shot: rays.Shot) -> np.ndarray:
    """Rows of the labels as colours of 24 bits, and the colour of what has none."""
    rows = np.where(shot.instance > 0, shot.instance + 1, NOTHING)
    return np.stack([rows >> 16, (rows >> 8) & 255, rows & 255], axis=-1).astype(np.uint8)


def write_area(root: Path, *, labelled: bool = True) -> Path:
    folder = root / "area_1"
    for k, shot in enumerate(SHOTS):
        for room in (ROOM, OTHER) if k < 4 else (ROOM,):
            units = np.rint(shot.depth * 512).astype(np.uint16)
            units[0, :3] = 65535
            K = CAMERA.K.copy()
            K[:2, 2] += 0.5
            cam_from_world = np.linalg.inv(shot.world_from_cam)
            stored = {
                "camera_k_matrix": K.tolist(), "camera_rt_matrix": cam_from_world[:3].tolist(),
                "frame_num": k, "room": f"{room}_1", "field_of_view_rads": 1.3,
            }  # fmt: skip
            data = folder / "data"
            put(data / f"rgb/{stem(k, room)}rgb.png", png(shot.colour))
            put(data / f"depth/{stem(k, room)}depth.png", png16(units))
            put(data / f"pose/{stem(k, room)}pose.json", json.dumps(stored))
            if labelled:
                put(data / f"semantic/{stem(k, room)}semantic.png", png(colours(shot)))
    (folder / "pano/rgb").mkdir(parents=True)
    if labelled:
        put(root / "assets/semantic_labels.json", json.dumps(LABELS))
    return folder


def open_room(root: Path, room: str = ROOM) -> Scene:
    source = open_source(root)
    assert (source.kind, source.scene_ids()) == (
        "stanford2d3ds", (f"area_1_{ROOM}", f"area_1_{OTHER}"),
    )  # fmt: skip
    return source.open(f"area_1_{room}")


def test_a_room(tmp_path: Path) -> None:
    write_area(tmp_path)
    scene = open_room(tmp_path)
    assert [f.reason for f in scene.frames] == [""] * COUNT
    assert scene.frames[2].image == f"area_1/data/rgb/{stem(2)}rgb.png"
    assert (scene.metric, scene.world_up.tolist()) == (True, [0, 0, 1])
    np.testing.assert_allclose(scene.color.K, CAMERA.K, atol=1e-12)
    for frame, shot in zip(scene.frames, SHOTS, strict=True):
        np.testing.assert_allclose(frame.world_from_cam, shot.world_from_cam, atol=1e-12)
        depth = scene.read_depth(frame)
        assert not depth[0, :3].any()
        depth[0, :3] = np.rint(shot.depth[0, :3] * 512)
        np.testing.assert_allclose(depth * scene.depth_scale, shot.depth, atol=1e-3)
        ids = scene.read_instance(frame)
        named = (shot.instance > 0) & (shot.instance != 4)  # the fourth is clutter
        np.testing.assert_array_equal(ids, np.where(named, shot.instance + 2, -1))
    names = {o.object_id: o.category for o in scene.objects}
    assert names == {3: "table", 4: "chair", 5: "bookcase", 7: "board"}
    report = survey_scene(open_source(tmp_path), scene.id)
    assert (report.verdict, report.object_count) == ("ok", 4)
    assert report.agreement > 0.95
    assert len(open_room(tmp_path, OTHER).frames) == 4
    assert [o.category for o in open_room(tmp_path, OTHER).objects] == ["chair"]


def test_one_area_has_the_uris_of_its_building(tmp_path: Path) -> None:
    folder = write_area(tmp_path)
    alone = open_source(folder).open(f"area_1_{ROOM}")
    assert alone.frames == open_room(tmp_path).frames or [f.image for f in alone.frames] == [
        f.image for f in open_room(tmp_path).frames
    ]


def test_without_labels(tmp_path: Path) -> None:
    write_area(tmp_path, labelled=False)
    scene = open_room(tmp_path)
    assert not scene.objects
    assert "semantic_labels_missing" in scene.notes


def test_what_is_missing_masks_its_frame(tmp_path: Path) -> None:
    data = write_area(tmp_path) / "data"
    (data / f"pose/{stem(0)}pose.json").unlink()
    put(data / f"pose/{stem(1)}pose.json", '{"camera_rt_matrix": [[1, 2], [3, 4], [5, 6]]}')
    put(data / f"pose/{stem(2)}pose.json", "[[[")
    (data / f"depth/{stem(3)}depth.png").unlink()
    (data / f"semantic/{stem(4)}semantic.png").unlink()
    scene = open_room(tmp_path)
    wanted = ["pose_missing", "pose_unreadable", "pose_unreadable", "depth_missing", "", ""]
    assert [f.reason for f in scene.frames] == wanted
    assert "instance_missing=1" in scene.notes


@pytest.mark.parametrize("text", ["{}", "[1]", "[[", '"chair"'])
def test_a_damaged_table_is_refused(tmp_path: Path, text: str) -> None:
    write_area(tmp_path)
    put(tmp_path / "assets/semantic_labels.json", text)
    with pytest.raises(SceneFormatError, match=r"semantic_labels\.json"):
        open_room(tmp_path)


@pytest.mark.parametrize("name", [
    f"data/pose/{stem(1)}pose.json", f"data/semantic/{stem(1)}semantic.png",
    f"data/rgb/{stem(1)}rgb.png",
])  # fmt: skip
def test_damage_is_typed(tmp_path: Path, name: str) -> None:
    path = write_area(tmp_path) / name
    whole, rng = path.read_bytes(), np.random.default_rng()
    source = Stanford2d3dsSource(tmp_path, (("room", f"area_1#area_1_{ROOM}"),))
    for _ in range(15):
        damaged = bytearray(whole)
        damaged[int(rng.integers(len(damaged)))] = int(rng.integers(256))
        path.write_bytes(bytes(damaged[: int(rng.integers(1, len(damaged)))]))
        with contextlib.suppress(SceneFormatError):  # anything else fails the test
            scene = source.open("room")
            scene.read_instance(scene.frames[1])


def test_pictures_of_a_crowd_without_poses_are_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_area(tmp_path) / "data"
    opened: list[str] = []

    def size(image: Path) -> tuple[int, int]:
        opened.append(image.name)
        return image_size(image)

    monkeypatch.setattr(frame_headers, "image_size", size)
    monkeypatch.setattr(frame_files, "_MASKED_LOOKED_AT", 1)
    for k in (1, 4, 5):
        (data / f"pose/{stem(k)}pose.json").unlink()
    scene = open_source(tmp_path).open(f"area_1_{ROOM}")
    lost = "pose_missing"
    assert [f.reason for f in scene.frames] == ["", lost, "", "", lost, lost]
    assert scene.frames[4].image == f"area_1/data/rgb/{stem(4)}rgb.png"
    assert opened == [f"{stem(k)}rgb.png" for k in range(4)]
    for k in (0, 2, 3):
        (data / f"pose/{stem(k)}pose.json").unlink()
    with pytest.raises(SceneFormatError, match=f"{COUNT} {lost}"):
        open_source(tmp_path).open(f"area_1_{ROOM}")
