# SPDX-License-Identifier: Apache-2.0
"""The exact quota rule: bins of overlap, edges, empty bins, and where a carry goes."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spatial_engine.engines import engine_of
from spatial_engine.engines.frame_pairs import overlap_bin
from spatial_engine.plan.balance import allocate, bin_quotas, within_caps
from spatial_engine.recipe import load_recipe

PAPER, PLAIN = load_recipe("multispa-paper"), load_recipe()


def bin_of(intersection: int, union: int, recipe: str = "multispa-paper") -> int:
    """Bin of one pair."""
    return int(overlap_bin(np.array([intersection]), np.array([union]), load_recipe(recipe))[0])


def test_the_bands_have_29_and_35_bins() -> None:
    for recipe, count in ((PAPER, 29), (PLAIN, 35)):
        assert engine_of("camera_movement.distance").bin_count(recipe) == count
        assert engine_of("visual_correspondence.match.choice").bin_count(recipe) == count


@pytest.mark.parametrize(
    ("intersection", "union", "expected"),
    [(6, 100, 0), (7, 100, 0), (7001, 100_000, 1), (8, 100, 1), (8001, 100_000, 2),
     (34, 100, 27), (34_001, 100_000, 28), (35, 100, 28), (35_001, 100_000, -1),
     (5_999, 100_000, -1), (0, 0, -1), (2**40 * 7, 2**40 * 100, 0)],
)  # fmt: skip
def test_an_edge_goes_to_the_lower_bin_and_the_minimum_to_the_first(
    intersection: int, union: int, expected: int
) -> None:
    assert bin_of(intersection, union) == expected


@pytest.mark.parametrize(
    ("intersection", "union", "expected"),
    [(10, 100, 0), (12, 100, 0), (12_001, 100_000, 1), (80, 100, 34), (80_001, 100_000, -1),
     (9_999, 100_000, -1)],
)  # fmt: skip
def test_bins_of_the_default_band(intersection: int, union: int, expected: int) -> None:
    assert bin_of(intersection, union, "default") == expected


@given(st.integers(1, 10**12), st.fractions(0, 1))
def test_bins_equal_the_rule_in_exact_fractions(union: int, share: Fraction) -> None:
    """[6, 7], (7, 8], ..., (34, 35] percent, nothing rounded."""
    intersection = int(union * share)
    percent = Fraction(100 * intersection, union)
    inside = [b for b in range(29) if (6 + b < percent or b == 0) and 6 <= percent <= 7 + b]
    assert bin_of(intersection, union) == (inside[0] if inside else -1)


def test_the_hand_case() -> None:
    """Quotas of 3; the empty bin passes 3 on, the bin of two passes 4 on, the next takes 7."""
    found = allocate((0, 2, 10, 10), 12)
    assert (found.quota, found.taken, found.shortfall) == ((3, 3, 3, 3), (0, 2, 7, 3), 0)


def test_the_first_bins_have_one_more_and_empty_bins_have_quotas() -> None:
    assert bin_quotas(100, 29) == (4,) * 13 + (3,) * 16
    sizes = [0] * 29
    sizes[28] = 200
    found = allocate(sizes, 100)
    assert (sum(found.quota), found.taken[28], found.shortfall) == (100, 100, 0)
    sizes[5] = 1
    found = allocate(sizes, 100)
    assert (found.taken[5], found.taken[28]) == (1, 99)


@given(st.lists(st.tuples(st.integers(0, 200), st.sampled_from([0.0, 0.2, 0.5, 1.0])), min_size=1))
def test_a_capped_stratum_is_never_more_than_its_share(strata: list[tuple[int, float]]) -> None:
    """With one capped stratum; as many rows as fit, and the others as they were."""
    sizes = [size for size, _ in strata]
    caps = [strata[0][1], *[1.0] * (len(strata) - 1)]
    found = within_caps(sizes, caps)
    assert found[1:] == sizes[1:]
    assert found[0] <= caps[0] * sum(found) + 1e-6
    more = [min(found[0] + 1, sizes[0]), *sizes[1:]]
    assert more[0] == found[0] or more[0] > caps[0] * sum(more) - 1e-6


def test_a_carry_goes_to_the_next_bin_visited_only() -> None:
    """Visited by size, ties in order: the bin after the empty one gets the whole carry."""
    sizes = [10, 0, 10, *[1000] * 26]
    found = allocate(sizes, 29 * 3)
    assert found.taken == (6, 0, 3, *[3] * 26)
    even = allocate(sizes, 29 * 3, "even")
    assert even.taken == (4, 0, 4, 4, *[3] * 25)


def test_what_the_last_bin_cannot_take_is_a_shortfall() -> None:
    found = allocate((1, 2, 3), 30)
    assert (found.taken, found.shortfall) == ((1, 2, 3), 24)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=29), st.integers(0, 400))
def test_the_rule_read_step_by_step(sizes: list[int], total: int) -> None:
    """A slow reading of the rule's four steps."""
    quota = [total // len(sizes) + (b < total % len(sizes)) for b in range(len(sizes))]
    taken, carry = [0] * len(sizes), 0
    for b in sorted(range(len(sizes)), key=lambda b: (sizes[b], b)):
        allowed = quota[b] + carry
        if sizes[b] <= allowed:
            taken[b], carry = sizes[b], allowed - sizes[b]
        else:
            taken[b], carry = allowed, 0
    found = allocate(sizes, total)
    assert list(found.quota) == quota
    assert list(found.taken) == taken
    assert found.shortfall == carry
