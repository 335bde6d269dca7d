# SPDX-License-Identifier: Apache-2.0
"""Inputs of very many parts: what is refused is refused in linear time, what is read is counted."""

from __future__ import annotations

import json
import os
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.io import test_ca1m, test_multiscan, test_stanford2d3ds
from tests.io import test_rescan as rescan
from tests.robustness.hostile.bases import BASES, SCAN, Written
from tests.robustness.hostile.cases import Case
from tests.robustness.hostile.damages import json_edit

Change = Callable[[Path], None]


def _scene(written: Written, base: str, change: Change) -> Callable[[Path], Path]:
    def make(to: Path) -> Path:
        root = written.copy(base, to)
        change(root)
        return root

    return make


def _lines(name: str, line: Callable[[int], str], count: int) -> Change:
    """Replace all lines of a list but the first three."""

    def change(root: Path) -> None:
        path = root / name
        head = path.read_text().splitlines()[:3]
        path.write_text("\n".join([*head, *(line(k) for k in range(count))]) + "\n")

    return change


def _repeated_frames(count: int, *, named: bool) -> Change:
    """A capture that names one image very often, or as many images that are not there."""

    def edit(stored: dict) -> None:
        first = stored["frames"][0]
        stored["frames"] = [
            first | ({"file_path": f"images/none_{k}.png"} if named else {}) for k in range(count)
        ]

    return json_edit("kitchen/transforms.json", edit)


def _groups(count: int, segments: list[int]) -> Change:
    name = f"{SCAN}/{SCAN}.aggregation.json"
    rows = [{"id": k, "objectId": k, "segments": segments, "label": "chair"} for k in range(count)]
    return json_edit(name, lambda stored: stored.update(segGroups=rows))


def _boxes(count: int) -> Change:
    box = {"center": [0, 0, 0], "size": [9, 9, 9]}
    rows = [{"instance": k + 1, "name": f"thing {k}", "box": box} for k in range(count)]
    return json_edit("kitchen/objects.json", lambda stored: stored.update(objects=rows))


def _odometry(count: int) -> Change:
    def change(root: Path) -> None:
        path = root / "cap/odometry.csv"
        head, row = path.read_text().splitlines()[:2]
        rest = row.split(",", 2)[2]
        path.write_text("\n".join([head, *(f"{k / 60},{k:06d},{rest}" for k in range(count))]))

    return change


def _recorded(count: int) -> Change:
    """A recording whose metadata has very many poses."""

    def change(root: Path) -> None:
        old, new = root / "cap.r3d", root / "new.r3d"
        with zipfile.ZipFile(old) as source, zipfile.ZipFile(new, "w") as target:
            for item in source.infolist():
                content = source.read(item)
                if item.filename == "metadata":
                    stored = json.loads(content)
                    stored.pop("perFrameIntrinsicCoeffs", None)
                    stored.pop("frameTimestamps", None)
                    stored["poses"] = stored["poses"][:1] * count
                    content = json.dumps(stored).encode()
                target.writestr(item, content)
        new.replace(old)

    return change


def _many_members(count: int) -> Change:
    def change(root: Path) -> None:
        with zipfile.ZipFile(root / "cap.r3d", "a") as archive:
            for k in range(count):
                archive.writestr(f"rgbd/more/{k}", b"")

    return change


def _listed_members(count: int) -> Change:
    """A directory of entries that are all alike, of which none leads anywhere."""

    def change(root: Path) -> None:
        entry = b"PK\1\2" + bytes(42)
        end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 9, 9, len(entry) * count, 0, 0)
        (root / "cap.r3d").write_bytes(entry * count + end)

    return change


def _members_of_a_tar(count: int) -> Change:
    def change(root: Path) -> None:
        path = root / f"ca1m-val-{test_ca1m.VIDEO}.tar"
        headers = tarfile.TarInfo(f"{test_ca1m.VIDEO}/world.gt/{'x' * 60}").tobuf() * count
        path.write_bytes(headers + path.read_bytes())

    return change


