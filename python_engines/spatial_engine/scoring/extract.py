# SPDX-License-Identifier: Apache-2.0
"""Reading an answer out of a free response, in the ways of the published evaluators.

| extractor      | choice                             | number                      |
|----------------|------------------------------------|-----------------------------|
| spatial-mllm   | the whole of the last answer block | float() of the whole        |
| official       | first word, trailing period off    | float() of the first word   |
| lmms-eval-2026 | as official                        | first numeral or number word |
| lenient        | `records.reading`: the one that a text names, or none             ||
"""

from __future__ import annotations

import re
from string import ascii_uppercase
from typing import Literal, get_args

from spatial_engine.records.quantities import NUMBER_WORDS
from spatial_engine.records.reading import parse_answer

Extractor = Literal["spatial-mllm", "official", "lmms-eval-2026", "lenient"]
EXTRACTORS: tuple[str, ...] = get_args(Extractor)
_ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
_NUMERAL = re.compile(r"-?\d+(?:,\d{3})*(?:\.\d+)?")
_NUMBER_WORD = re.compile(rf"\b({'|'.join(sorted(NUMBER_WORDS, key=len, reverse=True))})\b", re.I)


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
        read = parse_answer(
            response, "letter", "letter", choices=ascii_uppercase, dialect="lenient"
        )
        return _published(response) if read.answer is None else str(read.answer.text).lower()
    return _first_word(response).lower()


def extract_number(response: str, extractor: Extractor, unit: str = "m") -> float | None:
    """The number that a response gives, or None.

    `lenient` converts other units of length or area into `unit`; the published ways know none.

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
    if extractor == "lenient":
        read = parse_answer(response, "number", unit, dialect="lenient")
        return None if read.answer is None else read.answer.number[0]
    numeral, word = _NUMERAL.search(response), _NUMBER_WORD.search(response)
    if numeral is not None and (word is None or numeral.start() < word.start()):
        return _as_float(numeral.group().replace(",", ""))
    return None if word is None else float(NUMBER_WORDS.index(word.group(1).lower()))


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
