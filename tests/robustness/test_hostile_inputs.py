# SPDX-License-Identifier: Apache-2.0
"""Files made to harm: each is a typed error, soon and in little memory, and nothing in it runs."""

from __future__ import annotations

import pickle
import resource
import struct
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from spatialcore.errors import SceneFormatError
from spatialcore.io.images import open_image
from spatialcore.io.npz import Npz
from spatialcore.io.open import open_source
from spatialcore.io.pickled_bytes import unpickle_bytes_array
from spatialcore.io.ply import read_ply
from spatialcore.io.sens import open_sens
from tests.fabricate import (
    DEPTH_SIZE,
    clip_arrays,
    jpeg,
    npy,
    object_array,
    ply,
    posed_scene,
    scannet_scan,
    sens_frames,
    write_npz,
)

MEBIBYTE = 1 << 20
marks: list[str] = []


def leave_mark(name: str) -> bytes:
    marks.append(name)
    return b"looks like an image"


class Canary:
    """Runs `leave_mark` when unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], bytes], tuple[str]]:
        return leave_mark, ("ran",)


class BytesWithCode(bytes):
    """Bytes whose unpickling calls a class of this module."""


@contextmanager
def within(seconds: float = 1.0, mebibytes: float = 64) -> Iterator[None]:
    """Fail when the block takes longer, or grows the process by more, than it may."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    yield
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert time.process_time() - start < seconds
    assert grown < mebibytes


@pytest.mark.parametrize(
    "item",
    [
        Canary(),
        print,
        [1],
        "text",
        3,
        None,
        np.float64(2),
        np.zeros(3),
        bytearray(b"x"),
        BytesWithCode(b"x"),
        {"a": b"b"},
        (b"a", b"b"),
        np.dtype("O"),
    ],
    ids=lambda item: type(item).__name__,
)
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_object_array_of_anything_else(tmp_path: Path, item: object, protocol: int) -> None:
    arrays: dict[str, object] = clip_arrays()
    array = object_array([jpeg(), item])
    head = npy(object_array([jpeg(), jpeg()]))
    head = head[: 10 + int.from_bytes(head[8:10], "little")]
    arrays["images_jpeg_bytes"] = head + pickle.dumps(array, protocol=protocol)
    write_npz(tmp_path / "walk.npz", arrays)
    marks.clear()
    with within(), pytest.raises(SceneFormatError) as error:
        open_source(tmp_path).open("walk")
    assert error.value.code == "archive_unsafe"
    assert not marks


def test_the_canary_runs_under_a_plain_unpickler() -> None:
    marks.clear()
    assert pickle.loads(pickle.dumps(Canary())) == b"looks like an image"
    assert marks == ["ran"]


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_honest_array_under_every_protocol(protocol: int) -> None:
    images = [jpeg(shade=i) for i in range(40)]
    pickled = pickle.dumps(object_array(images), protocol=protocol)
    assert unpickle_bytes_array(pickled, 40, Path("a.npz")) == images


@pytest.mark.parametrize(
    "pickled",
    [
        b"",
        b".",
        b"N.",
        b"\x80\x04N.",
        b"\x80\x04]r\xff\xff\xff\x7f.",  # a memo number that would allocate gigabytes
        b"\x80\x04\x8e" + struct.pack("<Q", 1 << 62) + b"x.",  # 4 EiB of bytes
        b"\x80\x04\x95" + struct.pack("<Q", 1 << 62) + b"N.",
        b"cos\nsystem\n(S'true'\ntR.",
        b"\x80\x04cnumpy\nndarray\nK\x00\x85R.",
        b"\x80\x04cnumpy\ndtype\n)R.",
        b"\x80\x04" + b"]" * 5000 + b".",
        b"\x80\x04" + b"(" * 200 + b"t" * 200 + b".",
        b"\x80\x04N.N.",
    ],
)
def test_handmade_pickles(pickled: bytes) -> None:
    with within(), pytest.raises(SceneFormatError):
        unpickle_bytes_array(pickled, 1, Path("a.npz"))


def test_npz_bomb(tmp_path: Path) -> None:
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("tracks_XYZ.npy", bytes(100 * MEBIBYTE))
    with within(), Npz(path) as npz, pytest.raises(SceneFormatError) as error:
        npz.read("tracks_XYZ")
    assert error.value.code == "archive_bomb"


def test_npz_that_understates_its_members(tmp_path: Path) -> None:
    path = write_npz(tmp_path / "a.npz", {"x": bytes(5_000_000)})
    raw = path.read_bytes()
    path.write_bytes(raw.replace(struct.pack("<I", 5_000_000), struct.pack("<I", 100)))
    with within(), Npz(path) as npz, pytest.raises(SceneFormatError):
        npz.read("x")


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 3)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 3)}",
        "{'descr': '|V9', 'fortran_order': False, 'shape': (2,)}",
        "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,)}",
        "{'descr': '(9999999,)<f4', 'fortran_order': False, 'shape': (0,)}",
        "__import__('os').putenv('a', 'b')",
        "[" * 3000,
        "{}",
        "",
    ],
)
def test_npy_headers_that_lie(tmp_path: Path, header: str) -> None:
    raw = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + bytes(64)
    with (
        within(),
        Npz(write_npz(tmp_path / "a.npz", {"x": raw})) as npz,
        pytest.raises(SceneFormatError),
    ):
        npz.array("x")


