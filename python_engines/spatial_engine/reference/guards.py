# SPDX-License-Identifier: Apache-2.0
"""The guards on points in a frame: the specification of csrc/include/spatialcore/askable.h."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spatialcore.index.askable import AskableRule

Bool = NDArray[np.bool_]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]


class PointGuards(NamedTuple):
    """The guards on n points in one frame, in the order in which they refuse.

    Attributes:
        not_visible: (n,) bool, the frame does not see the point.
        depth_range: (n,) bool, z is out of the depth range.
        border: (n,) bool, the mark's disc leaves the image.
        agreement: (n,) bool, the point's own reading differs too much from z.
        depth_edge: (n,) bool, too few readings of the disc are near z.
    """

    not_visible: Bool
    depth_range: Bool
    border: Bool
    agreement: Bool
    depth_edge: Bool

    def reasons(self) -> list[str]:
        """The first guard that each point breaks, or ""."""
        broken = np.stack([*self, np.ones_like(self.not_visible)])
        names = (*self._fields, "")
        return [names[k] for k in np.argmax(broken, axis=0).tolist()]


def visible_only(visible: Bool) -> PointGuards:
    """The guards where every visible point may be asked about."""
    passed = np.zeros_like(visible)
    return PointGuards(~visible, *(passed,) * 4)


def point_guards(
    uv: Float64,
    z: Float64,
    visible: Bool,
    depth_m: Float64,
    pixels: Int64,
    rule: AskableRule,
    image_size: tuple[int, int],
) -> PointGuards:
    """The guards on n points of a frame.

    Args:
        uv: (n, 2) pixels of the colour image, NaN behind the camera.
        z: (n,) depth of the points, metres.
        visible: (n,) whether the frame sees them.
        depth_m: (h, w) metres, NaN = no reading.
        pixels: (n, 2) column and row of the points' own readings.
        rule: The guards in pixels.
        image_size: (W, H) of the colour image.
    """
    reading = depth_m[pixels[:, 1], pixels[:, 0]]
    allowed = np.maximum(rule.agreement_relative * z, rule.agreement_absolute)
    near, readings = _disc(depth_m, pixels, z, rule)
    return PointGuards(
        not_visible=~visible,
        depth_range=~((z >= rule.depth_min) & (z <= rule.depth_max)),
        border=~_on_canvas(uv, image_size, rule),
        agreement=~(np.abs(z - reading) < allowed),
        depth_edge=~(near >= rule.edge_share * readings),
    )


def _on_canvas(uv: Float64, size: tuple[int, int], rule: AskableRule) -> Bool:
    """Whether the disc around the mark's pixel, clip(rint(u), 0, W - 1), lies in the image."""
    inside: Bool = np.asarray(np.isfinite(uv).all(axis=1), np.bool_)
    if not rule.border:
        return inside
    last = np.array(size) - 1
    pixel = np.clip(np.rint(uv), 0, last)
    lies = (pixel >= rule.mark_radius) & (pixel <= last - rule.mark_radius)
    return inside & np.asarray(lies.all(axis=1), np.bool_)


def _disc(
    depth_m: Float64, pixels: Int64, z: Float64, rule: AskableRule
) -> tuple[Float64, Float64]:
    """Readings near z, and readings, in the disc around each depth pixel."""
    reach = int(rule.disc_radius)
    dy, dx = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    inside = dx * dx + dy * dy <= rule.disc_radius * rule.disc_radius
    x, y = pixels[:, :1] + dx[inside], pixels[:, 1:] + dy[inside]
    h, w = depth_m.shape
    kept = (x >= 0) & (x < w) & (y >= 0) & (y < h)
    d = depth_m[np.clip(y, 0, h - 1), np.clip(x, 0, w - 1)]
    reading = kept & np.isfinite(d)
    limit = np.maximum(rule.edge_relative * z, rule.edge_absolute)[:, None]
    near = reading & (np.abs(d - z[:, None]) <= limit)
    return near.sum(axis=1).astype(np.float64), reading.sum(axis=1).astype(np.float64)
