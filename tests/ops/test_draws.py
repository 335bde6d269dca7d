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
    fold,
    fold_all,
    fold_array,
    fold_lists,
    smallest_of_groups,
    smallest_seen,
    uniform_below,
    uniform_below_rows,
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


@given(st.lists(st.tuples(WORD, st.lists(st.integers(-(2**63), 2**63 - 1), max_size=4))))
def test_every_state_folds_its_own_list(rows: list[tuple[int, list[int]]]) -> None:
    states = np.array([state for state, _ in rows], dtype=np.uint64)
    numbers = np.array([n for _, ints in rows for n in ints], dtype=np.int64)
    ends = np.cumsum([len(ints) for _, ints in rows])
    assert fold_lists(states, numbers, ends).tolist() == [fold_all(s, ints) for s, ints in rows]


def test_lists_that_do_not_fit_are_refused() -> None:
    states = np.zeros(2, np.uint64)
    for ends in ([1], [2, 1], [0, 4], [-1, 0]):
        with pytest.raises(ValueError, match="ends"):
            fold_lists(states, [1, 2, 3], ends)


def smallest_plainly(state: int, seen: np.ndarray, ids: np.ndarray, count: int) -> list[int]:
    points = np.flatnonzero(seen)
    drawn = fold_array(np.full(len(points), state, np.uint64), ids[points].astype(np.int64))
    kept = points[np.argsort(drawn, kind="stable")][:count].tolist()
    return kept + [-1] * (count - len(kept))


@pytest.mark.parametrize("points", [1, 3, 63, 257, 512, 1500])
@pytest.mark.parametrize("count", [0, 1, 32, 700])
def test_the_smallest_draws_of_seen_points_are_those_of_a_stable_sort(
    points: int, count: int
) -> None:
    rng = np.random.default_rng(points)
    seen = rng.random((3, points)) < 0.6
    seen[2] = False
    ids = rng.permutation(points).astype(np.uint32)
    ids[points // 2 :] = ids[: points - points // 2]  # equal draws: the lower point comes first
    rows, others = np.array([0, 0, 1, 2, 0, 0]), np.array([0, 0, 1, 2, 1, 2])
    states = rng.integers(0, 2**63, len(rows), dtype=np.uint64)
    found = smallest_seen(states, BitMask.from_bool(seen), rows, ids, count, others=others)
    assert found.tolist() == [
        smallest_plainly(state, seen[row] & seen[other], ids, count)
        for state, row, other in zip(states.tolist(), rows, others, strict=True)
    ]


def test_one_frame_is_asked_where_no_other_is_named() -> None:
    seen = np.array([[True, False, True, True], [True, True, True, True]])
    states, ids = np.array([5, 5], np.uint64), np.arange(4, dtype=np.uint32)
    mask = BitMask.from_bool(seen)
    expected = [smallest_plainly(5, row, ids, 4) for row in seen]
    assert smallest_seen(states, mask, [0, 1], ids, 4).tolist() == expected
    assert smallest_seen(states, mask[::-1], [1, 0], ids, 4).tolist() == expected
    assert smallest_seen(states[:0], mask, [], ids, 4).shape == (0, 4)


def test_queries_that_do_not_fit_are_refused() -> None:
    mask, ids, state = BitMask.zeros(2, 10), np.arange(10, dtype=np.uint32), np.zeros(1, np.uint64)
    with pytest.raises(ValueError, match="no such frame"):
        smallest_seen(state, mask, [2], ids, 1)
    with pytest.raises(ValueError, match="no such frame"):
        smallest_seen(state, mask, [0], ids, 1, others=[-1])
    with pytest.raises(ValueError, match="ids"):
        smallest_seen(state, mask, [0], np.arange(65, dtype=np.uint32), 1)
    with pytest.raises(ValueError, match="shape"):
        smallest_seen(state, mask, [0, 1], ids, 1)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2)), max_size=40), st.integers(0, 4))
def test_each_group_gives_its_smallest(pairs: list[tuple[int, int]], count: int) -> None:
    values = np.array([value for value, _ in pairs], dtype=np.uint64)
    groups = np.array([group for _, group in pairs], dtype=np.int64)
    most = [count, 2, 100]
    expected = [
        row
        for g in range(3)
        for row in sorted(np.flatnonzero(groups == g), key=lambda r: (values[r], r))[: most[g]]
    ]
    assert smallest_of_groups(values, groups, most).tolist() == expected


def test_groups_that_do_not_fit_are_refused() -> None:
    values = np.zeros(1, np.uint64)
    for groups, most in (([1], [1]), ([-1], [1]), ([0], [-1]), ([0, 0], [1])):
        with pytest.raises(ValueError, match=r"group|most"):
            smallest_of_groups(values, groups, most)


@given(st.lists(WORD, max_size=8), st.integers(1, 2**32 - 1))
def test_many_draws_are_mapped_as_each_alone(values: list[int], n: int) -> None:
    found = uniform_below_rows(np.array(values, dtype=np.uint64), n)
    assert found.tolist() == [uniform_below(value, n) for value in values]
    counts = [n - k % n for k in range(len(values))]
    found = uniform_below_rows(np.array(values, dtype=np.uint64), counts)
    assert found.tolist() == list(map(uniform_below, values, counts))
