# SPDX-License-Identifier: Apache-2.0
"""Balance by what answers say: contents, constants, near duplicates, caps, and reasons."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spatial_engine.engines.candidates import CandidateTable
from spatial_engine.engines.contents import (
    ANY,
    content_of,
    distinct,
    number_strata,
    number_stratum,
    of_form,
    pair_content,
    place_contents,
    room_capped,
)
from spatial_engine.plan.contents import (
    Cells,
    capped,
    constant,
    in_bins,
    summed,
    take_by_content,
)
from spatial_engine.plan.plan import Threshold
from spatial_engine.plan.shortages import held_back

HEIGHT, CHOICE = "spatial_relation.height", "scene_layout.object_size.choice"


def cells(*rows: tuple[int, ...]) -> Cells:
    """Contents 10, 11, ... with so many candidates in each stratum."""
    contents = np.arange(10, 10 + len(rows), dtype=np.uint64)
    return Cells(contents, np.array(rows, dtype=np.int64)[:, :, None])


def taken(have: Cells, total: int, **asked: Any) -> list[list[int]]:
    rules = {"whole": False, "worded": False, "spaces": 24, "room": 4} | asked
    rows: list[list[int]] = take_by_content(have, total, **rules).tolist()
    return rows


def test_of_a_pair_both_orders_are_taken_equally() -> None:
    assert taken(cells((9, 4), (3, 3)), 100) == [[4, 4], [3, 3]]
    # Three words: none is more frequent than the second.
    assert taken(cells((9, 4, 1)), 100) == [[4, 4, 1]]
    # As whole: all alike, or the content is constant.
    assert taken(cells((9, 4, 3), (5, 5, 0)), 100, whole=True, room=1) == [[3, 3, 3], [1, 0, 0]]


def test_what_is_asked_is_spread_over_the_contents_alike() -> None:
    assert taken(cells((9, 9), (9, 9), (1, 1)), 14) == [[3, 3], [3, 3], [1, 1]]
    # Content ANY tells nothing: it is spread over its strata, and not limited.
    free = Cells(np.array([ANY], np.uint64), np.array([[[7], [0], [2]]]))
    assert taken(free, 100) == [[7, 0, 2]]
    assert taken(free, 5) == [[3, 0, 2]]


def test_an_order_that_never_varies_is_asked_once_in_200_rows() -> None:
    varied = [(300, 300)]
    few = taken(cells(*varied, (50, 0), (0, 50)), 10_000, room=1000)
    assert few == [[300, 300], [3, 0], [0, 3]]
    # With rooms enough to learn from they are a fifth of all rows at most.
    many = taken(cells((10, 10), *[(1, 0)] * 40), 10_000)
    assert (sum(map(sum, many[1:])), many[0]) == (5, [10, 10])
    assert sum(map(sum, taken(cells((10, 10), *[(1, 0)] * 40), 10_000, spaces=2))) == 60
    # Where nothing varies a room's rows are left.
    assert sum(map(sum, taken(cells(*[(1, 0)] * 40), 10_000))) == 4


def test_sizes_that_say_the_same_in_all_rooms_are_not_asked() -> None:
    """Small things fit and large ones do not: one that was never asked is known by the next."""
    sizes = cells((6, 0), (5, 1), (2, 4), (0, 7))
    assert taken(sizes, 100, graded=True) == [[0, 0], [1, 1], [2, 2], [0, 0]]
    assert taken(cells((6, 0), (0, 7)), 100, graded=True) == [[0, 0], [0, 0]]
    # Of few rooms it may be chance.
    assert taken(sizes, 100, graded=True, spaces=3) == [[1, 0], [1, 1], [2, 2], [0, 1]]


@given(
    st.lists(st.tuples(*[st.integers(0, 12)] * 3), min_size=1, max_size=12),
    st.tuples(*[st.integers(0, 60)] * 3),
)
def test_a_stratum_gives_no_more_than_it_may_and_contents_alike(
    rows: list[tuple[int, ...]], most: tuple[int, ...]
) -> None:
    have = np.array(rows, dtype=np.int64)
    out = capped(have, most)
    assert (out <= have).all()
    assert out.sum(axis=0).tolist() == np.minimum(have.sum(axis=0), most).tolist()
    for s in range(3):  # who gave up rows has no less than another one by more than one
        cut = out[:, s] < have[:, s]
        assert out[cut, s].min(initial=99) >= out[:, s].max(initial=0) - 1


@given(st.integers(1, 4_000), st.integers(1, 4_000), st.randoms(use_true_random=False))
def test_places_of_an_image_are_of_twelve_fields(width: int, height: int, dice) -> None:
    uv = np.array([[dice.uniform(0, width - 1), dice.uniform(0, height - 1)] for _ in range(40)])
    fields = place_contents(uv, (width, height))
    assert (fields > ANY).all()
    key = np.stack([uv[:, 0] * 6 // width, uv[:, 1] * 2 // height], axis=1).tolist()
    for k in range(40):
        assert ((fields == fields[k]) == [one == key[k] for one in key]).all()


def test_no_word_is_more_than_55_percent_by_constant_pairs() -> None:
    found = np.array(taken(cells((10, 10), *[(1, 0)] * 30), 10_000, worded=True, spaces=1))
    assert found.sum(axis=0).tolist() == [12, 10]


@given(
    st.lists(st.tuples(*[st.integers(0, 12)] * 2), min_size=1, max_size=12), st.integers(0, 150),
    st.booleans(),
)  # fmt: skip
def test_never_more_than_asked_nor_than_there_is(
    rows: list[tuple[int, int]], total: int, whole: bool
) -> None:
    have = cells(*rows)
    out = np.array(taken(have, total, whole=whole))
    assert (out <= have.counts[:, :, 0]).all()
    assert out.sum() <= total
    varied = ~constant(have.counts, whole=whole)
    assert (out[varied, 0] == out[varied, 1]).all()
    if total >= have.counts.sum():
        assert (out[varied].min(axis=1) == have.counts[varied, :, 0].min(axis=1)).all()


@given(st.randoms(use_true_random=False), st.integers(2, 12), st.integers(1, 60))
def test_no_name_of_pairs_that_never_vary_is_more_than_less(dice, count: int, room: int) -> None:
    """Whoever knows how often each name was the larger one knows nothing of the others."""
    names = [f"thing {k:02d}" for k in range(count)]
    size = {name: dice.random() for name in names}
    rows = {}
    for pair in combinations(names, 2):
        word = int(size[pair[0]] + dice.gauss(0, 0.2) < size[pair[1]] + dice.gauss(0, 0.2))
        rows[pair_content(*pair)] = (pair, word)
    contents = sorted(rows)
    counts = np.zeros((len(rows), 3, 1), np.int64)
    counts[np.arange(len(rows)), [rows[c][1] for c in contents], 0] = 3
    have = Cells(np.array(contents, np.uint64), counts)
    found = np.array(taken(have, 10_000, room=room, paired=True))
    assert found.max(initial=0) <= 1
    assert 1 <= found.sum() <= room
    net: Counter[str] = Counter()
    for content, said in zip(contents, found.tolist(), strict=True):
        pair, _ = rows[content]
        net[pair[0]] += said[0] - said[1]
        net[pair[1]] += said[1] - said[0]
    assert max(map(abs, net.values())) <= 1
    # With few rooms nobody could learn the names.
    few = np.array(taken(have, 10_000, spaces=2, paired=True))
    assert few.sum() == len(rows)


def test_bins_share_what_a_stratum_gives() -> None:
    counts = np.array([[[5, 1], [2, 9]]])
    assert in_bins(counts, np.array([[4, 4]])).tolist() == [[[3, 1], [2, 2]]]


def test_cells_of_scenes_are_added_by_content() -> None:
    one, two = cells((1, 2), (3, 4)), Cells(np.array([11], np.uint64), np.array([[[5], [6]]]))
    both = summed([one, two], 2, 1)
    assert both.contents.tolist() == [10, 11]
    assert both.counts[:, :, 0].tolist() == [[1, 2], [8, 10]]


def table(items: list[tuple[int, ...]], hashes: list[int], **columns: Any) -> CandidateTable:
    frames = np.tile([3, 1], (len(items), 1))
    return CandidateTable.build(frames, items, np.array(hashes, np.uint64), **columns)


def test_the_same_objects_in_another_order_are_one_candidate() -> None:
    found = distinct(table([(1, 2), (2, 1), (1, 3), (3, 2)], [5, 4, 9, 1]))
    assert found.rows() == [((3, 1), (2, 1)), ((3, 1), (1, 3)), ((3, 1), (3, 2))]
    assert found.rejected == {"near_duplicate": 1}


def test_an_open_question_and_its_choice_share_their_candidates() -> None:
    draws = np.array([0, 1 << 63, 5, (1 << 64) - 1], np.uint64)
    place = SimpleNamespace(draw_rows=lambda task, columns, slot: draws)
    quota = {"a.size": 40, "a.size.choice": 40}
    context: Any = SimpleNamespace(place=place, scene_quota=quota)
    every = table([(1,), (2,), (3,), (4,)], [1, 2, 3, 4])
    halves = [of_form(every, context, "a.size", choice=choice) for choice in (False, True)]
    assert [[row.items[0] for row in half.rows()] for half in halves] == [[1, 3], [2, 4]]
    assert halves[0].rejected == {"near_duplicate": 2}
    del quota["a.size.choice"]
    assert of_form(every, context, "a.size", choice=False) is every


def test_a_room_gives_a_cell_no_more_than_four_times_its_share() -> None:
    every = table([(k,) for k in range(500)], list(range(500)), stratum=[0] * 300 + [1] * 200)
    capped = room_capped(every, 45)
    assert np.bincount(capped.stratum).tolist() == [180, 180]
    assert capped.rejected == {"room_cap": 140}
    assert room_capped(every, 200) is every


def test_contents_do_not_depend_on_the_order_of_names() -> None:
    assert content_of("bed", "lamp") == content_of("lamp", "bed") > ANY
    assert len({content_of(name) for name in ("bed", "lamp", "bed lamp", "")}) == 4


@pytest.mark.parametrize("scale", [1.0, 10.0, 0.01])
def test_numbers_fall_into_bins_of_a_quarter(scale: float) -> None:
    names = [name for name, _ in number_strata("cm", scale)]
    assert len(names) == len(set(names))
    assert sum(share for _, share in number_strata("cm", scale)) == pytest.approx(1)
    bins = [number_stratum(scale * value, scale) for value in (0.1, 1.2, 1.3, 1.6, 99.0, 1e9)]
    assert bins == sorted(bins)
    assert (bins[0], bins[1], bins[2], bins[3], bins[-1]) == (0, 0, 1, 2, len(names) - 1)


def threshold(task: str, content: int, stratum: int, available: int, given: int) -> Threshold:
    return Threshold(task, "s", "train", 0, stratum, content, available, 0, given, 0)


def test_candidates_that_are_held_back_have_a_reason() -> None:
    rows = [
        threshold(HEIGHT, 10, 0, 9, 2), threshold(HEIGHT, 10, 1, 2, 2),
        threshold(HEIGHT, 11, 0, 5, 1), threshold(HEIGHT, 0, 0, 4, 0),
    ]  # fmt: skip
    assert held_back(HEIGHT, rows) == Counter(unbalanced=11, constant_content=4)
    # A choice asks a size of ladders with all ranks, or not at all.
    rows = [threshold(CHOICE, 10, rank, 3, 0) for rank in range(3)]
    rows += [threshold(CHOICE, 11, rank, 2, 2) for rank in range(4)]
    assert held_back(CHOICE, rows) == Counter(constant_content=9, unbalanced=0)
