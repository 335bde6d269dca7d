# SPDX-License-Identifier: Apache-2.0
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spatialcore import BackendUnavailable
from spatialcore.bitmask import BitMask
from spatialcore.coverage import (
    axis_extents,
    covering_sets_by_bins,
    max_coverage,
    minimal_view_sets,
)

BACKENDS = ["reference", "cpu"]
seeds = st.integers(0, 2**31)


@pytest.mark.parametrize("backend", BACKENDS)
def test_extents_by_hand(backend):
    points = [[0, 0, 0], [1, 2, 3], [4, -1, 0.5], [9, 9, 9]]
    visible = BitMask.from_bool(np.array([[1, 1, 0, 1], [0, 1, 1, 0], [0, 0, 0, 1]], bool))
    axes = np.stack([np.eye(3), [[0, 1, 0], [1, 0, 0], [0, 0, 1]]])
    lo, hi = axis_extents(points, visible, [[2, 0, 1, 1], []], axes, backend=backend)
    assert lo.shape == hi.shape == (2, 3, 3)
    assert lo[0, :2].tolist() == [[0, 0, 0], [1, -1, 0.5]]
    assert hi[0, :2].tolist() == [[1, 2, 3], [4, 2, 3]]
    assert np.isnan(lo[0, 2]).all()
    assert np.isnan(hi[1]).all()


@given(seeds)
@settings(deadline=None, max_examples=30)
def test_extents_equal_the_reference(seed):
    rng = np.random.default_rng(seed)
    F, P = rng.integers(0, 40), rng.integers(1, 500)
    points = rng.normal(size=(P, 3)).astype(np.float32)
    visible = BitMask.from_bool(rng.random((F, P)) < 0.3)
    rows = [rng.integers(0, P, rng.integers(0, 200)) for _ in range(3)]
    axes = rng.normal(size=(3, 3, 3))
    expected = axis_extents(points, visible, rows, axes, backend="reference")
    for threads in (1, 2):
        found = axis_extents(points, visible, rows, axes, threads=threads)
        np.testing.assert_array_equal(found.lo, expected.lo)
        np.testing.assert_array_equal(found.hi, expected.hi)


@pytest.mark.parametrize("backend", BACKENDS)
def test_view_sets_by_hand(backend):
    lo = [0.0, 0.55, 0.0, np.nan, 0.3]
    hi = [0.5, 1.0, 0.92, np.nan, 0.6]
    found = minimal_view_sets(lo, hi, 1.0, backend=backend)
    assert found.singles.tolist() == [2]
    assert found.pairs.tolist() == [[0, 1]]
    for target in (0.0, -1.0, 0.1):
        none = minimal_view_sets(lo, hi, target, backend=backend)
        assert none.singles.shape == (0,)
        assert none.pairs.shape == (0, 2)
    # The test has two sides: a frame that shows too much does not cover either.
    assert minimal_view_sets([0.0], [1.0], 0.8, backend=backend).singles.tolist() == []


@given(seeds)
@settings(deadline=None, max_examples=60)
def test_view_sets_equal_brute_force(seed):
    rng = np.random.default_rng(seed)
    F = int(rng.integers(1, 10))
    ends = np.sort(rng.uniform(0, 1, (F, 2)), axis=1)
    ends[rng.random(F) < 0.2] = np.nan
    lo, hi = ends.T
    seen = np.flatnonzero(lo <= hi)
    target = float(rng.uniform(0.7, 1.0) * (np.nanmax(hi) - np.nanmin(lo)) if len(seen) else 1.0)

    def covers(frames):
        extent = max(hi[list(frames)]) - min(lo[list(frames)])
        return abs(extent - target) <= 0.1 * target

    minimal = []
    for size in range(1, len(seen) + 1):
        for frames in combinations(seen, size):
            if covers(frames) and not any(set(m) < set(frames) for m in minimal):
                minimal.append(tuple(int(f) for f in frames))
    for backend in BACKENDS:
        found = minimal_view_sets(lo, hi, target, backend=backend)
        assert [(f,) for f in found.singles.tolist()] == [m for m in minimal if len(m) == 1]
        assert [tuple(p) for p in found.pairs.tolist()] == [m for m in minimal if len(m) == 2]
    assert max((len(m) for m in minimal), default=0) <= 2
    order = rng.permutation(F)
    moved = minimal_view_sets(lo[order], hi[order], target)
    renamed = {tuple(sorted(order[p].tolist())) for p in moved.pairs}
    assert renamed == {m for m in minimal if len(m) == 2}


