# SPDX-License-Identifier: Apache-2.0
"""The progress of the commands: a bar with the time left on a terminal, a line a minute else."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

BAR_AFTER_S = 2.0
LINE_EVERY_S = 60.0


class ProgressBar:
    """A bar on stderr once the work has taken two seconds; plain lines where it is no terminal."""

    def __init__(self) -> None:
        self._started = self._told = time.perf_counter()
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, name: str, done: int, total: int) -> None:
        """Move the bar to `done` of `total` and show what was worked on."""
        now = time.perf_counter()
        if not sys.stderr.isatty():
            if now - self._told >= LINE_EVERY_S:
                self._told = now
                print(f"{done:,} of {total:,}: {name}", file=sys.stderr, flush=True)
            return
        if self._bar is None:
            if now - self._started <= BAR_AFTER_S:
                return
            self._start(total)
        self._bar.update(self._task, completed=done, total=total, description=name)

    def _start(self, total: int) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task("", total=total)
        self._bar.start()
