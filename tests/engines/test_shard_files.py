# SPDX-License-Identifier: Apache-2.0
"""Ids are compared by their hashes, and by their text where two hashes are equal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spatial_engine.check import files as check_files
from spatial_engine.check.files import sampled
from spatial_engine.dataset import ids as shard_ids
from spatial_engine.dataset.ids import repeated_ids

IDS = {Path("a"): ["x", "y", "z"], Path("b"): ["u", "x"], Path("c"): []}


@pytest.fixture(autouse=True)
def files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_ids, "_ids", lambda path: iter(IDS[path]))


def keys(of_id: dict[str, int]) -> list[np.ndarray]:
    return [np.array([of_id[i] for i in ids], dtype=np.uint64) for ids in IDS.values()]


def test_an_id_of_two_shards_is_found() -> None:
    plain = {"x": 9, "y": 2, "z": 5, "u": 1}
    assert repeated_ids(list(IDS), keys(plain)) == ["x"]
    assert repeated_ids([], []) == []


def test_two_ids_of_one_hash_are_not_one_id() -> None:
    assert repeated_ids(list(IDS), keys({"x": 9, "y": 2, "z": 2, "u": 2})) == ["x"]


def test_the_rows_with_the_smallest_hashes_are_checked() -> None:
    found = sampled(keys({"x": 3, "y": 2, "z": 5, "u": 1}), 3)
    assert found == [frozenset({0, 1}), frozenset({0}), frozenset()]
    assert sampled(keys({"x": 3, "y": 2, "z": 5, "u": 1}), None) == [None] * 3


def test_a_sample_of_many_shards_is_taken_from_some(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those with the smallest hashes, and of them the rows with the smallest."""
    monkeypatch.setattr(check_files, "SAMPLED_SHARDS", 2)
    found = sampled([np.array(k, dtype=np.uint64) for k in ([30, 5], [40, 50], [7, 8, 60])], 3)
    assert found == [frozenset({1}), frozenset(), frozenset({0, 1})]
