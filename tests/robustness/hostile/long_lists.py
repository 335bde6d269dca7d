# SPDX-License-Identifier: Apache-2.0
"""Lists of 50,000 frames, in every layout that has a list: of one picture, and of none.

They are as long as a list may be, so that no bound on their length ends the reading: what is done
for each frame has to cost next to nothing.
"""

from __future__ import annotations

import csv
import io
import json
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.fabricate import write_npz
from tests.io import test_multiscan
from tests.robustness.hostile.bases import BASES, SCAN, Written
from tests.robustness.hostile.cases import Case
from tests.robustness.hostile.damages import json_edit

MANY, FILES = 50_000, 20_000
ONE, NONE = f"one frame {MANY:,} times", f"{MANY:,} frames that are not there"
Change = Callable[[Path], None]
Edit = Callable[[dict], object]


def _frames(name: str, fields: Callable[[int], dict] = lambda k: {}) -> Change:
    """A JSON file whose `frames` are its first one, very often, with other fields."""

    def edit(stored: dict) -> None:
        first = stored["frames"][0]
        stored["frames"] = [first | fields(k) for k in range(MANY)]

    return json_edit(name, edit)


def _rows(name: str, head: int, row: Callable[[str, int], str], each: int = 1) -> Change:
    """A text whose row behind the head, of so many lines, is there very often."""

    def change(root: Path) -> None:
        path = root / name
        lines = path.read_text().splitlines()
        first = "\n".join(lines[head : head + each])
        path.write_text("\n".join([*lines[:head], *(row(first, k) for k in range(MANY))]) + "\n")

    return change


def _same(row: str, _: int) -> str:
    return row


def _word(at: int, new: Callable[[int], str], between: str = " ") -> Callable[[str, int], str]:
    """A row of which one word is another each time."""

    def row(first: str, k: int) -> str:
        words = first.split(between)
        words[at] = new(k)
        return between.join(words)

    return row


def _model_images(name: Callable[[int], str]) -> Change:
    """COLMAP's binary list of images."""

    def change(root: Path) -> None:
        rows = (
            struct.pack("<I7dI", k + 1, 1, 0, 0, 0, 0, 0, 0, 7) + name(k).encode() + bytes(9)
            for k in range(MANY)
        )
        path = root / "room/sparse/0/images.bin"
        path.write_bytes(struct.pack("<Q", MANY) + b"".join(rows))

    return change


def _numbered(name: str) -> Change:
    """BOP: cameras of very many images, of which four are there."""
    return json_edit(name, lambda s: s.update({str(k): s["1"] for k in range(10, MANY)}))


def _infos(fields: Callable[[int], dict] = lambda k: {}) -> Change:
    def change(root: Path) -> None:
        (path,) = root.glob("embodiedscan_infos_*.pkl")
        stored = pickle.loads(path.read_bytes())
        scene = stored["data_list"][0]
        scene["images"] = [scene["images"][0] | fields(k) for k in range(MANY)]
        path.write_bytes(pickle.dumps(stored))

    return change


def _table(name: Callable[[str, int], str]) -> Change:
    """OpenSpatial's Parquet: every list of the scene is as long."""

    def change(root: Path) -> None:
        path = root / "per_scene/part-0.parquet"
        (row,) = pq.read_table(path).to_pylist()
        long = {key: value[:1] * MANY for key, value in row.items() if isinstance(value, list)}
        long["image"] = [name(row["image"][0], k) for k in range(MANY)]
        pq.write_table(pa.Table.from_pylist([{**row, **long, "num_images": MANY}]), path)

    return change


def _arrays(place: str, fields: Callable[[dict], dict]) -> Change:
    def change(root: Path) -> None:
        with np.load(root / place) as stored:
            arrays = dict(stored)
        write_npz(root / place, arrays | fields(arrays))

    return change


def _results(root: Path) -> None:
    """ViPE: poses and intrinsics of very many frames of a video of eleven."""
    for name in ("pose", "intrinsics"):
        _arrays(
            f"results/{name}/walk.npz",
            lambda a: {"data": np.stack([a["data"][0]] * MANY), "inds": np.arange(MANY)},
        )(root)


