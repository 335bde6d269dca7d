# SPDX-License-Identifier: Apache-2.0
"""One bad scene never ends a run or spoils a data set: sixty bad ones beside three good ones."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from spatial_engine.commands import generate, plan, show, stats, verify
from spatial_engine.dataset.dataset import open_records
from spatialcore.commands import check, index
from spatialcore.io.names import scene_slug
from tests.fabricate import jpeg, matrix_text, padded, ply, png16
from tests.index.scenes import (
    COLOR_K,
    COLOR_SIZE,
    DEPTH_K,
    POSES,
    ray_depth,
    surface_points,
)

GOOD = ("Büro", "my office", "room_2")
COPIES = 3
TASKS = "camera_movement.*,depth_perception.*,scene_layout.*,object_perception.*,spatial_relation.*"


@pytest.fixture(scope="module")
def depth_files() -> list[bytes]:
    return [png16(ray_depth(pose)) for pose in POSES]


class Room:
    """A scene of posed images with ScanNet's annotation, and every part of it open to change."""

    def __init__(self, folder: Path, depth: list[bytes]) -> None:
        self.folder, self.depth = folder, depth
        self.K: np.ndarray = COLOR_K.copy()
        self.points, self.ids = surface_points(count=1500)
        self.poses = [pose.copy() for pose in POSES]
        self.alignment = np.eye(4)
        self.labels = {3: "wall", 7: "crate"}

    def write(self) -> Path:
        name = self.folder.name
        self.folder.mkdir(parents=True)
        for k, pose in enumerate(self.poses):
            self.part(f"{k:05d}.jpg", jpeg(COLOR_SIZE, shade=20 * k))
            self.part(f"{k:05d}.png", self.depth[k])
            self.part(f"{k:05d}.txt", matrix_text(pose).encode())
        K = "\n".join(" ".join(str(x) for x in row) for row in padded(self.K))
        self.part("intrinsic.txt", K.encode())
        self.part("depth_intrinsic.txt", matrix_text(padded(DEPTH_K)).encode())
        self.part("scene_meta.json", b'{"world_up": [0, 0, 1]}')
        self.part(f"{name}_vh_clean_2.ply", ply(self.points))
        self.part_json(f"{name}_vh_clean_2.0.010000.segs.json", {"segIndices": self.ids.tolist()})
        groups = [{"objectId": k, "segments": [k], "label": v} for k, v in self.labels.items()]
        self.part_json(f"{name}.aggregation.json", {"segGroups": groups})
        numbers = " ".join(str(x) for x in self.alignment.ravel())
        self.part(f"{name}.txt", f"axisAlignment = {numbers}\n".encode())
        return self.folder

    def part(self, name: str, content: bytes) -> None:
        (self.folder / name).write_bytes(content)

    def part_json(self, name: str, content: object) -> None:
        self.part(name, json.dumps(content).encode())


def _changed(**values: object) -> Callable[[Room], None]:
    def make(room: Room) -> None:
        for name, value in values.items():
            setattr(room, name, value)
        room.write()

    return make


def _points(change: Callable[[np.ndarray], None]) -> Callable[[Room], None]:
    def make(room: Room) -> None:
        room.points = room.points.copy()
        change(room.points)
        room.write()

    return make


def _replaced(ending: str, content: bytes) -> Callable[[Room], None]:
    def make(room: Room) -> None:
        room.write()
        room.part(f"{room.folder.name}{ending}", content)

    return make


def _one_vertex(value: float) -> Callable[[Room], None]:
    return _points(lambda points: points.__setitem__((5, 1), value))


def _on_a_line(points: np.ndarray) -> None:
    points[:] = np.linspace(0, 1, len(points))[:, None] * (1.0, 2.0, 3.0)


def _K(*changes: tuple[int, int, float]) -> Callable[[Room], None]:  # noqa: N802
    K = COLOR_K.copy()
    for row, column, value in changes:
        K[row, column] = value
    return _changed(K=K)


def _only(name: str) -> Callable[[Room], None]:
    def make(room: Room) -> None:
        room.folder.mkdir()
        (room.folder / name.format(room.folder.name)).mkdir()

    return make


def _scaled_poses(room: Room) -> None:
    for pose in room.poses:
        pose[:3, :3] *= 1.002
    room.write()


# kind -> (how it is made, its reason code, what its name is made of)
KINDS: dict[str, tuple[Callable[[Room], object], str]] = {
    "nan_vertex": (_one_vertex(np.nan), "points_nonfinite"),
    "far_vertex": (_one_vertex(1e30), "points_far"),
    "one_point": (_points(lambda points: points.fill(0.5)), "cloud_degenerate"),
    "one_line": (_points(_on_a_line), "cloud_degenerate"),
    "no_vertex": (_changed(points=np.zeros((0, 3)), ids=np.zeros(0, int)), "cloud_empty"),
    "zero_K": (_K((0, 0, 0.0)), "intrinsic"),
    "negative_K": (_K((1, 1, -80.0)), "source_contradicts"),
    "nan_K": (_K((0, 2, np.nan)), "intrinsic"),
    "skewed_K": (_K((0, 1, 3.0)), "intrinsic"),
    "huge_K": (_K((0, 0, 1e300), (1, 1, 1e300)), "intrinsic_out_of_range"),
    "twice_as_long": (_changed(alignment=2 * np.eye(4)), "alignment_not_rigid"),
    "scaled_poses": (_scaled_poses, "no_usable_frames"),
    "no_ply": (_replaced("_vh_clean_2.ply", b"<html>404</html>"), "mesh_bad"),
    "deep": (_replaced(".aggregation.json", b"[" * 200_000), "not_json"),
    "digits": (
        _replaced("_vh_clean_2.0.010000.segs.json", b'{"segIndices": [' + b"9" * 400 + b"]}"),
        "annotation_bad",
    ),
    "empty": (lambda room: room.folder.mkdir(), "folder_empty"),
    "dangling": (lambda room: room.folder.symlink_to("not_there"), "link_dangling"),
    "loop": (lambda room: room.folder.symlink_to(room.folder.name), "link_loop"),
    "pipe": (lambda room: os.mkfifo(room.folder), "not_a_file"),
    "no_sens": (_only("{}.aggregation.json"), "sens_missing"),
    "no_transforms": (_only("depths"), "transforms_missing"),
    "escape\x1b[31m": (lambda room: room.folder.mkdir(), "name_unsafe"),
    "latin\udcfc": (lambda room: room.folder.mkdir(), "name_not_utf8"),
}


