# SPDX-License-Identifier: Apache-2.0
"""Presentation is data: how an answer is rounded and written as text.

The answer sentence holds exactly one backticked span, the machine answer: a word, a letter, a
number, `[ x , y ]`, `[ x , y , z ]`, a box, a list of steps or a map. The answer of a record that
was imported may be a free text: it stands without backticks. `reading` reads what is written here.
This is the one home of the types of answers: what else asks about one asks here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from string import ascii_uppercase
from typing import Final, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from spatial_engine.records.marks import COLOURS, Mark, mark_radius
from spatialcore.relations.walks import Step

__all__ = [
    "ANSWER_TYPES", "CLOSED", "COLOURS", "FREE", "NUMBER_COUNT", "UNITS", "WRITTEN", "Answer",
    "Mark",
    "Place", "Step", "answer_span", "box", "box_centre", "coordinate", "integer", "integers",
    "letter", "map_places", "mark_radius", "norm1000", "number", "option_lines", "places_text",
    "round_number", "round_numbers", "steps", "vector", "vectors", "word",
]  # fmt: skip

Float64 = NDArray[np.float64]
AnswerType = Literal[
    "word", "letter", "integer", "number", "vector", "coordinate", "box", "steps", "map", "text"
]
Rounding = Literal["nearest", "truncate"]
Place = tuple[str, int, int]
"""A name and the column and row of its cell on a map."""

ANSWER_TYPES: tuple[AnswerType, ...] = get_args(AnswerType)
UNITS = (
    "mm", "m", "cm", "m2", "cm/s", "degree", "norm1000", "count", "word", "letter", "steps", "cell",
    "text",
)  # fmt: skip
METRES_PER = {"mm": 0.001, "cm": 0.01, "m": 1.0}
NUMBER_COUNT = {"integer": 1, "number": 1, "vector": 3, "coordinate": 2, "box": 4}
"""Numbers of the types that have any."""
CLOSED = ("word", "letter")
"""Types of a closed set, stored as text."""
FREE: Final = "text"
"""The type of answers in words of their own, which only imported records have; stored as text."""
WRITTEN = ("steps", "map")
"""Types that only the sentence holds."""


class Answer(NamedTuple):
    """A typed answer, as the columns `answer_type`, `_text`, `_number` and `_unit` hold it.

    Attributes:
        type: One of `ANSWER_TYPES`.
        unit: One of `UNITS`.
        text: The word, letter or free text, else None.
        number: 1 to 4 numbers, else empty; exactly what the text says.
        steps: The legs of a walk, for the type "steps".
        places: Names and cells, for the type "map".
    """

    type: AnswerType
    unit: str
    text: str | None = None
    number: tuple[float, ...] = ()
    steps: tuple[Step, ...] = ()
    places: tuple[Place, ...] = ()

    @property
    def span(self) -> str:
        """The machine answer, without backticks."""
        return answer_span(self)


@lru_cache(maxsize=256)
def word(value: str) -> Answer:
    """A word of a closed set."""
    return Answer("word", "word", text=value)


@lru_cache(maxsize=256)
def option_lines(options: tuple[str, ...]) -> str:
    """What a choice offers, one a line: "A. left", "B. right".

    Example:
        >>> print(option_lines(("left", "right")))
        A. left
        B. right
    """
    return "\n".join(
        f"{name}. {text}" for name, text in zip(ascii_uppercase, options, strict=False)
    )


def letter(value: str) -> Answer:
    """A letter of a choice."""
    return Answer("letter", "letter", text=value)


def integer(value: float, unit: str, rounding: Rounding = "nearest") -> Answer:
    """A whole number of `unit`."""
    return Answer("integer", unit, number=(round_number(value, rounding),))


def integers(
    values: Float64, unit: str, rounding: Rounding = "nearest"
) -> list[tuple[Answer, str]]:
    """`integer` of n values, each with its text.

    Example:
        >>> [text for _, text in integers(np.array([2.5, -0.4]), "mm")]
        ['2', '0']
    """
    whole = round_numbers(values, rounding)
    return [
        (Answer("integer", unit, None, (value,)), text)
        for value, text in zip(
            whole.tolist(), map(str, whole.astype(np.int64).tolist()), strict=True
        )
    ]


def number(value: float, unit: str, decimals: int = 1) -> Answer:
    """A number with decimals, rounded half to even: 2.34 m is 2.3."""
    return Answer("number", unit, number=(round(value, decimals) + 0.0,))


def vector(values: Sequence[float], unit: str, rounding: Rounding = "nearest") -> Answer:
    """Three whole numbers of `unit`."""
    return Answer("vector", unit, number=tuple(round_number(v, rounding) for v in values))


def vectors(
    values: Float64, unit: str, rounding: Rounding = "nearest"
) -> list[tuple[Answer, list[str]]]:
    """`vector` of n values (n, 3), each with the texts of its components."""
    whole = round_numbers(values, rounding)
    return [
        (Answer("vector", unit, None, tuple(value)), list(map(str, texts)))
        for value, texts in zip(whole.tolist(), whole.astype(np.int64).tolist(), strict=True)
    ]


def coordinate(x: float, y: float) -> Answer:
    """A point of an image in 0..1000, as `norm1000` gives it."""
    return Answer("coordinate", "norm1000", number=(float(x), float(y)))


def box(x0: float, y0: float, x1: float, y1: float) -> Answer:
    """A box of an image in 0..1000: its left, upper, right and lower side."""
    return Answer("box", "norm1000", number=(float(x0), float(y0), float(x1), float(y1)))


def box_centre(sides: Sequence[float]) -> tuple[float, float]:
    """The middle of a box of 0..1000."""
    return 0.5 * (sides[0] + sides[2]), 0.5 * (sides[1] + sides[3])


def map_places(places: Sequence[Place]) -> Answer:
    """Where named things stand on a map of cells."""
    return Answer("map", "cell", places=tuple(places))


def places_text(places: Sequence[Place]) -> str:
    """Names and cells as a map's text lists them.

    Example:
        >>> places_text([("bed", 2, 7), ("lamp", 0, 9)])
        'bed [ 2 , 7 ]; lamp [ 0 , 9 ]'
    """
    return "; ".join(f"{name} [ {x} , {y} ]" for name, x, y in places)


def steps(legs: Sequence[Step]) -> Answer:
    """A list of navigation steps; lengths are written with one decimal."""
    return Answer(
        "steps", "steps",
        steps=tuple(replace(leg, distance_m=round(leg.distance_m, 1) + 0.0) for leg in legs),
    )  # fmt: skip


def round_number(value: float, rounding: Rounding = "nearest") -> float:
    """Whole number as float: ties to even, or truncated toward zero. Never minus zero.

    Example:
        >>> round_number(2.5), round_number(-0.4), round_number(-3.9, "truncate")
        (2.0, 0.0, -3.0)
    """
    return float(math.trunc(value) if rounding == "truncate" else round(value))


def round_numbers(values: Float64, rounding: Rounding = "nearest") -> Float64:
    """`round_number` of an array."""
    whole = np.trunc(values) if rounding == "truncate" else np.rint(values)
    return np.asarray(whole + 0.0)  # minus zero plus zero is zero


def norm1000(u: float, v: float, width: int, height: int) -> tuple[int, int]:
    """Pixel to 0..1000 coordinates: round half to even of 1000 u / W and 1000 v / H.

    Example:
        >>> norm1000(648.0, 484.0, 1296, 968)
        (500, 500)
    """
    return round(1000 * u / width), round(1000 * v / height)


def _digits(value: float, whole: bool) -> str:
    return str(int(value)) if whole else repr(float(value))


def answer_span(answer: Answer) -> str:
    """The machine answer as text.

    Example:
        >>> answer_span(vector((120.2, -3.0, 0.4), "mm"))
        '[ 120 , -3 , 0 ]'
    """
    if answer.type in (*CLOSED, FREE):
        return str(answer.text)
    if answer.type == "map":
        return places_text(answer.places)
    if answer.type == "steps":
        return "; ".join(map(_step_text, answer.steps))
    whole = answer.type != "number"
    parts = [_digits(value, whole) for value in answer.number]
    return parts[0] if len(parts) == 1 else f"[ {' , '.join(parts)} ]"


def _step_text(step: Step) -> str:
    angle = "" if step.angle_deg is None else f" {step.angle_deg} deg"
    landmark = "" if step.landmark is None else f" {step.landmark}"
    return f"{step.turn}{angle} {step.distance_m:.1f} m{landmark}"
