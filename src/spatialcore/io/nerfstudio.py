# SPDX-License-Identifier: Apache-2.0
"""Reader of nerfstudio captures with depth: lists of frames, beside pictures and depth maps.

Conventions of the format, undone here: cameras are OpenGL (x right, y up, z back), pixel centres
lie at +0.5, positions are multiplied by `applied_scale`. Intrinsics and lens may be given for the
file or frame by frame. Depth is z, registered to the colour view; its unit is
`depth_unit_scale_factor`, else a millimetre for integers and a metre for floats. The keys of
instant-ngp, NeRFCapture and Blender's synthetic scenes (`depth_path`, `integer_depth_scale`, names
without suffix, `camera_angle_x` without a size) are known.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from spatialcore.errors import SceneFormatError
from spatialcore.io.file_tree import FileTree
from spatialcore.io.folder_source import FolderSource
from spatialcore.io.frame_files import FrameFiles, Size, build_frames, count_reasons, listed
from spatialcore.io.images import image_size
from spatialcore.io.intrinsics import Intrinsics
from spatialcore.io.matrices import matrix_rows
from spatialcore.io.nerfstudio_lists import ListedFrames, number, read_lists, refuse_drawn_depth
from spatialcore.io.paths import resolve_inside
from spatialcore.lens import Lens
from spatialcore.types import Float64, Frame, Scene

PIXEL_CENTRE = 0.5  # of this format; spatialcore's are integers
_K_KEYS = ("fl_x", "fl_y", "cx", "cy")
# nerfstudio; NeRFCapture and instant-ngp.
_DEPTH_KEYS = ("depth_file_path", "depth_path")
_IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")
_SIZED = frozenset(("w", "h", "fl_x"))
# What a camera is made of; a frame that has none of these has that of its list.
_CAMERA_KEYS = _SIZED.union(
    ("fl_y", "cx", "cy", "camera_angle_x", "camera_angle_y", "camera_model", "is_fisheye"),
    (f"k{n}" for n in range(1, 7)),
    ("p1", "p2"),
)
_PINHOLES = (
    "OPENCV", "FULL_OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "PERSPECTIVE", "SIMPLE_RADIAL", "RADIAL",
)  # fmt: skip
_FISHEYES = ("OPENCV_FISHEYE", "FISHEYE")
_PANORAMAS = ("EQUIRECTANGULAR", "OMNIDIRECTIONALSTEREO_L", "OMNIDIRECTIONALSTEREO_R", "VR180_L",
              "VR180_R")  # fmt: skip
_CAMERA_FAULTS = {
    "intrinsic_missing": "has no fl_x, fl_y, cx and cy, and no camera_angle_x",
    "intrinsic_bad": "has intrinsics that are not finite and positive",
    "intrinsic_size": "has w and h of another shape than the images have",
    "principal_point_outside": "has a principal point outside the picture",
    "camera_model_unknown": "has a camera model whose lens is not known",
    "panorama": "holds panoramas, which no pinhole with a lens describes",
}
_OPENCV_FROM_OPENGL = np.array([1.0, -1.0, -1.0])


def _lens(fields: dict[str, Any]) -> Lens | None:
    """The lens of a frame; ValueError, whose message is a reason code, when it is not known."""
    model = fields.get("camera_model", "OPENCV")
    fisheye = model in _FISHEYES or fields.get("is_fisheye") is True
    if not fisheye and model not in _PINHOLES:
        raise ValueError("panorama" if model in _PANORAMAS else "camera_model_unknown")
    k = [number(fields, f"k{n}", 0.0) for n in range(1, 7)]
    p = [number(fields, f"p{n}", 0.0) for n in (1, 2)]
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
    w, h = number(fields, "w"), number(fields, "h")
    sized = w >= 1 and h >= 1 and w == int(w) and h == int(h)
    fx, fy, cx, cy = (number(fields, key) for key in _K_KEYS)
    if math.isnan(fx) and sized:
        fx = 0.5 * w / math.tan(0.5 * number(fields, "camera_angle_x"))
        angle_y = number(fields, "camera_angle_y")
        fy = fx if math.isnan(angle_y) else 0.5 * h / math.tan(0.5 * angle_y)
        cx, cy = (v if not math.isnan(v) else 0.5 * n for v, n in ((cx, w), (cy, h)))
    fy = fx if math.isnan(fy) else fy
    if not all(math.isfinite(v) for v in (fx, fy, cx, cy)):
        raise ValueError("intrinsic_missing")
    K = np.array([[fx, 0.0, cx - PIXEL_CENTRE], [0.0, fy, cy - PIXEL_CENTRE], [0.0, 0.0, 1.0]])
    return Intrinsics(K, (int(w), int(h)) if sized else None, _lens(fields))


def _read_pose(frame: dict[str, Any], scale: float) -> Float64 | None:
    """world_from_cam (4, 4) with OpenCV axes, or None when the frame has no matrix."""
    stored = matrix_rows(frame.get("transform_matrix"), (4, 4), (3, 4))
    if stored is None:
        return None
    pose = np.eye(4)
    pose[: len(stored)] = stored
    pose[:3, :3] *= _OPENCV_FROM_OPENGL
    pose[:3, 3] /= scale  # what is no number stays none
    return pose


def _named(frame: dict[str, Any], keys: tuple[str, ...]) -> str | None:
    """The path under the first of the keys that names one, with forward slashes."""
    for key in keys:
        name = frame.get(key)
        if isinstance(name, str) and name:
            return name.replace("\\", "/")
    return None


class _Shared:
    """What many frames of a capture share, made once: files by their names, and a list's camera.

    Args:
        folder: Of the capture.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._tree = folder, FileTree(folder)
        self._files: dict[str, Path] = {}
        self._cameras: dict[tuple[int, Size | None], Intrinsics] = {}
        self._sizes: dict[Path, Size] = {}

    def file(self, name: str | None) -> Path | None:
        """The file of a name; instant-ngp leaves out the suffix of images."""
        if name is None:
            return None
        if name not in self._files:
            path = resolve_inside(self._folder, name)
            if not name.lower().endswith(_IMAGE_SUFFIXES):
                path = self._tree.find(name, suffixes=("", *_IMAGE_SUFFIXES)) or path
            self._files[name] = path
        return self._files[name]

    def intrinsics(
        self, common: dict[str, Any], frame: dict[str, Any], color: Path | None, *, posed: bool
    ) -> Intrinsics:
        """The camera of a frame; ValueError, whose message is a reason code, when it has none."""
        angle = "camera_angle_x" in common or "camera_angle_x" in frame
        unsized = posed and angle and _SIZED.isdisjoint(common) and _SIZED.isdisjoint(frame)
        size = self._size(color) if unsized else None
        key = id(common), size
        own = not _CAMERA_KEYS.isdisjoint(frame)
        if own or key not in self._cameras:
            fields = {**common, **frame} | ({} if size is None else {"w": size[0], "h": size[1]})
            found = frame_intrinsics(fields)
            if own:
                return found
            self._cameras[key] = found
        return self._cameras[key]

    def _size(self, color: Path | None) -> Size:
        """(width, height) of a picture, whose camera is an angle of view alone."""
        if color is not None and color in self._sizes:
            return self._sizes[color]
        if color is None or not os.path.isfile(color):  # noqa: PTH113 - a name may be too long
            raise ValueError("image_missing")
        return self._sizes.setdefault(color, image_size(color))


