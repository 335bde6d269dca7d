# SPDX-License-Identifier: Apache-2.0
"""Rotations from unit quaternions, in either order of their numbers."""

from __future__ import annotations

import numpy as np

from spatialcore.types import Float64


def rotation_of_quaternion(wxyz: Float64) -> Float64:
    """Rotation matrices of quaternions (w, x, y, z), normalised first.

    Args:
        wxyz: (..., 4).

    Returns:
        (..., 3, 3) float64; NaN where the length is 0 or not finite.

    Example:
        >>> rotation_of_quaternion(np.array([0.0, 1.0, 0.0, 0.0])).tolist()
        [[1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, -1.0]]
    """
    q = np.asarray(wxyz, dtype=np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        length = np.sqrt((q * q).sum(axis=-1, keepdims=True))
        # Of an infinite length the quotient would be zeros, and those the identity.
        usable = np.isfinite(length) & (length > 0)
        w, x, y, z = np.moveaxis(q / np.where(usable, length, np.nan), -1, 0)
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )
    out: Float64 = np.stack([np.stack(row, axis=-1) for row in rows], axis=-2) + 0.0
    return out


def poses_from_quaternions(translation: Float64, quaternion: Float64) -> Float64:
    """Affine matrices (n, 4, 4) from translations (n, 3) and quaternions (n, 4) as x y z w.

    Quaternions are scaled to length 1; one of length 0 gives a matrix of NaN.
    """
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        x, y, z, w = (quaternion / np.sqrt((quaternion**2).sum(axis=1, keepdims=True))).T
    pose = np.zeros((len(translation), 4, 4))
    pose[:, 0, :3] = np.stack(
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)], 1
    )
    pose[:, 1, :3] = np.stack(
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)], 1
    )
    pose[:, 2, :3] = np.stack(
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)], 1
    )
    pose[:, :3, 3] = translation
    pose[:, 3, 3] = 1.0
    return pose
