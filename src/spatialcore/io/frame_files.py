# SPDX-License-Identifier: Apache-2.0
"""Frames of layouts that keep one image and one depth map a frame: headers, sizes, cameras.

What is missing or damaged masks its frame, never the scene.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from spatialcore.errors import SceneFormatError
from spatialcore.io.depth_maps import depth_map_size
from spatialcore.io.exif import MIRRORED, picture_turn
from spatialcore.io.frame_headers import FrameFiles, Headers, Size, file_uri, listed
from spatialcore.io.images import image_size
from spatialcore.io.intrinsics import registered_depth_camera
from spatialcore.io.matrices import pose_reason
from spatialcore.io.upright import split_rotation, turned_camera, turned_pose, turned_size
from spatialcore.types import Camera, Frame

__all__ = ["BuiltFrames", "FrameFiles", "Size", "build_frames", "count_reasons", "listed",
           "with_one_camera"]  # fmt: skip

# Masked frames whose files are opened all the same: their cameras can be told.
_MASKED_LOOKED_AT = 4096


@dataclass(frozen=True, slots=True)
class BuiltFrames:
    """Frames with their reasons, and what most of them share.

    Attributes:
        frames: All of them. A frame whose cameras are not the shared ones carries its own.
        color_size: Commonest (width, height) of the images.
        depth_size: Commonest (width, height) of the depth maps.
        color: Commonest camera of the frames that gave intrinsics; None where none did.
        depth: The depth camera that belongs to it; None where depth shares the colour grid.
        notes: What is to be said about the cameras.
    """

    frames: tuple[Frame, ...]
    color_size: Size
    depth_size: Size
    color: Camera | None = None
    depth: Camera | None = None
    notes: tuple[str, ...] = ()


class _Cameras(NamedTuple):
    """The cameras of a frame, turned, or the reason code why there are none."""

    color: Camera
    depth: Camera | None
    key: object  # equal for frames that may share their cameras


class _Row(NamedTuple):
    """A frame with what the headers of its files say."""

    frame: Frame
    size: Size | None
    depth_size: Size | None
    cameras: _Cameras | None = None
    scaled: bool = False  # whether K was for pictures of another size


def _pose_fault(files: FrameFiles) -> str:
    if files.fault or files.world_from_cam is None:
        return files.fault or "pose_missing"
    return pose_reason(files.world_from_cam)


class _Rows:
    """Makes a row of each frame; what many frames share is made once.

    Args:
        root: Root of the source.
        headers: Of the files.
        rotate: Of all frames, None: each has its own.
    """

    def __init__(self, root: Path, headers: Headers, rotate: int | None) -> None:
        self._root, self._headers, self._rotate = root, headers, rotate
        self._cameras: dict[tuple[object, ...], _Cameras | str] = {}

    def all(self, files: Iterable[FrameFiles]) -> Iterator[_Row]:
        """A row for each frame.

        Not looked at are files of a frame whose picture an earlier frame has, and those of a crowd
        of frames that are masked without them.
        """
        seen: set[tuple[str, str]] = set()
        masked = 0
        for part in files:
            picture = None if part.color is None else (str(part.color), part.color_part)
            if picture in seen:
                yield _Row(self._alone(part, part.fault or "frame_repeated"), None, None)
                continue
            if picture is not None:
                seen.add(picture)
            fault = _pose_fault(part)
            masked += bool(fault)
            if fault and masked > _MASKED_LOOKED_AT:
                yield _Row(self._frame(part, fault, self._turn(part) or 0), None, None)
            else:
                yield self._row(part, fault)

    def _turn(self, part: FrameFiles) -> int | None:
        return part.rotate if self._rotate is None else self._rotate

    def _turns(
        self, part: FrameFiles, size: Size | None, depth_size: Size | None
    ) -> tuple[int, int, str]:
        """The turn of the picture, that of all else, and the reason where EXIF mirrors it.

        They differ where a tool has followed EXIF before it calibrated: K and the depth map are
        then those of the upright picture, though its pixels lie on their side.
        """
        rotate = self._turn(part)
        if rotate is not None:
            return rotate, rotate, ""
        if part.color is None or size is None or part.color_part:
            return 0, 0, ""
        turn = picture_turn(part.color)
        if turn == MIRRORED:
            return 0, 0, "image_mirrored"
        of_K = None if part.intrinsics is None else part.intrinsics.size
        shape = next((s for s in (of_K, depth_size) if s is not None and s[0] != s[1]), size)
        lies = turn % 180 and (shape[0] > shape[1]) != (size[0] > size[1])
        return (turn, 0, "") if lies else (turn, turn, "")

    def _alone(self, part: FrameFiles, reason: str) -> Frame:
        """The frame without its files."""
        pose, turn = part.world_from_cam, self._turn(part) or 0
        turned = None if pose is None else turned_pose(pose, turn)
        return Frame(part.index, part.name, turned, reason=reason, time=part.time)

    def _frame(
        self, part: FrameFiles, reason: str, turn: int, of_picture: int | None = None
    ) -> Frame:
        """The frame of a table, turned; its picture may be turned otherwise."""
        pose, first, root = (
            part.world_from_cam,
            turn if of_picture is None else of_picture,
            self._root,
        )
        return Frame(
            index=part.index,
            name=part.name,
            world_from_cam=None if pose is None else turned_pose(pose, turn),
            image=None
            if part.color is None
            else file_uri(part.color, root, part.color_part, first),
            depth=None if part.depth is None else file_uri(part.depth, root, part.depth_part, turn),
            reason=reason,
            time=part.time,
        )

    def _row(self, part: FrameFiles, fault: str) -> _Row:
        size, color_fault = self._headers.color(part)
        depth_size, depth_fault = self._headers.depth(part)
        of_picture, turn, exif_fault = self._turns(part, size, depth_size)
        if size is not None and of_picture != turn:
            size = turned_size(size, of_picture)
        reason = fault or color_fault or depth_fault or exif_fault
        frame = self._frame(part, reason, turn, of_picture)
        if part.intrinsics is None or size is None or depth_size is None:
            return _Row(frame, size, depth_size)
        cameras = self._shared_cameras(part, size, depth_size, turn)
        if isinstance(cameras, str):
            return _Row(replace(frame, reason=frame.reason or cameras), size, depth_size)
        scaled = part.intrinsics.size not in (None, size)
        sizes = turned_size(size, turn), turned_size(depth_size, turn)
        return _Row(frame, *sizes, cameras, scaled)

    def _shared_cameras(
        self, part: FrameFiles, size: Size, depth_size: Size, turn: int
    ) -> _Cameras | str:
        """The cameras of a frame: made once for those that have one and the same intrinsics."""
        key = (id(part.intrinsics), id(part.depth_intrinsics), size, depth_size, turn)
        if key not in self._cameras:
            self._cameras[key] = _cameras(part, size, depth_size, turn)
        return self._cameras[key]


def _cameras(part: FrameFiles, size: Size, depth_size: Size, turn: int) -> _Cameras | str:
    assert part.intrinsics is not None
    try:
        color = part.intrinsics.camera(size)
        depth = registered_depth_camera(color, depth_size)
        if part.depth_intrinsics is not None:
            depth = part.depth_intrinsics.camera(depth_size)
    except ValueError as error:  # its message is the reason code
        return str(error)
    color = turned_camera(color, turn)
    depth = None if depth is None else turned_camera(depth, turn)
    parts = [None if c is None else (c.K.tobytes(), c.size, c.lens) for c in (color, depth)]
    return _Cameras(color, depth, (*parts, turned_size(depth_size, turn)))


def _commonest(values: Iterable[Any]) -> Any:
    """The most frequent value that is not None; ties go to the first."""
    counts = Counter(value for value in values if value is not None)
    return counts.most_common(1)[0][0] if counts else None


def build_frames(
    files: Iterable[FrameFiles], root: Path, folder: Path, rotate: int | None = None
) -> BuiltFrames:
    """Read the headers of every frame's files and say which frames can be used.

    Args:
        files: The frames in index order; their paths lie below `root`.
        root: Root of the source, resolved.
        folder: Named in errors.
        rotate: Clockwise degrees that turn all of them upright; None: each frame's own count.

    Raises:
        SceneFormatError: No frame has a readable image, or none a readable depth map; counts the
            reasons; code "no_usable_frames".
    """
    given = listed(files, folder)
    rows = list(_Rows(root, given.headers, rotate).all(given))
    color_size = _commonest(row.size for row in rows)
    depth_size = _commonest(row.depth_size for row in rows)
    if color_size is None or depth_size is None:
        what = "image" if color_size is None else "depth map"
        raise SceneFormatError(
            folder,
            f"no frame has a readable {what}: {count_reasons([r.frame for r in rows])}",
            _example(given, what, root),
            code="no_usable_frames",
        )
    most = _commonest(row.cameras.key for row in rows if row.cameras is not None)
    of_most = (row for row in rows if row.cameras is not None and row.cameras.key == most)
    shared = next(of_most, _Row(rows[0].frame, None, None))
    color = depth = None
    if shared.cameras is not None and shared.depth_size is not None:
        color, depth = shared.cameras.color, shared.cameras.depth
        color_size, depth_size = color.size, shared.depth_size
    frames = tuple(_finished(row, most, color_size, depth_size) for row in rows)
    turned = sum(split_rotation(frame.image or "")[1] != 0 for frame in frames)
    notes: tuple[str, ...] = ("intrinsic_scaled",) if any(row.scaled for row in rows) else ()
    notes += (f"frames_turned={turned}",) if turned else ()
    return BuiltFrames(frames, color_size, depth_size, color, depth, notes)


def _finished(row: _Row, shared: object, color_size: Size, depth_size: Size) -> Frame:
    """The frame with its reason, and with its own cameras where they are not the shared ones."""
    if row.cameras is not None:
        color, depth, key = row.cameras
        if key == shared:
            return row.frame
        return replace(row.frame, color=color, depth_camera=depth or color)
    fault = row.frame.reason
    # One K serves one size: a frame of another size without a K of its own is not calibrated.
    if not fault and row.size != color_size:
        fault = "image_size_differs"
    if not fault and row.depth_size != depth_size:
        fault = "depth_size_differs"
    return row.frame if fault == row.frame.reason else replace(row.frame, reason=fault)


def with_one_camera(
    built: BuiltFrames, color: Camera, depth: Camera | None
) -> tuple[BuiltFrames, Camera, Camera | None]:
    """The cameras of a layout that has one K for all pictures, turned as their pictures are.

    Args:
        built: Frames without intrinsics of their own; its sizes are those of the stored pictures.
        color: Camera of the pictures as stored.
        depth: Likewise of the maps; None where they share its grid or theirs is not known.

    Returns:
        The frames, and the cameras that they share: turned where all are turned alike. Where some
        are not, those carry their own.
    """
    turns = Counter(split_rotation(f.depth or "")[1] for f in built.frames if f.valid)
    if not any(turns):
        return built, color, depth
    most = turns.most_common(1)[0][0]
    registered = depth if built.depth_size != color.size else (depth or color)
    frames = []
    for frame in built.frames:
        turn = split_rotation(frame.depth or "")[1]
        if frame.valid and turn != most and registered is None:
            frame = replace(frame, reason="image_size_differs")
        elif turn != most and registered is not None:
            own = turned_camera(color, turn), turned_camera(registered, turn)
            frame = replace(frame, color=own[0], depth_camera=own[1])
        frames.append(frame)
    upright = replace(
        built,
        frames=tuple(frames),
        color_size=turned_size(built.color_size, most),
        depth_size=turned_size(built.depth_size, most),
    )
    return (
        upright,
        turned_camera(color, most),
        None if depth is None else turned_camera(depth, most),
    )


def count_reasons(frames: Sequence[Frame]) -> str:
    """How many frames have which reason, the commonest first: "12 depth_missing, 2 pose_bad"."""
    counts = Counter(frame.reason for frame in frames if frame.reason)
    return ", ".join(f"{n} {reason}" for reason, n in counts.most_common()) or "there are none"


def _example(files: Sequence[FrameFiles], what: str, root: Path) -> str:
    """A file that was looked for, so that a person sees what to rename or convert."""
    named = (part.color if what == "image" else part.depth for part in files)
    found = next((row for row, path in enumerate(named) if path is not None), None)
    if found is None and files and all(part.fault == "path_escape" for part in files):
        return "paths of a list are relative to its folder and stay below it; rewrite them so"
    if found is None:
        told = f"no {what} is named by the layout, or lies where it is looked for"
        return told if what == "image" else f"{told}; ViPE or Depth Anything 3 can predict it"
    part = files[found]
    path = part.color if what == "image" else part.depth
    assert path is not None
    if not path.is_file():
        return f"looked for {file_uri(path, root)}"
    try:
        if what == "image":
            image_size(path)
        else:
            depth_map_size(root, file_uri(path, root, part.depth_part))
    except SceneFormatError as error:
        return f"{path.name} {error.what}"
    return ""
