# SPDX-License-Identifier: Apache-2.0
"""Signals that end a run: each becomes one exception in the main thread, once.

The first SIGINT, SIGTERM or SIGHUP unwinds the run, so that workers are ended and temporary files
removed; later ones are ignored while that goes on. A run that has not ended by then is ended from
a thread, after what `at_worst` names has been done.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

ENDING = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
_PATIENCE_S = 4.0  # from the signal to the end, whatever the run is stuck in
_LAST_S = 0.5  # for what is then left to do
_AGAIN_S = 0.01
_came: list[int] = []  # the signal that ends the run
_holding: list[int] = []  # blocks of `held_back` that are open
_waiting: list[int] = []  # the signal that came while one was
_last: list[Callable[[], object]] = []


class Interrupted(KeyboardInterrupt):
    """A signal asked the run to end; no `except Exception` swallows it.

    Attributes:
        signal: Its number.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.signal = number


def exit_code(error: KeyboardInterrupt) -> int:
    """128 + the number of the signal: 130 for SIGINT, 143 for SIGTERM, 129 for SIGHUP.

    A library may put an exception of its own in the place of ours.
    """
    if isinstance(error, Interrupted):
        return 128 + error.signal
    return 128 + (_came[0] if _came else signal.SIGINT)


@contextmanager
def interruptible() -> Iterator[None]:
    """Within the block, the first ending signal raises `Interrupted`.

    After one, the others do nothing: the process is about to exit. A signal that was ignored
    before, as SIGHUP is under nohup, stays so. Outside the main thread the block changes nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _came.clear()
    before = {number: signal.getsignal(number) for number in ENDING}
    hook = sys.unraisablehook
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, _on_signal)
    sys.unraisablehook = lambda lost: _raise_again(lost, hook)
    try:
        yield
    finally:
        sys.unraisablehook = hook
        if not _came:
            for number, handler in before.items():
                signal.signal(number, handler)


def _on_signal(number: int, _: FrameType | None) -> None:
    if _comes_first(number):  # SIG_IGN would have Python print of a signal that is on its way
        raise Interrupted(number)


def _comes_first(number: int) -> bool:
    """Note a signal; whether it is the one that ends the run, now."""
    if _came:
        return False
    _came.append(number)
    guard = threading.Timer(_PATIENCE_S, _end, (number,))
    guard.daemon = True
    guard.start()
    if _holding:
        _waiting.append(number)
    return not _holding


def _raise_again(lost: Any, hook: Callable[[Any], object]) -> None:
    """Where it was raised no exception gets out, as in a finaliser: a moment later it may."""
    if not isinstance(lost.exc_value, Interrupted):
        hook(lost)
        return
    number = lost.exc_value.signal

    def again() -> None:
        _came.clear()
        os.kill(os.getpid(), number)

    timer = threading.Timer(_AGAIN_S, again)
    timer.daemon = True
    timer.start()


def _end(number: int) -> None:
    """End a run that does not end by itself; what is left to do has a moment."""
    limit = threading.Timer(_LAST_S, os._exit, (128 + number,))
    limit.daemon = True
    limit.start()
    for act in reversed(_last):
        with suppress(Exception):
            act()
    os._exit(128 + number)


@contextmanager
def at_worst(act: Callable[[], object]) -> Iterator[None]:
    """Where the block does not end after a signal, `act` is called before the process is ended."""
    _last.append(act)
    try:
        yield
    finally:
        _last.remove(act)


@contextmanager
def held_back() -> Iterator[None]:
    """Ending signals wait for the end of the block; a process started in it is born deaf to them.

    A child inherits the mask, so it cannot be hit before it has said what it does about a signal.
    Here the mask does not suffice: another thread, of a library, may take a signal for this one.
    """
    masked = hasattr(signal, "pthread_sigmask")
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING) if masked else set()
    _holding.append(1)
    try:
        yield
    finally:
        _holding.pop()
        if masked:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    if _waiting and not _holding:
        raise Interrupted(_waiting.pop())


@contextmanager
def held_back_long() -> Iterator[None]:
    """`held_back` for what may take long or get stuck: a signal is noticed at once, by a thread.

    So the patience with the block begins when the signal comes.
    """
    ours = [number for number in ENDING if signal.getsignal(number) is _on_signal]
    main = threading.current_thread() is threading.main_thread()
    if not (main and ours and hasattr(signal, "sigtimedwait")):
        yield
        return
    done = threading.Event()

    def listen(taken: int) -> None:
        while not done.is_set():
            found = signal.sigtimedwait(ours, _AGAIN_S)
            for number in [*([] if found is None else [found.si_signo]), *_taken(taken)]:
                if number in ours:
                    _comes_first(number)

    with _taken_by_others() as taken, held_back():
        listener = threading.Thread(target=listen, args=(taken,), daemon=True)
        listener.start()
        try:
            yield
        finally:
            done.set()
            listener.join()


@contextmanager
def _taken_by_others() -> Iterator[int]:
    """A pipe that names each signal that any thread takes, one of a library among them.

    The main thread learns of such a signal only when it next runs Python.
    """
    read, write = os.pipe()
    for end in (read, write):
        os.set_blocking(end, False)
    before = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    try:
        yield read
    finally:
        signal.set_wakeup_fd(before)
        os.close(write)
        os.close(read)


def _taken(pipe: int) -> bytes:
    """The numbers that wait in the pipe."""
    try:
        return os.read(pipe, 64)
    except BlockingIOError:
        return b""
