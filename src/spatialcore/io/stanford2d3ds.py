# SPDX-License-Identifier: Apache-2.0
"""Reader of 2D-3D-S: the pictures of an area of a building, a room a scene.

`area_1/data/` has folders `rgb`, `depth`, `pose` and `semantic` with a file a picture, named
`camera_<position>_<room>_frame_<n>_domain_<folder>`. `pose/*.json` holds `camera_k_matrix` (centres
at +0.5) and `camera_rt_matrix`, cam_from_world with OpenCV axes. Depth is z in 1/512 m, 65535
without a reading. Colours of `semantic/` count the entries of `assets/semantic_labels.json`,
`<class>_<n>_<room>_<area>`. World: metres, z up. Panoramas (`pano/`) are not read.
"""

from __future__ import annotations

import functools
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spatialcore.errors import SceneFormatError
from spatialcore.io.categories import named_objects
from spatialcore.io.depth_maps import MAX_FILE_BYTES
from spatialcore.io.folder_source import FolderSource
from spatialcore.io.frame_files import FrameFiles, build_frames, count_reasons, listed
from spatialcore.io.images import image_size
from spatialcore.io.intrinsics import Intrinsics
from spatialcore.io.matrices import is_number
from spatialcore.io.names import natural_order
from spatialcore.io.object_files import Labels
from spatialcore.io.paths import list_names, read_bytes, read_json, resolve_inside
from spatialcore.io.refusals import present
from spatialcore.types import Float64, Frame, Scene, invert_pose

DATA = "data"
_LABELS = "assets/semantic_labels.json"
_NAME = re.compile(r"(camera_+[0-9a-f]+_+(.+?)_+frame_+[0-9]+_+domain_+)([a-z]+)\.(?:png|json)\Z")
_UNIT = 1 / 512
_CENTRE = 0.5  # of this data set's pixels; spatialcore's are integers
_UP = np.array([0.0, 0.0, 1.0])
_POSE_BYTES, _LABEL_BYTES = 1 << 16, 16 << 20
_MAX_LABELS = (1 << 16) - 1
# Classes of what has no name, and of what no one thing is.
_NAMELESS = frozenset(("<unk>", "clutter"))


class _Room(NamedTuple):
    """Files of a room: stems in their order, and which of them have which file."""

    stems: tuple[str, ...]
    files: frozenset[str]


@functools.lru_cache(maxsize=8)
def _listed(area: Path, _stamps: tuple[int, ...]) -> Mapping[str, _Room]:
    stems: dict[str, list[str]] = {}
    files: dict[str, list[str]] = {}
    for kind in ("rgb", "depth", "pose", "semantic"):
        folder = area / DATA / kind
        for name in list_names(folder) if folder.is_dir() else ():
            found = _NAME.match(name)
            if found is None or found[3] != kind:
                continue
            files.setdefault(found[2], []).append(f"{kind}/{name}")
            if kind == "rgb":
                stems.setdefault(found[2], []).append(found[1])
    return {
        room: _Room(tuple(sorted(names, key=natural_order)), frozenset(files[room]))
        for room, names in stems.items()
    }


def _rooms(area: Path) -> Mapping[str, _Room]:
    folders = [area / DATA / kind for kind in ("rgb", "depth", "pose", "semantic")]
    return _listed(area, tuple(f.stat().st_mtime_ns for f in folders if f.is_dir()))


def is_area(folder: Path) -> bool:
    """Whether a folder is an area with pictures and poses."""
    return all((folder / DATA / kind).is_dir() for kind in ("rgb", "pose"))


def scenes_of(area: Path) -> tuple[str, ...]:
    """Names of the rooms of an area, with its own name before them."""
    return tuple(f"{area.name}_{room}" for room in sorted(_rooms(area), key=natural_order))


def _matrix(fields: Any, key: str) -> Float64 | None:
    """Rows of three or four numbers, or None."""
    rows = fields.get(key) if isinstance(fields, dict) else None
    if not isinstance(rows, list) or not 3 <= len(rows) <= 4:
        return None
    widths = {len(row) if isinstance(row, list) else 0 for row in rows}
    if widths not in ({3}, {4}) or not all(is_number(x) for row in rows for x in row):
        return None
    return np.array(rows, dtype=np.float64)


def _camera(path: Path) -> tuple[Float64 | None, Intrinsics | None, str]:
    """world_from_cam and K of a pose file, and the reason code where it gives neither."""
    try:
        stored = read_json(path, _POSE_BYTES)
    except SceneFormatError:
        return None, None, "pose_unreadable"
    K, cam_from_world = _matrix(stored, "camera_k_matrix"), _matrix(stored, "camera_rt_matrix")
    if cam_from_world is None or cam_from_world.shape[1] != 4:
        return None, None, "pose_unreadable"
    if K is None:
        return None, None, "intrinsic_missing"
    pose = np.eye(4)
    pose[: len(cam_from_world)] = cam_from_world
    own = np.array(K[:3, :3])
    own[:2, 2] -= _CENTRE
    return invert_pose(pose), Intrinsics(own), ""


def _frame_files(data: Path, room: _Room, stride: int) -> Iterator[FrameFiles]:
    for index in range(0, len(room.stems), stride):
        stem = room.stems[index]
        color, depth, pose = (f"rgb/{stem}rgb.png", f"depth/{stem}depth.png",
                              f"pose/{stem}pose.json")  # fmt: skip
        world_from_cam, intrinsics, fault = None, None, "pose_missing"
        if pose in room.files:
            world_from_cam, intrinsics, fault = _camera(data / pose)
        yield FrameFiles(
            index=index,
            name=stem.rstrip("_").removesuffix("_domain"),
            color=data / color,
            depth=data / depth if depth in room.files else None,
            world_from_cam=world_from_cam,
            fault=fault,
            intrinsics=intrinsics,
            rotate=0,
        )


