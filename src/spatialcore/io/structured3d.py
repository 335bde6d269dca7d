# SPDX-License-Identifier: Apache-2.0
"""Reader of Structured3D's perspective pictures: a house a scene, rendered room by room.

`scene_%05d/2D_rendering/<room>/perspective/full/<position>/` holds `rgb_rawlight.png`, `depth.png`
(millimetres), `instance.png` (ids of the house, 65535 none), `semantic.png` (NYU Depth v2's forty
classes, as numbers or in their colours) and `camera_pose.txt`: eye in millimetres, view direction,
up, and half of both angles of view in radians. `bbox_3d.json` has the objects' boxes in
millimetres: centre, half sides, axes as rows. z is up. Panoramas are not read.
"""

from __future__ import annotations

import contextlib
import functools
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from spatialcore.box import OrientedBox
from spatialcore.errors import SceneFormatError
from spatialcore.io.categories import named_objects
from spatialcore.io.depth_maps import MAX_FILE_BYTES
from spatialcore.io.folder_source import FolderSource
from spatialcore.io.frame_files import FrameFiles, Size, build_frames, count_reasons
from spatialcore.io.images import image_size
from spatialcore.io.intrinsics import Intrinsics
from spatialcore.io.matrices import is_number, parse_numbers
from spatialcore.io.names import natural_order
from spatialcore.io.nyu40 import elected, labels_of_colours, pixel_votes
from spatialcore.io.object_files import Labels, read_mask
from spatialcore.io.paths import list_names, read_bytes, read_json, read_text
from spatialcore.types import Float64, Frame, Scene

RENDERED, VIEWS = "2D_rendering", "perspective/full"
_PICTURES = ("rgb_rawlight.png", "rgb_warmlight.png", "rgb_coldlight.png")
_BOXES = "bbox_3d.json"
_UP = np.array([0.0, 0.0, 1.0])
_NONE = 65535
_FARTHEST = 1e7  # millimetres
_BOX_BYTES = 64 << 20
# Published: scenes 0 to 2999 train, 3000 to 3249 validation, 3250 to 3499 test.
_FIRST_HELD_OUT = 3000


def is_house(folder: Path) -> bool:
    """Whether a folder holds rooms with perspective pictures."""
    return next(_positions(folder), None) is not None


def _positions(folder: Path) -> Iterator[Path]:
    """Folders of the pictures, by room and position."""
    rooms = folder / RENDERED
    for room in sorted(list_names(rooms), key=natural_order) if rooms.is_dir() else ():
        views = rooms / room / VIEWS
        for name in sorted(list_names(views), key=natural_order) if views.is_dir() else ():
            if (views / name).is_dir():
                yield views / name


def _camera(path: Path, size: Size) -> tuple[Float64 | None, Intrinsics | None, str]:
    """world_from_cam and K of a camera file, and the reason code where it is none."""
    try:
        numbers = parse_numbers(read_text(path, 4096), path)
    except SceneFormatError:
        return None, None, "pose_unreadable"
    if numbers.size not in (11, 12) or not (np.abs(numbers) < _FARTHEST).all():
        return None, None, "pose_unreadable"
    eye, toward, up, half = numbers[:3], numbers[3:6], numbers[6:9], numbers[9:11]
    right = np.cross(toward, up)
    if not (np.linalg.norm(right) > 1e-9 and (half > 0).all() and (half < math.pi / 2).all()):
        return None, None, "pose_unreadable"
    forward, right = toward / np.linalg.norm(toward), right / np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    pose[:3, 3] = eye / 1000
    fx, fy = (0.5 * n / math.tan(a) for n, a in zip(size, half.tolist(), strict=True))
    K = np.array([[fx, 0.0, 0.5 * size[0] - 0.5], [0.0, fy, 0.5 * size[1] - 0.5], [0.0, 0.0, 1.0]])
    return pose, Intrinsics(K, size), ""


def _file(folder: Path, *names: str) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _frame_files(folder: Path, stride: int) -> Iterator[FrameFiles]:
    for index, view in enumerate(_positions(folder)):
        if index % stride:
            continue
        picture, size, pose, intrinsics, fault = _file(view, *_PICTURES), None, None, None, ""
        try:
            size = None if picture is None else image_size(picture)
        except SceneFormatError as error:
            fault = error.code
        if size is not None:
            pose, intrinsics, fault = _camera(view / "camera_pose.txt", size)
        yield FrameFiles(
            index=index,
            name=f"{view.parents[2].name}_{view.name}",
            color=picture,
            depth=_file(view, "depth.png"),
            world_from_cam=pose,
            fault=fault,
            intrinsics=intrinsics,
            color_size=size,
            rotate=0,  # rendered, and so are the masks beside it
        )


def _boxes(path: Path) -> dict[int, OrientedBox]:
    """Boxes by the number of their object; {} without the file. What is no box is left out."""
    if not path.is_file():
        return {}
    rows = read_json(path, _BOX_BYTES)
    if not isinstance(rows, list):
        raise SceneFormatError(path, "must hold a list of boxes", code="annotation_bad")
    found = {}
    for row in rows:
        number = row.get("ID") if isinstance(row, dict) else None
        if type(number) is not int:
            continue
        center, half, basis = (_numbers(row, name) for name in ("centroid", "coeffs", "basis"))
        if center is not None and half is not None and basis is not None:
            with contextlib.suppress(ValueError):  # no rotation
                box = OrientedBox(center / 1000, np.abs(half) / 500, basis.reshape(3, 3).T)
                found[number + 1] = box
    return found


