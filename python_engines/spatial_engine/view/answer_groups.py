# SPDX-License-Identifier: Apache-2.0
"""Answers of a task in a few groups, to count and to choose from: the bars of the gallery."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from spatial_engine.records.record import QARecord

MOST_GROUPS = 24
_BINS = 12  # aimed at, of numbers
_EXACT = 13  # different numbers that are still named one by one
_SIDES = (("left", "centre", "right"), ("top", "middle", "bottom"))
_UNIT = {"m2": "m²", "degree": "°", "count": ""}
_OTHER = "other"


class AnswerGroups(NamedTuple):
    """The groups of a task.

    Attributes:
        names: Names of the groups, as shown.
        of_record: Group of each record.
        about: What is grouped where it is not the answer itself, e.g. the length of a vector.
    """

    names: list[str]
    of_record: list[int]
    about: str


def answer_key(record: QARecord) -> str | float:
    """What a record's answer is grouped by: a word, or a number.

    A vector counts by its length, a coordinate by its ninth of the image, a
    box too, by its centre; a walk by its legs, a map by its places.
    """
    kind, numbers = record.answer_type, record.answer_number
    if kind in ("integer", "number") and len(numbers) == 1:
        return numbers[0]
    if kind == "vector" and numbers:
        return math.hypot(*numbers)
    if kind == "box" and len(numbers) == 4:
        numbers = ((numbers[0] + numbers[2]) / 2, (numbers[1] + numbers[3]) / 2)
    if kind in ("coordinate", "box") and len(numbers) == 2:
        return ", ".join(
            names[min(max(int(n // 334), 0), 2)] for names, n in zip(_SIDES, numbers, strict=True)
        )
    if kind == "steps":
        return _counted(record.answer.count(";") + 1, "leg")
    if kind == "map":
        return _counted(record.answer.count(";") + 1, "place")
    if record.answer_text is not None:
        return record.answer_text
    found = re.search(r"`([^`]*)`", record.answer)
    return found.group(1).strip()[:60] if found else record.answer[:60]


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'s' if count > 1 else ''}"


def group_answers(keys: Sequence[str | float], unit: str, kind: str) -> AnswerGroups:
    """Groups of the keys of one task's records.

    Args:
        keys: `answer_key` of each record.
        unit: The answers' unit.
        kind: The answers' type.
    """
    about = {"vector": "length", "coordinate": "part of the image", "box": "part of the image"}.get(
        kind, ""
    )
    numbers = [key for key in keys if isinstance(key, float)]
    if len(numbers) != len(keys):
        return _named([str(key) for key in keys], about)
    shown = _UNIT.get(unit, unit)
    if len(set(numbers)) <= _EXACT:
        order = sorted(set(numbers))
        place = {number: k for k, number in enumerate(order)}
        names = [f"{number:g} {shown}".rstrip() for number in order]
        return AnswerGroups(names, [place[number] for number in numbers], about)
    return _binned(numbers, shown, about)


def _named(keys: Sequence[str], about: str) -> AnswerGroups:
    counted = Counter(keys)
    names = sorted(counted) if len(counted) <= MOST_GROUPS else [
        name for name, _ in sorted(counted.items(), key=lambda one: (-one[1], one[0]))
    ][: MOST_GROUPS - 1]  # fmt: skip
    place = {name: k for k, name in enumerate(names)}
    if len(names) < len(counted):
        names.append(_OTHER)
    return AnswerGroups(names, [place.get(key, len(names) - 1) for key in keys], about)


def _binned(numbers: Sequence[float], unit: str, about: str) -> AnswerGroups:
    ranked = sorted(numbers)
    low, high = ranked[len(ranked) // 100], ranked[-1 - len(ranked) // 100]
    step = _nice((high - low) / _BINS)
    first, last = math.floor(low / step), math.floor(high / step)
    names = [f"{k * step:g} to {(k + 1) * step:g} {unit}".rstrip() for k in range(first, last + 1)]
    if ranked[0] < first * step:
        names[0] = f"below {(first + 1) * step:g} {unit}".rstrip()
    if ranked[-1] >= (last + 1) * step:
        names[-1] = f"from {last * step:g} {unit}".rstrip()
    places = [min(max(math.floor(n / step), first), last) - first for n in numbers]
    return AnswerGroups(names, places, about)


def _nice(step: float) -> float:
    """The next of 1, 2, 5, 10, ..., so that bins have round ends."""
    power = 10.0 ** math.floor(math.log10(step)) if step > 0 else 1.0
    return next(m * power for m in (1, 2, 5, 10) if m * power >= step * 0.999) if step > 0 else 1.0
