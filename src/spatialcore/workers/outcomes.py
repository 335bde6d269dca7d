# SPDX-License-Identifier: Apache-2.0
"""What comes of a piece of work, and how it travels from the process that did it."""

from __future__ import annotations

import copy
import traceback
from collections.abc import Callable, Generator
from typing import Any, NamedTuple

from spatialcore.errors import SpatialCoreError, WorkerError

Piece = tuple[int, Any]  # position and item
# (piece, outcome) as they come; an outcome is a result, a `Raised` or a `Died`.
Outcomes = Generator[tuple[Piece, Any], None, None]
_EXPECTED = (SpatialCoreError, OSError)


class Died(NamedTuple):
    """How a worker ended before its piece did."""

    how: str


class Raised(NamedTuple):
    """What a piece raised; `error` stays behind where another process would not know it."""

    error: Exception | None
    what: str
    trace: str


def attempt(function: Callable[[Any], Any], item: Any) -> Any:
    """The result of a piece, or what it raised."""
    try:
        return function(item)
    except Exception as error:
        return Raised(error, f"{type(error).__name__}: {error}", traceback.format_exc())


def sendable(outcome: Any) -> Any:
    """The outcome without an error that another process does not expect, or could not make."""
    if not isinstance(outcome, Raised):
        return outcome
    try:
        copy.copy(outcome.error)  # made as it will be there
    except Exception:
        return outcome._replace(error=None)
    return outcome if isinstance(outcome.error, _EXPECTED) else outcome._replace(error=None)


def opened(outcome: Any, name: str) -> Any:
    """The result; what the piece raised is raised here, by its name where it is unexpected."""
    if not isinstance(outcome, Raised):
        return outcome
    if isinstance(outcome.error, _EXPECTED):
        raise outcome.error
    error = WorkerError(f"{name}: {outcome.what}")
    error.add_note(outcome.trace)
    raise error from outcome.error
