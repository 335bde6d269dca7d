# SPDX-License-Identifier: Apache-2.0
"""A small scene in memory and its index on disk, made by plain loops, for the engines' tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from spatialcore.bitmask import BitMask
from spatialcore.occlusion import DepthRule, PixelMap, visible_points
from spatialcore.relations import tables
from spatialcore.relations.recipe import Recipe
from spatialcore.relations.store import SceneIndex, publish
from spatialcore.types import Scene, invert_pose

W, H = 320, 240
K = np.array([[290.0, 0.0, 159.5], [0.0, 290.0, 119.5], [0.0, 0.0, 1.0]])


def look(position: tuple[float, float, float], yaw_deg: float, pitch_deg: float = 0.0):
    """world_from_cam (z up): the view direction has this yaw and pitch, the right axis is level."""
    yaw, pitch = np.radians([yaw_deg, pitch_deg])
    forward = np.array([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), np.sin(pitch)])
    right = np.array([np.sin(yaw), -np.cos(yaw), 0.0])
    out = np.eye(4)
    out[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    out[:3, 3] = position
    return out


def room_depth(world_from_cam: np.ndarray, half: tuple[float, float, float]) -> np.ndarray:
    """(H, W) uint16 mm: depth of the inside of a box centred at the origin, by ray casting."""
    v, u = np.mgrid[:H, :W]
    rays = np.stack([(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], np.ones_like(u, float)], -1)
    rays = rays @ world_from_cam[:3, :3].T
    origin = world_from_cam[:3, 3]
    with np.errstate(divide="ignore"):
        far = np.where(rays > 0, np.array(half) - origin, -np.array(half) - origin) / rays
    depth = np.min(np.where(rays == 0, np.inf, far), axis=-1)
    return np.round(1000 * depth).astype(np.uint16)


def room_points(half: tuple[float, float, float], count: int, seed: int = 0) -> np.ndarray:
    """(count, 3) float32 points on the walls of the box."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(-1.0, 1.0, (count, 3)) * half
    axis = rng.integers(0, 3, count)
    rows = np.arange(count)
    points[rows, axis] = np.sign(points[rows, axis]) * np.array(half)[axis]
    return points.astype(np.float32)


def make_scene(
    poses: list[np.ndarray], *, scene: str = "room0_00", points: int = 6000, up=(0.0, 0.0, 1.0)
) -> Scene:
    half = (3.0, 2.5, 1.4)
    return Scene.from_arrays(
        K, poses, [room_depth(pose, half) for pose in poses], image_size=(W, H), depth_scale=0.001,
        points_world=room_points(half, points), images=[f"{scene}/{i:05d}.jpg" for i in range(len(poses))],
        id=scene, source="fake", world_up=up,
    )  # fmt: skip


def index_scene(scene: Scene, path: Path, recipe: Recipe) -> SceneIndex:
    """Write the scene's index with the reference ops: every visible point is askable."""
    cloud = scene.read_cloud()
    poses = np.stack([frame.world_from_cam for frame in scene.frames])
    rule = DepthRule.strict() if recipe.rule == "strict" else DepthRule.tolerance()
    visible = visible_points(
        cloud.points_world, scene.color.K, invert_pose(poses),
        np.stack([scene.read_depth(frame) for frame in scene.frames]),
        image_size=scene.color.size, depth_scale=scene.depth_scale,
        depth_from_image=PixelMap.identity(), rule=rule, backend="reference",
    )  # fmt: skip
    seen = visible.to_bool()
    count = len(scene.frames)
    n = np.arange(count, dtype=np.int32)
    frames = tables.FrameTable(
        n, [f.name for f in scene.frames], np.ones(count, bool), [""] * count,
        np.full(count, np.nan), poses, [f.image for f in scene.frames],
        [f.depth for f in scene.frames], np.full(count, W, np.int32), np.full(count, H, np.int32),
        np.full(count, W, np.int32), np.full(count, H, np.int32),
        seen.sum(1).astype(np.uint32), np.full(count, np.nan, np.float32),
    )  # fmt: skip
    i, j = np.triu_indices(count, 1)
    common = (seen[i] & seen[j]).sum(1)
    keep = common > 0
    zeros = np.zeros(int(keep.sum()))
    pairs = tables.PairTable(
        i[keep].astype(np.int32), j[keep].astype(np.int32), common[keep].astype(np.uint32),
        zeros, zeros, zeros,
    )  # fmt: skip
    eye = np.eye(4).reshape(-1).tolist()
    meta = {
        "version": 1, "is_clip": False, "source": scene.source, "scene": scene.id,
        "space": scene.space, "split": scene.split, "metric": scene.metric,
        "up": "unknown" if scene.world_up is None else "given", "aligned": False,
        "K_color": scene.color.K.reshape(-1).tolist(), "image_size": [W, H], "K_depth": None,
        "depth_size": [W, H], "depth_scale": scene.depth_scale,
        "recipe": {"rule": recipe.rule, "map": "identity"}, "zup_from_world": eye,
        "aligned_from_world": eye, "point_count": len(cloud.points_world), "reasons": {},
        "inputs": {},
    }  # fmt: skip
    publish(path, meta, {
        "frames.parquet": lambda p: tables.write_frames(p, frames),
        "pairs.parquet": lambda p: tables.write_pairs(p, pairs),
        "points.npy": lambda p: np.save(p, cloud.points_world),
        "source_row.npy": lambda p: np.save(p, np.arange(len(seen[0]), dtype=np.uint32)),
        "instance.npy": lambda p: np.save(p, cloud.instance),
        "visible.npy": lambda p: np.save(p, visible.words),
        "askable.npy": lambda p: np.save(p, visible.words),
    })  # fmt: skip
    return SceneIndex.open(path)
