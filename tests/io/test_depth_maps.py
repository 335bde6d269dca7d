# SPDX-License-Identifier: Apache-2.0
"""Depth maps in every encoding: the same map comes back, and damage is refused with a reason."""

import io
import zipfile
from pathlib import Path

import h5py
import numpy as np
import OpenEXR
import pytest
from PIL import Image

from spatialcore.errors import SceneFormatError
from spatialcore.io.depth_maps import depth_map_size, read_depth_map

H, W = 5, 7
UNITS = (np.arange(H * W, dtype=np.uint16).reshape(H, W) * 1000 + 3) % 65535
METRES = UNITS.astype(np.float32) / 1024  # exact in half where small enough


def exr(pixels, name="Z"):
    out = io.BytesIO()
    path = Path(exr.folder) / "made.exr"
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    OpenEXR.File(header, {name: np.ascontiguousarray(pixels)}).write(str(path))
    out.write(path.read_bytes())
    path.unlink()
    return out.getvalue()


def npy(array):
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def pillow(array, kind):
    out = io.BytesIO()
    Image.fromarray(array).save(out, format=kind)
    return out.getvalue()


def pgm(array):
    head = f"P5\n# a comment\n{array.shape[1]} {array.shape[0]}\n65535\n".encode()
    return head + array.astype(">u2").tobytes()


@pytest.fixture(autouse=True)
def _folder(tmp_path):
    exr.folder = tmp_path


def whole_files():
    half = METRES.astype(np.float16)
    return {
        "a.png": (pillow(UNITS, "PNG"), UNITS),
        "b.pgm": (pgm(UNITS), UNITS),
        "c.tif": (pillow(UNITS, "TIFF"), UNITS),
        "d.tiff": (pillow(METRES, "TIFF"), METRES),
        "e.npy": (npy(METRES), METRES),
        "f.npy": (npy(UNITS[:, :, None]), UNITS),
        "g.npy": (npy(METRES.astype(np.float64)), METRES),
        "h.npy": (npy(np.asfortranarray(UNITS.astype(np.int64))), UNITS),
        "i.npy": (npy(UNITS.astype(">u2")), UNITS),
        "j.exr": (exr(METRES), METRES),
        "k.exr": (exr(half), half.astype(np.float32)),
        "l.exr": (exr(METRES, "R"), METRES),
        "m.EXR": (exr(METRES, "depth"), METRES),
        "n.jpg.geometric.bin": (f"{W}&{H}&1&".encode() + METRES.astype("<f4").tobytes(), METRES),
    }


def test_whole_files_give_the_map_and_its_size(tmp_path):
    for name, (stored, wanted) in whole_files().items():
        (tmp_path / name).write_bytes(stored)
        read = read_depth_map(tmp_path, name)
        assert read.dtype == wanted.dtype, name
        assert read.flags.c_contiguous
        assert read.flags.writeable
        np.testing.assert_array_equal(read, wanted, err_msg=name)
        assert depth_map_size(tmp_path, name) == (W, H)


def test_parts_of_archives(tmp_path):
    stack = np.stack([METRES, METRES * 2, METRES * 3])
    np.savez_compressed(tmp_path / "r.npz", depth=stack, one=UNITS)
    with h5py.File(tmp_path / "h.hdf5", "w") as file:
        file["dataset"] = METRES.astype(np.float16)
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        for name, (stored, _) in whole_files().items():
            archive.writestr(name, stored)
    np.testing.assert_array_equal(read_depth_map(tmp_path, "r.npz#depth/2"), stack[2])
    np.testing.assert_array_equal(read_depth_map(tmp_path, "r.npz#one"), UNITS)
    half = METRES.astype(np.float16).astype(np.float32)
    for uri in ("h.hdf5", "h.hdf5#dataset"):
        np.testing.assert_array_equal(read_depth_map(tmp_path, uri), half)
    for name, (_, wanted) in whole_files().items():
        np.testing.assert_array_equal(read_depth_map(tmp_path, f"z.zip#{name}"), wanted)
    for uri in ("r.npz#depth/0", "h.hdf5", "z.zip#j.exr", "z.zip#a.png"):
        assert depth_map_size(tmp_path, uri) == (W, H)


