# SPDX-License-Identifier: Apache-2.0
"""Readers of ScanNet++: the iPhone's video with its depth, and the camera's pictures.

`data/<id>/iphone/`: `rgb.mkv` (or `rgb/frame_%06d.jpg`), `depth.bin` (or `depth/frame_%06d.png`)
and `pose_intrinsic_imu.json` with K and `aligned_pose` (world_from_cam, OpenCV) of every frame.
`data/<id>/dslr/`: `colmap/`, `resized_images/` (fisheye) with `render_depth/`, as the toolkit's
renderer writes it; or `resized_undistorted_images/` with `undistorted_depth/`, whose K stands in
`nerfstudio/transforms_undistorted.json`. `scans/` holds the mesh with its objects. World: metres,
z up.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from spatialcore.errors import SceneFormatError
from spatialcore.io.categories import named_objects
from spatialcore.io.colmap_model import model_files, read_model
from spatialcore.io.depth_maps import read_depth
from spatialcore.io.depth_stream import read_stream_depth
from spatialcore.io.folder_source import FolderSource
from spatialcore.io.frame_files import BuiltFrames, FrameFiles, build_frames
from spatialcore.io.intrinsics import Intrinsics
from spatialcore.io.matrices import is_number, matrix_rows
from spatialcore.io.names import natural_order
from spatialcore.io.nerfstudio import frame_intrinsics
from spatialcore.io.object_files import Labels
from spatialcore.io.paths import (
    fragment_number,
    list_names,
    read_json,
    resolve_inside,
    split_uri,
)
from spatialcore.io.ply import ply_vertex_count, read_ply
from spatialcore.io.refusals import present
from spatialcore.io.scannet_objects import vertex_instances
from spatialcore.io.splits import split_of
from spatialcore.io.upright import stored_depth, turned_map, upright_turn
from spatialcore.io.videos import video_frame_count, video_size
from spatialcore.types import Cloud, Frame, Scene

_UP = np.array([0.0, 0.0, 1.0])
_POSES = "iphone/pose_intrinsic_imu.json"
_VIDEOS = ("iphone/rgb.mkv", "iphone/rgb.mp4")
_COLOR_SIZE, _DEPTH_SIZE = (1920, 1440), (256, 192)
_FRAME = re.compile(r"frame_([0-9]{6,9})\Z")
_UNDISTORTED = "dslr/nerfstudio/transforms_undistorted.json"
_FISHEYE_LIST = "dslr/nerfstudio/transforms.json"
# Pictures, and depth maps that see through the same lens.
_FISHEYE = ("dslr/resized_images", "dslr/render_depth")
_PINHOLE = ("dslr/resized_undistorted_images", "dslr/undistorted_depth")
_MESH = "scans/mesh_aligned_0.05.ply"
_SEGMENTS, _OBJECTS = "scans/segments.json", "scans/segments_anno.json"
_REMOVED = "remove"  # vertices that the annotators cut away
_JSON_BYTES = 128 << 20  # 500 to 1,000 a frame


def _names(folder: Path) -> frozenset[str]:
    return frozenset(list_names(folder)) if folder.is_dir() else frozenset()


def _iphone_files(folder: Path, stride: int) -> tuple[list[FrameFiles], bool, int]:
    """Frames of the phone, whether their depth lies in `depth.bin`, and poses of other names."""
    path = folder / _POSES
    stored = read_json(path, _JSON_BYTES)
    if not isinstance(stored, dict) or not all(isinstance(v, dict) for v in stored.values()):
        raise SceneFormatError(path, "must hold an object a frame", code="metadata_bad")
    pictures, maps = _names(folder / "iphone/rgb"), _names(folder / "iphone/depth")
    stream, video = folder / "iphone/depth.bin", None
    size = count = None
    if not pictures:
        video = next((folder / v for v in _VIDEOS if (folder / v).is_file()), None)
        size, count = (video_size(video), video_frame_count(video)) if video else (None, None)
    files = []
    names = sorted((n for n in stored if _FRAME.match(n)), key=natural_order)
    for name in names:
        number, row = int(name.removeprefix("frame_")), stored[name]
        if number % stride:
            continue
        K = matrix_rows(row.get("intrinsic"), (3, 3))
        color = folder / f"iphone/rgb/{name}.jpg" if f"{name}.jpg" in pictures else None
        if video is not None and (count is None or number < count):
            color = video
        depth = folder / f"iphone/depth/{name}.png" if f"{name}.png" in maps else None
        if not maps and stream.is_file():
            depth = stream
        files.append(
            FrameFiles(
                index=number,
                name=name,
                color=color,
                depth=depth,
                world_from_cam=matrix_rows(row.get("aligned_pose"), (4, 4)),
                fault="intrinsic_missing" if K is None else "",
                time=float(row["timestamp"]) if is_number(row.get("timestamp")) else None,
                intrinsics=None if K is None else Intrinsics(K, _COLOR_SIZE),
                color_part=f"frame={number}" if color is not None and color == video else "",
                depth_part=f"frame={number}" if depth == stream else "",
                color_size=size,
                depth_size=_DEPTH_SIZE if depth == stream else None,
            )
        )
    return files, not maps, len(stored) - len(names)


def _read_stream(root: Path, frame: Frame) -> NDArray[Any]:
    """A map of `depth.bin` in float32 metres, turned upright."""
    uri, degrees = stored_depth(root, frame)
    path = resolve_inside(root, split_uri(uri)[0])
    stored = read_stream_depth(path, fragment_number(uri, "frame="), _DEPTH_SIZE)
    return turned_map(stored, degrees)


def _dslr_folders(folder: Path) -> tuple[Path, Path] | None:
    """Pictures and maps of the camera: undistorted ones where they have depth."""
    pairs = [(folder / a, folder / b) for a, b in (_PINHOLE, _FISHEYE)]
    return next((pair for pair in pairs if all(f.is_dir() for f in pair)), None)


def _dslr_files(folder: Path, stride: int) -> Iterator[FrameFiles]:
    folders = _dslr_folders(folder)
    if folders is None:
        raise SceneFormatError(
            folder / "dslr", "has no depth", "render it by the toolkit: render_depth/",
            code="frames_missing",
        )  # fmt: skip
    pictures, maps = (_names(f) for f in folders)
    images = read_model(folder / "dslr/colmap", stride)
    pinhole = folders[0] == folder / _PINHOLE[0]
    shared = _undistorted_camera(folder / _UNDISTORTED) if pinhole else None
    flagged = _flagged(folder / (_UNDISTORTED if pinhole else _FISHEYE_LIST))
    for row, image in enumerate(images):
        name = Path(image.name).name
        depth = f"{name.partition('.')[0]}.png"
        intrinsics = shared or image.intrinsics
        yield FrameFiles(
            index=row * stride,
            name=name.rpartition(".")[0] or name,
            color=folders[0] / name if name in pictures else None,
            depth=folders[1] / depth if depth in maps else None,
            world_from_cam=image.world_from_cam,
            fault="image_flagged"
            if name in flagged
            else ""
            if intrinsics is not None
            else "camera_model_unknown",
            intrinsics=intrinsics,
        )


def _flagged(path: Path) -> frozenset[str]:
    """Names of pictures that the publishers call bad."""
    if not present(path):
        return frozenset()
    stored = read_json(path, _JSON_BYTES)
    lists = [stored.get(k) for k in ("frames", "test_frames")] if isinstance(stored, dict) else []
    rows = [row for rows in lists if isinstance(rows, list) for row in rows]
    return frozenset(
        Path(row["file_path"]).name
        for row in rows
        if isinstance(row, dict) and row.get("is_bad") is True and type(row.get("file_path")) is str
    )


def _undistorted_camera(path: Path) -> Intrinsics:
    stored = read_json(path, _JSON_BYTES)
    try:
        return frame_intrinsics(stored if isinstance(stored, dict) else {})
    except ValueError as error:  # its message is a reason code
        raise SceneFormatError(
            path, f"has no usable camera: {error}", code="intrinsic_missing"
        ) from error


def _read_objects(folder: Path) -> tuple[NDArray[np.int32], dict[int, str]]:
    """Object of every vertex, -1 = none, and labels, without what was cut away."""
    instance, labels = vertex_instances(folder / _SEGMENTS, folder / _OBJECTS)
    removed = [number for number, label in labels.items() if label.strip().lower() == _REMOVED]
    instance[np.isin(instance, removed)] = -1
    return instance, {k: label for k, label in labels.items() if k not in removed}


def _read_cloud(folder: Path) -> Cloud:
    mesh, (instance, _) = read_ply(folder / _MESH), _read_objects(folder)
    return Cloud(mesh.points_world, instance, mesh.colour)


def _read_labels(folder: Path) -> Labels | None:
    """The objects of the laser scan, None where it is not there."""
    scans = tuple(folder / name for name in (_MESH, _SEGMENTS, _OBJECTS))
    if not all(path.is_file() for path in scans):
        return None
    instance, names = _read_objects(folder)
    count = ply_vertex_count(scans[0])
    if count != len(instance):
        raise SceneFormatError(
            scans[1], f"has {len(instance)} segments for {count} vertices", code="annotation_bad"
        )
    objects, notes = named_objects(names)
    return Labels(objects, None, scans, notes)


class _Source(FolderSource):
    """What both readers have in common."""

    __slots__ = ()

    def _scene(
        self,
        scene_id: str,
        built: BuiltFrames,
        inputs: list[Path],
        *,
        stream: bool,
        notes: tuple[str, ...],
    ) -> Scene:
        folder = self.folder(scene_id)
        if built.color is None:
            raise SceneFormatError(
                folder, "has no frame with usable intrinsics", code="intrinsic_missing"
            )
        labels = _read_labels(folder)
        split, lists = split_of(folder.name, self.root.resolve(), folder=folder)
        scene = self.registered_scene(
            scene_id,
            built,
            built.color,
            depth_scale=1.0 if stream else 0.001,
            inputs=[*inputs, *lists],
            notes=notes,
            read=_read_stream if stream else read_depth,
            world_up=_UP,
            split=split,
            labels=labels,
        )
        if labels is None:
            return scene
        return replace(scene, read_cloud=functools.partial(_read_cloud, folder))


class ScannetppSource(_Source):
    """iPhone captures of ScanNet++."""

    __slots__ = ()
    kind: ClassVar[str] = "scannetpp"

    def open(self, scene_id: str) -> Scene:
        """Open one scene: poses, the packets of its video, the objects of its mesh.

        Raises:
            SceneFormatError: No such scene, malformed poses or annotation, or no frame with
                picture, depth and camera.
        """
        folder = self.folder(scene_id)
        files, stream, others = _iphone_files(folder, self.options.stride or 1)
        turn = upright_turn((f.world_from_cam for f in files if f.world_from_cam is not None), _UP)
        built = build_frames(files, self.root.resolve(), folder, turn or 0)
        notes: tuple[str, ...] = ("upright_unknown",) if turn is None else ()
        notes += (f"poses_not_read={others}",) if others else ()
        return self._scene(scene_id, built, [folder / _POSES], stream=stream, notes=notes)


class ScannetppDslrSource(_Source):
    """Pictures of the camera of ScanNet++, with depth rendered from the mesh."""

    __slots__ = ()
    kind: ClassVar[str] = "scannetpp_dslr"

    def open(self, scene_id: str) -> Scene:
        """Open one scene: its model, the headers of its pictures, the objects of its mesh.

        Raises:
            SceneFormatError: No such scene, a malformed model or annotation, or no frame with
                picture, depth and camera.
        """
        folder = self.folder(scene_id)
        files = list(_dslr_files(folder, self.options.stride or 1))
        built = build_frames(files, self.root.resolve(), folder)
        inputs = [*model_files(folder / "dslr/colmap"), folder / _UNDISTORTED]
        return self._scene(scene_id, built, inputs, stream=False, notes=())


def is_iphone_capture(folder: Path) -> bool:
    """Whether a folder holds the iPhone's poses."""
    return (folder / _POSES).is_file()


def is_dslr_capture(folder: Path) -> bool:
    """Whether a folder holds the camera's model with depth maps."""
    return (folder / "dslr/colmap").is_dir() and _dslr_folders(folder) is not None