def _keyframes(root: Path) -> None:
    import h5py

    for kind in ("orientations", "positions", "frame_indices"):
        path = root / f"ai_001_001/_detail/cam_00/camera_keyframe_{kind}.hdf5"
        with h5py.File(path, "r+") as file:
            first = file["dataset"][0]
            del file["dataset"]
            numbers = np.arange(MANY) if kind == "frame_indices" else np.stack([first] * MANY)
            file["dataset"] = numbers


def _metadata(edit: Edit) -> Edit:
    def change(stored: dict) -> None:
        stored["poses"] = stored["poses"][:1] * MANY
        edit(stored)

    return change


def _own_cameras(stored: dict) -> None:
    stored["perFrameIntrinsicCoeffs"] = [[60.0, 60.0, 32.0, 24.0]] * MANY
    stored["frameTimestamps"] = list(range(MANY))


def _recording(root: Path) -> None:
    """An archive, whose metadata is stored as it is: packed it would be called a bomb."""
    path = root / "cap.r3d"
    with zipfile.ZipFile(path) as source:
        contents = {name: source.read(name) for name in source.namelist()}
    stored = json.loads(contents["metadata"])
    _metadata(_own_cameras)(stored)
    contents["metadata"] = json.dumps(stored).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as target:
        for name, content in contents.items():
            target.writestr(name, content)


def _phone(root: Path) -> None:
    path = root / "0a1b/iphone/pose_intrinsic_imu.json"
    first = json.loads(path.read_text())["frame_000000"]
    path.write_text(json.dumps({f"frame_{k:06d}": first for k in range(MANY)}))


def _files(place: str, name: Callable[[int], str], content: bytes = b"") -> Change:
    def change(root: Path) -> None:
        (root / place).mkdir(parents=True, exist_ok=True)
        for k in range(FILES):
            (root / place / name(k)).write_bytes(content)

    return change


def _stamps(root: Path) -> None:
    for k in range(FILES):
        (next(p for p in root.rglob("world.gt")).parent / f"{k:015d}.wide").mkdir()


def _views(root: Path) -> None:
    for k in range(FILES):
        (root / f"scene_00007/2D_rendering/485142/perspective/full/{10 + k}").mkdir()


def _undistorted(root: Path) -> None:
    path = root / "17DRP5sb8fy/undistorted_camera_parameters/17DRP5sb8fy.conf"
    lines = path.read_text().splitlines()
    at = next(k for k, line in enumerate(lines) if line.startswith("scan "))
    words = lines[at].split()
    rows = (" ".join(["scan", f"d{k}.png", f"i{k}.jpg", *words[3:]]) for k in range(MANY))
    path.write_text("\n".join([*lines[:at], *rows]) + "\n")


def _odometry(root: Path) -> None:
    path = root / "cap/odometry.csv"
    head, row = path.read_text().splitlines()[:2]
    table = io.StringIO()
    fields = next(csv.reader([row]))
    csv.writer(table).writerows([k / 60, f"{k:06d}", *fields[2:]] for k in range(MANY))
    path.write_text(f"{head}\n{table.getvalue()}")


def _lists(root: Path) -> None:
    """TUM: pictures and maps of which none is there, each with a pose."""
    for name in ("rgb", "depth"):
        rows = (f"{1305031102 + k / 30:.6f} {name}/{k}.png" for k in range(MANY))
        (root / f"desk/{name}.txt").write_text("\n".join(rows) + "\n")
    rows = (f"{1305031102 + k / 30:.6f} 1 2 1 0 0 0 1" for k in range(MANY))
    (root / "desk/groundtruth.txt").write_text("\n".join(rows) + "\n")


