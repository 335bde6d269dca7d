# SPDX-License-Identifier: Apache-2.0
"""Reader of Hypersim: rendered rooms, `ai_VVV_NNN/` with `_detail/cam_XX/` and `images/`.

All cameras of a room are one scene. Positions are in asset units (`metadata_scene.csv`), cameras
OpenGL, z up. A map `depth_meters` holds the distance to the camera's centre, not z. Some cameras
are tilted against their image plane: `metadata_camera_parameters.csv` of the release, put into the
scene's folder or above it, holds the matrix from picture to rays; any such matrix is a rotation
times the inverse of a K, so the frames get an exact pinhole whose pose is turned by that rotation.
"""

from __future__ import annotations

import csv
import functools
import io
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np

from spatialcore.errors import SceneFormatError
from spatialcore.io.depth_maps import depth_map_size, read_depth_map
from spatialcore.io.folder_source import FolderSource
from spatialcore.io.frame_files import FrameFiles, build_frames, count_reasons, listed
from spatialcore.io.hdf5 import read_hdf5
from spatialcore.io.hypersim_objects import instance_labels
from spatialcore.io.intrinsics import Intrinsics
from spatialcore.io.paths import list_names, read_text
from spatialcore.io.refusals import present
from spatialcore.types import Camera, Float32, Float64, Frame, Scene

SIZE = (1024, 768)  # of the release
PARAMETERS, SCENE_TABLE = "metadata_camera_parameters.csv", "metadata_scene.csv"
SPLITS = "metadata_images_split_scene_v1.csv"
_UP = np.array([0.0, 0.0, 1.0])
_CAMERA = re.compile(r"cam_[0-9]{2}\Z")
_MATRIX = tuple(f"M_cam_from_uv_{r}{c}" for r in range(3) for c in range(3))
_FIELD_OF_VIEW = math.pi / 3  # horizontal, of cameras that the table does not list
_FRAMES_OF_A_CAMERA = 10_000  # file names have four digits
_TABLE_BYTES = 64 << 20
_OPENCV_FROM_OPENGL = np.array([1.0, -1.0, -1.0])


class HypersimCamera(NamedTuple):
    """A pinhole that sees what the room's camera sees.

    Attributes:
        intrinsics: K for images of `intrinsics.size`.
        turn: (3, 3) from the pinhole's axes to those of the camera, both OpenCV.
    """

    intrinsics: Intrinsics
    turn: Float64


def is_room(folder: Path) -> bool:
    """Whether a folder holds images and the keyframes of a camera."""
    if not (folder / "images").is_dir() or not (folder / "_detail").is_dir():
        return False
    return any(_keyframes(folder, name).is_file() for name in _cameras(folder))


def _cameras(folder: Path) -> list[str]:
    return [name for name in list_names(folder / "_detail") if _CAMERA.match(name)]


def _keyframes(folder: Path, camera: str, kind: str = "positions") -> Path:
    return folder / "_detail" / camera / f"camera_keyframe_{kind}.hdf5"


def pinhole_of(picture: Float64, size: tuple[int, int], path: Path) -> HypersimCamera:
    """The pinhole of a matrix from picture to rays.

    Args:
        picture: (3, 3) `M_cam_from_uv`: from (u, v, 1), u to the right and v up from -1 to 1 over
            the picture, to a ray in OpenGL axes.
        size: (width, height) of the picture.
        path: Named in errors.

    Raises:
        SceneFormatError: The matrix is no camera's, or its pixels are skewed; code "intrinsic".
    """
    w, h = size
    from_pixel = np.array([[2 / w, 0.0, 1 / w - 1], [0.0, -2 / h, 1 - 1 / h], [0.0, 0.0, 1.0]])
    # Products and Gram-Schmidt elementwise: bits do not depend on a linear-algebra library.
    opencv = _OPENCV_FROM_OPENGL[:, None] * picture
    rays = (opencv[:, :, None] * from_pixel).sum(axis=1)
    turn, upper = np.zeros((3, 3)), np.zeros((3, 3))
    for c in range(3):
        rest = rays[:, c].copy()
        for k in range(c):
            upper[k, c] = (turn[:, k] * rays[:, c]).sum()
            rest -= upper[k, c] * turn[:, k]
        upper[c, c] = math.sqrt((rest * rest).sum())
        if not upper[c, c] > 1e-12:
            raise SceneFormatError(path, "holds a camera matrix that is none", code="intrinsic")
        turn[:, c] = rest / upper[c, c]
    if np.linalg.det(turn) < 0 or abs(upper[0, 1]) > 1e-6 * upper[0, 0]:
        raise SceneFormatError(path, "holds a camera that is mirrored or skewed", code="intrinsic")
    fx, fy = upper[2, 2] / upper[0, 0], upper[2, 2] / upper[1, 1]
    K = np.array([
        [fx, 0.0, -upper[0, 2] / upper[0, 0]], [0.0, fy, -upper[1, 2] / upper[1, 1]], [0, 0, 1.0]
    ])  # fmt: skip
    return HypersimCamera(Intrinsics(K, size), turn)


