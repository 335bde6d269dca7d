# SPDX-License-Identifier: Apache-2.0
"""Seconds of work on a GPU by its own events, or of work on the host where there is none."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any, Protocol


class Clock(Protocol):
    """How a run is timed."""

    def seconds(self, run: Callable[[], Any]) -> float:
        """Least seconds of one call among calls that follow each other without waiting."""

    def replayed(self, run: Callable[[], Any]) -> float | None:
        """Least seconds of its device work alone, without Python between; None where unknown."""


class EventClock:
    """Events of a torch device. Nothing is read back between calls, so they queue up.

    Attributes:
        budget: Seconds to spend on a run.
    """

    def __init__(self, budget: float = 0.6) -> None:
        import torch

        self._torch = torch
        self.budget = budget

    def seconds(self, run: Callable[[], Any]) -> float:
        run()  # compiles, and fills the allocator's cache
        [pilot] = self._each(run, 1)
        return min(self._each(run, repeats(pilot, self.budget)))

    def replayed(self, run: Callable[[], Any]) -> float | None:
        """A CUDA graph of the run: only work that waits for nothing can be captured."""
        cuda = self._torch.cuda
        side = cuda.Stream()
        side.wait_stream(cuda.current_stream())
        with cuda.stream(side):
            for _ in range(3):
                run()
        cuda.current_stream().wait_stream(side)
        graph = cuda.CUDAGraph()
        with cuda.graph(graph):
            kept = run()
        [pilot] = self._each(graph.replay, 1)
        least = min(self._each(graph.replay, repeats(pilot, self.budget)))
        del kept  # the graph writes into it
        return least

    def _each(self, run: Callable[[], Any], count: int) -> list[float]:
        """Seconds of each of `count` calls."""
        cuda = self._torch.cuda
        marks = [cuda.Event(enable_timing=True) for _ in range(count + 1)]
        marks[0].record()
        for mark in marks[1:]:
            run()
            mark.record()
        cuda.synchronize()
        return [begin.elapsed_time(end) * 1e-3 for begin, end in pairwise(marks)]


class WallClock:
    """The host's clock, for work on the host."""

    def seconds(self, run: Callable[[], Any]) -> float:
        begin = time.perf_counter()
        run()
        return time.perf_counter() - begin

    def replayed(self, run: Callable[[], Any]) -> float | None:
        del run
        return None


def repeats(pilot: float, budget: float) -> int:
    """How often a run that took `pilot` seconds fits the budget: 3 to 200 times."""
    return max(3, min(200, int(budget / max(pilot, 1e-6))))
