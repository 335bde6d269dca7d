# SPDX-License-Identifier: Apache-2.0
"""Sound inputs of every target, from which the fuzzer starts; made by the tests' own writers."""

from __future__ import annotations

import io
import pickle
import struct
import tarfile
import tempfile
import zipfile
import zlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.fabricate import (
    DEPTH_SIZE,
    clip_arrays,
    depth_map,
    jpeg,
    npy,
    object_array,
    ply,
    png16,
    sens,
    sens_frames,
    write_npz,
)


def _clip() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return write_npz(Path(folder) / "a.npz", clip_arrays(3, 3)).read_bytes()


def _plain_npz() -> bytes:
    arrays = {"depth": depth_map().astype(np.float32), "K": np.eye(3), "flags": np.ones(3, bool)}
    with tempfile.TemporaryDirectory() as folder:
        return write_npz(Path(folder) / "a.npz", arrays).read_bytes()


def _pickles() -> list[bytes]:
    return [pickle.dumps(object_array([b"one", b"two" * 90]), protocol=p) for p in (3, 4, 5)]


def _sens(compression: int) -> bytes:
    frames = sens_frames(2)
    if compression == 0:
        frames = [(pose, color, depth_map().tobytes()) for pose, color, _ in frames]
    return sens(frames, depth_compression=compression)


def _ply() -> bytes:
    return ply(np.arange(9).reshape(3, 3), [(0, 1, 2)])


def _big_endian_ply() -> bytes:
    head = _ascii_ply().partition(b"0 1 2")[0].replace(b"ascii", b"binary_big_endian")
    return head + struct.pack(">fffHfffHBiii", 0, 1, 2, 3, 4, 5, 6, 7, 3, 0, 1, 1)


def _ascii_ply() -> bytes:
    return (
        b"ply\nformat ascii 1.0\nelement vertex 2\nproperty float x\nproperty float y\n"
        b"property float z\nproperty ushort objectId\nelement face 1\n"
        b"property list uchar int vertex_indices\nend_header\n0 1 2 3\n4 5 6 7\n3 0 1 1\n"
    )


def _interlaced() -> bytes:
    """A PNG of two by two pixels whose header says Adam7: the path that Pillow takes."""
    plain = png16(np.full((2, 2), 700, np.uint16))
    head = bytearray(plain[12:29])
    head[-1] = 1
    return plain[:12] + bytes(head) + struct.pack(">I", zlib.crc32(head)) + plain[33:]


def _zip(deflated: bool) -> bytes:
    stream = io.BytesIO()
    kind = zipfile.ZIP_DEFLATED if deflated else zipfile.ZIP_STORED
    with zipfile.ZipFile(stream, "w", kind) as archive:
        archive.writestr("rgb/0.jpg", jpeg())
        archive.writestr("depth/0.png", png16(depth_map()))
    return stream.getvalue()


def _tar(form: int) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as archive:
        for name in ("7/1.wide/image.png", "7/" + "x" * 150):
            member = tarfile.TarInfo(name)
            member.size = 9
            archive.addfile(member, io.BytesIO(b"nine here"))
    return stream.getvalue()


def _colmap_cameras() -> bytes:
    pinhole = struct.pack("<IiQQ4d", 1, 1, 32, 24, 30, 30, 16, 12)
    fisheye = struct.pack("<IiQQ8d", 2, 5, 32, 24, 30, 30, 16, 12, 0.01, 0, 0, 0)
    return struct.pack("<Q", 2) + pinhole + fisheye


def _colmap_images() -> bytes:
    rows = []
    for number, points in ((1, 0), (2, 2)):
        row = struct.pack("<I7dI", number, 1, 0, 0, 0, 0.1, 0.2, 0.3, 1)
        row += b"frame_%d.jpg\0" % number + struct.pack("<Q", points)
        rows.append(row + struct.pack("<ddq", 1.0, 2.0, -1) * points)
    return struct.pack("<Q", 2) + b"".join(rows)


def _raw_deflate(content: bytes) -> bytes:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    return deflate.compress(content) + deflate.flush()


def _running_stream() -> bytes:
    metres = depth_map().astype("<f4") / 1000
    return _raw_deflate(metres.tobytes() * 3)


def _saved(array: np.ndarray, form: str, mode: str | None = None, **options: Any) -> bytes:
    stream = io.BytesIO()
    image = Image.fromarray(array)
    (image if mode is None else image.convert(mode)).save(stream, form, **options)
    return stream.getvalue()


def _tiffs() -> list[bytes]:
    """Integers and metres; plain, and by each compression that depth comes in."""
    maps = (depth_map(), depth_map().astype("<f4") / 1000)
    kinds = (None, "tiff_lzw", "tiff_adobe_deflate", "packbits")
    return [_saved(m, "TIFF", compression=kind) for m in maps for kind in kinds]


