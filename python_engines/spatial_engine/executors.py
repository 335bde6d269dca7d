# SPDX-License-Identifier: Apache-2.0
"""Where independent pieces of work run: this process, a pool of processes, or Ray.

A piece is a picklable function of one picklable item. Results come as they finish; nobody may
depend on their order.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from typing import Any, Literal, TypeVar

from spatialcore.errors import BackendUnavailable

Executor = Literal["local", "ray"]
Item = TypeVar("Item")
Result = TypeVar("Result")

# Pieces in flight for each worker: enough to keep all busy, few enough to stop quickly.
_AHEAD = 2


def default_workers() -> int:
    """The number of processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_all(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    executor: Executor = "local",
    workers: int | None = None,
) -> Iterator[tuple[int, Result]]:
    """Call `function` on every item; yields (position, result) in the order of completion.

    Args:
        function: A function of a module, so that another process can import it.
        items: The pieces.
        executor: "local" for processes on this machine, "ray" for Ray Core tasks.
        workers: Processes, or pieces in flight on Ray; None is one for each processor.

    Raises:
        BackendUnavailable: Ray is asked for and not installed.
    """
    count = min(workers or default_workers(), max(1, len(items)))
    if executor == "ray":
        return _run_ray(function, items, count)
    if count == 1:
        return ((position, function(item)) for position, item in enumerate(items))
    return _run_pool(function, items, count)


def _run_pool(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int
) -> Iterator[tuple[int, Result]]:
    # "spawn" everywhere: a forked copy of a process with threads may deadlock.
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
    try:
        waiting = iter(enumerate(items))
        running = {}
        for position, item in waiting:
            running[pool.submit(function, item)] = position
            if len(running) < workers * _AHEAD:
                continue
            yield from _finished(running)
        while running:
            yield from _finished(running)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _finished(running: dict[Any, int]) -> Iterator[tuple[int, Any]]:
    done, _ = wait(running, return_when=FIRST_COMPLETED)
    for future in done:
        yield running.pop(future), future.result()


def _run_ray(
    function: Callable[[Item], Result], items: Sequence[Item], in_flight: int
) -> Iterator[tuple[int, Result]]:
    try:
        import ray
    except ImportError as error:
        raise BackendUnavailable("ray", "it is not installed: pip install ray") from error
    started_here = not ray.is_initialized()
    if started_here:
        ray.init(log_to_driver=False, include_dashboard=False)
    task = ray.remote(function)
    try:
        running: dict[Any, int] = {}
        waiting = list(enumerate(items))[::-1]
        while waiting or running:
            while waiting and len(running) < in_flight * _AHEAD:
                position, item = waiting.pop()
                running[task.remote(item)] = position
            done, _ = ray.wait(list(running), num_returns=1)
            for reference in done:
                yield running.pop(reference), ray.get(reference)
    finally:
        if started_here:
            ray.shutdown()
