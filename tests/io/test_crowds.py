# SPDX-License-Identifier: Apache-2.0
"""Crowds of damaged frames: most of thousands end the reading, and the refusal counts them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from spatialcore.errors import SceneFormatError
from spatialcore.io.crowds import CROWD, Watch
from spatialcore.io.open import open_source
from tests.fabricate import nerfstudio_capture, posed_scene
from tests.io import test_rescan, test_stanford2d3ds
from tests.phones import held, polycam
from tests.rays import pinhole

SMALL = 64
MORE = 4 * SMALL
Write = Callable[[Path], None]


def watched(faults: list[str], found: str = "", path: Path = Path("scan")) -> int:
    """How many of the frames were looked into."""
    looks = 0

    def look() -> str:
        nonlocal looks
        looks += 1
        return found

    watch = Watch(path)
    for fault in faults:
        watch.see(fault, look)
    return looks


def test_few_frames_are_not_looked_into() -> None:
    assert watched([""] * (CROWD - 1), "image_bad") == 0
    assert watched([""] * CROWD) == CROWD // 16
    assert watched([""] * (2 * CROWD)) == 2 * CROWD // 16


def test_damage_of_more_than_half_ends_the_reading() -> None:
    half = ["", "pose_unreadable"] * (CROWD // 2)
    watched(half)
    with pytest.raises(SceneFormatError, match="of the first 4,097 2,049 pose_unreadable") as error:
        watched([*half, "pose_unreadable"])
    assert error.value.code == "frames_damaged"
    found = "of 256 that were looked into among the first 4,096 256 depth_bad"
    with pytest.raises(SceneFormatError, match=found):
        watched([""] * CROWD, "depth_bad")
    # What is not there is only absent.
    watched(["pose_missing"] * (2 * CROWD), "image_bad")
    watched([""] * CROWD, "image_missing")


def copied(folder: Path, pattern: str, name: Callable[[int], str]) -> None:
    """As many copies of the first file of a kind."""
    content = min(folder.glob(pattern)).read_bytes()
    for k in range(MORE):
        (folder / name(k)).write_bytes(content)


def write_nerfstudio(root: Path) -> None:
    nerfstudio_capture(root / "room", count=MORE)


def write_posed(root: Path) -> None:
    folder = posed_scene(root)
    for suffix in (".jpg", ".png", ".txt"):
        copied(folder, f"*[0-9]{suffix}", lambda k, s=suffix: f"{900 + k:05d}{s}")


def write_polycam(root: Path) -> None:
    keyframes = polycam(root / "cap", held(2, camera=pinhole(32, 24))) / "keyframes"
    kinds = {"corrected_images": ".jpg", "corrected_cameras": ".json", "depth": ".png"}
    for folder, suffix in kinds.items():
        copied(keyframes / folder, f"*{suffix}", lambda k, s=suffix: f"{99_000_000 + k}{s}")


def write_rescan(root: Path) -> None:
    folder = test_rescan.write_scan(root)[0] / "sequence"
    for suffix in ("color.jpg", "depth.pgm", "pose.txt"):
        copied(folder, f"*.{suffix}", lambda k, s=suffix: f"frame-{900 + k:06d}.{s}")


def write_area(root: Path) -> None:
    test_stanford2d3ds.write_area(root)
    room = test_stanford2d3ds.ROOM
    for kind, suffix in {"rgb": "png", "depth": "png", "pose": "json"}.items():
        ends = f"domain_{kind}.{suffix}"
        copied(
            root / "area_1/data" / kind,
            f"*_{room}_*{ends}",
            lambda k, ends=ends: f"camera_{k:032x}_{room}_frame_{k}_{ends}",
        )


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spatialcore.io.crowds.CROWD", SMALL)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("write", "damaged", "reason"),
    [
        (write_nerfstudio, "**/images/*.jpg", "image_bad"),
        (write_nerfstudio, "**/depths/*.png", "depth_bad"),
        (write_posed, "**/*[0-9].jpg", "image_bad"),
        (write_posed, "**/*[0-9].txt", "pose_unreadable"),
        (write_polycam, "**/corrected_images/*.jpg", "image_bad"),
        (write_polycam, "**/corrected_cameras/*.json", "intrinsic_bad"),
        (write_rescan, "**/*.depth.pgm", "depth_bad"),
        (write_rescan, "**/*.pose.txt", "pose_unreadable"),
        (write_area, "**/rgb/*.png", "image_bad"),
        (write_area, "**/pose/*.json", "pose_unreadable"),
    ],
)
def test_readers_stop(tmp_path: Path, write: Write, damaged: str, reason: str) -> None:
    write(tmp_path)
    source = open_source(tmp_path)
    whole = source.open(source.scene_ids()[0])
    assert sum(f.valid for f in whole.frames) >= MORE
    for path in tmp_path.glob(damaged):
        path.write_bytes(b"nothing")
    with pytest.raises(SceneFormatError, match=f"more than half .* {reason}") as error:
        source.open(source.scene_ids()[0])
    assert error.value.code == "frames_damaged"


@pytest.mark.usefixtures("small")
def test_the_frames_that_are_sound_are_taken(tmp_path: Path) -> None:
    """A third of a crowd is damaged: masked and counted, as in any scene."""
    folder = nerfstudio_capture(tmp_path / "room", count=MORE)
    stored = json.loads((folder / "transforms.json").read_text())
    for frame in stored["frames"][::3]:
        (folder / frame["file_path"]).write_bytes(b"nothing")
    reasons = [f.reason for f in open_source(tmp_path).open("room").frames]
    assert reasons.count("image_bad") == len(stored["frames"][::3])
    assert reasons.count("") == MORE - len(stored["frames"][::3])
