# SPDX-License-Identifier: Apache-2.0
"""The `spatialcore` command: finds the verb's entry point and imports only that module."""

from __future__ import annotations

import ast
import difflib
import importlib.util
import os
import sys
from functools import partial
from importlib.metadata import EntryPoint
from pathlib import Path

from spatialcore.arrow_start import keep_pandas_out
from spatialcore.commands import exit_codes
from spatialcore.commands.guard import TRACEBACK_VARIABLE, guarded, say_interrupted
from spatialcore.commands.verbs import installed_verbs
from spatialcore.errors import UsageError
from spatialcore.interrupts import ENDING, at_worst, interruptible


def _summary(entry: EntryPoint) -> str:
    """First line of the verb's module docstring, read without importing the module."""
    spec = importlib.util.find_spec(entry.module)
    if spec is None or spec.origin is None:
        return ""
    text = ast.get_docstring(ast.parse(Path(spec.origin).read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0].rstrip(".")


def _usage(verbs: dict[str, EntryPoint]) -> str:
    width = max((len(name) for name in verbs), default=0)
    lines = [
        "usage: spatialcore VERB [options]",
        "",
        "Questions of space with checkable answers, from RGB-D scenes and 3-D tracks.",
        "",
        *(f"  {name:<{width}}  {_summary(entry)}" for name, entry in verbs.items()),
        "",
        "A first session:",
        "  spatialcore sample demo/scenes",
        "  spatialcore generate demo/scenes/scannet demo/scenes/tapvid3d -o demo/out",
        "  spatialcore verify demo/out && spatialcore stats demo/out",
        "",
        "`spatialcore VERB --help` shows the options and examples of a verb.",
    ]
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Run one verb; returns its exit code, as `spatialcore.commands.exit_codes` lists them."""
    args = list(sys.argv[1:] if argv is None else argv)
    if "--traceback" in args:
        args.remove("--traceback")
        os.environ[TRACEBACK_VARIABLE] = "1"
    keep_pandas_out()
    code = guarded("", lambda: _run(args))
    # What is still buffered may find its reader gone or the disk full.
    flushed = guarded("", _flush)
    return code or flushed


def _flush() -> int:
    sys.stdout.flush()
    return exit_codes.OK


def _run(args: list[str]) -> int:
    if args and args[0] == "--version":
        from spatialcore import __version__

        print(f"spatialcore {__version__}")
        return exit_codes.OK
    verbs = installed_verbs()
    if not args or args[0] in ("-h", "--help", "help"):
        print(_usage(verbs))
        return exit_codes.OK if args else exit_codes.USAGE
    entry = verbs.get(args[0])
    if entry is None:
        near = difflib.get_close_matches(args[0], verbs, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "`spatialcore --help` lists them"
        raise UsageError(f"unknown verb {args[0]!r}; {hint}")
    with interruptible(), at_worst(partial(say_interrupted, args[0])):
        code = guarded(args[0], lambda: int(entry.load()(args[1:])))
        if code - 128 in ENDING:
            # All is cleaned up. Python's own end puts the default handlers back, under which one
            # more signal, such as a second Ctrl-C, would kill it with another code.
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        return code
