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
    with np.errstate(divide="ignore", invalid="ignore"):
        w, x, y, z = np.moveaxis(q / np.sqrt((q * q).sum(axis=-1, keepdims=True)), -1, 0)
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )
    out: Float64 = np.stack([np.stack(row, axis=-1) for row in rows], axis=-2) + 0.0
    return out
