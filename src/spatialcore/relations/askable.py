# SPDX-License-Identifier: Apache-2.0
"""Where a point may be asked about: the guards on one visible point in one frame."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spatialcore.bitmask import BitMask
from spatialcore.occlusion import PixelMap
from spatialcore.relations.recipe import Guards
from spatialcore.types import Float64

MIN_MARK_RADIUS = 3.0  # pixels: a smaller disc is not seen


class AskableRule(NamedTuple):
    """`Guards` in the pixels of one scene; csrc/include/spatialcore/askable.h has the formulas.

    Attributes:
        depth_min: Least z, metres.
        depth_max: Greatest z, metres.
        border: Whether the mark's disc must lie in the image.
        mark_radius: Radius of a mark, colour pixels.
        edge_share: Share of the readings in the disc that must agree; 0 = off.
        edge_relative: Agreement of the disc as a share of z.
        edge_absolute: Least agreement of the disc, metres.
        agreement_relative: Agreement of the point's own reading as a share of z.
        agreement_absolute: Least agreement of the point's own reading, metres.
        disc_radius: Radius of the disc, depth pixels.
    """

    depth_min: float
    depth_max: float
    border: bool
    mark_radius: float
    edge_share: float
    edge_relative: float
    edge_absolute: float
    agreement_relative: float
    agreement_absolute: float
    disc_radius: float


def mark_radius(guards: Guards, width: int) -> float:
    """Radius of a mark in pixels of a W pixels wide image: max(3, rint(share of W))."""
    return max(MIN_MARK_RADIUS, float(np.rint(guards.mark_radius_share * width)))


def askable_rule(
    guards: Guards, image_size: tuple[int, int], depth_size: tuple[int, int]
) -> AskableRule:
    """The guards for a scene's image and depth sizes, each (width, height)."""
    radius = mark_radius(guards, image_size[0])
    return AskableRule(
        depth_min=guards.depth_min_m,
        depth_max=guards.depth_max_m,
        border=guards.border,
        mark_radius=radius,
        edge_share=guards.edge_share,
        edge_relative=guards.edge_relative,
        edge_absolute=guards.edge_absolute_m,
        agreement_relative=guards.agreement_relative,
        agreement_absolute=guards.agreement_absolute_m,
        disc_radius=max(1.0, radius * depth_size[0] / image_size[0]),
    )


def askable_points(
    points_world: NDArray[np.float32],
    K: Float64,
    cam_from_world: Float64,
    depth: NDArray[Any],
    visible: BitMask,
    rule: AskableRule,
    *,
    image_size: tuple[int, int],
    depth_scale: float,
    depth_from_image: PixelMap,
    threads: int | None = None,
) -> BitMask:
    """The visible points that pass every guard.

    Args:
        points_world: (P, 3) float32 metres.
        K: (3, 3) of the colour image, pixels.
        cam_from_world: (F, 4, 4).
        depth: (F, h, w) uint16 or float32.
        visible: F x P.
        rule: The guards in pixels.
        image_size: (W, H) of the colour image.
        depth_scale: Metres per unit.
        depth_from_image: Map from colour to depth pixels.
        threads: CPU threads; None uses the process's affinity mask.

    Returns:
        BitMask F x P, a subset of `visible`.

    Raises:
        ValueError: Shapes disagree.
        TypeError: `depth` has another dtype.
    """
    from spatialcore import _cpu

    m = depth_from_image
    words = _cpu.askable_points(
        points_world,
        K,
        cam_from_world,
        np.ascontiguousarray(depth),
        np.ascontiguousarray(visible.words),
        image_size=image_size,
        depth_scale=depth_scale,
        pixel_map=(m.ax, m.bx, m.ay, m.by),
        threads=threads or 0,
        **rule._asdict(),
    )
    return BitMask(words, visible.point_count)
