# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks [--short]`: every suite, its tables, one JSON for this machine.

A suite runs in its own process with a time budget. It compares outputs before it shows a time and
stops the run where they differ; a suite that is out of time is named and left out. Times are
process time of one thread, medians of alternating rounds; the load of the machine is recorded.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.ops.harness import machine
from spatialcore.files import write_text

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
# Module, arguments of a short and of a whole run, whether it takes --real, seconds for each.
SUITES: dict[str, tuple[list[str], list[str], bool, tuple[int, int]]] = {
    "ops.bench_occlusion": (["--points", "200000", "--frames", "12"], [], True, (120, 1500)),
    "ops.bench_overlap": (["--short"], [], False, (120, 600)),
    "ops.bench_covisibility": (["--short"], [], False, (60, 300)),
    "ops.bench_rigidity": (["--short"], [], False, (120, 900)),
    "ops.bench_coverage": ([], [], False, (60, 120)),
    "ops.bench_decode": (["--short"], [], True, (120, 600)),
    "pipeline.bench_generate": (["--short"], [], True, (120, 900)),
    "pipeline.bench_index": (["--short"], [], True, (120, 600)),
}


def slug(name: str) -> str:
    """A file name of a processor's name."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def result_path(host: dict[str, Any], short: bool) -> Path:
    """Where the figures of a machine are stored; a short run's stay out of the repository.

    Machines that call themselves alike may differ in their instruction sets.
    """
    name = slug(f"{host['cpu']} {host['instruction_sets'][-1]}")
    return RESULTS / f"{name}{'-short' if short else ''}.json"


def kept(stored: Path, only: list[str] | None) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Tables and missing suites of an earlier run that `--only` leaves as they are."""
    if not only:
        return [], {}
    if not stored.exists():
        return [], {name: "not asked for" for name in SUITES if name not in only}
    earlier = json.loads(stored.read_text(encoding="utf-8"))
    tables = [table for table in earlier["tables"] if table["suite"] not in only]
    return tables, {k: v for k, v in earlier["left_out"].items() if k not in only}


def run_suite(name: str, short: bool, real: Path | None, output: Path) -> str:
    """Run one suite; returns "" or why there is nothing to show."""
    brief, whole, takes_real, budget = SUITES[name]
    command = [sys.executable, "-m", f"benchmarks.{name}", "--output", str(output)]
    command += brief if short else whole
    if takes_real and real is not None:
        command += ["--real", str(real)]
    try:
        done = subprocess.run(command, cwd=ROOT, timeout=budget[0 if short else 1], check=False)
    except subprocess.TimeoutExpired as late:
        return f"out of time after {late.timeout:.0f} s"
    return "" if done.returncode == 0 else f"failed with exit code {done.returncode}"


def tables_of(name: str, path: Path) -> list[dict[str, Any]]:
    """Tables of a suite, each with its suite and the load at its end."""
    tables = json.loads(path.read_text(encoding="utf-8"))["tables"]
    return [table | {"suite": name, "load_after": os.getloadavg()[0]} for table in tables]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--short", action="store_true", help="the small input of each suite")
    parser.add_argument("--only", action="append", choices=[*SUITES], help="others stay as stored")
    parser.add_argument("--real", type=Path, help="folder of captured scenes, exported layout")
    given = parser.parse_args()
    real = given.real.resolve() if given.real else None
    host = machine()
    host |= {"cores": os.cpu_count(), "load_before": os.getloadavg()}
    tables, left_out = kept(result_path(host, given.short), given.only)
    with tempfile.TemporaryDirectory() as folder:
        for name in given.only or SUITES:
            path = Path(folder) / f"{name}.json"
            reason = run_suite(name, given.short, real, path)
            if reason:
                left_out[name] = reason
                print(f"\n{name}: {reason}")
            else:
                left_out.pop(name, None)
                tables += tables_of(name, path)
    tables.sort(key=lambda table: [*SUITES].index(table["suite"]))
    host["load_after"] = os.getloadavg()
    content = {"machine": host, "short": given.short, "left_out": left_out, "tables": tables}
    RESULTS.mkdir(exist_ok=True)
    result = result_path(host, given.short)
    write_text(result, json.dumps(content, indent=1) + "\n")
    print(f"\n{result.relative_to(ROOT)}")
    return 1 if any(left_out.get(name) for name in given.only or SUITES) else 0


if __name__ == "__main__":
    sys.exit(main())
