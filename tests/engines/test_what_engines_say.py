# SPDX-License-Identifier: Apache-2.0
"""What engines say of their tasks agrees with the page, the tables, and the other tests."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from spatial_engine.engines import engine_of, engine_or_none, engines
from spatial_engine.engines.base import METRICS, Subject
from spatial_engine.engines.imported import VSI_CHOICES, VSI_NUMBERS
from spatial_engine.engines.published import ROWS, Published
from spatial_engine.plan.quotas import in_benchmark
from spatial_engine.records.answers import ANSWER_TYPES, UNITS
from spatial_engine.scoring.report import multispa_rows
from spatial_engine.scoring.vsibench import aggregate
from spatialcore.errors import TaskError

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_of_engines_has_the_present_table():
    spec = importlib.util.spec_from_file_location("table", ROOT / "docs/make_task_table.py")
    table = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(table)
    page = table.PAGE.read_text(encoding="utf-8")
    assert table.written(page) == page
    assert table.task_table() in page
    assert all(f"| {engine.task} |" in page for engine in engines())


@pytest.mark.parametrize("engine", engines(), ids=lambda engine: engine.task)
def test_the_parts_fit_together(engine):
    assert engine.answer.type in ANSWER_TYPES
    assert engine.answer.unit in UNITS
    assert engine.metric in METRICS
    assert bool(engine.words) == (engine.answer.type in ("word", "letter"))
    assert (engine.metric == "accuracy") == bool(engine.words)
    # Of a circle an even guess is known, of other numbers none.
    turn = 30 / 360 if engine.metric == "within 15 degrees" else None
    assert engine.chance(()) == (1 / len(engine.words) if engine.words else turn)
    if engine.answer.type == "letter":
        assert engine.choices(("p", "q", "r")) == ("A", "B", "C")
        assert engine.chance(("p", "q", "r")) == pytest.approx(1 / 3)


def test_every_published_row_has_a_task():
    found = {(p.table, p.row) for engine in engines() if (p := engine.published) is not None}
    assert found == {(table, row) for table, rows in ROWS.items() for row in rows}
    values = {engine.task: 1.0 for engine in engines()}
    assert tuple(multispa_rows(values)) == (*ROWS["MultiSPA"], "average")
    types = aggregate([(name, 1.0) for name in (*VSI_CHOICES, *VSI_NUMBERS)])
    assert set(types) - {"macro", "micro"} == set(ROWS["VSI-Bench"])
    with pytest.raises(ValueError, match="MultiSPA has no row 'depth'"):
        Published("MultiSPA", "depth")


def test_the_benchmark_has_26_subtasks():
    """MultiSPA counts object movement for each of its two sources of clips."""
    asked = [engine_of(engine.task) for engine in engines() if in_benchmark(engine.task)]
    assert sum(2 if engine.published.by_source else 1 for engine in asked) == 26


def test_an_unknown_task_is_a_typed_error_with_the_nearest():
    assert engine_or_none("camera_movement.distanze") is None
    with pytest.raises(
        TaskError, match=r"'camera_movement\.distanze'.*'camera_movement\.distance'"
    ):
        engine_of("camera_movement.distanze")


def test_subjects():
    assert Subject("depth").key({"items": [1]}) == Subject("depth").key({"items": [2]})
    by_items = Subject("size", of_items=True)
    assert by_items.key({"items": [2, 1]}) == by_items.key({"items": [1, 2]})
    assert by_items.key({"items": [1]}) != by_items.key({"items": [2]})
