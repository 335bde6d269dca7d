# SPDX-License-Identifier: Apache-2.0
"""Frames of videos by number, and members of archives by name."""

from __future__ import annotations

import io
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from spatialcore.errors import SceneFormatError
from spatialcore.io import videos
from spatialcore.io.archives import member_bytes, members
from spatialcore.io.depth_maps import depth_map_size, read_depth_map
from spatialcore.io.images import open_image
from spatialcore.io.npz import Npz
from spatialcore.io.tars import MAX_MEMBERS, first_member, tar_member_bytes, tar_members
from spatialcore.io.videos import is_video, video_frame, video_frame_count, video_size
from tests.fabricate import depth_map, jpeg, png16
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


@pytest.mark.parametrize("name", ["v.mkv", "v.avi", "v.webm"])
def test_a_hole_is_not_searched_to_its_end(tmp_path: Path, name: str) -> None:
    pytest.importorskip("av")
    path = video(tmp_path / "v.mkv", [np.full((48, 64, 3), s, np.uint8) for s in SHADES], "mpeg4")
    path = path.rename(tmp_path / name)
    with path.open("r+b") as file:
        file.truncate(8 << 30)
    with pytest.raises(SceneFormatError, match="no picture in 32 MiB") as error:
        video_frame_count(path)
    assert error.value.code == "image_bad"


