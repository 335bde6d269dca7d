# SPDX-License-Identifier: Apache-2.0
"""Our backends and their peers on one input: outputs first, then ratios, ceilings and memory."""

from __future__ import annotations

import argparse
import json
import platform
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ops.harness import fastest, machine
from spatialcore.files import write_text

RESULTS = Path(__file__).parents[1] / "results"


@dataclass(frozen=True)
class Measured:
    """One variant; `ratio` is its time over ours, `share` its rate over the ceiling."""

    name: str
    milliseconds: float
    rate: float
    ratio: float
    share: float | None
    error: float


@dataclass
class Comparison:
    """Variants of one input. The first one added is ours and the measure of the others."""

    title: str
    unit: str
    work: float
    expected: np.ndarray
    ceiling: float | None = None
    rows: list[Measured] = field(default_factory=list)
    note: dict[str, Any] = field(default_factory=dict)

    def add(
        self,
        name: str,
        run: Callable[[], Any],
        *,
        result: Callable[[Any], np.ndarray] = np.asarray,
        tolerance: float = 0.0,
        needs: str = "numpy",
        part: float = 1.0,
        repeats: int = 5,
    ) -> None:
        """Check and time a variant; `part` is the share of the work that `run` does."""
        if find_spec(needs) is None:
            print(f"  {name:<44} not installed")
            return
        found = result(run()).astype(np.float64)
        expected = self.expected[: len(found)] if part < 1 else self.expected
        error = float(np.abs(found - expected).max(initial=0.0))
        if not error <= tolerance:
            raise SystemExit(f"{self.title}: {name} differs by {error}, more than {tolerance}")
        self.record(name, fastest(run, repeats) / part, error)

    def record(self, name: str, seconds: float, error: float = 0.0) -> None:
        """Add a variant that was checked and timed already."""
        rate = self.work / seconds
        first = self.rows[0].milliseconds if self.rows else seconds * 1e3
        share = None if self.ceiling is None else rate / self.ceiling
        row = Measured(name, seconds * 1e3, rate, seconds * 1e3 / first, share, error)
        if not self.rows:
            print(f"\n{self.title}  [{self.unit}]")
        self.rows.append(row)
        bound = "" if share is None else f"{share:>7.0%} of ceiling"
        figures = f"{row.milliseconds:>11.2f} ms{rate / 1e9:>11.3f} G{row.ratio:>9.1f}x"
        print(f"  {name:<44}{figures}{bound}")


def ceilings() -> dict[str, float]:
    """Rates of this machine; empty where there is no x86 compiler."""
    compiler = shutil.which("c++")
    if compiler is None or platform.machine() not in ("x86_64", "AMD64"):
        return {}
    source = Path(__file__).with_name("ceilings.cpp")
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "ceilings"
        subprocess.run(
            [compiler, "-std=c++17", "-O2", "-mavx2", str(source), "-o", program], check=True
        )
        text = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    rates: dict[str, float] = json.loads(text)
    print("ceilings of one core:", ", ".join(f"{k} {v / 1e9:.2f} G/s" for k, v in rates.items()))
    return rates


def write(
    op: str, comparisons: list[Comparison], rates: dict[str, float], output: Path | None = None
) -> None:
    """Store the rows as JSON beside the machine, its ceilings and the peak memory."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(f"peak memory {peak / 2**30:.2f} GiB")
    tables = []
    for comparison in comparisons:
        table = asdict(comparison)
        del table["expected"]
        tables.append(table)
    content = {"machine": machine(), "ceilings": rates, "peak_bytes": peak, "tables": tables}
    path = output or RESULTS / f"{op}.json"
    path.parent.mkdir(exist_ok=True)
    write_text(path, json.dumps(content, indent=1) + "\n")


def options() -> argparse.Namespace:
    """What every suite understands: `--short` and `--output FILE`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--short", action="store_true", help="the first table alone")
    parser.add_argument("--output", type=Path, help="the JSON; default: results/<op>.json")
    return parser.parse_args()


def one_thread() -> None:
    """Hold the peers to one core."""
    if find_spec("torch"):
        import torch

        torch.set_num_threads(1)
    if find_spec("faiss"):
        import faiss

        faiss.omp_set_num_threads(1)
    if find_spec("numba"):
        import numba

        numba.set_num_threads(1)
