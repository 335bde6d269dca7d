# SPDX-License-Identifier: Apache-2.0
"""Where independent pieces of work run: in this process, in processes of this machine, or on Ray.

A piece is a picklable function of one picklable item. A worker that dies (there was no memory left,
somebody killed it) costs its piece alone: it is tried once more when the others in flight are done,
with nothing beside it, and is then reported as `Lost`. Workers never outlive the run: the parent
kills them, and when it is killed itself they see it and end.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeVar

from spatialcore.workers.outcomes import Died, Outcomes, Piece, attempt, opened
from spatialcore.workers.processes import run_processes

Item = TypeVar("Item")
Result = TypeVar("Result")
Executor = Literal["local", "ray"]


@dataclass(frozen=True)
class Workers:
    """Who does the pieces of a run.

    Attributes:
        workers: Processes; 1 is this one alone.
        executor: Processes of this machine, or Ray.
        address: A running Ray cluster, as host:port; default: one is started here.
    """

    workers: int = 1
    executor: Executor = "local"
    address: str | None = None

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise ValueError(f"workers must be at least 1, got {self.workers}")
        if self.address is not None and self.executor != "ray":
            raise ValueError("an address is of a Ray cluster: ask for the executor ray")

    @classmethod
    def of(cls, workers: int | Workers | None) -> Workers:
        """Itself, or that many processes; None is one for each processor."""
        if isinstance(workers, Workers):
            return workers
        return cls(available_processors() if workers is None else workers)


@dataclass(frozen=True)
class Lost:
    """A piece whose workers died, twice.

    Attributes:
        name: The piece.
        message: What is known of the end of the second.
    """

    name: str
    message: str
    reason = "worker_died"

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}: {self.message}"


def available_processors() -> int:
    """The number of processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def held(workers: Workers) -> Iterator[None]:
    """Within the block Ray is started, or connected to, once for all that runs there."""
    if workers.executor == "local":
        yield
        return
    from spatialcore.workers.ray_tasks import ray_session

    with ray_session(workers.address, workers.workers):
        yield


def run_pieces(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int | Workers | None,
    name: Callable[[Item], str] = str,
) -> Generator[tuple[int, Result | Lost], None, None]:
    """Call `function` on every item; yields (position, result) in the order of completion.

    Items are taken as workers become free, so a stream of them is never held. Close the iterator
    when it is left early (`contextlib.closing`), which ends the workers.

    Args:
        function: A function of a module, so that another process can import it.
        items: The pieces.
        workers: Who does them; see `Workers.of`.
        name: The name of a piece, for messages.

    Raises:
        SpatialCoreError, OSError: A piece raised it; the first one ends the run.
        WorkerError: A piece raised something else, or workers cannot start.
        BackendUnavailable: Ray is asked for, and cannot be imported or reached.
    """
    asked = Workers.of(workers)
    if asked.executor == "ray":
        from spatialcore.workers.ray_tasks import ray_tasks

        with ray_tasks(function, asked.address, asked.workers) as run:
            yield from _each_twice(run, items, asked.workers, name)
    elif asked.workers == 1:
        for position, item in enumerate(items):
            yield position, opened(attempt(function, item), name(item))
    else:
        yield from _each_twice(partial(run_processes, function), items, asked.workers, name)


def _each_twice(
    run: Callable[[Iterable[Piece], int], Outcomes],
    items: Iterable[Any],
    count: int,
    name: Callable[[Any], str],
) -> Generator[tuple[int, Any], None, None]:
    """Pieces side by side until a worker dies; then its piece alone; then the rest."""
    waiting = enumerate(items)
    died: list[Piece] = []

    def until_one_dies() -> Iterator[Piece]:
        while not died and (piece := next(waiting, None)) is not None:
            yield piece

    while True:
        with closing(run(until_one_dies(), count)) as outcomes:
            for piece, outcome in outcomes:
                if isinstance(outcome, Died):
                    died.append(piece)
                else:
                    yield piece[0], opened(outcome, name(piece[1]))
        if not died:
            return
        with closing(run(died, 1)) as outcomes:
            for (position, item), outcome in outcomes:
                if isinstance(outcome, Died):
                    message = f"its worker died twice ({outcome.how}), {_ALONE}"
                    yield position, Lost(name(item), message)
                else:
                    yield position, opened(outcome, name(item))
        died.clear()


_ALONE = "the second time with no other beside it; it may lack memory"
