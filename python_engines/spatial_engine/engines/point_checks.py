# SPDX-License-Identifier: Apache-2.0
"""Points of a frame a second time: pixels, depths and guards by the float64 reference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spatial_engine.engines.frame_points import Views
from spatial_engine.records.marks import mark_radius

if TYPE_CHECKING:
    from spatial_engine.reference.scene import ReferenceScene

Float64 = NDArray[np.float64]


def reference_views(reference: ReferenceScene, frame: int, points: Sequence[int]) -> Views:
    """`point_views` of one frame (1, k) from the source, by a plain matrix product."""
    uv, z = reference.project(frame, reference.points[list(points)])
    size = np.array(reference.camera(frame).size, dtype=np.int64)
    return Views(uv[None], z[None], np.broadcast_to(size, (1, *uv.shape)))


def reference_rejection(reference: ReferenceScene, frame: int, point: int) -> str:
    """The first guard that a point breaks in a frame, or "", read from the depth map.

    The formulas are those of the index's `askable` mask (contracts 4), written on plain numbers.
    """
    if not reference.visible(frame)[point]:
        return "not_visible"
    if reference.recipe.rules.askable == "visible":
        return ""
    guards, view = reference.recipe.rules.guards, reference_views(reference, frame, [point])
    W, H = reference.camera(frame).size
    (u, v), z = view.uv[0, 0].tolist(), float(view.z[0, 0])
    if not guards.depth_min_m <= z <= guards.depth_max_m:
        return "depth_range"
    radius = mark_radius(W, guards.mark_radius_share)
    column, row = min(max(round(u), 0), W - 1), min(max(round(v), 0), H - 1)
    inside = radius <= column <= W - 1 - radius and radius <= row <= H - 1 - radius
    if guards.border and not inside:
        return "border"
    depth = reference.depth_m(frame)
    h, w = depth.shape
    column, row = reference.pixel_map(frame).depth_pixel([u, v], (w, h)).tolist()
    allowed = max(guards.agreement_relative * z, guards.agreement_absolute_m)
    if not abs(z - depth[row, column]) < allowed:
        return "agreement"
    return _edge_rejection(guards, depth, (column, row), z, max(1.0, radius * w / W))


def _edge_rejection(
    guards: Any, depth: Float64, centre: tuple[int, int], z: float, radius: float
) -> str:
    """Return "depth_edge" unless enough of the readings in the disc lie near z."""
    readings = near = 0
    reach = math.floor(radius)
    tolerance = max(guards.edge_relative * z, guards.edge_absolute_m)
    for row in range(max(0, centre[1] - reach), min(depth.shape[0], centre[1] + reach + 1)):
        for column in range(max(0, centre[0] - reach), min(depth.shape[1], centre[0] + reach + 1)):
            if (column - centre[0]) ** 2 + (row - centre[1]) ** 2 > radius * radius:
                continue
            d = depth[row, column]
            readings += d > 0
            near += d > 0 and abs(d - z) <= tolerance
    return "" if near >= guards.edge_share * readings else "depth_edge"
