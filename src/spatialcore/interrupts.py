# SPDX-License-Identifier: Apache-2.0
"""Signals that end a run: each becomes one exception in the main thread, once.

The first SIGINT, SIGTERM or SIGHUP unwinds the run, so that workers are ended and temporary files
removed; later ones are ignored while that goes on. A run that has not ended by then is ended.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ENDING = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
_PATIENCE_S = 4.0  # from the signal to the end, whatever the run is stuck in
_holding: list[int] = []  # blocks of `held_back` that are open
_waiting: list[int] = []  # the signal that came while one was


class Interrupted(KeyboardInterrupt):
    """A signal asked the run to end; no `except Exception` swallows it.

    Attributes:
        signal: Its number.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.signal = number


def exit_code(error: KeyboardInterrupt) -> int:
    """128 + the number of the signal: 130 for SIGINT, 143 for SIGTERM, 129 for SIGHUP."""
    return 128 + (error.signal if isinstance(error, Interrupted) else signal.SIGINT)


@contextmanager
def interruptible() -> Iterator[None]:
    """Within the block, the first ending signal raises `Interrupted`.

    After one, the others do nothing: the process is about to exit. A signal that was ignored
    before, as SIGHUP is under nohup, stays so. Outside the main thread the block changes nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def on_signal(number: int, _: FrameType | None) -> None:
        if came:  # SIG_IGN would have Python print of a signal that is on its way already
            return
        came.append(number)
        guard = threading.Timer(_PATIENCE_S, os._exit, (128 + number,))
        guard.daemon = True
        guard.start()
        if _holding:
            _waiting.append(number)
            return
        raise Interrupted(number)

    before = {number: signal.getsignal(number) for number in ENDING}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, on_signal)
    try:
        yield
    finally:
        if not came:
            for number, handler in before.items():
                signal.signal(number, handler)


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
