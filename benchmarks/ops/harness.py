# SPDX-License-Identifier: Apache-2.0
"""Timing of the benchmarks: alternating rounds on one thread, and what the figures depend on."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from spatialcore import _cpu

ROUNDS = 5
_SHORTEST = 2e-3  # seconds of one measurement; shorter runs are repeated
_MOST_BUSY = 1.25  # process time over wall time from which on a run used a second thread
_TELLING = 20e-3  # seconds of wall time from which on that ratio says something

Run = Callable[[], Any]


def fastest(run: Run, repeats: int = 5) -> float:
    """Seconds of process time of the fastest of `repeats` runs, after one that warms up."""
    run()
    return min(_seconds(run, 1) for _ in range(repeats))


def fastest_wall(run: Run, repeats: int = 5) -> float:
    """Seconds of wall time of the fastest of `repeats` runs, after one that warms up."""
    run()
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    return min(times)


def _seconds(run: Run, calls: int, name: str = "") -> float:
    """Seconds of process time of one of `calls` calls; exits where a named one used two threads."""
    wall, begin = time.perf_counter(), time.process_time()
    for _ in range(calls):
        run()
    spent, wall = time.process_time() - begin, time.perf_counter() - wall
    if name and wall > _TELLING and spent > _MOST_BUSY * wall:
        raise SystemExit(f"{name} used more than one thread: {spent:.3f} s in {wall:.3f} s")
    return spent / calls


@contextmanager
def instruction_set(isa: str) -> Iterator[None]:
    """Our kernels by one set; "" for the best of the machine."""
    _cpu.set_isa(isa)
    try:
        yield
    finally:
        _cpu.set_isa("")


def alternating(
    runs: Sequence[tuple[str, Run, str]], rounds: int = ROUNDS, between: Run = lambda: None
) -> list[list[float]]:
    """Seconds of process time of every (name, run, instruction set), one list of rounds each.

    Every round runs each of them once, in turn, so that whatever slows the machine for a while
    slows all; `between` runs before each round. Each is run once before the first, to warm up.
    """
    calls = []
    for name, run, isa in runs:
        with instruction_set(isa):
            _seconds(run, 1)
            calls.append(max(1, int(_SHORTEST / max(_seconds(run, 1, name), 1e-7))))
    times: list[list[float]] = [[] for _ in runs]
    for _ in range(rounds):
        between()
        for k, (name, run, isa) in enumerate(runs):
            with instruction_set(isa):
                times[k].append(_seconds(run, calls[k], name))
    return times


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
        model = next((s.split(":")[1].strip() for s in lines if s.startswith("model name")), model)
    return {"cpu": model, "instruction_sets": _cpu.isas(), "threads": _cpu.available_threads()}


def one_thread() -> None:
    """Hold the peers that have a call for it to one core."""
    if find_spec("torch"):
        import torch

        torch.set_num_threads(1)
    if find_spec("faiss"):
        import faiss

        faiss.omp_set_num_threads(1)
    if find_spec("numba"):
        import numba

        numba.set_num_threads(1)
    if find_spec("cv2"):
        import cv2

        cv2.setNumThreads(1)
