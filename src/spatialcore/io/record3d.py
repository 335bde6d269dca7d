# SPDX-License-Identifier: Apache-2.0
"""Reader of Record3D recordings: a `.r3d` archive, or the folder that it unpacks to.

`metadata` is a JSON object: `w h` of the pictures, K (nine numbers, columns first), `poses` (qx qy
qz qw px py pz of world_from_cam, ARKit's camera) and, in newer versions, `dw dh` of the maps,
`perFrameIntrinsicCoeffs` (fx fy cx cy) and `frameTimestamps`. `rgbd/<n>.jpg`, `<n>.depth` (LZFSE,
float32 metres) and `<n>.conf` (LZFSE, a byte a pixel, 0 is low). World: y up.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from spatialcore.errors import SceneFormatError
from spatialcore.io.archives import member_bytes, members
from spatialcore.io.arkit import arkit_scene, opencv_pose
from spatialcore.io.confidence import without_unsure
from spatialcore.io.crowds import check_frame_count
from spatialcore.io.folder_source import FolderSource
from spatialcore.io.frame_files import FrameFiles
from spatialcore.io.images import image_size
from spatialcore.io.intrinsics import Intrinsics
from spatialcore.io.lzfse import decode_lzfse, lzfse_length
from spatialcore.io.matrices import is_number
from spatialcore.io.paths import json_value, list_names, read_bytes, resolve_inside, split_uri
from spatialcore.io.quaternions import poses_from_quaternions
from spatialcore.io.upright import stored_depth, turned_map
from spatialcore.types import Float64, Frame, Scene

SUFFIX = ".r3d"
_METADATA, _FRAMES = "metadata", "rgbd"
_METADATA_BYTES = 64 << 20  # 150 to 300 a frame
_MAX_PIXELS = 4 << 20  # of a depth map; a phone's has 49,152
_FRAME_BYTES = 32 << 20


@dataclass(frozen=True, slots=True)
class _Recording:
    """An archive or folder.

    Attributes:
        path: The archive, or the folder.
        packed: Whether it is an archive.
    """

    path: Path
    packed: bool

    def file(self, name: str) -> tuple[Path, str]:
        """Path and part of a member, as in a uri."""
        return (self.path, name) if self.packed else (self.path / name, "")

    def names(self) -> Collection[str]:
        """Names of the members below `rgbd/`."""
        if self.packed:
            return members(self.path).keys()
        folder = self.path / _FRAMES
        return {f"{_FRAMES}/{name}" for name in list_names(folder)} if folder.is_dir() else set()

    def read(self, name: str, limit: int = _FRAME_BYTES) -> bytes:
        """The bytes of a member."""
        return _read(*self.file(name), limit=limit)


def _read(path: Path, part: str, missing: str = "file_missing", limit: int = _FRAME_BYTES) -> bytes:
    if part:
        return member_bytes(path, part, missing=missing, max_bytes=limit)
    return read_bytes(path, limit)


def _table(stored: Any, width: int, path: Path, what: str) -> Float64:
    """Rows of `width` numbers; float64 (n, width), entries may be non-finite."""
    rows = stored if isinstance(stored, list) else None
    if rows is None or not all(isinstance(r, list) and len(r) == width for r in rows):
        raise SceneFormatError(path, f"has no {what} of {width} numbers each", code="metadata_bad")
    if not all(is_number(x) for row in rows for x in row):
        raise SceneFormatError(path, f"has {what} that are no numbers", code="metadata_bad")
    return np.array(rows, dtype=np.float64).reshape(-1, width)


@dataclass(frozen=True, slots=True, eq=False)
class _Metadata:
    """What `metadata` says: size of the pictures, (n, 4) fx fy cx cy, (n, 4, 4) poses, times."""

    size: tuple[int, int]
    depth_size: tuple[int, int] | None
    intrinsics: Float64
    poses: Float64
    times: tuple[float | None, ...]


def _size(stored: dict[str, Any], keys: tuple[str, str]) -> tuple[int, int] | None:
    w, h = (stored.get(key) for key in keys)
    if type(w) is int and type(h) is int and 0 < w < 1 << 16 and 0 < h < 1 << 16:
        return w, h
    return None


def _read_metadata(recording: _Recording) -> _Metadata:
    path = recording.path if recording.packed else recording.path / _METADATA
    stored = json_value(recording.read(_METADATA, _METADATA_BYTES), path)
    size = _size(stored, ("w", "h")) if isinstance(stored, dict) else None
    if size is None:
        raise SceneFormatError(path, "has no w and h in its metadata", code="metadata_bad")
    rows = _table(stored.get("poses"), 7, path, "poses")
    poses = poses_from_quaternions(rows[:, 4:], rows[:, :4])
    own = stored.get("perFrameIntrinsicCoeffs")
    if isinstance(own, list) and len(own) == len(rows):
        intrinsics = _table(own, 4, path, "perFrameIntrinsicCoeffs")
    else:
        K = _table([stored.get("K")], 9, path, "K")[0]
        intrinsics = np.tile(K[[0, 4, 6, 7]], (len(rows), 1))  # columns first
    stamps = stored.get("frameTimestamps")
    times: list[float | None] = [None] * len(rows)
    if isinstance(stamps, list) and len(stamps) == len(rows):
        times = [float(t) if is_number(t) and math.isfinite(t) else None for t in stamps]
    return _Metadata(size, _size(stored, ("dw", "dh")), intrinsics, poses, tuple(times))


def _depth_size(recording: _Recording, name: str, data: _Metadata) -> tuple[int, int]:
    """(width, height) of the maps: as stated, else by their length and the pictures' shape."""
    path, part = recording.file(name)
    if data.depth_size is not None:
        w, h = data.depth_size
        if w * h > _MAX_PIXELS:
            raise SceneFormatError(path, f"states maps of {w}x{h} pixels", code="depth_bad")
        return w, h
    count = (lzfse_length(_read(path, part)) or 0) // 4
    w, h = data.size
    width = round(math.sqrt(count * w / h)) if count <= _MAX_PIXELS else 0
    if width < 1 or count % width or abs(width * h - count // width * w) > max(w, h):
        raise SceneFormatError(
            path, f"has {name} of {count} pixels, no such shape as {w}x{h}", code="depth_bad"
        )
    return width, count // width


def _frame_files(recording: _Recording, data: _Metadata, stride: int) -> list[FrameFiles]:
    names = set(recording.names())
    check_frame_count(len(range(0, len(data.poses), stride)), recording.path)
    first = next((f"{_FRAMES}/{k}" for k in range(len(data.poses)) if
                  {f"{_FRAMES}/{k}.jpg", f"{_FRAMES}/{k}.depth"} <= names), None)  # fmt: skip
    if first is None:
        raise SceneFormatError(
            recording.path, "has no rgbd/<n>.jpg with rgbd/<n>.depth", code="frames_missing"
        )
    size = image_size(recording.read(f"{first}.jpg"), recording.path)
    depth_size = _depth_size(recording, f"{first}.depth", data)
    files = []
    for index in range(0, len(data.poses), stride):
        (color, color_part), (depth, depth_part) = (
            recording.file(f"{_FRAMES}/{index}{suffix}") for suffix in (".jpg", ".depth")
        )
        fx, fy, cx, cy = data.intrinsics[index].tolist()
        K = np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])
        files.append(
            FrameFiles(
                index=index,
                name=f"{index:05d}",
                color=color if f"{_FRAMES}/{index}.jpg" in names else None,
                depth=depth if f"{_FRAMES}/{index}.depth" in names else None,
                world_from_cam=opencv_pose(data.poses[index]),
                time=data.times[index],
                intrinsics=Intrinsics(K, data.size),
                color_part=color_part,
                depth_part=depth_part,
                color_size=size,
                depth_size=depth_size,
            )
        )
    return files


