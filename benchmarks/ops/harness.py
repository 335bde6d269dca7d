# SPDX-License-Identifier: Apache-2.0
"""Timing and tables of the operation benchmarks: outputs are compared before a time is shown."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from spatialcore import _cpu
from spatialcore.files import write_text


@dataclass(frozen=True)
class Row:
    """One measured variant; `rate` is work units per second and core."""

    name: str
    rate: float
    note: str = ""


@dataclass
class Table:
    """Rows of one input, in a fixed unit of throughput."""

    title: str
    unit: str
    rows: list[Row] = field(default_factory=list)

    def add(self, name: str, work: float, seconds: float, note: str = "") -> Row:
        row = Row(name, work / seconds, note)
        self.rows.append(row)
        return row

    def show(self) -> None:
        best = max(row.rate for row in self.rows)
        print(f"\n{self.title}  [{self.unit}]")
        for row in self.rows:
            print(f"  {row.name:<34}{row.rate / 1e9:>9.4f} G  {best / row.rate:>7.1f}x  {row.note}")


def fastest(run: Callable[[], Any], repeats: int = 5) -> float:
    """Seconds of process time of the fastest of `repeats` runs, after one that warms up."""
    run()
    times = []
    for _ in range(repeats):
        begin = time.process_time()
        run()
        times.append(time.process_time() - begin)
    return min(times)


def fastest_wall(run: Callable[[], Any], repeats: int = 5) -> float:
    """Seconds of wall time of the fastest of `repeats` runs, after one that warms up."""
    run()
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    return min(times)


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
        model = next((s.split(":")[1].strip() for s in lines if s.startswith("model name")), model)
    return {"cpu": model, "instruction_sets": _cpu.isas(), "threads": _cpu.available_threads()}


def write(path: str, tables: list[Table]) -> None:
    """Store the tables as JSON beside the machine they were measured on."""
    content = {"machine": machine(), "tables": [asdict(table) for table in tables]}
    write_text(Path(path), json.dumps(content, indent=1) + "\n")
