# SPDX-License-Identifier: Apache-2.0
"""Evidence of records as canonical JSON.

Canonical is what `json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)` gives:
keys sorted, ASCII alone, floats in the shortest digits that read back, written as `repr` writes
them. msgspec encodes many records at once, four times as fast, and differs in few places: exponents
(1e-05 is 1e-5 or 0.00001 there), text that is not ASCII, and null for a float that is not finite.
Records with such a place are encoded by json.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa


def evidence_column(
    evidence: Sequence[Mapping[str, Any]], items: Sequence[Sequence[int]]
) -> pa.StringArray:
    """The canonical JSON of each record's evidence with its items as "items".

    Args:
        evidence: Numbers, texts, booleans, None, lists, tuples and dictionaries of them. Sets and
            bytes have no canonical form; they come out as msgspec writes them.
        items: Points, objects or tracks of each record.

    Raises:
        ValueError: A float is not finite.
        TypeError: A key is not text, or a value is none that JSON has.

    Example:
        >>> evidence_column([{"b": [1, 0.1], "a": None}], [(7,)]).to_pylist()
        ['{"a":null,"b":[1,0.1],"items":[7]}']
    """
    values = [{**one, "items": about} for one, about in zip(evidence, items, strict=True)]
    try:
        lines = _ENCODER.encode_lines(values)
    except UnicodeEncodeError:  # half of a surrogate pair, which only an escape can hold
        return pa.array([_by_json(value) for value in values], pa.string())
    texts = lines.split(b"\n")[:-1]
    for row in _rows_to_repeat(lines):
        texts[row] = _by_json(values[row]).encode()
    return pa.array(texts, pa.string())


def _as_float(value: object) -> float:
    """Numpy's float64, which is a float."""
    if isinstance(value, float):
        return float(value)
    raise TypeError(f"no JSON value: {type(value).__name__}")


_ENCODER = msgspec.json.Encoder(order="sorted", enc_hook=_as_float)


def _by_json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


_EXPONENT = re.compile(rb"e-?[0-9]+[,\]}]")
_SMALL = re.compile(rb"0\.0000")
_NULL = re.compile(rb"null")
_NO_ASCII = re.compile(rb"[\x7f-\xff]")


def _rows_to_repeat(lines: bytes) -> list[int]:
    """Lines that json may write otherwise; some of them it does not."""
    patterns = [_EXPONENT]  # one by one: together they are looked for ten times as slowly
    patterns += [_SMALL] if b"0.0000" in lines else []
    patterns += [_NULL] if b"null" in lines else []
    patterns += [_NO_ASCII] if b"\x7f" in lines or not lines.isascii() else []
    places = [match.start() for pattern in patterns for match in pattern.finditer(lines)]
    if not places:
        return []
    ends = np.flatnonzero(np.frombuffer(lines, np.uint8) == ord("\n"))
    return [int(row) for row in np.unique(np.searchsorted(ends, places))]
