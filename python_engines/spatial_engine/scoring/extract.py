# SPDX-License-Identifier: Apache-2.0
"""Reading an answer out of a free response, in the ways of the published evaluators.

| extractor      | choice                             | number                      |
|----------------|------------------------------------|-----------------------------|
| spatial-mllm   | the whole of the last answer block | float() of the whole        |
| official       | first word, trailing period off    | float() of the first word   |
| lmms-eval-2026 | as official                        | first numeral or number word |
| lenient        | a letter at the start              | first numeral or number word |
"""

from __future__ import annotations

import re
from typing import Literal, get_args

Extractor = Literal["spatial-mllm", "official", "lmms-eval-2026", "lenient"]
EXTRACTORS: tuple[str, ...] = get_args(Extractor)
_ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
_NUMERAL = re.compile(r"-?\d+(?:,\d{3})*(?:\.\d+)?")
_LETTER = re.compile(r"^\W*([A-Za-z])(?:$|[\s.):,])")
# fmt: off
_WORDS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
    "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
    "twenty",
)
# fmt: on
_NUMBER_WORD = re.compile(rf"\b({'|'.join(sorted(_WORDS, key=len, reverse=True))})\b", re.I)


def extract_choice(response: str, extractor: Extractor) -> str:
    """The letter (or other text) that a response gives for a choice, folded to lower case.

    Example:
        >>> extract_choice("A. chair", "spatial-mllm"), extract_choice("A. chair", "official")
        ('a. chair', 'a')
    """
    _check(extractor)
    if extractor == "spatial-mllm":
        return _published(response)
    if extractor == "lenient":
        found = _LETTER.match(_published(response))
        return found.group(1).lower() if found else _published(response)
    return _first_word(response).lower()


def extract_number(response: str, extractor: Extractor) -> float | None:
    """The number that a response gives, or None.

    Example:
        >>> extract_number("2 meters", "spatial-mllm"), extract_number("2 meters", "official")
        (None, 2.0)
        >>> extract_number("There are three", "lmms-eval-2026")
        3.0
    """
    _check(extractor)
    if extractor == "spatial-mllm":
        return _as_float(_published(response).replace(",", ""))
    if extractor == "official":
        return _as_float(_first_word(response))
    numeral, word = _NUMERAL.search(response), _NUMBER_WORD.search(response)
    if numeral is not None and (word is None or numeral.start() < word.start()):
        return _as_float(numeral.group().replace(",", ""))
    return None if word is None else float(_WORDS.index(word.group(1).lower()))


def _published(response: str) -> str:
    blocks = _ANSWER.findall(response)
    text = blocks[-1] if blocks else response
    return " ".join(text.split()).rstrip(".").strip().lower()


def _first_word(response: str) -> str:
    return response.split(" ")[0].rstrip(".").strip()


def _as_float(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) < float("inf") else None


def _check(extractor: str) -> None:
    if extractor not in EXTRACTORS:
        raise ValueError(f"extractor must be one of {', '.join(EXTRACTORS)}, got {extractor!r}")
