# SPDX-License-Identifier: Apache-2.0
"""Streams with clocks of their own: what belongs to a moment, and how far apart it may be."""

from __future__ import annotations

import numpy as np

from spatialcore.types import Float64

# Colour and depth of a Kinect come at 30 Hz; the published tool pairs within 20 ms.
PAIR_GAP_S = 0.02
POSE_GAP_S = 0.005
INTERPOLATED_GAP_S = 0.15  # trajectories of phones have ten poses a second
# At a walking pace a camera turns by about a degree and a half in this time.
FARTHEST_PAIR_S = 0.05


def nearest(times: Float64, wanted: float, gap: float = PAIR_GAP_S) -> int | None:
    """Row of the sorted `times` that is nearest to `wanted`, None beyond `gap` seconds."""
    after = int(np.searchsorted(times, wanted))
    rows = [i for i in (after - 1, after) if 0 <= i < len(times)]
    best = min(rows, key=lambda i: abs(times[i] - wanted), default=None)
    return best if best is not None and abs(times[best] - wanted) <= gap else None


def all_nearest(times: Float64, wanted: Float64, gap: float = PAIR_GAP_S) -> list[int | None]:
    """`nearest` of each of the moments `wanted` (m,)."""
    if not len(times):
        return [None] * len(wanted)
    after = np.searchsorted(times, wanted)
    rows = np.stack([after - 1, after])
    there = (rows >= 0) & (rows < len(times))
    away = np.where(there, np.abs(times[np.clip(rows, 0, len(times) - 1)] - wanted), np.inf)
    first = away[0] <= away[1]
    best, least = np.where(first, rows[0], rows[1]), np.where(first, away[0], away[1])
    fits = (least <= gap).tolist()
    return [row if fit else None for row, fit in zip(best.tolist(), fits, strict=True)]


def paired(times: Float64, wanted: Float64, gap: float) -> tuple[list[int | None], int]:
    """The row of one stream for each moment of another.

    Args:
        times: (n,) ascending seconds.
        wanted: (m,) seconds.
        gap: Seconds that a pair may lie apart. Where fewer than half of the moments find a partner,
            half the usual step of `times` is allowed, at most 50 ms: two sensors that fire in turn.

    Returns:
        m rows, None for a moment without a partner; and how far apart the pairs lie in the middle
        in milliseconds where more than `gap` had to be allowed, else 0.
    """
    rows = all_nearest(times, wanted, gap)
    if len(times) < 2 or 2 * sum(row is not None for row in rows) >= len(rows):
        return rows, 0
    wider = min(0.5 * float(np.median(np.diff(times))) + 1e-6, FARTHEST_PAIR_S)
    again = all_nearest(times, wanted, wider)
    apart = [abs(times[r] - t) for r, t in zip(again, wanted, strict=True) if r is not None]
    if wider <= gap or len(apart) <= sum(row is not None for row in rows):
        return rows, 0
    return again, round(1000 * float(np.median(apart)))


def pose_at(
    times: Float64, world_from_cam: Float64, wanted: float, gap: float = POSE_GAP_S
) -> tuple[Float64 | None, bool]:
    """The pose at a time, and whether it was interpolated.

    Args:
        times: (n,) ascending seconds.
        world_from_cam: (n, 4, 4) rigid poses.
        wanted: Seconds.
        gap: Seconds within which a pose is taken as it is.

    Returns:
        The pose within `gap`; else one between two neighbours that are at most 0.15 s apart
        (positions linear, rotations at constant speed); else None.
    """
    row = nearest(times, wanted, gap)
    if row is not None:
        return world_from_cam[row], False
    after = int(np.searchsorted(times, wanted))
    if not 0 < after < len(times) or times[after] - times[after - 1] > INTERPOLATED_GAP_S:
        return None, False
    from scipy.spatial.transform import Rotation

    low, high = world_from_cam[after - 1], world_from_cam[after]
    share = (wanted - times[after - 1]) / (times[after] - times[after - 1])
    turn = Rotation.from_matrix(low[:3, :3].T @ high[:3, :3]).as_rotvec()
    pose = np.eye(4)
    pose[:3, :3] = low[:3, :3] @ Rotation.from_rotvec(share * turn).as_matrix()
    pose[:3, 3] = (1 - share) * low[:3, 3] + share * high[:3, 3]
    return pose, True
