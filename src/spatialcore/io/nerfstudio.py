# SPDX-License-Identifier: Apache-2.0
"""Reader of nerfstudio captures with depth: one `transforms.json` beside images and depth images.

Conventions of the format, undone here: cameras are OpenGL (x right, y up, z back), pixel centres
lie at +0.5, positions are multiplied by `applied_scale`. Intrinsics and lens may be given for the
file or frame by frame. Depth is z, registered to the colour view; its unit is
`depth_unit_scale_factor`, else a millimetre for integers and a metre for floats. The keys of
instant-ngp and NeRFCapture (`depth_path`, `integer_depth_scale`, names without suffix) are known.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from spatialcore.errors import SceneFormatError
from spatialcore.io.folder_source import FolderSource
from spatialcore.io.frame_files import FrameFiles, build_frames, count_reasons, listed
from spatialcore.io.intrinsics import Intrinsics
from spatialcore.io.names import natural_order
from spatialcore.io.paths import (
    read_json,
    resolve_inside,
)
from spatialcore.lens import Lens
from spatialcore.types import Float64, Frame, Scene

TRANSFORMS = "transforms.json"
PIXEL_CENTRE = 0.5  # of this format; spatialcore's are integers
_JSON_BYTES = 256 << 20
_K_KEYS = ("fl_x", "fl_y", "cx", "cy")
# nerfstudio; NeRFCapture and instant-ngp.
_DEPTH_KEYS = ("depth_file_path", "depth_path")
_UNIT_KEYS = ("depth_unit_scale_factor", "integer_depth_scale")
_IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")
_PINHOLES = (
    "OPENCV", "FULL_OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "PERSPECTIVE", "SIMPLE_RADIAL", "RADIAL",
)  # fmt: skip
_FISHEYES = ("OPENCV_FISHEYE", "FISHEYE")
_PANORAMAS = ("EQUIRECTANGULAR", "OMNIDIRECTIONALSTEREO_L", "OMNIDIRECTIONALSTEREO_R", "VR180_L",
              "VR180_R")  # fmt: skip
_CAMERA_FAULTS = {
    "intrinsic_missing": "has no fl_x, fl_y, cx and cy, and no camera_angle_x with w and h",
    "intrinsic_bad": "has intrinsics that are not finite and positive",
    "intrinsic_size": "has w and h of another shape than the images have",
    "principal_point_outside": "has a principal point outside the picture",
    "camera_model_unknown": "has a camera model whose lens is not known",
    "panorama": "holds panoramas, which no pinhole with a lens describes",
}
_OPENCV_FROM_OPENGL = np.array([1.0, -1.0, -1.0])


def _number(fields: dict[str, Any], key: str, default: float = math.nan) -> float:
    value = fields.get(key, default)
    return float(value) if type(value) in (int, float) and abs(value) < 1e15 else math.nan


def _read_transforms(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The whole object and its list of frames, both checked to be what they are called."""
    stored = read_json(path, _JSON_BYTES)
    frames = stored.get("frames") if isinstance(stored, dict) else None
    if not isinstance(frames, list) or not all(isinstance(frame, dict) for frame in frames):
        raise SceneFormatError(path, "must hold a list `frames` of objects", code="transforms_bad")
    return stored, frames


def _lens(fields: dict[str, Any]) -> Lens | None:
    """The lens of a frame; ValueError, whose message is a reason code, when it is not known."""
    model = fields.get("camera_model", "OPENCV")
    fisheye = model in _FISHEYES or fields.get("is_fisheye") is True
    if not fisheye and model not in _PINHOLES:
        raise ValueError("panorama" if model in _PANORAMAS else "camera_model_unknown")
    k = [_number(fields, f"k{n}", 0.0) for n in range(1, 7)]
    p = [_number(fields, f"p{n}", 0.0) for n in (1, 2)]
    if fisheye:
        if any(k[4:]) or any(p):
            raise ValueError("camera_model_unknown")
        return Lens("fisheye", tuple(k[:4]))
    if any(k[3:]) and model != "FULL_OPENCV":
        # nerfstudio writes the factor of r^8 as k4, OpenCV the first one of its denominator.
        raise ValueError("camera_model_unknown")
    if not any(k) and not any(p):
        return None
    return Lens("opencv", (k[0], k[1], p[0], p[1], *k[2:]))


