# SPDX-License-Identifier: Apache-2.0
"""Make procedural RGB-D rooms and clips, offline, always the same.

Examples:
  spatialcore sample demo                       4 rooms, 4 clips: layouts of ScanNet and TAPVid-3D
  spatialcore sample demo --rooms 8 --seed 7    other rooms
  spatialcore sample demo --rooms 8 --walks 3   three scans of every room
  spatialcore sample tiny --preset tiny --rooms 1800    small sparse rooms by the thousand
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from spatialcore.commands import exit_codes
from spatialcore.commands.guard import run_verb
from spatialcore.sample.config import SampleConfig

if TYPE_CHECKING:
    from rich.progress import Progress

    from spatialcore.sample.build import SampleEvent, SampleSummary

BAR_AFTER = 2.0  # seconds without a bar


@dataclass(frozen=True)
class Options:
    """Options of `spatialcore sample`.

    Attributes:
        directory: Folder of the set.
        content: What it holds.
        workers: Processes; default: one a core.
        overwrite: Replace the set that the folder holds.
        json: Print one JSON object instead of text.
    """

    directory: Annotated[Path, tyro.conf.Positional]
    content: SampleConfig
    workers: int | None = None
    overwrite: bool = False
    json: bool = False


def main(argv: list[str]) -> int:
    """Run the command; returns its exit code."""
    return run_verb("sample", Options, __doc__, argv, _run)


def _run(options: Options) -> int:
    from spatialcore.sample.build import make_sample

    started = time.perf_counter()
    events = make_sample(
        options.directory, options.content, workers=options.workers, overwrite=options.overwrite
    )
    summary = _follow(events)
    seconds = time.perf_counter() - started
    if options.json:
        print(json.dumps({**asdict(summary), "seconds": round(seconds, 3)}))
        return exit_codes.SKIPPED if summary.lost else exit_codes.OK
    for lost in summary.lost:
        print(f"not made: {lost}")
    if summary.lost:
        print(f"{summary.root}: not finished; run again to finish")
        return exit_codes.SKIPPED
    state = "already done" if summary.already_done else f"made in {seconds:.1f} s"
    print(f"{summary.root}: {summary.files} files, {summary.bytes / 1e6:.1f} MB, {state}")
    for layout, size in summary.bytes_by_layout.items():
        print(f"  {layout:<14} {size / 1e6:8.1f} MB")
    print(f"sha256 {summary.sha256}")
    return exit_codes.OK


def _follow(events: Iterator[SampleEvent | SampleSummary]) -> SampleSummary:
    """Run to the summary; draw a bar on a terminal once it has taken two seconds."""
    from spatialcore.sample.build import SampleSummary

    started = time.perf_counter()
    bar: Progress | None = None
    try:
        for event in events:
            if isinstance(event, SampleSummary):
                return event
            if bar is None and sys.stderr.isatty() and time.perf_counter() - started > BAR_AFTER:
                bar = _bar(event.total)
            if bar is not None:
                bar.update(bar.task_ids[0], completed=event.done)
    finally:
        if bar is not None:
            bar.stop()
    raise RuntimeError("the sample ended without a summary")


def _bar(total: int) -> Progress:
    from rich.console import Console
    from rich.progress import Progress

    bar = Progress(console=Console(stderr=True), transient=True)
    bar.add_task("rooms and clips", total=total)
    bar.start()
    return bar
