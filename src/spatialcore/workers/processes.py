# SPDX-License-Identifier: Apache-2.0
"""Pieces of work in processes of this machine.

Each worker has one piece at a time, so that the one that kills it is known.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from multiprocessing import get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any

from spatialcore.arrow_start import keep_pandas_out
from spatialcore.errors import WorkerError
from spatialcore.interrupts import ENDING, held_back
from spatialcore.workers.outcomes import Died, Outcomes, Piece, Raised, attempt, sendable

_STARTS = 3  # workers in a row that may die before they take a piece
_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
_GUARD = 'a script that uses workers needs `if __name__ == "__main__":` around what it does'
_KILLED = "a system that is out of memory does that: use fewer --workers"


class _Worker:
    """One process, the connection to it, and the piece that is its own."""

    def __init__(self, function: Callable[[Any], Any], piece: Piece) -> None:
        context = get_context("spawn")  # a forked copy of a process with threads may deadlock
        self.connection, theirs = context.Pipe()
        # The kernel tells of the death of the thread that starts it: only the main one lasts.
        lasts = threading.current_thread() is threading.main_thread()
        self.process = context.Process(target=_serve, args=(theirs, function, lasts), daemon=True)
        self.process.start()
        theirs.close()
        self.piece = piece
        self.ready = False

    def give(self, piece: Piece) -> None:
        """Have it do a piece; that it is dead is noticed when its answer is read."""
        self.piece = piece
        with suppress(OSError):
            self.connection.send(piece[1])

    def answer(self) -> Any:
        """What it sent: that it is ready, then the outcome of each piece; `Died` at its end."""
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            self.process.join(1.0)
            code = self.process.exitcode or 0
            return Died(f"exit code {code}" if code >= 0 else signal.Signals(-code).name)

    def end(self) -> None:
        """Kill it: what it has finished is on disk, and there is nothing else to keep."""
        self.connection.close()
        self.process.kill()
        self.process.join()
        self.process.close()


class _Pool:
    """Workers that start when there is a piece for them; each has one piece at a time."""

    def __init__(self, function: Callable[[Any], Any], pieces: Iterable[Piece]) -> None:
        self.function = function
        self.waiting = iter(pieces)
        self.workers: dict[Any, _Worker] = {}  # by connection
        self.failed = 0

    def start(self, piece: Piece | None) -> None:
        """Start a worker for a piece, if there is one."""
        if piece is not None:
            # Started here, since its start lifts the mask under which a worker is to be born.
            resource_tracker.ensure_running()
            with held_back():  # a worker that is started is also known
                worker = _Worker(self.function, piece)
                self.workers[worker.connection] = worker

    def heard(self, worker: _Worker) -> tuple[Piece, Any] | None:
        """Read what a worker says, and see to its next piece; None when nothing came of it yet."""
        piece, outcome = worker.piece, worker.answer()
        if isinstance(outcome, Died):
            self.end(worker)
            if worker.ready:
                self.start(next(self.waiting, None))
                return piece, outcome
            self.failed += 1
            if self.failed == _STARTS:
                hint = _KILLED if outcome.how == "SIGKILL" else _GUARD
                raise WorkerError(
                    f"{_STARTS} workers ended while they started ({outcome.how}); {hint}"
                )
            self.start(piece)
            return None
        if not worker.ready:
            worker.ready, self.failed = True, 0
            worker.give(piece)
            return None
        following = next(self.waiting, None)
        if following is None:
            self.end(worker)
        else:
            worker.give(following)
        return piece, outcome

    def end(self, worker: _Worker) -> None:
        """End a worker."""
        with held_back():
            del self.workers[worker.connection]
            worker.end()


def run_processes(function: Callable[[Any], Any], pieces: Iterable[Piece], count: int) -> Outcomes:
    """(piece, outcome) as they come, by so many processes."""
    pool = _Pool(function, pieces)
    try:
        for _ in range(count):
            pool.start(next(pool.waiting, None))
        while pool.workers:
            for connection in wait(list(pool.workers)):
                found = pool.heard(pool.workers[connection])
                if found is not None:
                    yield found
    finally:
        for worker in list(pool.workers.values()):
            pool.end(worker)


def _serve(connection: Connection, function: Callable[[Any], Any], parent_lasts: bool) -> None:
    """A worker: pieces in, outcomes out, until the parent is gone."""
    for number in set(ENDING) - {signal.SIGTERM}:  # a terminal sends these to all: the parent acts
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
    _end_with_parent(parent_lasts)
    keep_pandas_out()
    with suppress(EOFError, OSError):
        connection.send("ready")
        while True:
            # An item is received within the attempt: what it is made of may not exist here.
            outcome = attempt(lambda pipe: function(pipe.recv()), connection)
            try:
                connection.send(sendable(outcome))
            except OSError:
                raise
            except Exception as error:  # nothing has been sent yet
                told = f"its result stays behind: {error}"
                connection.send(Raised(None, told, traceback.format_exc()))


def _end_with_parent(parent_lasts: bool) -> None:
    """See to it that this worker ends when its parent is killed."""
    if parent_lasts and sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    parent = parent_process()
    if parent is not None:  # elsewhere, and if it has died already: its end of a pipe is closed
        sentinel = parent.sentinel
        threading.Thread(target=lambda: (wait([sentinel]), os._exit(1)), daemon=True).start()