@pytest.mark.parametrize("name", ["v.mp4", "v.avi"])
def test_steps_of_eight_bytes_are_counted_and_walked_once(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A head that is cut, and atoms that hold nothing: looked at once however often it is asked."""
    pytest.importorskip("av")
    path = video(tmp_path / name, [np.full((48, 64, 3), s, np.uint8) for s in SHADES], "mpeg4")
    content = path.read_bytes()
    step = b"JUNK\0\0\0\0" if name == "v.avi" else b"\0\0\0\x08free"
    head = 212 if name == "v.avi" else int.from_bytes(content[:4], "big")
    path.write_bytes(content[:head] + step * 4096 + content[head:])
    monkeypatch.setattr(videos, "_SILENT_BYTES", 1 << 14)
    opened: list[Path] = []

    class Stream(videos._Stream):
        def __init__(self, path: Path) -> None:
            opened.append(path)
            super().__init__(path)

    monkeypatch.setattr(videos, "_Stream", Stream)
    for ask in (video_size, video_frame_count, video_size):
        with pytest.raises(SceneFormatError, match="no picture") as error:
            ask(path)
        assert error.value.code == "image_bad"
    assert len(opened) == 1


@pytest.mark.parametrize("atom", [b"\0\0\0\x08moof", b"\0\0\0\x10moof\0\0\0\x08traf"])
def test_atoms_that_hold_nothing_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, atom: bytes
) -> None:
    """A few belong to a film; of thousands none is given to the library, which walks them all."""
    pytest.importorskip("av")
    path = video(tmp_path / "v.mp4", [np.full((48, 64, 3), s, np.uint8) for s in SHADES])
    film = path.read_bytes()
    path.write_bytes(film + atom * 1000)
    assert video_size(path) == (64, 48)
    path.write_bytes(film + atom * ((1 << 16) + 1))
    monkeypatch.setattr(videos, "_with_video", None)
    with pytest.raises(SceneFormatError, match="65,536 empty atoms") as error:
        video_size(path)
    assert error.value.code == "image_bad"


def test_a_playlist_leads_nowhere(tmp_path: Path) -> None:
    """What points to other files or addresses is no video, whatever it is called."""
    pytest.importorskip("av")
    whole = video(tmp_path / "whole.mp4", [np.zeros((48, 64, 3), np.uint8)] * 3)
    lists = {
        "v.mp4": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{whole}\n#EXT-X-ENDLIST\n",
        "w.mp4": f"ffconcat version 1.0\nfile {whole.name}\n",
    }
    for name, text in lists.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(SceneFormatError) as error:
            video_size(tmp_path / name)
        assert error.value.code == "image_bad"


def test_titles_in_any_letters(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    path = tmp_path / "v.mkv"
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "Kueche: XXX"
        stream = container.add_stream("mpeg4", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for shade in SHADES:
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), shade, np.uint8))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    content = path.read_bytes()
    assert b"XXX" in content
    path.write_bytes(content.replace(b"XXX", b"\xfc\xe9\xff"))
    assert video_frame_count(path) == len(SHADES)


def _tar(path: Path, contents: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def test_members_of_a_tar(tmp_path: Path) -> None:
    long = "a" * 180 + "/b.png"
    contents = {"./a.jpg": jpeg((9, 5)), long: png16(depth_map()), "c.txt": b""}
    path = _tar(tmp_path / "a.tar", contents)
    assert first_member(path) == "./a.jpg"
    assert list(tar_members(path)) == ["a.jpg", long, "c.txt"]
    assert tar_member_bytes(path, "c.txt") == b""
    assert tar_member_bytes(path, long, head=8) == b"\x89PNG\r\n\x1a\n"
    assert open_image(tmp_path, "a.tar#a.jpg&rotate=90").size == (5, 9)
    np.testing.assert_array_equal(read_depth_map(tmp_path, f"a.tar#{long}"), depth_map())
    assert depth_map_size(tmp_path, f"a.tar#{long}") == depth_map().shape[::-1]
    with pytest.raises(SceneFormatError) as error:
        tar_member_bytes(path, "d.txt", missing="depth_missing")
    assert error.value.code == "depth_missing"
    with pytest.raises(SceneFormatError) as error:
        tar_member_bytes(path, long, max_bytes=7)
    assert error.value.code == "file_too_large"


def test_tars_that_lie(tmp_path: Path) -> None:
    sound = _tar(tmp_path / "a.tar", {"a.txt": b"words"}).read_bytes()
    linked = tmp_path / "linked.tar"
    with tarfile.open(linked, "w") as archive:
        member = tarfile.TarInfo("etc")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(member)
    assert not tar_members(linked)
    for number, damaged in enumerate((b"", b"words", sound[:600], b"\x1f\x8b" + sound)):
        path = tmp_path / f"{number}.tar"
        path.write_bytes(damaged)
        with pytest.raises(SceneFormatError):
            tar_member_bytes(path, "a.txt")


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_is_not_believed(tmp_path: Path, kind: bytes) -> None:
    """Fields of eight gigabytes, which the library would read at once."""
    member = tarfile.TarInfo("a")
    member.type, member.size = kind, 8 << 30
    path = tmp_path / "a.tar"
    path.write_bytes(member.tobuf(tarfile.GNU_FORMAT))
    with path.open("r+b") as file:
        file.truncate(9 << 30)
    with pytest.raises(SceneFormatError, match="not a readable tar") as error:
        tar_members(path)
    assert error.value.code == "archive_bad"


def test_more_members_than_a_capture_has(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    header = tarfile.TarInfo("a").tobuf()
    path.write_bytes(header * (MAX_MEMBERS + 1))
    with pytest.raises(SceneFormatError, match="more than 65,536 members"):
        tar_members(path)


@pytest.mark.parametrize("wide", [False, True])
def test_a_directory_is_counted_before_it_is_parsed(tmp_path: Path, wide: bool) -> None:
    """Entries of 46 bytes, of which the library would make an object each."""
    count, most = 300_000, 1 << 18
    entry = b"PK\1\2" + bytes(42)
    length = len(entry) * count
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 9, 9, length, 0, 0)
    if wide:
        record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 9, 9, length, 0)
        locator = struct.pack("<4sLQL", b"PK\6\7", 0, length, 1)
        end = record + locator + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 9, 9, 1, 0, 0)
    path = tmp_path / "a.zip"
    path.write_bytes(entry * count + end)
    with pytest.raises(SceneFormatError, match=f"{count:,} members, {most:,} are allowed"):
        members(path)
    with pytest.raises(SceneFormatError, match=f"{count:,} members, 1,024 are allowed"):
        Npz(path)


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
