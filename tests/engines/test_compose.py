# SPDX-License-Identifier: Apache-2.0
"""Canonical JSON has the bytes of the json module, whatever the value."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spatial_engine.compose import canonical_json, placeholders

FLOATS = st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.none() | st.booleans() | st.integers() | FLOATS | st.text()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner)
)


def expected(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


@given(st.dictionaries(st.text(), VALUES, max_size=5))
def test_the_bytes_are_those_of_json(value: dict[str, Any]) -> None:
    assert canonical_json(value) == expected(value)


@pytest.mark.parametrize("exponent", range(-25, 25))
def test_floats_around_every_power_of_ten(exponent: int) -> None:
    power = 10.0**exponent
    values = [power, -power, np.nextafter(power, 0), np.nextafter(power, np.inf), 1.5 * power]
    assert canonical_json({"x": values}) == expected({"x": values})


def test_special_values() -> None:
    value = {
        "ends": [0.0, -0.0, 5e-324, 1.7976931348623157e308, 2**63 - 1, -(2**63), 2**70, -(2**70)],
        "text": '\x00\x1f\x7f"\\/\n\r\t\b\f \u00e9\u2028\U0001f600\ud800',
        "\u00e9": {"b": (1, True), "a": np.float64(0.1)},
    }
    assert canonical_json(value) == expected(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical_json({"x": [value]})


@pytest.mark.parametrize("value", [{"x": np.int64(1)}, {"x": {1: 2}}, {"x": b"1"}, {"x": {1, 2}}])
def test_what_json_has_no_word_for_is_refused(value: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        canonical_json(value)


def test_a_value_that_holds_itself_is_refused() -> None:
    value: dict[str, Any] = {}
    value["x"] = value
    with pytest.raises(RecursionError):
        canonical_json(value)
    assert canonical_json({"x": 1}) == '{"x":1}'


def test_placeholders_are_numbered_from_two_images_on() -> None:
    assert placeholders(1) == "<image>"
    assert placeholders(2) == "Image 1: <image>\nImage 2: <image>"
