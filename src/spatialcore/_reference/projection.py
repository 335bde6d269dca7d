# SPDX-License-Identifier: Apache-2.0
"""Projection of scene points into every frame, float64: the specification.

Source: MultiSPA (arXiv 2505.17015), projection of scan vertices; the operation order is fixed so
that every backend gives these bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]


def project_frame(
    points_world: NDArray[Any], K: Float64, cam_from_world: Float64
) -> tuple[Float64, Float64, Float64]:
    """Pixel coordinates and depth of P points in one frame.

    Args:
        points_world: (P, 3) metres.
        K: (3, 3) pixels.
        cam_from_world: (4, 4).

    Returns:
        u, v, z: (P,) float64; u and v are NaN where z <= 0 or z is not finite.
    """
    X, Y, Z = points_world.astype(np.float64).T
    R, t = cam_from_world[:3, :3], cam_from_world[:3, 3]
    with np.errstate(all="ignore"):
        x, y, z = (((R[i, 0] * X + R[i, 1] * Y) + R[i, 2] * Z) + t[i] for i in range(3))
        u = (K[0, 0] * x) / z + K[0, 2]
        v = (K[1, 1] * y) / z + K[1, 2]
    seen = (z > 0) & np.isfinite(z)
    return np.where(seen, u, np.nan), np.where(seen, v, np.nan), z


def project_points(
    points_world: NDArray[Any], K: Float64, cam_from_world: Float64, *, threads: int | None = None
) -> tuple[Float64, Float64]:
    """`uv` (F, P, 2) and `depth` (F, P) of P points in F frames; see spatialcore.projection."""
    frame_count, point_count = len(cam_from_world), len(points_world)
    uv = np.empty((frame_count, point_count, 2))
    depth = np.empty((frame_count, point_count))
    for f in range(frame_count):
        u, v, z = project_frame(points_world, K[f], cam_from_world[f])
        uv[f, :, 0], uv[f, :, 1], depth[f] = u, v, z
    return uv, depth