def _pose_files(data: Path, room: _Room, stride: int) -> list[Path]:
    """Those that there are: in a folder of pictures alone a path for each costs seconds."""
    names = (f"pose/{stem}pose.json" for stem in room.stems[::stride])
    return [data / name for name in names if name in room.files]


def _label_file(area: Path) -> Path | None:
    """The table of labels, beside the areas or in one of two folders above."""
    places = (area, area.parent, area.parent.parent)
    return next((p / _LABELS for p in places if present(p / _LABELS)), None)


@functools.lru_cache(maxsize=4)
def _label_rows(path: Path, _mtime_ns: int) -> tuple[str, ...]:
    rows = read_json(path, _LABEL_BYTES)
    if not isinstance(rows, list) or not all(isinstance(row, str) for row in rows):
        raise SceneFormatError(path, "must be a list of labels", code="labels_bad")
    if len(rows) > _MAX_LABELS:
        raise SceneFormatError(path, f"lists {len(rows)} labels", code="labels_bad")
    return tuple(rows)


def _names(path: Path, area: str, room: str) -> dict[int, str]:
    """Object -> class of the labels of a room; objects count the table's rows from 1."""
    number = re.sub(r"[^0-9]", "", area)
    found = {}
    for row, label in enumerate(_label_rows(path, path.stat().st_mtime_ns), start=1):
        words = label.split("_")
        own = len(words) == 5 and "_".join(words[2:4]) == room and words[4] == number
        if own and words[0].lower() not in _NAMELESS:
            found[row] = words[0]
    return found


def _packed(path: Path) -> NDArray[np.int32]:
    """Colours of a picture as numbers of 24 bits, (h, w)."""
    from PIL import Image

    image_size(path)
    try:
        with Image.open(io.BytesIO(read_bytes(path, MAX_FILE_BYTES)), formats=("PNG",)) as opened:
            rgb = np.asarray(opened.convert("RGB")).astype(np.int32)
    except Exception as error:  # Pillow's plugins raise many kinds on damage
        raise SceneFormatError(path, "cannot be decoded", code="instance_bad") from error
    return (rgb[:, :, 0] << 16) | (rgb[:, :, 1] << 8) | rgb[:, :, 2]


def _semantic(frame: Frame) -> str:
    """Where the labels of a frame's picture lie, relative to the root."""
    before, _, name = (frame.image or "").rpartition("/rgb/")
    return f"{before}/semantic/{name.removesuffix('rgb.png')}semantic.png"


def _read_instance(
    root: Path, size: tuple[int, int], known: frozenset[int], frame: Frame
) -> NDArray[np.int32]:
    path = resolve_inside(root, _semantic(frame))
    ids = _packed(path) + 1
    if ids.shape != size[::-1]:
        what = f"has shape {ids.shape}, the colour image {size[::-1]}"
        raise SceneFormatError(path, what, code="instance_bad")
    ids[~np.isin(ids, list(known))] = -1
    return ids


def _labels(
    root: Path, area: Path, room: str, frames: Sequence[Frame], size: tuple[int, int]
) -> Labels:
    """Objects of a room by the colours of its pictures; none without the table of labels."""
    path = _label_file(area)
    if path is None:
        return Labels(notes=("semantic_labels_missing",))
    names = _names(path, area.name, room)
    objects, notes = named_objects(names)
    masks = [root / _semantic(f) for f in frames if f.valid]
    there = [mask for mask in masks if mask.is_file()]
    notes += (f"instance_missing={len(masks) - len(there)}",) if len(masks) > len(there) else ()
    read = functools.partial(_read_instance, root, size, frozenset(names)) if there else None
    return Labels(objects if there else (), read, (path, *there), notes)


class Stanford2d3dsSource(FolderSource):
    """Rooms of 2D-3D-S."""

    __slots__ = ()
    kind: ClassVar[str] = "stanford2d3ds"

    def open(self, scene_id: str) -> Scene:
        """Open one room: its pose files, the headers of its pictures, and its labels.

        Raises:
            SceneFormatError: No such room, a malformed table of labels, or no frame with picture,
                depth and camera.
        """
        root = self.root.resolve()
        place, _, name = self.place(scene_id).partition("#")
        area = resolve_inside(root, place)
        room = name.removeprefix(f"{area.name}_")
        if not is_area(area) or room not in _rooms(area):
            raise SceneFormatError(area, f"has no room {room!r:.80}", code="scene_missing")
        data, listing, stride = area / DATA, _rooms(area)[room], self.options.stride or 1
        files = listed(_frame_files(data, listing, stride), area)
        built = build_frames(files, root, area)
        if built.color is None:
            raise SceneFormatError(area, count_reasons(built.frames), code="intrinsic_missing")
        labels = _labels(root, area, room, built.frames, built.color.size)
        poses = _pose_files(data, listing, stride)
        return self.registered_scene(
            scene_id, built, built.color, depth_scale=_UNIT, inputs=[*poses, *labels.inputs],
            world_up=_UP, labels=labels, notes=() if labels.objects else labels.notes,
        )  # fmt: skip