@pytest.mark.parametrize("backend", BACKENDS)
def test_max_coverage_by_hand(backend):
    sets = BitMask.from_indices([[0, 1, 2], [3, 4, 5], [0, 1, 2, 3], [6], []], 70)
    found = max_coverage(sets, 9, backend=backend)
    assert found.order.tolist() == [2, 1, 3]
    assert found.gain.tolist() == [4, 2, 1]
    assert max_coverage(sets, 1, backend=backend).order.tolist() == [2]
    assert max_coverage(sets, 0, backend=backend).order.tolist() == []
    assert max_coverage(BitMask.zeros(0, 5), 3, backend=backend).order.tolist() == []
    same = BitMask.from_indices([[0], [1], [2]], 3)
    assert max_coverage(same, 3, backend=backend).order.tolist() == [0, 1, 2]


@given(seeds)
@settings(deadline=None, max_examples=40)
def test_lazy_equals_plain_greedy(seed):
    rng = np.random.default_rng(seed)
    flags = rng.random((rng.integers(1, 40), rng.integers(1, 300))) < rng.uniform(0.01, 0.3)
    sets = BitMask.from_bool(flags)
    expected = max_coverage(sets, 20, backend="reference")
    found = max_coverage(sets, 20)
    np.testing.assert_array_equal(found.order, expected.order)
    np.testing.assert_array_equal(found.gain, expected.gain)
    assert (np.diff(found.gain) <= 0).all()
    assert found.gain.sum() == flags[found.order].any(0).sum()


@given(seeds)
@settings(deadline=None, max_examples=40)
def test_bins_equal_brute_force(seed):
    rng = np.random.default_rng(seed)
    F, P = int(rng.integers(1, 13)), 120
    points = rng.uniform(0, 1, (P, 3))
    start = rng.uniform(-0.2, 0.9, (F, 1))
    visible = BitMask.from_bool((points[:, 0] > start) & (points[:, 0] < start + 0.45))
    rows = rng.choice(P, 60, replace=False)
    options = {"bin_count": int(rng.integers(1, 9))}
    expected = covering_sets_by_bins(
        points, visible, rows, [1, 0, 0], backend="reference", **options
    )
    found = covering_sets_by_bins(points, visible, rows, [1, 0, 0], **options)
    assert [s.shape[1] for s in found] == [1, 2, 3, 4]
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_bins_need_the_middle():
    points = np.arange(9.0)[:, None] * [1, 0, 0]
    thirds = BitMask.from_indices([[0, 1, 2], [6, 7, 8], [3, 4, 5], [0, 8]], 9)
    found = covering_sets_by_bins(points, thirds, range(9), [1, 0, 0], bin_count=9)
    assert [len(s) for s in found] == [0, 0, 1, 0]
    assert found[2].tolist() == [[0, 1, 2]]
    assert minimal_view_sets([0, 6, 3, 0], [2, 8, 5, 8], 8.0).singles.tolist() == [3]
    shorter = covering_sets_by_bins(points, thirds, range(9), [1, 0, 0], bin_count=9, most=2)
    assert [s.shape for s in shorter] == [(0, 1), (0, 2)]
    nothing = covering_sets_by_bins(points, thirds, [], [1, 0, 0])
    assert [len(s) for s in nothing] == [0, 0, 0, 0]


def test_sixty_four_frames():
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 1, (2000, 3))
    start = rng.uniform(-0.1, 0.9, (64, 1))
    visible = BitMask.from_bool((points[:, 0] > start) & (points[:, 0] < start + 0.35))
    found = covering_sets_by_bins(points, visible, np.arange(2000), [1, 0, 0])
    assert len(found[3]) > 0
    with pytest.raises(ValueError, match="at most 64 frames, got 65"):
        covering_sets_by_bins(points, BitMask.zeros(65, 2000), [0], [1, 0, 0])


def test_refusals():
    visible = BitMask.zeros(2, 4)
    with pytest.raises(ValueError, match=r"points must have shape \(P, 3\) with P = 4"):
        axis_extents(np.zeros((5, 3)), visible, [], np.zeros((0, 3, 3)))
    with pytest.raises(ValueError, match=r"axes must have shape \(O, 3, 3\) with O = 1"):
        axis_extents(np.zeros((4, 3)), visible, [[0]], np.zeros((2, 3, 3)))
    with pytest.raises(ValueError, match=r"object_rows must lie in \[0, 4\)"):
        axis_extents(np.zeros((4, 3)), visible, [[4]], np.zeros((1, 3, 3)))
    with pytest.raises(ValueError, match=r"hi must have shape \(F,\) with F = 2"):
        minimal_view_sets([0, 0], [1], 1.0)
    with pytest.raises(TypeError, match="sets must be a BitMask"):
        max_coverage(np.zeros((2, 2)), 1)
    with pytest.raises(ValueError, match=r"most must lie in \[1, 4\]"):
        covering_sets_by_bins(np.zeros((4, 3)), visible, [0], [1, 0, 0], most=5)
    with pytest.raises(BackendUnavailable):
        max_coverage(visible, 1, backend="cuda")
