# SPDX-License-Identifier: Apache-2.0
"""The help of a verb in 80 columns, without what only says how options are typed: `{None}|`."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator

from spatialcore.commands.text import WIDTH

_COLUMN = 22  # where the text of an option starts
_UNSAID = re.compile(r"\s*\(default: (?:None|False|True|\.|\(\)|)\)")
_TYPES = (
    (re.compile(r"\{None\}\|"), ""),
    (re.compile(r"\{None,"), "{"),
    (re.compile(r"\[\[(\w+) \[\1 \.\.\.\]\]\]"), r"[\1 ...]"),
)


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
    out = [line for part in re.split(r"\n{2,}", head) for line in (*_part(part), "")]
    for title, body in zip(sections[::2], sections[1::2], strict=True):
        lines = [line.rstrip() for line in body.splitlines()]
        out += ["", f"{title.strip()}:", *_options(lines)]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(out)).rstrip() + "\n"


def _part(text: str) -> Iterator[str]:
    """A part of the head: the usage, a paragraph, or a title and examples of command lines."""
    lines = text.splitlines()
    if text.startswith("usage:"):
        groups = re.sub(r"\[[^\[\]]*\]", lambda group: group[0].replace(" ", "\0"), _typed(text))
        for line in textwrap.wrap(groups, WIDTH, subsequent_indent=" " * 7):
            yield line.replace("\0", " ")
        return
    for title in (line for line in lines if not line.startswith("  ")):
        yield from textwrap.wrap(title, WIDTH)
    yield from example_lines([line for line in lines if line.startswith("  ")])


def example_lines(lines: list[str]) -> Iterator[str]:
    r"""Command lines that can be pasted, each with its remark, in 80 columns.

    Args:
        lines: Each a command, and a remark after two blanks or more.

    Examples:
        >>> said = ["  spatialcore stats out   all of it", "  spatialcore stats out --json"]
        >>> for line in example_lines(said):
        ...     print(line.strip())
        spatialcore stats out  # all of it
        spatialcore stats out --json
    """
    parts = [re.split(r"\s{2,}#?\s*", line.strip(), maxsplit=1) for line in lines]
    column = max((len(part[0]) for part in parts if len(part) > 1), default=0)
    # Beside the commands where every remark has room there, else each above its command.
    beside = all(4 + column + len(f"# {part[1]}") <= WIDTH for part in parts if len(part) > 1)
    for command, *remarks in parts:
        for remark in remarks:
            if beside:
                yield f"  {command:<{column}}  # {remark}"
            else:
                yield from textwrap.wrap(f"  # {remark}", WIDTH, subsequent_indent="  # ")
        if not (remarks and beside):
            yield from _broken(command)


def _broken(command: str) -> Iterator[str]:
    """A command in as many lines as it takes, broken before its options."""
    line = " "
    for word in re.split(r" (?=-)", command):
        if line.strip() and len(line) + 1 + len(word) > WIDTH - 2:
            yield f"{line} \\"
            line = " " * 5
        line += f" {word}"
    yield line


def _typed(text: str) -> str:
    for pattern, to in _TYPES:
        text = pattern.sub(to, text)
    return text


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
    name = _typed(name)
    words = textwrap.wrap(_UNSAID.sub("", said.strip()), WIDTH - _COLUMN, break_on_hyphens=False)
    if len(name) <= _COLUMN - 4:
        yield f"  {name:<{_COLUMN - 2}}{words[0] if words else ''}".rstrip()
        words = words[1:]
    else:
        name = name.replace(",", ", ") if len(name) > WIDTH - 4 else name
        yield from textwrap.wrap(name, WIDTH, initial_indent="  ", subsequent_indent="      ")
    for line in words:
        yield " " * _COLUMN + line
