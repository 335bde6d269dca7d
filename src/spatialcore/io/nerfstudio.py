# SPDX-License-Identifier: Apache-2.0
"""Reader of nerfstudio captures with depth: one `transforms.json` beside images and depth images.

Conventions of the format, undone here: cameras are OpenGL (x right, y up, z back), pixel centres
lie at +0.5, positions are multiplied by `applied_scale`. Depth is z, 16-bit, registered to the
colour view; its unit is `depth_unit_scale_factor`, a millimetre unless given.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from spatialcore.errors import SceneFormatError
from spatialcore.io.folder_source import FolderSource
from spatialcore.io.frame_files import FrameFiles, build_frames
from spatialcore.io.matrices import make_camera
from spatialcore.io.paths import (
    is_scene_id,
    list_names,
    read_json,
    resolve_inside,
)
from spatialcore.types import Float64, Scene

TRANSFORMS = "transforms.json"
PIXEL_CENTRE = 0.5  # of this format; spatialcore's are integers
_JSON_BYTES = 256 << 20
_K_KEYS = ("fl_x", "fl_y", "cx", "cy")
_DISTORTION_KEYS = ("k1", "k2", "k3", "k4", "k5", "k6", "p1", "p2")
_PINHOLES = ("OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "PERSPECTIVE")
# Intrinsics that move a pixel by less than this are taken for one camera.
_SAME_CAMERA_PX = 0.5
_OPENCV_FROM_OPENGL = np.array([1.0, -1.0, -1.0])
_FARTHEST_DISTORTION = 1e-9


def _number(fields: dict[str, Any], key: str, default: float = math.nan) -> float:
    value = fields.get(key, default)
    return float(value) if type(value) in (int, float) and abs(value) < 1e15 else math.nan


def _read_transforms(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The whole object and its list of frames, both checked to be what they are called."""
    stored = read_json(path, _JSON_BYTES)
    frames = stored.get("frames") if isinstance(stored, dict) else None
    if not isinstance(frames, list) or not all(isinstance(frame, dict) for frame in frames):
        raise SceneFormatError(path, "must hold a list `frames` of objects")
    return stored, frames


def _check_model(stored: dict[str, Any], path: Path) -> None:
    model = stored.get("camera_model", "OPENCV")
    lens = [_number(stored, key, 0.0) for key in _DISTORTION_KEYS]
    if model not in _PINHOLES or not all(abs(k) <= _FARTHEST_DISTORTION for k in lens):
        raise SceneFormatError(
            path,
            f"has a camera {model!r:.40} with lens distortion",
            "undistort the images first; cameras here are pinholes",
            code="distortion",
        )


def _read_intrinsics(
    stored: dict[str, Any], frames: list[dict[str, Any]], path: Path
) -> tuple[Float64, list[bool]]:
    """Fx fy cx cy (4,) that the frames share, and which frames have it within half a pixel."""
    rows = np.array(
        [[_number({**stored, **frame}, key) for key in _K_KEYS] for frame in frames]
    ).reshape(-1, 4)
    whole = np.isfinite(rows).all(axis=1)
    if not whole.any():
        raise SceneFormatError(path, "has no fl_x, fl_y, cx and cy", code="intrinsic_missing")
    middle = np.sort(rows[whole], axis=0)[int(whole.sum()) // 2]
    same = whole & (np.abs(rows - middle) <= _SAME_CAMERA_PX).all(axis=1)
    return middle, same.tolist()


def _read_pose(frame: dict[str, Any], scale: float) -> Float64 | None:
    """world_from_cam (4, 4) with OpenCV axes, or None when the frame has no matrix."""
    rows = frame.get("transform_matrix")
    if not isinstance(rows, list) or not all(isinstance(r, list) and len(r) == 4 for r in rows):
        return None
    numbers = [x for row in rows for x in row]
    if len(rows) not in (3, 4) or not all(type(x) in (int, float) for x in numbers):
        return None
    if not all(abs(x) < 1e15 for x in numbers):
        return np.full((4, 4), np.nan)
    pose = np.eye(4)
    pose[: len(rows)] = np.array(numbers, dtype=np.float64).reshape(-1, 4)
    pose[:3, :3] *= _OPENCV_FROM_OPENGL
    pose[:3, 3] /= scale
    return pose


def _file(folder: Path, frame: dict[str, Any], key: str) -> Path | None:
    name = frame.get(key)
    return resolve_inside(folder, name) if isinstance(name, str) and name else None


def _frame_files(
    folder: Path, frames: list[dict[str, Any]], same: list[bool], scale: float, stride: int
) -> Iterator[FrameFiles]:
    order = sorted(range(len(frames)), key=lambda i: str(frames[i].get("file_path", "")))
    for index, row in enumerate(order):
        if index % stride:
            continue
        frame = frames[row]
        color = _file(folder, frame, "file_path")
        yield FrameFiles(
            index=index,
            name=f"{index:05d}" if color is None else color.stem,
            color=color,
            depth=_file(folder, frame, "depth_file_path"),
            world_from_cam=_read_pose(frame, scale),
            fault="" if same[row] else "intrinsic_differs",
        )


def is_capture(folder: Path) -> bool:
    """Whether a folder holds a `transforms.json`."""
    return (folder / TRANSFORMS).is_file()


def captures(root: Path) -> tuple[str, ...]:
    """Names of the capture folders directly below `root`, sorted."""
    return tuple(n for n in list_names(root) if is_scene_id(n) and is_capture(root / n))


@dataclass(frozen=True, slots=True)
class NerfstudioSource(FolderSource):
    """nerfstudio captures."""

    kind: ClassVar[str] = "nerfstudio"

    def open(self, scene_id: str) -> Scene:
        """Open one capture: its `transforms.json` and the headers of its images.

        Raises:
            SceneFormatError: No such capture, a lens that is no pinhole (code "distortion"), no
                intrinsics, or no frame with image and depth.
        """
        folder = self.folder(scene_id)
        path = folder / TRANSFORMS
        stored, rows = _read_transforms(path)
        _check_model(stored, path)
        (fx, fy, cx, cy), same = _read_intrinsics(stored, rows, path)
        scale = _number(stored, "applied_scale", 1.0)
        unit = _number(stored, "depth_unit_scale_factor", 0.001)
        if not (1e-6 < scale < 1e6 and 1e-9 < unit < 1e3):
            raise SceneFormatError(path, "applied_scale or depth_unit_scale_factor is out of range")
        files = _frame_files(folder, rows, same, scale, self.options.stride or 1)
        built = build_frames(files, self.root.resolve(), folder)
        K = np.array([[fx, 0.0, cx - PIXEL_CENTRE], [0.0, fy, cy - PIXEL_CENTRE], [0.0, 0.0, 1.0]])
        camera = make_camera(K, *built.color_size, path)
        return self.registered_scene(scene_id, built, camera, depth_scale=unit, inputs=[path])
