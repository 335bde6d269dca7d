# SPDX-License-Identifier: Apache-2.0
"""VSI-Bench: its public metadata holds oriented boxes, counts and a room size for each scene.

It holds no vertices and no frames, so orders of appearance and hand-made routes are not decidable.
What the metadata taught is in docs/vsi-bench.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from spatial_engine.audit.audit import AuditSet, Finding, Verdict
from spatialcore.relations import layout as geometry
from spatialcore.relations.boxes import OrientedBox
from spatialcore.relations.directions import relative_direction
from spatialcore.relations.scene_object import SceneObject
from spatialcore.relations.verdict import Rejection

# What is asked in public is not filtered by our guards: they are lifted to compare answers.
UNGUARDED = geometry.LayoutRules(
    min_count=0, max_count=10**6, min_distance_m=0.0, max_distance_m=1e9, min_nearest_m=0.0,
    min_difference_m=-1.0, min_difference_large_m=-1.0, min_stand_m=0.0, max_stand_m=1e9,
    border_deg=0.0, max_stray_corners=8, min_seen_share=-1.0, min_seen_m=-1.0, min_side_m=0.0,
)  # fmt: skip
DISTANCE_TOLERANCE_M = 0.15
"""Public distances are those of points sampled in the boxes: up to so much above the exact one."""
BORDER_DEG = 1.0
"""A turn this near to a border may fall to either side by the rounding of the boxes."""
_OPTION = re.compile(r"([A-D])\. (.*?)(?=, [B-D]\. |$)", re.S)
_BOX = ("centroid", "axesLengths", "normalizedAxes", "min", "max")


def scene_objects(metadata: Mapping[str, Any]) -> list[SceneObject]:
    """Objects of a scene; rows of `normalizedAxes` are the box's axes.

    Five scenes list one box twice, under two raw labels that were merged: it is one object.
    """
    objects: dict[tuple[Any, ...], SceneObject] = {}
    for category, boxes in sorted(metadata["object_bbox"].items()):
        for row in boxes:
            axes = np.array(row["normalizedAxes"], dtype=np.float64).reshape(3, 3)
            box = OrientedBox(row["centroid"], row["axesLengths"], axes.T)
            key = (category, *row["centroid"], *row["axesLengths"])
            objects.setdefault(key, SceneObject(len(objects), category, box=box))
    return list(objects.values())


class VsiBench(AuditSet):
    """The public set VSI-Bench, in its own files or as SpatialScore lists it."""

    benchmark = "vsibench"
    formulas: ClassVar[Mapping[str, str]] = {
        "count": "distinct boxes of the category, without crumbs of 0.1 % of the median volume",
        "box_gap": f"exact distance of the two boxes; agrees within {DISTANCE_TOLERANCE_M} m",
        "longest_side": "longest side of the box, rounded to cm",
        "stored_room_size": "the metadata's own room size, rounded to 0.1 m2; nothing is computed",
        "nearest_box": "least exact box distance over the instances of each category; the margin "
        "is that of the next option",
        "sector": "turn between the centres on the floor; the margin is to the nearest border",
        "none": "the metadata does not hold what the question is about",
    }

    def is_scene(self, value: Any) -> bool:
        """Whether a value has boxes by category, counts and a room size."""
        if not isinstance(value, dict) or not {"object_bbox", "object_counts"} <= value.keys():
            return False
        groups = value["object_bbox"]
        return isinstance(groups, dict) and all(
            isinstance(boxes, list)
            and all(isinstance(box, dict) and box.keys() >= set(_BOX) for box in boxes)
            for boxes in groups.values()
        )

    def scene_of(self, entry: Mapping[str, Any]) -> str:
        """The field `scene_name`, or the folder of SpatialScore's images."""
        if "scene_name" in entry:
            return str(entry["scene_name"])
        return str(entry["img_paths"][0]).split("/")[-2]

    def find(self, kind: str, entry: Mapping[str, Any], stored: str, scene: Any) -> Finding:
        """What the boxes of a scene say about a question."""
        if kind in ("obj_appearance_order", "route_planning"):
            return Finding("not decidable", "none", remark="needs_the_frames")
        text = str(entry["question"])
        if kind == "room_size_estimation":
            return _room_size(stored, scene)
        objects = scene_objects(scene)
        if kind == "object_counting":
            return _count(text, stored, objects, scene)
        if kind == "object_abs_distance":
            return _distance(text, stored, objects)
        if kind == "object_size_estimation":
            return _size(text, stored, objects)
        options = _options(entry)
        if kind == "object_rel_distance":
            return _nearest(text, stored, options, objects)
        if kind.startswith("object_rel_direction_"):
            return _direction(text, stored, kind.rpartition("_")[2], options, objects)
        return Finding("not decidable", "none", remark="unknown_question_type")


def _options(entry: Mapping[str, Any]) -> dict[str, str]:
    """Letter -> text of the options, from their own field or from the end of the question."""
    given = entry.get("options")
    text = ", ".join(given) if given else str(entry["question"]).partition("Options:")[2].strip()
    return {letter: said.strip() for letter, said in _OPTION.findall(text)}


