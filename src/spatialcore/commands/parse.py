# SPDX-License-Identifier: Apache-2.0
"""Options of a verb from its frozen dataclass: one look of `--help` for every command."""

from __future__ import annotations

import inspect
import io
import re
from collections.abc import Iterable
from contextlib import redirect_stderr, redirect_stdout
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TypeVar

from spatialcore.errors import UsageError

T = TypeVar("T")


def parse_options(options: type[T], argv: list[str], verb: str, text: str | None) -> T | None:
    """Parse the arguments of `spatialcore VERB`; None when its help was asked for and printed.

    Args:
        options: Frozen dataclass; its docstring's Attributes become the help of the options.
        argv: Arguments after the verb.
        verb: Name of the verb.
        text: The module's docstring: the summary, then examples.

    Raises:
        UsageError: The arguments are not those of the verb.
    """
    import tyro

    said, helped = io.StringIO(), io.StringIO()
    try:
        with redirect_stderr(said), redirect_stdout(helped):
            found: T = tyro.cli(
                options,
                args=argv,
                prog=f"spatialcore {verb}",
                description=inspect.cleandoc(text or ""),
                config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
            )
            return found
    except SystemExit as ended:
        if not ended.code:
            from spatialcore.commands.help_text import plain_help

            print(plain_help(helped.getvalue()), end="")
            return None
        raise UsageError(_sentence(said.getvalue(), verb)) from None


def or_default(argv: list[str], option: str) -> list[str]:
    """Arguments in which an option may stand without a value: it then gets an empty one.

    Example:
        >>> or_default(["out", "--rerun", "--limit", "5"], "--rerun")
        ['out', '--rerun=', '--limit', '5']
    """
    alone = [
        word == option and (k + 1 == len(argv) or argv[k + 1].startswith("-"))
        for k, word in enumerate(argv)
    ]
    return [f"{word}=" if bare else word for word, bare in zip(argv, alone, strict=True)]


def _sentence(box: str, verb: str) -> str:
    """The sentence of the box that tyro draws around an error, and what was probably meant."""
    from spatialcore.settings_words import nearest

    # A title, then lines between bars, or blanks where the terminal knows no bars, then rules.
    inside = [line[2:].rstrip(" \u2502") for line in box.splitlines()[1:]]
    inside = inside[1:] if inside and not inside[0].strip("-") else inside
    rules = [k for k, line in enumerate(inside) if line and not line.strip("\u2500-")]
    said = inside[: rules[0]] if rules else inside
    what = " ".join(line.strip() for line in said).rstrip(".:")
    meant = [line.split()[0] for line in inside if re.match(r"\s*--[a-z]", line)]
    if what.startswith("Missing from"):
        named = [line for line in said if re.match(r" {4}(-|[A-Z]+$|\[)", line)]
        options = [re.search(r"--[a-z-]+", n) or re.search(r"[A-Z]+", n) for n in named]
        what = "missing " + ", ".join(found[0] for found in options if found)
    elif wrong := re.match(r"Error parsing (\S+): .*?(?:from \[|: )'(.*?)'", what):
        what = f"{wrong[1]} cannot be {wrong[2]!r}"
    elif refused := re.match(r"Error parsing [a-z]+: (.+)", what):
        what = refused[1]  # a group of options, whose own check says which of them
    elif choice := re.match(r"(invalid choice '(.*?)' .*?)\. Expected one of \((.*)\)$", what):
        known = re.findall(r"'([^']*)'", choice[3])
        near = nearest(choice[2], known)
        what = choice[1] + (f"; did you mean {near}?" if near else f"; one of {', '.join(known)}")
    elif what.startswith("Unrecognized") and meant:
        what += f"; did you mean {meant[0]}?"
    what = what[:1].lower() + what[1:] if what else "these are not its arguments"
    return f"{what} (`spatialcore {verb} --help` shows the options)"


def roots_of(pairs: tuple[str, ...]) -> dict[str, Path]:
    """`KEY=PATH` options as folders by source key; UsageError for anything else.

    Example:
        >>> roots_of(("scannet=/mnt/scans",))["scannet"].name
        'scans'
    """
    roots: dict[str, Path] = {}
    for pair in pairs:
        key, equals, path = pair.partition("=")
        if not (key and equals and path):
            raise UsageError(f"--root takes KEY=PATH, got {pair!r}")
        if key in roots:
            raise UsageError(f"--root names {key} twice")
        roots[key] = Path(path)
    return roots


def shard_of(text: str) -> tuple[int, int]:
    """`i/n` as numbers; UsageError unless 0 <= i < n."""
    found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
    if not found or not int(found[1]) < int(found[2]):
        raise UsageError(f"--shard must be i/n with 0 <= i < n, got {text!r}")
    return int(found[1]), int(found[2])


def globs_of(tasks: tuple[str, ...], known: Iterable[str]) -> tuple[str, ...]:
    """Task globs, given one by one or joined by commas; each must match a known task.

    Args:
        tasks: As given; none is all tasks.
        known: Every task that there is.

    Raises:
        UsageError: A glob matches no task; names the nearest one.
    """
    from spatialcore.settings_words import nearest

    names = sorted(known)
    globs = tuple(part for text in tasks for part in text.split(",") if part)
    for glob in globs:
        if any(fnmatchcase(name, glob) for name in names):
            continue
        families = sorted({f"{name.partition('.')[0]}.*" for name in names})
        near = next((repr(f) for f in families if f.startswith(glob.rstrip(".*"))), "")
        near = near or nearest(glob, [*names, *families])
        hint = f"; did you mean {near}?" if near else f"; there are {', '.join(families)}"
        raise UsageError(f"no task matches {glob!r}{hint}")
    return globs
