# SPDX-License-Identifier: Apache-2.0
"""Files that declare more than they hold, or hold more than anybody needs."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from tests.fabricate import clip_arrays, npy, object_array, ply, sens_frames
from tests.robustness.hostile.bases import BASES, SCAN, Written, sens_of, shots
from tests.robustness.hostile.cases import Case
from tests.robustness.hostile.lies import COUNTS, arrays, file_case, models, names, texts

MEBIBYTE = 1 << 20
POSED = f"{SCAN}/posed_images"


def png_bomb(width: int, height: int, bits: int = 16) -> bytes:
    """A PNG of zeros: a thousandth of what it inflates to."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    row = bytes(1 + width * bits // 8)
    deflate = zlib.compressobj(9)
    body = b"".join(deflate.compress(row) for _ in range(height)) + deflate.flush()
    head = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def _depth_bombs(count: int) -> Callable[[Path], Path]:
    """A scene whose every depth image inflates to 134 MB."""

    def make(to: Path) -> Path:
        from tests.robustness.hostile.bases import posed

        posed(to)
        bomb = png_bomb(8192, 8192)
        folder = to / POSED
        for k in range(count):
            for suffix in ("jpg", "txt"):
                stored = (folder / f"{k % 4:05d}.{suffix}").read_bytes()
                (folder / f"{k:05d}.{suffix}").write_bytes(stored)
            (folder / f"{k:05d}.png").write_bytes(bomb)
        return to

    return make


def _npz(members: dict[str, object], **sizes: int) -> bytes:
    """A clip with other members; `sizes` are lies of the directory."""
    arrays: dict[str, object] = clip_arrays()
    arrays |= members
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            archive.writestr(f"{name}.npy", array if isinstance(array, bytes) else npy(array))
    return stream.getvalue()


def _header(text: str, version: int = 1) -> bytes:
    form = "<H" if version == 1 else "<I"
    head = text.encode("latin1", "replace")
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack(form, len(head)) + head + bytes(64)


class _Runs:
    """What runs when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exit, ("it ran",)


def _clips(written: Written) -> Iterator[Case]:
    """Clips."""
    shapes = ("(1000000000000, 3)", "(-1, 3)", "(2, 3, 4.5)", "(" + "9" * 5000 + ",)", "()", "(0,)")
    headers = {
        f"shape {s[:24]}": f"'descr': '<f4', 'fortran_order': False, 'shape': {s}" for s in shapes
    }
    kinds = ("|V9", "|O", "<M8[s]", "<U9", "<c16", "(9999999,)<f4", ">f8")
    headers |= {
        f"type {k}": f"'descr': {k!r}, 'fortran_order': False, 'shape': (2,)" for k in kinds
    }
    contents: dict[str, Callable[[], bytes]] = {
        f"tracks of {what}": lambda h=head: _npz({"tracks_XYZ": _header("{" + h + "}")})
        for what, head in headers.items()
    }
    for key in ("tracks_XYZ", "visibility", "extrinsics_w2c", "fx_fy_cx_cy", "images_jpeg_bytes"):
        contents[f"{key} that inflates to 300 MB"] = lambda k=key: _npz({k: bytes(300 * MEBIBYTE)})
        contents[f"{key} of NaN"] = lambda k=key: _npz({k: npy(np.full((5, 4), np.nan))})
        contents[f"{key} of one number"] = lambda k=key: _npz({k: npy(np.array(3.0))})
    contents["a header of brackets"] = lambda: _npz({"tracks_XYZ": _header("[" * 3000)})
    contents["a header that calls"] = lambda: _npz(
        {"tracks_XYZ": _header("__import__('os').abort()")}
    )
    contents["a header of 4 GB"] = lambda: _npz(
        {"tracks_XYZ": b"\x93NUMPY\x02\x00" + struct.pack("<I", (1 << 32) - 1) + b"{}"}
    )
    contents["2,000 members"] = lambda: _npz({f"m{k}": b"" for k in range(2000)})
    for protocol in (2, 4, 5):
        contents[f"a pickle that runs, protocol {protocol}"] = lambda p=protocol: _npz(
            {"images_jpeg_bytes": _pickled(p)}
        )
    contents["huge tracks"] = lambda: _npz(
        {"tracks_XYZ": npy(np.full((5, 4, 3), 3e38, np.float32))}
    )
    for what, content in contents.items():
        yield Case(
            f"clips: {what}", "tapvid3d", file_case(written, "clips", "clips/walk.npz", content)
        )


def _pickled(protocol: int) -> bytes:
    head = npy(object_array([b"", b""]))
    head = head[: 10 + int.from_bytes(head[8:10], "little")]
    return head + pickle.dumps(object_array([b"", _Runs()]), protocol=protocol)


def _sens(written: Written) -> Iterator[Case]:
    """ScanNet's container: every count of it, and payloads."""
    sound = sens_of(shots(11))
    counts = 12 + 6 + 256
    places = {
        "the name's length": (4, 8),
        "colour compression": (counts, 4),
        "depth compression": (counts + 4, 4),
        "colour width": (counts + 8, 4),
        "depth width": (counts + 16, 4),
        "depth height": (counts + 20, 4),
        "depth shift": (counts + 24, 4),
        "number of frames": (counts + 28, 8),
        "bytes of a picture": (counts + 36 + 80, 8),
        "bytes of a depth map": (counts + 36 + 88, 8),
    }
    path = f"scans/{SCAN}/{SCAN}.sens"
    for what, (at, width) in places.items():
        for count in COUNTS:
            raw = bytearray(sound)
            raw[at : at + width] = count.to_bytes(9, "little")[:width]
            make = file_case(written, "scannet", path, lambda r=bytes(raw): r)
            yield Case(f"scannet: {what} is {count}", "scannet", make)
    pose, color, _ = sens_frames(1)[0]

    def bomb() -> bytes:
        from tests.fabricate import sens

        packed = zlib.compress(bytes(200 * MEBIBYTE), 9)
        return sens([(pose, color, packed)] * 11)

    yield Case(
        "scannet: depth that inflates to 200 MB",
        "scannet",
        file_case(written, "scannet", path, bomb),
    )


