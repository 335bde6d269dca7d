# SPDX-License-Identifier: Apache-2.0
"""The help of a verb without what only says how its options are typed: `{None}|`, `(default: )`."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator

WIDTH = 80
_COLUMN = 22  # where the text of an option starts
_UNSAID = re.compile(r"\s*\(default: (?:None|False|\(\)|)\)")
_TYPES = ((re.compile(r"\{None\}\|"), ""), (re.compile(r"\{None,"), "{"))


def plain_help(text: str) -> str:
    r"""The help that tyro prints to a file, in 80 columns.

    Examples:
        >>> said = "usage: x\n\n options\n ----\n  --rooms {None}|INT\n     Rooms. (default: None)"
        >>> print(plain_help(said), end="")
        usage: x
        <BLANKLINE>
        options:
          --rooms INT         Rooms.
    """
    head, *sections = re.split(r"\n ([^\n -][^\n]*)\n -{4,} *\n", text)
    out = [line.rstrip() for line in head.splitlines()]
    for title, body in zip(sections[::2], sections[1::2], strict=True):
        lines = [line.rstrip() for line in body.splitlines()]
        out += ["", f"{title.strip()}:", *_options(lines)]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(out)).rstrip() + "\n"


def _options(lines: list[str]) -> Iterator[str]:
    """A section: perhaps what it is about, then each option with its text."""
    rule = next((k for k, line in enumerate(lines) if re.fullmatch(r" *-{4,}", line)), -1)
    yield from (f"  {line.strip()}" for line in lines[: max(0, rule)])
    name, said = "", ""
    for line in lines[rule + 1 :]:
        if re.match(r" {2}\S", line) and (said or not name or line.lstrip().startswith("-")):
            yield from _option(name, said)
            name, _, said = line.strip().partition("  ")
            said = said.strip()
        elif re.match(r" {2}\S", line):  # the rest of a long name
            name += line.strip()
        elif line.strip():
            said += " " + line.strip()
    yield from _option(name, said)


def _option(name: str, said: str) -> Iterator[str]:
    if not name:
        return
    for pattern, to in _TYPES:
        name = pattern.sub(to, name)
    words = textwrap.wrap(_UNSAID.sub("", said.strip()), WIDTH - _COLUMN, break_on_hyphens=False)
    if len(name) <= _COLUMN - 4:
        yield f"  {name:<{_COLUMN - 2}}{words[0] if words else ''}".rstrip()
        words = words[1:]
    else:
        name = name.replace(",", ", ") if len(name) > WIDTH - 4 else name
        yield from textwrap.wrap(name, WIDTH, initial_indent="  ", subsequent_indent="      ")
    for line in words:
        yield " " * _COLUMN + line