def test_a_rewritten_archive_is_read_again(tmp_path):
    np.savez(tmp_path / "r.npz", depth=METRES[None])
    assert read_depth_map(tmp_path, "r.npz#depth/0")[1, 1] == METRES[1, 1]
    np.savez(tmp_path / "r.npz", depth=METRES[None] + 1, other=UNITS)
    assert read_depth_map(tmp_path, "r.npz#depth/0")[1, 1] == METRES[1, 1] + 1


def test_what_is_no_depth_map_is_refused_by_name(tmp_path):
    np.savez(tmp_path / "r.npz", depth=METRES[None], text=np.array(["a"]))
    with h5py.File(tmp_path / "h.h5", "w") as file:
        file["one"], file["two"] = METRES, METRES
        file["words"] = "text"
        file["away"] = h5py.ExternalLink("other.h5", "/one")
    files = {
        "colour.png": pillow(np.zeros((H, W, 3), np.uint8), "PNG"),
        "byte.pgm": b"P5 2 2 255\n" + bytes(4),
        "rgb.tif": pillow(np.zeros((H, W, 3), np.uint8), "TIFF"),
        "huge.pgm": b"P5 60000 60000 65535\n" + bytes(64),
        "flat.npy": npy(np.zeros(4, np.float32)),
        "negative.npy": npy(np.full((H, W), -1)),
        "deep.npy": npy(np.full((H, W), 70000)),
        "empty.npy": npy(np.zeros((0, 4), np.float32)),
        "complex.npy": npy(np.zeros((2, 2), complex)),
        "two.exr": b"",
        "bad.zip": b"PK",
        "short.bin": b"7&5&1&" + bytes(9),
        "three.bin": b"1&1&3&" + bytes(12),
        "huge.bin": b"9999999&9999999&1&" + bytes(12),
    }
    for name, stored in files.items():
        (tmp_path / name).write_bytes(stored)
    more = ("r.npz#depth", "r.npz#depth/9", "r.npz#none", "r.npz#text", "r.npz", "r.npz#depth/x",
            "h.h5", "h.h5#words", "h.h5#away", "h.h5#none", "bad.zip#a.png", "missing.npy",
            "../x.npy", "a.mp4")  # fmt: skip
    for uri in (*files, *more):
        with pytest.raises(SceneFormatError) as caught:
            read_depth_map(tmp_path, uri)
        assert Path(uri.split("#")[0]).name in str(caught.value), uri
        assert "Errno" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["a.png", "b.pgm", "c.tif", "d.tiff", "e.npy", "j.exr", "r.npz", "h.hdf5"]
)
def test_damaged_files_open_or_are_refused(tmp_path, capsys, name):
    if name == "r.npz":
        np.savez_compressed(tmp_path / name, depth=METRES[None])
    elif name == "h.hdf5":
        with h5py.File(tmp_path / name, "w") as file:
            file["dataset"] = METRES
    else:
        (tmp_path / name).write_bytes(whole_files()[name][0])
    whole = (tmp_path / name).read_bytes()
    rng = np.random.default_rng(11)
    uri = name + "#depth/0" if name == "r.npz" else name
    for trial in range(60):
        damaged = bytearray(whole)
        if trial % 3 == 0:
            damaged = damaged[: int(rng.integers(0, len(whole)))]
        else:
            for _ in range(trial % 3 * 2):
                damaged[int(rng.integers(0, len(whole)))] ^= 1 << int(rng.integers(0, 8))
        (tmp_path / name).write_bytes(bytes(damaged))
        try:
            read = read_depth_map(tmp_path, uri)
        except SceneFormatError:
            continue
        assert read.ndim == 2
    assert capsys.readouterr().out == ""  # where `check --json` prints its answer