def _meshes(written: Written) -> Iterator[Case]:
    """Meshes of ScanNet's annotation."""
    path = f"{SCAN}/{SCAN}_vh_clean_2.ply"
    points = np.arange(24).reshape(8, 3) * 0.5
    contents: dict[str, bytes] = {
        f"{n} vertices": ply(points, [(0, 1, 2)], count=n) for n in (*COUNTS, -1, "9" * 30, "x")
    }
    contents["faces outside"] = ply(points, [(0, 1, 99)])
    contents["positions of NaN"] = ply(np.full((8, 3), np.nan))
    contents["positions of 1e38"] = ply(np.full((8, 3), 1e38))
    contents["a header without end"] = (
        b"ply\nformat binary_little_endian 1.0\n" + b"comment x\n" * 200_000
    )
    contents["20,000 properties"] = (
        b"ply\nformat binary_little_endian 1.0\nelement vertex 8\n"
        + b"".join(b"property float p%d\n" % k for k in range(3000))
        + b"end_header\n"
        + bytes(99_999)
    )
    contents["an element of lists"] = ply(points).replace(
        b"property float x", b"property list uchar float x"
    )
    contents |= _text_meshes()
    for what, content in contents.items():
        make = file_case(written, "posed", path, lambda c=content: c)
        yield Case(f"posed: a mesh of {what}", "posed_images", make)


def _text_meshes() -> dict[str, bytes]:
    """The same as text: what lies in its rows is found while they are read."""
    head = ply(np.zeros((0, 3)), count=8).partition(b"end_header")[0]
    head = head.replace(b"binary_little_endian", b"ascii") + b"end_header\n"
    rows = b"0.5 1 2 1 2 3 255\n" * 8
    found = {f"{n} rows": head.replace(b"vertex 8", b"vertex %d" % n) + rows for n in COUNTS}
    found["no line's end"] = head + b"1 " * (8 << 20)
    found["empty lines alone"] = head + b"\n" * (8 << 20)
    found["words"] = head + rows.replace(b"0.5", b"half")
    found["endless digits"] = head + rows.replace(b"0.5", b"0." + b"5" * 9_999)
    found["colours of 1e30"] = head + rows.replace(b" 3 255", b" 1e30 255")
    found["text that is not ASCII"] = head + rows.replace(b"0.5", "½".encode())
    found["text of NaN"] = head + rows.replace(b"0.5", b"nan")
    found["rows of the other order"] = (
        head.replace(b"ascii", b"binary_big_endian") + ply(np.ones((8, 3)))[-8 * 16 :]
    )
    return found


def _pictures(written: Written) -> Iterator[Case]:
    """Depth images and pictures that declare too much."""
    for w, h in (
        (8192, 8192),
        (1 << 15, 1 << 15),
        (1 << 31, 1),
        (1, 1 << 31),
        (0, 5),
        (30_000, 2000),
    ):
        head = struct.pack(">IIBBBBB", w, h, 16, 0, 0, 0, 0)
        chunk = b"IHDR" + head
        png = (
            b"\x89PNG\r\n\x1a\n"
            + struct.pack(">I", 13)
            + chunk
            + struct.pack(">I", zlib.crc32(chunk))
        )
        for suffix in ("png", "jpg"):
            make = file_case(written, "posed", f"{POSED}/00001.{suffix}", lambda p=png: p)
            yield Case(f"posed: a {suffix} that declares {w}x{h}", "posed_images", make)
    jpeg = b"\xff\xd8\xff\xc0\x00\x11\x08\xff\xff\xff\xff\x03" + bytes(12)
    odd = {
        "a JPEG of 65535x65535": jpeg,
        "a JPEG of filler": b"\xff\xd8" + b"\xff" * MEBIBYTE,
        "a JPEG of 100,000 segments": b"\xff\xd8" + b"\xff\xe1\x00\x02" * 100_000,
        "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        "SVG": b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>",
    }
    for what, content in odd.items():
        make = file_case(written, "posed", f"{POSED}/00002.jpg", lambda c=content: c)
        yield Case(f"posed: {what}", "posed_images", make)
    what = "posed: 60 depth images of 134 MB"
    yield Case(what, "posed_images", _depth_bombs(60), large=True)
    for base, name in (
        ("tum", "desk/depth/1305031102.000000.png"),
        ("bop", "test/000003/depth/000001.png"),
        ("stray", "cap/depth/000000.png"),
        ("replica", "room0/results/depth000000.png"),
    ):
        if BASES[base].there:
            make = file_case(written, base, name, lambda: png_bomb(8192, 8192))
            yield Case(f"{base}: a depth image of 134 MB", BASES[base].kind, make)