@dataclass(frozen=True, slots=True)
class _DepthReader:
    """Maps of one recording, whose streams do not tell their shape: (width, height) as stored."""

    size: tuple[int, int]

    def __call__(self, root: Path, frame: Frame) -> NDArray[Any]:
        uri, degrees = stored_depth(root, frame)
        name, part = split_uri(uri)
        path = resolve_inside(root, name)
        w, h = self.size
        packed = _read(path, part, "depth_missing")
        depth = np.frombuffer(decode_lzfse(packed, 4 * w * h, path), "<f4").reshape(h, w).copy()
        depth = without_unsure(depth, self._levels(path, part), path)
        return turned_map(depth, degrees)

    def _levels(self, path: Path, part: str) -> NDArray[np.uint8]:
        """Confidence of the map, all high where there is none."""
        w, h = self.size
        beside = path if part else path.with_suffix(".conf")
        part = part.removesuffix(".depth") + ".conf" if part else ""
        if part not in members(path) if part else not beside.is_file():
            return np.ones((h, w), np.uint8)
        stored = decode_lzfse(_read(beside, part), w * h, beside, "confidence_bad")
        return np.frombuffer(stored, np.uint8).reshape(h, w)


def is_recording(entry: Path) -> bool:
    """Whether an entry is a `.r3d` file or what one unpacks to."""
    if entry.suffix.lower() == SUFFIX and entry.is_file():
        return True
    return (entry / _METADATA).is_file() and (entry / _FRAMES).is_dir()


class Record3dSource(FolderSource):
    """Recordings of Record3D."""

    __slots__ = ()
    kind: ClassVar[str] = "record3d"

    def open(self, scene_id: str) -> Scene:
        """Open one recording: its metadata and directory, and the header of its first picture.

        Raises:
            SceneFormatError: No such recording, malformed metadata, or no frame with picture,
                depth and camera.
        """
        place = self.folder(scene_id)
        recording = _Recording(place, place.is_file())
        data = _read_metadata(recording)
        files = _frame_files(recording, data, self.options.stride or 1)
        stored = files[0].depth_size
        assert stored is not None
        return arkit_scene(
            self,
            scene_id,
            files,
            depth_scale=1.0,
            inputs=[place if recording.packed else place / _METADATA],
            read=_DepthReader(stored),
        )