def _changes() -> Iterator[tuple[str, str, Change]]:
    """(base, what, change)"""
    cameras = {"fl_x": 60.0, "fl_y": 60.0, "cx": 32.0, "cy": 24.0, "w": 64, "h": 48, "k1": 0.0}
    own = "one frame, 50,000 cameras"
    capture, splits = "kitchen/transforms.json", "lego/transforms_train.json"
    yield "nerfstudio", own, _frames(capture, lambda k: cameras | {"fl_x": 60 + k * 1e-5})
    yield (
        "nerfstudio",
        "50,000 frames without a map",
        _frames(
            capture, lambda k: {"file_path": f"images/{k}.png", "depth_file_path": f"depth/{k}.png"}
        ),
    )
    yield "nerfstudio_splits", ONE, _frames(splits)
    yield "nerfstudio_splits", NONE, _frames(splits, lambda k: {"file_path": f"./train/none_{k}"})
    meta = "room/scene_meta.json"
    yield "wai", NONE, _frames(meta, lambda k: {"image": f"images/none_{k}.jpg"})
    yield "colmap", ONE, _model_images(lambda k: "walk/9.jpg")
    yield "colmap", NONE, _model_images(lambda k: f"walk/none_{k}.jpg")
    model = "room/sparse/0/images.txt"
    yield "colmap_txt", NONE, _rows(model, 3, _word(9, lambda k: f"none_{k}.jpg\n"))
    yield "scannetpp_dslr", ONE, _rows("0a1b/dslr/colmap/images.txt", 0, lambda r, k: f"{r}\n")
    yield (
        "scannetpp_dslr",
        NONE,
        _rows("0a1b/dslr/colmap/images.txt", 0, _word(9, lambda k: f"none_{k}.JPG\n")),
    )
    yield "scannetpp", NONE, _phone
    yield "tum", NONE, _lists
    yield "replica", NONE, _rows("room0/traj.txt", 0, _same)
    yield (
        "open3d",
        f"{MANY:,} poses",
        _rows("walk/trajectory.log", 0, lambda r, k: f"{k} {k} {k + 1}\n" + r.split("\n", 1)[1], 5),
    )
    yield (
        "open3d",
        f"{FILES:,} pictures that are none",
        _files("walk/color", lambda k: f"{100 + k}.jpg"),
    )
    yield "slambook", f"{MANY:,} poses", _rows("walk/pose.txt", 0, _same)
    yield "bop", NONE, _numbered("test/000003/scene_camera.json")
    yield "embodiedscan", ONE, _infos()
    yield "embodiedscan", NONE, _infos(lambda k: {"img_path": f"scannet/none_{k}.jpg"})
    yield "openspatial", ONE, _table(lambda name, k: name)
    yield "openspatial", NONE, _table(lambda name, k: f"{name}_{k}.jpg")
    yield "vipe", NONE, _results
    yield (
        "predicted",
        f"{MANY:,} poses",
        _arrays(
            "hall/results.npz", lambda a: {"extrinsics": np.stack([a["extrinsics"][0]] * MANY)}
        ),
    )
    yield "hypersim", NONE, _keyframes
    yield "stray", NONE, _odometry
    yield "record3d", NONE, _recording
    yield "unpacked", NONE, json_edit("cap/metadata", _metadata(_own_cameras))
    scan = test_multiscan.SCAN
    yield "multiscan", NONE, _rows(f"{scan}/{scan}.jsonl", 0, _same)
    yield "matterport3d", NONE, _undistorted
    yield (
        "matterport_raw",
        f"{FILES:,} poses without pictures",
        _files(
            "17DRP5sb8fy/matterport_camera_poses",
            lambda k: f"x{k}_pose_1_0.txt",
            b"1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1",
        ),
    )
    yield "ca1m_folder", f"{FILES:,} folders of nothing", _stamps
    yield "structured3d", f"{FILES:,} views of nothing", _views
    yield (
        "arkitscenes",
        f"{FILES:,} pictures that are none",
        _files("4001/lowres_wide", lambda k: f"4001_{7000 + k / 10:.3f}.png"),
    )
    yield (
        "polycam",
        f"{FILES:,} pictures that are none",
        _files("cap/keyframes/corrected_images", lambda k: f"{99_000_000 + k}.jpg"),
    )
    yield (
        "folders",
        f"{FILES:,} pictures without poses",
        _files("room/color", lambda k: f"{100 + k}.jpg"),
    )
    yield (
        "posed",
        f"{FILES:,} pictures without poses",
        _files(f"{SCAN}/posed_images", lambda k: f"9{k:05d}.jpg"),
    )
    yield "rescan", f"{FILES:,} pictures that are none", _scanned


def _scanned(root: Path) -> None:
    from tests.io import test_rescan

    folder = root / test_rescan.SCAN / "sequence"
    _files(str(folder.relative_to(root)), lambda k: f"frame-{900 + k:06d}.color.jpg")(root)


def long_lists(written: Written) -> Iterator[Case]:
    """All of them."""
    for base, what, change in _changes():
        if BASES[base].there:

            def make(to: Path, base: str = base, change: Change = change) -> Path:
                root = written.copy(base, to)
                change(root)
                return root / BASES[base].place

            yield Case(f"{base}: {what}", BASES[base].kind, make, base, large=True)