def _zip_of(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def _archives(written: Written) -> Iterator[Case]:
    """Recordings that are archives, and depth that is compressed."""
    meta = {
        "w": 64,
        "h": 48,
        "dw": 32,
        "dh": 24,
        "K": [50, 0, 0, 0, 50, 0, 32, 24, 1],
        "poses": [[0, 0, 0, 1, 0, 0, 0]] * 4,
    }
    metas: dict[str, bytes] = {
        "metadata of 100 MB": b" " * (100 * MEBIBYTE),
        "metadata that is nested": b"[" * 300_000,
        "metadata of digits": b"9" * (4 * MEBIBYTE),
    }
    for key, value in (
        ("w", 10**400),
        ("dw", 65_000),
        ("dh", 65_000),
        ("w", -1),
        ("K", [1e999] * 9),
        ("K", "x"),
        ("poses", [[1e308] * 7] * 4),
        ("poses", {}),
        ("poses", [[None] * 7]),
    ):
        metas[f"{key} of {str(value)[:20]}"] = json.dumps(meta | {key: value}).encode()
    for what, content in metas.items():
        members = {"metadata": content, "rgbd/0.jpg": b"x", "rgbd/0.depth": b"x"}
        make = file_case(written, "record3d", "cap.r3d", lambda m=members: _zip_of(m))
        yield Case(f"record3d: {what}", "record3d", make)
    lz = {
        "a raw block of 4 GB": b"bvx-" + struct.pack("<I", (1 << 32) - 1),
        "no end": b"bvxn" + bytes(40),
        "blocks of nothing": (b"bvx-" + bytes(4)) * 70_000,
    }
    for what, content in lz.items():
        make = file_case(written, "unpacked", "cap/rgbd/0.depth", lambda c=content: c)
        yield Case(f"unpacked: LZFSE with {what}", "record3d", make)
    streams = {
        "a stream that inflates to 300 MB": lambda: _deflated(300 * MEBIBYTE),
        "lengths of 4 GB": lambda: b"\xff" * 400,
        "a million empty blocks": lambda: b"\x01\0\0\0\0" * 1_000_000,
    }
    for what, packed in streams.items():
        make = file_case(written, "scannetpp", "0a1b/iphone/depth.bin", packed)
        yield Case(f"scannetpp: {what}", "scannetpp", make)


def _deflated(size: int) -> bytes:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    return deflate.compress(bytes(size)) + deflate.flush()


def _nested(depth: int) -> tuple[object, ...]:
    """Tuples of one tuple within each other: 4 bytes a level, twice the work to hash or write."""
    rows: tuple[object, ...] = ()
    for _ in range(depth):
        rows = (rows, rows)
    return rows


def _pickles(written: Written) -> Iterator[Case]:
    """Annotation whose few bytes are much work."""
    key = pickle.dumps(_nested(40), 0)[:-1]
    rows = [{"sample_idx": "a", "images": [{"img_path": "x" * 4_000}] * 250_000}]
    contents = {
        "a memo numbered a thousand million": b"\x80\x04Nr" + struct.pack("<I", 1 << 30) + b".",
        "a key that is hashed for hours": b"(d" + key + b"Ns.",
        "a gigabyte of one text": pickle.dumps({"data_list": rows}),
        "lists within lists": b"]" * 300_000 + b"a" * 299_999 + b".",
        "a frame of 2 ** 62 bytes": b"\x80\x04\x95" + struct.pack("<Q", 1 << 62) + b"N.",
    }
    name = "embodiedscan_infos_train.pkl"
    for what, content in contents.items():
        make = file_case(written, "embodiedscan", name, lambda c=content: c)
        yield Case(f"embodiedscan: {what}", "embodiedscan", make)


def bombs(written: Written) -> Iterator[Case]:
    """All of them."""
    for made in (_clips, _sens, _meshes, _pictures, _archives, _pickles, texts, models, arrays):
        for case in made(written):
            if BASES.get(case.name.partition(":")[0], BASES["posed"]).there:
                yield case
    yield from names()
