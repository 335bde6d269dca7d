# SPDX-License-Identifier: Apache-2.0
"""Answers in words of their own, held against accepted ones: by each evaluator's own rules.

| rules       | what is compared                                                                   |
|-------------|------------------------------------------------------------------------------------|
| `same_text` | ours: case, punctuation and articles off, number words as digits; equal            |
| `published` | ScanQA's: equal letter by letter, a period at the end off                          |
| `leo`       | LEO's and, through it, lmms-eval's: spellings mended, digits as words; then equal  |
|             | (exact), or one within the other without spaces (refined)                          |

The refined match of LEO's code takes an empty answer for right, since it is within every text; here
an empty answer is wrong under every rule, and `empty_count` says how many there were.
Source: SQA3D (arXiv 2210.07474), LEO (arXiv 2311.12871, evaluator of SQA3D and ScanQA).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import resources

from spatial_engine.records.quantities import NUMBER_WORDS, plain_text
from spatial_engine.records.reading import without_thoughts

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_PUNCTUATION = re.compile(r"[^\w\s'-]|(?<!\w)['-]|['-](?!\w)")
_WORDS = re.compile(rf"\b({'|'.join(sorted(NUMBER_WORDS, key=len, reverse=True))})\b")
_LEO_KEPT = re.compile(r"[^a-z0-9,'\s:-]+")
_DIGITS = re.compile(r"\b(?:1?\d|20)\b")
_MENDED = dict(
    line.split("\t") for line in resources.files("spatial_engine.scoring")
    .joinpath("misspellings.tsv").read_text(encoding="utf-8").splitlines()
)  # fmt: skip
"""Misspellings of SQA3D's answers, as its authors and LEO mend them."""
_MENDING = re.compile(rf"\b({'|'.join(_MENDED)})\b")


def plain(text: str) -> str:
    """A text as ours compares it.

    Example:
        >>> plain("Left."), plain("The two  chairs"), plain("It's 2")
        ('left', '2 chairs', "it's 2")
    """
    text = _PUNCTUATION.sub(" ", plain_text(without_thoughts(text)).casefold())
    text = _WORDS.sub(lambda found: str(NUMBER_WORDS.index(found[1])), text)
    return " ".join(_ARTICLES.sub(" ", text).split())


def same_text(said: str, references: Sequence[str]) -> bool:
    """Whether a text is an accepted answer, whatever its case, punctuation, articles and numerals.

    Example:
        >>> same_text("Two.", ["2"]), same_text("", [""]), same_text("left side", ["left"])
        (True, False, False)
    """
    answer = plain(said)
    return bool(answer) and answer in map(plain, references)


def leo_text(text: str) -> str:
    """A text as LEO's evaluator compares it: lower case, misspellings mended, digits as words.

    Example:
        >>> leo_text(" Left. "), leo_text("2 chairs"), leo_text("backwards")
        ('left', 'two chairs', 'backward')
    """
    text = _LEO_KEPT.sub("", text.lower().replace("\u2019", "'"))
    text = _MENDING.sub(lambda found: _MENDED[found[1]], text)
    text = _DIGITS.sub(lambda found: NUMBER_WORDS[int(found[0])], text)
    return " ".join(_ARTICLES.sub(" ", text).split())


def leo_exact(said: str, references: Sequence[str]) -> bool:
    """LEO's exact match; an empty answer is wrong."""
    answer = leo_text(said)
    return bool(answer) and answer in map(leo_text, references)


def leo_refined(said: str, references: Sequence[str]) -> bool:
    """LEO's refined match: equal, or one within the other without spaces; an empty one is wrong.

    Example:
        >>> leo_refined("on the left side", ["left"]), leo_refined("", ["left"])
        (True, False)
    """
    answer = "".join(leo_text(said).split())
    truths = ["".join(leo_text(one).split()) for one in references]
    return bool(answer) and any(one and (one in answer or answer in one) for one in truths)


def empty_count(said: Sequence[str]) -> int:
    """Responses that say nothing, which a match by parts would take for right."""
    return sum(not leo_text(one) for one in said)
