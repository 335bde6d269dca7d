# SPDX-License-Identifier: Apache-2.0
"""Frames of videos by number, and members of archives by name."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from spatialcore.errors import SceneFormatError
from spatialcore.io.archives import member_bytes, members
from spatialcore.io.images import open_image
from spatialcore.io.videos import is_video, video_frame, video_frame_count, video_size
from tests.fabricate import jpeg
from tests.phones import video

SHADES = [10 * k for k in range(20)]


@pytest.mark.parametrize(
    ("name", "codec"), [("v.mp4", "mpeg4"), ("v.mkv", "mpeg4"), ("v.avi", "mjpeg")]
)
def test_every_frame_by_its_number(tmp_path: Path, name: str, codec: str) -> None:
    pytest.importorskip("av")
    path = video(tmp_path / name, [np.full((48, 64, 3), s, np.uint8) for s in SHADES], codec)
    assert video_size(path) == (64, 48)
    assert video_frame_count(path) in (20, None)
    for number in (0, 19, 7, 3, 12):  # forwards and backwards over key frames
        shade = np.asarray(video_frame(path, number)).mean()
        assert shade == pytest.approx(SHADES[number], abs=4)
    turned = open_image(tmp_path, f"{name}#frame=4&rotate=270")
    assert (turned.size, turned.mode) == ((48, 64), "RGB")
    with pytest.raises(SceneFormatError, match="no frame 20") as error:
        video_frame(path, 20)
    assert error.value.code == "image_bad"


def test_what_is_no_video(tmp_path: Path) -> None:
    pytest.importorskip("av")
    assert is_video("a.MKV")
    assert not is_video("a.png")
    path = video(tmp_path / "v.mp4", [np.zeros((48, 64, 3), np.uint8)] * 3)
    content = path.read_bytes()
    for damaged in (b"", b"no video", content[:40], content[: len(content) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(SceneFormatError):
            video_frame(path, 2)
    with pytest.raises(SceneFormatError) as error:
        video_size(tmp_path / "w.mp4")
    assert error.value.code == "file_missing"


def _archive(**contents: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name.replace("_", "."), content)
    return buffer.getvalue()


def test_members_of_an_archive(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(_archive(a_jpg=jpeg((9, 5)), b_txt=b"words" * 99))
    assert list(members(path)) == ["a.jpg", "b.txt"]
    assert member_bytes(path, "b.txt") == b"words" * 99
    assert open_image(tmp_path, "a.zip#a.jpg&rotate=90").size == (5, 9)
    with pytest.raises(SceneFormatError) as error:
        member_bytes(path, "c.txt", missing="depth_missing")
    assert error.value.code == "depth_missing"
    with pytest.raises(SceneFormatError) as error:
        member_bytes(path, "b.txt", max_bytes=494)
    assert error.value.code == "file_too_large"
    # Another file under the same name is read anew.
    path.write_bytes(_archive(b_txt=b"other words"))
    assert member_bytes(path, "b.txt") == b"other words"


def test_archives_that_lie(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    content = _archive(a_txt=bytes(1000))
    directory = content.index(b"PK\1\2")
    cases = [
        b"", b"PK", content[:-30], content[: directory // 2] + content[directory:],
        # The directory says another length, another checksum, a place outside, an encrypted member.
        content[: directory + 24] + struct.pack("<I", 999) + content[directory + 28 :],
        content[: directory + 16] + struct.pack("<I", 7) + content[directory + 20 :],
        content[: directory + 42] + struct.pack("<I", 1 << 31) + content[directory + 46 :],
        content[: directory + 8] + struct.pack("<H", 1) + content[directory + 10 :],
        content[: directory + 24] + struct.pack("<I", 1 << 31) + content[directory + 28 :],
    ]  # fmt: skip
    for number, damaged in enumerate(cases):
        path = tmp_path / f"{number}.zip"
        path.write_bytes(damaged)
        with pytest.raises(SceneFormatError):
            member_bytes(path, "a.txt")
