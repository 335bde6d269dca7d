# SPDX-License-Identifier: Apache-2.0
"""The one manner of every verb at the terminal: an error is one sentence, and its exit code.

What a user can cause ends in a typed error that names the file and the next step. What is left is a
fault of ours: it is said so, with how to report it, and is raised as it is when a traceback is
asked for by `--traceback` or SPATIALCORE_TRACEBACK.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, requires
from typing import TypeVar

from spatialcore.commands import exit_codes
from spatialcore.commands.text import one_line
from spatialcore.errors import (
    CONTRADICTIONS,
    FolderInUse,
    SceneFormatError,
    SceneIndexError,
    SpatialCoreError,
    UsageError,
)
from spatialcore.interrupts import exit_code

T = TypeVar("T")
TRACEBACK_VARIABLE = "SPATIALCORE_TRACEBACK"
_DISTRIBUTION = "spatialcore-mllm"
# Packages whose import has another name.
_PACKAGE_OF = {
    "PIL": "pillow",
    "sklearn": "scikit-learn",
    "liblzfse": "pyliblzfse",
    "cupy": "cupy-cuda13x",
    "rerun": "rerun-sdk",
    "yaml": "pyyaml",
}
# Numbers of system errors, as libraries put them into their messages.
_NUMBERS = re.compile(r"\[Errno -?\d+\] | ?\(os error \d+\)")


_NO_SOURCE = ("nothing_found", "kind_unknown")  # reasons of a source that was named wrongly


def run_verb(
    verb: str,
    options: type[T],
    text: str | None,
    argv: list[str],
    work: Callable[[T], int],
) -> int:
    """Parse the options of a verb and run it; returns its exit code, whatever happens.

    Args:
        verb: Name of the verb.
        options: Its options, a frozen dataclass.
        text: Its help: the docstring of its module.
        argv: Arguments after the verb.
        work: What it does.
    """

    def parse_and_work() -> int:
        from spatialcore.commands.parse import parse_options

        found = parse_options(options, argv, verb, text)
        return exit_codes.OK if found is None else work(found)

    return guarded(verb, parse_and_work)


def guarded(verb: str, work: Callable[[], int]) -> int:
    """Run a piece of a verb; an error becomes one sentence on stderr and an exit code."""
    name = f"spatialcore {verb}".rstrip()
    try:
        return work()
    except KeyboardInterrupt as error:
        say_interrupted(verb)
        return exit_code(error)
    except BrokenPipeError:
        _drop_output()
        return exit_codes.FAILED
    except Exception as error:
        found = explain(error)
        if found is not None:
            _say(name, found[1])
            return found[0]
        if os.environ.get(TRACEBACK_VARIABLE):
            raise
        _say(name, _unexpected(error))
        return exit_codes.FAILED


def say_interrupted(verb: str) -> None:
    """The sentence of a run that a signal ended."""
    _say(f"spatialcore {verb}".rstrip(), "interrupted; the same command continues where it can")


def explain(error: Exception) -> tuple[int, str] | None:
    """Exit code and sentence of an error that a user can cause; None for a fault of ours."""
    if isinstance(error, UsageError | FolderInUse | SceneIndexError):
        return exit_codes.USAGE, str(error)
    if isinstance(error, SceneFormatError) and error.code in CONTRADICTIONS:
        return exit_codes.SKIPPED, str(error)
    if isinstance(error, SceneFormatError) and error.code in _NO_SOURCE:
        return exit_codes.USAGE, str(error)
    if isinstance(error, ImportError):
        return exit_codes.FAILED, missing_package(error)
    if isinstance(error, SpatialCoreError) and not isinstance(error, ValueError):
        return exit_codes.FAILED, str(error)
    if isinstance(error, UnicodeError):
        return None
    if isinstance(error, ValueError):
        return exit_codes.USAGE, str(error)
    if isinstance(error, OSError):
        return os_error(error)
    if isinstance(error, MemoryError):
        return exit_codes.FAILED, "out of memory: use fewer --workers, or a smaller batch"
    return None


def os_error(error: OSError) -> tuple[int, str]:
    """Exit code and sentence of a failed system call, without its number."""
    missing = isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError)
    code = exit_codes.USAGE if missing else exit_codes.FAILED
    if error.errno is None or error.strerror is None:
        return code, str(error)
    what = error.strerror[:1].lower() + error.strerror[1:]
    return code, f"{error.filename}: {what}" if error.filename is not None else what


def missing_package(error: ImportError) -> str:
    """What to install when an import failed: the extra that holds the package, by its metadata."""
    name = (error.name or "").partition(".")[0]
    if not isinstance(error, ModuleNotFoundError) or not name:
        return f"{name or 'a package'} cannot be loaded: {error}"
    package = _PACKAGE_OF.get(name, name)
    try:
        wanted = requires(_DISTRIBUTION) or []
    except PackageNotFoundError:
        wanted = []
    pattern = re.compile(rf"{re.escape(package)}\b(?!-).*?(?:extra == ['\"](\w+)['\"])?$", re.I)
    matches = [found for text in wanted if (found := pattern.match(text))]
    extras = [found[1] for found in matches if found[1] not in (None, "test", "lint", "bench")]
    if "model" in extras:
        extras = ["model"]
    where = f"'spatialcore-mllm[{extras[0]}]'" if extras else package
    return f"needs {name}, which is not installed: pip install {where}"


def _unexpected(error: Exception) -> str:
    what = str(error) or "no message"
    return (
        f"an unexpected {type(error).__name__} ({what}): a fault of spatialcore; run the command "
        "again with --traceback and report what it prints as an issue of the project"
    )


def _say(name: str, sentence: str) -> None:
    """One line on stderr, wherever that leads."""
    with suppress(OSError):
        print(f"{name}: {one_line(_NUMBERS.sub('', sentence))}", file=sys.stderr)


def _drop_output() -> None:
    """Whoever read our output is gone: what is still buffered goes nowhere, without a word."""
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, sys.stdout.fileno())
    os.close(quiet)