def _row_of(path: Path, key: str, value: str) -> Mapping[str, str] | None:
    """The first row of a table with a header whose column `key` is `value`."""
    try:
        rows = csv.DictReader(io.StringIO(read_text(path, _TABLE_BYTES)))
        return next((row for row in rows if row.get(key) == value), None)
    except csv.Error as error:
        raise SceneFormatError(path, "is not a table of commas", code="list_bad") from error


def _numbers(row: Mapping[str, str], names: tuple[str, ...], path: Path) -> list[float]:
    try:
        values = [float(row[name]) for name in names]
    except (KeyError, TypeError, ValueError) as error:
        raise SceneFormatError(path, f"has no {names[0]} or no number", code="list_bad") from error
    if not all(abs(value) < 1e9 for value in values):
        raise SceneFormatError(path, f"has a {names[0]} out of range", code="list_bad")
    return values


def _first(places: tuple[Path, ...], name: str) -> Path | None:
    return next((p / name for p in places if present(p / name)), None)


class _Room(NamedTuple):
    """What holds for all frames of a room."""

    camera: HypersimCamera
    metres: float
    inputs: tuple[Path, ...]
    notes: tuple[str, ...]


def _room(folder: Path, root: Path) -> _Room:
    """The camera and the unit of a room.

    Raises:
        SceneFormatError: Neither table says what an asset unit is (code "scale_missing"), or one is
            malformed.
    """
    parameters = _first((folder, root, root.parent), PARAMETERS)
    row = None if parameters is None else _row_of(parameters, "scene_name", folder.name)
    notes: tuple[str, ...] = ()
    metres = None
    if parameters is not None and row is not None:
        names = ("settings_output_img_width", "settings_output_img_height")
        w, h = (int(value) for value in _numbers(row, names, parameters))
        if not (0 < w <= 1 << 16 and 0 < h <= 1 << 16):
            raise SceneFormatError(parameters, f"declares {w}x{h} images", code="list_bad")
        picture = np.array(_numbers(row, _MATRIX, parameters)).reshape(3, 3)
        camera = pinhole_of(picture, (w, h), parameters)
        metres = _numbers(row, ("settings_units_info_meters_scale",), parameters)[0]
    else:
        parameters = None
        half = math.tan(0.5 * _FIELD_OF_VIEW)
        picture = np.diag([half, half * SIZE[1] / SIZE[0], -1.0])
        camera, notes = pinhole_of(picture, SIZE, folder), ("camera_assumed",)
    table = folder / "_detail" / SCENE_TABLE
    if table.is_file():
        unit = _row_of(table, "parameter_name", "meters_per_asset_unit")
        metres = _numbers(unit or {}, ("parameter_value",), table)[0]
    if metres is None or not 1e-6 < metres < 1e3:
        raise SceneFormatError(
            folder, "does not say how long an asset unit is",
            f"_detail/{SCENE_TABLE} of the scene says it, or {PARAMETERS} of the release",
            code="scale_missing",
        )  # fmt: skip
    found = [path for path in (parameters, table) if path is not None and path.is_file()]
    return _Room(camera, metres, tuple(found), notes)


def _poses(folder: Path, camera: str, room: _Room) -> dict[int, Float64]:
    """world_from_cam of a camera's keyframes by frame number."""
    turns_path, places_path = (_keyframes(folder, camera, k) for k in ("orientations", "positions"))
    turns, places = read_hdf5(turns_path, (None, 3, 3)), read_hdf5(places_path, (None, 3))
    numbers = np.arange(len(turns))
    numbered = _keyframes(folder, camera, "frame_indices")
    if numbered.is_file():
        numbers = read_hdf5(numbered, (None,)).astype(np.int64)
    if not len(turns) == len(places) == len(numbers):
        raise SceneFormatError(
            places_path, f"has {len(places)} positions for {len(turns)} orientations",
            code="keyframes_bad",
        )  # fmt: skip
    poses = {}
    for number, turn, place in zip(numbers.tolist(), turns, places, strict=True):
        pose = np.eye(4)
        opencv = turn.astype(np.float64) * _OPENCV_FROM_OPENGL
        for c in range(3):
            pose[:3, c] = (opencv * room.camera.turn[:, c]).sum(axis=1)
        pose[:3, 3] = place.astype(np.float64) * room.metres
        poses[number] = pose
    return poses


