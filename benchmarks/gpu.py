# SPDX-License-Identifier: Apache-2.0
"""`python benchmarks/gpu.py`: build, test and measure everything on this machine's GPU.

One call of under eight minutes: it builds the CUDA kernels for this GPU, runs the tests on it, a
small run under compute-sanitizer, and the tables against torch, cupy and cuML where those are
installed, and writes benchmarks/results/<gpu>.json. Nothing is downloaded. Exit code 1 where there
is no GPU, or where anything of ours fails or differs from the CPU.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from spatialcore.files import write_text

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
TOTAL_SECONDS = 470.0
BUILD_SECONDS, RUN_SECONDS, TEST_SECONDS, SANITIZER_SECONDS = 170.0, 40.0, 70.0, 50.0
SANITIZERS = ("memcheck", "racecheck")
TAIL = 4000  # characters of a stage's output that are kept


@dataclass(frozen=True)
class Gpu:
    """The first GPU as the driver names it."""

    name: str
    driver: str
    capability: str  # such as "9.0"

    @property
    def slug(self) -> str:
        """Its name as a file name."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")


@dataclass(frozen=True)
class Stage:
    """What a stage did: "passed", "failed", "out of time" or "left out", and why."""

    name: str
    outcome: str
    seconds: float
    summary: str
    tail: str = ""


def find_gpu() -> Gpu | str:
    """The first GPU, or why there is none."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return "nvidia-smi is not installed"
    query = "--query-gpu=name,driver_version,compute_cap"
    done = subprocess.run(
        [program, query, "--format=csv,noheader"], capture_output=True, text=True, check=False
    )
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        return (done.stdout + done.stderr).strip() or "nvidia-smi names no GPU"
    return parse_gpu(lines[0])


def parse_gpu(line: str) -> Gpu:
    """From a line such as "NVIDIA H200, 580.65.06, 9.0"."""
    name, driver, capability = (part.strip() for part in line.rsplit(",", 2))
    return Gpu(name, driver, capability)


def run_stage(
    name: str,
    command: list[str],
    seconds: float,
    environment: dict[str, str] | None = None,
    summarise: Callable[[str], str] = lambda _: "",
) -> Stage:
    """Run one stage and show its output as it comes."""
    if seconds < 5:
        return Stage(name, "left out", 0.0, "no time is left")
    print(f"\n== {name}: {' '.join(command)}", flush=True)
    begin = time.monotonic()
    lines: list[str] = []
    with subprocess.Popen(
        ["timeout", "--kill-after=5", str(int(seconds)), *command],
        cwd=ROOT, env={**os.environ, **(environment or {})}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    outcomes = {0: "passed", 124: "out of time", 137: "out of time"}
    outcome = outcomes.get(process.returncode, "failed")
    text = "".join(lines)
    return Stage(name, outcome, time.monotonic() - begin, summarise(text), text[-TAIL:])


def last_line(text: str) -> str:
    """The last line that says something, as pytest's summary does."""
    lines = [line.strip(" =") for line in text.splitlines() if line.strip(" =")]
    return lines[-1].strip() if lines else ""


def sanitizer_summary(text: str) -> str:
    """compute-sanitizer's own count of errors or hazards."""
    found = re.findall(r"(?:ERROR|RACECHECK) SUMMARY: .*", text)
    return str(found[-1]) if found else ""


def unless_refused(stage: Stage) -> Stage:
    """A sanitizer that some virtual machines keep from the device found nothing wrong."""
    if stage.outcome == "failed" and "Device not supported" in stage.tail:
        return replace(stage, outcome="left out", summary="the sanitizer cannot use this device")
    return stage


def build_command() -> list[str]:
    return [sys.executable, "-m", "pip", "install", "--no-build-isolation", "--no-deps",
            "--no-index", "--force-reinstall", "."]  # fmt: skip


def build_environment(gpu: Gpu) -> dict[str, str]:
    """CUDA or an error, for this GPU alone."""
    architecture = gpu.capability.replace(".", "")
    return {"SPATIALCORE_CUDA": "ON", "SPATIALCORE_CUDA_ARCHS": f"{architecture}-real"}


