# SPDX-License-Identifier: Apache-2.0
r"""The one reader of answers in free text: what a model said, as a typed answer or as nothing.

A thinking block never counts. The answer is looked for in the last `<answer>` block, else in the
last `\boxed{}`, else in the last backticked span, else in the whole text. A wrong reading is worse
than none, so a text that names several candidates and does not say which it means is not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from spatial_engine.records.answers import (
    ANSWER_TYPES,
    FREE,
    NUMBER_COUNT,
    Answer,
    AnswerType,
    letter,
    map_places,
    steps,
    word,
)
from spatial_engine.records.quantities import Quantity, converted, plain_text, quantities
from spatialcore.relations.walks import TURNS, Step

Dialect = Literal["multispa", "lenient"]

_THOUGHT = re.compile(r"<(think|thinking|thought|reasoning)>.*?(</\1>|\Z)", re.DOTALL | re.I)
_THOUGHT_END = re.compile(r"</(?:think|thinking|thought|reasoning)>", re.I)
_BLOCK = re.compile(r"<answer>(.*?)(?:</answer>|\Z)", re.DOTALL | re.IGNORECASE)
_BOXED = re.compile(r"\\boxed\s*\{((?:[^{}]|\{[^{}]*\})*)\}")
_TEXT_MACRO = re.compile(r"\\(?:text|mathrm|mathbf)\s*\{([^{}]*)\}")
_SPAN = re.compile(r"`([^`]*)`")
_MARKED = re.compile(r"\banswer\s*(?:is|:|=|would be|should be)\s*:?\s*", re.IGNORECASE)
_CLAUSE_END = re.compile(r"\n|\.\s|,? (?:not|rather than|instead of|because|since|as)\b", re.I)
_STEP = re.compile(r"^([a-z-]+)(?: (-?\d+) deg)? (\d+(?:\.\d+)?) m(?: (.+))?$")
_LETTER_LEAD = re.compile(r"^[\s\"'*(\[]*(?:option\s+)?([A-Za-z])(?:[).:\]*,]|\s*$|\s*\n)", re.I)
# "A chair" names no option, "A or B" two.
_JOIN = r"(?:or|and|is|because|since|as)\b"
_LETTER_PHRASE = re.compile(
    rf"(?:^|[\s(\[:*\"'])([A-Z]|[b-z])(?=$|[\s)\].,:;*!\"'])(?!\s+(?!{_JOIN})[a-z])"
)
# "bed: [2, 7]", '"bed": (2, 7)', "- bed at [ 2 , 7 ]"
_PLACE = re.compile(r"([^\[\](){};\n,]+?)[\[(]\s*(\d+(?:\.\d+)?)\s*,\s*(\d+(?:\.\d+)?)\s*[\])]")
_PLACE_LEAD = re.compile(r"^(?:the|a|an)\s+|\s*(?:\b(?:is|at|in|on|cell)\b\s*)+$|\s*[:=]\s*$", re.I)
_GROUP = re.compile(r"[\[(<{]([^\[\](){}<>]*)[\])>}]")
_QUOTES = "'\""
_EDGES = " .!:;,\"'*()[]{}\n\t"


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a response says.

    Attributes:
        answer: The typed answer, or None when nothing could be read.
        converted: Whether a unit in the response was converted into the asked one.
    """

    answer: Answer | None
    converted: bool = False


UNPARSED = Parsed(None)