def test_npy_header_of_four_gigabytes(tmp_path: Path) -> None:
    raw = b"\x93NUMPY\x02\x00" + struct.pack("<I", (1 << 32) - 1) + b"{}"
    with (
        within(),
        Npz(write_npz(tmp_path / "a.npz", {"x": raw})) as npz,
        pytest.raises(SceneFormatError),
    ):
        npz.array("x")


def test_depth_bomb_in_a_scan(tmp_path: Path) -> None:
    pose, color, _ = sens_frames(1)[0]
    bomb = zlib.compress(bytes(200 * MEBIBYTE), 9)
    path = scannet_scan(tmp_path, frames=[(pose, color, bomb)])
    with within(), pytest.raises(SceneFormatError) as error:
        open_sens(path).depth(0)
    assert error.value.code == "depth_bad"


@pytest.mark.parametrize("place", ["name", "color", "depth", "depth_size"])
@pytest.mark.parametrize("value", [1 << 40, 1 << 63, (1 << 64) - 1])
def test_scan_with_lying_lengths(tmp_path: Path, place: str, value: int) -> None:
    path = scannet_scan(tmp_path)
    raw = bytearray(path.read_bytes())
    header = 12 + 6 + 256 + 36
    if place == "name":
        raw[4:12] = struct.pack("<Q", value)
    elif place == "depth_size":
        raw[header - 20 : header - 12] = struct.pack("<Q", value)
    else:
        at = header + 80 + (8 if place == "depth" else 0)
        raw[at : at + 8] = struct.pack("<Q", value)
    path.write_bytes(raw)
    with within(), pytest.raises(SceneFormatError):
        open_source(tmp_path).open("scene0000_00")


def test_depth_larger_than_its_payload_can_be(tmp_path: Path) -> None:
    path = scannet_scan(tmp_path)
    raw = bytearray(path.read_bytes())
    size = 12 + 6 + 256 + 16
    assert struct.unpack("<II", raw[size : size + 8]) == DEPTH_SIZE
    raw[size : size + 8] = struct.pack("<II", 8000, 8000)
    path.write_bytes(raw)
    with within(), pytest.raises(SceneFormatError):
        open_sens(path).depth(0)


def test_ply_of_terabytes(tmp_path: Path) -> None:
    (tmp_path / "a.ply").write_bytes(ply(np.zeros((3, 3)), count=int(4e12)))
    with within(), pytest.raises(SceneFormatError, match="declares 4000000000000 vertices"):
        read_ply(tmp_path / "a.ply")


@pytest.mark.parametrize("scene_id", ["../room", "/etc", "a/b", "a\0b", "", ".", "..", "x" * 129])
def test_scene_ids_name_no_path(tmp_path: Path, scene_id: str) -> None:
    posed_scene(tmp_path / "root" / "room")
    scannet_scan(tmp_path / "scans")
    write_npz(tmp_path / "clips" / "walk.npz", clip_arrays())
    for root in ("root", "scans", "clips"):
        with pytest.raises(SceneFormatError):
            open_source(tmp_path / root).open(scene_id)


def test_links_in_what_was_opened_are_followed(tmp_path: Path) -> None:
    """A downloaded data set is a tree of links to blobs, and its scenes may lie on another disk."""
    frames = posed_scene(tmp_path / "disk" / "room", 3)
    room = tmp_path / "hub" / "linked room"
    room.mkdir(parents=True)
    for path in frames.iterdir():
        (room / path.name).symlink_to(path)
    (tmp_path / "hub" / "other").symlink_to(tmp_path / "disk" / "room")
    (tmp_path / "root").symlink_to(tmp_path / "hub")
    source = open_source(tmp_path / "root")
    assert source.scene_ids() == ("linked_room", "other")
    for scene_id in source.scene_ids():
        scene = source.open(scene_id)
        assert [f.reason for f in scene.frames] == [""] * 3
        assert scene.read_depth(scene.frames[0]).shape == (12, 16)
    assert source.open("linked_room").frames[0].image == "linked room/00000.jpg"


def test_image_bomb(tmp_path: Path) -> None:
    head = struct.pack(">IIBBBBB", 1 << 15, 1 << 15, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + head
    png = (
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    )
    (tmp_path / "a.png").write_bytes(png)
    with within(), pytest.raises(SceneFormatError, match="pixels"):
        open_image(tmp_path, "a.png")


def test_formats_outside_the_list(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    with within(), pytest.raises(SceneFormatError, match="not a JPEG, PNG or WebP"):
        open_image(tmp_path, "a.jpg")


@pytest.mark.parametrize("deep", ["[" * 100_000, '{"a":' * 100_000])
def test_json_nested_deeply(tmp_path: Path, deep: str) -> None:
    frames = posed_scene(tmp_path / "room")
    (frames / "scene_meta.json").write_text(deep)
    with within(), pytest.raises(SceneFormatError, match="JSON"):
        open_source(tmp_path).open("room")


def test_every_file_empty(tmp_path: Path) -> None:
    posed_scene(tmp_path / "posed" / "room")
    scannet_scan(tmp_path / "scans")
    write_npz(tmp_path / "clips" / "walk.npz", clip_arrays())
    for path in tmp_path.rglob("*"):
        if path.is_file():
            path.write_bytes(b"")
    for root in ("posed", "scans", "clips"):
        source = open_source(tmp_path / root)
        with within(), pytest.raises(SceneFormatError):
            source.open(source.scene_ids()[0])
