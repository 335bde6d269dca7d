# SPDX-License-Identifier: Apache-2.0
"""Reader of ARKitScenes: the raw layout and that of 3-D detection.

`<fold>/<video>/` holds a folder a stream (`lowres_wide`, `wide` ..., depth, `<stream>_intrinsics`)
and `lowres_wide.traj`; the layout of 3-D detection has them in `<video>/<video>_frames/`. Files are
named `<video>_<seconds>`; streams are joined by these times. A pincam file holds one line
`w h fx fy cx cy`. The trajectory holds `seconds, axis-angle, translation` of cam_from_world. World:
metres, z up. Pictures lie as the sensor was held, and are turned upright by gravity, else by the
column `sky_direction` of `metadata.csv`.
"""

from __future__ import annotations

import csv
import functools
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np

from spatialcore.errors import SceneFormatError
from spatialcore.io.arkit_boxes import read_boxes
from spatialcore.io.clocks import nearest, pose_at
from spatialcore.io.confidence import read_confident_depth
from spatialcore.io.depth_maps import read_depth
from spatialcore.io.folder_source import FolderSource
from spatialcore.io.frame_files import FrameFiles, build_frames, listed
from spatialcore.io.intrinsics import Intrinsics
from spatialcore.io.matrices import number_rows, parse_numbers
from spatialcore.io.names import is_scene_id
from spatialcore.io.paths import list_names, read_text
from spatialcore.io.upright import upright_turn
from spatialcore.types import Float64, Scene, invert_pose

_UP = np.array([0.0, 0.0, 1.0])
# Streams of pictures, the largest first, and the depth maps that see the same view.
_STREAMS = {
    "wide": ("highres_depth", "depth_densified", "lowres_depth"),
    "vga_wide": ("lowres_depth",),
    "lowres_wide": ("lowres_depth", "depth_densified"),
}
_TRAJECTORIES = ("lowres_wide.traj", "color.traj")
_FOLDS = {"Training": "train", "Validation": "val"}
_TABLES = (
    "metadata.csv", "raw_train_val_splits.csv", "3dod_train_val_splits.csv",
    "upsampling_train_val_splits.csv",
)  # fmt: skip
_TABLE_FOLDERS = ("", "raw", "threedod", "depth_upsampling")
_SKY_TURN = {"up": 0, "left": 90, "down": 180, "right": 270}
# Times are written to a millisecond, and one file of a frame may be rounded the other way.
_SAME_S = 0.0015
_TRAJECTORY_BYTES = 64 << 20
_MAX_POSES = 1 << 18  # seven hours at 10 Hz
_TABLE_BYTES = 64 << 20


class _Stream(NamedTuple):
    """Files of a folder in the order of their times (n,) seconds."""

    times: Float64
    paths: tuple[Path, ...]

    def at(self, time: float, gap: float = _SAME_S) -> Path | None:
        row = nearest(self.times, time, gap)
        return None if row is None else self.paths[row]


def _stream(folder: Path, suffix: str) -> _Stream:
    """Files `<video>_<seconds><suffix>`; other names are left out."""
    found: list[tuple[float, str]] = []
    for name in list_names(folder) if folder.is_dir() else ():
        stem, _, seconds = name.removesuffix(suffix).rpartition("_")
        numeric = len(seconds) <= 24 and seconds.replace(".", "", 1).isdecimal()
        if name.endswith(suffix) and stem and numeric:
            found.append((float(seconds), name))
    found.sort()
    return _Stream(np.array([t for t, _ in found]), tuple(folder / name for _, name in found))


def _read_trajectory(path: Path) -> tuple[Float64, Float64]:
    """Times (n,) in ascending order and world_from_cam (n, 4, 4)."""
    from scipy.spatial.transform import Rotation

    lines = (line.split() for line in read_text(path, _TRAJECTORY_BYTES).splitlines() if line)
    what = "must hold a time, an axis-angle and a translation a line"
    table = number_rows(lines, 7, path, what)
    if not 0 < len(table) <= _MAX_POSES:
        what = what if not len(table) else f"holds more than {_MAX_POSES:,} poses"
        raise SceneFormatError(path, what, code="list_bad")
    table = table[np.isfinite(table).all(axis=1) & (np.abs(table[:, 1:4]) < 1e3).all(axis=1)]
    table = table[np.argsort(table[:, 0], kind="stable")]
    cam_from_world = np.tile(np.eye(4), (len(table), 1, 1))
    if len(table):
        cam_from_world[:, :3, :3] = Rotation.from_rotvec(table[:, 1:4]).as_matrix()
    cam_from_world[:, :3, 3] = table[:, 4:]
    return table[:, 0], invert_pose(cam_from_world)


def _read_pincam(path: Path | None) -> tuple[Intrinsics | None, str]:
    """The camera of a picture, or the reason code why there is none."""
    if path is None:
        return None, "intrinsic_missing"
    try:
        numbers = parse_numbers(read_text(path, 4096), path)
    except SceneFormatError:
        return None, "intrinsic_bad"
    if numbers.size != 6 or not (np.isfinite(numbers).all() and 1 <= min(numbers[:2]) <= 1e6):
        return None, "intrinsic_bad"
    w, h, fx, fy, cx, cy = numbers.tolist()
    K = np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])
    return Intrinsics(K, (round(w), round(h))), ""


@dataclass(frozen=True, slots=True, eq=False)
class _Video:
    """The files of one video, joined by time."""

    colors: _Stream
    depths: _Stream
    pincams: _Stream
    pose_times: Float64
    poses: Float64