def parse_answer(
    response: str,
    type: AnswerType,
    unit: str,
    *,
    choices: Sequence[str] = (),
    options: Sequence[str] = (),
    dialect: Dialect = "multispa",
) -> Parsed:
    """Read a response as an answer of a known type.

    Dialect `multispa`: the last backticked span, or the whole response if there is none; a word is
    the one token of the closed set in it; a letter stands alone; numbers are exactly as many as
    asked. `lenient` also looks into answer blocks and boxes, and takes the one candidate that a
    longer text marks ("the answer is", a line of its own, a unit) or the only one that it names.

    Args:
        response: What a model (or a record) says.
        type: The type asked for.
        unit: The unit asked for; other units of the same dimension are converted into it.
        choices: The closed set of words, or the letters that are offered.
        options: The texts of the letters, so that an option's text is read as its letter.
        dialect: How much else may stand in the response.

    Returns:
        Parsed; its answer is None when the response does not hold one.

    Raises:
        ValueError: The type or dialect is unknown.

    Example:
        >>> parse_answer("It moved `1.5 m`.", "integer", "mm")
        Parsed(answer=Answer(type='integer', unit='mm', text=None, number=(1500.0,), steps=(), \
places=()), converted=True)
        >>> parse_answer("<think>4?</think> about 1 or 2", "integer", "mm", dialect="lenient")
        Parsed(answer=None, converted=False)
    """
    if type not in ANSWER_TYPES:
        raise ValueError(f"answer type must be one of {', '.join(ANSWER_TYPES)}, got {type!r}")
    if dialect not in ("multispa", "lenient"):
        raise ValueError(f"dialect must be 'multispa' or 'lenient', got {dialect!r}")
    lenient = dialect == "lenient"
    if type == FREE:
        return _parse_text(response, lenient)
    text = said(response, blocks=lenient)
    if type == "steps":
        return _parse_steps(text)
    if type == "map":
        return _parse_map(plain_text(text), lenient)
    if type == "word":
        return _parse_word(text, choices, lenient)
    if type == "letter":
        return _parse_letter(text, choices or tuple("ABCD"), options, lenient)
    if NUMBER_COUNT[type] == 1:
        return _parse_number(plain_text(text), type, unit, lenient)
    return _parse_numbers(plain_text(text), type, unit, lenient)


def without_thoughts(response: str) -> str:
    """A response without what it thinks, which is nothing where it only thinks."""
    return _THOUGHT_END.split(_THOUGHT.sub(" ", response))[-1]


def said(response: str, *, blocks: bool = True) -> str:
    """The part of a response that holds its answer; "" where it only thinks.

    Example:
        >>> said("<think>A or B</think> so <answer>B</answer>"), said("<think>and so on")
        ('B', '')
    """
    text = without_thoughts(response)
    if blocks:
        for pattern in (_BLOCK, _BOXED):
            if found := pattern.findall(text):
                text = _TEXT_MACRO.sub(r"\1", found[-1])
                break
    spans = _SPAN.findall(text)
    text = (spans[-1] if spans else text).strip()
    quoted = len(text) > 1 and text[0] == text[-1] in _QUOTES and text.count(text[0]) == 2
    return text[1:-1] if quoted else text


def _parse_text(response: str, lenient: bool) -> Parsed:
    """A free text: the response as it is, or where it marks its answer; backticks are its own."""
    text = said(response) if lenient else without_thoughts(response).strip()
    return Parsed(Answer(FREE, FREE, text=text)) if text else UNPARSED


def _pieces(text: str) -> Iterable[str]:
    """Where a longer text says its answer: after "answer is", on its first line, on its last."""
    marks = list(_MARKED.finditer(text))
    if marks:
        rest = text[marks[-1].end() :].strip()
        yield _CLAUSE_END.split(rest, maxsplit=1)[0]
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) > 1:
        yield lines[0]
        yield lines[-1]


def _parse_word(text: str, choices: Sequence[str], lenient: bool) -> Parsed:
    by_fold = {choice.casefold(): choice for choice in choices}
    plain = _folded(text)
    if not by_fold:
        return Parsed(word(plain)) if plain else UNPARSED
    if lenient:
        for piece in _pieces(text):
            found = _members(_folded(piece), by_fold)
            if len(found) == 1:
                return Parsed(word(by_fold[found.pop()]))
    found = _members(plain, by_fold)
    return Parsed(word(by_fold[found.pop()])) if len(found) == 1 else UNPARSED


def _folded(text: str) -> str:
    return " ".join(text.casefold().split()).strip(_EDGES)


def _members(plain: str, members: Iterable[str]) -> set[str]:
    """The members of a closed set that a text names; "front-left" does not name "left"."""
    ordered = sorted(members, key=len, reverse=True)
    pattern = "|".join(rf"(?<![\w-]){re.escape(member)}(?![\w-])" for member in ordered)
    return set(re.findall(pattern, plain))


def _parse_letter(
    text: str, choices: Sequence[str], options: Sequence[str], lenient: bool
) -> Parsed:
    plain = text.strip(_EDGES).upper()
    if len(plain) == 1 and plain in choices:
        return Parsed(letter(plain))
    if not lenient:
        return UNPARSED
    for piece in _pieces(text):
        lead = _LETTER_LEAD.match(piece)
        if lead is not None and lead[1].upper() in choices:
            return Parsed(letter(lead[1].upper()))
    lead = _LETTER_LEAD.match(text)
    if lead is not None and lead[1].upper() in choices:
        return Parsed(letter(lead[1].upper()))
    named = {m.upper() for m in _LETTER_PHRASE.findall(text)} & set(choices)
    if not named:
        folded = [_folded(option) for option in options]
        matching = [i for i, option in enumerate(folded) if option and option == _folded(text)]
        named = {choices[i] for i in matching if i < len(choices)}
    return Parsed(letter(named.pop())) if len(named) == 1 else UNPARSED


