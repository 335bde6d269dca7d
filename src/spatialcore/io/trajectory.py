# SPDX-License-Identifier: Apache-2.0
"""Reader of folders whose poses stand in one list, as Open3D's and slambook's tools keep them.

`color/` (or `image/`, `rgb/`) and `depth/` hold pictures and maps, paired in the order of their
numbers. Open3D: `trajectory.log`, five lines a pose, the first three integers of which the first
counts the picture, then world_from_cam; K in a JSON file as `intrinsic_matrix`, column by column.
slambook: `pose.txt`, `x y z qx qy qz qw` of world_from_cam a line. OpenCV axes, millimetres.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np

from spatialcore.errors import SceneFormatError
from spatialcore.io.depth_maps import DEPTH_SUFFIXES
from spatialcore.io.folder_source import FolderSource
from spatialcore.io.frame_files import FrameFiles, Size, build_frames, with_one_camera
from spatialcore.io.matrices import is_number, make_camera, number_rows, parse_words, read_intrinsic
from spatialcore.io.names import natural_order
from spatialcore.io.paths import list_names, read_json, read_text
from spatialcore.io.quaternions import poses_from_quaternions
from spatialcore.types import Camera, Float64, Scene

LOGS = ("trajectory.log", "scene/trajectory.log", "scene/integrated.log")
LIST = "pose.txt"
_COLORS, _DEPTHS = ("color", "image", "rgb", "images"), ("depth", "depths")
_COLOR_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
_K_TEXT = "intrinsic.txt"
_K_JSON = ("camera_intrinsic.json", "intrinsic.json", "camera.json", "camera_primesense.json")
# Open3D's PinholeCameraIntrinsicParameters.PrimeSenseDefault.
_PRIMESENSE = (525.0, 525.0, 319.5, 239.5)
_BYTES = 256 << 20


def _poses_of(folder: Path) -> Path | None:
    return next((folder / n for n in (*LOGS, LIST) if (folder / n).is_file()), None)


def _place(folder: Path, names: tuple[str, ...]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_dir()), None)


def is_trajectory_folder(folder: Path) -> bool:
    """Whether a folder holds pictures, maps, and one list of poses."""
    both = _place(folder, _COLORS) is not None and _place(folder, _DEPTHS) is not None
    return both and _poses_of(folder) is not None


def _files(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    names = [n for n in list_names(folder) if n.lower().endswith(suffixes)]
    return [folder / name for name in sorted(names, key=natural_order)]


def _read_log(path: Path) -> dict[int, Float64]:
    """Picture -> world_from_cam; `nan` where a pose is lost."""
    words = read_text(path, _BYTES).split()
    if not words or len(words) % 19:
        raise SceneFormatError(
            path, f"holds {len(words)} numbers, a pose is three integers and a 4x4 matrix",
            code="list_bad",
        )  # fmt: skip
    rows = parse_words(words, path).reshape(-1, 19)
    numbers = rows[:, 0]
    counted = bool(np.isfinite(numbers).all() and (np.diff(numbers) > 0).all() and numbers[0] >= 0)
    keys = numbers.astype(int).tolist() if counted and numbers[-1] < 1e9 else range(len(rows))
    return dict(zip(keys, rows[:, 3:].reshape(-1, 4, 4), strict=True))


def _read_list(path: Path) -> dict[int, Float64]:
    rows = (r.split() for r in read_text(path, _BYTES).splitlines() if r.strip() and r[0] != "#")
    what = "must list `x y z qx qy qz qw` on every line"
    table = number_rows(rows, 7, path, what)
    if not len(table):
        raise SceneFormatError(path, what, code="list_bad")
    return dict(enumerate(poses_from_quaternions(table[:, :3], table[:, 3:])))


def _read_camera(folder: Path, size: Size) -> tuple[Camera, Path | None, tuple[str, ...]]:
    """The camera, the file that says so, and a note where none does."""
    if (folder / _K_TEXT).is_file():
        return read_intrinsic(folder / _K_TEXT, *size), folder / _K_TEXT, ()
    path = next((folder / name for name in _K_JSON if (folder / name).is_file()), None)
    if path is not None:
        stored = read_json(path)
        numbers = stored.get("intrinsic_matrix") if isinstance(stored, dict) else None
        if not (isinstance(numbers, list) and len(numbers) == 9 and all(map(is_number, numbers))):
            raise SceneFormatError(path, "has no intrinsic_matrix of 9 numbers", code="intrinsic")
        K = np.array(numbers, dtype=np.float64).reshape(3, 3).T
        return make_camera(K, *size, path), path, ()
    if size != (640, 480) or (folder / LIST).is_file():
        raise SceneFormatError(
            folder, f"has neither {_K_TEXT} nor {_K_JSON[0]}",
            "a text file with the 3x3 K of the colour images", code="intrinsic_missing",
        )  # fmt: skip
    fx, fy, cx, cy = _PRIMESENSE
    K = np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])
    return make_camera(K, *size, folder), None, ("camera_assumed",)


def _frame_files(
    colors: list[Path], depths: list[Path], poses: dict[int, Float64], stride: int
) -> Iterator[FrameFiles]:
    for index in range(0, len(colors), stride):
        yield FrameFiles(
            index=index,
            name=colors[index].stem,
            color=colors[index],
            depth=depths[index] if index < len(depths) else None,
            world_from_cam=poses.get(index),
        )


class TrajectorySource(FolderSource):
    """Folders with one list of poses."""

    __slots__ = ()
    kind: ClassVar[str] = "trajectory"

    def open(self, scene_id: str) -> Scene:
        """Open one folder: its list of poses, and the headers of its images.

        Raises:
            SceneFormatError: No such folder, a malformed list, no K, or no usable frame.
        """
        folder = self.folder(scene_id)
        color, depth, path = _place(folder, _COLORS), _place(folder, _DEPTHS), _poses_of(folder)
        if color is None or depth is None or path is None:
            raise SceneFormatError(folder, "lacks pictures, maps or poses", code="frames_missing")
        poses = _read_list(path) if path.name == LIST else _read_log(path)
        colors, depths = _files(color, _COLOR_SUFFIXES), _files(depth, DEPTH_SUFFIXES)
        notes: tuple[str, ...] = ()
        if len(colors) != len(depths):
            notes += (f"pictures={len(colors)}, maps={len(depths)}",)
        files = _frame_files(colors, depths, poses, self.options.stride or 1)
        built = build_frames(files, self.root.resolve(), folder)
        camera, of_K, assumed = _read_camera(folder, built.color_size)
        built, camera, _ = with_one_camera(built, camera, None)
        inputs = [path] if of_K is None else [path, of_K]
        return self.registered_scene(
            scene_id, built, camera, depth_scale=None, inputs=inputs, notes=notes + assumed
        )
