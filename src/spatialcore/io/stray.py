# SPDX-License-Identifier: Apache-2.0
"""Reader of Stray Scanner captures: a video, one depth map a frame, and `odometry.csv`.

The table has a column for each of `timestamp frame x y z qx qy qz qw`; newer versions add `fx fy
cx cy` of each frame, which are preferred to `camera_matrix.csv`. Poses are world_from_cam of a
camera with OpenCV's axes. Depth is PNG in millimetres, registered to the video. World: y up.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import ClassVar

import numpy as np

from spatialcore.errors import SceneFormatError
from spatialcore.io.arkit import arkit_scene
from spatialcore.io.crowds import check_frame_count
from spatialcore.io.folder_source import FolderSource
from spatialcore.io.frame_files import FrameFiles
from spatialcore.io.intrinsics import Intrinsics
from spatialcore.io.matrices import number_rows, read_matrix
from spatialcore.io.paths import list_names, read_text
from spatialcore.io.quaternions import poses_from_quaternions
from spatialcore.io.refusals import present
from spatialcore.io.videos import video_frame_count, video_size
from spatialcore.types import Float64, Scene

ODOMETRY, VIDEO, MATRIX = "odometry.csv", "rgb.mp4", "camera_matrix.csv"
_POSE = ("timestamp", "frame", "x", "y", "z", "qx", "qy", "qz", "qw")
_INTRINSICS = ("fx", "fy", "cx", "cy")
_TABLE_BYTES = 128 << 20  # a hundred a frame


def _read_odometry(path: Path) -> tuple[Float64, bool]:
    """Rows of time, frame, position, quaternion, and fx fy cx cy where the second value says so."""
    rows = csv.reader(read_text(path, _TABLE_BYTES).splitlines())
    try:
        header = [word.strip() for word in next(rows, [])]
        missing = [word for word in _POSE if word not in header]
        if missing:
            raise SceneFormatError(path, f"has no column {missing[0]}", code="list_bad")
        own = all(word in header for word in _INTRINSICS)
        wanted = [header.index(word) for word in (*_POSE, *(_INTRINSICS if own else ()))]
        body = ([row[k] for k in wanted] if len(row) >= len(header) else [] for row in rows if row)
        what = "has rows shorter than its header"
        return number_rows(body, len(wanted), path, what), own
    except csv.Error as error:
        raise SceneFormatError(path, f"is no table: {error}", code="list_bad") from error


def _intrinsics(row: Float64 | None, shared: Float64 | None) -> Intrinsics | None:
    if row is not None and np.isfinite(row).all():
        fx, fy, cx, cy = row.tolist()
        return Intrinsics(np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]]))
    return None if shared is None else Intrinsics(shared)


def _frame_files(folder: Path, stride: int) -> tuple[list[FrameFiles], tuple[str, ...]]:
    table, own = _read_odometry(folder / ODOMETRY)
    shared = read_matrix(folder / MATRIX, (3, 3)) if present(folder / MATRIX) else None
    video = folder / VIDEO
    size, count = video_size(video), video_frame_count(video)
    depths = folder / "depth"
    known = set(list_names(depths)) if depths.is_dir() else set()
    check_frame_count(len(range(0, len(table), stride)), folder / ODOMETRY)
    poses = poses_from_quaternions(table[:, 2:5], table[:, 5:9])
    files = []
    for index in range(0, len(table), stride):
        number, time = table[index, 1], table[index, 0]
        if not 0 <= number < 1 << 30:
            raise SceneFormatError(folder / ODOMETRY, f"names frame {number}", code="list_bad")
        name = f"{int(number):06d}"
        intrinsics = _intrinsics(table[index, 9:] if own else None, shared)
        files.append(
            FrameFiles(
                index=index,
                name=name,
                color=video if count is None or number < count else None,
                depth=depths / f"{name}.png" if f"{name}.png" in known else None,
                world_from_cam=poses[index],
                fault="" if intrinsics is not None else "intrinsic_missing",
                time=float(time) if np.isfinite(time) else None,
                intrinsics=intrinsics,
                color_part=f"frame={int(number)}",
                color_size=size,
            )
        )
    differs = count is not None and count != len(table)
    return files, (f"video_frames={count}, odometry has {len(table)}",) if differs else ()


def is_capture(folder: Path) -> bool:
    """Whether a folder holds a video with its odometry."""
    return (folder / ODOMETRY).is_file() and (folder / VIDEO).is_file()


class StraySource(FolderSource):
    """Captures of Stray Scanner."""

    __slots__ = ()
    kind: ClassVar[str] = "stray"

    def open(self, scene_id: str) -> Scene:
        """Open one capture: its odometry, the packets of its video, the headers of its depth.

        Raises:
            SceneFormatError: No such capture, a malformed table or video, no PyAV (code "extra"),
                or no frame with picture, depth and camera.
        """
        folder = self.folder(scene_id)
        files, notes = _frame_files(folder, self.options.stride or 1)
        inputs = [folder / name for name in (ODOMETRY, MATRIX)]
        return arkit_scene(self, scene_id, files, depth_scale=0.001, inputs=inputs, notes=notes)
