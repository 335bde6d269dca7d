# SPDX-License-Identifier: Apache-2.0
"""The speed table: peers that are faster stay visible, and the README is the one that was made."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.ops import ceilings, compare, harness
from benchmarks.ops.compare import Comparison, Variant
from spatialcore import _cpu

ROOT = Path(__file__).resolve().parent.parent


def _table():
    spec = importlib.util.spec_from_file_location("speed_table", ROOT / "benchmarks" / "table.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _measured(*rows):
    rows = [{"name": n, "ratio": r, "milliseconds": 12.34 * r} for n, r in rows]
    return {"title": "input; note", "rows": rows}


def test_a_faster_peer_is_shown_as_a_ratio_below_one():
    line = _table().line(_measured(("ours", 1.0), ("slow", 30.0), ("quick", 0.5)))
    assert line == "| input | 12.3 ms | 0.5x quick | 30x slow |"


def test_our_other_variants_are_no_peers():
    assert _table().line(_measured(("ours", 1.0), ("ours, dense", 0.1))) is None


def test_every_line_of_the_readme_has_its_table():
    table = _table()
    files = (ROOT / "benchmarks" / "results").glob("*-avx*.json")
    results = [json.loads(path.read_text(encoding="utf-8")) for path in files]
    titles = [one["title"] for result in results for one in result["tables"]]
    for label, wanted in table.SHOWN:
        assert [t for t in titles if t.startswith(wanted)], label


def test_only_the_text_between_the_markers_changes():
    table = _table()
    old = f"before\n{table.BEGIN}old\n{table.END}\nafter\n"
    assert table.with_table(old, "new\n") == f"before\n{table.BEGIN}new\n{table.END}\nafter\n"
    with pytest.raises(SystemExit, match="markers"):
        table.with_table("nothing here", "new\n")


def test_the_readme_holds_the_table_of_the_stored_results():
    table = _table()
    stored = (ROOT / "README.md").read_text(encoding="utf-8")
    folder = ROOT / "benchmarks" / "results"
    newest = folder / "intel-r-xeon-r-processor-avx512.json"
    results = [json.loads(newest.read_text(encoding="utf-8"))]
    assert table.with_table(stored, table.speed_table(results)) == stored
    assert len(results[0]["tables"]) > 10


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

    host = {"cpu": "Some CPU @ 2.0 GHz", "instruction_sets": ["baseline", "avx2"]}
    assert result_path(host, False).name == "some-cpu-2-0-ghz-avx2.json"
    assert result_path(host, True).name == "some-cpu-2-0-ghz-avx2-short.json"


def test_suites_that_were_not_asked_for_are_named(tmp_path):
    from benchmarks.__main__ import SUITES, kept

    only = ["ops.bench_overlap"]
    tables, left_out = kept(tmp_path / "none.json", only)
    assert tables == []
    assert set(left_out) == set(SUITES) - set(only)


@pytest.mark.parametrize("selection", ["overlap", "greedy or view"])
def test_peers_are_rows_of_one_group_with_ours(selection):
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-rs",
        "benchmarks/peers",
        "--benchmark-disable",
    ]
    done = subprocess.run(
        [*command, "-k", selection], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout


def test_rounds_alternate_and_every_variant_has_all_of_them():
    calls = []
    runs = [(name, lambda name=name: calls.append(name), "") for name in "ab"]
    times = harness.alternating(runs, 5, lambda: calls.append("|"))
    assert [len(one) for one in times] == [5, 5]
    rounds = "".join(calls).split("|")[1:]
    assert len(rounds) == 5
    assert all(set(one) == set("ab") and one == "".join(sorted(one)) for one in rounds)


def test_a_row_has_its_median_its_spread_and_the_ratio_of_its_rounds(monkeypatch):
    times = [[1.0, 2.0, 4.0, 2.0, 2.0], [3.0, 6.0, 12.0, 30.0, 1.0]]
    monkeypatch.setattr(compare, "alternating", lambda *_: times)
    table = Comparison("input", "units/s", 8.0, np.zeros(3))
    same = np.zeros(3)
    table.measure([Variant("ours", lambda: same), Variant("peer", lambda: same, part=0.5)])
    ours, peer = table.rows
    assert (ours.milliseconds, ours.least, ours.most, ours.rate) == (2000, 1000, 4000, 4.0)
    assert (peer.milliseconds, peer.ratio, peer.rounds) == (12000, 6.0, 5)


def test_a_variant_with_another_output_is_not_timed():
    table = Comparison("input", "units/s", 1.0, np.zeros(3))
    with pytest.raises(SystemExit, match="peer differs by 2"):
        table.measure(
            [Variant("ours", lambda: np.zeros(3)), Variant("peer", lambda: 2 * np.ones(3))]
        )
    assert table.rows == []


def test_a_peer_that_is_not_installed_is_named(capsys):
    table = Comparison("input", "units/s", 1.0, np.zeros(3))
    variants = [
        Variant("ours", lambda: np.zeros(3)),
        Variant("peer", list, needs="no_such_package"),
    ]
    table.measure(variants)
    assert [row.name for row in table.rows] == ["ours"]
    assert "no_such_package is not installed" in capsys.readouterr().out


def test_a_share_above_its_ceiling_stops_the_run():
    assert ceilings.share("loop", 3.0, 4.0) == 0.75
    with pytest.raises(SystemExit, match="loop runs at 120% of its ceiling"):
        ceilings.share("loop", 6.0, 5.0)


def test_a_run_on_two_threads_stops_the_run(monkeypatch):
    clocks = {"perf_counter": iter([0.0, 1.0]), "process_time": iter([0.0, 1.9])}
    for name, ticks in clocks.items():
        monkeypatch.setattr(harness.time, name, lambda ticks=ticks: next(ticks))
    with pytest.raises(SystemExit, match="peer used more than one thread"):
        harness._seconds(lambda: None, 1, "peer")


@pytest.mark.skipif("neon" in _cpu.isas(), reason="ceilings are measured on x86-64")
def test_ceilings_are_compiled_for_the_set_of_the_loop():
    assert "-mavx512vpopcntdq" in ceilings.flags_of("avx512")
    assert set(ceilings.flags_of("avx2")) < set(ceilings.flags_of("avx512"))
    assert ceilings.flags_of("baseline") == ["-march=x86-64-v2"]
    measured = ceilings.Ceilings()
    rates = [measured.rate("sqrt_float32", isa) for isa in _cpu.isas()]
    if None in rates:
        pytest.skip("no C++ compiler")
    assert min(rates) > 1e6
    assert set(measured.as_json()) == {f"sqrt_float32, {isa}" for isa in _cpu.isas()}


def test_rewarded_arms_are_judged_by_their_intervals():
    from benchmarks.rewards.run import verdicts

    flat, better = {"reward": [0.5] * 200}, {"reward": [0.5] * 80 + [1.0] * 120}
    arms = {"rewarded": {"20": flat, "150": better}, "shuffled": {"150": flat}, "other": {}}
    assert [right for _, right in verdicts({"start": flat, "arms": arms})] == [True, True]
    arms = {"rewarded": {"150": flat}, "shuffled": {"150": better}}
    assert [right for _, right in verdicts({"start": flat, "arms": arms})] == [False, False]


def test_a_start_and_rate_are_chosen_by_what_they_gain():
    from benchmarks.rewards.run import best

    probes = [
        {"start": start, "rate": rate, "mean": mean}
        for start, rate, mean in (
            (100, 0.0, 0.4), (100, 1e-4, 0.41), (100, 1e-3, 0.44), (200, 0.0, 0.6),
            (200, 1e-4, 0.63), (200, 1e-3, 0.5),
        )
    ]  # fmt: skip
    assert best(probes) == {"start": 100, "rate": 1e-3, "gain": 0.04}
    assert best(probes[3:]) == {"start": 200, "rate": 1e-4, "gain": 0.03}
