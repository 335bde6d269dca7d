# SPDX-License-Identifier: Apache-2.0
"""A furnished box room as points, a walk of cameras and ray-cast depth, for the benchmarks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOM = np.array([6.0, 8.0, 2.7])  # metres
K = np.array([[577.0, 0, 319.5], [0, 577.0, 239.5], [0, 0, 1]])
SIZE = (640, 480)


@dataclass(frozen=True)
class Scene:
    """Points in random order, and F posed depth maps in millimetres (the room: 16 % holes)."""

    points_world: NDArray[np.float32]
    cam_from_world: NDArray[np.float64]
    depth: NDArray[np.uint16]
    K: NDArray[np.float64]
    size: tuple[int, int]  # (W, H) of the maps


def make(point_count: int, frame_count: int, seed: int = 0) -> Scene:
    rng = np.random.default_rng(seed)
    centre, half = (
        rng.uniform([0.5, 0.5, 0], [5.5, 7.5, 0.5], (12, 3)),
        rng.uniform(0.2, 0.6, (12, 3)),
    )
    points = np.concatenate(
        [
            _walls(rng, point_count * 7 // 10),
            _boxes(rng, point_count - point_count * 7 // 10, centre, half),
        ]
    )
    poses, origin = _walk(frame_count)
    depth = np.stack([_cast(rng, p, o, centre, half) for p, o in zip(poses, origin, strict=True)])
    return Scene(rng.permutation(points).astype(np.float32), poses, depth, K, SIZE)


def _walls(rng: np.random.Generator, count: int) -> NDArray[Any]:
    area = np.repeat(ROOM.prod() / ROOM, 2)
    side = rng.choice(6, count, p=area / area.sum())
    points = rng.uniform(0, 1, (count, 3)) * ROOM
    points[np.arange(count), side // 2] = ROOM[side // 2] * (side % 2)
    return points


def _boxes(rng: np.random.Generator, count: int, centre: Any, half: Any) -> NDArray[Any]:
    box, axis = rng.integers(0, len(centre), count), rng.integers(0, 3, count)
    points = rng.uniform(-1, 1, (count, 3))
    points[np.arange(count), axis] = np.sign(points[np.arange(count), axis])
    return centre[box] + points * half[box]


def _walk(count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    t = np.linspace(0, 2 * np.pi, count, endpoint=False)
    origin = np.stack([3 + 1.2 * np.cos(t), 4 + 1.8 * np.sin(t), 1.5 + 0.2 * np.sin(3 * t)], -1)
    yaw, pitch = 3 * t + 0.4 * np.sin(5 * t), -0.25 + 0.15 * np.sin(2 * t)
    ahead = np.stack([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), np.sin(pitch)], -1)
    right = np.cross(ahead, [0, 0, 1.0])
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, :3, :3] = np.stack([right, np.cross(ahead, right), ahead], axis=1)
    poses[:, :3, 3] = -np.einsum("fij,fj->fi", poses[:, :3, :3], origin)
    return poses, origin


def _cast(rng: np.random.Generator, pose: Any, origin: Any, centre: Any, half: Any):
    u, v = np.meshgrid(np.arange(SIZE[0]), np.arange(SIZE[1]))
    ray = np.stack([(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], np.ones(u.shape)], axis=-1)
    with np.errstate(divide="ignore"):
        inverse = 1 / (ray.reshape(-1, 3) @ pose[:3, :3])
    z = np.maximum(-origin * inverse, (ROOM - origin) * inverse).min(axis=1)
    for c, h in zip(centre, half, strict=True):
        low, high = (c - h - origin) * inverse, (c + h - origin) * inverse
        near, far = np.minimum(low, high).max(axis=1), np.maximum(low, high).min(axis=1)
        z = np.where((near < far) & (near > 0), np.minimum(z, near), z)
    z += rng.normal(size=z.shape) * 0.0015 * z * z
    z[rng.random(z.shape) < 0.16] = 0
    return np.clip(z * 1000, 0, 65535).astype(np.uint16).reshape(u.shape)
