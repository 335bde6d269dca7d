# SPDX-License-Identifier: Apache-2.0
"""Random cameras, depth maps and points for the tests of projection and occlusion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatialcore import DepthRule, PixelMap

K = np.array([[577.0, 0, 319.5], [0, 578.0, 239.5], [0, 0, 1]])
DEPTH_K = np.array([[140.0, 0, 81.3], [0, 150.0, 57.0], [0, 0, 1]])
IMAGE_SIZE = (640, 480)
DEPTH_SIZE = (160, 120)
RULES = {"tolerance": DepthRule.tolerance(), "strict": DepthRule.strict()}
MAPS = {
    "intrinsics": PixelMap.from_intrinsics(K, DEPTH_K),
    "sizes": PixelMap.from_sizes(IMAGE_SIZE, DEPTH_SIZE),
}


@dataclass(frozen=True)
class View:
    """Arguments of visible_points."""

    points_world: NDArray[Any]
    K: NDArray[np.float64]
    cam_from_world: NDArray[np.float64]
    depth: NDArray[Any]


def random_rotation(rng: np.random.Generator) -> NDArray[np.float64]:
    w, x, y, z = (q := rng.normal(size=4)) / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def random_poses(rng: np.random.Generator, count: int, origin: float = 0.0):
    """(F, 4, 4) cam_from_world of cameras within 2 m of (origin, origin, origin)."""
    poses = np.tile(np.eye(4), (count, 1, 1))
    for pose in poses:
        rotation = random_rotation(rng)
        pose[:3, :3] = rotation
        pose[:3, 3] = -rotation @ (rng.uniform(-2, 2, 3) + origin)
    return poses


def random_view(
    seed: int,
    point_count: int,
    frame_count: int,
    *,
    dtype: Any = np.float32,
    depth_dtype: Any = np.uint16,
    origin: float = 0.0,
    sort: bool = False,
) -> View:
    """Points and cameras in one box, depth of noise with holes: every branch is taken."""
    rng = np.random.default_rng(seed)
    points = (rng.uniform(-4, 4, (point_count, 3)) + origin).astype(dtype)
    if sort:
        points = np.ascontiguousarray(points[np.argsort(points[:, 0])])
    depth = rng.integers(0, 4000, (frame_count, *DEPTH_SIZE[::-1])).astype(np.uint16)
    depth[:, :20] = 0
    if depth_dtype == np.float32:
        metres = depth.astype(np.float32) / 1000
        metres[:, 20:25] = np.nan
        metres[:, 25:28] = np.inf
        return View(points, K, random_poses(rng, frame_count, origin), metres)
    return View(points, K, random_poses(rng, frame_count, origin), depth)
