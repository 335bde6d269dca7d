# SPDX-License-Identifier: Apache-2.0
"""`benchmarks/gpu.py` without a GPU: its parts on the host, and what it says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from benchmarks import gpu
from benchmarks.device import clock as clocks
from benchmarks.device.tables import Table, Variant
from tests.native.host import HostTorch, torch_as_gpu

H200 = gpu.Gpu("NVIDIA H200", "580.65.06", "9.0")


def test_without_a_gpu_nothing_is_done_and_that_is_said(monkeypatch, capsys):
    monkeypatch.setattr(gpu.shutil, "which", lambda name: None)
    assert gpu.main([]) == 1
    assert capsys.readouterr().err == (
        "no GPU: nvidia-smi is not installed; nothing was built, tested or measured\n"
    )


@pytest.mark.parametrize(("script", "expected"), [
    ("echo NVIDIA H200, 580.65.06, 9.0", H200),
    ("echo 'NVIDIA RTX, Ada, 570.1, 8.9'; echo other", gpu.Gpu("NVIDIA RTX, Ada", "570.1", "8.9")),
    ("echo no devices were found; exit 6", "no devices were found"),
    ("true", "nvidia-smi names no GPU"),
])  # fmt: skip
def test_the_gpu_is_the_one_that_the_driver_names(tmp_path, monkeypatch, script, expected):
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert gpu.find_gpu() == expected
    assert H200.slug == "nvidia-h200"


@pytest.mark.parametrize(("code", "outcome"), [
    ("print('fine')", "passed"), ("raise SystemExit(3)", "failed"),
    ("import time; time.sleep(60)", "out of time"),
])  # fmt: skip
def test_a_stage_passes_fails_or_is_stopped(code, outcome, capsys):
    stage = gpu.run_stage("one", [sys.executable, "-c", code], 5.5, {"A": "1"}, gpu.last_line)
    assert stage.outcome == outcome
    assert stage.seconds < 20
    if outcome == "passed":
        assert stage.summary == "fine"
        assert "== one: " in capsys.readouterr().out
    assert gpu.run_stage("two", ["false"], 4.0).outcome == "left out"


def test_summaries_are_the_tools_own_words():
    assert gpu.last_line("....\n=== 3 passed, 1 skipped in 2.1s ===\n\n") == (
        "3 passed, 1 skipped in 2.1s"
    )
    said = "========= COMPUTE-SANITIZER\n========= ERROR SUMMARY: 0 errors\n"
    assert gpu.sanitizer_summary(said) == "ERROR SUMMARY: 0 errors"
    assert gpu.sanitizer_summary("nothing") == gpu.last_line(" \n") == ""


def test_a_sanitizer_that_is_kept_from_the_device_is_left_out():
    refused = gpu.Stage("memcheck", "failed", 1.0, "", "==== Error: Device not supported")
    assert gpu.unless_refused(refused).outcome == "left out"
    found = gpu.Stage("memcheck", "failed", 1.0, "ERROR SUMMARY: 2 errors", "Invalid __global__")
    assert gpu.unless_refused(found) is found


@pytest.mark.parametrize("failing", ["", "build", "racecheck"])
def test_every_stage_is_stored_and_a_failure_is_the_exit_code(
    failing, tmp_path, monkeypatch, capsys
):
    asked: dict[str, Any] = {}

    def stage(name, command, seconds, environment=None, summarise=None):
        asked[name] = (command, seconds, environment)
        if name == "tables":
            Path(command[command.index("--output") + 1]).write_text('{"tables": []}')
        return gpu.Stage(name, "failed" if name == failing else "passed", 1.0, "summary")

    monkeypatch.setattr(gpu, "run_stage", stage)
    monkeypatch.setattr(gpu, "find_gpu", lambda: H200)
    which = gpu.shutil.which
    monkeypatch.setattr(
        gpu.shutil, "which",
        lambda name: "/bin/sanitizer" if name == "compute-sanitizer" else which(name),
    )  # fmt: skip
    output = tmp_path / "new" / "result.json"
    assert gpu.main(["--output", str(output)]) == (1 if failing else 0)
    stored = json.loads(output.read_text())
    names = [s["name"] for s in stored["stages"]]
    assert stored["gpu"] == {"name": "NVIDIA H200", "driver": "580.65.06", "capability": "9.0"}
    if failing == "build":
        assert names == ["build"]
        return
    assert names == ["build", "small run", "tests", "memcheck", "racecheck", "tables"]
    assert stored["measured"] == {"tables": []}
    assert asked["build"][2] == {"SPATIALCORE_CUDA": "ON", "SPATIALCORE_CUDA_ARCHS": "90-real"}
    assert asked["tests"][2] == {"SPATIALCORE_REQUIRE_GPU": "1"}
    assert asked["racecheck"][0][:3] == ["/bin/sanitizer", "--tool", "racecheck"]
    most = [seconds for name, (_, seconds, _) in asked.items() if name != "tables"]
    assert sum(most) + 60 <= gpu.TOTAL_SECONDS < 480, "the tables get at least a minute"
    assert "summary" in capsys.readouterr().out
    assert gpu.main(["--installed", "--output", str(output)]) == (1 if failing else 0)
    assert json.loads(output.read_text())["stages"][0]["name"] == "small run"


class Fixed:
    """A clock that says what it is told."""

    def __init__(self, seconds: float, replayed: float | None = None) -> None:
        self._seconds, self._replayed = seconds, replayed

    def seconds(self, run):
        run()
        return self._seconds

    def replayed(self, run):
        return self._replayed


def test_a_table_shows_no_time_of_what_is_wrong_or_missing(capsys):
    def broken():
        raise RuntimeError("no kernel image")

    table = Table("input", "things/s", 100.0).measure(Fixed(2.0, 0.5), [
        Variant("ours", lambda: 1.0, lambda got: 0.0, floor=0.25),
        Variant("ours, wrong", lambda: 2.0, lambda got: 3.0),
        Variant("ours, not a number", lambda: 2.0, lambda got: float("nan")),
        Variant("peer, broken", broken, lambda got: 0.0),
        Variant("peer, absent", lambda: 1.0, lambda got: 0.0, needs=("no_such_package",)),
        Variant("peer, in Python", lambda: 1.0, lambda got: 0.5, tolerance=1.0, capture=False),
    ])  # fmt: skip
    ours, wrong, nan, bad, absent, peer = table.rows
    assert (ours.milliseconds, ours.replay_milliseconds) == (2000.0, 500.0)
    assert (ours.rate, ours.ratio, ours.share) == (200.0, 1.0, 0.5)
    assert wrong.rate is None
    assert nan.rate is None
    assert wrong.problem == "differs by 3, more than 0"
    assert bad.problem == "RuntimeError: no kernel image"
    assert absent.problem == "no_such_package not installed"
    assert (peer.rate, peer.ratio) == (50.0, 4.0)
    assert table.problems() == [
        "input: ours, wrong: differs by 3, more than 0",
        "input: ours, not a number: differs by nan, more than 0",
    ]
    assert "50% of its floor" in capsys.readouterr().out


def test_events_time_each_call_of_a_queue(monkeypatch):
    class Event:
        now = 0.0

        def __init__(self, enable_timing):
            assert enable_timing

        def record(self):
            self.at = Event.now

        def elapsed_time(self, end):
            return end.at - self.at

    torch = ModuleType("torch")
    torch.cuda = ModuleType("cuda")
    torch.cuda.Event, torch.cuda.synchronize = Event, lambda: None
    monkeypatch.setitem(sys.modules, "torch", torch)
    times = iter([50.0, 4.0, 3.0, *[2.0, 7.0] * 200])  # milliseconds; the first call compiles

    def run():
        Event.now += next(times)

    assert clocks.EventClock(budget=0.02).seconds(run) == 0.002
    assert [clocks.repeats(p, 1.0) for p in (0.0, 1e-3, 0.01, 5.0)] == [200, 200, 100, 3]


@pytest.mark.slow
def test_every_table_runs_on_the_host(kernels_on_host, tmp_path, monkeypatch, capsys):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    from benchmarks.device import measure, small_run
    from spatialcore.index import make as pool

    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    monkeypatch.setattr(pool, "open_device", lambda name: HostTorch())
    sizes = measure.Sizes(
        scenes=((2000, 5), (500, 2)), masks=((20, 3000),), clips=((6, 40), (4, 20)),
        scene_batch=(2, 300, 2), mask_batch=(3, 5, 200), clip_batch=(3, 4, 12), rooms=(1, 3),
        maps=(60, 3), scale=256,
    )  # fmt: skip
    output = tmp_path / "tables.json"
    with torch_as_gpu(kernels_on_host):
        assert small_run.main("cpu") == 0
        made = measure.measure(sizes, "cpu", clocks.WallClock(), output, 600, tmp_path)
        late = measure.measure(sizes, "cpu", clocks.WallClock(), output, -1, tmp_path)
    assert made["left_out"] == []
    assert len(late["left_out"]) == len(made["tables"]) == 11
    # Triton runs on a GPU or interpreted; in this process it does neither.
    rows = [row for table in made["tables"] for row in table["rows"]]
    ours = [r for r in rows if r["name"].startswith("ours") and "triton" not in r["name"]]
    assert not [row for row in ours if row["problem"]]
    assert all(row["rate"] > 0 for row in ours)
    peers = [row for row in rows if row["name"].startswith("torch") and not row["problem"]]
    assert len(peers) >= 12
    assert set(made["ceilings"]) >= {"copy_bytes", "matrix_int8", "matrix_bfloat16"}
    assert json.loads(output.read_text()) == late


AOT = """
import sys
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, compile
from benchmarks.device.instructions import BLOCK, ROUNDS, popcount_rounds, root_rounds
for kernel, type, name in ((root_rounds, "*fp32", "sqrt.rn.f32"),
                           (root_rounds, "*fp64", "sqrt.rn.f64"),
                           (popcount_rounds, "*i32", "popc.b32")):
    source = ASTSource(kernel, {"out": type, "ROUNDS": "constexpr", "BLOCK": "constexpr"},
                       {"ROUNDS": ROUNDS, "BLOCK": BLOCK})
    made = compile(source, target=GPUTarget("cuda", 90, 32),
                   options={"num_warps": 4, "enable_fp_fusion": False})
    assert made.asm["ptx"].count(name) == BLOCK // 128, name
"""


def test_instruction_kernels_do_the_instruction_that_they_count(tmp_path):
    pytest.importorskip("triton", reason="triton is not installed")
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, "-c", AOT], cwd=gpu.ROOT, capture_output=True, text=True, check=False,
        env=environment | {"TRITON_CACHE_DIR": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_the_predictions_of_the_page_are_those_of_the_script():
    from benchmarks.device import predict

    page = (gpu.ROOT / "docs" / "gpu.md").read_text(encoding="utf-8")
    begin, end = "<!-- predicted:begin -->\n", "\n<!-- predicted:end -->"
    assert page.partition(begin)[2].partition(end)[0] == predict.table()
    chip = predict.Chip("one", 1e9, multiprocessors=1, clock=1e9)
    work = predict.Work("by hand", 1, bytes=2e6, issued=128 * 5e6, float64=64 * 4e6)
    assert work.seconds(chip) == (5e-3 + predict.LAUNCH_SECONDS, "instructions")
