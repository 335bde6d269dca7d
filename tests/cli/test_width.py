# SPDX-License-Identifier: Apache-2.0
"""What verbs print fits 80 columns, whatever tasks are called; no id is cut off."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from spatial_engine.audit.audit import Audit, AuditRow
from spatial_engine.commands import audit
from spatial_engine.commands.stress_table import print_stress
from spatial_engine.dataset.stress import Share, TaskStress
from spatial_engine.engines import engines
from spatial_engine.scoring.compare import Comparison, Difference, format_comparison
from spatial_engine.scoring.dialects import listed
from spatial_engine.scoring.report import Report, Row, format_report
from spatialcore import cli
from spatialcore.commands.text import parted
from tests.fabricate import nerfstudio_capture

WIDTH = 80
LONG = "a_family_of_somebody_else.with_a_quantity_of_a_very_long_name.and_a_form.and_another"
TASKS = [*(engine.task for engine in engines()), LONG]


def held(text: str) -> list[str]:
    """The lines of a text, each within the width unless it is a word, or names a folder in full."""
    lines = text.splitlines()
    for line in lines:
        words = line.split()
        has_path = any(word.startswith("/") for word in words)
        assert len(line) <= WIDTH or len(words) == 1 or has_path, line
    return lines


@pytest.mark.parametrize("once", [None, 1.0])
def test_scores_of_every_task(once: float | None) -> None:
    rows = [
        Row(task, "mean relative accuracy", 1_234_567, 1.0, 1.0, 1.0, 0.25, 12, 1234, 12345, -1.0,
            once)
        for task in TASKS
    ]  # fmt: skip
    report = Report(
        rows=tuple(rows), multispa={}, macro=0.5, micro=0.5, n=9, dialect="multispa",
        missing=(), missing_count=0, adjusted=0.5, rotated=None if once is None else 3, fixed=2,
    )  # fmt: skip
    lines = held(format_report(report.to_json()))
    for task in TASKS:
        assert any(line.split()[0] == task for line in lines), task
    assert sum("1234567" in line for line in lines) == len(TASKS)


def test_comparisons_of_every_task() -> None:
    difference = Difference(1.0, -1.0, -1.0, 1.0)
    named = dict.fromkeys(
        ("blind-trained", "blind-eval", "frequency", "random", "oracle"), difference
    )
    rows = [asdict(Comparison(task, 9, 1.0, named, "blind-trained")) for task in TASKS]
    lines = held(format_comparison(rows))
    for task in TASKS:
        assert any(line.split()[0] == task for line in lines), task


def test_dialects_and_audits(tmp_path: Path) -> None:
    held("\n".join(listed()))
    remark = "a remark that says at some length what explains the difference"
    row = AuditRow(
        "vsi/12", "12", LONG, "scene0000_00", "1.5", "2.5", "formula", 1.0, "disagrees",
        remark, "0", "0",
    )  # fmt: skip
    options = audit.Options("vsi-bench", tmp_path, tmp_path, Path("list.jsonl"))
    lines = held(audit._text(options, Audit((row,), ("a.json",) * 30)))
    assert LONG in "\n".join(lines)


def test_stress_figures_of_every_task(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    share = Share(1.0, 0.0, 1.0, 9)
    one = TaskStress(
        rows=123_456, looked_at=12_345, spaces=9, kind="choice", chance=1.0, constant=share,
        prior=share, option=share, dot=share, text=share, bound=1.0, within=True,
    )  # fmt: skip
    print_stress(dict.fromkeys(TASKS, one))
    text = capsys.readouterr().out
    held(text)
    assert "…" not in text
    assert text.count("12,345") == len(TASKS)


@pytest.mark.parametrize("name", TASKS)
def test_a_name_is_broken_between_its_words(name: str) -> None:
    shown = parted(f"  {name}", 24).splitlines()
    assert "".join(line.strip() for line in shown) == name
    assert max(map(len, shown)) <= 24
    assert all(line.strip()[0] in "._" for line in shown[1:])


def test_verbs_on_a_small_capture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    nerfstudio_capture(tmp_path / "capture", 16)
    limit = "--limit 999999 --tasks camera_movement.*,scene_layout.*,spatial_relation.*"
    for line in (
        "check capture", f"plan capture -o plan {limit}", f"plan capture --estimate {limit}",
        "generate plan -o out --to llamafactory", "status out",
        "plan capture -o walk --val-stretch 0.3 --limit 9 --tasks camera_movement.*",
        "stats out", "verify out",
        "report out", "score --records out --split train --baseline oracle", "view out",
        "frames capture --sampler uniform --frames 4",
    ):  # fmt: skip
        assert cli.main(line.split()) == 0, line
        held(capsys.readouterr().out)
