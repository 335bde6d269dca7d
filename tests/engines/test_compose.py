# SPDX-License-Identifier: Apache-2.0
"""Columns of many records: evidence has the bytes of the json module, keys are those of one row."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spatial_engine.dataset.compose import placeholders
from spatial_engine.dataset.evidence import evidence_column
from spatialcore import _cpu

FLOATS = st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.none() | st.booleans() | st.integers() | FLOATS | st.text()
INTS = st.integers(-(2**63), 2**63 - 1)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner)
)


def expected(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def texts(*values: dict[str, Any]) -> list[str]:
    return evidence_column(values, [()] * len(values)).to_pylist()


def with_items(*values: dict[str, Any]) -> list[str]:
    return [expected({**value, "items": []}) for value in values]


@given(st.lists(st.tuples(st.dictionaries(st.text(), VALUES, max_size=4), st.lists(INTS))))
def test_the_bytes_are_those_of_json(rows: list[tuple[dict[str, Any], list[int]]]) -> None:
    evidence, items = [one for one, _ in rows], [tuple(items) for _, items in rows]
    column = evidence_column(evidence, items)
    assert column.to_pylist() == [expected({**one, "items": items}) for one, items in rows]


def test_floats_around_every_power_of_ten() -> None:
    values = []
    for exponent in range(-25, 25):
        power = 10.0**exponent
        beside = [float(np.nextafter(power, 0)), float(np.nextafter(power, np.inf))]
        values += [{"x": x} for one in (power, -power, 1.5 * power, *beside) for x in (one, [one])]
    assert texts(*values) == with_items(*values)


def test_special_values() -> None:
    values: list[dict[str, Any]] = [
        {"ends": [0.0, -0.0, 5e-324, 1.7976931348623157e308, 2**63 - 1, -(2**63), 2**70]},
        {"text": '\x00\x1f"\\/\n\r\t\b\f null 1e5, 0.00001'},
        {"text": "\x7f"},
        {"text": "\u00e9\u2028\U0001f600"},
        {"\u00e9": {"b": (1, True), "a": np.float64(0.1)}},
        {"x": None},
    ]
    for value in values:
        assert texts(value) == with_items(value)
    assert texts(*values) == with_items(*values)
    assert texts({"text": "\ud800"}, *values) == with_items({"text": "\ud800"}, *values)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        texts({"x": [value]})


@pytest.mark.parametrize("value", [{"x": np.int64(1)}, {"x": {1: 2}}, {"x": object()}])
def test_what_json_has_no_word_for_is_refused(value: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        texts(value)


def test_a_value_that_holds_itself_is_refused() -> None:
    value: dict[str, Any] = {}
    value["x"] = value
    with pytest.raises(RecursionError):
        texts(value)
    assert texts({"x": 1}) == ['{"items":[],"x":1}']


@given(st.lists(st.tuples(st.lists(INTS, max_size=60), st.lists(INTS, max_size=60))))
def test_compiled_keys_are_those_of_one_row(rows: list[tuple[list[int], list[int]]]) -> None:
    frames, frame_ends, keys, key_ends = _cpu.row_columns(rows)
    assert frames.tolist() == [frame for shown, _ in rows for frame in shown]
    assert keys.tolist() == [n for shown, items in rows for n in (*sorted(shown), *items)]
    assert np.diff(frame_ends, prepend=0).tolist() == [len(shown) for shown, _ in rows]
    assert np.diff(key_ends, prepend=0).tolist() == [len(f) + len(i) for f, i in rows]


def test_placeholders_are_numbered_from_two_images_on() -> None:
    assert placeholders(1) == "<image>"
    assert placeholders(2) == "Image 1: <image>\nImage 2: <image>"