def frame_intrinsics(fields: dict[str, Any]) -> Intrinsics:
    """The camera of a frame, from its own keys before those of the file.

    Raises:
        ValueError: The message is a reason code.
    """
    w, h = _number(fields, "w"), _number(fields, "h")
    sized = w >= 1 and h >= 1 and w == int(w) and h == int(h)
    fx, fy, cx, cy = (_number(fields, key) for key in _K_KEYS)
    if math.isnan(fx) and sized:
        fx = 0.5 * w / math.tan(0.5 * _number(fields, "camera_angle_x"))
        angle_y = _number(fields, "camera_angle_y")
        fy = fx if math.isnan(angle_y) else 0.5 * h / math.tan(0.5 * angle_y)
        cx, cy = (v if not math.isnan(v) else 0.5 * n for v, n in ((cx, w), (cy, h)))
    fy = fx if math.isnan(fy) else fy
    if not all(math.isfinite(v) for v in (fx, fy, cx, cy)):
        raise ValueError("intrinsic_missing")
    K = np.array([[fx, 0.0, cx - PIXEL_CENTRE], [0.0, fy, cy - PIXEL_CENTRE], [0.0, 0.0, 1.0]])
    return Intrinsics(K, (int(w), int(h)) if sized else None, _lens(fields))


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


def _named(frame: dict[str, Any], keys: tuple[str, ...]) -> str | None:
    """The path under the first of the keys that names one, with forward slashes."""
    for key in keys:
        name = frame.get(key)
        if isinstance(name, str) and name:
            return name.replace("\\", "/")
    return None


def _file(folder: Path, name: str | None) -> Path | None:
    """The file that a frame names; instant-ngp leaves out the suffix of images."""
    if name is None:
        return None
    path = resolve_inside(folder, name)
    if path.suffix.lower() not in _IMAGE_SUFFIXES and not path.is_file():
        for suffix in _IMAGE_SUFFIXES:
            longer = path.with_name(path.name + suffix)
            if longer.is_file():
                return longer
    return path


def _frame_files(
    folder: Path, stored: dict[str, Any], frames: list[dict[str, Any]], stride: int
) -> Iterator[FrameFiles]:
    common = {key: value for key, value in stored.items() if key != "frames"}
    scale = _number(stored, "applied_scale", 1.0)
    order = sorted(
        range(len(frames)), key=lambda i: natural_order(str(frames[i].get("file_path", "")))
    )
    for index, row in enumerate(order):
        if index % stride:
            continue
        frame = frames[row]
        color, fault = None, ""
        depth = intrinsics = None
        try:
            color = _file(folder, _named(frame, ("file_path",)))
            depth = _file(folder, _named(frame, _DEPTH_KEYS))
            intrinsics = frame_intrinsics({**common, **frame})
        except SceneFormatError as error:
            fault = error.code
        except ValueError as error:  # its message is the reason code
            fault = str(error)
        yield FrameFiles(
            index=index,
            name=f"{index:05d}" if color is None else color.stem,
            color=color,
            depth=depth,
            world_from_cam=_read_pose(frame, scale),
            fault=fault,
            intrinsics=intrinsics,
        )


def is_capture(folder: Path) -> bool:
    """Whether a folder holds a `transforms.json`."""
    return (folder / TRANSFORMS).is_file()


class NerfstudioSource(FolderSource):
    """nerfstudio captures."""

    __slots__ = ()
    kind: ClassVar[str] = "nerfstudio"

    def open(self, scene_id: str) -> Scene:
        """Open one capture: its `transforms.json` and the headers of its images.

        Raises:
            SceneFormatError: No such capture, no frame whose camera is known, or no frame with
                image and depth.
        """
        folder = self.folder(scene_id)
        path = folder / TRANSFORMS
        stored, rows = _read_transforms(path)
        scale, unit = _number(stored, "applied_scale", 1.0), _depth_unit(stored)
        if not (1e-6 < scale < 1e6 and (unit is None or 1e-9 < unit < 1e3)):
            raise SceneFormatError(
                path, f"applied_scale or {_UNIT_KEYS[0]} is out of range", code="transforms_bad"
            )
        files = listed(_frame_files(folder, stored, rows, self.options.stride or 1), folder)
        built = build_frames(files, self.root.resolve(), folder)
        if built.color is None:
            raise _no_camera(path, built.frames)
        return self.registered_scene(scene_id, built, built.color, depth_scale=unit, inputs=[path])


def _depth_unit(stored: dict[str, Any]) -> float | None:
    key = next((key for key in _UNIT_KEYS if key in stored), None)
    return None if key is None else _number(stored, key)


def _no_camera(path: Path, frames: Sequence[Frame]) -> SceneFormatError:
    """No frame has a camera: the commonest reason names the scene's."""
    reasons = [frame.reason for frame in frames if frame.reason in _CAMERA_FAULTS]
    code = max(set(reasons), key=reasons.count, default="intrinsic_missing")
    return SceneFormatError(path, _CAMERA_FAULTS[code], count_reasons(frames), code=code)