def _agreement(agrees: bool) -> Verdict:
    return "agrees" if agrees else "disagrees"


def _undecided(formula: str, remark: str) -> Finding:
    return Finding("not decidable", formula, remark=remark)


def _named(pattern: str, text: str, objects: list[SceneObject]) -> list[SceneObject] | str:
    """The sole objects that a text names, or the reason why there are none."""
    match = re.search(pattern, text)
    if match is None:
        return "wording_unknown"
    found = [geometry.sole_object(objects, name) for name in match.groups()]
    rejected = [one for one in found if isinstance(one, Rejection)]
    if rejected:
        return "category_missing" if not rejected[0].evidence["count"] else "category_not_unique"
    return [one for one in found if isinstance(one, SceneObject)]


def _room_size(stored: str, scene: Mapping[str, Any]) -> Finding:
    if scene.get("room_size") is None:
        return _undecided("stored_room_size", "room_size_missing")
    size = float(scene["room_size"])
    said = str(round(size, 1))
    return Finding(
        _agreement(float(said) == float(stored)), "stored_room_size", said, float(stored) - size
    )


def _count(text: str, stored: str, objects: list[SceneObject], scene: Mapping[str, Any]) -> Finding:
    match = re.match(r"How many (.*)\(s\)", text)
    if match is None:
        return _undecided("count", "wording_unknown")
    found = geometry.object_count(objects, match[1], rules=UNGUARDED)
    if isinstance(found, Rejection) or not found.value:
        return _undecided("count", "category_missing")
    listed = scene["object_counts"].get(match[1])
    remark = f"object_counts={listed}" if listed != int(stored) or listed != found.value else ""
    agrees = found.value == int(stored)
    return Finding(_agreement(agrees), "count", str(found.value), int(stored) - found.value, remark)


def _distance(text: str, stored: str, objects: list[SceneObject]) -> Finding:
    pair = _named(r"between the (.*) and the (.*) \(in", text, objects)
    if isinstance(pair, str):
        return _undecided("box_gap", pair)
    found = geometry.absolute_distance(pair[0], pair[1], rules=UNGUARDED)
    if isinstance(found, Rejection):
        return _undecided("box_gap", str(found.reason))
    margin = float(stored) - found.value
    agrees = abs(margin) <= DISTANCE_TOLERANCE_M
    return Finding(_agreement(agrees), "box_gap", f"{found.value:.3f}", margin)


def _size(text: str, stored: str, objects: list[SceneObject]) -> Finding:
    named = _named(r"(?s:.*) of the ([^,]*), measured", text, objects)
    if isinstance(named, str):
        return _undecided("longest_side", named)
    size_cm = 100.0 * named[0].box.longest_side
    agrees = round(size_cm) == float(stored)
    return Finding(_agreement(agrees), "longest_side", str(round(size_cm)), float(stored) - size_cm)


def _letter(options: Mapping[str, str], word: str) -> str:
    return next((letter for letter, said in options.items() if said == word), "")


def _nearest(
    text: str, stored: str, options: Mapping[str, str], objects: list[SceneObject]
) -> Finding:
    primary = _named(r"closest to the (.*)\?", text, objects)
    if isinstance(primary, str):
        return _undecided("nearest_box", primary)
    groups = {name: [o for o in objects if o.category == name] for name in options.values()}
    if len(groups) < 2 or not all(groups.values()):
        return _undecided("nearest_box", "category_missing")
    found = geometry.relative_distance(primary[0], groups, rules=UNGUARDED)
    if isinstance(found, Rejection):
        return _undecided("nearest_box", str(found.reason))
    gaps = sorted(found.evidence["gaps_m"].values())
    said, margin = _letter(options, found.value), gaps[1] - gaps[0]
    if said != stored:
        off = found.evidence["gaps_m"][options[stored]] - gaps[0] if stored in options else 1e9
        if off <= DISTANCE_TOLERANCE_M:  # sampled points may have told the two apart otherwise
            return Finding("not decidable", "nearest_box", said, margin, "within_sampling")
    return Finding(_agreement(said == stored), "nearest_box", said, margin)


def _direction(
    text: str, stored: str, form: str, options: Mapping[str, str], objects: list[SceneObject]
) -> Finding:
    pattern = r"standing by the (.*) and facing the (.*), is the (.*) to (?:my|the)"
    named = _named(pattern, text, objects)
    if isinstance(named, str):
        return _undecided("sector", named)
    stand, face, target = named
    found = relative_direction(stand, face, target, form, rules=UNGUARDED)
    if isinstance(found, Rejection):
        return _undecided("sector", str(found.reason))
    said, margin = _letter(options, found.value), float(found.evidence["border_deg"])
    if said != stored and margin < BORDER_DEG:
        return Finding("not decidable", "sector", said, margin, "on_a_border")
    return Finding(_agreement(said == stored), "sector", said, margin)
