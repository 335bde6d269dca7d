# SPDX-License-Identifier: Apache-2.0
"""Boxes and points as answers: where they lie, how they are scored, and in a mirror."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from spatial_engine.commands import generate, verify
from spatial_engine.dataset.compose import make
from spatial_engine.dataset.dataset import open_records
from spatial_engine.engines import engine_of
from spatial_engine.engines.base import candidates_of
from spatial_engine.engines.context import SceneContext
from spatial_engine.engines.grounding import GROUNDING
from spatial_engine.engines.masks import seen_runs
from spatial_engine.recipe import load_recipe
from spatial_engine.records.record import QARecord
from spatial_engine.scoring.multispa import score
from spatial_engine.scoring.places import on_cells
from spatial_engine.view.evidence_rules import Canvas, boxes_of_objects
from tests.engines.worlds import MIRROR_X, QUARTER, moved, opened, sample_room

ONE_SET = dataclasses.replace(load_recipe("default"), name="custom", walks=1)


@pytest.fixture(scope="module")
def records(sample_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> list[QARecord]:
    """Records of one room, all of which `verify` derives again."""
    folder = tmp_path_factory.mktemp("grounding")
    out, one = folder / "out", folder / "scenes.txt"
    one.write_text("scene0000_00\n")
    argv = [str(sample_dir / "scannet"), "-o", str(out), "--tasks", "grounding.*"]
    assert generate.main([*argv, "--scenes", str(one)]) == 0
    assert verify.main([str(out)]) == 0
    return [opened.record for opened in open_records(out)]


def test_answers_are_the_boxes_and_points_of_the_evidence(records: list[QARecord]) -> None:
    assert {r.task for r in records} >= {f"grounding.{q}" for q in ("named.box", "match.point")}
    for record in records:
        image, facts = record.images[-1], record.facts
        box = record.answer_type == "box"
        place = facts["box"] if box else facts["point"]
        sides = (image.width, image.height) * 2
        want = tuple(round(1000 * c / s) for c, s in zip(place, sides, strict=False))
        assert record.answer_number == want
        u, v = facts["point"]
        assert facts["box"][0] <= u <= facts["box"][2]
        assert facts["box"][1] <= v <= facts["box"][3]
        drawn = facts.get("drawn", False)
        assert [len(i.marks) for i in record.images] == (
            [1, 0] if drawn else [0] * len(record.images)
        )


def test_scores(records: list[QARecord]) -> None:
    """The truth is right; a box a quarter too large reaches three steps; corners are wrong."""
    for record in records:
        assert score(record, record.answer).value == 1.0
        assert score(record, "I see it").value == 0.0
        if record.answer_type == "box":
            x0, y0, x1, y1 = record.answer_number
            larger = f"[{x0}, {y0}, {x1 + 0.25 * (x1 - x0)}, {y1}]"
            assert score(record, larger, dialect="lenient").value == 0.6 + 0.2 * (
                (x1 - x0) / (1.25 * (x1 - x0)) >= 0.8
            )
        else:
            x0, y0, x1, y1 = _box(record)
            wrong = (5, 5) if x0 > 100 or y0 > 100 else (995, 995)
            assert score(record, f"{wrong}", dialect="lenient").value == 0.0


def _box(record: QARecord) -> list[float]:
    image = record.images[-1]
    sides = (image.width, image.height) * 2
    return [1000 * c / s for c, s in zip(record.facts["box"], sides, strict=True)]


def test_runs_of_cells_by_hand() -> None:
    """Cells of 20 thousandths of the width; gaps of one cell are filled, wider ones are not."""
    uv = np.array([[0.0, 0.0], [25.6, 0.0], [100.0, 0.0], [0.0, 470.0]])
    runs = seen_runs(uv, (0.0, 0.0), (640, 480))
    assert runs == [(0, 0, 2), (0, 7, 7), (36, 0, 0)]
    assert on_cells((30, 10), runs, (640, 480))
    assert not on_cells((90, 10), runs, (640, 480))
    assert not on_cells((-1, 10), runs, (640, 480))


def test_the_nearest_is_nearest(records: list[QARecord]) -> None:
    for record in records:
        facts = record.facts
        if record.task.startswith("grounding.nearest_camera"):
            assert facts["range_m"] <= 0.8 * min(facts["other_ranges_m"].values()) + 1e-9
        elif record.task.startswith("grounding.nearest."):
            for gaps in (facts["gaps_m"], facts["seen_gaps_m"]):
                assert gaps[0] < min(gaps[1:])
        elif record.task.startswith("grounding.match"):
            assert facts["iou"] <= 0.5


@pytest.mark.parametrize("world", ["turned", "mirrored"])
def test_another_world_shows_the_same_places(sample_dir: Path, tmp_path: Path, world: str) -> None:
    mirror = world == "mirrored"
    room = sample_room(sample_dir)
    contexts: list[SceneContext] = [
        opened(moved(room, np.eye(4)), tmp_path / "plain", ONE_SET),
        opened(
            moved(room, MIRROR_X if mirror else QUARTER, mirrored=mirror),
            tmp_path / "other", ONE_SET,
        ),
    ]  # fmt: skip
    compared = 0
    for engine in GROUNDING:
        both = [candidates_of(engine, context).rows() for context in contexts]
        common = sorted(set(both[0]) & set(both[1]))
        assert len(common) >= 0.8 * max(map(len, both))
        for row in common[:: max(1, len(common) // 6)]:
            one, two = (make(engine, context, row) for context in contexts)
            a, b, c, d = one.facts["box"]
            last = one.images[-1].width - 1
            want = [last - c, b, last - a, d] if mirror else [a, b, c, d]
            assert np.abs(np.array(want) - two.facts["box"]).max() <= 1
            compared += 1
    assert compared > 12


def test_the_gallery_frames_what_is_asked_about(records: list[QARecord]) -> None:
    for record in records:
        canvas = Canvas(record, record.facts, None, None)  # type: ignore[arg-type]
        boxes_of_objects(canvas)
        match = record.task.startswith("grounding.match")
        assert sorted(canvas.images) == ([0, 1] if match else [0])
        u0, v0, u1, v1 = record.facts["box"]
        frame = ["object", f"M{u0} {v0}L{u1} {v0}L{u1} {v1}L{u0} {v1}Z"]
        assert frame in canvas.images[len(record.images) - 1]


def test_a_diameter_is_no_point_of_the_cloud() -> None:
    assert not engine_of("floor_plan.fits").of_points
    assert engine_of("depth_perception.value.marked").of_points
    assert not engine_of("grounding.named.box").of_points
