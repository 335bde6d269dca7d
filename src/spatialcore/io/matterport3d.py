# SPDX-License-Identifier: Apache-2.0
"""Reader of Matterport3D: a building a folder, eighteen pictures at each place of the tripod.

The undistorted pictures come with `undistorted_camera_parameters/<id>.conf`, whose cameras are
OpenGL ones and whose principal point counts from the bottom of the picture. The raw ones have files
of their own for pose (OpenCV) and intrinsics (`w h fx fy cx cy k1 k2 p1 p2 k3`). Depth is z in
quarters of a millimetre. World: metres, z up. `house_segmentations/<id>.house` has the objects as
boxes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np

from spatialcore.errors import SceneFormatError
from spatialcore.io.crowds import check_frame_count
from spatialcore.io.file_tree import FileTree
from spatialcore.io.folder_source import FolderSource
from spatialcore.io.frame_files import FrameFiles, build_frames, count_reasons, listed
from spatialcore.io.house import house_labels
from spatialcore.io.intrinsics import Intrinsics
from spatialcore.io.matrices import parse_numbers, read_matrix
from spatialcore.io.paths import list_names, read_text
from spatialcore.io.splits import split_of
from spatialcore.lens import Lens
from spatialcore.types import Float64, Scene

DEPTH_SCALE = 1 / 4000
_UP = np.array([0.0, 0.0, 1.0])
_OPENCV_FROM_OPENGL = np.array([1.0, -1.0, -1.0])
_PARAMETERS, _POSES = "undistorted_camera_parameters", "matterport_camera_poses"
_CONF_BYTES = 64 << 20
_SIZE = (1280, 1024)  # of the pictures that a .conf is for
_POSE = re.compile(r"([0-9a-zA-Z]+)_pose_([0-9]{1,3})_([0-9]{1,3})\.txt\Z")


def is_building(folder: Path) -> bool:
    """Whether a folder holds the parameters of undistorted pictures, or the poses of raw ones."""
    return _conf(folder) is not None or (folder / _POSES).is_dir()


def _conf(folder: Path) -> Path | None:
    """The only .conf of a building, or None."""
    places = folder / _PARAMETERS
    names = [n for n in list_names(places) if n.endswith(".conf")] if places.is_dir() else []
    return places / names[0] if len(names) == 1 else None


def _floats(words: list[str]) -> Float64:
    try:
        return np.array([float(word) for word in words])
    except ValueError:
        return np.full(len(words), np.nan)


def _from_bottom(values: Float64) -> Intrinsics | None:
    """K of nine numbers whose cy counts upwards from the lowest row; None if it is none."""
    if len(values) != 9:
        return None
    K = values.reshape(3, 3).copy()
    K[1, 2] = _SIZE[1] - 1 - K[1, 2]
    return Intrinsics(K, _SIZE)


def _pose_of(values: Float64) -> Float64 | None:
    """world_from_cam with OpenCV axes of sixteen numbers."""
    if len(values) != 16 or not np.isfinite(values).all():
        return None
    pose = values.reshape(4, 4).copy()
    pose[:3, :3] *= _OPENCV_FROM_OPENGL
    return pose


def _undistorted(folder: Path, conf: Path, stride: int) -> Iterator[FrameFiles]:
    """Frames of a .conf; an `intrinsics_matrix` holds for the lines below it."""
    places = {"depth_directory": "undistorted_depth_images",
              "color_directory": "undistorted_color_images"}  # fmt: skip
    intrinsics, index = None, -1
    text, tree = read_text(conf, _CONF_BYTES), FileTree(folder)
    check_frame_count(text.count("\nscan ") // stride, conf)
    for line in text.splitlines():
        words = line.split()
        if len(words) == 2 and words[0] in places:
            places[words[0]] = words[1]
        elif words[:1] == ["intrinsics_matrix"]:
            intrinsics = _from_bottom(_floats(words[1:]))
        elif words[:1] == ["scan"] and len(words) > 2:
            index += 1
            if index % stride:
                continue
            color = depth = None
            fault = "" if intrinsics is not None else "intrinsic_missing"
            try:
                color = tree.find(f"{places['color_directory']}/{words[2]}")
                depth = tree.find(f"{places['depth_directory']}/{words[1]}")
            except SceneFormatError as error:
                fault = error.code
            pose = _pose_of(_floats(words[3:]))
            if pose is None:
                fault = fault or "pose_unreadable"
            name = Path(words[2]).stem
            yield FrameFiles(index, name, color, depth, pose, fault, intrinsics=intrinsics)


def _raw_intrinsics(path: Path) -> Intrinsics | None:
    try:
        numbers = parse_numbers(read_text(path, 4096), path)
    except SceneFormatError:
        return None
    if numbers.size != 11 or not (np.isfinite(numbers).all() and 1 <= min(numbers[:2]) < 1e6):
        return None
    w, h, fx, fy, cx, cy, *lens = numbers.tolist()
    K = np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])
    return Intrinsics(K, (int(w), int(h)), Lens("opencv", tuple(lens)) if any(lens) else None)


def _raw(folder: Path, stride: int) -> Iterator[FrameFiles]:
    """Frames of the raw pictures, by place of the tripod, camera and turn."""
    found = [m for m in map(_POSE.match, list_names(folder / _POSES)) if m is not None]
    found.sort(key=lambda match: (match[1], int(match[2]), int(match[3]), match[0]))
    cameras: dict[Path, Intrinsics | None] = {}
    tree = FileTree(folder)
    for index, match in enumerate(found):
        if index % stride:
            continue
        place, camera, turn = match.groups()
        path = folder / f"matterport_camera_intrinsics/{place}_intrinsics_{camera}.txt"
        if path not in cameras:
            cameras[path] = _raw_intrinsics(path)
        try:
            pose, fault = read_matrix(folder / _POSES / match.string, (4, 4)), ""
        except SceneFormatError:
            pose, fault = None, "pose_unreadable"
        yield FrameFiles(
            index=index,
            name=f"{place}_i{camera}_{turn}",
            color=tree.find(f"matterport_color_images/{place}_i{camera}_{turn}.jpg"),
            depth=tree.find(f"matterport_depth_images/{place}_d{camera}_{turn}.png"),
            world_from_cam=pose,
            fault=fault or ("" if cameras[path] is not None else "intrinsic_missing"),
            intrinsics=cameras[path],
        )


def _unread(folder: Path) -> tuple[str, ...]:
    """A note on the files among the raw poses whose names tell neither camera nor turn."""
    count = sum(_POSE.match(name) is None for name in list_names(folder / _POSES))
    return (f"poses_not_read={count}",) if count else ()


class Matterport3dSource(FolderSource):
    """Matterport3D buildings."""

    __slots__ = ()
    kind: ClassVar[str] = "matterport3d"

    def open(self, scene_id: str) -> Scene:
        """Open one building: its cameras, the headers of its pictures, and its objects.

        Raises:
            SceneFormatError: No such building, or no frame with camera, image and depth.
        """
        folder, root = self.folder(scene_id), self.root.resolve()
        conf, stride = _conf(folder), self.options.stride or 1
        frames = _raw(folder, stride) if conf is None else _undistorted(folder, conf, stride)
        files = listed(frames, folder)
        if not files:
            raise SceneFormatError(conf or folder / _POSES, "lists no pictures", code="list_bad")
        built = build_frames(files, root, folder)
        if built.color is None:
            raise SceneFormatError(folder, count_reasons(built.frames), code="intrinsic_missing")
        labels = house_labels(folder)
        for place in (root, root.parent, root.parent / "tasks" / "benchmark"):
            split, lists = split_of(folder.name, place, prefixes=("scenes_",))
            if lists:
                break
        inputs = [*labels.inputs, *lists] + ([conf] if conf else [])
        return self.registered_scene(
            scene_id, built, built.color, depth_scale=DEPTH_SCALE, inputs=inputs, world_up=_UP,
            split=split, labels=labels,
            notes=(() if labels.objects else labels.notes) + (() if conf else _unread(folder)),
        )  # fmt: skip
