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
_TENS = ("thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SAID = {
    **{name: value for value, name in enumerate(NUMBER_WORDS)},
    **{name: 30 + 10 * k for k, name in enumerate(_TENS)}, "hundred": 100, "thousand": 1000,
}  # fmt: skip
_WORD = re.compile(r"[a-z]+")


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
    return _first_number(response.lower())


def _first_number(text: str) -> float | None:
    """The first numeral, or the first run of number words: "three hundred and two" is 302."""
    words = list(_WORD.finditer(text))
    start = next((k for k, word in enumerate(words) if word.group() in _SAID), len(words))
    numeral = _NUMERAL.search(text)
    if numeral is not None and (start == len(words) or numeral.start() < words[start].start()):
        return _as_float(numeral.group().replace(",", ""))
    if start == len(words):
        return None
    total = current = 0
    for word in words[start:]:
        value = _SAID.get(word.group())
        if value is None and word.group() == "and":
            continue
        if value is None:
            break
        if value >= 100:
            current = max(1, current) * value
        else:
            current += value
        if value == 1000:
            total, current = total + current, 0
    return float(total + current)


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
