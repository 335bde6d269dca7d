# SPDX-License-Identifier: Apache-2.0
"""The progress bar of the commands: with the time left, and only where a person is waiting."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

BAR_AFTER_S = 2.0


class ProgressBar:
    """A bar on stderr, drawn on a terminal once the work has taken two seconds."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
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
        if self._bar is None:
            slow = time.perf_counter() - self._started > BAR_AFTER_S
            if not slow or not sys.stderr.isatty():
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
