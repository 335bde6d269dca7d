# SPDX-License-Identifier: Apache-2.0
"""Reader of TUM RGB-D sequences: images, depth and camera positions, each with its own clock.

`rgb.txt` and `depth.txt` list `seconds file`, `groundtruth.txt` lists
`seconds tx ty tz qx qy qz qw` of world_from_cam. Depth is registered to colour, 5,000 units to
the metre. The layout holds no K: an `intrinsic.txt` is read, else the published K of the Kinect
that the folder's name tells (freiburg1, 2 or 3).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np

from spatialcore.errors import SceneFormatError
from spatialcore.io.folder_source import FolderSource
from spatialcore.io.frame_files import FrameFiles, build_frames
from spatialcore.io.matrices import make_camera, parse_words, read_intrinsic
from spatialcore.io.paths import (
    read_text,
    resolve_inside,
)
from spatialcore.types import Camera, Float64, Scene

LISTS = ("rgb.txt", "depth.txt", "groundtruth.txt")
DEPTH_SCALE = 1 / 5000
# Colour and depth of a Kinect come at 30 Hz; the published tool pairs within 20 ms.
MAX_GAP_S = 0.02
_LIST_BYTES = 64 << 20
# fx fy cx cy of the colour cameras, as the benchmark publishes them, and whether their images
# still hold lens distortion.
_PUBLISHED_K = {
    "freiburg1": ((517.3, 516.5, 318.6, 255.3), True),
    "freiburg2": ((520.9, 521.0, 325.1, 249.7), True),
    "freiburg3": ((535.4, 539.2, 320.1, 247.6), False),
}


def _rows(path: Path) -> list[list[str]]:
    """Words of every line that is not a comment, in file order."""
    lines = read_text(path, _LIST_BYTES).splitlines()
    return [line.split() for line in lines if line.strip() and not line.startswith("#")]


def _read_list(path: Path) -> tuple[Float64, list[str]]:
    """Times (n,) in ascending order and the file of each."""
    rows = _rows(path)
    if any(len(row) != 2 for row in rows):
        raise SceneFormatError(path, "must list `seconds file` on every line", code="list_bad")
    times = parse_words((row[0] for row in rows), path)
    if not np.isfinite(times).all():
        raise SceneFormatError(path, "holds a time that is not finite", code="list_bad")
    order = np.argsort(times, kind="stable")
    return times[order], [rows[i][1] for i in order]


def _read_trajectory(path: Path) -> tuple[Float64, Float64]:
    """Times (n,) in ascending order and world_from_cam (n, 4, 4)."""
    rows = _rows(path)
    if any(len(row) != 8 for row in rows):
        raise SceneFormatError(
            path, "must list `seconds tx ty tz qx qy qz qw` on every line", code="list_bad"
        )
    table = parse_words((word for row in rows for word in row), path).reshape(-1, 8)
    table = table[np.isfinite(table[:, 0])]
    table = table[np.argsort(table[:, 0], kind="stable")]
    return table[:, 0], poses_from_quaternions(table[:, 1:4], table[:, 4:8])


def poses_from_quaternions(translation: Float64, quaternion: Float64) -> Float64:
    """Affine matrices (n, 4, 4) from translations (n, 3) and quaternions (n, 4) as x y z w.

    Quaternions are scaled to length 1; one of length 0 gives a matrix of NaN.
    """
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        x, y, z, w = (quaternion / np.sqrt((quaternion**2).sum(axis=1, keepdims=True))).T
    pose = np.zeros((len(translation), 4, 4))
    pose[:, 0, :3] = np.stack(
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)], 1
    )
    pose[:, 1, :3] = np.stack(
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)], 1
    )
    pose[:, 2, :3] = np.stack(
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)], 1
    )
    pose[:, :3, 3] = translation
    pose[:, 3, 3] = 1.0
    return pose


def nearest(times: Float64, wanted: float, gap: float = MAX_GAP_S) -> int | None:
    """Row of the sorted `times` that is nearest to `wanted`, None beyond `gap` seconds."""
    after = int(np.searchsorted(times, wanted))
    rows = [i for i in (after - 1, after) if 0 <= i < len(times)]
    best = min(rows, key=lambda i: abs(times[i] - wanted), default=None)
    return best if best is not None and abs(times[best] - wanted) <= gap else None


def _frame_files(folder: Path, stride: int) -> Iterator[FrameFiles]:
    color_times, color_names = _read_list(folder / "rgb.txt")
    depth_times, depth_names = _read_list(folder / "depth.txt")
    pose_times, poses = _read_trajectory(folder / "groundtruth.txt")
    for index in range(0, len(color_names), stride):
        time = float(color_times[index])
        depth_row, pose_row = nearest(depth_times, time), nearest(pose_times, time)
        color = resolve_inside(folder, color_names[index])
        yield FrameFiles(
            index=index,
            name=color.stem,
            color=color,
            depth=None if depth_row is None else resolve_inside(folder, depth_names[depth_row]),
            world_from_cam=None if pose_row is None else poses[pose_row],
            time=time,
        )


def _read_camera(folder: Path, size: tuple[int, int]) -> tuple[Camera, tuple[str, ...]]:
    """The colour camera, and a note where its images are distorted."""
    if (folder / "intrinsic.txt").is_file():
        return read_intrinsic(folder / "intrinsic.txt", *size), ()
    found = re.search("freiburg[123]", folder.name)
    if found is None or size != (640, 480):
        raise SceneFormatError(
            folder,
            "has no intrinsic.txt",
            "a text file with the 3x3 K of the colour images",
            code="intrinsic_missing",
        )
    (fx, fy, cx, cy), distorted = _PUBLISHED_K[found.group()]
    K = np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])
    return make_camera(K, *size, folder), (("distortion_ignored",) if distorted else ())


def is_sequence(folder: Path) -> bool:
    """Whether a folder holds the three lists."""
    return all((folder / name).is_file() for name in LISTS)


class TumSource(FolderSource):
    """TUM RGB-D sequences."""

    __slots__ = ()
    kind: ClassVar[str] = "tum"

    def open(self, scene_id: str) -> Scene:
        """Open one sequence: its lists, and the headers of its images.

        Raises:
            SceneFormatError: No such sequence, a malformed list, no K, or no usable frame.
        """
        folder = self.folder(scene_id)
        files = _frame_files(folder, self.options.stride or 1)
        built = build_frames(files, self.root.resolve(), folder)
        camera, notes = _read_camera(folder, built.color_size)
        inputs = [folder / name for name in (*LISTS, "intrinsic.txt")]
        return self.registered_scene(
            scene_id, built, camera, depth_scale=DEPTH_SCALE, inputs=inputs, notes=notes
        )
