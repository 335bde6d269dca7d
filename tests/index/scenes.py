# SPDX-License-Identifier: Apache-2.0
"""A box room with a crate in it, seen by four cameras: small, exact, and with everything."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from spatialcore.types import Object3D, Scene

COLOR_SIZE, DEPTH_SIZE = (96, 72), (64, 48)
COLOR_K = np.array([[80.0, 0, 47.5], [0, 80.0, 35.5], [0, 0, 1]])
DEPTH_K = np.array([[52.0, 0, 31.9], [0, 52.0, 23.3], [0, 0, 1]])
ROOM = np.array([2.5, 2.0, 1.25])  # half sides, centred at the origin
CRATE_LO, CRATE_HI = np.array([0.5, -0.4, -1.25]), np.array([1.3, 0.4, -0.55])


def look(position, yaw_deg: float, pitch_deg: float = 0.0) -> np.ndarray:
    """world_from_cam, z up, level right axis."""
    yaw, pitch = np.radians([yaw_deg, pitch_deg])
    forward = np.array([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), np.sin(pitch)])
    right = np.array([np.sin(yaw), -np.cos(yaw), 0.0])
    out = np.eye(4)
    out[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    out[:3, 3] = position
    return out


POSES = [
    look((-1.5, 0.0, 0.2), 0.0),
    look((-1.5, 0.3, 0.2), 10.0, -10.0),
    look((-1.4, -0.4, 0.3), 25.0, -5.0),
    look((-1.0, 0.8, 0.1), -40.0, -15.0),
]


def ray_depth(world_from_cam: np.ndarray) -> np.ndarray:
    """(h, w) uint16 mm by ray casting; a strip without readings at the left."""
    w, h = DEPTH_SIZE
    v, u = np.mgrid[:h, :w]
    rays = [
        (u - DEPTH_K[0, 2]) / DEPTH_K[0, 0],
        (v - DEPTH_K[1, 2]) / DEPTH_K[1, 1],
        np.ones((h, w)),
    ]
    rays = np.stack(rays, axis=-1) @ world_from_cam[:3, :3].T
    origin = world_from_cam[:3, 3]
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.min(np.where(rays > 0, ROOM - origin, -ROOM - origin) / rays, axis=-1)
        a, b = (CRATE_LO - origin) / rays, (CRATE_HI - origin) / rays
        near, far = np.minimum(a, b).max(axis=-1), np.maximum(a, b).min(axis=-1)
    z = np.where((near < far) & (near > 0), np.minimum(z, near), z)
    z[:, :2] = 0.0
    return np.round(1000 * z).astype(np.uint16)


def surface_points(seed: int = 0, count: int = 3000) -> tuple[np.ndarray, np.ndarray]:
    """Random points on walls and crate, float32, and their instances (7 = crate, 3 = room)."""
    rng = np.random.default_rng(seed)
    walls = rng.uniform(-1, 1, (count, 3)) * ROOM
    axis = rng.integers(0, 3, count)
    walls[np.arange(count), axis] = np.sign(walls[np.arange(count), axis]) * ROOM[axis]
    middle, half = (CRATE_LO + CRATE_HI) / 2, (CRATE_HI - CRATE_LO) / 2
    crate = rng.uniform(-1, 1, (count // 3, 3)) * half
    axis = rng.integers(0, 3, len(crate))
    rows = np.arange(len(crate))
    crate[rows, axis] = np.sign(crate[rows, axis]) * half[axis]
    points = np.concatenate([walls, crate + middle]).astype(np.float32)
    ids = np.concatenate([np.full(count, 3), np.full(len(crate), 7)]).astype(np.int32)
    order = rng.permutation(len(points))
    return points[order], ids[order]


def room_scene(*, mesh: bool = True, world_from_room=None, up=(0.0, 0.0, 1.0), **changes) -> Scene:
    """The scene; `world_from_room` turns the source's world, cameras and mesh alike."""
    turn = np.eye(4) if world_from_room is None else np.asarray(world_from_room)
    points, ids = surface_points()
    arguments = {
        "K": COLOR_K,
        "world_from_cam": [turn @ pose for pose in POSES],
        "depth": [ray_depth(pose) for pose in POSES],
        "image_size": COLOR_SIZE,
        "depth_scale": 0.001,
        "depth_K": DEPTH_K,
        "points_world": points @ turn[:3, :3].T.astype(np.float32) if mesh else None,
        "instance": ids if mesh else None,
        "objects": (Object3D(7, "crate", "crate"), Object3D(3, "wall", "wall"),
                    Object3D(9, "ghost", "ghost")) if mesh else (),
        "images": [f"{k:05d}.jpg" for k in range(len(POSES))],
        "root": Path("scans"),
        "id": "room0_00",
        "source": "rooms",
        "world_up": up,
    }  # fmt: skip
    return Scene.from_arrays(**(arguments | changes))


class MemorySource:
    """A source of scenes in memory; `broken` ids raise what they are mapped to."""

    kind, key, root = "memory", "rooms", Path("scans")

    def __init__(self, scenes: dict[str, Scene], broken: dict[str, Exception] | None = None):
        self.scenes, self.broken = scenes, broken or {}

    def scene_ids(self) -> tuple[str, ...]:
        return tuple(sorted({*self.scenes, *self.broken}))

    def open(self, scene_id: str) -> Scene:
        if scene_id in self.broken:
            raise self.broken[scene_id]
        return self.scenes[scene_id]


class DeadlySource:
    """Eight rooms; opening the third kills the process. Picklable, unlike scenes in memory."""

    kind, key, root = "memory", "rooms", Path("scans")

    def scene_ids(self) -> tuple[str, ...]:
        return tuple(f"room{k}_00" for k in range(8))

    def open(self, scene_id: str) -> Scene:
        if scene_id == "room2_00":
            os._exit(9)
        return room_scene(id=scene_id)
