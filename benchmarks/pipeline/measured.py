# SPDX-License-Identifier: Apache-2.0
"""Verbs run as a user runs them, with what they cost: time, memory over time, disk."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_PAGE = os.sysconf("SC_PAGE_SIZE")
_LOOK_S = 0.5
_TELL_S = 60.0
_POINTS = 60  # of a series: each is the greatest of its part of the run
_DISK_LOOKS = 10  # looks at memory between two at the scratch folder


@dataclass
class Watched:
    """What was seen of a process and of all below it.

    Attributes:
        summed: MB of all processes at the peak; a page counts once for each that holds it.
        largest: MB of the largest process at its peak.
        scratch: MB below TMPDIR at the peak.
        own: (second, MB): memory that is no mapped file, of all processes.
    """

    summed: float = 0.0
    largest: float = 0.0
    scratch: float = 0.0
    own: list[tuple[float, float]] = field(default_factory=list)

    def look(self, pid: int, seconds: float) -> None:
        """Take up what the processes hold now."""
        held = [one for one in map(memory_mb, tree(pid)) if one is not None]
        self.summed = max(self.summed, sum(resident for resident, _ in held))
        self.largest = max(self.largest, *(resident for resident, _ in held), 0.0)
        self.own.append((seconds, sum(anonymous for _, anonymous in held)))

    def series(self) -> list[list[float]]:
        """At most `_POINTS` of the looks: the greatest of each part of the run."""
        size = max(1, -(-len(self.own) // _POINTS))
        parts = (self.own[k : k + size] for k in range(0, len(self.own), size))
        return [[round(part[-1][0], 1), round(max(mb for _, mb in part))] for part in parts]

    def growth(self) -> float | None:
        """MB by which the last quarter of the run is above the second; None of a short run."""
        count = len(self.own) // 4
        if count < 10:
            return None
        second, last = (
            sum(mb for _, mb in self.own[a:b]) / (b - a)
            for a, b in ((count, 2 * count), (3 * count, len(self.own)))
        )
        return round(last - second, 1)


def run(argv: list[str], output: Path | None, scratch: Path | None = None) -> dict[str, Any]:
    """Run a verb: seconds of the clock and of all processes, their MB over time, MB of its output.

    Args:
        argv: Its arguments, the verb first.
        output: What it writes; None measures nothing.
        scratch: Its TMPDIR, whose size is watched; None leaves the user's.

    Raises:
        SystemExit: It ended with an error.
    """
    started, spent = time.perf_counter(), processor_seconds()
    environment = {**os.environ, **({} if scratch is None else {"TMPDIR": str(scratch)})}
    process = subprocess.Popen(
        [sys.executable, "-m", "spatialcore", *argv], stdout=subprocess.DEVNULL, env=environment
    )
    seen, ended = Watched(), threading.Event()

    def watch() -> None:
        told, looks = started, 0
        while not ended.wait(_LOOK_S):
            now = time.perf_counter()
            seen.look(process.pid, now - started)
            if scratch is not None and looks % _DISK_LOOKS == 0:
                seen.scratch = max(seen.scratch, size_mb(scratch))
            if now - told >= _TELL_S:
                told = now
                print(f"  {argv[0]}: {now - started:.0f} s, {seen.own[-1][1]:.0f} MB", flush=True)
            looks += 1

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        code = process.wait()
    except BaseException:  # the verb resumes when the run is called again
        process.terminate()
        process.wait()
        raise
    finally:
        ended.set()
        watcher.join()
    if code not in (0, 3):
        raise SystemExit(f"spatialcore {' '.join(argv)} ended with {code}")
    told: dict[str, Any] = {
        "seconds": round(time.perf_counter() - started, 1),
        "processor_s": round(processor_seconds() - spent, 1),
        "peak_mb": round(seen.summed), "largest_mb": round(seen.largest),
        "growth_mb": seen.growth(), "memory": seen.series(),
    }  # fmt: skip
    if scratch is not None:
        told["scratch_mb"] = round(seen.scratch)
    if output is not None:
        told["output_mb"] = round(size_mb(output), 1)
    return told


def size_mb(folder: Path) -> float:
    """MB of the files of a folder, or of one file; links and what has just gone count nothing."""
    total = 0
    for path in (folder,) if folder.is_file() else folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() and not path.is_symlink() else 0
        except OSError:
            continue
    return total / 1e6


def processor_seconds() -> float:
    """What all processes have taken that were started here, or by these, and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def tree(pid: int) -> Iterator[int]:
    """A process and all below it."""
    waiting = [pid]
    while waiting:
        number = waiting.pop()
        yield number
        try:
            children = Path(f"/proc/{number}/task/{number}/children").read_text().split()
        except OSError:  # it has just ended
            continue
        waiting += map(int, children)


def memory_mb(pid: int) -> tuple[float, float] | None:
    """(all, that is no mapped file) resident memory of a process; None when it has ended."""
    try:
        resident, shared = map(int, Path(f"/proc/{pid}/statm").read_text().split()[1:3])
    except (OSError, ValueError):
        return None
    return resident * _PAGE / 1e6, (resident - shared) * _PAGE / 1e6
