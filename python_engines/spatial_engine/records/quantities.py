# SPDX-License-Identifier: Apache-2.0
"""Numbers with units as people and models write them, read as meant or not at all.

A wrong number is worse than none: bounds ("less than 2 m"), ranges ("2-3 m"), numbers with another
dimension than the asked one ("30 degrees" of a length) and texts with several candidates give
nothing.
"""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass, replace
from itertools import pairwise

from spatial_engine.records.answers import METRES_PER

# To the base of each dimension: metres, square metres, metres per second, degrees.
_SCALES: dict[str, tuple[str, float]] = {
    **{name: ("length", metres) for name, metres in METRES_PER.items()},
    "km": ("length", 1000.0),
    "in": ("length", 0.0254),
    "ft": ("length", 0.3048),
    "yd": ("length", 0.9144),
    "m2": ("area", 1.0),
    "cm2": ("area", 1e-4),
    "ft2": ("area", 0.3048**2),
    "mm/s": ("speed", 0.001),
    "cm/s": ("speed", 0.01),
    "m/s": ("speed", 1.0),
    "km/h": ("speed", 1.0 / 3.6),
    "degree": ("angle", 1.0),
    "rad": ("angle", math.degrees(1.0)),
}
_SQUARE = r"(?:sq(?:uare|\.)?[ -]?)"
_PER_SECOND = r"\s*(?:/|per|a)\s*(?:seconds?|sec|s)"
_UNITS: tuple[tuple[str, str], ...] = (
    ("mm_per_s", rf"(?:mm|millimet(?:re|er)s?){_PER_SECOND}|mmps"),
    ("cm_per_s", rf"(?:cm|centimet(?:re|er)s?){_PER_SECOND}|cmps"),
    ("m_per_s", rf"(?:m|met(?:re|er)s?){_PER_SECOND}|mps"),
    ("km_per_h", r"(?:km|kilomet(?:re|er)s?)\s*(?:/|per|an)\s*h(?:our)?|kmh|kph"),
    ("m2", rf"m\^?2|sqm|{_SQUARE}(?:m|met(?:re|er)s?)"),
    ("cm2", rf"cm\^?2|{_SQUARE}(?:cm|centimet(?:re|er)s?)"),
    ("ft2", rf"ft\^?2|sqft|{_SQUARE}(?:ft|feet|foot)"),
    ("mm", r"mm|millimet(?:re|er)s?"),
    ("cm", r"cm|centimet(?:re|er)s?"),
    ("km", r"km|kilomet(?:re|er)s?"),
    ("m", r"m|met(?:re|er)s?"),
    ("ft", r"ft|foot|feet"),
    ("in", r"in(?=$|[.,;)\]]|\s*$)|inch(?:es)?"),
    ("yd", r"yd|yards?"),
    ("degree", r"deg(?:rees?)?"),
    ("rad", r"rad(?:ians?)?"),
)
_SIGNS = {"°": "degree", "'": "ft", '"': "in"}
_UNIT = re.compile(
    r"\s*[\])]?\s*-?(?:(?:" + "|".join(rf"(?P<{name}>{text})" for name, text in _UNITS)
    + r")(?![\w^])|(?P<sign>[°'\"]))",
    re.IGNORECASE,
)  # fmt: skip
# A sign belongs to a number only where nothing stands before it that it could be minus of.
_SIGN = r"(?:(?<![\w.)\]])(?<![\d)\]] )[-+] ?)?"
_TAIL = r"(?:\.\d+)?(?:[eE][-+]?\d+)?(?![\d]|\.\d)"
_PLAIN = re.compile(rf"{_SIGN}(?<![\w.])(?:\d+{_TAIL}|\.\d+(?:[eE][-+]?\d+)?(?![\d.]))")
_GROUPED = re.compile(
    rf"{_SIGN}(?<![\w.])(?:\d{{1,3}}(?:([, '])\d{{3}})(?:\1\d{{3}})*(?![,']?\d){_TAIL}"
    rf"|\d+,\d+(?:,\d+)*|\d+{_TAIL}|\.\d+(?:[eE][-+]?\d+)?(?![\d.]))"
)
# "image 2" names an image; it is no number that was said.
_LABEL = re.compile(
    r"\b(?:images?|frames?|views?|pictures?|photos?|photographs?|options?|steps?|figures?|points?"
    r"|questions?|choices?)\s*(?:no\.?|number|#)?\s*\d+(?:\s*(?:and|&|to)\s*\d+)?(?![\d.]\d|\d)",
    re.IGNORECASE,
)
_BOUND = re.compile(
    r"(?:(?<![a-z/\"])[<>\u2264\u2265]=?|\b(?:less|more|fewer|greater|larger|smaller|shorter|longer)\s+than"
    r"|\b(?:at (?:least|most)|up to|no more than|under|over|below|above|not|within))"
    r"\s*(?:about\s*)?$",
    re.IGNORECASE,
)
# What makes of the number before it another one, or none: "2 and a half", "50 %", "two thirds".
_CHANGED = re.compile(
    r"\s*(?:%|percent\b|hundred|thousand|million|dozen|half\b|halves|thirds?\b|quarters?\b"
    r"|tenths?\b|(?:and|&) (?:a|one) (?:half|quarter|third)|point\b|times\b|x\b|/)",
    re.IGNORECASE,
)
_LOOK_BACK = 40
_RANGE = re.compile(r"\s*(?:-|~|to|and|or|\.\.+)\s*", re.IGNORECASE)
# fmt: off
NUMBER_WORDS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
    "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
    "twenty",
)
# fmt: on
_WORD = re.compile(rf"\b({'|'.join(sorted(NUMBER_WORDS, key=len, reverse=True))})\b(?!-)", re.I)


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number in a text: its value, its unit if it has one, and where it stands.

    `vague` says that it bounds or changes what is meant, or is one end of a range.
    """

    value: float
    unit: str | None
    start: int
    end: int
    vague: bool = False


def plain_text(text: str) -> str:
    r"""The text with one form of digits, signs, quotes and spaces.

    Example:
        >>> plain_text("\u22121\u202f500\xa0m\xb2, \uff11\uff12\xba")
        '-1 500 m2, 12\xb0'
    """
    for old, new in (("\xba", "\xb0"), ("\u2212", "-"), ("\u2032", "'"), ("\u2033", '"')):
        text = text.replace(old, new)
    text = unicodedata.normalize("NFKC", text)
    text = re.sub("[\u2018\u2019]", "'", re.sub("[\u201c\u201d]", '"', text))
    # A dash before a number is a minus, unless a number stands before it: then it is a range.
    text = re.sub(r"(?<![\d.])(?<!\d )[\u2010-\u2015](?=\s?[\d.])", "-", text)
    return re.sub("[\u2010-\u2015]", " - ", text)


def quantities(text: str, *, grouped: bool, words: bool = False) -> list[Quantity] | None:
    """Every number of a text that `plain_text` made, in order.

    Args:
        text: The text.
        grouped: Read "1,500" and "1 500" as one number; a comma between coordinates is none.
        words: Also read number words up to twenty.

    Returns:
        The numbers; None where one cannot be told ("1,5": a decimal, or two numbers?).
    """
    labelled = {i for match in _LABEL.finditer(text) for i in range(*match.span())}
    found: list[Quantity] = []
    for match in (_GROUPED if grouped else _PLAIN).finditer(text):
        if match.start() in labelled:
            continue
        value = _value(match.group())
        if value is None:
            return None
        unit, end = _unit_after(text, match.start(), match.end())
        found.append(Quantity(value, unit, match.start(), end, _vague(text, match)))
    if words:
        found += [
            Quantity(
                float(NUMBER_WORDS.index(m[1].lower())), None, m.start(), m.end(), _vague(text, m)
            )
            for m in _WORD.finditer(text)
        ]
        found.sort(key=lambda quantity: quantity.start)
    joined = _feet_and_inches(found)
    return _ranges_marked(text, joined) if grouped else joined


def _vague(text: str, match: re.Match[str]) -> bool:
    before = text[max(0, match.start() - _LOOK_BACK) : match.start()]
    after = _CHANGED.match(text, match.end())
    return after is not None or _BOUND.search(before) is not None


def _ranges_marked(text: str, found: list[Quantity]) -> list[Quantity]:
    """Both ends of a range are vague; 1.5 m (1500 mm) is none."""
    vague = {
        i
        for i, (one, other) in enumerate(pairwise(found))
        if _RANGE.fullmatch(text[one.end : other.start])
    }
    vague |= {i + 1 for i in vague}
    return [replace(one, vague=one.vague or i in vague) for i, one in enumerate(found)]


def _value(text: str) -> float | None:
    digits = text.replace(" ", "").replace("'", "")
    if "," in digits:
        head, *groups = digits.split(",")
        if len(head.lstrip("+-")) > 3 or any(len(g.split(".")[0]) != 3 for g in groups):
            return None
        digits = digits.replace(",", "")
    value = float(digits)
    return value if math.isfinite(value) else None


def _unit_after(text: str, start: int, at: int) -> tuple[str | None, int]:
    match = _UNIT.match(text, at)
    if match is None:
        return None, at
    name = match.lastgroup
    if name is not None and name != "sign":
        return name.replace("_per_", "/"), match.end()
    quoted = match["sign"] != "\xb0" and text[:start].rstrip("+-").endswith(match["sign"])
    return (None, at) if quoted else (_SIGNS[match["sign"]], match.end())


def _feet_and_inches(found: list[Quantity]) -> list[Quantity]:
    """5 ft 3 in is one length."""
    joined: list[Quantity] = []
    for quantity in found:
        before = joined[-1] if joined else None
        if (
            before is not None
            and (before.unit, quantity.unit) == ("ft", "in")
            and quantity.start - before.end <= len(" and ")
        ):
            inches = before.value * 12 + math.copysign(quantity.value, before.value)
            joined[-1] = Quantity(inches, "in", before.start, quantity.end, before.vague)
        else:
            joined.append(quantity)
    return joined


def converted(quantity: Quantity, unit: str, given: str | None = None) -> float | None:
    """The value in the asked unit; None where the units measure different things.

    Args:
        quantity: The number.
        unit: The unit asked for.
        given: The unit it is in where it names none; None = the asked one.
    """
    name = quantity.unit or given or unit
    if name == unit:
        return quantity.value
    if name not in _SCALES or unit not in _SCALES:
        return None
    (dimension, scale), (asked, base) = _SCALES[name], _SCALES[unit]
    if dimension != asked:
        return None
    # Powers of ten by a whole number, which is exact.
    ratio = scale / base
    whole = round(ratio) if ratio >= 1 else round(1 / ratio)
    if math.isclose(whole, ratio if ratio >= 1 else 1 / ratio, rel_tol=1e-12):
        return quantity.value * whole if ratio >= 1 else quantity.value / whole
    return round(quantity.value * ratio, 9)
