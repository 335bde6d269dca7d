# SPDX-License-Identifier: Apache-2.0
"""Text on a terminal: lines and tables that fit it; foreign words, shown and never obeyed."""

from __future__ import annotations

import shutil
import textwrap
import unicodedata

_WIDEST = 100  # columns; longer lines are hard to read
WIDTH = 80  # columns of a line where they are not known: a pipe, a file
_KEPT = "\n\t"
# Control characters move the cursor or retitle a window, format characters reorder what is read,
# surrogates cannot be written.
_UNSAFE = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def printable(text: str) -> str:
    r"""The text with control and format characters, and what is no text, as escapes.

    Example:
        >>> print(printable("a chair" + chr(27) + "[2J"))
        a chair\x1b[2J
    """
    if text.isprintable():
        return text
    return "".join(_shown(letter) for letter in text)


def one_line(text: str) -> str:
    """`printable` text on a single line: breaks become blanks."""
    return printable(" ".join(text.split("\n")).replace("\t", " ").strip())


def text_width() -> int:
    """Columns that a paragraph may take: those of the terminal, at most 100; 80 into a pipe."""
    return min(_WIDEST, shutil.get_terminal_size((WIDTH, 24)).columns)


def wrapped(line: str) -> str:
    r"""A line in as many as `text_width` asks for, under its own indent; no word is broken.

    Example:
        >>> print(wrapped("  " + "word " * 20).count("\n"))
        1
    """
    indent = " " * (len(line) - len(line.lstrip(" ")))
    return textwrap.fill(
        line.lstrip(" "), text_width(), initial_indent=indent, subsequent_indent=f"{indent}  ",
        break_long_words=False, break_on_hyphens=False, replace_whitespace=False,
    )  # fmt: skip


def beside(name: str, width: int, cells: str) -> str:
    r"""A line of a table; a name that is too long for its column stands on a line of its own.

    Example:
        >>> print(beside("a", 3, "  1") + "\n" + beside("long", 3, "  2"))
        a    1
        long
             2
    """
    if len(name) <= width:
        return f"{name:<{width}}{cells}".rstrip()
    return f"{name}\n{'':<{width}}{cells}".rstrip()


def parted(name: str, width: int) -> str:
    r"""A dotted name on as many lines as a column asks for: broken before a dot or a low line.

    Example:
        >>> print(parted("object_distance.choice", 16))
        object_distance
            .choice
    """
    if len(name) <= width or width < 12:
        return name
    start = len(name) - len(name.lstrip(" ")) + 1
    cuts = (name.rfind(mark, start, width + 1) for mark in "._")
    cut = next((cut for cut in cuts if cut > 0), width)
    return f"{name[:cut]}\n{parted(f'    {name[cut:]}', width)}"


def fitted(text: str) -> str:
    """Each line of a text `wrapped`; those that fit, such as a table's, stay as they are."""
    return "\n".join(map(wrapped, text.split("\n")))


def _shown(letter: str) -> str:
    if letter in _KEPT or unicodedata.category(letter) not in _UNSAFE:
        return letter
    return letter.encode("unicode_escape").decode()
