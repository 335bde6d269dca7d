# SPDX-License-Identifier: Apache-2.0
"""Reader of MultiScan: a video, two streams of maps, and a line of JSON a frame.

`<scan>/<scan>.mp4`, `.depth.zlib` (one raw DEFLATE stream, float16 metres or uint16 millimetres),
`.confidence.zlib` (likewise, bytes 0 1 2), `.json` (sizes and the unit of depth), `.jsonl` (a line
a frame: `transform` and `intrinsics` of the video, column by column; ARKit's camera and world, y
up), `.align.json` (`coordinate_transform`, column by column, from the aligned world, z up, to
ARKit's) and `.annotations.json`: objects with boxes in the aligned world.
"""

from __future__ import annotations

import csv
import functools
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from spatialcore.box import OrientedBox
from spatialcore.errors import SceneFormatError
from spatialcore.io.arkit import arkit_scene, opencv_pose
from spatialcore.io.categories import named_objects
from spatialcore.io.confidence import without_unsure
from spatialcore.io.crowds import check_frame_count
from spatialcore.io.depth_stream import read_running_map
from spatialcore.io.folder_source import FolderSource
from spatialcore.io.frame_files import FrameFiles
from spatialcore.io.intrinsics import Intrinsics
from spatialcore.io.matrices import is_number, pose_reason
from spatialcore.io.object_files import Labels
from spatialcore.io.paths import (
    fragment_number,
    json_value,
    read_json,
    read_text,
    resolve_inside,
    split_uri,
)
from spatialcore.io.refusals import present
from spatialcore.io.upright import stored_depth, turned_map
from spatialcore.io.videos import video_frame_count, video_size
from spatialcore.types import Float64, Frame, Scene, invert_pose

_DEPTH, _CONFIDENCE = ".depth.zlib", ".confidence.zlib"
_LINES_BYTES, _LIST_BYTES = 256 << 20, 64 << 20
_MAX_SIDE = 1 << 12
_MAX_OBJECTS = (1 << 16) - 1
_SCAN = re.compile(r"(scene_[0-9]{5})_[0-9]{2}\Z")
_SPLITS = "scans_split.csv"
_SPLIT_FOLDERS = ("", "benchmark")
_REMOVED = "remove"  # faces that the annotators cut away
_UPRIGHT = 0.999  # cosine


@dataclass(frozen=True, slots=True)
class _DepthReader:
    """Maps of one scan: (width, height) as stored, and the type of their numbers."""

    size: tuple[int, int]
    dtype: str

    def __call__(self, root: Path, frame: Frame) -> NDArray[Any]:
        uri, degrees = stored_depth(root, frame)
        path = resolve_inside(root, split_uri(uri)[0])
        number = fragment_number(uri, "frame=")
        depth = read_running_map(path, number, self.size, self.dtype)
        beside = path.with_name(path.name.removesuffix(_DEPTH) + _CONFIDENCE)
        if beside.is_file():
            levels = read_running_map(beside, number, self.size, "u1")
            depth = without_unsure(depth, levels, beside)
        return turned_map(depth.astype(np.float32) if self.dtype == "<f2" else depth, degrees)


def _file(folder: Path, suffix: str) -> Path:
    return folder / f"{folder.name}{suffix}"


def is_scan(folder: Path) -> bool:
    """Whether a folder is one scan."""
    return all(_file(folder, suffix).is_file() for suffix in (".jsonl", _DEPTH))


def _numbers(fields: Any, key: str, count: int) -> Float64 | None:
    found = fields.get(key) if isinstance(fields, dict) else None
    if not isinstance(found, list) or len(found) != count or not all(map(is_number, found)):
        return None
    return np.array(found, dtype=np.float64)


def _size(stream: Any) -> tuple[int, int] | None:
    """(width, height) of a stream, which has the height first."""
    sides = stream.get("resolution") if isinstance(stream, dict) else None
    if not isinstance(sides, list) or len(sides) != 2:
        return None
    good = all(type(n) is int and 0 < n <= _MAX_SIDE for n in sides)
    return (sides[1], sides[0]) if good else None


def _depth_form(path: Path) -> _DepthReader:
    """Size and type of the maps, by the scan's metadata."""
    stored = read_json(path)
    streams = stored.get("streams") if isinstance(stored, dict) else None
    for stream in streams if isinstance(streams, list) else ():
        kind = stream.get("file_extension") if isinstance(stream, dict) else None
        size = _size(stream)
        if isinstance(kind, str) and f".{kind}" == _DEPTH and size is not None:
            unit = stored.get("depth_unit", "m")
            if unit not in ("m", "mm"):
                what = f"has depth_unit {unit!r:.20}, not m or mm"
                raise SceneFormatError(path, what, code="metadata_bad")
            return _DepthReader(size, "<f2" if unit == "m" else "<u2")
    raise SceneFormatError(path, "has no stream of depth with its resolution", code="metadata_bad")


def _camera(line: str, path: Path) -> tuple[Float64 | None, Intrinsics | None, str]:
    """world_from_cam and K of one line, and the reason code where it gives neither."""
    try:
        stored = json_value(line.encode(), path)
    except SceneFormatError:
        return None, None, "pose_unreadable"
    transform, K = _numbers(stored, "transform", 16), _numbers(stored, "intrinsics", 9)
    if transform is None:
        return None, None, "pose_missing"
    if K is None:
        return None, None, "intrinsic_missing"
    return opencv_pose(transform.reshape(4, 4).T), Intrinsics(K.reshape(3, 3).T), ""


