# SPDX-License-Identifier: Apache-2.0
"""Recordings of scenes and clips, read back with the viewer's own library."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import spatialcore
from spatialcore.commands import inspect as inspect_command
from spatialcore.errors import SceneFormatError, UsageError
from spatialcore.recording import recording_file
from spatialcore.types import Frame, Scene, Track3D

pytest.importorskip("rerun", reason="rerun-sdk (extra viz) is not installed")


Capture = pytest.CaptureFixture[str]


def chunks(path: Path) -> dict[str, list]:
    """Entity -> its tables."""
    from rerun.chunk import RrdReader

    found: dict[str, list] = {}
    for chunk in RrdReader(str(path)).stream().to_chunks():
        found.setdefault(chunk.entity_path, []).append(chunk.to_record_batch())
    return found


def values(tables: list, column: str) -> list:
    """The cells of a column in the order of the tables."""
    return [cell for t in tables if column in t.schema.names for cell in t[column].to_pylist()]


def test_a_scene_holds_its_cloud_boxes_cameras_and_pictures(
    sample_dir: Path, tmp_path: Path
) -> None:
    scene = spatialcore.open(sample_dir / "scannet", "scene0000_00")
    assert isinstance(scene, Scene)
    scene.show(tmp_path / "a.rrd", most_frames=5)
    found = chunks(tmp_path / "a.rrd")
    assert scene.read_cloud is not None
    cloud = scene.read_cloud()
    (points,) = values(found["/world/cloud"], "Points3D:positions")
    assert np.array_equal(np.asarray(points, np.float32), cloud.points_world)
    boxes = [obj for obj in scene.objects if obj.box is not None]
    if boxes:
        (names,) = values(found["/world/boxes"], "Boxes3D:labels")
        assert names == [obj.category for obj in boxes]
    centres = values(found["/world/camera"], "Transform3D:translation")
    shown = {tuple(np.float32(one[0])) for one in centres}
    poses = {tuple(np.float32(f.world_from_cam[:3, 3])) for f in scene.frames if f.valid}
    assert len(centres) == 5
    assert shown <= poses
    assert len(values(found["/world/camera/image"], "EncodedImage:blob")) == 5
    assert len(values(found["/world/depth_camera/depth"], "DepthImage:buffer")) == 5


def test_a_clip_holds_its_tracks(sample_dir: Path, tmp_path: Path) -> None:
    clip = spatialcore.open(sample_dir / "tapvid3d", first_of(sample_dir / "tapvid3d"))
    assert isinstance(clip, Track3D)
    clip.show(tmp_path / "a.rrd", most_frames=4)
    found = chunks(tmp_path / "a.rrd")
    clouds = values(found["/world/points"], "Points3D:positions")
    shown = np.linspace(0, len(clip.frames) - 1, 4).round().astype(int)
    there = np.isfinite(clip.tracks_cam).all(axis=2) & clip.visible
    assert Counter(len(c) for c in clouds) == Counter(int(there[t].sum()) for t in shown)


def first_of(folder: Path) -> str:
    from spatialcore.io.open import open_source

    return open_source(str(folder)).scene_ids()[0]


def test_a_map_that_cannot_be_read_is_told_and_costs_no_other(
    sample_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    scene = spatialcore.open(sample_dir / "scannet", "scene0000_00")
    assert isinstance(scene, Scene)
    bad = [frame for frame in scene.frames if frame.valid][1]

    def read_depth(frame: Frame) -> np.ndarray:
        if frame.index == bad.index:
            raise SceneFormatError(tmp_path / "depth.png", "is cut off", code="depth_bad")
        return scene.read_depth(frame)

    spoiled = dataclasses.replace(scene, read_depth=read_depth)
    monkeypatch.setattr("spatialcore.scenes.open_scene", lambda *_, **__: spoiled)
    argv = ["scans", "--rerun", str(tmp_path / "a.rrd"), "--json", "--frames", "1000"]
    assert inspect_command.main(argv) == 3
    told = capsys.readouterr()
    assert list(json.loads(told.out)["lost"]) == [bad.name]
    assert "is cut off" in told.err
    usable = sum(frame.valid for frame in scene.frames)
    found = chunks(tmp_path / "a.rrd")
    assert len(values(found["/world/depth_camera/depth"], "DepthImage:buffer")) == usable - 1
    assert len(values(found["/world/camera/image"], "EncodedImage:blob")) == usable


def test_without_a_name_it_is_named_after_the_scene(
    sample_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    argv = [str(sample_dir / "scannet"), "--scene", "scene0000_00", "--frames", "2"]
    for bare in ([], ["--rerun"]):
        assert inspect_command.main([*argv, *bare]) == 0
        assert chunks(tmp_path / "scene0000_00.rrd")
        assert [path.name for path in tmp_path.iterdir()] == ["scene0000_00.rrd"]


def test_what_fails_leaves_no_file(tmp_path: Path) -> None:
    def fails() -> None:
        with recording_file(tmp_path / "a.rrd", "a"):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fails()
    assert not list(tmp_path.iterdir())


def test_without_a_screen_or_a_viewer_show_says_what_to_do(
    sample_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import rerun

    scene = spatialcore.open(sample_dir / "scannet", "scene0000_00")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    if sys.platform.startswith("linux"):
        with pytest.raises(UsageError, match=r"needs a screen.*show\('SCENE\.rrd'\)"):
            scene.show()
    monkeypatch.setenv("DISPLAY", ":7")
    monkeypatch.setenv("PATH", "")
    seen = []

    def spawn(_: object) -> None:
        seen.append(os.environ["PATH"])
        raise RuntimeError("Failed to find the viewer.\n\nmany lines")

    monkeypatch.setattr(rerun.RecordingStream, "spawn", spawn)
    with pytest.raises(UsageError, match=r"does not start: Failed to find the viewer\.; write"):
        scene.show()
    assert str(Path(sys.executable).parent) in seen[0]
    assert os.environ["PATH"] == ""
