# SPDX-License-Identifier: Apache-2.0
"""Evidence as a short table: numbers with their units, long lists as what they hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_DIGITS = 5  # significant, of a number
_LISTED = 6  # numbers of a list that are written out; of a longer one the count and the range
_DEEPEST = 3
_UNITS = {"_m2": "m²", "_m3": "m³", "_m": "m", "_mm": "mm", "_deg": "°", "_px": "px"}
_LEAST_HASH = 12
_TEXT = 80  # characters of a word
_WHOLE = 160  # of a value


def evidence_table(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name and text of each value; the record itself keeps all of them.

    Example:
        >>> evidence_table({"gap_m": 1.25, "floor": {"runs": [1] * 600}, "turns_deg": [90, -45.5]})
        [('gap', '1.25 m'), ('floor', 'runs: 600 values, 1 to 1'), ('turns', '90, -45.5 °')]
    """
    return [_row(name, value) for name, value in facts.items()]


def _row(name: str, value: Any) -> tuple[str, str]:
    suffix = next((s for s in _UNITS if name.endswith(s) and name != s), "")
    unit = _UNITS.get(suffix, "")
    if suffix and isinstance(value, dict | list) and _is_deep(value):
        unit = ""
    text = _short(value, 0)
    if len(text) > _WHOLE:
        text = f"{text[:_WHOLE]}…"
    return name.removesuffix(suffix).replace("_", " "), f"{text} {unit}" if unit else text


def _is_deep(value: dict[str, Any] | list[Any]) -> bool:
    inner = value.values() if isinstance(value, dict) else value
    return any(isinstance(one, dict | list) for one in inner)


def _short(value: Any, depth: int) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, float | int):
        return f"{value:.{_DIGITS}g}" if isinstance(value, float) else str(value)[:_TEXT]
    if isinstance(value, str):
        is_hash = len(value) >= _LEAST_HASH and set(value) <= set("0123456789abcdef")
        shown = value[:8] if is_hash else value[:_TEXT]
        return shown if shown == value else f"{shown}…"
    if depth == _DEEPEST:
        return "…"
    if isinstance(value, dict):
        pairs = [f"{name}: {_short(one, depth + 1)}" for name, one in list(value.items())[:_LISTED]]
        return ", ".join([*pairs, "…"] if len(value) > _LISTED else pairs)
    return _list(value, depth)


def _list(value: list[Any], depth: int) -> str:
    numbers = [one for one in value if isinstance(one, float | int)]
    if len(value) > _LISTED or _size(value) > 4 * _LISTED:
        if numbers and len(numbers) == len(value):
            return f"{len(value)} values, {_short(min(numbers), 0)} to {_short(max(numbers), 0)}"
        shape = " by ".join(map(str, _shape(value)))
        return f"{shape} values" if " by " in shape else f"{shape} entries"
    if _size(value) > _LISTED and any(isinstance(one, dict) for one in value):
        return f"{len(value)} entries"
    parts = [_short(one, depth + 1) for one in value]
    if any(isinstance(one, dict | list) for one in value):
        return "; ".join(f"({part})" for part in parts)
    return ", ".join(parts) or "none"


def _size(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value
    return sum(_size(one) if isinstance(one, dict | list) else 1 for one in inner)


def _shape(value: Any) -> list[int]:
    """Sizes of nested lists as far as they are alike."""
    sizes = []
    while isinstance(value, list) and value:
        sizes.append(len(value))
        inner = value[0]
        alike = (
            all(isinstance(one, list) and len(one) == len(inner) for one in value)
            if isinstance(inner, list)
            else False
        )
        if not alike:
            break
        value = inner
    return sizes
