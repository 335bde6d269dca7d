# SPDX-License-Identifier: Apache-2.0
"""Chains: the numbers of a record's evidence in words, step by step, up to its answer.

A chain is no column of a record: it is told on demand from the evidence, by the engine of the task
(`Engine.chain`). Its numbers are kept as numbers until they are written, so that a chain read from
a file can be held against evidence that was derived a second time (`departures`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any, NamedTuple

from spatial_engine.records.answers import CLOSED, WRITTEN, Answer, norm1000
from spatialcore.errors import RecordError

_SLACK = 1e-7  # of a number whose rounding is compared: what two derivations may differ by
_THINK, _ANSWER = ("<think>\n", "\n</think>\n"), ("<answer>", "</answer>")
_TOLD = re.compile(
    rf"\s*{_THINK[0].strip()}\n?(.*?)\n?{_THINK[1].strip()}\s*{_ANSWER[0]}(.*?){_ANSWER[1]}\s*",
    re.DOTALL,
)


class Number(NamedTuple):
    """A number as a line says it: rounded to so many decimals."""

    value: float
    digits: int

    def __str__(self) -> str:
        text = f"{self.value:.{self.digits}f}"
        return text.removeprefix("-") if not text.strip("-0.") else text

    def is_said_by(self, text: str) -> bool:
        """Whether a text of as many decimals is a rounding of the value."""
        unit = 10.0**-self.digits
        return abs(float(text) - self.value) <= 0.5 * unit + _SLACK


def metres(value: float) -> Number:
    """Metres, to the millimetre."""
    return Number(value, 3)


def degrees(value: float) -> Number:
    """Degrees, with one decimal."""
    return Number(value, 1)


def pixels(value: float) -> Number:
    """Pixels, with one decimal."""
    return Number(value, 1)


def whole(value: float) -> Number:
    """A whole number."""
    return Number(value, 0)


class Line(NamedTuple):
    """A sentence of a chain: texts and numbers, in order."""

    pieces: tuple[str | Number, ...]

    def __str__(self) -> str:
        return "".join(map(str, self.pieces))


def line(template: str, *values: str | Number | Sequence[Number]) -> Line:
    """A sentence with a value for each `{}`; several numbers are listed with commas.

    Example:
        >>> str(line("It is {} m from the {}.", metres(1.5), "door"))
        'It is 1.500 m from the door.'
    """
    texts = template.split("{}")
    if len(texts) != len(values) + 1:
        raise ValueError(f"{template!r} has {len(texts) - 1} places for {len(values)} values")
    pieces: list[str | Number] = [texts[0]]
    for value, text in zip(values, texts[1:], strict=True):
        listed = [value] if isinstance(value, str | Number) else list(value)
        for k, one in enumerate(listed):
            pieces += [", ", one] if k else [one]
        pieces.append(text)
    return Line(tuple(pieces))


@dataclass(frozen=True)
class Telling:
    """What a chain may speak of.

    Attributes:
        facts: The record's evidence.
        slots: Values of the question's slots, as it says them.
        options: Texts of a choice.
        answer: The typed answer: for names that evidence does not hold, never for its numbers.
        sizes: (width, height) of each image, pixels.
    """

    facts: Mapping[str, Any]
    slots: Mapping[str, str]
    options: tuple[str, ...]
    answer: Answer
    sizes: tuple[tuple[int, int], ...]

    @property
    def chosen(self) -> str:
        """The text of the option that is right."""
        return self.options[ascii_uppercase.index(str(self.answer.text))]

    def letter(self, text: str) -> str:
        """The letter of an option; RecordError where it is none."""
        if text not in self.options:
            raise RecordError(f"{text!r} is none of the options {self.options}")
        return ascii_uppercase[self.options.index(text)]

    def thousandths(self, uv: Sequence[float], image: int = 0) -> tuple[int, int]:
        """A pixel of an image in 0..1000."""
        return norm1000(uv[0], uv[1], *self.sizes[image])


@dataclass(frozen=True)
class Chain:
    """The lines before the answer, and what they end in.

    Attributes:
        lines: Sentences.
        ending: The answer as the evidence gives it: its text, or its numbers before rounding, in
            the answer's unit.
    """

    lines: tuple[Line, ...]
    ending: str | tuple[float, ...]

    def ends_in(self, answer: Answer) -> bool:
        """Whether the ending is the answer: equal texts, numbers that round to its numbers."""
        if answer.type in CLOSED or answer.type in WRITTEN:
            return self.ending == answer.span
        if isinstance(self.ending, str) or len(self.ending) != len(answer.number):
            return False
        step = 0.1 if answer.type == "number" else 1.0
        return all(map(_rounds_to, self.ending, answer.number, [step] * len(answer.number)))

    @property
    def text(self) -> str:
        """The lines, one below the other."""
        return "\n".join(map(str, self.lines))


def _rounds_to(value: float, said: float, step: float) -> bool:
    """Whether a number is said as recipes say it: the nearest step, or what is left of it."""
    nearest = abs(said - value) <= 0.5 * step + _SLACK
    cut = step == 1.0 and said == math.trunc(value)
    return nearest or cut


def assistant_text(thought: str, answer: str) -> str:
    r"""What a model that thinks first is trained to say.

    Example:
        >>> assistant_text("It is 1.500 m, or 1500 mm.", "It is `1500` mm.")
        '<think>\nIt is 1.500 m, or 1500 mm.\n</think>\n<answer>It is `1500` mm.</answer>'
    """
    think = thought.join(_THINK) if thought else ""
    return think + answer.join(_ANSWER)


def parts_of(text: str) -> tuple[str, str] | None:
    """Thought and answer of an assistant's text, or None where it has no such parts."""
    found = _TOLD.fullmatch(text)
    return (found[1], found[2]) if found else None


def departures(chain: Chain, said: str) -> Iterator[tuple[str, str]]:
    """Where a thought departs from a chain: (what it says, what the chain says), line by line."""
    told = said.split("\n")
    for number in range(max(len(told), len(chain.lines))):
        mine = chain.lines[number] if number < len(chain.lines) else Line(())
        other = told[number] if number < len(told) else ""
        if other != str(mine) and not _says(mine, other):
            yield other, str(mine)


def _says(mine: Line, text: str) -> bool:
    """Whether a text is the line with each number rounded either way where it lies between."""
    pattern = "".join(
        re.escape(piece) if isinstance(piece, str) else _digits(piece) for piece in mine.pieces
    )
    found = re.fullmatch(pattern, text)
    numbers = [piece for piece in mine.pieces if isinstance(piece, Number)]
    return bool(found) and all(
        number.is_said_by(group)
        for number, group in zip(numbers, found.groups() if found else (), strict=True)
    )


def _digits(number: Number) -> str:
    decimals = rf"\.[0-9]{{{number.digits}}}" if number.digits else ""
    return rf"(-?[0-9]+{decimals})"
