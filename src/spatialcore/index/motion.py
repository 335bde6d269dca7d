# SPDX-License-Identifier: Apache-2.0
"""Rigid parts of a clip: which tracks move together, and which move at all."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spatialcore.index.tables import PartTable
from spatialcore.types import Float64, Track3D, invert_pose

MOVING_M = 0.05  # a track that stays within this is not said to move; tracker noise is of cm
_ROWS = 64  # rows of the distance matrix held at once


def tracks_in_world(tracks_cam: Float64, cam_from_world: Float64) -> Float64:
    """Tracks in the clip's world.

    Args:
        tracks_cam: (T, N, 3) metres in each frame's camera, NaN = no reading.
        cam_from_world: (T, 4, 4).

    Returns:
        (T, N, 3) float64.
    """
    m = invert_pose(cam_from_world)[:, None]
    x, y, z = tracks_cam[..., 0], tracks_cam[..., 1], tracks_cam[..., 2]
    return np.stack(
        [
            ((m[..., r, 0] * x + m[..., r, 1] * y) + m[..., r, 2] * z) + m[..., r, 3]
            for r in range(3)
        ],
        axis=-1,
    )


def largest_displacement(track_world: Float64) -> float:
    """Greatest distance between two positions of one track, metres.

    Args:
        track_world: (T, 3); positions with NaN are left out.
    """
    p = track_world[np.isfinite(track_world).all(axis=1)]
    most = 0.0
    for first in range(0, len(p), _ROWS):
        step = p[first : first + _ROWS, None] - p[None]
        square = (step[..., 0] ** 2 + step[..., 1] ** 2) + step[..., 2] ** 2
        most = max(most, float(square.max()))
    return float(np.sqrt(most))


def moving_tracks(tracks_world: Float64, least: float = MOVING_M) -> NDArray[np.bool_]:
    """(N,) bool: whether a track's greatest displacement reaches `least` metres."""
    present = np.isfinite(tracks_world).all(axis=2, keepdims=True)
    lo = np.where(present, tracks_world, np.inf).min(axis=0, initial=np.inf)
    hi = np.where(present, tracks_world, -np.inf).max(axis=0, initial=-np.inf)
    side = np.maximum(hi - lo, 0.0)
    moving: NDArray[np.bool_] = side.max(axis=1) >= least
    # The box decides most tracks: its longest side is reached, its diagonal never exceeded.
    diagonal = np.sqrt((side[:, 0] ** 2 + side[:, 1] ** 2) + side[:, 2] ** 2)
    for n in np.flatnonzero(~moving & (diagonal >= least)):
        moving[n] = largest_displacement(tracks_world[:, n]) >= least
    return moving


def part_table(clip: Track3D, segmentation: str) -> PartTable:
    """Rigid parts of at least six tracks, by a method of `spatialcore.rigid_segments`."""
    from spatialcore.rigidity import rigid_segments

    labels = rigid_segments(clip.tracks_cam, method=segmentation)
    world = tracks_in_world(clip.tracks_cam, clip.cam_from_world)
    order = np.argsort(clip.track_index, kind="stable")
    return PartTable(
        track=clip.track_index[order].astype(np.int32),
        label=np.asarray(labels, np.int32)[order],
        moving=moving_tracks(world)[order],
    )
