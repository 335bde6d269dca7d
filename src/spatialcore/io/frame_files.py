# SPDX-License-Identifier: Apache-2.0
"""Frames of layouts that keep one image and one depth map a frame: headers, sizes, cameras.

What is missing or damaged masks its frame, never the scene.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from spatialcore.errors import SceneFormatError
from spatialcore.io.crowds import Watch, check_frame_count
from spatialcore.io.depth_maps import depth_map_size
from spatialcore.io.exif import MIRRORED, picture_turn
from spatialcore.io.images import image_size
from spatialcore.io.intrinsics import Intrinsics, registered_depth_camera
from spatialcore.io.matrices import pose_reason
from spatialcore.io.upright import (
    split_rotation,
    turned_camera,
    turned_pose,
    turned_size,
    turned_uri,
)
from spatialcore.types import Camera, Float64, Frame

# Masked frames whose files are opened all the same: their cameras can be told.
_MASKED_LOOKED_AT = 4096

Size = tuple[int, int]
_Sizes = dict[tuple[Path | None, str], tuple[Size | None, str]]


@dataclass(frozen=True, slots=True, eq=False)
class FrameFiles:
    """Where one frame's parts lie, None for a part that is not there.

    Attributes:
        index: Frame index of the scene's table.
        name: File stem.
        color: Colour image.
        depth: Depth map, in any encoding of `depth_maps`.
        world_from_cam: (4, 4), or None.
        fault: Reason code that the layout's reader found already, or "".
        time: Seconds, or None.
        intrinsics: Of the colour image, where the layout gives them frame by frame.
        depth_intrinsics: Likewise of the depth map; None where depth is registered to colour.
        color_part: What of the colour file, as in a uri: "frame=3" of a video.
        depth_part: Likewise of the depth file.
        color_size: (width, height) where the reader knows it already; None: the header says it.
        depth_size: Likewise of the depth map.
        rotate: Clockwise degrees that turn picture and map upright, from gravity; K and pose are as
            stored. None: the picture's EXIF orientation counts.
    """

    index: int
    name: str
    color: Path | None
    depth: Path | None
    world_from_cam: Float64 | None
    fault: str = ""
    time: float | None = None
    intrinsics: Intrinsics | None = None
    depth_intrinsics: Intrinsics | None = None
    color_part: str = ""
    depth_part: str = ""
    color_size: Size | None = None
    depth_size: Size | None = None
    rotate: int | None = None


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


class _Row(NamedTuple):
    """A frame with what the headers of its files say."""

    frame: Frame
    size: Size | None
    depth_size: Size | None
    color: Camera | None = None
    depth: Camera | None = None
    turn: int = 0  # of picture, map, camera and pose together
    scaled: bool = False  # whether K was for pictures of another size

    @property
    def cameras(self) -> object:
        """Equal for frames that may share their cameras."""
        both = (self.color, self.depth)
        parts = [None if c is None else (c.K.tobytes(), c.size, c.lens) for c in both]
        return (*parts, self.depth_size)


def _color_size(part: FrameFiles) -> tuple[Size | None, str]:
    if part.color is None:
        return None, "image_missing"
    if part.color_size is not None:
        return part.color_size, ""
    if not part.color.is_file():  # said without an error: making one takes as long as the rest
        return None, "image_missing"
    try:
        return image_size(part.color), ""
    except SceneFormatError:
        return None, "image_bad"


def _depth_size(part: FrameFiles) -> tuple[Size | None, str]:
    if part.depth is None:
        return None, "depth_missing"
    if part.depth_size is not None:
        return part.depth_size, ""
    try:
        folder = part.depth.parent
        return depth_map_size(folder, _uri(part.depth, folder, part.depth_part)), ""
    except SceneFormatError as error:
        if error.code == "extra":
            raise  # a library that is not installed concerns every frame
        return None, "depth_bad" if part.depth.is_file() else "depth_missing"


def _pose_fault(files: FrameFiles) -> str:
    if files.fault or files.world_from_cam is None:
        return files.fault or "pose_missing"
    return pose_reason(files.world_from_cam)


def _uri(path: Path, root: Path, part: str = "", rotate: int = 0) -> str:
    name, above = str(path), os.path.join(root, "")  # noqa: PTH118 - ends in a separator
    if not name.startswith(above):
        raise ValueError(f"{path} does not lie below {root}")
    name = name[len(above) :].replace(os.sep, "/")  # a third of what `Path.relative_to` takes
    return turned_uri(f"{name}#{part}" if part else name, rotate)


def _damage(part: FrameFiles) -> str:
    """The reason code of a frame's files, "" where both have sound headers."""
    return _color_size(part)[1] or ("" if part.depth is None else _depth_size(part)[1])


def listed(files: Iterable[FrameFiles], path: Path) -> list[FrameFiles]:
    """The frames of a scene, of which a crowd is looked into while it is listed.

    Raises:
        SceneFormatError: More frames than one recording has (code "too_many_frames"), or thousands
            of which most are damaged (code "frames_damaged").
    """
    watch, found = Watch(path), []
    for part in files:
        found.append(part)
        check_frame_count(len(found), path)
        watch.see(part.fault, partial(_damage, part))
    return found


