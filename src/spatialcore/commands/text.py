# SPDX-License-Identifier: Apache-2.0
"""Foreign text on a terminal: shown, never obeyed."""

from __future__ import annotations

import shutil
import unicodedata

_WIDEST = 100  # columns; longer lines are hard to read
_UNKNOWN = 80  # where the width is not known: a pipe, a file
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
    return min(_WIDEST, shutil.get_terminal_size((_UNKNOWN, 24)).columns)


def _shown(letter: str) -> str:
    if letter in _KEPT or unicodedata.category(letter) not in _UNSAFE:
        return letter
    return letter.encode("unicode_escape").decode()
