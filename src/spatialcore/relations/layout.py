# SPDX-License-Identifier: Apache-2.0
"""The layout of a room: counts, distances, sizes, and the order of appearance.

Definitions and guards are those of the VSI-style tasks. The functions take objects that the
caller has already found to be seen; each returns an unrounded answer with its evidence, or the
reason why the question has no single right answer.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spatialcore.relations.eye import MIN_SEEN_M, MIN_SEEN_SHARE, tell_apart, tells_apart
from spatialcore.relations.scene_object import SceneObject, gap
from spatialcore.relations.verdict import Answer, Reason, Rejection


@dataclass(frozen=True, slots=True)
class LayoutRules:
    """Thresholds of the layout questions; metres and degrees.

    Attributes:
        min_count, max_count: Counts that are asked.
        max_fragment_ratio: An instance ten times smaller than its peers in every direction is
            a crumb of the scan and not counted: share of the category's median volume.
        min_distance_m, max_distance_m: Distances that are asked.
        min_nearest_m: Least distance of the nearest candidate of a comparison.
        min_difference_m: Least difference of any two candidates.
        min_seen_share, min_seen_m: Least difference of the nearest and the next, see `eye`.
        min_difference_large_m: The same in a room above `large_room_m2`.
        large_room_m2: Square metres.
        min_stand_m, max_stand_m: Pairwise floor distance of the three objects of a direction.
        border_deg: Least angle to every sector border.
        max_stray_corners: Corners of the target's box that may lie in another sector.
        min_side_m: Least longest side whose size is asked.
        min_frame_step: Least difference of first appearances, in shown frames.
        min_time_step_s: The same in seconds, where times are known.
    """

    min_count: int = 2
    max_count: int = 20
    max_fragment_ratio: float = 0.001
    min_distance_m: float = 0.2
    max_distance_m: float = 10.0
    min_nearest_m: float = 0.15
    min_difference_m: float = 0.15
    min_difference_large_m: float = 0.30
    min_seen_share: float = MIN_SEEN_SHARE
    min_seen_m: float = MIN_SEEN_M
    large_room_m2: float = 40.0
    min_stand_m: float = 0.3
    max_stand_m: float = 5.0
    border_deg: float = 10.0
    max_stray_corners: int = 2
    min_side_m: float = 0.10
    min_frame_step: int = 2
    min_time_step_s: float = 1.0


DEFAULT_RULES = LayoutRules()
"""What is asked unless told otherwise."""


def sole_object(objects: Sequence[SceneObject], category: str) -> SceneObject | Rejection:
    """The one object of a category, or `category_not_unique`."""
    found = [item for item in objects if item.category == category]
    if len(found) == 1:
        return found[0]
    return Rejection(Reason.CATEGORY_NOT_UNIQUE, {"category": category, "count": len(found)})


def object_count(
    objects: Sequence[SceneObject],
    category: str,
    *,
    seen: AbstractSet[int] | None = None,
    rules: LayoutRules = DEFAULT_RULES,
) -> Answer[int] | Rejection:
    """How many objects of a category a scene holds.

    Args:
        objects: All objects of the scene.
        category: Canonical category.
        seen: Ids of the objects that some shown frame sees; None when every one counts as seen.
        rules: Thresholds.

    Returns:
        Answer with the count, or `category_not_seen` (an instance is in no shown frame: its
        count cannot be told from the frames), or `count_range`. Evidence: `object_ids` counted,
        `fragment_ids` left out.
    """
    found = sorted((i for i in objects if i.category == category), key=lambda i: i.object_id)
    volumes = [item.box.volume for item in found]
    floor = rules.max_fragment_ratio * statistics.median(volumes) if found else 0.0
    ids = [i.object_id for i, v in zip(found, volumes, strict=True) if v >= floor]
    fragments = [i.object_id for i, v in zip(found, volumes, strict=True) if v < floor]
    unseen = [] if seen is None else [k for k in ids if k not in seen]
    evidence = {"object_ids": ids, "fragment_ids": fragments}
    if unseen:
        return Rejection(Reason.CATEGORY_NOT_SEEN, evidence | {"unseen_ids": unseen})
    if not rules.min_count <= len(ids) <= rules.max_count:
        return Rejection(Reason.COUNT_RANGE, evidence)
    return Answer(len(ids), evidence)


def absolute_distance(
    a: SceneObject, b: SceneObject, *, rules: LayoutRules = DEFAULT_RULES
) -> Answer[float] | Rejection:
    """Metres from the nearest point of one object to the nearest of the other.

    Args:
        a: First object.
        b: Second object.
        rules: Thresholds.

    Returns:
        Answer, or `distance_range`. Evidence: `gap_m`, and `from` "vertices" or "boxes".
    """
    distance = gap(a, b)
    source = "boxes" if a.points is None or b.points is None else "vertices"
    evidence = {"gap_m": distance, "from": source, "object_ids": [a.object_id, b.object_id]}
    if not rules.min_distance_m <= distance <= rules.max_distance_m:
        return Rejection(Reason.DISTANCE_RANGE, evidence)
    return Answer(distance, evidence)


def relative_distance(
    primary: SceneObject,
    candidates: Mapping[str, Sequence[SceneObject]],
    *,
    room_area_m2: float | None = None,
    rules: LayoutRules = DEFAULT_RULES,
) -> Answer[str] | Rejection:
    """Which of several categories is nearest to an object.

    The distance to a category is the least over its instances.

    Args:
        primary: A unique object.
        candidates: Category to all its instances; at least two categories.
        room_area_m2: Area of the room when known; large rooms ask for a wider difference.
        rules: Thresholds.

    Returns:
        Answer with the category, or `distance_range` (the nearest is too near), or
        `distance_gap` (two candidates are nearly equal, or nobody sees which is the nearest).
        Evidence: `gaps_m` by category.

    Raises:
        ValueError: Fewer than two categories, or a category without instances.
    """
    if len(candidates) < 2 or not all(candidates.values()):
        raise ValueError("candidates need at least two categories, each with an instance")
    gaps = {name: category_gap(primary, items) for name, items in candidates.items()}
    return nearest_of(primary.object_id, gaps, room_area_m2=room_area_m2, rules=rules)


def category_gap(primary: SceneObject, items: Sequence[SceneObject]) -> float:
    """Metres from an object to the nearest instance of a category."""
    return min(gap(primary, item) for item in items)


def nearest_of(
    object_id: int,
    gaps: Mapping[str, float],
    *,
    room_area_m2: float | None = None,
    rules: LayoutRules = DEFAULT_RULES,
) -> Answer[str] | Rejection:
    """Which category is nearest to an object, from the `category_gap` of each.

    Args:
        object_id: The object's.
        gaps: Category to metres; at least two categories.
        room_area_m2: As in `relative_distance`.
        rules: Thresholds.

    Returns:
        As `relative_distance`.
    """
    order = sorted(gaps, key=lambda name: (gaps[name], name))
    large = room_area_m2 is not None and room_area_m2 > rules.large_room_m2
    step = rules.min_difference_large_m if large else rules.min_difference_m
    evidence = {"gaps_m": gaps, "object_id": object_id, "min_difference_m": step}
    if gaps[order[0]] < rules.min_nearest_m:
        return Rejection(Reason.DISTANCE_RANGE, evidence)
    seen = tells_apart(
        gaps[order[0]], gaps[order[1]], share=rules.min_seen_share, metres=rules.min_seen_m
    )
    if not seen or any(gaps[far] - gaps[near] <= step for near, far in pairwise(order)):
        return Rejection(Reason.DISTANCE_GAP, evidence)
    return Answer(order[0], evidence)


def nearest_of_rows(
    gaps: ArrayLike, *, room_area_m2: float | None = None, rules: LayoutRules = DEFAULT_RULES
) -> tuple[NDArray[np.object_], NDArray[np.intp]]:
    """`nearest_of` of many objects and as many categories of each.

    Args:
        gaps: (n, c) metres from an object to categories, in the order of their names.
        room_area_m2: As in `nearest_of`.
        rules: Thresholds.

    Returns:
        (n,) reason why there is no answer, or ""; (n,) column of the nearest category.
    """
    table = np.asarray(gaps, dtype=np.float64)
    order = np.argsort(table, axis=1, kind="stable")
    ascending = np.take_along_axis(table, order, axis=1)
    large = room_area_m2 is not None and room_area_m2 > rules.large_room_m2
    step = rules.min_difference_large_m if large else rules.min_difference_m
    share, metres = rules.min_seen_share, rules.min_seen_m
    apart = tell_apart(ascending[:, 0], ascending[:, 1], share=share, metres=metres)
    apart &= (np.diff(ascending, axis=1) > step).all(axis=1)
    reason = np.full(len(table), "", dtype=object)
    reason[~apart] = str(Reason.DISTANCE_GAP)
    reason[ascending[:, 0] < rules.min_nearest_m] = str(Reason.DISTANCE_RANGE)
    return reason, order[:, 0]


def object_size(
    item: SceneObject, *, rules: LayoutRules = DEFAULT_RULES
) -> Answer[float] | Rejection:
    """Longest side of the object's box in metres, or `object_small`. Evidence: `size_m`."""
    evidence = {"size_m": item.box.size.tolist(), "object_id": item.object_id}
    if item.box.longest_side < rules.min_side_m:
        return Rejection(Reason.OBJECT_SMALL, evidence)
    return Answer(item.box.longest_side, evidence)


