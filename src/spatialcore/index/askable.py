# SPDX-License-Identifier: Apache-2.0
"""Where a point may be asked about: the guards on one visible point in one frame."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from spatialcore._check import check_threads, library_of
from spatialcore._dispatch import load
from spatialcore.bitmask import BitMask
from spatialcore.index.rules import AskableGuards
from spatialcore.occlusion import CheckedViews

MIN_MARK_RADIUS = 3.0  # pixels: a smaller disc is not seen


class AskableRule(NamedTuple):
    """`AskableGuards` in a scene's pixels; csrc/include/spatialcore/askable.h has the formulas.

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


def mark_radius(guards: AskableGuards, width: int) -> float:
    """Radius of a mark in pixels of a W pixels wide image: max(3, rint(share of W))."""
    return max(MIN_MARK_RADIUS, float(np.rint(guards.mark_radius_share * width)))


def askable_rule(
    guards: AskableGuards, image_size: tuple[int, int], depth_size: tuple[int, int]
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
    scene: CheckedViews, visible: BitMask, rule: AskableRule, *, threads: int | None = None
) -> BitMask:
    """The visible points that pass every guard, where the arrays live.

    Args:
        scene: What `visible_in` took; float32 points, and depth as one array or a list.
        visible: F x P.
        rule: The guards in pixels.
        threads: CPU threads; None uses the process's affinity mask.

    Returns:
        BitMask F x P, a subset of `visible`.

    Raises:
        ValueError: Shapes disagree.
        TypeError: The points or the depth have another dtype, or the maps come only once.
        BackendUnavailable: The arrays live on a GPU that the CUDA kernels cannot use.
    """
    if not (library_of(scene.depth) or type(scene.depth) in (list, tuple)):
        raise TypeError(f"depth must be an array or a list, got {type(scene.depth).__name__}")
    if library_of(visible.words) != "numpy":
        run = load("askable", "askable_points", "cuda")
        return BitMask(run(scene, visible, rule), visible.point_count)
    from spatialcore import _cpu

    words = np.ascontiguousarray(visible.words)
    asked = _cpu.askable_points(scene, words, rule, threads=check_threads(threads))
    return BitMask(asked, visible.point_count)
