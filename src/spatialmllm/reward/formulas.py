# SPDX-License-Identifier: Apache-2.0
"""From places or displacements to rewards; pure arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spatialmllm.reward.episode import RewardSpec

Float64 = NDArray[np.float64]
_LEAST_ANGLE = np.radians(1.0)


def reward_of_distances(distance: Float64, spec: RewardSpec) -> Float64:
    """`progress` or `potential` from the distances to the goal.

    progress_i = (D_i - D_(i+1)) / max(D_0, floor), so that an unclipped episode sums to the share
    of the way made good; potential_i = D_i - gamma D_(i+1), which is gamma Phi_(i+1) - Phi_i with
    Phi = -D.

    Args:
        distance: (T,) metres.
        spec: What is rewarded.

    Returns:
        (T-1,), NaN where a distance is unknown.
    """
    before, after = distance[:-1], distance[1:]
    if spec.kind == "potential":
        return before - spec.gamma * after
    known = distance[np.isfinite(distance)]
    made = (before - after) / max(float(known[0]) if len(known) else 1.0, spec.floor_m)
    return np.clip(made, -1, 1) if spec.clip else made


def agreement(moved: Float64, commanded: Float64, floor_m: float) -> Float64:
    """max(-1, 1 - |u - u*| / max(|u*|, floor)); 1 where both are below the floor.

    Args:
        moved: (n, 3) displacements u.
        commanded: (n, 3) commanded ones u*.
        floor_m: Smaller displacements are none.

    Returns:
        (n,) in [-1, 1].
    """
    done, wanted = (np.linalg.norm(v, axis=-1) for v in (moved, commanded))
    u = np.where(done[:, None] >= floor_m, moved, 0.0)
    u = np.where(np.isfinite(moved), u, np.nan)
    error = np.linalg.norm(u - commanded, axis=-1) / np.maximum(wanted, floor_m)
    return np.where((done < floor_m) & (wanted < floor_m), 1.0, np.maximum(-1.0, 1.0 - error))


def camera_agreement(moved: Float64, commanded: Float64, floor_m: float) -> Float64:
    """Mean of the agreement of the translation and of the rotation of camera motions.

    Args:
        moved: (n, 4, 4) cam_i_from_cam_(i+1).
        commanded: The same, as commanded.
        floor_m: Smaller translations are none.

    Returns:
        (n,) in [-1, 1].
    """
    shift = agreement(moved[:, :3, 3], commanded[:, :3, 3], floor_m)
    turn, wanted = moved[:, :3, :3], commanded[:, :3, :3]
    error = rotation_angle(np.swapaxes(turn, 1, 2) @ wanted)
    turned = np.maximum(-1.0, 1.0 - error / np.maximum(rotation_angle(wanted), _LEAST_ANGLE))
    return (shift + turned) / 2


def rotation_angle(rotation: Float64) -> Float64:
    """Angle in radians of rotations (n, 3, 3), exact near 0 and near pi.

    |R - R^T| gives the sine, the trace the cosine.
    """
    off = rotation - np.swapaxes(rotation, -1, -2)
    axis = np.stack([off[..., 2, 1], off[..., 0, 2], off[..., 1, 0]], axis=-1)
    sine = np.linalg.norm(axis, axis=-1) / 2
    cosine = (np.trace(rotation, axis1=-2, axis2=-1) - 1) / 2
    return np.asarray(np.arctan2(sine, cosine))


def rigid_fit(source: Float64, target: Float64) -> tuple[Float64, Float64, float]:
    """The rotation and translation that take points to others best (Kabsch 1976).

    Args:
        source: (n, 3), n >= 3.
        target: (n, 3).

    Returns:
        R (3, 3), t (3,) and the root mean square residual, in the points' unit.
    """
    a, b = source.mean(axis=0), target.mean(axis=0)
    u, _, vt = np.linalg.svd((source - a).T @ (target - b))
    flip = np.diag([1.0, 1.0, np.sign(np.linalg.det(vt.T @ u.T)) or 1.0])
    rotation = vt.T @ flip @ u.T
    shift = b - rotation @ a
    left = source @ rotation.T + shift - target
    return rotation, shift, float(np.sqrt((left**2).sum(axis=1).mean()))
