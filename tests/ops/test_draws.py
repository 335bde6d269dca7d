# SPDX-License-Identifier: Apache-2.0
"""Compiled draws: bit-equal to the plain steps, on every instruction set."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spatialcore import BitMask, _cpu
from spatialcore.draws import (
    draw,
    first_passing,
    fold,
    fold_all,
    fold_array,
    smallest_common,
    smallest_draws,
)

WORD = st.integers(0, 2**64 - 1)


@pytest.fixture(params=_cpu.isas(), autouse=True)
def isa(request: pytest.FixtureRequest) -> Iterator[None]:
    _cpu.set_isa(request.param)
    yield
    _cpu.set_isa("")


def test_the_vector_of_the_contract() -> None:
    ints = [10, 25]
    expected = 0x7494761FF7B9871A
    assert (
        draw(7, "camera_movement.distance", "scannet", "scene0000_00", ints, "select") == expected
    )


@given(WORD, st.lists(st.integers(-(2**63), 2**63 - 1), max_size=6))
def test_all_integers_are_folded_in_turn(state: int, ints: list[int]) -> None:
    expected = state
    for number in ints:
        expected = fold(expected, number)
    assert fold_all(state, ints) == expected
    assert fold_all(state, np.array(ints, dtype=np.int64)) == expected


@pytest.mark.parametrize("n", [0, 1, 3, 63, 257, 511, 512, 513, 2000])
@pytest.mark.parametrize("count", [0, 1, 32, 5000])
def test_smallest_draws_are_those_of_a_stable_sort(n: int, count: int) -> None:
    rng = np.random.default_rng(n)
    ids = rng.integers(-(2**62), 2**62, n)
    ids[n // 2 :] = ids[: n - n // 2]  # equal draws: the lower row comes first
    drawn = fold_array(np.full(n, 99, np.uint64), ids)
    assert smallest_draws(99, ids, count) == np.argsort(drawn, kind="stable")[:count].tolist()


@pytest.mark.parametrize("share", [0.0, 0.001, 0.05, 0.9])
def test_the_first_that_passes_is_the_smallest_of_all_that_pass(share: float) -> None:
    rng = np.random.default_rng(3)
    for trial in range(30):
        ids = rng.permutation(700)
        allowed = rng.random(700) < share
        rows = np.flatnonzero(allowed)
        drawn = fold_array(np.full(700, trial, np.uint64), ids)
        expected = int(rows[np.argmin(drawn[rows])]) if len(rows) else -1
        assert first_passing(trial, ids, lambda r, allowed=allowed: allowed[r]) == expected


def test_nothing_passes_where_there_is_nothing() -> None:
    assert first_passing(1, np.zeros(0, np.int64), lambda rows: rows >= 0) == -1


@pytest.mark.parametrize("points", [1, 63, 64, 200])
def test_smallest_common_looks_at_what_both_frames_see(points: int) -> None:
    rng = np.random.default_rng(points)
    seen = rng.random((3, points)) < 0.3
    seen[2] = False
    ids = rng.permutation(points).astype(np.uint32)
    mask = BitMask.from_bool(seen)
    both = ids[seen[0] & seen[1]].astype(np.int64)
    drawn = fold_array(np.full(len(both), 5, np.uint64), both)
    expected = int(both[np.argmin(drawn)]) if len(both) else -1
    assert smallest_common(5, mask, 0, 1, ids) == expected
    assert smallest_common(5, mask[::-1], 2, 1, ids) == expected
    assert smallest_common(5, mask, 0, 2, ids) == -1


def test_a_frame_that_is_not_there_is_refused() -> None:
    mask, ids = BitMask.zeros(2, 10), np.arange(10, dtype=np.uint32)
    with pytest.raises(ValueError, match="no such frame"):
        smallest_common(0, mask, 0, 2, ids)
    with pytest.raises(ValueError, match="ids"):
        smallest_common(0, mask, 0, 1, np.arange(65, dtype=np.uint32))