def _frame_files(folder: Path, room: _Room, stride: int) -> Iterator[FrameFiles]:
    for camera in _cameras(folder):
        if not _keyframes(folder, camera).is_file():
            continue
        images = folder / "images"
        shown = images / f"scene_{camera}_final_preview"
        measured = images / f"scene_{camera}_geometry_hdf5"
        for number, pose in sorted(_poses(folder, camera, room).items()):
            if number % stride or not 0 <= number < _FRAMES_OF_A_CAMERA:
                continue
            stem = f"frame.{number:04d}"
            names = (f"{stem}.tonemap.jpg", f"{stem}.color.jpg")
            depth = measured / f"{stem}.depth_meters.hdf5"
            yield FrameFiles(
                index=int(camera[4:]) * _FRAMES_OF_A_CAMERA + number,
                name=f"{camera}_{number:04d}",
                color=next((shown / n for n in names if (shown / n).is_file()), shown / names[0]),
                depth=depth,
                world_from_cam=pose,
                intrinsics=room.camera.intrinsics,
                rotate=0,  # rendered: how a picture is held does not matter
            )


def read_range_as_z(camera: Camera, root: Path, frame: Frame) -> Float32:
    """Z of a frame's map of distances to the camera's centre.

    Args:
        camera: Of the map.
        root: Root of the source.
        frame: The frame.

    Raises:
        SceneFormatError: It has no map, or one of another size than the camera's.
    """
    if frame.depth is None:
        raise SceneFormatError(root, f"frame {frame.name} has no depth", code="depth_missing")
    size = depth_map_size(root, frame.depth)
    if size != camera.size:
        what = f"has {size[0]}x{size[1]} pixels, its camera {camera.width}x{camera.height}"
        raise SceneFormatError(root / frame.depth, what, code="depth_size_differs")
    distance, K = read_depth_map(root, frame.depth), camera.K
    x = (np.arange(distance.shape[1]) - K[0, 2]) / K[0, 0]
    y = (np.arange(distance.shape[0]) - K[1, 2]) / K[1, 1]
    away = np.sqrt((x * x)[None, :] + (y * y)[:, None] + 1.0)
    z: Float32 = (distance / away).astype(np.float32)
    return z


def _split(folder: Path, root: Path) -> tuple[str | None, tuple[Path, ...]]:
    """The split by the published list of images, "train", "val" or None for its test scenes."""
    path = _first((root, root.parent), SPLITS)
    row = None if path is None else _row_of(path, "scene_name", folder.name)
    name = None if row is None else row.get("split_partition_name")
    return (name if name in ("train", "val") else None), (() if path is None else (path,))


class HypersimSource(FolderSource):
    """Hypersim rooms."""

    __slots__ = ()
    kind: ClassVar[str] = "hypersim"

    def open(self, scene_id: str) -> Scene:
        """Open one room: its keyframes, the headers of its maps, and the names of its instances.

        Raises:
            SceneFormatError: No such room, damaged keyframes, no unit, or no frame with image and
                depth.
        """
        folder, root = self.folder(scene_id), self.root.resolve()
        room = _room(folder, root)
        files = listed(_frame_files(folder, room, self.options.stride or 1), folder)
        built = build_frames(files, root, folder)
        if built.color is None:
            raise SceneFormatError(folder, count_reasons(built.frames), code="no_usable_frames")
        camera = built.depth or built.color
        split, lists = _split(folder, root)
        keyframes = [_keyframes(folder, name, kind) for name in _cameras(folder)
                     for kind in ("positions", "orientations", "frame_indices")]  # fmt: skip
        return self.registered_scene(
            scene_id, built, built.color, depth_scale=1.0,
            inputs=[*keyframes, *room.inputs, *lists], notes=room.notes,
            read=functools.partial(read_range_as_z, camera), world_up=_UP, split=split,
            labels=instance_labels(root, built.frames, built.color.size),
        )  # fmt: skip
