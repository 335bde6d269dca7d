# SPDX-License-Identifier: Apache-2.0
"""Reader of Replica as NICE-SLAM renders it: `traj.txt` and `results/` with images and depth.

A line of `traj.txt` is world_from_cam, 16 numbers, OpenCV axes, z up. `cam_params.json`, in the
scene's folder or above it, holds w, h, fx, fy, cx, cy and the units of depth to the metre.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from spatialcore.errors import SceneFormatError
from spatialcore.io.file_tree import FileTree
from spatialcore.io.folder_source import FolderSource
from spatialcore.io.frame_files import FrameFiles, build_frames, count_reasons, listed
from spatialcore.io.intrinsics import Intrinsics
from spatialcore.io.paths import read_json, read_text
from spatialcore.io.refusals import present
from spatialcore.types import Float64, Scene

TRAJECTORY, CAMERA = "traj.txt", "cam_params.json"
_TRAJECTORY_BYTES = 256 << 20
_UP = np.array([0.0, 0.0, 1.0])


def is_render(folder: Path) -> bool:
    """Whether a folder holds a trajectory and its rendered frames."""
    return (folder / TRAJECTORY).is_file() and (folder / "results").is_dir()


def _poses(path: Path) -> list[Float64 | None]:
    """world_from_cam of each line; None for one that is not 16 numbers."""
    poses: list[Float64 | None] = []
    for line in read_text(path, _TRAJECTORY_BYTES).splitlines():
        if not line.strip():
            continue
        try:
            numbers = [float(word) for word in line.split()]
        except ValueError:
            numbers = []
        poses.append(np.array(numbers).reshape(4, 4) if len(numbers) == 16 else None)
    return poses


def _camera(folder: Path, root: Path) -> tuple[Intrinsics, float, Path]:
    """The camera of all frames, metres a unit of depth, and the file that says so."""
    path = next((f / CAMERA for f in (folder, root) if present(f / CAMERA)), None)
    if path is None:
        raise SceneFormatError(
            folder, f"has no {CAMERA}", "it lies in the scene's folder or above it",
            code="intrinsic_missing",
        )  # fmt: skip
    stored: Any = read_json(path)
    fields = stored.get("camera") if isinstance(stored, dict) else None
    names = ("w", "h", "fx", "fy", "cx", "cy", "scale")
    values: list[Any] = [fields.get(n) if isinstance(fields, dict) else None for n in names]
    if not all(type(v) in (int, float) and 0 < v < 1e6 for v in values):
        raise SceneFormatError(
            path, 'must hold {"camera": {w, h, fx, fy, cx, cy, scale}}', code="intrinsic"
        )
    w, h, fx, fy, cx, cy, scale = (float(v) for v in values)
    K = np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])
    return Intrinsics(K, (int(w), int(h))), 1.0 / scale, path


def _frame_files(folder: Path, camera: Intrinsics, stride: int) -> Iterator[FrameFiles]:
    tree = FileTree(folder)
    for index, pose in enumerate(_poses(folder / TRAJECTORY)):
        if index % stride:
            continue
        names = (f"results/frame{index:06d}.jpg", f"results/depth{index:06d}.png")
        color, depth = (tree.find(name) for name in names)
        yield FrameFiles(
            index=index, name=f"{index:06d}", color=color, depth=depth, world_from_cam=pose,
            fault="pose_unreadable" if pose is None else "", intrinsics=camera,
        )  # fmt: skip


class ReplicaSource(FolderSource):
    """Rendered Replica scenes."""

    __slots__ = ()
    kind: ClassVar[str] = "replica"

    def open(self, scene_id: str) -> Scene:
        """Open one scene: its trajectory and the headers of its frames.

        Raises:
            SceneFormatError: No such scene, no camera, or no frame with image and depth.
        """
        folder = self.folder(scene_id)
        camera, unit, path = _camera(folder, self.root.resolve())
        files = listed(_frame_files(folder, camera, self.options.stride or 1), folder)
        built = build_frames(files, self.root.resolve(), folder)
        if built.color is None:
            raise SceneFormatError(path, count_reasons(built.frames), code="intrinsic")
        inputs = [folder / TRAJECTORY, path]
        return self.registered_scene(
            scene_id, built, built.color, depth_scale=unit, inputs=inputs, world_up=_UP
        )
