# SPDX-License-Identifier: Apache-2.0
"""Reader of CA-1M captures: `ca1m-<split>-<video>.tar`, or the folder that it unpacks to.

`<video>/<nanoseconds>.wide/` holds `image.png`, `image/K.json` and the sensor's `depth.png`;
`<nanoseconds>.gt/` holds `RT.json` (world_from_cam in the laser scanner's world, OpenCV axes, rows)
and `depth.png`, rendered from the laser scan through its own `depth/K.json`. Maps are millimetres,
0 without a reading. `world.gt/instances.json` lists the boxes of all objects: `position`, whole
sides `scale`, and `R`, world_from_box. Pictures are stored upright; their shapes may differ.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from spatialcore.box import OrientedBox
from spatialcore.errors import SceneFormatError
from spatialcore.io.arkitscenes import video_facts
from spatialcore.io.categories import named_objects
from spatialcore.io.depth_png import depth_png_size
from spatialcore.io.folder_source import FolderSource
from spatialcore.io.frame_files import FrameFiles, Size, build_frames, count_reasons, listed
from spatialcore.io.images import image_size
from spatialcore.io.intrinsics import Intrinsics
from spatialcore.io.matrices import is_number
from spatialcore.io.names import is_scene_id
from spatialcore.io.object_files import Labels
from spatialcore.io.paths import json_value, list_names, read_bytes
from spatialcore.io.splits import split_of
from spatialcore.io.tars import first_member, tar_member_bytes, tar_members
from spatialcore.types import Float64, Scene

SUFFIX = ".tar"
_WORLD = "world.gt/instances.json"
_MEMBER = re.compile(r"(?:\./)?([0-9]{1,12})/(?:[0-9]{1,20}|world)\._?(?:wide|gt)/")
_STAMP = re.compile(r"([0-9]{1,20})\.(?:wide|gt)\Z")
_ARCHIVE = re.compile(r"ca1m-(train|val)-([0-9]{1,12})\.tar\Z")
_LOOKED_AT = 16  # entries of a folder that may be a capture
_MATRIX_BYTES, _BOXES_BYTES, _HEAD_BYTES = 4096, 64 << 20, 64
_MAX_OBJECTS = (1 << 16) - 1
# Listed with the objects, and none: what the room is made of.
_STRUCTURE = frozenset(("wall", "floor", "ceiling", "door_frame"))
# Up of the world is the axis that the pictures' tops lean to by so much, on average.
_MIN_LEAN = 0.5
_LEVEL = 0.02  # sine of the angle by which a box may lean
_LEVEL_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class _Capture:
    """An archive or folder.

    Attributes:
        path: The archive, or the folder.
        video: Folder within the archive; "" where it is unpacked.
    """

    path: Path
    video: str

    def member(self, name: str) -> str:
        """Part of a uri that names a file of an archive; "" of a folder."""
        return f"{self.video}/{name}" if self.video else ""

    def file(self, name: str) -> Path:
        """The archive, or the file of a folder."""
        return self.path if self.video else self.path / name

    def has(self, name: str) -> bool:
        """Whether there is such a file."""
        if self.video:
            return self.member(name) in tar_members(self.path)
        return (self.path / name).is_file()

    def read(self, name: str, limit: int, head: int | None = None) -> bytes:
        """The bytes of a file, or its first `head`; only an archive's file has a head."""
        if self.video:
            return tar_member_bytes(self.path, self.member(name), max_bytes=limit, head=head)
        return read_bytes(self.path / name, limit)

    def folders(self) -> Collection[str]:
        """Names of the folders of frames, and perhaps of others."""
        if not self.video:
            return list_names(self.path)
        parts = (name.split("/") for name in tar_members(self.path))
        return {part[1] for part in parts if len(part) > 2 and part[0] == self.video}