def _cameras_of_a_scan(count: int) -> Change:
    def change(root: Path) -> None:
        path = root / test_multiscan.SCAN / f"{test_multiscan.SCAN}.jsonl"
        path.write_text(path.read_text().splitlines()[0] + "\n{}" * count)

    return change


def _images_of_a_model(count: int) -> Change:
    row = struct.pack("<I7dI", 1, 1, 0, 0, 0, 0, 0, 0, 7) + b"walk/9.jpg\0" + struct.pack("<Q", 0)
    content = struct.pack("<Q", count) + row * count
    return lambda root: void((root / "room/sparse/0/images.bin").write_bytes(content))


def _files(place: str, name: Callable[[int], str], count: int, content: bytes) -> Change:
    def change(root: Path) -> None:
        folder = root / place
        folder.mkdir(parents=True, exist_ok=True)
        for k in range(count):
            (folder / name(k)).write_bytes(content)

    return change


def _posed_pictures(count: int) -> Change:
    def change(root: Path) -> None:
        pose = min((root / "area_1/data/pose").iterdir()).read_bytes()
        for kind, suffix, content in (("rgb", "png", b"none"), ("pose", "json", pose)):
            end = f"domain_{kind}.{suffix}"
            name = f"camera_{{:032x}}_{test_stanford2d3ds.ROOM}_frame_{{}}_{end}"
            _files(f"area_1/data/{kind}", lambda k, n=name: n.format(k, k), count, content)(root)

    return change


def _folders(count: int) -> Callable[[Path], Path]:
    def make(to: Path) -> Path:
        for k in range(count):
            (to / f"scan {k}").mkdir(parents=True)
        return to

    return make


def _deep(levels: int) -> Callable[[Path], Path]:
    def make(to: Path) -> Path:
        to.mkdir()
        here = os.getcwd()  # noqa: PTH109 -- paths so long are made step by step
        try:
            os.chdir(to)
            for _ in range(levels):
                os.mkdir("deep")  # noqa: PTH102
                os.chdir("deep")
        finally:
            os.chdir(here)
        return to

    return make


def _looping(to: Path) -> Path:
    """Folders that hold themselves."""
    (to / "a").mkdir(parents=True)
    for k in range(8):
        (to / "a" / f"up{k}").symlink_to("../a")
        (to / f"side{k}").symlink_to(".")
    return to


def void(_: object) -> None:
    """A change returns nothing."""


