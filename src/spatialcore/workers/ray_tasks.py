# SPDX-License-Identifier: Apache-2.0
"""Pieces of work as tasks of Ray: of a cluster that runs, or of one that lasts as long as they do.

A Ray of our own listens on the loopback interface alone, shows no dashboard, reports nothing home,
and leaves nothing behind. What it would print is kept from the terminal: results come back as they
do from processes, and so does the news that a worker died.
"""

from __future__ import annotations

import logging
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import Any

from spatialcore.errors import BackendUnavailable
from spatialcore.files import scratch
from spatialcore.interrupts import ENDING, at_worst, held_back_long
from spatialcore.workers.outcomes import Died, Outcomes, Piece, Raised, attempt, sendable

_LOOPBACK = "127.0.0.1"
_STORE_BYTES = 256 << 20  # results are small: reports, and hashes of candidates
# A wait inside Ray hides signals from Python; it ends this often to let them through.
_GLANCE_S = 0.5


@contextmanager
def ray_tasks(
    function: Callable[[Any], Any], address: str | None, count: int
) -> Iterator[Callable[[Iterable[Piece], int], Outcomes]]:
    """What runs (pieces, so many at once) on Ray; see `ray_session` for the arguments.

    Args:
        function: What is done with an item; both can be pickled.
        address: Of a running cluster.
        count: Processors of one that is started.
    """
    with ray_session(address, count) as ray:
        task = ray.remote(max_retries=0)(_piece)  # a second try is ours, as with processes
        stored = ray.put(function)
        start = partial(task.remote, stored)
        yield lambda pieces, most: _run(ray, start, pieces, most, shared=address is not None)


@contextmanager
def ray_session(address: str | None, count: int) -> Iterator[Any]:
    """Connect to Ray, or start one, unless this process is connected already.

    Args:
        address: host:port of a running cluster; None starts a Ray of `count` processors.
        count: Processors.

    Raises:
        BackendUnavailable: Ray is not installed, cannot start, or is not there.
    """
    ray = _imported()
    with ExitStack() as stack:
        if not ray.is_initialized():
            stack.enter_context(_quiet(ray))
            _connect(ray, address, count, stack)
        yield ray


def _piece(function: Callable[[Any], Any], item: Any) -> Any:
    """What a worker of Ray does."""
    return sendable(attempt(function, item))


def _run(
    ray: Any, start: Callable[[Any], Any], pieces: Iterable[Piece], most: int, *, shared: bool
) -> Outcomes:
    """(piece, outcome) as they come, `most` at once.

    What still runs at an early end is cancelled on a Ray that others use; our own ends with us.
    """
    waiting, running = iter(pieces), dict[Any, Piece]()
    try:
        while True:
            while len(running) < most and (piece := next(waiting, None)) is not None:
                running[start(piece[1])] = piece
            if not running:
                return
            done, _ = ray.wait(list(running), num_returns=1, timeout=_GLANCE_S)
            for reference in done:
                yield running.pop(reference), _outcome(ray, reference)
    finally:
        for reference in running if shared else ():
            with suppress(Exception):  # its worker may just have died
                ray.cancel(reference)


def _outcome(ray: Any, reference: Any) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:  # spatialcore is not there, or is another one
        return Raised(None, f"it cannot be run on Ray: {error.cause!r}", str(error))
    except ray.exceptions.RayError as error:
        return Died(type(error).__name__)


def _imported() -> Any:
    """The library, told to be quiet before it looks."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # or it warns of tomorrow
    os.environ.setdefault("RAY_worker_niceness", "0")  # ours is as urgent as processes would be
    try:
        import ray
    except ImportError as error:
        raise BackendUnavailable("ray", "it is not installed: pip install ray") from error
    return ray


def _connect(ray: Any, address: str | None, count: int, stack: ExitStack) -> None:
    """Connect, and see to the end of it all."""
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    if address is None:
        folder = stack.enter_context(scratch("ray"))  # short, as names of sockets are
        stack.enter_context(_on_loopback(ray))
        options |= {
            "address": "local", "num_cpus": count, "include_dashboard": False,
            "object_store_memory": _STORE_BYTES, "_temp_dir": str(folder),
        }  # fmt: skip
    else:
        options["address"] = address
    stack.callback(_shut_down, ray)
    try:
        with held_back_long(), _apart(ray, stack):
            ray.init(**options)
    except Exception as error:  # Ray raises what it likes
        at = f"no cluster answers at {address}" if address else "it does not start"
        what = str(error).partition("\n")[0]
        if "AF_UNIX" in what:  # its sockets lie in the folder of temporary files
            what = f"{tempfile.gettempdir()} is too long a path; set TMPDIR to a shorter one"
        raise BackendUnavailable("ray", f"{at}: {what}") from error
    if address is None and (at := ray.util.get_node_ip_address()) != _LOOPBACK:
        raise BackendUnavailable("ray", f"this release listens on {at}, which others may reach")


def _shut_down(ray: Any) -> None:
    with held_back_long():
        ray.shutdown()


@contextmanager
def _on_loopback(ray: Any) -> Iterator[None]:
    """Have Ray take this machine for one that nobody reaches, as it does on a laptop.

    It has no other way to say so: 127.0.0.1 as the address of a node is replaced by another one.
    The switch is read when Ray is imported, and by the processes that it starts.
    """
    constants = ray._private.ray_constants
    name, before = constants.ENABLE_RAY_CLUSTERS_ENV_VAR, constants.ENABLE_RAY_CLUSTER
    outside = os.environ.get(name)
    os.environ[name], constants.ENABLE_RAY_CLUSTER = "0", False
    try:
        yield
    finally:
        constants.ENABLE_RAY_CLUSTER = before
        if outside is None:
            del os.environ[name]
        else:
            os.environ[name] = outside


@contextmanager
def _quiet(ray: Any) -> Iterator[None]:
    """Ray's news of workers that died go to standard output, past every switch.

    Its own threads print a traceback when its processes end before them, as all do at a signal.
    """
    worker = ray._private.worker
    printer = getattr(worker, "print_to_stdstream", None)
    worker.print_to_stdstream = lambda *_, **__: None
    hook = threading.excepthook
    threading.excepthook = lambda lost: None if _is_rays(lost.thread) else hook(lost)
    try:
        yield
    finally:
        worker.print_to_stdstream = printer
        threading.excepthook = hook


def _is_rays(thread: threading.Thread | None) -> bool:
    return thread is not None and thread.name.startswith("ray_")


@contextmanager
def _apart(ray: Any, stack: ExitStack) -> Iterator[None]:
    """While Ray starts, its processes get groups of their own, and SIGTERM stays ours.

    A terminal, and `timeout`, send a signal to a whole group of processes: a Ray that is hit with
    us can no longer be ended in order. Its processes end with this one, by Ray's own means; at
    worst they are killed.
    """
    services, utils = ray._private.services, ray._private.utils
    popen, handler = services.ConsolePopen, utils.set_sigterm_handler
    before = signal.getsignal(signal.SIGTERM)
    started: list[Any] = []

    def start(*command: Any, preexec_fn: Callable[[], object], **options: Any) -> Any:
        def prepare() -> None:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
            preexec_fn()

        started.append(popen(*command, preexec_fn=prepare, process_group=0, **options))
        return started[-1]

    def kill() -> None:
        for process in started:
            with suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)

    stack.enter_context(at_worst(kill))
    services.ConsolePopen, utils.set_sigterm_handler = start, lambda _: None
    try:
        yield
    finally:
        services.ConsolePopen, utils.set_sigterm_handler = popen, handler
        if before is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)  # Ray's core has put its own there
