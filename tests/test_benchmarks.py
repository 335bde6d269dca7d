# SPDX-License-Identifier: Apache-2.0
"""The speed table: peers that are faster stay visible, and the README is the one that was made."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def _table():
    spec = importlib.util.spec_from_file_location("speed_table", ROOT / "benchmarks" / "table.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _measured(*rows):
    return {"title": "input; note", "rows": [{"name": n, "ratio": r} for n, r in rows]}


def test_a_faster_peer_is_shown_as_a_ratio_below_one():
    line = _table().line(_measured(("ours", 1.0), ("slow", 30.0), ("quick", 0.5)))
    assert line == "| input | ours | 0.5x quick | 30x slow |"


def test_our_other_variants_are_no_peers():
    assert _table().line(_measured(("ours", 1.0), ("ours, dense", 0.1))) is None


def test_only_the_text_between_the_markers_changes():
    table = _table()
    old = f"before\n{table.BEGIN}old\n{table.END}\nafter\n"
    assert table.with_table(old, "new\n") == f"before\n{table.BEGIN}new\n{table.END}\nafter\n"
    with pytest.raises(SystemExit, match="markers"):
        table.with_table("nothing here", "new\n")


def test_the_readme_holds_the_table_of_a_stored_result():
    table = _table()
    stored = (ROOT / "README.md").read_text(encoding="utf-8")
    results = [
        json.loads(path.read_text(encoding="utf-8"))
        for path in (ROOT / "benchmarks" / "results").glob("*.json")
    ]
    made = [table.speed_table(r) for r in results if "left_out" in r]
    assert any(table.with_table(stored, text) == stored for text in made)


def test_the_scaling_table_is_the_stored_one():
    table = _table()
    path = ROOT / "benchmarks" / "results" / "scaling.json"
    stored = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    made = table.scaling_table(json.loads(path.read_text(encoding="utf-8")))
    assert table.with_table(stored, made, table.SCALING) == stored


def test_every_kernel_gives_the_bits_of_the_baseline_before_it_is_timed():
    command = [sys.executable, "-m", "pytest", "-q", "benchmarks/commits", "--benchmark-disable"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_short_run_leaves_the_stored_figures_alone():
    from benchmarks.__main__ import result_path

    host = {"cpu": "Some CPU @ 2.0 GHz"}
    assert result_path(host, False).name == "some-cpu-2-0-ghz.json"
    assert result_path(host, True).name == "some-cpu-2-0-ghz-short.json"