def _frame_files(
    folder: Path, depth_size: tuple[int, int], stride: int
) -> tuple[list[FrameFiles], tuple[str, ...]]:
    path, video, depth = (_file(folder, s) for s in (".jsonl", ".mp4", _DEPTH))
    lines = read_text(path, _LINES_BYTES).splitlines()
    check_frame_count(len(range(0, len(lines), stride)), path)
    size, count = video_size(video), video_frame_count(video)
    files = []
    for index in range(0, len(lines), stride):
        pose, intrinsics, fault = _camera(lines[index], path)
        files.append(
            FrameFiles(
                index=index,
                name=f"{index:05d}",
                color=video if count is None or index < count else None,
                depth=depth,
                world_from_cam=pose,
                fault=fault,
                intrinsics=intrinsics,
                color_part=f"frame={index}",
                depth_part=f"frame={index}",
                color_size=size,
                depth_size=depth_size,
            )
        )
    differs = count is not None and count != len(lines)
    return files, (f"video_frames={count}, cameras={len(lines)}",) if differs else ()


def _alignment(path: Path) -> Float64:
    """arkit_from_aligned (4, 4)."""
    found = _numbers(read_json(path), "coordinate_transform", 16)
    matrix = None if found is None else found.reshape(4, 4).T
    if matrix is not None and not pose_reason(matrix):
        if matrix[1, 2] > _UPRIGHT:  # z of the aligned world is y of ARKit's
            return matrix
        if matrix[2, 1] > _UPRIGHT:
            return invert_pose(matrix)
    raise SceneFormatError(
        path, "has no coordinate_transform between z up and y up", code="alignment_not_rigid"
    )


def _box(row: Mapping[str, Any], arkit_from_aligned: Float64) -> OrientedBox | None:
    """The box of an object; its axes are written one after the other."""
    center, size, axes = (_numbers(row.get("obb"), k, n) for k, n in
                          (("centroid", 3), ("axesLengths", 3), ("normalizedAxes", 9)))  # fmt: skip
    if center is None or size is None or axes is None:
        return None
    try:
        return OrientedBox(center, size, axes.reshape(3, 3).T).turned(arkit_from_aligned)
    except ValueError:
        return None


def _labels(folder: Path) -> Labels:
    """Objects with boxes; none without the two files that give them."""
    path, align = _file(folder, ".annotations.json"), _file(folder, ".align.json")
    if not present(path):
        return Labels()
    if not present(align):
        return Labels(notes=("align_missing",))
    rows = read_json(path, _LIST_BYTES)
    objects = rows.get("objects") if isinstance(rows, dict) else None
    if not isinstance(objects, list) or not all(isinstance(row, dict) for row in objects):
        raise SceneFormatError(path, "must hold a list objects", code="annotation_bad")
    arkit_from_aligned = _alignment(align)
    names: dict[int, str] = {}
    boxes: dict[int, OrientedBox] = {}
    for k, row in enumerate(objects):
        number, label = row.get("objectId"), row.get("label")
        if type(number) is not int or not 0 < number <= _MAX_OBJECTS or type(label) is not str:
            what = f"objects[{k}] must have an objectId and a label"
            raise SceneFormatError(path, what, code="annotation_bad")
        box = _box(row, arkit_from_aligned)
        if box is not None and not label.lower().startswith(_REMOVED):
            names[number], boxes[number] = label.partition(".")[0], box
    found, notes = named_objects(names)
    boxed = tuple(replace(item, box=boxes[item.object_id]) for item in found)
    return Labels(boxed, None, (path, align), notes)


@functools.lru_cache(maxsize=4)
def _split_rows(path: Path, _mtime_ns: int) -> Mapping[str, str]:
    try:
        rows = csv.DictReader(io.StringIO(read_text(path)))
        return {row["scanId"]: row["split"] for row in rows if row.get("scanId")}
    except (csv.Error, KeyError) as error:
        raise SceneFormatError(path, "is no table of scanId and split", code="list_bad") from error


def _split(scan: str, root: Path) -> tuple[str | None, tuple[Path, ...]]:
    """Split of a scan by the published table; what is held out for tests counts as val."""
    places = [f / s / _SPLITS for f in (root, root.parent) for s in _SPLIT_FOLDERS]
    path = next((place for place in places if present(place)), None)
    if path is None:
        return None, ()
    split = _split_rows(path, path.stat().st_mtime_ns).get(scan)
    return {"train": "train", "val": "val", "test": "val"}.get(split or ""), (path,)


class MultiscanSource(FolderSource):
    """Scans of MultiScan."""

    __slots__ = ()
    kind: ClassVar[str] = "multiscan"

    def open(self, scene_id: str) -> Scene:
        """Open one scan: its cameras, the packets of its video, and its objects.

        Raises:
            SceneFormatError: No such scan, malformed metadata or annotation, no PyAV (code
                "extra"), or no frame with picture, depth and camera.
        """
        folder = self.folder(scene_id)
        form, labels = _depth_form(_file(folder, ".json")), _labels(folder)
        files, notes = _frame_files(folder, form.size, self.options.stride or 1)
        split, tables = _split(folder.name, self.root.resolve())
        room = _SCAN.match(folder.name)
        suffixes: Sequence[str] = (".json", ".jsonl", ".mp4", _CONFIDENCE)
        return arkit_scene(
            self,
            scene_id,
            files,
            depth_scale=1.0 if form.dtype == "<f2" else 0.001,
            inputs=[*(_file(folder, suffix) for suffix in suffixes), *tables],
            notes=notes if labels.objects else notes + labels.notes,
            read=form,
            labels=labels,
            space=room[1] if room else None,
            split=split,
        )
