# SPDX-License-Identifier: Apache-2.0
"""Project scene points into posed pinhole cameras."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from spatialcore._check import (
    check_array,
    check_dtype,
    check_shape,
    check_threads,
    library_of,
)
from spatialcore._dispatch import kernel


class Projection(NamedTuple):
    """Pixels and depths of P points in F frames.

    Attributes:
        uv: (F, P, 2) float64 pixels (column, row); NaN where depth <= 0 or is not finite.
        depth: (F, P) float64 metres, z in the camera frame as computed.
    """

    uv: Any
    depth: Any


def project_points(
    points_world: Any,
    K: Any,
    cam_from_world: Any,
    *,
    backend: str | None = None,
    threads: int | None = None,
) -> Projection:
    """Pixel coordinates and camera depth of every point in every frame.

    With c = ((r0 X + r1 Y) + r2 Z) + t: u = (fx c0) / z + cx, v = (fy c1) / z + cy, z = c2, in
    float64 and without fused operations, so the bits are equal on every backend. Points outside
    the image are projected like the others; nothing is clipped.

    Args:
        points_world: (P, 3) float32 or float64, metres.
        K: (3, 3) or (F, 3, 3) pixels, zero skew.
        cam_from_world: (F, 4, 4); non-finite poses give NaN.
        backend: "reference", "cpu", "cuda"; None chooses by where the points live.
        threads: CPU threads; None uses the process's affinity mask.

    Returns:
        Projection(uv (F, P, 2) float64, depth (F, P) float64).

    Raises:
        TypeError: An argument is not an array of the dtypes above.
        ValueError: A shape does not fit, or K has skew; the message names what came.
        BackendUnavailable: The backend is not installed, or cannot run these arrays.

    Source: MultiSPA (arXiv 2505.17015). Cost: 24 bytes written a point and frame, which is the
    bound; see docs/ops/projection.md. `visible_points` needs none of it.

    Examples:
        >>> K = np.array([[500.0, 0.0, 320.0], [0.0, 500.0, 240.0], [0.0, 0.0, 1.0]])
        >>> points = np.array([[0.1, -0.2, 2.0], [0.0, 0.0, -1.0]])
        >>> uv, depth = project_points(points, K, np.eye(4)[None])
        >>> uv[0].tolist(), depth[0].tolist()
        ([[345.0, 190.0], [nan, nan]], [2.0, -1.0])
    """
    points_world, K, cam_from_world = check_scene(points_world, K, cam_from_world)
    run = kernel("projection", "project_points", backend, [points_world, K, cam_from_world])
    return Projection(*run(points_world, K, cam_from_world, threads=check_threads(threads)))


def check_scene(points_world: Any, K: Any, cam_from_world: Any) -> tuple[Any, Any, Any]:
    """The three arrays as backends take them.

    On the host K becomes (F, 3, 3) and cam_from_world (F, 4, 4), both float64 and contiguous.
    Arrays on a GPU are checked and returned as they are.

    Raises:
        TypeError: Not arrays, or the points are neither float32 nor float64.
        ValueError: A shape does not fit, or K has skew.
    """
    check_array("points_world", points_world)
    check_dtype("points_world", points_world, "float32", "float64")
    check_shape("points_world", points_world, ("P", 3))
    if library_of(points_world) == "numpy":
        K = np.asarray(K, dtype=np.float64)
        cam_from_world = np.ascontiguousarray(cam_from_world, dtype=np.float64)
    check_array("K", K)
    check_array("cam_from_world", cam_from_world)
    sizes = check_shape("cam_from_world", cam_from_world, ("F", 4, 4))
    check_shape("K", K, (3, 3), ("F", 3, 3), sizes=sizes)
    if library_of(K) == "numpy":
        if (np.abs(K[..., 0, 1]) > 0).any():
            raise ValueError("K must have zero skew, got a non-zero K[0, 1]")
        K = np.ascontiguousarray(np.broadcast_to(K, (sizes["F"], 3, 3)))
    return points_world, K, cam_from_world
