# SPDX-License-Identifier: Apache-2.0
"""The errors that spatialcore raises, beside TypeError and ValueError for a caller's mistake."""

from __future__ import annotations

import re
from os import PathLike

_NUMBERS = re.compile(r"\[Errno -?[0-9]+\] ")  # of the system's errors, which tell a person nothing


def printable(text: str) -> str:
    """A text in one line for a terminal: characters that would move it are spelt as escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class SpatialCoreError(Exception):
    """Base class of every error that is about data, storage or the machine, not about a call."""


class BackendUnavailable(SpatialCoreError):
    """A backend was asked for by name and cannot run; the message says why."""

    def __init__(self, backend: str, reason: str) -> None:
        super().__init__(f"backend {backend!r} is not available: {reason}")
        self.backend = backend
        self.reason = reason

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (self.backend, self.reason)


class SceneFormatError(SpatialCoreError):
    """A file of a scene or clip cannot be read as its layout promises.

    Args:
        path: The offending file or folder.
        what: What is wrong with it.
        hint: What the user can do, or "".
        code: Reason code under which a skipped scene is counted, e.g. "extrinsics_missing".
    """

    def __init__(
        self,
        path: str | PathLike[str],
        what: str,
        hint: str = "",
        code: str = "format",
    ) -> None:
        what = _NUMBERS.sub("", what)
        super().__init__(printable(f"{path}: {what}" + (f" ({hint})" if hint else "")))
        self.path = str(path)
        self.what = what
        self.hint = hint
        self.code = code

    def __reduce__(self) -> tuple[type, tuple[str, str, str, str]]:
        return type(self), (self.path, self.what, self.hint, self.code)


# Reason codes of sources that contradict themselves: refused with exit code 3 by every verb.
CONTRADICTIONS = frozenset(("source_contradicts", "principal_point_outside"))


class SettingsError(SpatialCoreError, ValueError):
    """A setting has a wrong name, type, length or value; nothing has run yet.

    Args:
        file: The file, or what else was read ("--set").
        path: Where in it, as `$.guards.depth_max_m`.
        what: What is wrong, and what would be right.
        nearest: The right word that is nearest to a wrong one, or "".
    """

    def __init__(self, file: str | PathLike[str], path: str, what: str, nearest: str = "") -> None:
        super().__init__(
            f"{file}: {path}: {what}" + (f"; did you mean {nearest}?" if nearest else "")
        )
        self.file = str(file)
        self.path = path
        self.what = what
        self.nearest = nearest

    def __reduce__(self) -> tuple[type, tuple[str, str, str, str]]:
        return type(self), (self.file, self.path, self.what, self.nearest)


class UsageError(SpatialCoreError):
    """What was asked for does not fit together, or with what is there; nothing was changed."""


class MissingInput(UsageError):
    """What a command was pointed at is not there: no data set, plan or model at this path."""


class SceneIndexError(SpatialCoreError):
    """A scene index is missing, incomplete, or was made with another configuration."""


class RecordError(SpatialCoreError):
    """A record or a shard of records breaks its schema."""


class TaskError(SpatialCoreError, ValueError):
    """A task that no installed engine makes, that two make, or whose engine is not whole."""


class PlanError(SpatialCoreError):
    """A plan cannot be made or does not fit the index it is run on."""


class OutputError(SpatialCoreError):
    """A file or folder cannot be written.

    Args:
        path: The file or folder.
        what: Why, in words.
        hint: What the user can do, or "".
    """

    def __init__(self, path: str | PathLike[str], what: str, hint: str = "") -> None:
        super().__init__(f"{path}: {what}" + (f"; {hint}" if hint else ""))
        self.path = str(path)
        self.what = what
        self.hint = hint

    def __reduce__(self) -> tuple[type, tuple[str, str, str]]:
        return type(self), (self.path, self.what, self.hint)


class FolderInUse(OutputError):
    """A folder was named for output and holds what is not ours to replace, or another writer."""


class UnsafeName(OutputError):
    """A name that should become a file's is none: it leads elsewhere, or no system can hold it."""


class WorkerError(SpatialCoreError):
    """A piece of work failed in a way that nobody expected, or workers cannot start."""
