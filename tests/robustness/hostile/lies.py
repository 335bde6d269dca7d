# SPDX-License-Identifier: Apache-2.0
"""Texts, models and arrays that are not what they say, and names that no record may hold."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from tests.robustness.hostile.bases import BASES, SCAN, Written, folders
from tests.robustness.hostile.cases import Case

MEBIBYTE = 1 << 20
COUNTS = (0, 1 << 31, 1 << 32, 1 << 40, 1 << 63, (1 << 64) - 1)


def file_case(written: Written, base: str, name: str, content: Callable[[], bytes]) -> Callable:
    """A sound scene with one file of other content."""

    def make(to: Path) -> Path:
        root = written.copy(base, to)
        (root / name).write_bytes(content())
        return root

    return make


def texts(written: Written) -> Iterator[Case]:
    """Texts that are large, deep, or of numbers too long."""
    large = {
        "a hundred megabytes of brackets": lambda: b"[" * (100 * MEBIBYTE),
        "a hundred megabytes of pairs": lambda: b'{"frames":[' + b"[1]," * (25 * MEBIBYTE) + b"1]}",
        "a hundred megabytes of digits": lambda: b"9" * (100 * MEBIBYTE),
        "a hundred megabytes of blanks": lambda: b" " * (100 * MEBIBYTE),
    }
    for base, name in (
        ("nerfstudio", "kitchen/transforms.json"),
        ("wai", "room/scene_meta.json"),
        ("scannetpp", "0a1b/iphone/pose_intrinsic_imu.json"),
        ("bop", "test/000003/scene_gt.json"),
        ("posed", f"{SCAN}/{SCAN}_vh_clean_2.0.010000.segs.json"),
    ):
        for what, content in large.items():
            if BASES[base].there:
                make = file_case(written, base, name, content)
                name_of = f"{base}: {Path(name).name}: {what}"
                yield Case(name_of, BASES[base].kind, make, large=True)
    for base, name in (
        ("tum", "desk/groundtruth.txt"),
        ("arkitscenes", "4001/lowres_wide.traj"),
        ("stray", "cap/odometry.csv"),
        ("colmap_txt", "room/sparse/0/images.txt"),
    ):
        for what in ("digits", "blanks"):
            if BASES[base].there:
                make = file_case(written, base, name, large[f"a hundred megabytes of {what}"])
                yield Case(
                    f"{base}: {Path(name).name}: a hundred megabytes of {what}",
                    BASES[base].kind,
                    make,
                    large=True,
                )


def models(written: Written) -> Iterator[Case]:
    """COLMAP's binary counts."""
    for name in ("cameras", "images"):
        for count in COUNTS:
            path = f"room/sparse/0/{name}.bin"

            def content(path: str = path, count: int = count) -> bytes:
                return (
                    struct.pack("<Q", count) + (written.original("colmap") / path).read_bytes()[8:]
                )

            yield Case(
                f"colmap: {count} {name}", "colmap", file_case(written, "colmap", path, content)
            )


def arrays(written: Written) -> Iterator[Case]:
    """HDF5 files whose data lies elsewhere, and maps of other encodings."""
    place = "ai_001_001/images/scene_cam_00_geometry_hdf5/frame.0000.depth_meters.hdf5"
    if not find_spec("h5py"):
        return
    import h5py

    def hdf5(write: Callable[[object], object]) -> bytes:
        stream = io.BytesIO()
        with h5py.File(stream, "w") as file:
            write(file)
        return stream.getvalue()

    odd: dict[str, Callable[[object], object]] = {
        "a link to another file": lambda f: f.__setitem__(
            "dataset", h5py.ExternalLink("/etc/passwd", "x")
        ),
        "a link to nothing": lambda f: f.__setitem__("dataset", h5py.SoftLink("/none")),
        "a link to itself": lambda f: f.__setitem__("dataset", h5py.SoftLink("/dataset")),
        "a group": lambda f: f.create_group("dataset"),
        "texts": lambda f: f.create_dataset("dataset", data=[b"a", b"b"]),
        "a terabyte that was never written": lambda f: f.create_dataset(
            "dataset", (1 << 20, 1 << 18), "f4"
        ),
        "100 MB of zeros, deflated": lambda f: f.create_dataset(
            "dataset", data=np.zeros((5120, 5120), np.float32), compression="gzip"
        ),
        "data outside the file": lambda f: f.create_dataset(
            "dataset", (4, 4), "f4", external=[("/dev/zero", 0, h5py.h5f.UNLIMITED)]
        ),
    }
    for what, write in odd.items():
        make = file_case(written, "hypersim", place, lambda w=write: hdf5(w))
        yield Case(f"hypersim: {what}", "hypersim", make)


def names() -> Iterator[Case]:
    """Names that no record may hold."""

    for what, name in (
        ("a line break", "a\nb"),
        ("an escape", "\x1b[2J"),
        ("a hash", "a#b"),
        ("no UTF-8", "\udcff\udcfe"),
        ("255 letters", "x" * 255),
        ("a backslash", "a\\b"),
        ("a quote", "a'b\"c"),
        ("direction marks", "\u202eabc"),
    ):

        def make(to: Path, name: str = name) -> Path:
            folders(to)
            (to / "room").rename(to / name)
            return to

        yield Case(f"a scene with {what} in its name", "any", make)
