# SPDX-License-Identifier: Apache-2.0
"""Which scene points each frame sees, float64: the specification.

Source: MultiSPA (arXiv 2505.17015), in-image and by-depth tests; the tolerance rule is the one of
the first public description of that system, the strict rule the one of its code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spatialcore._reference.projection import project_frame

if TYPE_CHECKING:
    from spatialcore.occlusion import DepthRule, DepthViews, PixelMap

Float64 = NDArray[np.float64]


def nearest_index(x: Float64, size: int) -> NDArray[np.int64]:
    """Nearest index of a map axis: ties to even, clipped to [0, size - 1]."""
    return np.clip(np.rint(x), 0, size - 1).astype(np.int64)


def passes_depth(z: Float64, d: Float64, rule: DepthRule) -> NDArray[np.bool_]:
    """Whether points at depth `z` are seen where the map reads `d`; both metres."""
    reading = (d > 0) & np.isfinite(d)
    if rule.kind == "strict":
        return reading & (z > 0) & (z < d)
    tolerance = np.maximum(rule.relative * z, rule.absolute)
    return reading & (z > 0) & (np.abs(z - d) < tolerance)


def visible_in_frame(
    points_world: NDArray[Any],
    K: Float64,
    cam_from_world: Float64,
    depth: NDArray[Any],
    *,
    image_size: tuple[int, int],
    depth_scale: float,
    depth_from_image: PixelMap,
    rule: DepthRule,
) -> NDArray[np.bool_]:
    """(P,) bool of one frame; arguments as `visible_points`, for one K, pose and depth map."""
    u, v, z = project_frame(points_world, K, cam_from_world)
    width, height = image_size
    inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
    visible = np.zeros(len(z), dtype=np.bool_)
    u, v, z = u[inside], v[inside], z[inside]
    column = nearest_index(depth_from_image.ax * u + depth_from_image.bx, depth.shape[1])
    row = nearest_index(depth_from_image.ay * v + depth_from_image.by, depth.shape[0])
    with np.errstate(over="ignore", invalid="ignore"):
        visible[inside] = passes_depth(z, depth[row, column].astype(np.float64) * depth_scale, rule)
    return visible


def visible_points(
    views: DepthViews, *, rule: DepthRule, threads: int | None = None
) -> NDArray[np.uint64]:
    """Words (F, ceil(P / 64)) of the mask; see spatialcore.occlusion."""
    point_count = len(views.points_world)
    words = np.zeros((len(views.cam_from_world), -(-point_count // 64)), dtype="<u8")
    for f, depth_map in enumerate(views.depth):
        visible = visible_in_frame(
            views.points_world,
            views.K[f],
            views.cam_from_world[f],
            depth_map,
            image_size=views.image_size,
            depth_scale=1.0 if views.depth_scale is None else views.depth_scale,
            depth_from_image=views.map_of(f),
            rule=rule,
        )
        packed = np.packbits(visible, bitorder="little")
        words[f].view(np.uint8)[: len(packed)] = packed
    return words
