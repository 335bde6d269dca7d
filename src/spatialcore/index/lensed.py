# SPDX-License-Identifier: Apache-2.0
"""Visibility and guards of one frame behind a lens, in numpy float64.

Colour and depth share the lens, so the affine map between their pixels holds as for pinholes; what
differs is where a point lands. The rules are those of the kernels (`spatialcore.occlusion`,
csrc/include/spatialcore/askable.h), the speed is not: docs/performance.md has the figure.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spatialcore.index.askable import AskableRule
from spatialcore.occlusion import DepthRule
from spatialcore.types import Float64, transform_points

if TYPE_CHECKING:
    from spatialcore.index.visibility import View


class LensedPoints(NamedTuple):
    """P points in one frame.

    Attributes:
        visible: (P,) bool.
        inside: (P,) bool, whether its pixel lies in the image, in front of the camera.
        uv: (P, 2) float64 colour pixels, NaN outside the lens.
        z: (P,) float64 metres.
        pixel: (P, 2) int64 nearest depth pixel, column and row; (0, 0) where there is none.
        reading: (P,) float64 metres; 0 = none.
    """

    visible: NDArray[np.bool_]
    inside: NDArray[np.bool_]
    uv: Float64
    z: Float64
    pixel: NDArray[np.int64]
    reading: Float64

    def near(self, rule: DepthRule) -> NDArray[np.bool_]:
        """(P,) bool: points in the image that a rule holds to be what the map shows."""
        return self.inside & (self.reading > 0) & _allowed(self.z, self.reading, rule)


def _allowed(z: Float64, reading: Float64, rule: DepthRule) -> NDArray[np.bool_]:
    near: NDArray[np.bool_]
    if rule.kind == "strict":
        near = z < reading
    else:
        near = np.abs(z - reading) < np.maximum(rule.relative * z, rule.absolute)
    return near


def lensed_points(
    points: NDArray[np.float32], cam_from_world: Float64, depth: NDArray[Any], view: View
) -> LensedPoints:
    """Project points through the lens and hold their depth against the map's.

    Args:
        points: (P, 3) metres, world.
        cam_from_world: (4, 4).
        depth: (h, w) as stored.
        view: Cameras and rule.
    """
    cam = transform_points(cam_from_world, points)
    uv, z = view.color.project(cam)
    W, H = view.color.size
    with np.errstate(invalid="ignore"):
        inside = (uv[:, 0] >= 0) & (uv[:, 0] < W) & (uv[:, 1] >= 0) & (uv[:, 1] < H)
    w, h = view.depth.size
    pixel = view.pixel_map.depth_pixel(np.where(inside[:, None], uv, 0.0), (w, h))
    reading = depth[pixel[:, 1], pixel[:, 0]].astype(np.float64) * view.depth_scale
    reading = np.where(np.isfinite(reading) & (reading > 0), reading, 0.0)
    inside &= z > 0
    visible = inside & (reading > 0) & _allowed(z, reading, view.rule)
    return LensedPoints(visible, inside, uv, z, pixel, reading)


def askable_lensed(
    seen: LensedPoints, depth: NDArray[Any], view: View, rule: AskableRule
) -> NDArray[np.bool_]:
    """(P,) bool: which visible points pass the guards."""
    W, H = view.color.size
    rows = np.flatnonzero(seen.visible)
    uv, z, reading = seen.uv[rows], seen.z[rows], seen.reading[rows]
    keep = (z >= rule.depth_min) & (z <= rule.depth_max)
    if rule.border:
        mark = np.clip(np.rint(uv), 0, (W - 1, H - 1))
        last = np.array([W - 1, H - 1]) - rule.mark_radius
        keep &= ((mark >= rule.mark_radius) & (mark <= last)).all(axis=1)
    keep &= np.abs(z - reading) < np.maximum(rule.agreement_relative * z, rule.agreement_absolute)
    rows = rows[keep]
    rows = rows[_off_edges(seen.pixel[rows], seen.z[rows], depth, view, rule)]
    out = np.zeros(len(seen.z), dtype=np.bool_)
    out[rows] = True
    return out


def _off_edges(
    pixel: NDArray[np.int64], z: Float64, depth: NDArray[Any], view: View, rule: AskableRule
) -> NDArray[np.bool_]:
    """Whether enough of the readings in the disc around each depth pixel lie near z."""
    h, w = depth.shape
    reach = math.floor(rule.disc_radius)
    tolerance = np.maximum(rule.edge_relative * z, rule.edge_absolute)
    readings, near = np.zeros(len(z)), np.zeros(len(z))
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            if dx * dx + dy * dy > rule.disc_radius * rule.disc_radius:
                continue
            column, row = pixel[:, 0] + dx, pixel[:, 1] + dy
            inside = (column >= 0) & (column < w) & (row >= 0) & (row < h)
            d = depth[np.where(inside, row, 0), np.where(inside, column, 0)] * view.depth_scale
            read = inside & np.isfinite(d) & (d > 0)
            readings += read
            near += read & (np.abs(d - z) <= tolerance)
    enough: NDArray[np.bool_] = near >= rule.edge_share * readings
    return enough
