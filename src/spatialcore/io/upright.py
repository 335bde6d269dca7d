# SPDX-License-Identifier: Apache-2.0
"""Captures that lie on their side: pictures, maps, cameras and poses turned upright together.

A phone stores the picture as its sensor lies, so a capture in portrait comes out sideways. Pixels
on disk stay as they are: the uri ends in `#rotate=90` (`&rotate=90` behind another fragment), the
clockwise degrees that turn the stored picture upright, and whoever opens the uri gets it turned.
Every turn is by quarters, so that K, pose and maps are permuted and negated, never resampled.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatialcore.camera import Camera
from spatialcore.errors import SceneFormatError
from spatialcore.lens import Lens
from spatialcore.types import Float64, Frame

Size = tuple[int, int]
TURNS = (0, 90, 180, 270)
_ROTATION = re.compile(r"[#&]rotate=(90|180|270)\Z")
# Up has to point along the picture by so much, on average, to tell how the phone was held: a
# camera that looks straight down or up does not tell.
_MIN_LEAN = 0.3
# The best turn has to fit by so much more than the next best: halfway between two is neither.
_MIN_LEAD = 0.15


def turned_uri(uri: str, degrees: int) -> str:
    """The uri of a picture or map turned clockwise by `degrees`.

    Example:
        >>> turned_uri("a.mp4#frame=3", 90), turned_uri("a.png", 270), turned_uri("a.png", 0)
        ('a.mp4#frame=3&rotate=90', 'a.png#rotate=270', 'a.png')
    """
    if not degrees:
        return uri
    return f"{uri}{'&' if '#' in uri else '#'}rotate={degrees}"


def split_rotation(uri: str) -> tuple[str, int]:
    """The uri as stored, and the clockwise degrees that turn it upright.

    Example:
        >>> split_rotation("a.mp4#frame=3&rotate=90"), split_rotation("a.png")
        (('a.mp4#frame=3', 90), ('a.png', 0))
    """
    found = _ROTATION.search(uri) if "rotate=" in uri else None
    return (uri, 0) if found is None else (uri[: found.start()], int(found.group(1)))


def stored_depth(root: Path, frame: Frame) -> tuple[str, int]:
    """The uri of a frame's depth map as stored, and the clockwise degrees that turn it upright.

    Args:
        root: Named in the error.
        frame: The frame.

    Raises:
        SceneFormatError: It has none; code "depth_missing".
    """
    if frame.depth is None:
        raise SceneFormatError(root, f"frame {frame.name} has no depth", code="depth_missing")
    return split_rotation(frame.depth)


def turned_size(size: Size, degrees: int) -> Size:
    """(width, height) of a picture of `size` after the turn."""
    return size if degrees % 180 == 0 else (size[1], size[0])


def turned_map(stored: NDArray[Any], degrees: int) -> NDArray[Any]:
    """A map (h, w, ...) turned clockwise, C-contiguous."""
    return np.ascontiguousarray(np.rot90(stored, -(degrees // 90)))


def turned_camera(camera: Camera, degrees: int) -> Camera:
    """The camera of the turned picture: pixel (u, v) becomes (h - 1 - v, u) by a quarter turn."""
    for _ in range(degrees // 90):
        K = np.array(
            [
                [camera.K[1, 1], 0.0, camera.height - 1 - camera.K[1, 2]],
                [0.0, camera.K[0, 0], camera.K[0, 2]],
                [0.0, 0.0, 1.0],
            ]
        )
        camera = Camera(K, camera.height, camera.width, _quarter_turned(camera.lens))
    return camera


def _quarter_turned(lens: Lens | None) -> Lens | None:
    """Radial terms stay; the tangential ones are a vector (p2, p1) of the picture."""
    if lens is None or lens.model != "opencv":
        return lens
    k1, k2, p1, p2, *rest = lens.coefficients
    return Lens("opencv", (k1, k2, p2, 0.0 - p1, *rest))


def turned_pose(world_from_cam: Float64, degrees: int) -> Float64:
    """world_from_cam (4, 4) of the camera rolled with its picture: exact, columns are permuted."""
    pose = np.array(world_from_cam, dtype=np.float64)
    for _ in range(degrees // 90):
        right, down = pose[:3, 0].copy(), pose[:3, 1].copy()
        pose[:3, 0], pose[:3, 1] = 0.0 - down, right
    return pose


def upright_turn(world_from_cam: Iterable[Float64], world_up: Float64) -> int | None:
    """The one turn that brings most of a capture's pictures upright, by gravity.

    Args:
        world_from_cam: (4, 4) poses of the pictures as stored; those with non-finite entries are
            left out.
        world_up: (3,) unit vector.

    Returns:
        Clockwise degrees of `TURNS`, or None where the cameras do not tell: they look straight up
        or down, or were held as much one way as another.
    """
    poses = [p for p in world_from_cam if np.isfinite(p).all()]
    if not poses:
        return None
    axes = np.stack([p[:3, :2] for p in poses])
    right, down = np.mean((axes * np.asarray(world_up)[None, :, None]).sum(axis=1), axis=0)
    # How far up points to the top, left, bottom and right edge of the stored picture.
    fits = (-float(down), -float(right), float(down), float(right))
    order = sorted(range(4), key=lambda k: -fits[k])
    if fits[order[0]] < _MIN_LEAN or fits[order[0]] - fits[order[1]] < _MIN_LEAD:
        return None
    return TURNS[order[0]]
