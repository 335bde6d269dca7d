# SPDX-License-Identifier: Apache-2.0
"""What the verbs of this package share: typed errors to exit codes, and words for a person."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from spatialcore.commands import exit_codes
from spatialcore.interrupts import exit_code


def guarded(verb: str, work: Callable[[], int]) -> int:
    """Run a verb; an expected error becomes one line on stderr and its exit code."""
    from spatialcore.errors import FolderInUse, MissingInput, SceneIndexError, SpatialCoreError

    try:
        return work()
    except (MissingInput, SceneIndexError, FolderInUse, ValueError) as error:
        print(f"spatialcore {verb}: {error}", file=sys.stderr)
        return exit_codes.USAGE
    except (SpatialCoreError, OSError) as error:
        print(f"spatialcore {verb}: {error}", file=sys.stderr)
        return exit_codes.FAILED
    except KeyboardInterrupt as error:
        print(f"spatialcore {verb}: interrupted; run again to resume", file=sys.stderr)
        return exit_code(error)


def shard_of(text: str) -> tuple[int, int]:
    """`i/n` as numbers; ValueError unless 0 <= i < n."""
    i, slash, n = text.partition("/")
    if not slash or not i.isdigit() or not n.isdigit() or not int(i) < int(n):
        raise ValueError(f"--shard must be i/n with 0 <= i < n, got {text!r}")
    return int(i), int(n)


def globs_of(tasks: tuple[str, ...]) -> tuple[str, ...]:
    """Task globs, given one by one or joined by commas."""
    return tuple(part for text in tasks for part in text.split(",") if part)


def scenes_of(path: Path | None) -> tuple[str, ...]:
    """Scene ids of a text file, one a line; `#` starts a comment."""
    if path is None:
        return ()
    lines = path.read_text(encoding="utf-8").splitlines()
    names = tuple(name for line in lines if (name := line.partition("#")[0].strip()))
    if not names:
        raise ValueError(f"{path}: names no scene")
    return names
