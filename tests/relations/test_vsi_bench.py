# SPDX-License-Identifier: Apache-2.0
"""Public answers of VSI-Bench recomputed from its public metadata (docs/vsi-bench.md)."""

from __future__ import annotations

import json
import re
from collections import defaultdict

import numpy as np
import pytest

from spatialcore.relations.boxes import OrientedBox
from spatialcore.relations.directions import relative_direction
from spatialcore.relations.layout import (
    LayoutRules,
    absolute_distance,
    object_count,
    object_size,
    relative_distance,
    sole_object,
)
from spatialcore.relations.scene_object import SceneObject

pytestmark = pytest.mark.real
# What is asked in public is not filtered by our guards: they are lifted to compare answers.
UNGUARDED = LayoutRules(
    min_count=0, max_count=10**6, min_distance_m=0.0, max_distance_m=1e9, min_nearest_m=0.0,
    min_difference_m=-1.0, min_difference_large_m=-1.0, min_stand_m=0.0, max_stand_m=1e9,
    border_deg=0.0, max_stray_corners=8, min_seen_share=-1.0, min_seen_m=-1.0,
)  # fmt: skip


def scene_objects(metadata):
    """Objects of a scene; the rows of `normalizedAxes` are the box's axes.

    Some merged labels list the same box twice: one object.
    """
    objects = {}
    for category, boxes in sorted(metadata["object_bbox"].items()):
        for row in boxes:
            axes = np.array(row["normalizedAxes"]).reshape(3, 3)
            box = OrientedBox(row["centroid"], row["axesLengths"], axes.T)
            key = (category, *row["centroid"], *row["axesLengths"])
            objects.setdefault(key, SceneObject(len(objects), category, box=box))
            assert box.bounds[0] == pytest.approx(row["min"], abs=1e-3)
            assert box.bounds[1] == pytest.approx(row["max"], abs=1e-3)
    return list(objects.values())


@pytest.fixture(scope="module")
def questions(real_path):
    """Rows (question, right answer, metadata, objects) by type."""
    sources = ("scannet", "scannetpp", "arkitscenes")
    scenes = {
        s: json.loads((real_path / f"qa/vsi_meta_info_{s}.json").read_text()) for s in sources
    }
    rows = defaultdict(list)
    for row in json.loads((real_path / "qa/vsibench_sample_168.json").read_text()):
        source, scene = row["img_paths"][0].split("/")[-3:-1]
        kind = row["category_origin"]
        if kind in ("obj_appearance_order", "route_planning"):
            continue  # need frames, or name things that the metadata does not hold
        text, answer, metadata = row["question"], row["answer"], scenes[source][scene]
        options = dict(re.findall(r"([A-D])\. ([^,]+)", text.partition("Options:")[2]))
        rows[kind].append(
            (text, options.get(answer, answer).strip(), metadata, scene_objects(metadata))
        )
    return rows


def agreeing(rows, answer):
    return sum(answer(text, metadata, objects) == right for text, right, metadata, objects in rows)


def test_object_size(questions):
    def answer(text, _, objects):
        item = sole_object(objects, re.search(r"of the ([^,]*), measured", text)[1])
        return str(round(100 * object_size(item).value))

    rows = questions["object_size_estimation"]
    assert (agreeing(rows, answer), len(rows)) == (21, 21)


def test_room_size_is_the_stored_value(questions):
    rows = questions["room_size_estimation"]
    assert (agreeing(rows, lambda _, m, __: str(round(m["room_size"], 1))), len(rows)) == (7, 7)


def test_object_count(questions):
    def answer(text, _, objects):
        category = re.match(r"How many (.*)\(s\)", text)[1]
        return str(object_count(objects, category, rules=UNGUARDED).value)

    rows = questions["object_counting"]
    assert (agreeing(rows, answer), len(rows)) == (19, 20)


def test_absolute_distance(questions):
    rows = questions["object_abs_distance"]
    off = []
    for text, right, _, objects in rows:
        names = re.search(r"between the (.*) and the (.*) \(in", text).groups()
        a, b = (sole_object(objects, name) for name in names)
        off.append(absolute_distance(a, b, rules=UNGUARDED).value - float(right))
    assert (sum(abs(x) <= 0.15 for x in off), len(off)) == (18, 19)
    assert np.median(np.abs(off)) <= 0.045
    # Public distances are those of sampled points, which are never nearer than the boxes.
    assert max(off) <= 0.05


def test_relative_distance(questions):
    def answer(text, _, objects):
        primary = sole_object(objects, re.search(r"closest to the (.*)\?", text)[1])
        names = re.search(r"objects \((.*)\) is", text)[1].split(", ")
        candidates = {n: [item for item in objects if item.category == n] for n in names}
        return relative_distance(primary, candidates, rules=UNGUARDED).value

    rows = questions["object_rel_distance"]
    assert (agreeing(rows, answer), len(rows)) == (14, 14)


@pytest.mark.parametrize(("form", "count"), [("medium", 4), ("hard", 1)])
def test_relative_direction(questions, form, count):
    def answer(text, _, objects):
        names = re.search(
            r"standing by the (.*) and facing the (.*), is the (.*) to my", text
        ).groups()
        items = [sole_object(objects, name) for name in names]
        guarded = relative_direction(*items, form)
        assert guarded == relative_direction(*items, form, rules=UNGUARDED)
        return guarded.value

    rows = questions[f"object_rel_direction_{form}"]
    assert (agreeing(rows, answer), len(rows)) == (count, count)
