# SPDX-License-Identifier: Apache-2.0
"""`spatialcore check`: figures, verdicts, exit codes, JSON and HTML."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from spatialcore.commands.check import main
from spatialcore.io.open import open_source, open_sources
from spatialcore.io.survey import survey_scene
from tests.fabricate import (
    DEPTH_K,
    DEPTH_SIZE,
    clip_arrays,
    level_pose,
    matrix_text,
    ply,
    png16,
    posed_scene,
    scannet_scan,
    write_npz,
)


def wall_scene(folder: Path, count: int = 4) -> Path:
    """Level cameras that step along x before a wall at y = 2 m; returns the frames' folder."""
    frames = posed_scene(folder, count, meta={"world_up": [0, 0, 1]})
    for i in range(count):
        (frames / f"{i:05d}.txt").write_text(matrix_text(level_pose(x=0.1 * i)))
        wall = np.full(DEPTH_SIZE[::-1], 2000, np.uint16)
        (frames / f"{i:05d}.png").write_bytes(png16(wall))
    return frames


def test_agreement_of_a_wall_is_whole(tmp_path: Path) -> None:
    wall_scene(tmp_path / "room")
    report = survey_scene(open_source(tmp_path), "room")
    assert (report.frame_count, report.usable_count, report.depth_share) == (4, 4, 1.0)
    assert report.agreement == 1.0
    assert report.verdict == "limited"
    assert any("objects.json" in what for what, _ in report.missing)


def test_wrong_poses_lower_the_agreement(tmp_path: Path) -> None:
    frames = wall_scene(tmp_path / "room")
    pose = level_pose()
    pose[1, 3] = -1.0
    (frames / "00001.txt").write_text(matrix_text(pose))
    report = survey_scene(open_source(tmp_path), "room")
    assert report.agreement is not None
    assert report.agreement < 0.5


def test_offset_of_the_text_file_is_tried(tmp_path: Path) -> None:
    wall_scene(tmp_path / "room")
    shift = np.eye(4)
    shift[2, 3] = 1.0
    numbers = " ".join(str(x) for x in shift.ravel())
    (tmp_path / "room" / "room.txt").write_text(f"colorToDepthExtrinsics = {numbers}\n")
    report = survey_scene(open_source(tmp_path), "room")
    assert (report.agreement, report.agreement_offset) == (1.0, 1.0)


def test_damaged_depth_is_counted(tmp_path: Path) -> None:
    frames = wall_scene(tmp_path / "room")
    whole = (frames / "00002.png").read_bytes()
    (frames / "00002.png").write_bytes(whole[:40])
    report = survey_scene(open_source(tmp_path), "room")
    assert report.reasons == {"depth_bad": 1}
    assert report.usable_count == 3


def test_every_frame_masked_is_skipped(tmp_path: Path) -> None:
    frames = wall_scene(tmp_path / "room", 2)
    for path in frames.glob("0*.txt"):
        path.unlink()
    report = survey_scene(open_source(tmp_path), "room")
    assert (report.verdict, report.code) == ("skipped", "no_usable_frames")
    assert "pose_missing 2" in report.error


def test_exit_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = wall_scene(tmp_path / "good")
    assert main([str(tmp_path)]) == 0
    bad = wall_scene(tmp_path / "bad")
    (bad / "intrinsic.txt").unlink()
    assert main([str(tmp_path)]) == 3
    (frames / "intrinsic.txt").write_text("nothing")
    assert main([str(tmp_path)]) == 1
    assert main([str(tmp_path / "nowhere")]) == 2
    assert main([str(tmp_path), "--stride", "0"]) == 2
    captured = capsys.readouterr()
    assert f"is not there ({tmp_path} has no 'nowhere')" in captured.err
    assert "intrinsic_missing" in captured.out
    assert "Traceback" not in captured.err


def test_json_and_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scan = scannet_scan(tmp_path / "scannet" / "scans")
    corners = [[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 2)]
    scan.with_name("scene0000_00_vh_clean_2.ply").write_bytes(ply(corners))
    wall_scene(tmp_path / "posed" / "room")
    write_npz(tmp_path / "clips" / "walk.npz", clip_arrays())
    page = tmp_path / "report.html"
    assert main([str(tmp_path), "--json", "--report", str(page)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [s["kind"] for s in found["sources"]] == ["tapvid3d", "posed_images", "scannet"]
    assert (found["scene_count"], found["skipped_count"]) == (3, 0)
    scan = found["sources"][2]["scenes"][0]
    assert (scan["id"], scan["object_count"], scan["point_count"]) == ("scene0000_00", 3, 8)
    assert "scene0000_00" in page.read_text()


def test_several_sources_need_their_own_keys(tmp_path: Path) -> None:
    scannet_scan(tmp_path / "a")
    wall_scene(tmp_path / "b" / "room")
    assert [s.key for s in open_sources(tmp_path)] == ["scannet", "posed_images"]
    assert [s.key for s in open_sources(tmp_path / "a", key="mine")] == ["mine"]
    with pytest.raises(ValueError, match="holds 2 sources"):
        open_sources(tmp_path, key="mine")


def test_depth_camera_is_used(tmp_path: Path) -> None:
    wall_scene(tmp_path / "room")
    scene = open_source(tmp_path).open("room")
    np.testing.assert_array_equal(scene.depth.K, DEPTH_K)


@pytest.mark.real
def test_captured_scenes_agree(real_path: Path) -> None:
    source = open_source(real_path / "rgbd")
    shelf, office = (survey_scene(source, scene_id) for scene_id in source.scene_ids())
    assert office.agreement is not None
    assert office.agreement > 0.97
    assert shelf.agreement is not None
    assert shelf.agreement > 0.85
    assert (shelf.verdict, office.verdict) == ("ok", "limited")


@pytest.mark.parametrize("name", ["walk.mp4", "walk.MOV"])
def test_a_video_alone_is_told_what_it_lacks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """The folder and the file itself: a list of every layout would not help."""
    video = tmp_path / "home" / name
    video.parent.mkdir()
    video.write_bytes(b"any")
    (video.parent / "poses.txt").write_text("1 0 0 0")
    for path in (video, video.parent):
        assert main([str(path)]) == 2
        said = capsys.readouterr().err
        assert "a video alone holds no depth" in said, said
        assert str(path) in said


def test_a_clip_that_can_be_asked_nothing_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is read, so it can be used; that no question comes of it is in the same line."""
    arrays = clip_arrays()
    arrays.pop("images_jpeg_bytes")
    arrays["image_hw"] = np.array([24, 32])
    write_npz(tmp_path / "clips/still.npz", arrays)
    assert main([str(tmp_path / "clips")]) == 0
    said = capsys.readouterr().out
    assert "1 of 1 scenes can be used (1 can be asked nothing)" in said, said
    assert "note up_unknown: nothing is asked about gravity" in said, said
