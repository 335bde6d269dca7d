# SPDX-License-Identifier: Apache-2.0
"""Answers about several objects that their seen parts bear out; else nothing is asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from spatial_engine.engines.seen_parts import agreed
from spatialcore.relations import layout as geometry
from spatialcore.relations.eye import tells_apart
from spatialcore.relations.layout import LayoutRules, object_count
from spatialcore.relations.scene_object import SceneObject, gap
from spatialcore.relations.verdict import Answer, Reason, Rejection

if TYPE_CHECKING:
    from spatial_engine.engines.layout_scene import LayoutScene


def nearest_category(layout: LayoutScene, things: Sequence[SceneObject]) -> Answer[str] | Rejection:
    """Which category of the others is nearest to the first object, whole and by what is seen."""
    first, names = things[0], [item.category for item in things[1:]]
    area, rules = layout.room_area, layout.rules
    gaps = {name: _whole_gap(layout, first, name) for name in names}
    whole = geometry.nearest_of(first.object_id, gaps, room_area_m2=area, rules=rules)
    if isinstance(whole, Rejection):
        return whole
    gaps = {name: _seen_gap(layout, first, name) for name in names}
    return agreed(whole, geometry.nearest_of(first.object_id, gaps, room_area_m2=area, rules=rules))


def _whole_gap(layout: LayoutScene, first: SceneObject, category: str) -> float:
    items = layout.by_category[category]
    return layout.of_whole(
        ("gap", first.object_id, category), lambda: geometry.category_gap(first, items)
    )


def _seen_gap(layout: LayoutScene, first: SceneObject, category: str) -> float:
    """The same of the parts that the frames show."""

    def make() -> float:
        parts = layout.seen_parts(layout.by_category[category])
        return geometry.category_gap(layout.seen_parts([first])[0], parts)

    return layout.kept(("gap", first.object_id, category), make)


def gap_between(layout: LayoutScene, things: Sequence[SceneObject]) -> Answer[float] | Rejection:
    """Metres between two objects, where what is seen of them is as far apart to the eye.

    Returns:
        As `layout.absolute_distance`, or `hidden_part`. Evidence: also `seen_gap_m`.
    """
    whole = geometry.absolute_distance(things[0], things[1], rules=layout.rules)
    if isinstance(whole, Rejection):
        return whole
    seen, rules = gap(*layout.seen_parts(things)), layout.rules
    evidence = whole.evidence | {"seen_gap_m": seen}
    if tells_apart(seen, whole.value, share=rules.min_seen_share, metres=rules.min_seen_m):
        return Rejection(Reason.HIDDEN_PART, evidence)
    return Answer(whole.value, evidence)


def room_told(layout: LayoutScene) -> Answer[float] | Rejection:
    """The room's floor area, or `room_partly_seen` where the frames show too little of it."""
    room, least = layout.room, layout.recipe.guards.room_shown_share
    if isinstance(room, Rejection) or not least or layout.room_shown >= least:
        return room
    return Rejection(Reason.ROOM_PARTLY_SEEN, {**room.evidence, "shown_share": layout.room_shown})


def count_told(layout: LayoutScene, items: tuple[int, ...]) -> Answer[int] | Rejection:
    """How many of an item's category the shown frames show.

    An instance of which they have but a glimpse may or may not be counted: `count_unsure`.
    """
    category = layout.object(items[0]).category
    lifted = LayoutRules(min_count=0, max_count=len(layout.objects))
    evidence = object_count(layout.objects, category, rules=lifted).evidence
    ids = evidence["object_ids"]
    row_of = {item.object_id: row for row, item in enumerate(layout.objects)}
    unseen = [k for k in ids if k not in layout.seen]
    if len(unseen) == len(ids):
        return Rejection(Reason.CATEGORY_NOT_SEEN, evidence)
    if any(layout.visible_count[row_of[k]].any() for k in unseen):
        return Rejection(Reason.COUNT_UNSURE, evidence)
    return Answer(len(ids) - len(unseen), evidence)
