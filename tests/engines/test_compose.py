# SPDX-License-Identifier: Apache-2.0
"""Compiled columns: JSON has the bytes of the json module, ids and keys are those of one row."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spatial_engine.dataset.compose import canonical_json, placeholders
from spatial_engine.dataset.texts import string_array
from spatial_engine.records.record import record_id
from spatialcore import _cpu

FLOATS = st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.none() | st.booleans() | st.integers() | FLOATS | st.text()
INTS = st.integers(-(2**63), 2**63 - 1)
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


@given(st.lists(st.tuples(st.dictionaries(st.text(), VALUES, max_size=4), st.lists(INTS))))
def test_evidence_is_json_with_the_items(rows: list[tuple[dict[str, Any], list[int]]]) -> None:
    rows = [({k: v for k, v in one.items() if k != "items"}, items) for one, items in rows]
    evidence, items = [one for one, _ in rows], [tuple(items) for _, items in rows]
    column = string_array(_cpu.evidence_json(evidence, items))
    assert column.to_pylist() == [expected({**one, "items": items}) for one, items in rows]


@given(st.lists(st.tuples(st.lists(INTS, max_size=60), st.lists(INTS, max_size=60))))
def test_compiled_ids_and_keys_are_those_of_one_row(
    rows: list[tuple[list[int], list[int]]],
) -> None:
    """Texts from none to many blocks of 128 bytes."""
    ids = string_array(_cpu.record_ids("default|task|source|scene|", "task/scene/", rows))
    assert ids.to_pylist() == [
        record_id("default", "task", "source", "scene", frames, items) for frames, items in rows
    ]
    frames, frame_ends, keys, key_ends = _cpu.row_columns(rows)
    assert frames.tolist() == [frame for shown, _ in rows for frame in shown]
    assert keys.tolist() == [n for shown, items in rows for n in (*sorted(shown), *items)]
    assert np.diff(frame_ends, prepend=0).tolist() == [len(shown) for shown, _ in rows]
    assert np.diff(key_ends, prepend=0).tolist() == [len(f) + len(i) for f, i in rows]


@pytest.mark.parametrize("length", [0, 100, 126, 127, 128, 129, 254, 255, 256, 1000])
def test_ids_around_the_ends_of_a_block(length: int) -> None:
    text = "x" * length
    digest = hashlib.blake2b(f"{text}|".encode(), digest_size=8).hexdigest()
    assert string_array(_cpu.record_ids(text, "", [((), ())])).to_pylist() == [digest]


def test_placeholders_are_numbered_from_two_images_on() -> None:
    assert placeholders(1) == "<image>"
    assert placeholders(2) == "Image 1: <image>\nImage 2: <image>"
