# SPDX-License-Identifier: Apache-2.0
"""Depth questions: what they say follows from the evidence, and the evidence from the sensor."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from spatial_engine.commands import generate
from spatial_engine.dataset.dataset import open_records
from spatial_engine.records.record import QARecord
from spatialcore.io.open import open_source
from spatialcore.types import Scene


@pytest.fixture(scope="module")
def records(
    sample_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[QARecord]]:
    out = tmp_path_factory.mktemp("depth") / "out"
    command = [str(sample_dir / "scannet"), "-o", str(out), "--tasks", "depth_perception.*"]
    assert generate.main(command) == 0
    found: dict[str, list[QARecord]] = {}
    for opened in open_records(out):
        found.setdefault(opened.record.task, []).append(opened.record)
    return found


@pytest.fixture(scope="module")
def scenes(sample_dir: Path) -> dict[str, Scene]:
    source = open_source(sample_dir / "scannet")
    opened = {scene_id: source.open(scene_id) for scene_id in source.scene_ids()}
    return {name: scene for name, scene in opened.items() if isinstance(scene, Scene)}


@pytest.mark.parametrize("form", ["marked", "coordinate"])
def test_a_stated_depth_is_what_the_sensor_read(
    records: dict[str, list[QARecord]], scenes: dict[str, Scene], form: str
) -> None:
    for record in records[f"depth_perception.value.{form}"]:
        scene, z = scenes[record.scene], record.facts["z_m"]
        frame = next(f for f in scene.frames if f.index == record.frames[0])
        column, row = record.facts["depth_pixel"]
        read = float(scene.read_depth(frame)[row, column]) * scene.depth_scale
        assert abs(read - z) < max(0.05 * z, 0.03)
        assert 0.3 <= z <= 6.0
        assert record.answer_number == (float(round(1000 * z)),)
        assert record.answer_unit == "mm"


def test_marks_lie_on_the_point_and_inside_the_image(records: dict[str, list[QARecord]]) -> None:
    for record in records["depth_perception.value.marked"]:
        (image,) = record.images
        (mark,) = image.marks
        assert math.dist((mark.u, mark.v), record.facts["uv"]) <= math.sqrt(0.5)
        assert mark.radius <= mark.u <= image.width - 1 - mark.radius
        assert mark.radius <= mark.v <= image.height - 1 - mark.radius


def test_the_closer_letter_has_the_smaller_depth(records: dict[str, list[QARecord]]) -> None:
    for record in records["depth_perception.comparison.marked"]:
        facts = record.facts
        depths = dict(zip(facts["letters"], (p["z_m"] for p in facts["points"]), strict=True))
        wanted = min if facts["order"] == "closer" else max
        assert record.answer_text == wanted(depths, key=lambda letter: depths[letter])
        # The letters of the picture are those of the answer.
        places = {mark.letter: (mark.u, mark.v) for mark in record.images[0].marks}
        for letter, point in zip(facts["letters"], facts["points"], strict=True):
            assert math.dist(places[letter], point["uv"]) <= math.sqrt(0.5)


@pytest.mark.parametrize("form", ["marked", "coordinate"])
def test_compared_points_are_far_enough_apart(
    records: dict[str, list[QARecord]], form: str
) -> None:
    for record in records[f"depth_perception.comparison.{form}"]:
        a, b = record.facts["points"]
        gap = abs(a["z_m"] - b["z_m"])
        assert gap >= max(0.15, 0.10 * max(a["z_m"], b["z_m"]))
        assert math.dist(a["uv"], b["uv"]) >= 0.06 * record.images[0].width
        if form == "coordinate":
            first, second = record.facts["norm1000"]
            assert max(abs(p - q) for p, q in zip(first, second, strict=True)) >= 20
            assert list(record.answer_number) in (first, second)