def _frame_files(folder: Path, found: ListedFrames, stride: int) -> Iterator[FrameFiles]:
    shared = _Shared(folder)
    for index in range(0, len(found.frames), stride):
        common, frame = found.frames[index]
        color, fault = None, ""
        depth = intrinsics = None
        pose = _read_pose(frame, number(common, "applied_scale", 1.0))
        try:
            color = shared.file(_named(frame, ("file_path",)))
            depth = shared.file(_named(frame, _DEPTH_KEYS))
            intrinsics = shared.intrinsics(common, frame, color, posed=pose is not None)
        except SceneFormatError as error:
            fault = error.code
        except ValueError as error:  # its message is the reason code
            fault = str(error)
        yield FrameFiles(
            index=index,
            name=f"{index:05d}" if color is None else color.stem,
            color=color,
            depth=depth,
            world_from_cam=pose,
            fault=fault,
            intrinsics=intrinsics,
        )


class NerfstudioSource(FolderSource):
    """nerfstudio captures."""

    __slots__ = ()
    kind: ClassVar[str] = "nerfstudio"

    def open(self, scene_id: str) -> Scene:
        """Open one capture: its lists of frames and the headers of its images.

        Raises:
            SceneFormatError: No such capture, no frame whose camera is known, or no frame with
                image and depth.
        """
        folder = self.folder(scene_id)
        found = read_lists(folder)
        files = listed(_frame_files(folder, found, self.options.stride or 1), folder)
        root = self.root.resolve()
        refuse_drawn_depth(files, found.paths[0], root)
        built = build_frames(files, root, folder)
        if built.color is None:
            raise _no_camera(found.paths[0], built.frames)
        return self.registered_scene(
            scene_id,
            built,
            built.color,
            depth_scale=found.unit,
            inputs=found.paths,
            notes=found.notes,
        )


def _no_camera(path: Path, frames: Sequence[Frame]) -> SceneFormatError:
    """No frame has a camera: the commonest reason names the scene's."""
    reasons = [frame.reason for frame in frames if frame.reason in _CAMERA_FAULTS]
    code = max(set(reasons), key=reasons.count, default="intrinsic_missing")
    return SceneFormatError(path, _CAMERA_FAULTS[code], count_reasons(frames), code=code)
