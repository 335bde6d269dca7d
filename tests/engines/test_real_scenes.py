# SPDX-License-Identifier: Apache-2.0
"""The captured scenes and tracks give every task they can; the rest is refused by reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spatial_engine.commands import generate, stats, verify

pytestmark = pytest.mark.real

CAMERA_AND_DEPTH = {
    "camera_movement.distance", "camera_movement.vector", "camera_movement.x_direction",
    "camera_movement.y_direction", "camera_movement.z_direction", "camera_movement.yaw_direction",
    "camera_movement.yaw_angle", "camera_movement.pitch_direction", "camera_movement.pitch_angle",
    "depth_perception.comparison.coordinate", "depth_perception.comparison.marked",
    "depth_perception.value.coordinate", "depth_perception.value.marked",
    "visual_correspondence.match.choice", "visual_correspondence.match.coordinate",
}  # fmt: skip
TRACKS = {
    f"object_movement.{asked}.{form}"
    for asked in ("distance", "vector")
    for form in ("coordinate", "marked")
}


@pytest.mark.parametrize("recipe", ["default", "multispa-paper"])
def test_rgbd_scenes_verify(
    recipe: str, real_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    argv = [str(real_path / "rgbd"), "-o", str(out), "--recipe", recipe, "--limit", "900"]
    assert generate.main(argv) == 0
    assert verify.main([str(out)]) == 0
    capsys.readouterr()
    assert stats.main([str(out), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    made = {task for task, row in report["tasks"].items() if row["rows"]}
    assert made >= CAMERA_AND_DEPTH
    # Neither scene names its objects' categories as the layout questions need them; whatever is
    # not made is said to be missing.
    assert report["shortfall"].keys() >= report["tasks"].keys() - made


def test_where_nothing_moves_it_is_not_asked_a_hundred_times(
    real_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Points at rest are a fifth of the rows that there are, and here no other ones are."""
    assert generate.main([str(real_path / "tracks"), "-o", str(tmp_path / "out")]) == 1
    # Vectors have 15 points in either form, distances one of each field of the image with any.
    assert "stratum_cap 47" in capsys.readouterr().err


def test_tracks_are_asked_about_where_there_are_images(
    real_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The motion capture has no images; in the other clip nothing moves but the camera."""
    out = tmp_path / "out"
    argv = [str(real_path / "tracks"), "-o", str(out), "--recipe", "multispa-paper"]
    assert generate.main(argv) == 0
    assert verify.main([str(out)]) == 0
    capsys.readouterr()
    assert stats.main([str(out), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["tasks"].keys() == TRACKS
    assert all(report["rejections"][task]["image_missing"] == 1 for task in TRACKS)
    for task in TRACKS:
        assert report["tasks"][task]["numbers"]["1"] < 10  # mm: tracker noise, no movement
