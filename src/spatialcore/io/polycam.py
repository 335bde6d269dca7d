# SPDX-License-Identifier: Apache-2.0
"""Reader of Polycam's raw export: `keyframes/` with pictures, cameras, depth and confidence.

Files of a keyframe share their name, its time in microseconds. A camera is a JSON object with
`t_00` ... `t_23` (rows of world_from_cam, ARKit's camera), `fx fy cx cy width height`. The
`corrected_` pictures and cameras (undistorted, poses optimised) are preferred; long captures lack
them. World: metres, y up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from spatialcore.errors import SceneFormatError
from spatialcore.io.arkit import arkit_scene, opencv_pose
from spatialcore.io.folder_source import FolderSource
from spatialcore.io.frame_files import FrameFiles, listed
from spatialcore.io.intrinsics import Intrinsics
from spatialcore.io.matrices import is_number
from spatialcore.io.paths import list_names, read_json
from spatialcore.types import Float64, Scene

KEYFRAMES = "keyframes"
_PAIRS = (("corrected_images", "corrected_cameras"), ("images", "cameras"))
_K_KEYS = ("fx", "fy", "cx", "cy", "width", "height")
_POSE_KEYS = tuple(f"t_{row}{column}" for row in range(3) for column in range(4))
_CAMERA_BYTES = 1 << 16
_MICROSECOND = 1e-6


def _numbers(stored: Mapping[str, Any], keys: tuple[str, ...]) -> Float64 | None:
    """The values of all keys, or None where one is missing or no number."""
    values = [stored.get(key) for key in keys]
    if not all(is_number(value) for value in values):
        return None
    return np.array(values, dtype=np.float64)


def _read_camera(path: Path) -> tuple[Intrinsics | None, Float64 | None, str]:
    """Intrinsics and pose of a keyframe, and the reason code where they cannot be used."""
    try:
        stored = read_json(path, _CAMERA_BYTES)
    except SceneFormatError as error:
        return None, None, "intrinsic_missing" if error.code == "file_missing" else "intrinsic_bad"
    if not isinstance(stored, dict):
        return None, None, "intrinsic_bad"
    numbers, rows = _numbers(stored, _K_KEYS), _numbers(stored, _POSE_KEYS)
    pose = None if rows is None else opencv_pose(np.vstack([rows.reshape(3, 4), [0, 0, 0, 1]]))
    if numbers is None or not ((numbers[4:] >= 1) & (numbers[4:] < 1 << 16)).all():
        return None, pose, "intrinsic_bad"
    fx, fy, cx, cy, width, height = numbers.tolist()
    K = np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])
    return Intrinsics(K, (round(width), round(height))), pose, ""


def _folders(keyframes: Path) -> tuple[Path, Path] | None:
    """The preferred pair of folders with pictures and cameras."""
    pairs = ((keyframes / a, keyframes / b) for a, b in _PAIRS)
    return next((pair for pair in pairs if all(f.is_dir() for f in pair)), None)


def _frame_files(keyframes: Path, images: Path, cameras: Path, stride: int) -> Iterator[FrameFiles]:
    names = {name.rpartition(".")[0]: name for name in list_names(images)}
    stems = sorted((s for s in names if s.isdecimal() and len(s) < 20), key=int)
    depths = keyframes / "depth"
    known = set(list_names(depths)) if depths.is_dir() else set()
    for index in range(0, len(stems), stride):
        stem = stems[index]
        intrinsics, pose, fault = _read_camera(cameras / f"{stem}.json")
        yield FrameFiles(
            index=index,
            name=stem,
            color=images / names[stem],
            depth=depths / f"{stem}.png" if f"{stem}.png" in known else None,
            world_from_cam=pose,
            fault=fault,
            time=int(stem) * _MICROSECOND,
            intrinsics=intrinsics,
        )


def is_export(folder: Path) -> bool:
    """Whether a folder is a raw export."""
    return _folders(folder / KEYFRAMES) is not None


class PolycamSource(FolderSource):
    """Raw exports of Polycam."""

    __slots__ = ()
    kind: ClassVar[str] = "polycam"

    def open(self, scene_id: str) -> Scene:
        """Open one capture: its cameras and the headers of its pictures.

        Raises:
            SceneFormatError: No such capture, or no keyframe with picture, depth and camera.
        """
        keyframes = self.folder(scene_id) / KEYFRAMES
        folders = _folders(keyframes)
        if folders is None:
            raise SceneFormatError(keyframes, "has no images/ with cameras/", code="frames_missing")
        images, cameras = folders
        files = listed(
            _frame_files(keyframes, images, cameras, self.options.stride or 1), keyframes
        )
        corrected = images.name == _PAIRS[0][0]
        return arkit_scene(
            self,
            scene_id,
            files,
            depth_scale=0.001,
            inputs=[cameras / f"{f.name}.json" for f in files],
            notes=() if corrected else ("poses_not_optimised", "distortion_ignored"),
        )
