# SPDX-License-Identifier: Apache-2.0
"""Captured scenes for the benchmarks: points that are a draw of their own depth readings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.ops.room import Scene
from spatialcore import types
from spatialcore.io.open import open_source
from spatialcore.types import invert_pose


def reading_points(
    scene: types.Scene, frames: Sequence[types.Frame], point_count: int
) -> NDArray[np.float32]:
    """About `point_count` readings as world points, (P, 3), the same number of each frame."""
    rng, clouds = np.random.default_rng(0), []
    for frame in frames:
        d = scene.read_depth(frame).astype(np.float64) * scene.depth_scale
        row, column = np.nonzero(d)
        take = rng.choice(len(row), min(len(row), -(-point_count // len(frames))), replace=False)
        row, column = row[take], column[take]
        pixel = np.stack([column, row, np.ones(len(row))])
        camera = np.linalg.inv(scene.depth.K) @ pixel * d[row, column]
        pose = frame.world_from_cam
        clouds.append((pose[:3, :3] @ camera).T + pose[:3, 3])
    return np.concatenate(clouds).astype(np.float32)


def captured(root: Path, scene_id: str, point_count: int) -> Scene:
    """A captured scene seen by its depth camera, its points in random order."""
    scene = open_source(root).open(scene_id)
    frames = [f for f in scene.frames if f.valid]
    points = np.random.default_rng(0).permutation(reading_points(scene, frames, point_count))
    depth = np.stack([scene.read_depth(f) for f in frames])
    poses = np.stack([invert_pose(f.world_from_cam) for f in frames])
    return Scene(points, poses, depth, scene.depth.K, depth.shape[:0:-1])
