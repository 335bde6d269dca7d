# SPDX-License-Identifier: Apache-2.0
"""Rigid parts of a clip: which tracks move together."""

from __future__ import annotations

import numpy as np

from spatialcore.index.tables import PartTable
from spatialcore.types import Float64, Track3D, invert_pose


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


def part_table(clip: Track3D, segmentation: str) -> PartTable:
    """Rigid parts of at least six tracks, by a method of `spatialcore.rigid_segments`."""
    from spatialcore.rigidity import rigid_segments

    labels = rigid_segments(clip.tracks_cam, method=segmentation)
    order = np.argsort(clip.track_index, kind="stable")
    return PartTable(
        track=clip.track_index[order].astype(np.int32),
        label=np.asarray(labels, np.int32)[order],
    )
