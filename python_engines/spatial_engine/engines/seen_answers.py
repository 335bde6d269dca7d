# SPDX-License-Identifier: Apache-2.0
"""Answers about several objects that their seen parts bear out; else nothing is asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import combinations, permutations
from typing import TYPE_CHECKING

import numpy as np

from spatial_engine.engines.candidates import Row
from spatial_engine.engines.seen_parts import agreed
from spatialcore.relations import layout as geometry
from spatialcore.relations.eye import tell_apart, tells_apart
from spatialcore.relations.layout import LayoutRules, object_count
from spatialcore.relations.scene_object import SceneObject, gap
from spatialcore.relations.verdict import Answer, Reason, Rejection
from spatialcore.types import Float64

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


def nearest_categories(
    layout: LayoutScene, possible: Iterable[tuple[int, ...]]
) -> tuple[list[tuple[tuple[int, ...], str]], Counter[str]]:
    """`nearest_category` of many sets of objects, by arrays.

    Args:
        layout: The scene.
        possible: An object and others of as many categories, their ids.

    Returns:
        The sets that have an answer, with the nearest category; the others by reason.
    """
    sets = list(possible)
    if not sets:
        return [], Counter()
    ids = np.array(sets, dtype=np.int64)
    category = {k: layout.object(k).category for k in np.unique(ids).tolist()}
    # Columns by name: equal gaps are told apart by it.
    by_name = np.array([sorted(row[1:], key=category.__getitem__) for row in sets])
    refused, told = [], []
    for gap_of in (_whole_gap, _seen_gap):
        known = {
            (a, b): gap_of(layout, layout.object(a), category[b])
            for a, b in {(row[0], b) for row in sets for b in row[1:]}
        }
        gaps = np.array([
            [known[a, b] for b in row]
            for a, row in zip(ids[:, 0].tolist(), by_name.tolist(), strict=True)
        ])  # fmt: skip
        reason, nearest = geometry.nearest_of_rows(
            gaps, room_area_m2=layout.room_area, rules=layout.rules
        )
        refused.append(reason)
        told.append(nearest)
    whole, seen = refused
    hidden = (whole == "") & ((seen != "") | (told[0] != told[1]))
    reasons = whole.copy()
    reasons[hidden] = str(Reason.HIDDEN_PART)
    kept = np.flatnonzero(reasons == "")
    right = np.take_along_axis(by_name, told[0][:, None], axis=1)[:, 0]
    answers = [(sets[k], category[int(right[k])]) for k in kept.tolist()]
    return answers, Counter(reasons[reasons != ""].tolist())


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


def all_nearer(layout: LayoutScene) -> tuple[list[tuple[Row, str]], Counter[str]]:
    """Whether one unique object is nearer to a third than another, of all ordered sets of three.

    As `pairs.nearer` of whole objects and of their seen parts, asked of arrays.

    Returns:
        Rows of the two and the third that have an answer, with its word; the others by reason.
    """
    things, rules = layout.unique, layout.relation_rules
    if len(things) < 3:
        return [], Counter()
    sets = np.array(list(permutations(range(len(things)), 3)))
    first, second, third = sets.T
    told = []
    for some in (things, layout.seen_parts(things)):
        gaps = _gaps(some)
        a, b = gaps[third, first], gaps[third, second]
        clear = tell_apart(a, b, share=rules.min_seen_share, metres=rules.min_seen_m)
        told.append((clear, a < b))
    (clear, nearer), (seen, seen_nearer) = told
    kept = clear & seen & (nearer == seen_nearer)
    refused = {
        str(Reason.DEAD_ZONE): int((~clear).sum()),
        str(Reason.HIDDEN_PART): int((clear & ~kept).sum()),
    }
    ids = np.array([item.object_id for item in things])[sets[kept]].tolist()
    words = [("farther", "nearer")[is_nearer] for is_nearer in nearer[kept].tolist()]
    rows = [(Row(layout.frames, tuple(k)), word) for k, word in zip(ids, words, strict=True)]
    return rows, Counter({reason: count for reason, count in refused.items() if count})


def _gaps(things: Sequence[SceneObject]) -> Float64:
    """(n, n) metres between objects, 0 from each to itself."""
    out = np.zeros((len(things), len(things)))
    for a, b in combinations(range(len(things)), 2):
        out[a, b] = out[b, a] = gap(things[a], things[b])
    return out


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
