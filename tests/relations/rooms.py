# SPDX-License-Identifier: Apache-2.0
"""Hand-made objects and rooms for the tests of relations and routes."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from spatialcore.relations.boxes import OrientedBox
from spatialcore.relations.scene_object import SceneObject


def turn_z(angle_deg: float, shift: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> np.ndarray:
    c, s = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    out = np.eye(4)
    out[:3, :3] = [[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]]
    out[:3, 3] = shift
    return out


def moved(points: np.ndarray, world2_from_world: np.ndarray) -> np.ndarray:
    return points @ world2_from_world[:3, :3].T + world2_from_world[:3, 3]


def shell(center, size, spacing: float = 0.05) -> np.ndarray:
    """Vertices on the six faces of an axis-aligned box."""
    axes = [
        np.linspace(c - 0.5 * s, c + 0.5 * s, max(2, round(s / spacing) + 1))
        for c, s in zip(center, size, strict=True)
    ]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    offset = np.abs(grid - np.asarray(center))
    return grid[(offset >= 0.5 * np.asarray(size) - 1e-9).any(axis=1)]


def block(object_id: int, category: str, center, size, **options) -> SceneObject:
    return SceneObject(object_id, category, points=shell(center, size, **options))


def solid(object_id: int, category: str, center, size, R=None) -> SceneObject:
    R = np.eye(3) if R is None else R
    return SceneObject(object_id, category, box=OrientedBox(center, size, R))


def random_rotation(rng: np.random.Generator) -> np.ndarray:
    q = rng.normal(size=4)
    w, x, y, z = q / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def table(object_id: int = 0) -> SceneObject:
    """A table 1.2 x 0.8 x 0.75 m at the origin: a top and four legs."""
    top = shell((0.0, 0.0, 0.735), (1.2, 0.8, 0.03))
    legs = [shell((x, y, 0.36), (0.04, 0.04, 0.72)) for x in (-0.57, 0.57) for y in (-0.37, 0.37)]
    return SceneObject(object_id, "table", points=np.concatenate([top, *legs]))


def floor_points(width: float, depth: float, spacing: float = 0.05) -> np.ndarray:
    x, y = np.meshgrid(np.arange(0, width + 1e-9, spacing), np.arange(0, depth + 1e-9, spacing))
    return np.stack([x.ravel(), y.ravel(), np.zeros(x.size)], axis=1)


def wall_points(start, end, height: float = 2.0, spacing: float = 0.05) -> np.ndarray:
    start, end = np.asarray(start, float), np.asarray(end, float)
    n = max(2, round(float(np.linalg.norm(end - start)) / spacing) + 1)
    xy = start + np.linspace(0, 1, n)[:, None] * (end - start)
    z = np.arange(0.0, height + 1e-9, spacing)
    return np.concatenate([np.repeat(xy, len(z), axis=0), np.tile(z, n)[:, None]], axis=1)


def room_points(polygon, spacing: float = 0.05) -> np.ndarray:
    """Walls along a closed polygon."""
    ring = [*polygon, polygon[0]]
    return np.concatenate([wall_points(a, b) for a, b in pairwise(ring)])
