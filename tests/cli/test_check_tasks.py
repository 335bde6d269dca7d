# SPDX-License-Identifier: Apache-2.0
"""What `check` says of tasks: which, how many questions, and what would unlock the rest."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from spatial_engine.commands import plan
from spatial_engine.engines import engines
from spatial_engine.plan.possible import count_questions, locked_tasks
from spatialcore.commands.check import main
from spatialcore.commands.check_table import COLUMNS, survey_lines
from spatialcore.commands.check_tasks import HOW, task_counter, tasks_of, unlocking, with_tasks
from spatialcore.io.open import open_source
from spatialcore.io.survey import SceneReport, survey_scene
from tests.robustness.hostile.bases import nerfstudio, posed


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("labelled")
    nerfstudio(root)
    return root


@pytest.fixture(scope="module")
def bare(labelled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same frames without labels, up direction and metres."""
    from tests.io.test_object_files import write_nerfstudio

    root = tmp_path_factory.mktemp("bare")
    write_nerfstudio(root / "kitchen")
    (root / "kitchen/scene_meta.json").write_text('{"metric": false}')
    return root


def test_engines_find_nothing_to_ask_without_objects(labelled: Path, tmp_path: Path) -> None:
    """Two ways: who says that it needs them has none without them, the others as many as before."""
    from tests.io.test_object_files import write_nerfstudio

    write_nerfstudio(tmp_path / "kitchen")
    full, nothing = (count_questions(open_source(r), "kitchen") for r in (labelled, tmp_path))
    needing = {e.task for e in engines() if e.kind == "scene" and e.needs_objects}
    found = {task for task, count in full.questions.items() if count}
    assert len(found & needing) > 10
    assert {task for task, count in nothing.questions.items() if count} == found - needing


def test_what_a_scene_lacks_unlocks_the_rest(labelled: Path, bare: Path) -> None:
    for root, lacks in ((labelled, set()), (bare, {"objects", "up", "metres"})):
        source = open_source(root)
        report = survey_scene(source, "kitchen")
        (told,) = with_tasks(source, [report], task_counter(), 1)
        assert {reason for reasons in told.locked.values() for reason in reasons} == lacks
        assert (
            sum(map(len, unlocking(told).values()))
            + sum(not reasons for reasons in told.locked.values())
            == tasks_of(told).total
        )
    assert lacks <= {*HOW}


def test_questions_are_about_those_of_a_plan(
    labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(labelled), "--json"]) == 0
    (scene,) = json.loads(capsys.readouterr().out)["sources"][0]["scenes"]
    assert plan.main([str(labelled), "-o", str(tmp_path / "plan"), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["tasks"]
    asks, taken = sum(scene["questions"].values()), sum(rows.values())
    assert 0.6 * asks < taken < 1.1 * asks  # a plan balances answers, and takes fewer for that
    planned = {task for task, count in rows.items() if count}
    assert planned <= {task for task, count in scene["questions"].items() if count}


def test_the_number_of_questions_says_what_it_is_of(
    labelled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(labelled)]) == 0
    said = capsys.readouterr().out
    looked, usable = map(int, re.findall(r"takes of (\d+) of (\d+) frames of 1 scene", said)[0])
    assert 0 < looked <= usable
    assert f"can be used, {usable} frames, about" in said
    assert "plan SOURCE --limit N --estimate" in said
    assert main([str(labelled), "--count", "0"]) == 0
    assert "a sample" not in capsys.readouterr().out


def test_scenes_that_are_not_counted_are_like_those_that_are(labelled: Path) -> None:
    source = open_source(labelled)
    report = survey_scene(source, "kitchen")
    bare = replace(report, object_count=0)
    told = list(with_tasks(source, [report, report, bare], task_counter(), 1))
    assert [r.counted for r in told] == [True, False, False]
    assert told[1].questions == told[0].questions
    locked = {task for task, lacks in told[2].locked.items() if lacks}
    assert {t for t, n in told[2].questions.items() if n} == {
        t for t, n in told[0].questions.items() if n and t not in locked
    }
    assert list(with_tasks(source, [report], None, 1)) == [report]
    assert tasks_of(report) is None


def test_a_line_has_eighty_columns_and_its_verdict() -> None:
    base = SceneReport("x", "scene", 12_345, 12_000, object_count=345, agreement=1.0)
    counter = task_counter()
    assert counter is not None
    reports = [
        replace(base, id="a" * 120, depth_share=1.0, turned_count=9_999, metric=False),
        replace(base, locked=locked_tasks(base), questions=dict.fromkeys(locked_tasks(base), 9999)),
        SceneReport("c" * 60, verdict="skipped", error="e" * 300, code="no_usable_frames"),
        replace(base, verdict="wrong", error="x", code="source_contradicts", cause="OpenGL axes"),
    ]  # fmt: skip
    lines = survey_lines(reports)
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == [name for name, _ in COLUMNS]
    for report, line in zip(reports, lines[1:], strict=True):
        assert line.split()[1] == report.verdict
    assert "no_usable_frames" in lines[3]
    assert "looks like OpenGL axes" in lines[4]


def test_few_usable_frames_are_a_warning_with_its_reasons(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    posed(tmp_path)
    folder = tmp_path / "scene0000_00/posed_images"
    for k in range(1, 4):
        (folder / f"{k:05d}.png").unlink()
    assert main([str(tmp_path), "--verbose"]) == 0
    said = capsys.readouterr().out
    assert "warning scene0000_00: only 1 of 4 frames can be used (3 depth_missing)" in said
    assert "1 of 4 frames can be used: 3 depth_missing" in said