def _numbers(row: dict[str, Any], name: str) -> Any:
    """Three numbers, or the nine of a matrix of rows; None where they are none."""
    stored = row.get(name)
    if isinstance(stored, list) and all(isinstance(part, list) for part in stored):
        stored = [value for part in stored for value in part]
    wanted = 9 if name == "basis" else 3
    if not isinstance(stored, list) or len(stored) != wanted or not all(map(is_number, stored)):
        return None
    return np.array(stored, dtype=np.float64)


def _read_ids(path: Path) -> NDArray[np.int32]:
    """Ids of the pixels counted from 1, 0 for none."""
    ids = read_mask(path) + 1
    ids[ids == _NONE + 1] = 0
    return ids


def _read_classes(path: Path) -> NDArray[np.int64]:
    """Classes of the pixels: as they are stored, or by their colours."""
    from PIL import Image

    image_size(path)
    try:
        with Image.open(io.BytesIO(read_bytes(path, MAX_FILE_BYTES)), formats=("PNG",)) as opened:
            if opened.mode in ("L", "P"):
                numbers = np.asarray(opened).astype(np.int64)
                if opened.mode == "L" or numbers.max(initial=0) <= 40:
                    return numbers
            return labels_of_colours(np.asarray(opened.convert("RGB")))
    except Exception as error:  # Pillow's plugins raise many kinds on damage
        raise SceneFormatError(path, "cannot be decoded", code="instance_bad") from error


@functools.lru_cache(maxsize=4)
def _elected(pairs: tuple[tuple[Path, Path], ...], _stamp: tuple[int, ...]) -> dict[int, str]:
    votes = []
    for instance, semantic in pairs:
        try:
            ids, classes = _read_ids(instance), _read_classes(semantic)
        except SceneFormatError:
            continue
        if ids.shape == classes.shape:
            votes.append(pixel_votes(ids, classes))
    return elected(votes)


def _mask(root: Path, frame: Frame, name: str = "instance.png") -> Path | None:
    """A map of another kind beside the depth of a frame, or None."""
    path = None if frame.depth is None else (root / frame.depth).with_name(name)
    return path if path is not None and path.is_file() else None


def _read_instance(root: Path, size: Size, frame: Frame) -> NDArray[np.int32]:
    path = _mask(root, frame)
    if path is None:
        raise SceneFormatError(root, f"has no instance map of {frame.name}", code="file_missing")
    ids = _read_ids(path)
    if ids.shape != size[::-1]:
        what = f"has shape {ids.shape}, the colour image {size[::-1]}"
        raise SceneFormatError(path, what, code="instance_bad")
    ids[ids == 0] = -1
    return ids


def _labels(root: Path, folder: Path, frames: Sequence[Frame], size: Size) -> Labels:
    """Instances with the class of most of their pixels, and the boxes of those that have one."""
    pairs = []
    for frame in frames:
        instance, semantic = _mask(root, frame), _mask(root, frame, "semantic.png")
        if frame.valid and instance is not None and semantic is not None:
            pairs.append((instance, semantic))
    if not pairs:
        return Labels()
    files = [path for pair in pairs for path in pair]
    names = _elected(tuple(pairs), tuple(path.stat().st_mtime_ns for path in files))
    objects, notes = named_objects(names)
    boxes = _boxes(folder / _BOXES)
    objects = tuple(replace(o, box=boxes.get(o.object_id)) for o in objects)
    missing = sum(frame.valid for frame in frames) - len(pairs)
    notes += (f"instance_missing={missing}",) if missing else ()
    read = functools.partial(_read_instance, root, size)
    return Labels(objects, read, (*files, folder / _BOXES), notes)


def _split(name: str) -> str | None:
    number = name.removeprefix("scene_")
    if number == name or not number.isascii() or not number.isdigit():
        return None
    return "train" if int(number[:9]) < _FIRST_HELD_OUT else "val"


class Structured3dSource(FolderSource):
    """Houses of Structured3D."""

    __slots__ = ()
    kind: ClassVar[str] = "structured3d"

    def open(self, scene_id: str) -> Scene:
        """Open one house: its cameras, the headers of its pictures, and its objects.

        Raises:
            SceneFormatError: No such house, or no frame with picture, depth and camera.
        """
        folder, root = self.folder(scene_id), self.root.resolve()
        built = build_frames(_frame_files(folder, self.options.stride or 1), root, folder)
        if built.color is None:
            raise SceneFormatError(folder, count_reasons(built.frames), code="intrinsic_missing")
        cameras = [view / "camera_pose.txt" for view in _positions(folder)]
        labels = _labels(root, folder, built.frames, built.color.size)
        return self.registered_scene(
            scene_id, built, built.color, depth_scale=0.001, inputs=[*cameras, *labels.inputs],
            world_up=_UP, split=_split(folder.name), labels=labels,
        )  # fmt: skip