@dataclass(frozen=True, slots=True)
class Sighting:
    """When a category first appears.

    Attributes:
        category: Canonical category.
        seen: Position among the shown frames where an instance is first seen, None = never.
        glimpsed: Position where the first vertex of an instance is visible, None = never.
    """

    category: str
    seen: int | None
    glimpsed: int | None


def first_sightings(
    visible_count: ArrayLike,
    vertex_count: ArrayLike,
    categories: Sequence[str],
    *,
    shown: ArrayLike | None = None,
) -> dict[str, Sighting]:
    """First appearance of every category in the shown frames.

    An object is seen where at least max(20, ceil(5 %)) of its vertices are visible, or where the
    caller says so; it is glimpsed where any is.

    Args:
        visible_count: (O, F) visible vertices of each object in each shown frame, in order.
        vertex_count: (O,) vertices of each object.
        categories: O canonical categories.
        shown: (O, F) bool, where an object is seen; None decides it by the counts.

    Returns:
        Sighting by category, categories sorted.

    Raises:
        ValueError: The shapes disagree.
    """
    visible = np.asarray(visible_count, dtype=np.int64)
    total = np.asarray(vertex_count, dtype=np.int64)
    if visible.ndim != 2 or total.shape != visible.shape[:1] or len(categories) != len(visible):
        raise ValueError(
            f"visible_count {visible.shape}, vertex_count {total.shape} and "
            f"{len(categories)} categories disagree"
        )
    seen = visible >= np.maximum(20, -(-total // 20))[:, None]
    if shown is not None:
        seen = np.asarray(shown, dtype=np.bool_)
        if seen.shape != visible.shape:
            raise ValueError(f"shown {seen.shape} and visible_count {visible.shape} disagree")
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(categories):
        rows.setdefault(name, []).append(row)
    return {
        name: Sighting(
            name,
            _first(seen[rows[name]]),
            _first(visible[rows[name]] > 0),
        )
        for name in sorted(rows)
    }


def _first(flags: NDArray[np.bool_]) -> int | None:
    """First column of (O, F) in which any row is set, None when none is."""
    columns = np.flatnonzero(flags.any(axis=0))
    return int(columns[0]) if len(columns) else None


def appearance_order(
    sightings: Sequence[Sighting],
    *,
    times: Sequence[float] | None = None,
    rules: LayoutRules = DEFAULT_RULES,
) -> Answer[tuple[str, ...]] | Rejection:
    """The order in which categories first appear.

    Args:
        sightings: The categories asked for, distinct.
        times: Seconds of the shown frames, None when unknown.
        rules: Thresholds.

    Returns:
        Answer with the categories in order, or `category_not_seen`, or `order_ambiguous` (two
        appear too close together, or the order by first sight differs from the order by first
        glimpse). Evidence: `seen` and `glimpsed` by category.

    Raises:
        ValueError: A category comes twice, or fewer than two came.
    """
    names = [s.category for s in sightings]
    if len(names) < 2 or max(Counter(names).values()) > 1:
        raise ValueError(f"sightings need at least two distinct categories, got {names}")
    seen = {s.category: s.seen for s in sightings}
    glimpsed = {s.category: s.glimpsed for s in sightings}
    evidence = {"seen": seen, "glimpsed": glimpsed}
    ordered = [(s.seen, s.glimpsed, s.category) for s in sightings if s.seen is not None]
    if len(ordered) < len(names):
        return Rejection(Reason.CATEGORY_NOT_SEEN, evidence)
    ordered.sort(key=lambda row: (row[0], row[2]))
    for (t, glimpse, _), (t_next, glimpse_next, _) in pairwise(ordered):
        close = t_next - t < rules.min_frame_step or (
            times is not None and times[t_next] - times[t] < rules.min_time_step_s
        )
        if close or glimpse is None or glimpse_next is None or glimpse_next <= glimpse:
            return Rejection(Reason.ORDER_AMBIGUOUS, evidence)
    return Answer(tuple(name for _, _, name in ordered), evidence)