def _rows(files: Iterable[FrameFiles], root: Path) -> Iterator[_Row]:
    """A row for each frame.

    Not looked at are files of a frame whose picture an earlier frame has, and those of a crowd of
    frames that are masked without them.
    """
    seen: set[tuple[Path, str]] = set()
    sizes: _Sizes = {}
    masked = 0
    for part in files:
        picture = None if part.color is None else (part.color, part.color_part)
        if picture in seen:
            alone = replace(part, color=None, depth=None)
            yield _row(alone, root, sizes, part.fault or "frame_repeated")
            continue
        if picture is not None:
            seen.add(picture)
        fault = _pose_fault(part)
        masked += bool(fault)
        if fault and masked > _MASKED_LOOKED_AT:
            yield _Row(_frame(part, root, fault, part.rotate or 0), None, None)
            continue
        yield _row(part, root, sizes, fault)


def _turns(part: FrameFiles, size: Size | None, depth_size: Size | None) -> tuple[int, int, str]:
    """The turn of the picture, the turn of all else, and the reason where EXIF mirrors it.

    They differ where a tool has followed EXIF before it calibrated: K and the depth map are then
    those of the upright picture, though its pixels lie on their side.
    """
    if part.rotate is not None:
        return part.rotate, part.rotate, ""
    if part.color is None or size is None or part.color_part:
        return 0, 0, ""
    turn = picture_turn(part.color)
    if turn == MIRRORED:
        return 0, 0, "image_mirrored"
    of_K = None if part.intrinsics is None else part.intrinsics.size
    shape = next((s for s in (of_K, depth_size) if s is not None and s[0] != s[1]), size)
    lies = turn % 180 and (shape[0] > shape[1]) != (size[0] > size[1])
    return (turn, 0, "") if lies else (turn, turn, "")


def _frame(
    part: FrameFiles, root: Path, reason: str, turn: int, of_picture: int | None = None
) -> Frame:
    """The frame of a table, turned; its picture may be turned otherwise."""
    pose, first = part.world_from_cam, turn if of_picture is None else of_picture
    return Frame(
        index=part.index,
        name=part.name,
        world_from_cam=None if pose is None else turned_pose(pose, turn),
        image=None if part.color is None else _uri(part.color, root, part.color_part, first),
        depth=None if part.depth is None else _uri(part.depth, root, part.depth_part, turn),
        reason=reason,
        time=part.time,
    )


def _row(part: FrameFiles, root: Path, sizes: _Sizes, fault: str) -> _Row:
    size, color_fault = _color_size(part)
    stored_map = part.depth, part.depth_part
    if stored_map not in sizes:  # a map that many frames name is looked at once
        sizes[stored_map] = _depth_size(part)
    depth_size, depth_fault = sizes[stored_map]
    of_picture, turn, exif_fault = _turns(part, size, depth_size)
    if size is not None and of_picture != turn:
        size = turned_size(size, of_picture)
    reason = fault or color_fault or depth_fault or exif_fault
    frame = _frame(part, root, reason, turn, of_picture)
    stored = _Row(frame, size, depth_size, turn=turn)
    if part.intrinsics is None or size is None or depth_size is None:
        return stored
    try:
        color = part.intrinsics.camera(size)
        depth = registered_depth_camera(color, depth_size)
        if part.depth_intrinsics is not None:
            depth = part.depth_intrinsics.camera(depth_size)
    except ValueError as error:  # its message is the reason code
        return stored._replace(frame=replace(frame, reason=frame.reason or str(error)))
    return _Row(
        frame,
        turned_size(size, turn),
        turned_size(depth_size, turn),
        turned_camera(color, turn),
        None if depth is None else turned_camera(depth, turn),
        turn,
        part.intrinsics.size not in (None, size),
    )


def _commonest(values: Iterable[Any]) -> Any:
    """The most frequent value that is not None; ties go to the first."""
    counts = Counter(value for value in values if value is not None)
    return counts.most_common(1)[0][0] if counts else None


def build_frames(files: Iterable[FrameFiles], root: Path, folder: Path) -> BuiltFrames:
    """Read the headers of every frame's files and say which frames can be used.

    Args:
        files: The frames in index order; their paths lie below `root`.
        root: Root of the source, resolved.
        folder: Named in errors.

    Raises:
        SceneFormatError: No frame has a readable image, or none a readable depth map; counts the
            reasons; code "no_usable_frames".
    """
    given = listed(files, folder)
    rows = list(_rows(given, root))
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
    most = _commonest(row.cameras for row in rows if row.color is not None)
    shared = next((row for row in rows if row.cameras == most), _Row(rows[0].frame, None, None))
    if shared.color is not None and shared.depth_size is not None:
        color_size, depth_size = shared.color.size, shared.depth_size
    frames = tuple(_finished(row, most, color_size, depth_size) for row in rows)
    turned = sum(split_rotation(frame.image or "")[1] != 0 for frame in frames)
    notes: tuple[str, ...] = ("intrinsic_scaled",) if any(row.scaled for row in rows) else ()
    notes += (f"frames_turned={turned}",) if turned else ()
    return BuiltFrames(frames, color_size, depth_size, shared.color, shared.depth, notes)


def _finished(row: _Row, shared: object, color_size: Size, depth_size: Size) -> Frame:
    """The frame with its reason, and with its own cameras where they are not the shared ones."""
    if row.color is not None:
        if row.cameras == shared:
            return row.frame
        return replace(row.frame, color=row.color, depth_camera=row.depth or row.color)
    fault = row.frame.reason
    # One K serves one size: a frame of another size without a K of its own is not calibrated.
    if not fault and row.size != color_size:
        fault = "image_size_differs"
    if not fault and row.depth_size != depth_size:
        fault = "depth_size_differs"
    return replace(row.frame, reason=fault)


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
        return f"looked for {_uri(path, root)}"
    try:
        if what == "image":
            image_size(path)
        else:
            depth_map_size(root, _uri(path, root, part.depth_part))
    except SceneFormatError as error:
        return f"{path.name} {error.what}"
    return ""