def _parse_steps(text: str) -> Parsed:
    legs = []
    for part in text.split(";"):
        match = _STEP.match(part.strip())
        if match is None or match[1] not in TURNS:
            return UNPARSED
        angle = None if match[2] is None else int(match[2])
        legs.append(Step(match[1], float(match[3]), match[4], angle))
    return Parsed(steps(legs))


def _parse_map(text: str, lenient: bool) -> Parsed:
    """Names with cells: "bed [ 2 , 7 ]; lamp: (0, 9)" as lists, lines or JSON write them."""
    found = []
    for name, x, y in _PLACE.findall(text):
        said = _PLACE_LEAD.sub("", name.strip(_EDGES + "`-")).strip(_EDGES + "`-")
        if not said:
            return UNPARSED
        found.append((said, round(float(x)), round(float(y))))
    left = _PLACE.sub("", text).strip(_EDGES + "`")
    names = {name.casefold() for name, _, _ in found}
    if not found or len(names) < len(found) or (left and not lenient):
        return UNPARSED
    return Parsed(map_places(found))


def _parse_number(text: str, type: AnswerType, unit: str, lenient: bool) -> Parsed:
    """One number: the only one, or where a longer text marks it."""
    if not lenient:
        found = quantities(text, grouped=True)
        return _typed(found, type, unit) if found is not None and len(found) == 1 else UNPARSED
    for piece in _pieces(text):
        found = quantities(piece, grouped=True, words=True)
        if found is None or any(quantity.vague for quantity in found):
            return UNPARSED
        if len(_distinct(found, unit)) == 1:
            return _typed(_fitting(found, unit)[:1], type, unit)
    found = quantities(text, grouped=True, words=True)
    if found is None or any(quantity.vague for quantity in found):
        return UNPARSED
    fitting = _fitting(found, unit)
    with_unit = [quantity for quantity in fitting if quantity.unit is not None]
    for candidates in (with_unit, fitting):
        if candidates:
            return (
                _typed(candidates[:1], type, unit)
                if len(_distinct(candidates, unit)) == 1
                else UNPARSED
            )
    return UNPARSED


def _fitting(found: Sequence[Quantity], unit: str) -> list[Quantity]:
    return [quantity for quantity in found if converted(quantity, unit) is not None]


def _distinct(found: Sequence[Quantity], unit: str) -> set[float]:
    values = (converted(quantity, unit) for quantity in found)
    return {round(value, 6) for value in values if value is not None}


def _parse_numbers(text: str, type: AnswerType, unit: str, lenient: bool) -> Parsed:
    """Two or three numbers: all that the text holds, or those of its last bracket."""
    count = NUMBER_COUNT[type]
    pieces = [text]
    if lenient:
        pieces = [*_GROUP.findall(text)[::-1], *_pieces(text), text]
    for piece in pieces:
        found = quantities(piece, grouped=False)
        if found is None or len(found) != count:
            continue
        if found[-1].unit is None and piece != text:
            after = text[text.rfind(piece) + len(piece) :]
            unit_after = quantities(f"0 {after}", grouped=False)
            given = unit_after[0].unit if unit_after else None
            found[-1] = Quantity(found[-1].value, given, found[-1].start, found[-1].end)
        return _typed(found, type, unit, shares=lenient and unit == "norm1000")
    return UNPARSED


def _typed(
    found: Sequence[Quantity], type: AnswerType, unit: str, *, shares: bool = False
) -> Parsed:
    """The answer of these numbers; a unit after the last holds for those that name none."""
    values = [converted(quantity, unit, found[-1].unit) for quantity in found]
    if any(value is None for value in values) or any(quantity.vague for quantity in found):
        return UNPARSED
    numbers = tuple(float(value or 0.0) + 0.0 for value in values)
    if shares and all(0 <= n <= 1 for n in numbers) and any(n % 1 for n in numbers):
        # Shares of the image's sides, as several families of models give them.
        return Parsed(Answer(type, unit, number=tuple(1000 * n for n in numbers)), True)
    changed = any(quantity.unit not in (None, unit) for quantity in found)
    return Parsed(Answer(type, unit, number=numbers), changed)
