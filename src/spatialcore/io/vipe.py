# SPDX-License-Identifier: Apache-2.0
"""Reader of ViPE's results: a video with predicted poses, K, metric depth and instance masks.

Below one root lie `rgb/<name>.mp4`, `pose/<name>.npz` (`data` (N, 4, 4) world_from_cam, OpenCV, and
`inds`, the frames of the video), `intrinsics/<name>.npz` (`data` (N, 4) fx fy cx cy) with the model
of each frame in `<name>_camera.txt` (`12: PINHOLE`), `depth/<name>.zip` of `00012.exr` (half, Z,
metres) and `mask/<name>.zip` of `00012.png` (instance ids, 0 none) with `<name>.txt` (`3: chair`).
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from spatialcore.errors import SceneFormatError
from spatialcore.io.archives import member_bytes, members
from spatialcore.io.categories import named_objects
from spatialcore.io.depth_maps import depth_map_size
from spatialcore.io.folder_source import FolderSource
from spatialcore.io.frame_files import FrameFiles, Size, build_frames, count_reasons
from spatialcore.io.intrinsics import Intrinsics
from spatialcore.io.npz import Npz
from spatialcore.io.object_files import Labels, decode_mask
from spatialcore.io.paths import read_text
from spatialcore.io.videos import video_frame_count, video_size
from spatialcore.types import Float64, Frame, Scene

PARTS = frozenset(("pose", "intrinsics", "depth", "mask", "flow", "vipe", "eval"))
_TEXT_BYTES = 16 << 20
_MAX_FRAMES = 1 << 20
_PANORAMAS = ("PANORAMA", "PANO", "EQUIRECTANGULAR")


def _part(video: Path, folder: str, suffix: str) -> Path:
    """A file that belongs to a video, in a folder beside `rgb/`."""
    return video.parent.parent / folder / f"{video.stem}{suffix}"


def is_result(entry: Path) -> bool:
    """Whether an entry is the video of a result: poses of its name lie beside `rgb/`."""
    inside = entry.suffix == ".mp4" and entry.parent.name == "rgb"
    return inside and entry.is_file() and _part(entry, "pose", ".npz").is_file()


def _rows_by_frame(path: Path, shape: tuple[int, ...]) -> dict[int, Float64]:
    """Video frame -> a row of `data`; a later row of a frame counts."""
    with Npz(path) as archive:
        stored, frames = archive.array("data"), archive.array("inds")
    fits = stored.shape[1:] == shape and stored.dtype.kind == "f"
    if not fits or frames.shape != stored.shape[:1] or frames.dtype.kind not in "iu":
        raise SceneFormatError(
            path, f"holds data of shape {stored.shape} and inds of shape {frames.shape}",
            f"data is (N, {', '.join(map(str, shape))}), inds (N,)", code="archive_bad",
        )  # fmt: skip
    if len(frames) > _MAX_FRAMES or (len(frames) and not 0 <= frames.min() <= frames.max() < 1e9):
        raise SceneFormatError(path, "has inds that number no frames", code="archive_bad")
    return dict(zip(frames.tolist(), stored.astype(np.float64), strict=True))


def _named_rows(path: Path) -> dict[int, str]:
    """Number -> text of the lines `12: text`; {} where there is no such file."""
    if not path.is_file():
        return {}
    rows = {}
    for line in read_text(path, _TEXT_BYTES).splitlines():
        number, colon, text = line.partition(":")
        if not line.strip():
            continue
        if not colon or not number.strip().isascii() or not number.strip().isdigit():
            raise SceneFormatError(path, "must hold lines `number: text`", code="list_bad")
        rows[int(number[:12])] = text.strip()
    return rows


def _camera_fault(model: str) -> str:
    if model.upper() in _PANORAMAS:
        return "panorama"
    return "" if model.upper() in ("PINHOLE", "") else "camera_model_unknown"


def _intrinsics(row: Float64 | None) -> Intrinsics | None:
    if row is None or not np.isfinite(row).all():
        return None
    fx, fy, cx, cy = row.tolist()
    return Intrinsics(np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]]))


def _depth_size(root: Path, path: Path, names: Mapping[str, object]) -> Size | None:
    """Size of the first map that can be read: all maps of a video have one."""
    relative = path.relative_to(root).as_posix()
    for name in sorted(names):
        try:
            return depth_map_size(root, f"{relative}#{name}")
        except SceneFormatError as error:
            if error.code == "extra":
                raise
    return None


def _frame_files(root: Path, video: Path, stride: int) -> Iterator[FrameFiles]:
    poses = _rows_by_frame(_part(video, "pose", ".npz"), (4, 4))
    of_K = _part(video, "intrinsics", ".npz")
    rows = _rows_by_frame(of_K, (4,)) if of_K.is_file() else {}
    models = _named_rows(_part(video, "intrinsics", "_camera.txt"))
    depth = _part(video, "depth", ".zip")
    maps = members(depth) if depth.is_file() else {}
    size, count, map_size = video_size(video), video_frame_count(video), None
    if maps:
        map_size = _depth_size(root, depth, maps)
    for index in sorted({*poses, *rows}):
        if index % stride:
            continue
        name, K = f"{index:05d}.exr", _intrinsics(rows.get(index))
        fault = _camera_fault(models.get(index, "")) or (
            "" if K is not None else "intrinsic_missing"
        )
        yield FrameFiles(
            index=index,
            name=f"{index:05d}",
            color=video if count is None or index < count else None,
            depth=depth if name in maps else None,
            world_from_cam=poses.get(index),
            fault=fault,
            intrinsics=None if fault else K,
            color_part=f"frame={index}",
            depth_part=name,
            color_size=size,
            depth_size=map_size,
        )


def _mask_name(frame: Frame) -> str:
    return f"{frame.index:05d}.png"


def _read_instance(path: Path, size: Size, frame: Frame) -> NDArray[np.int32]:
    ids = decode_mask(member_bytes(path, _mask_name(frame), damaged="instance_bad"), path)
    if ids.shape != size[::-1]:
        what = f"member {_mask_name(frame)} has shape {ids.shape}, the video {size[::-1]}"
        raise SceneFormatError(path, what, code="instance_bad")
    ids[ids == 0] = -1
    return ids


def _labels(video: Path, frames: tuple[Frame, ...], size: Size) -> Labels | None:
    """The instances that were followed through the video, None where there are no masks."""
    path, phrases = _part(video, "mask", ".zip"), _part(video, "mask", ".txt")
    names = {k: text for k, text in _named_rows(phrases).items() if 0 < k < 1 << 16}
    if not names or not path.is_file():
        return None
    objects, notes = named_objects(names)
    kept = members(path, "instance_bad")
    missing = sum(frame.valid and _mask_name(frame) not in kept for frame in frames)
    notes += (f"instance_missing={missing}",) if missing else ()
    read = functools.partial(_read_instance, path, size)
    return Labels(objects, read, (path, phrases), notes)


class VipeSource(FolderSource):
    """Results of ViPE."""

    __slots__ = ()
    kind: ClassVar[str] = "vipe"

    def open(self, scene_id: str) -> Scene:
        """Open one result: its poses and cameras, the packets of its video, the list of its maps.

        Raises:
            SceneFormatError: No such result, malformed arrays, a library that is not installed, or
                no frame with picture, depth and camera.
        """
        video, root = self.folder(scene_id), self.root.resolve()
        built = build_frames(_frame_files(root, video, self.options.stride or 1), root, video)
        if built.color is None:
            raise SceneFormatError(video, count_reasons(built.frames), code="intrinsic_missing")
        places = (("pose", ".npz"), ("intrinsics", ".npz"), ("intrinsics", "_camera.txt"))
        return self.registered_scene(
            scene_id,
            built,
            built.color,
            depth_scale=1.0,
            inputs=[_part(video, *place) for place in places],
            notes=("geometry_predicted",),
            labels=_labels(video, built.frames, built.color.size),
        )