def _read_video(base: Path, trajectory: Path) -> _Video:
    """The first pair of streams of which at least half the pictures have a depth map."""
    for name, depth_names in _STREAMS.items():
        pincams = _stream(base / f"{name}_intrinsics", ".pincam")
        colors = _stream(base / name, ".png")
        for depth_name in depth_names if pincams.paths else ():
            depths = _stream(base / depth_name, ".png")
            joined = sum(depths.at(time) is not None for time in colors.times.tolist())
            if joined and 2 * joined >= len(colors.paths):
                return _Video(colors, depths, pincams, *_read_trajectory(trajectory))
    raise SceneFormatError(
        base,
        "holds no pictures with pincam files and depth maps of the same times",
        "lowres_wide/, lowres_wide_intrinsics/ and lowres_depth/, or those of wide/",
        code="no_usable_frames",
    )


def _frame_files(
    video: _Video, turn: int, stride: int, counts: dict[str, int]
) -> Iterator[FrameFiles]:
    for index in range(0, len(video.colors.paths), stride):
        time, color = float(video.colors.times[index]), video.colors.paths[index]
        intrinsics, fault = _read_pincam(video.pincams.at(time))
        pose, between = pose_at(video.pose_times, video.poses, time)
        counts["poses_interpolated"] = counts.get("poses_interpolated", 0) + between
        yield FrameFiles(
            index=index,
            name=color.stem,
            color=color,
            depth=video.depths.at(time),
            world_from_cam=pose,
            fault=fault,
            time=time,
            intrinsics=intrinsics,
            rotate=turn,
        )


@functools.lru_cache(maxsize=16)
def _table(path: Path, _mtime_ns: int) -> Mapping[str, Mapping[str, str]]:
    """Rows of a table of videos by `video_id`."""
    try:
        reader = csv.DictReader(io.StringIO(read_text(path, _TABLE_BYTES)))
        return {row["video_id"]: row for row in reader if row.get("video_id")}
    except csv.Error as error:
        raise SceneFormatError(path, f"is no table: {error}", code="list_bad") from error


def video_facts(video: str, root: Path) -> tuple[dict[str, str], tuple[Path, ...]]:
    """visit_id, fold and sky_direction of a video where tables near the root say so."""
    facts: dict[str, str] = {}
    used = []
    for above in (root, root.parent):
        for path in (above / f / t for f in _TABLE_FOLDERS for t in _TABLES):
            if path.is_file():
                used.append(path)
                row = _table(path, path.stat().st_mtime_ns).get(video, {})
                for key in ("visit_id", "fold", "sky_direction"):
                    value = (row.get(key) or "").strip().removesuffix(".0")
                    if value and value.lower() not in ("na", "nan", "none"):
                        facts.setdefault(key, value)
    return facts, tuple(used)


def _turn(video: _Video, sky: str | None) -> tuple[int, tuple[str, ...]]:
    """Clockwise degrees to upright: by gravity, else by the table; and what is to be said."""
    stated = _SKY_TURN.get((sky or "").lower())
    seen = upright_turn(video.poses, _UP)
    if seen is None:
        return stated or 0, () if stated is not None else ("upright_unknown",)
    differs = stated is not None and stated != seen
    return seen, (f"sky_direction_differs={sky}",) if differs else ()


class ArkitScenesSource(FolderSource):
    """Videos of ARKitScenes."""

    __slots__ = ()
    kind: ClassVar[str] = "arkitscenes"

    def open(self, scene_id: str) -> Scene:
        """Open one video: its trajectory, its pincam files and the headers of its pictures.

        Raises:
            SceneFormatError: No such video, a malformed trajectory or table, or no frame with
                picture, depth and camera.
        """
        folder = self.folder(scene_id)
        base, trajectory = _parts(folder)
        if trajectory is None:
            raise SceneFormatError(base, f"has no {_TRAJECTORIES[0]}", code="file_missing")
        facts, tables = video_facts(folder.name, self.root.resolve())
        video = _read_video(base, trajectory)
        turn, notes = _turn(video, facts.get("sky_direction"))
        counts: dict[str, int] = {}
        files = listed(_frame_files(video, turn, self.options.stride or 1, counts), folder)
        built = build_frames(files, self.root.resolve(), folder)
        if built.color is None:
            raise SceneFormatError(base, "has no readable pincam file", code="intrinsic_missing")
        confident = video.depths.paths[0].parent.name == "lowres_depth"
        visit = facts.get("visit_id", "")
        return self.registered_scene(
            scene_id,
            built,
            built.color,
            depth_scale=0.001,
            inputs=[trajectory, *tables],
            notes=notes + tuple(f"{key}={n}" for key, n in counts.items() if n),
            read=read_confident_depth if confident else read_depth,
            world_up=_UP,
            space=visit if is_scene_id(visit) else None,
            labels=read_boxes(folder / f"{folder.name}_3dod_annotation.json"),
            split=_FOLDS.get(facts.get("fold", folder.parent.name)),
        )


def _parts(folder: Path) -> tuple[Path, Path | None]:
    """The folder of a video's streams, and its trajectory."""
    inner = folder / f"{folder.name}_frames"
    base = inner if inner.is_dir() else folder
    places = (f / name for f in (base, folder) for name in _TRAJECTORIES)
    return base, next((path for path in places if path.is_file()), None)


def is_video_folder(folder: Path) -> bool:
    """Whether a folder is one video in either layout."""
    base, trajectory = _parts(folder)
    # `<video>_frames` is a part of the folder above, whose name is the video's.
    return (
        trajectory is not None
        and folder.name != f"{folder.parent.name}_frames"
        and any(
            (base / name).is_dir() and (base / f"{name}_intrinsics").is_dir() for name in _STREAMS
        )
    )


def video_root(entry: Path) -> Path:
    """The folder above `Training` and `Validation`, where a video lies in one of them."""
    above = entry.parent
    return above.parent if above.name in _FOLDS else above
