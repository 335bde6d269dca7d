# SPDX-License-Identifier: Apache-2.0
"""Pairs of frames with their true correspondences, for the stage that trains the matching part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spatialcore.errors import SpatialCoreError
from spatialcore.io.images import open_image
from spatialcore.io.open import open_source
from spatialcore.occlusion import PixelMap
from spatialcore.types import Scene, invert_pose, transform_points
from spatialmllm.model.vggt.matching import STRIDE

FRAME_STRIDE = 5
"""Every so many frames of a walk are taken: neighbours show nearly the same."""
FARTHEST = 12
"""Taken frames between the two of a pair, at most."""
LEAST_SEEN = 0.1
"""Share of the places of the first frame that the second one shows, at least."""
TOLERANCE = 0.05
"""Of the depth, and in metres: how near the two depths of one thing are."""
_TRIES = 1000
Float32 = NDArray[np.float32]


class PairError(SpatialCoreError):
    """No pair of frames shows enough of one thing."""


@dataclass(frozen=True, slots=True)
class RoomFrames:
    """One room: F frames of H x W pixels, h x w places in each.

    Attributes:
        images: (F, H, W, 3) uint8.
        points_world: (F, h * w, 3) metres, what the middle of each place shows.
        z: (F, h * w) metres; 0 where there is no reading.
        depth: (F, dh, dw) metres.
        cam_from_world: (F, 4, 4).
        K: (3, 3) of the images.
        depth_from_image: Where the depth of a pixel is.
    """

    images: NDArray[np.uint8]
    points_world: Float32
    z: Float32
    depth: Float32
    cam_from_world: Float32
    K: Float32
    depth_from_image: PixelMap

    def target(self, first: int, second: int) -> tuple[Float32, NDArray[np.bool_]]:
        """Where the places of a frame are in another one.

        Returns:
            (h * w, 2) pixels (u, v) in the second frame, and whether it shows them: inside, and
            no nearer surface before them.
        """
        seen = transform_points(self.cam_from_world[second], self.points_world[first])
        z = np.maximum(seen[:, 2], 1e-6)
        uv = seen[:, :2] / z[:, None] * np.diag(self.K)[:2] + self.K[:2, 2]
        height, width = self.images.shape[1:3]
        inside = (seen[:, 2] > 0.05) & (self.z[first] > 0)
        inside &= np.all((uv >= 0) & (uv <= (width - 1, height - 1)), axis=1)
        rows, columns = self.depth.shape[1:]
        at = self.depth_from_image.depth_pixel(np.where(inside[:, None], uv, 0), (columns, rows))
        there = self.depth[second][at[:, 1], at[:, 0]]
        near = np.abs(there - seen[:, 2]) < np.maximum(TOLERANCE, TOLERANCE * seen[:, 2])
        return uv.astype(np.float32), inside & near & (there > 0)


@dataclass(frozen=True, slots=True)
class PairBatch:
    """n pairs of frames.

    Attributes:
        images: (n, 2, H, W, 3) uint8.
        target: (n, h * w, 2) pixels in the second frame.
        seen: (n, h * w) whether the second frame shows the place.
        z: (n, 2, h * w) metres, 0 = no reading.
    """

    images: NDArray[np.uint8]
    target: Float32
    seen: NDArray[np.bool_]
    z: Float32


def read_rooms(source: Path, split: str, limit: int | None = None) -> list[RoomFrames]:
    """The rooms of a split, in memory; `limit` takes the first ones.

    Raises:
        PairError: There is none.
    """
    opened = open_source(source, stride=FRAME_STRIDE)
    made: list[RoomFrames] = []
    for scene_id in opened.scene_ids():
        if limit is not None and len(made) >= limit:
            break
        scene = opened.open(scene_id)
        if isinstance(scene, Scene) and scene.split == split:
            made.append(_room(scene))
    if not made:
        raise PairError(f"{source}: no room of the split {split!r}")
    return made


def _room(scene: Scene) -> RoomFrames:
    if scene.depth is None:
        raise PairError(f"{scene.root}: {scene.id} has no depth camera")
    frames = [frame for frame in scene.frames if not frame.reason and frame.image]
    shown = [open_image(scene.root, str(frame.image)).convert("RGB") for frame in frames]
    images = np.stack([np.asarray(image) for image in shown])
    poses = [np.asarray(frame.world_from_cam, dtype=np.float64) for frame in frames]
    raw = np.stack([scene.read_depth(frame) for frame in frames])
    depth = (raw * scene.depth_scale).astype(np.float32)
    height, width = images.shape[1:3]
    v, u = np.mgrid[: height // STRIDE, : width // STRIDE] * STRIDE + (STRIDE - 1) / 2
    uv = np.stack([u.ravel(), v.ravel()], axis=1)
    across = PixelMap.from_intrinsics(scene.color.K, scene.depth.K)
    at = across.depth_pixel(uv, (depth.shape[2], depth.shape[1]))
    z = depth[:, at[:, 1], at[:, 0]]
    rays = np.column_stack(
        [(uv - scene.color.K[:2, 2]) / np.diag(scene.color.K)[:2], np.ones(len(uv))]
    )
    world = [
        transform_points(pose, rays * reading[:, None])
        for pose, reading in zip(poses, z, strict=True)
    ]
    inverse = np.stack([invert_pose(pose) for pose in poses])
    return RoomFrames(
        images, np.stack(world).astype(np.float32), z, depth, inverse.astype(np.float32),
        scene.color.K.astype(np.float32), across,
    )  # fmt: skip


def draw_pairs(rooms: Sequence[RoomFrames], count: int, seed: int, step: int) -> PairBatch:
    """Pairs of a step: a function of (seed, step), so that a run continues where it stopped.

    Raises:
        PairError: Rooms whose frames show nothing of each other.
    """
    random = np.random.Generator(np.random.PCG64([seed, step]))
    images, targets, seen, z = [], [], [], []
    for _ in range(count * _TRIES):
        room = rooms[int(random.integers(len(rooms)))]
        frames = len(room.images)
        first = int(random.integers(frames))
        second = first + int(random.integers(-FARTHEST, FARTHEST + 1))
        if second == first or not 0 <= second < frames:
            continue
        target, shown = room.target(first, second)
        if shown.mean() < LEAST_SEEN:
            continue
        images.append(room.images[[first, second]])
        z.append(room.z[[first, second]])
        targets.append(target)
        seen.append(shown)
        if len(images) == count:
            return PairBatch(np.stack(images), np.stack(targets), np.stack(seen), np.stack(z))
    raise PairError(f"no {count} pairs that show {LEAST_SEEN:.0%} of each other")
