# SPDX-License-Identifier: Apache-2.0
"""Point maps of candidate frames: where in the world each pixel lies, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from os import PathLike
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from spatialcore.types import Scene

Float32 = NDArray[np.float32]
# Candidate indices -> their point maps; read only when a method needs them.
GeometryProvider = Callable[[Sequence[int]], "PointMaps"]


class PointMaps(NamedTuple):
    """Point maps of M frames.

    Attributes:
        points_world: (M, H, W, 3) float32 metres; NaN where there is no reading.
        confidence: (M, H, W) float32, comparable within one clip.
        depth: (M, H, W) float32 metres along the viewing direction; NaN where unknown.
    """

    points_world: Float32
    confidence: Float32
    depth: Float32


def unproject(depth: ArrayLike, K: ArrayLike, world_from_cam: ArrayLike) -> Float32:
    """World points of a depth map: X = R (d K^-1 [u, v, 1]) + t at integer pixel centres.

    Args:
        depth: (H, W) metres; 0, negative or not finite = no reading.
        K: (3, 3) pixels.
        world_from_cam: (4, 4).

    Returns:
        (H, W, 3) float32, NaN without a reading.
    """
    d = np.asarray(depth, dtype=np.float64)
    k = np.asarray(K, dtype=np.float64)
    pose = np.asarray(world_from_cam, dtype=np.float64)
    if d.ndim != 2 or k.shape != (3, 3) or pose.shape != (4, 4):
        raise ValueError(
            f"need depth (H, W), K (3, 3), world_from_cam (4, 4), got {d.shape}, {k.shape}, "
            f"{pose.shape}"
        )
    d = np.where(np.isfinite(d) & (d > 0), d, np.nan)
    v, u = np.indices(d.shape, dtype=np.float64)
    y = (v - k[1, 2]) / k[1, 1]
    x = (u - k[0, 2] - k[0, 1] * y) / k[0, 0]
    cam = np.stack([x * d, y * d, d], axis=-1)
    return (cam @ pose[:3, :3].T + pose[:3, 3]).astype(np.float32)


def from_depth(scene: Scene, max_side: int = 160) -> GeometryProvider:
    """Point maps from the depth images and poses of a scene.

    Candidates are positions in `scene.frames`.

    Args:
        scene: The scene; frames without pose or depth give maps without readings.
        max_side: Depth is thinned until its longer side is at most this many pixels.

    Raises:
        ValueError: The depth intrinsics are unknown and the sizes differ.
    """
    if scene.depth is not None:
        k = np.asarray(scene.depth.K, dtype=np.float64)
    elif scene.depth_size == scene.color.size:
        k = np.asarray(scene.color.K, dtype=np.float64)
    else:
        raise ValueError(
            f"{scene.id}: depth of size {scene.depth_size} has no intrinsics of its own"
        )
    width, height = scene.depth_size
    step = max(1, math.ceil(max(width, height) / max_side))
    thinned = np.diag([1 / step, 1 / step, 1.0]) @ k

    def provide(indices: Sequence[int]) -> PointMaps:
        shape = (len(indices), -(-height // step), -(-width // step))
        points = np.full((*shape, 3), np.nan, dtype=np.float32)
        depth = np.full(shape, np.nan, dtype=np.float32)
        for row, index in enumerate(indices):
            frame = scene.frames[index]
            if not frame.valid or frame.world_from_cam is None:
                continue
            stored = np.asarray(scene.read_depth(frame))[::step, ::step]
            metres = stored.astype(np.float64) * scene.depth_scale
            points[row] = unproject(metres, thinned, frame.world_from_cam)
            depth[row] = np.where(np.isfinite(metres) & (metres > 0), metres, np.nan)
        return PointMaps(points, np.isfinite(depth).astype(np.float32), depth)

    return provide


def from_npz(path: str | PathLike[str]) -> GeometryProvider:
    """Point maps of a file with `points_world` (N, H, W, 3), and optionally `confidence`, `depth`.

    Raises:
        ValueError: Arrays are missing or of another shape.
        FileNotFoundError: There is no such file.
    """
    with np.load(path, allow_pickle=False) as stored:
        if "points_world" not in stored:
            raise ValueError(f"{path}: no array points_world")
        points = stored["points_world"].astype(np.float32)
        shape = points.shape[:-1]
        confidence = stored["confidence"] if "confidence" in stored else np.ones(shape)
        depth = stored["depth"] if "depth" in stored else np.full(shape, np.nan)
    if points.ndim != 4 or points.shape[-1] != 3 or not confidence.shape == shape == depth.shape:
        raise ValueError(f"{path}: points_world must have shape (N, H, W, 3), got {points.shape}")

    def provide(indices: Sequence[int]) -> PointMaps:
        rows = list(indices)
        if rows and max(rows) >= len(points):
            raise ValueError(f"{path}: {len(points)} point maps, frame {max(rows)} was asked for")
        return PointMaps(
            points[rows], confidence[rows].astype(np.float32), depth[rows].astype(np.float32)
        )

    return provide
