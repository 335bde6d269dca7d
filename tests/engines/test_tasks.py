# SPDX-License-Identifier: Apache-2.0
"""The tasks as a whole: the 26 published subtasks, and what every sample record has to hold."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from pathlib import Path

import pytest

from spatial_engine.commands import generate, verify
from spatial_engine.dataset.dataset import open_records
from spatial_engine.engines import engine_of, engines, select_tasks
from spatial_engine.plan.make import make_plan
from spatial_engine.plan.plan import PlanConfig
from spatial_engine.recipe import load_recipe
from spatial_engine.records.record import QARecord
from spatialcore.errors import PlanError
from spatialcore.index import Index, IndexConfig, build_index
from spatialcore.io.open import open_sources


def test_the_published_subtasks_are_26() -> None:
    """Nine of camera movement, four of depth, two of correspondence, three of objects, 4 x 2."""
    tasks = select_tasks((), load_recipe("multispa-paper"))
    assert len(tasks) == 22
    clips = {t for t in tasks if engine_of(t).kind == "clip"}
    assert len([t for t in tasks if t not in clips]) + 2 * len(clips) == 26


def test_every_task_has_its_own_name_and_published_type() -> None:
    tasks = [engine.task for engine in engines()]
    assert len(set(tasks)) == len(tasks)
    assert all(engine.question_type for engine in engines())


@pytest.fixture(scope="module")
def records(
    sample_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[QARecord]]:
    out = tmp_path_factory.mktemp("tasks") / "out"
    tasks = "visual_correspondence.*,object_perception.*,object_movement.*"
    sources = [str(sample_dir / "scannet"), str(sample_dir / "tapvid3d")]
    assert generate.main([*sources, "-o", str(out), "--tasks", tasks]) == 0
    assert verify.main([str(out)]) == 0
    found: dict[str, list[QARecord]] = {}
    for opened in open_records(out):
        found.setdefault(opened.record.task, []).append(opened.record)
    return found


def test_distractors_are_apart_and_wrong(records: dict[str, list[QARecord]]) -> None:
    choices = records["visual_correspondence.match.choice"]
    assert {r.facts["difficulty"] for r in choices} == {"easy", "hard"}
    for record in choices:
        facts, width = record.facts, record.images[1].width
        spots = [facts["uv"][1], *facts["distractor_uv"]]
        for a, b in itertools.combinations(spots, 2):
            assert math.dist(a, b) >= 0.05 * width - 1e-6
        if facts["difficulty"] == "hard":
            spread = min(max(math.dist(a, b) for b in spots) for a in spots)
            assert spread <= 0.15 * width + 1e-6


def test_marks_tell_nothing_but_their_place(records: dict[str, list[QARecord]]) -> None:
    for record in records["visual_correspondence.match.choice"]:
        one, four = (image.marks for image in record.images)
        assert [mark.letter for mark in one] == [""]
        assert [mark.letter for mark in four] == ["A", "B", "C", "D"]
        assert len({mark.colour for mark in (*one, *four)}) == 1
        right = four["ABCD".index(record.answer_text or "")]
        assert math.dist((right.u, right.v), record.facts["uv"][1]) <= math.sqrt(0.5)


def test_correspondence_coordinates_name_the_point(records: dict[str, list[QARecord]]) -> None:
    for record in records["visual_correspondence.match.coordinate"]:
        u, v = record.facts["uv"][1]
        size = record.images[1]
        expected = (float(round(1000 * u / size.width)), float(round(1000 * v / size.height)))
        assert record.answer_number == expected
        assert str(record.facts["norm1000"][0][0]) in record.question


@pytest.mark.parametrize("axis", ["height", "length", "width"])
def test_object_sets_cover_the_side_and_are_minimal(
    records: dict[str, list[QARecord]], axis: str
) -> None:
    found = records[f"object_perception.{axis}"]
    assert {len(record.frames) for record in found} <= {1, 2}
    for record in found:
        side, extents = record.facts["side_m"], record.facts["extents_m"]
        whole = max(hi for _, hi in extents) - min(lo for lo, _ in extents)
        assert abs(whole - side) <= 0.1 * side
        if len(extents) == 2:
            assert all(abs(hi - lo - side) > 0.1 * side for lo, hi in extents)
        assert record.answer_number == (float(round(1000 * side)),)


def test_length_is_the_longer_side(records: dict[str, list[QARecord]]) -> None:
    sides = {
        axis: {
            (r.scene, r.facts["object_id"]): r.facts["side_m"]
            for r in records[f"object_perception.{axis}"]
        }
        for axis in ("length", "width")
    }
    both = sides["length"].keys() & sides["width"].keys()
    assert both
    assert all(sides["length"][key] >= sides["width"][key] for key in both)


def test_vector_and_distance_of_a_track_agree(records: dict[str, list[QARecord]]) -> None:
    for form in ("coordinate", "marked"):
        for record in records[f"object_movement.vector.{form}"]:
            assert record.source in ("adt", "pstudio")
            length = math.hypot(*record.answer_number)
            assert length == 0.0 or length >= 50.0 - 2.0


def test_a_benchmark_asks_for_300_of_each_subtask(sample_dir: Path, tmp_path: Path) -> None:
    sources = [s for name in ("scannet", "tapvid3d") for s in open_sources(sample_dir / name)]
    build_index(sources, tmp_path / "idx", IndexConfig())
    plan = make_plan(Index.open(tmp_path / "idx"), PlanConfig(benchmark="multispa"))
    asked: Counter[str] = Counter()
    for row in plan.thresholds:
        moving = row.task.startswith("object_movement.")
        asked[f"{row.task}@{row.source}" if moving else row.task] += row.quota
    assert set(asked.values()) == {300}
    assert {s.source for s in plan.scenes if s.kind == "clip"} == {"adt", "pstudio"}
    assert len(asked) == 26
    with pytest.raises(ValueError, match="limit cannot be given"):
        PlanConfig(benchmark="multispa", limit=10)
    with pytest.raises(PlanError, match="--val-share"):
        make_plan(
            Index.open(tmp_path / "idx"),
            PlanConfig(benchmark="multispa", split="val", scenes=("scene0000_00",)),
        )
