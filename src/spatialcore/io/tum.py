# SPDX-License-Identifier: Apache-2.0
"""Reader of TUM RGB-D sequences: images, depth and camera positions, each with its own clock.

`rgb.txt` and `depth.txt` list `seconds file`, or `associations.txt` pairs of them;
`groundtruth.txt` lists `seconds tx ty tz qx qy qz qw` of world_from_cam. Depth is registered to
colour, 5,000 units to the metre. The layout holds no K: an `intrinsic.txt` is read, else the
published K of the Kinect that the folder's name tells (freiburg1, 2 or 3).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np

from spatialcore.errors import SceneFormatError
from spatialcore.io.clocks import PAIR_GAP_S, all_nearest, paired, pose_at
from spatialcore.io.crowds import check_frame_count
from spatialcore.io.folder_source import FolderSource
from spatialcore.io.frame_files import FrameFiles, build_frames, with_one_camera
from spatialcore.io.matrices import make_camera, number_rows, parse_words, read_intrinsic
from spatialcore.io.paths import (
    read_text,
    resolve_inside,
)
from spatialcore.io.quaternions import poses_from_quaternions
from spatialcore.io.refusals import present
from spatialcore.types import Camera, Float64, Scene

LISTS = ("rgb.txt", "depth.txt", "groundtruth.txt")
PAIRS = ("associations.txt", "associate.txt", "associated.txt", "association.txt")
DEPTH_SCALE = 1 / 5000
_LIST_BYTES = 64 << 20
_MOST_ROWS = 1 << 19  # 17 minutes of a motion capture at 500 Hz
# fx fy cx cy of the colour cameras, as the benchmark publishes them, and whether their images
# still hold lens distortion.
_PUBLISHED_K = {
    "freiburg1": ((517.3, 516.5, 318.6, 255.3), True),
    "freiburg2": ((520.9, 521.0, 325.1, 249.7), True),
    "freiburg3": ((535.4, 539.2, 320.1, 247.6), False),
}


def _rows(path: Path) -> list[list[str]]:
    """Words of every line that is not a comment, in file order.

    Between them stand blanks and tabs, or in a line that has them commas or semicolons.
    """
    rows = []
    lines = read_text(path, _LIST_BYTES).splitlines()
    if len(lines) > _MOST_ROWS:
        raise SceneFormatError(path, f"lists more than {_MOST_ROWS:,} rows", code="list_bad")
    for line in lines:
        text = line.strip().replace(";", ",")
        if text and not text.startswith("#"):
            commas = "," in text
            rows.append(
                [w.strip() for w in text.rstrip(",").split(",")] if commas else text.split()
            )
    return rows


def _finite_times(rows: list[list[str]], column: int, path: Path) -> Float64:
    times = parse_words((row[column] for row in rows), path)
    if not np.isfinite(times).all():
        raise SceneFormatError(path, "holds a time that is not finite", code="list_bad")
    return times


def _read_list(path: Path) -> tuple[Float64, list[str], bool]:
    """Times (n,) in ascending order, the file of each, and whether lines hold more than that."""
    rows = _rows(path)
    if any(len(row) < 2 for row in rows):
        raise SceneFormatError(path, "must list `seconds file` on every line", code="list_bad")
    times = _finite_times(rows, 0, path)
    order = np.argsort(times, kind="stable")
    return times[order], [rows[i][1] for i in order], any(len(row) > 2 for row in rows)


def _read_trajectory(path: Path) -> tuple[Float64, Float64]:
    """Times (n,) in ascending order and world_from_cam (n, 4, 4)."""
    what = "must list `seconds tx ty tz qx qy qz qw` on every line"
    table = number_rows(_rows(path), 8, path, what, longer=True)
    table = table[np.isfinite(table[:, 0])]
    table = table[np.argsort(table[:, 0], kind="stable")]
    return table[:, 0], poses_from_quaternions(table[:, 1:4], table[:, 4:8])


class _Pairs(NamedTuple):
    """Pictures in order of their times, each with its depth map or None."""

    times: Float64
    colors: list[str]
    depths: list[str | None]
    notes: tuple[str, ...] = ()


def _listed_pairs(folder: Path) -> _Pairs:
    """Pictures of `rgb.txt` with the maps of `depth.txt` that were taken at the same time."""
    color_times, colors, more = _read_list(folder / "rgb.txt")
    depth_times, depths, more_depth = _read_list(folder / "depth.txt")
    rows, apart = paired(depth_times, color_times, PAIR_GAP_S)
    notes: tuple[str, ...] = (f"depth_apart_ms={apart}",) if apart else ()
    notes += ("list_columns_ignored",) if more or more_depth else ()
    return _Pairs(color_times, colors, [None if r is None else depths[r] for r in rows], notes)


def _associated_pairs(path: Path) -> _Pairs:
    """Pairs that a person or tool has made: `seconds file seconds file`, depth first or last."""
    rows = _rows(path)
    if not rows or any(len(row) < 4 for row in rows):
        raise SceneFormatError(
            path, "must list `seconds file seconds file` on every line", code="list_bad"
        )
    depth_first = "depth" in rows[0][1].lower() and "depth" not in rows[0][3].lower()
    color, depth = (2, 0) if depth_first else (0, 2)
    times = _finite_times(rows, color, path)
    order = np.argsort(times, kind="stable")
    more = ("list_columns_ignored",) if any(len(row) > 4 for row in rows) else ()
    return _Pairs(
        times[order],
        [rows[i][color + 1] for i in order],
        [rows[i][depth + 1] for i in order],
        more,
    )


def _read_pairs(folder: Path) -> tuple[_Pairs, tuple[Path, ...]]:
    """The pairs, and the files that say so: a list of pairs counts before the two lists."""
    made = _association(folder)
    if made is None:
        return _listed_pairs(folder), (folder / "rgb.txt", folder / "depth.txt")
    pairs, listed = _associated_pairs(made), folder / "rgb.txt"
    if listed.is_file():
        missing = len(set(_read_list(listed)[1]) - set(pairs.colors))
        notes = (*pairs.notes, *((f"pictures_unpaired={missing}",) if missing else ()))
        pairs = pairs._replace(notes=notes)
    return pairs, (made,)


def _association(folder: Path) -> Path | None:
    return next((folder / name for name in PAIRS if (folder / name).is_file()), None)


def _frame_files(folder: Path, pairs: _Pairs, stride: int) -> tuple[list[FrameFiles], str]:
    """The frames, and a note where poses had to be taken from between two."""
    pose_times, poses = _read_trajectory(folder / "groundtruth.txt")
    kept = range(0, len(pairs.colors), stride)
    check_frame_count(len(kept), folder)
    near = all_nearest(pose_times, pairs.times[::stride], PAIR_GAP_S)
    known = np.isfinite(poses).all(axis=(1, 2))
    sparse = 2 * sum(row is not None for row in near) < len(near)
    files, between = [], 0
    for index, row in zip(kept, near, strict=True):
        time, depth = float(pairs.times[index]), pairs.depths[index]
        pose = None if row is None else poses[row]
        if sparse:
            pose, made = pose_at(pose_times[known], poses[known], time)
            between += made
        color = resolve_inside(folder, pairs.colors[index])
        files.append(
            FrameFiles(
                index=index,
                name=color.stem,
                color=color,
                depth=None if depth is None else resolve_inside(folder, depth),
                world_from_cam=pose,
                time=time,
            )
        )
    return files, f"poses_interpolated={between}" if between else ""


def _read_camera(folder: Path, size: tuple[int, int]) -> tuple[Camera, tuple[str, ...]]:
    """The colour camera, and a note where its images are distorted."""
    if present(folder / "intrinsic.txt"):
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
    """Whether a folder holds the three lists, or a list of pairs with a trajectory."""
    if not (folder / LISTS[2]).is_file():
        return False
    both = all((folder / name).is_file() for name in LISTS[:2])
    return both or _association(folder) is not None


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
        pairs, lists = _read_pairs(folder)
        files, between = _frame_files(folder, pairs, self.options.stride or 1)
        built = build_frames(files, self.root.resolve(), folder)
        camera, notes = _read_camera(folder, built.color_size)
        built, camera, _ = with_one_camera(built, camera, None)
        notes += (*pairs.notes, *((between,) if between else ()))
        inputs = [*lists, folder / LISTS[2], folder / "intrinsic.txt"]
        return self.registered_scene(
            scene_id, built, camera, depth_scale=DEPTH_SCALE, inputs=inputs, notes=notes
        )
