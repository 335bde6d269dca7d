# SPDX-License-Identifier: Apache-2.0
"""Which of two objects is larger: by a quantity that is named, or by all of them."""

from __future__ import annotations

from collections.abc import Mapping

from spatialcore.box import THIN_SIDE_M, OrientedBox
from spatialcore.relations.eye import tells_apart
from spatialcore.relations.pairs import DEFAULT_RULES, RelationRules
from spatialcore.relations.scene_object import SceneObject
from spatialcore.relations.verdict import Answer, Evidence, Reason, Rejection

MEASURES: Mapping[str, int] = {"longest_side": 1, "height": 1, "floor_area": 2, "volume": 3}
"""What the size of a box may mean, and which power of a length it is."""


def measure_of(box: OrientedBox, by: str) -> float:
    """One of `MEASURES` of a box: m, m2 or m3; in areas and volumes thin sides count as 2 cm."""
    height = 2.0 * box.half_extent((0.0, 0.0, 1.0))
    if by == "height":
        return height
    if by == "floor_area":
        return box.volume / max(height, THIN_SIDE_M)
    return box.volume if by == "volume" else box.longest_side


def size_relation(
    a: SceneObject,
    b: SceneObject,
    *,
    by: str = "volume",
    rules: RelationRules = DEFAULT_RULES,
) -> Answer[str] | Rejection:
    """Whether a is larger than, smaller than or similar to b in a named quantity.

    Areas and volumes are compared as a person sees them: by the side of the square or cube that
    has as much.

    Args:
        a: First object.
        b: Second object.
        by: One of `MEASURES`.
        rules: Thresholds.

    Returns:
        Answer "larger", "smaller" or "similar", or `object_small` (a rug has no height to speak
        of), or `dead_zone`. Evidence: `ratio` of the larger side to the smaller, and both values.

    Raises:
        ValueError: Another measure.
    """
    if by not in MEASURES:
        raise ValueError(f"by must be one of {', '.join(MEASURES)}, got {by!r}")
    value_a, value_b = (measure_of(item.box, by) for item in (a, b))
    side_a, side_b = (value ** (1.0 / MEASURES[by]) for value in (value_a, value_b))
    if min(side_a, side_b) <= 0 or min(side_a, side_b) < rules.min_side_m:
        return Rejection(Reason.OBJECT_SMALL, {"by": by, "value_a": value_a, "value_b": value_b})
    ratio = max(side_a, side_b) / min(side_a, side_b)
    evidence = {"by": by, "ratio": ratio, "value_a": value_a, "value_b": value_b}
    if ratio < rules.similar_ratio - rules.similar_margin:
        return Answer("similar", evidence)
    if tells_apart(side_a, side_b, share=rules.min_seen_share, metres=rules.min_seen_m):
        return Answer("larger" if value_a > value_b else "smaller", evidence)
    return Rejection(Reason.DEAD_ZONE, evidence)


def plain_size(
    a: SceneObject, b: SceneObject, *, rules: RelationRules = DEFAULT_RULES
) -> Answer[str] | Rejection:
    """Whether a is larger than b whatever is meant by it: every one of `MEASURES` says the word.

    Returns:
        Answer, or `size_disagrees`, or the first rejection of a measure. Evidence: that of each.
    """
    found = {by: size_relation(a, b, by=by, rules=rules) for by in MEASURES}
    evidence: Evidence = {by: one.evidence for by, one in found.items()}
    words = {one.value for one in found.values() if isinstance(one, Answer)}
    if len(words) > 1:
        return Rejection(Reason.SIZE_DISAGREES, evidence)
    for one in found.values():
        if isinstance(one, Rejection):
            return Rejection(one.reason, evidence)
    return Answer(words.pop(), evidence)