def make_data(root: Path, out: Path) -> list[int]:
    """Run all verbs; their exit codes."""
    return [
        index.main([str(root), "-o", str(out / "index")]),
        plan.main([str(out / "index"), "-o", str(out / "plan"), "--tasks", TASKS]),
        generate.main([str(out / "plan"), "-o", str(out / "set")]),
        verify.main([str(out / "set"), "--all"]),
        stats.main([str(out / "set")]),
    ]


def test_sixty_bad_scenes_change_nothing_and_are_named(
    tmp_path: Path, depth_files: list[bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "scenes"
    for name in GOOD:
        Room(root / name, depth_files).write()
    assert make_data(root, tmp_path / "before") == [0] * 5
    wanted = {}
    for kind, (make, reason) in KINDS.items():
        for copy in range(COPIES):
            name = f"{kind}{copy}"
            make(Room(root / name, depth_files))
            wanted[scene_slug(name)] = reason
    assert len(wanted) >= 60
    capsys.readouterr()
    assert make_data(root, tmp_path / "after") == [3, 0, 3, 0, 0]
    said = capsys.readouterr().out
    stored = json.loads((tmp_path / "after/index/index.json").read_text(encoding="utf-8"))
    assert {skip["scene"]: skip["reason"] for skip in stored["skipped"]} == wanted
    for scene, reason in wanted.items():
        assert f"{scene}: {reason}" in said
    assert "\x1b" not in said
    sets = (open_records(tmp_path / part / "set") for part in ("before", "after"))
    before, after = ([one.record for one in records] for records in sets)
    assert len(before) > 100
    assert {record.scene for record in before} == {scene_slug(name) for name in GOOD}
    assert after == before


@pytest.mark.parametrize(
    "label", ["a `crate`", "<image>", "crate\nof wood", "\x1b[31mcrate", "crate\ud800", "c" * 5000]
)
def test_a_label_of_any_kind_gives_a_readable_data_set(
    tmp_path: Path, depth_files: list[bytes], label: str, capsys: pytest.CaptureFixture[str]
) -> None:
    room = Room(tmp_path / "scenes/room", depth_files)
    room.labels[7] = label
    room.write()
    out = tmp_path / "out"
    tasks = ["--tasks", "object_perception.*,scene_layout.object_size*"]
    assert generate.main([str(tmp_path / "scenes"), "-o", str(out), *tasks, "--limit", "12"]) == 0
    assert verify.main([str(out), "--all"]) == 0
    record = next(iter(open_records(out))).record
    assert show.main([str(out), record.id]) == 0
    assert "\x1b" not in capsys.readouterr().out
    scene = json.loads(next((out / "index").glob("*/room/scene.json")).read_text())
    assert "labels_cleaned=1" in scene["notes"]


def test_a_reader_that_breaks_costs_its_scene(tmp_path: Path) -> None:
    from spatialcore.index.index import build_index
    from tests.index.scenes import MemorySource, room_scene

    errors = {
        "memory": MemoryError(),
        "nested_too_deep": RecursionError("maximum recursion depth exceeded"),
        "not_text": UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"),
        "number_out_of_range": OverflowError("int too large to convert to float"),
        "damaged": EOFError("short"),
        "permission": PermissionError(13, "Permission denied"),
        "reader_failed": KeyError("pose"),
    }
    source = MemorySource({"room0_00": room_scene()}, errors)
    report = build_index([source], tmp_path / "index")
    assert report.built == (("rooms", "room0_00"),)
    assert {skip.scene: skip.reason for skip in report.skipped} == {code: code for code in errors}
    said = {skip.scene: skip.message for skip in report.skipped}
    assert "KeyError: 'pose'" in said["reader_failed"]
    assert "may not be read by this user" in said["permission"]


def test_check_names_what_index_names(
    tmp_path: Path, depth_files: list[bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "scenes"
    Room(root / "my office", depth_files).write()
    for name in ("empty", "pipe", "twice_as_long"):
        KINDS[name][0](Room(root / name, depth_files))
    assert check.main([str(root), "--json"]) == 3
    (source,) = json.loads(capsys.readouterr().out)["sources"]
    codes = {scene["id"]: scene["code"] for scene in source["scenes"]}
    assert codes == {
        "my_office": "", "empty": "folder_empty", "pipe": "not_a_file",
        "twice_as_long": "alignment_not_rigid",
    }  # fmt: skip