def _changes() -> Iterator[tuple[str, str, Change]]:
    """(base, what, change)"""
    image = "1305031102.000000 rgb/1305031102.000000.png"
    for name in ("rgb", "depth"):
        place = f"desk/{name}.txt"
        yield (
            "tum",
            f"{name}.txt of 500,000 rows",
            _lines(place, lambda k, name=name: f"{1305031102 + k / 30} {name}/{k}.png", 500_000),
        )
        line = image.replace("rgb", name)
        yield (
            "tum",
            f"{name}.txt that names one file 50,000 times",
            _lines(place, lambda k, line=line: line, 50_000),
        )
    yield (
        "tum",
        "groundtruth.txt of 500,000 rows",
        _lines("desk/groundtruth.txt", lambda k: f"{1305031102 + k / 300} 1 2 1 0 0 0 1", 500_000),
    )
    yield "nerfstudio", "one image named 50,000 times", _repeated_frames(50_000, named=False)
    yield "nerfstudio", "50,000 images that are not there", _repeated_frames(50_000, named=True)
    yield "nerfstudio", "2,900 boxes", _boxes(2_900)
    yield "nerfstudio", "60,000 boxes", _boxes(60_000)
    yield (
        "wai",
        "one frame 50,000 times",
        json_edit("room/scene_meta.json", lambda s: s.update(frames=s["frames"][:1] * 50_000)),
    )
    yield "posed", "100,000 groups", _groups(100_000, [10])
    yield "posed", "100,000 groups of nothing", _groups(100_000, [])
    yield "posed", "one group of a million segments", _groups(1, list(range(1_000_000)))
    yield "posed", "a thousand groups of a thousand segments", _groups(1000, list(range(1000)))
    yield (
        "posed",
        "20,000 names in the folder",
        _files(f"{SCAN}/posed_images", lambda k: f"9{k:05d}.txt", 20_000, b"1 0 0 0"),
    )
    yield "stray", "odometry of 450,000 rows", _odometry(450_000)
    yield "record3d", "400,000 poses", _recorded(400_000)
    yield "record3d", "60,000 members", _many_members(60_000)
    yield "record3d", "a directory of two million members", _listed_members(2_000_000)
    yield "ca1m", "60,000 members", _members_of_a_tar(60_000)
    yield "ca1m", "a million members", _members_of_a_tar(1_000_000)
    yield "multiscan", "a million cameras", _cameras_of_a_scan(1_000_000)
    yield (
        "stanford2d3ds",
        "60,000 pictures that are no pictures",
        _files(
            "area_1/data/rgb",
            lambda k: f"camera_{k:032x}_{test_stanford2d3ds.ROOM}_frame_{k}_domain_rgb.png",
            60_000,
            b"",
        ),
    )
    yield (
        "stanford2d3ds",
        "60,000 pictures that are none, with sound poses",
        _posed_pictures(60_000),
    )
    yield "colmap", "one image 300,000 times", _images_of_a_model(300_000)
    yield (
        "colmap_txt",
        "one image 300,000 times",
        _lines("room/sparse/0/images.txt", lambda k: f"{k} 1 0 0 0 0 0 0 7 walk/9.jpg\n", 300_000),
    )
    yield (
        "arkitscenes",
        "a trajectory of 500,000 rows",
        _lines("4001/lowres_wide.traj", lambda k: f"{6845 + k / 300} 0 0 0 1 2 3", 500_000),
    )
    yield (
        "replica",
        "a trajectory of 200,000 rows",
        _lines("room0/traj.txt", lambda k: "1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1", 200_000),
    )
    yield (
        "matterport3d",
        "300,000 lines of one frame",
        _lines(
            "17DRP5sb8fy/undistorted_camera_parameters/17DRP5sb8fy.conf",
            lambda k: "scan ab0_d1_0.png ab0_i1_0.jpg 1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1",
            300_000,
        ),
    )
    yield (
        "matterport3d",
        "a house of 300,000 objects",
        _lines(
            "17DRP5sb8fy/house_segmentations/17DRP5sb8fy.house",
            lambda k: f"O {k} 0 1 1 1 1 0 1 0 -1 0 0 1 1 1 0 0 0 0 0 0 0 0",
            300_000,
        ),
    )
    yield (
        "scannet",
        "a label table of a million rows",
        _lines("scannetv2-labels.combined.tsv", lambda k: f"{k}\ta{k}\tb\t1\t1", 1_000_000),
    )
    yield (
        "rescan",
        "100,000 objects",
        json_edit(
            f"{rescan.SCAN}/semseg.v2.json",
            lambda s: s.update(segGroups=s["segGroups"][:1] * 100_000),
        ),
    )
    yield (
        "bop",
        "50,000 objects in an image",
        json_edit("test/000003/scene_gt.json", lambda s: s.update({"1": s["1"][:1] * 50_000})),
    )
    yield (
        "bop",
        "100,000 images",
        json_edit(
            "test/000003/scene_camera.json",
            lambda s: s.update({str(k): s["1"] for k in range(100_000)}),
        ),
    )


def crowds(written: Written) -> Iterator[Case]:
    """All of them."""
    for base, what, change in _changes():
        if BASES[base].there:
            make = _scene(written, base, change)
            yield Case(f"{base}: {what}", BASES[base].kind, make, base, large=True)
    yield Case("a folder of 20,000 empty folders", "any", _folders(20_000), large=True)
    yield Case("folders 2,000 deep", "any", _deep(2_000), large=True)
    yield Case("folders that hold themselves", "any", _looping)