def _matrix(capture: _Capture, name: str, side: int) -> Float64 | None:
    """A square matrix of a JSON file, rows or one list; None where there is none."""
    if not capture.has(name):
        return None
    stored = json_value(capture.read(name, _MATRIX_BYTES), capture.file(name))
    rows = stored if isinstance(stored, list) else []
    flat = [x for row in rows for x in (row if isinstance(row, list) else [row])]
    if len(flat) != side * side or not all(map(is_number, flat)):
        return None
    return np.array(flat, dtype=np.float64).reshape(side, side)


def _sizes(capture: _Capture, color: str, depth: str) -> tuple[Size | None, Size | None, str]:
    """Sizes that headers in an archive tell, and the reason code of one that is damaged."""
    if not capture.video:
        return None, None, ""
    size = depth_size = None
    fault = ""
    try:
        if capture.has(color):
            size = image_size(capture.read(color, 0, _HEAD_BYTES), capture.path)
        if capture.has(depth):
            depth_size = depth_png_size(capture.read(depth, 0, _HEAD_BYTES), capture.path)
    except SceneFormatError as error:
        fault = error.code
    return size, depth_size, fault


def _frame(capture: _Capture, index: int, stamp: str, sensor: str) -> FrameFiles:
    """One frame with the maps of one sensor, `gt` or `wide`."""
    color, depth = f"{stamp}.wide/image.png", f"{stamp}.{sensor}/depth.png"
    fault, pose, K, depth_K = "", None, None, None
    try:
        pose = _matrix(capture, f"{stamp}.gt/RT.json", 4)
    except SceneFormatError:
        fault = "pose_unreadable"
    try:
        K = _matrix(capture, f"{stamp}.wide/image/K.json", 3)
        depth_K = _matrix(capture, f"{stamp}.{sensor}/depth/K.json", 3)
    except SceneFormatError:
        fault = fault or "intrinsic_bad"
    size, depth_size, damaged = _sizes(capture, color, depth)
    return FrameFiles(
        index=index,
        name=stamp,
        color=capture.file(color) if capture.has(color) else None,
        depth=capture.file(depth) if capture.has(depth) else None,
        world_from_cam=pose,
        fault=fault or damaged or ("" if K is not None else "intrinsic_missing"),
        time=int(stamp) / 1e9,
        intrinsics=None if K is None else Intrinsics(K),
        depth_intrinsics=None if depth_K is None else Intrinsics(depth_K),
        color_part=capture.member(color),
        depth_part=capture.member(depth),
        color_size=size,
        depth_size=depth_size,
        rotate=0,
    )


def _frame_files(capture: _Capture, stride: int) -> Iterator[FrameFiles]:
    stamps = sorted({m[1] for n in capture.folders() if (m := _STAMP.match(n))}, key=int)
    scanned = sum(capture.has(f"{stamp}.gt/depth.png") for stamp in stamps)
    sensor = "gt" if 2 * scanned > len(stamps) else "wide"
    for index in range(0, len(stamps), stride):
        yield _frame(capture, index, stamps[index], sensor)


def _numbers(fields: dict[str, Any], key: str, count: int) -> Float64 | None:
    stored = fields.get(key)
    rows = stored if isinstance(stored, list) else []
    flat = [x for row in rows for x in (row if isinstance(row, list) else [row])]
    sound = len(flat) == count and all(map(is_number, flat))
    return np.array(flat, dtype=np.float64) if sound else None


def _box(row: dict[str, Any]) -> OrientedBox | None:
    center, size, R = (_numbers(row, k, n) for k, n in (("position", 3), ("scale", 3), ("R", 9)))
    if center is None or size is None or R is None:
        return None
    try:
        return OrientedBox(center, size, R.reshape(3, 3))
    except ValueError:
        return None


def _labels(capture: _Capture) -> Labels:
    """Boxes of the whole capture; none where the list is not there."""
    if not capture.has(_WORLD):
        return Labels()
    path = capture.file(_WORLD)
    rows = json_value(capture.read(_WORLD, _BOXES_BYTES), path)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise SceneFormatError(path, f"{_WORLD} must be a list of objects", code="annotation_bad")
    names: dict[int, str] = {}
    boxes: dict[int, OrientedBox] = {}
    left = 0
    for row in rows[:_MAX_OBJECTS]:
        label, box = row.get("category"), _box(row)
        if not isinstance(label, str) or box is None:
            left += 1
        elif label not in _STRUCTURE:
            number = len(names) + 1
            names[number], boxes[number] = label, box
    objects, notes = named_objects(names)
    left += max(len(rows) - _MAX_OBJECTS, 0)
    notes += (f"objects_without_box={left}",) if left else ()
    boxed = tuple(replace(item, box=boxes[item.object_id]) for item in objects)
    return Labels(boxed, None, (path,), notes)