def run_stages(gpu: Gpu, build: bool, tables: Path) -> list[Stage]:
    """Run every stage; a failed build ends it, a failed test does not."""
    until = time.monotonic() + TOTAL_SECONDS

    def left(most: float) -> float:
        return min(most, until - time.monotonic())

    python = [sys.executable, "-m"]
    done: list[Stage] = []
    if build:
        environment = build_environment(gpu)
        done.append(run_stage("build", build_command(), left(BUILD_SECONDS), environment))
        if done[-1].outcome != "passed":
            return done
    small = [*python, "benchmarks.device.small_run"]
    done.append(run_stage("small run", small, left(RUN_SECONDS)))
    if find_spec("pytest"):
        # -W default: a warning of a library is no failure of a kernel.
        command = [*python, "pytest", "-q", "-W", "default", "tests/ops/test_gpu.py"]
        environment = {"SPATIALCORE_REQUIRE_GPU": "1"}
        done.append(run_stage("tests", command, left(TEST_SECONDS), environment, last_line))
    else:
        done.append(Stage("tests", "left out", 0.0, "pytest is not installed"))
    beside_nvcc = "/usr/local/cuda/bin/compute-sanitizer"
    program = shutil.which("compute-sanitizer") or shutil.which(beside_nvcc)
    for tool in SANITIZERS:
        if program is None:
            done.append(Stage(tool, "left out", 0.0, "compute-sanitizer is not installed"))
            continue
        command = [program, "--tool", tool, "--error-exitcode", "9", *small]
        stage = run_stage(tool, command, left(SANITIZER_SECONDS), None, sanitizer_summary)
        done.append(unless_refused(stage))
    seconds = left(TOTAL_SECONDS) - 10
    command = [*python, "benchmarks.device.measure", "--output", str(tables)]
    command += ["--seconds", str(int(max(0.0, seconds - 40)))]  # the last table may take as long
    done.append(run_stage("tables", command, seconds))
    return done


def result(gpu: Gpu, done: list[Stage], tables: Path) -> dict[str, Any]:
    """What is stored: the machine, every stage, and what was measured."""
    measured: dict[str, Any] = {}
    if tables.exists():
        measured = json.loads(tables.read_text(encoding="utf-8"))
    return {
        "gpu": asdict(gpu),
        "commit": git("rev-parse", "HEAD"),
        "changed": bool(git("status", "--porcelain")),
        "versions": versions(),
        "stages": [asdict(stage) for stage in done],
        "measured": measured,
    }


def git(*arguments: str) -> str:
    """Git's answer, or "" outside a checkout."""
    program = shutil.which("git")
    if program is None:
        return ""
    done = subprocess.run(
        [program, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() if done.returncode == 0 else ""


def versions() -> dict[str, str]:
    """Of what the figures depend on."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": sys.version.split()[0]}
    for name in ("numpy", "torch", "triton", "cupy-cuda13x", "cuml-cu13"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python benchmarks/gpu.py", description=__doc__)
    parser.add_argument("--installed", action="store_true", help="measure what is installed")
    parser.add_argument("--output", type=Path, help="default: benchmarks/results/<gpu>.json")
    options = parser.parse_args(argv)
    gpu = find_gpu()
    if isinstance(gpu, str):
        print(f"no GPU: {gpu}; nothing was built, tested or measured", file=sys.stderr)
        return 1
    output = options.output or RESULTS / f"{gpu.slug}.json"
    with tempfile.TemporaryDirectory() as folder:
        tables = Path(folder) / "tables.json"
        done = run_stages(gpu, not options.installed, tables)
        content = result(gpu, done, tables)
    output.parent.mkdir(parents=True, exist_ok=True)
    write_text(output, json.dumps(content, indent=1) + "\n")
    print()
    for stage in done:
        print(f"{stage.name:<10} {stage.outcome:<12}{stage.seconds:>6.0f} s  {stage.summary}")
    print(output)
    return 0 if all(stage.outcome in ("passed", "left out") for stage in done) else 1


if __name__ == "__main__":
    sys.exit(main())
