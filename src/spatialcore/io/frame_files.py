# SPDX-License-Identifier: Apache-2.0
"""Frames of layouts that keep one image file and one 16-bit depth PNG a frame.

Sizes are read from headers. What is missing or damaged masks its frame, never the scene.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spatialcore.errors import SceneFormatError
from spatialcore.io.depth_png import decode_depth_png, depth_png_size
from spatialcore.io.images import image_size
from spatialcore.io.matrices import pose_reason
from spatialcore.io.paths import read_bytes, resolve_inside
from spatialcore.types import Camera, Float64, Frame

MAX_DEPTH_FILE_BYTES = 256 << 20


@dataclass(frozen=True, slots=True, eq=False)
class FrameFiles:
    """Where one frame's parts lie, None for a part that is not there.

    Attributes:
        index: Frame index of the scene's table.
        name: File stem.
        color: Colour image.
        depth: 16-bit depth PNG.
        world_from_cam: (4, 4), or None.
        fault: Reason code that the layout's reader found already, or "".
        time: Seconds, or None.
    """

    index: int
    name: str
    color: Path | None
    depth: Path | None
    world_from_cam: Float64 | None
    fault: str = ""
    time: float | None = None


@dataclass(frozen=True, slots=True)
class BuiltFrames:
    """Frames with their reasons, and the sizes (width, height) that most of them share."""

    frames: tuple[Frame, ...]
    color_size: tuple[int, int]
    depth_size: tuple[int, int]


def _read_color_size(path: Path | None) -> tuple[tuple[int, int] | None, str]:
    if path is None:
        return None, "image_missing"
    try:
        return image_size(path), ""
    except SceneFormatError:
        return None, "image_bad" if path.is_file() else "image_missing"


def _read_depth_size(path: Path | None) -> tuple[tuple[int, int] | None, str]:
    if path is None:
        return None, "depth_missing"
    try:
        with path.open("rb", buffering=0) as stream:
            return depth_png_size(stream.read(33), path), ""
    except (OSError, SceneFormatError):
        return None, "depth_bad" if path.is_file() else "depth_missing"


def _common(sizes: Iterable[tuple[int, int] | None]) -> tuple[int, int] | None:
    """The most frequent size; ties go to the first."""
    counts = Counter(size for size in sizes if size is not None)
    return counts.most_common(1)[0][0] if counts else None


def _pose_fault(files: FrameFiles) -> str:
    if files.fault or files.world_from_cam is None:
        return files.fault or "pose_missing"
    return pose_reason(files.world_from_cam)


def _uri(path: Path | None, root: Path) -> str | None:
    return None if path is None else path.relative_to(root).as_posix()


def build_frames(files: Iterable[FrameFiles], root: Path, folder: Path) -> BuiltFrames:
    """Read the headers of every frame's files and say which frames can be used.

    Args:
        files: The frames in index order; their paths lie below `root`.
        root: Root of the source, resolved.
        folder: Named in errors.

    Raises:
        SceneFormatError: No frame has a readable image, or none a readable depth image; code
            "no_usable_frames".
    """
    rows = []
    for part in files:
        size, color_fault = _read_color_size(part.color)
        depth_size, depth_fault = _read_depth_size(part.depth)
        frame = Frame(
            index=part.index,
            name=part.name,
            world_from_cam=part.world_from_cam,
            image=_uri(part.color, root),
            depth=_uri(part.depth, root),
            reason=_pose_fault(part) or color_fault or depth_fault,
            time=part.time,
        )
        rows.append((frame, size, depth_size))
    color_size = _common(size for _, size, _ in rows)
    depth_size = _common(size for _, _, size in rows)
    if color_size is None or depth_size is None:
        what = "image" if color_size is None else "16-bit depth PNG"
        raise SceneFormatError(folder, f"no frame has a readable {what}", code="no_usable_frames")
    frames = []
    for frame, size, dsize in rows:
        fault = frame.reason
        # One K serves one size: a frame of another size has no known calibration.
        if not fault and size != color_size:
            fault = "image_size_differs"
        if not fault and dsize != depth_size:
            fault = "depth_size_differs"
        odd = size if size != color_size else None
        frames.append(replace(frame, reason=fault, size=odd))
    return BuiltFrames(tuple(frames), color_size, depth_size)


def read_depth(root: Path, frame: Frame) -> NDArray[np.uint16]:
    """The (h, w) uint16 depth of a frame, as stored; SceneFormatError when it cannot be read."""
    if frame.depth is None:
        raise SceneFormatError(root, f"frame {frame.name} has no depth", code="depth_missing")
    path = resolve_inside(root, frame.depth)
    return decode_depth_png(read_bytes(path, MAX_DEPTH_FILE_BYTES), path)


def registered_depth_camera(color: Camera, size: tuple[int, int]) -> Camera | None:
    """Camera of depth that was resampled from the colour view to another size.

    Pixel edges coincide, so centres at integers move by half a pixel: u_d + 0.5 = (u_c + 0.5) s.

    Returns:
        None where both sizes are equal: depth then shares the colour grid.
    """
    if size == color.size:
        return None
    sx, sy = size[0] / color.width, size[1] / color.height
    K = color.K.copy()
    K[0] = (K[0, 0] * sx, 0.0, (K[0, 2] + 0.5) * sx - 0.5)
    K[1] = (0.0, K[1, 1] * sy, (K[1, 2] + 0.5) * sy - 0.5)
    return Camera(K, *size)