def upright_axis(poses: Sequence[Float64], boxes: Sequence[OrientedBox]) -> Float64 | None:
    """The axis of the world that is up: tops of upright pictures lean to it, boxes stand along it.

    Args:
        poses: (4, 4) world_from_cam.
        boxes: That stand on the floor.

    Returns:
        (3,) unit vector, None where either does not tell.
    """
    down = [pose[:3, 1] for pose in poses if np.isfinite(pose).all()]
    if not down:
        return None
    lean = -np.mean(down, axis=0)
    axis = int(np.abs(lean).argmax())
    level = sum(bool(np.sqrt(np.maximum(1 - b.R[axis] ** 2, 0)).min() < _LEVEL) for b in boxes)
    if abs(lean[axis]) < _MIN_LEAN or level < _LEVEL_SHARE * len(boxes):
        return None
    up = np.zeros(3)
    up[axis] = np.sign(lean[axis])
    return up


@functools.lru_cache(maxsize=64)
def _video(path: Path, _stamp: int) -> str:
    """Name of the folder in an archive, "" where it is none of a capture."""
    found = _MEMBER.match(first_member(path))
    return "" if found is None else found[1]


def _in_archive(entry: Path) -> str:
    return _video(entry, entry.stat().st_mtime_ns)


def is_capture(entry: Path) -> bool:
    """Whether an entry is the archive of a capture, or the folder that it unpacks to."""
    if entry.suffix == SUFFIX and entry.is_file():
        return bool(_in_archive(entry))
    if not entry.is_dir():
        return False
    with os.scandir(entry) as found:
        names = [item.name for item in islice(found, _LOOKED_AT)]
    return any(_STAMP.match(name) for name in names) or (entry / _WORLD).is_file()


class Ca1mSource(FolderSource):
    """Captures of CA-1M."""

    __slots__ = ()
    kind: ClassVar[str] = "ca1m"

    def open(self, scene_id: str) -> Scene:
        """Open one capture: matrices and headers of its frames, and the list of its objects.

        Raises:
            SceneFormatError: No such capture, a damaged archive or list, or no frame with picture,
                depth and camera.
        """
        root, place = self.root.resolve(), self.folder(scene_id)
        capture = _Capture(place, _in_archive(place) if place.is_file() else "")
        if place.is_file() and not capture.video:
            raise SceneFormatError(place, "is no archive of a capture", code="archive_bad")
        named = _ARCHIVE.match(place.name)
        facts, tables = video_facts(capture.video or place.name, root)
        files = listed(_frame_files(capture, self.options.stride or 1), place)
        built = build_frames(files, root, place)
        if built.color is None:
            raise SceneFormatError(place, count_reasons(built.frames), code="intrinsic_missing")
        labels = _labels(capture)
        boxes = [item.box for item in labels.objects if item.box is not None]
        up = upright_axis([f.world_from_cam for f in files if f.world_from_cam is not None], boxes)
        visit = facts.get("visit_id", "")
        matrices = [] if capture.video else [
            place / f"{f.name}.{name}" for f in files
            for name in ("gt/RT.json", "wide/image/K.json", "gt/depth/K.json", "wide/depth/K.json")
        ]  # fmt: skip
        return self.registered_scene(
            scene_id, built, built.color, depth_scale=0.001, world_up=up, labels=labels,
            inputs=[place, *tables, *matrices], space=visit if is_scene_id(visit) else None,
            split=named[1] if named else split_of(place.name, root)[0],
            notes=() if up is not None else ("upright_unknown",),
        )  # fmt: skip
