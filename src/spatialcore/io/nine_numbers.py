# SPDX-License-Identifier: Apache-2.0
"""Boxes of nine numbers: centre, sides and the angles about z, x and y, in that order."""

from __future__ import annotations

import math

import numpy as np

from spatialcore.box import OrientedBox
from spatialcore.types import Float64


def rotation_zxy(angles: Float64) -> Float64:
    """world_from_box (3, 3): a turn about z, then about the new x, then about the new y.

    Args:
        angles: (3,) radians, about z, x and y.

    Example:
        >>> rotation_zxy(np.array([math.pi / 2, 0, 0])).round(12).tolist()
        [[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    (cz, sz), (cx, sx), (cy, sy) = ((math.cos(a), math.sin(a)) for a in angles.tolist())
    about_z = np.array([[cz, -sz, 0.0], [sz, cz, 0.0], [0.0, 0.0, 1.0]])
    about_x = np.array([[1.0, 0.0, 0.0], [0.0, cx, -sx], [0.0, sx, cx]])
    about_y = np.array([[cy, 0.0, sy], [0.0, 1.0, 0.0], [-sy, 0.0, cy]])
    turned: Float64 = _product(_product(about_z, about_x), about_y) + 0.0
    return turned


def _product(a: Float64, b: Float64) -> Float64:
    """`a b`, elementwise in a fixed order."""
    out: Float64 = a[:, :1] * b[0] + a[:, 1:2] * b[1] + a[:, 2:] * b[2]
    return out


def box_of_nine(numbers: Float64) -> OrientedBox | None:
    """The box of centre (3), whole sides (3) and angles (3); None where they make none."""
    if numbers.shape != (9,) or not np.isfinite(numbers).all() or (numbers[3:6] <= 0).any():
        return None
    try:
        return OrientedBox(numbers[:3], numbers[3:6], rotation_zxy(numbers[6:]))
    except ValueError:
        return None