def _pictures() -> list[bytes]:
    """Each format, plain and with an EXIF orientation."""
    exif = Image.Exif()
    exif[0x0112] = 6
    grey = np.zeros((5, 7, 3), np.uint8)
    forms = [_saved(grey, form, exif=exif) for form in ("JPEG", "PNG", "WEBP")]
    forms += [_saved(grey, "WEBP", lossless=True), _saved(grey, "JPEG", progressive=True)]
    return [jpeg(), *forms]


def _masks() -> list[bytes]:
    ids = (np.arange(35) % 4).astype(np.uint8).reshape(5, 7)
    return [_saved(ids, "PNG"), _saved(ids, "PNG", "P"), png16(ids.astype(np.uint16))]


def _rows_npz() -> bytes:
    metres = depth_map().astype("<f4") / 1000
    arrays = {"depth": depth_map(), "maps": np.stack([metres] * 2), "image": np.zeros((1, 3, 4, 5))}
    with tempfile.TemporaryDirectory() as folder:
        return write_npz(Path(folder) / "a.npz", arrays).read_bytes()


def _scene_table() -> bytes:
    """A scene whose files are not there."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    row = {
        "scene_id": "a", "image": ["0.jpg"], "depth_map": ["0.png"], "pose": ["0.txt"],
        "intrinsic": ["K.txt"], "obj_tags": [["chair"]], "depth_scale": [1000],
        "bboxes_3d_world_coords": [[[0.0] * 9]],
    }  # fmt: skip
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([row]), stream)
    return stream.getvalue()


def _optional() -> dict[str, list[bytes]]:
    out: dict[str, list[bytes]] = {}
    metres = depth_map().astype("<f4") / 1000
    if find_spec("lz4"):
        import lz4.block

        blocks = [
            lz4.block.compress(depth_map().tobytes(), store_size=False),
            _raw_deflate(metres.tobytes()),
        ]
        behind = b"".join(struct.pack("<I", len(b)) + b for b in blocks)
        out["depth_stream"] = [behind, _running_stream()]
    if find_spec("liblzfse"):
        import liblzfse

        from tests.phones import held, record3d

        noisy = np.random.default_rng(5).integers(0, 9, 4000, np.uint8).tobytes()
        out["lzfse"] = [liblzfse.compress(x) for x in (metres.tobytes(), b"ab", noisy)]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "walk"
            record3d(path, held(1), newer=True)
            out["record3d"] = [path.with_suffix(".r3d").read_bytes()]
    if find_spec("h5py"):
        import h5py

        stream = io.BytesIO()
        with h5py.File(stream, "w") as file:
            file.create_dataset("depth", data=metres, compression="gzip")
        out["hdf5"] = [stream.getvalue()]
    if find_spec("OpenEXR"):
        out["depth_exr"] = _exr(metres)
    return out


def _exr(metres: np.ndarray) -> list[bytes]:
    import OpenEXR

    made = []
    kinds = ("NO", "RLE", "ZIPS", "ZIP", "PIZ", "PXR24", "B44", "DWAA")
    for number, kind in enumerate(kinds):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "a.exr"
            header = {
                "compression": getattr(OpenEXR, f"{kind}_COMPRESSION"),
                "type": OpenEXR.scanlineimage,
            }
            stored = metres.astype(np.float16) if number % 2 else metres
            OpenEXR.File(header, {"Z": stored}).write(str(path))
            made.append(path.read_bytes())
    return made


def seeds() -> dict[str, list[bytes]]:
    """Target -> files; targets whose library is not installed are left out."""
    w, h = DEPTH_SIZE
    metres = depth_map().astype("<f4") / 1000
    return {
        "npz": [_plain_npz(), _clip()],
        "pickle": _pickles(),
        "clip": [_clip()],
        "sens": [_sens(0), _sens(1)],
        "ply": [_ply(), _big_endian_ply(), _ascii_ply()],
        "ascii_ply": [_ascii_ply()],
        "png16": [png16(depth_map()), _interlaced()],
        "colmap_cameras": [_colmap_cameras()],
        "colmap_images": [_colmap_images()],
        "archive": [_zip(True), _zip(False)],
        "tar": [_tar(form) for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT)],
        "depth_npy": [npy(metres), npy(depth_map()[:, :, None])],
        "depth_tiff": _tiffs(),
        "depth_pgm": [b"P5\n%d %d\n65535\n" % (w, h) + depth_map().astype(">u2").tobytes()],
        "depth_colmap": [b"%d&%d&1&" % (w, h) + metres.tobytes()],
        "npz_map": [_rows_npz()],
        "image": _pictures(),
        "mask": _masks(),
        "scene_table": [_scene_table()],
    } | _optional()
