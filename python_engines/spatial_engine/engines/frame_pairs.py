# SPDX-License-Identifier: Apache-2.0
"""What every task about two frames needs: poses, angles, pairs in the overlap band, their order."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spatial_engine.engines.context import SceneContext
from spatialcore.types import invert_pose

if TYPE_CHECKING:
    from spatial_engine.recipe import Recipe

Float64 = NDArray[np.float64]


class CameraPoses(NamedTuple):
    """Poses of the valid frames, by row (F rows); angles in degrees."""

    cam_from_world: Float64  # (F, 4, 4)
    position: Float64  # (F, 3) world
    yaw: Float64
    pitch: Float64
    roll: Float64
    frame: NDArray[np.int64]  # ascending
    hashes: dict[int, str]

    def rows(self, frames: NDArray[np.int64]) -> NDArray[np.intp]:
        """Where the arrays hold the frames."""
        return np.searchsorted(self.frame, frames)


class BandPairs(NamedTuple):
    """Pairs of frames whose overlap lies in the recipe's band (N rows), and the count outside."""

    i: NDArray[np.int32]
    j: NDArray[np.int32]
    row_i: NDArray[np.int64]
    row_j: NDArray[np.int64]
    intersection: NDArray[np.int64]
    bin: NDArray[np.int64]
    key: NDArray[np.int64]
    out_of_band: int


def overlap_bin_count(recipe: Recipe) -> int:
    """Overlap bins of the recipe's band."""
    low, high = recipe.band_percent
    return (high - low) // recipe.bin_percent


def overlap_bin(
    intersection: NDArray[np.int64], union: NDArray[np.int64], recipe: Recipe
) -> NDArray[np.int64]:
    """Bin of each pair's overlap, by cross-multiplied integers; -1 outside the band.

    The first bin is [m, m + w], the others (lo, hi]: an overlap on an edge goes to the lower bin.
    Source: MultiSPA's quota rule (arXiv 2505.17015), with exact integers.

    Args:
        intersection: (N,) points visible in both frames.
        union: (N,) points visible in either.
        recipe: Gives the band m..M and the bin width w, percent.
    """
    low, high = recipe.band_percent
    over = 100 * intersection - low * union
    width = recipe.bin_percent * np.maximum(union, 1)
    bins = np.maximum((over + width - 1) // width - 1, 0)
    inside = (union > 0) & (over >= 0) & (100 * intersection <= high * union)
    return np.where(inside, bins, -1)


def camera_poses(context: SceneContext) -> CameraPoses:
    """Poses and angles of the scene's valid frames, computed once a scene."""
    return context.cached("camera_movement.poses", lambda: _camera_poses(context))


def _camera_poses(context: SceneContext) -> CameraPoses:
    table = context.scene.frames
    poses = table.world_from_cam[table.valid]
    angles = np.array([_angles_deg(pose[:3, :3].tolist()) for pose in poses]).reshape(-1, 3)
    frames = np.asarray(context.scene.valid_frames, dtype=np.int64)
    return CameraPoses(
        invert_pose(poses), np.ascontiguousarray(poses[:, :3, 3]),
        angles[:, 0], angles[:, 1], angles[:, 2],
        frames,
        {frame: pose_hash(pose) for frame, pose in zip(frames.tolist(), poses, strict=True)},
    )  # fmt: skip


def _angles_deg(R: list[list[float]]) -> tuple[float, float, float]:
    """Yaw, pitch and roll of a z-up world_from_cam rotation, degrees."""
    forward = [row[2] for row in R]
    length = math.sqrt(
        (forward[0] * forward[0] + forward[1] * forward[1]) + forward[2] * forward[2]
    )
    yaw = math.degrees(math.atan2(forward[1], forward[0]))
    pitch = math.degrees(math.asin(min(1.0, max(-1.0, forward[2] / length))))
    return yaw, pitch, math.degrees(math.atan2(R[2][0], -R[2][1]))


def pose_hash(world_from_cam: Float64) -> str:
    """BLAKE2b-8 of a pose written with nine decimals (nanometres), as hex."""
    text = ",".join(f"{value + 0.0:.9f}" for value in np.round(world_from_cam, 9).reshape(-1))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def band_pairs(context: SceneContext) -> BandPairs:
    """The scene's pairs in the overlap band, with their bins; computed once a scene."""
    return context.cached("camera_movement.pairs", lambda: _band_pairs(context))


def _band_pairs(context: SceneContext) -> BandPairs:
    scene, pairs = context.scene, context.scene.pairs
    frames = np.asarray(scene.valid_frames)
    count = scene.frames.visible_count[scene.frames.valid].astype(np.int64)
    row_i = np.searchsorted(frames, pairs.i)
    row_j = np.searchsorted(frames, pairs.j)
    common = pairs.intersection.astype(np.int64)
    bins = overlap_bin(common, count[row_i] + count[row_j] - common, context.recipe)
    here = context.holds(pairs.i) & context.holds(pairs.j)
    inside = (bins >= 0) & here
    i, j = pairs.i[inside], pairs.j[inside]
    return BandPairs(
        i, j, row_i[inside], row_j[inside], common[inside], bins[inside],
        (i.astype(np.int64) << 32) | j, int(here.sum() - inside.sum()),
    )  # fmt: skip


def pair_swap(context: SceneContext, task: str, pairs: BandPairs) -> NDArray[np.bool_]:
    """(N,) whether each pair is shown as (j, i): the top bit of its draw `swap`."""
    swapped: NDArray[np.bool_] = context.place.draw_rows(
        task, (pairs.i, pairs.j), "swap"
    ) >= np.uint64(1 << 63)
    return swapped


def visible_counts(context: SceneContext) -> dict[int, int]:
    """Visible points of every frame, by frame index."""
    table = context.scene.frames
    return context.cached(
        "visible_counts",
        lambda: dict(zip(table.frame.tolist(), table.visible_count.tolist(), strict=True)),
    )
