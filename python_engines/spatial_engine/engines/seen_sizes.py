# SPDX-License-Identifier: Apache-2.0
"""Whether the frames of a layout show how large an object is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from spatial_engine.engines.seen_parts import reach_of, sides_of, sides_seen
from spatialcore.relations.eye import tells_apart
from spatialcore.relations.scene_object import SceneObject
from spatialcore.relations.verdict import Reason, Rejection

if TYPE_CHECKING:
    from spatial_engine.engines.layout_scene import LayoutScene

NOISE_M = 0.02
"""Ends of a side that lie so near are the same to the sensor."""

ON_FLOOR_M = 0.15
"""How far above the floor's level the base of an object may be that stands on it."""


def extent_unsure(layout: LayoutScene, item: SceneObject, axes: Sequence[int]) -> Rejection | None:
    """`extent_unsure` unless the frames agree on the sides of an object that masks labelled.

    Of the frames that show it, every other one must see as much of a side as the rest do, and its
    points must be one cluster. Evidence: `halves_m`, the sides by either half.

    Args:
        layout: The scene.
        item: The object.
        axes: The sides of its box that count.
    """
    if layout.one_cluster is None:
        return None
    seen = layout.shown[layout.objects.index(item)].tolist()
    shown = [frame for frame, sees in zip(layout.frames, seen, strict=True) if sees]
    halves = [layout.seen_part(item, shown[k::2]) if shown[k::2] else None for k in (0, 1)]
    sides = [np.zeros(3) if part is None else reach_of(item, part) for part in halves]
    share = layout.recipe.guards.min_seen_share
    differ = any(
        tells_apart(float(sides[0][k]), float(sides[1][k]), share=share, metres=NOISE_M)
        for k in axes
    )
    if not differ and None not in halves and layout.one_cluster(item):
        return None
    evidence = {"object_id": item.object_id, "halves_m": [side.tolist() for side in sides]}
    return Rejection(Reason.EXTENT_UNSURE, evidence)


def off_floor(layout: LayoutScene, item: SceneObject) -> Rejection | None:
    """`off_floor` for an object that does not stand on the floor, the lowest level of the cloud."""
    above = float(item.bounds[0][2]) - layout.floor_level
    if above <= ON_FLOOR_M:
        return None
    evidence = {"object_id": item.object_id, "above_m": above}
    return Rejection(Reason.OFF_FLOOR, evidence)


def size_fault(layout: LayoutScene, item: SceneObject, by: str) -> Rejection | None:
    """Why the frames do not show how large an object is by a measure of `pairs.MEASURES`, or None.

    Returns:
        As `extent_unsure`, or `ends_unseen` (an end of a side that counts is not seen), or for the
        floor area `off_floor`.
    """
    return layout.kept(("size", item.object_id, by), lambda: _size_fault(layout, item, by))


def _size_fault(layout: LayoutScene, item: SceneObject, by: str) -> Rejection | None:
    if by == "floor_area" and (hung := off_floor(layout, item)):
        return hung
    part, axes = layout.seen_part(item), sides_of(item.box, by)
    if unsure := extent_unsure(layout, item, axes):
        return unsure
    seen = np.zeros(3, bool) if part is None else sides_seen(item, part)
    if seen[axes].all():
        return None
    evidence = {"object_id": item.object_id, "size_m": item.box.size.tolist()}
    return Rejection(Reason.ENDS_UNSEEN, evidence | {"sides_seen": seen.tolist()})
