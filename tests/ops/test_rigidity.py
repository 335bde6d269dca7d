# SPDX-License-Identifier: Apache-2.0
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist

from spatialcore import BackendUnavailable, _cpu, rigidity
from spatialcore._reference import rigidity as reference
from spatialcore.rigidity import accumulate_distance_change, rigid_segments

SIZES = [0, 1, 2, 7, 8, 9, 63, 64]
CLUSTERS = (rigidity._cluster_labels, reference.cluster_labels)


def walk(step_count, track_count, seed=0, missing=0.0):
    rng = np.random.default_rng(seed)
    start = rng.normal((0, 0, 4), size=(1, track_count, 3))
    tracks = start + np.cumsum(rng.normal(size=(step_count, track_count, 3)) * 0.01, axis=0)
    tracks[rng.random((step_count, track_count)) < missing] = np.nan
    return tracks


def bodies(step_count, sizes, noise, missing=0.0, seed=0):
    """Rigid bodies that turn and drift apart, with jitter and missing readings."""
    rng = np.random.default_rng(seed)
    time = np.arange(step_count) / 25.0
    clips, group = [], np.repeat(np.arange(len(sizes)), sizes)
    for size in sizes:
        angle = 0.5 * np.sin(rng.uniform(1, 3) * time) + rng.uniform(0.3, 1.0) * time
        c, s, zero, one = np.cos(angle), np.sin(angle), 0 * angle, 0 * angle + 1
        turn = np.stack([c, -s, zero, s, c, zero, zero, zero, one], -1).reshape(-1, 3, 3)
        points = rng.uniform(-0.2, 0.2, (size, 3))
        drift = time[:, None] * rng.uniform(-0.5, 0.5, 3) + rng.uniform(-1, 1, 3) + (0, 0, 4)
        clips.append(np.einsum("tij,nj->tni", turn, points) + drift[:, None])
    tracks = np.concatenate(clips, axis=1)
    tracks += rng.normal(size=tracks.shape) * noise
    tracks[rng.random(tracks.shape[:2]) < missing] = np.nan
    return tracks, group


def rand_index(a, b):
    """Adjusted Rand index of two labellings."""
    table = np.zeros((a.max() + 2, b.max() + 2))
    np.add.at(table, (a, b), 1)  # the label -1 falls into the last row

    def pairs(x):
        return (x * (x - 1) / 2).sum()

    both, one, two = pairs(table), pairs(table.sum(1)), pairs(table.sum(0))
    expected = one * two / pairs(np.array([len(a)]))
    return 1.0 if one == two == both else (both - expected) / ((one + two) / 2 - expected)


@pytest.mark.parametrize("backend", ["reference", "cpu"])
@pytest.mark.parametrize("precision", ["float64", "exact", "float32"])
def test_hand_worked(backend, precision):
    tracks = np.zeros((4, 3, 3))
    tracks[:, 1, 0] = [3.0, 3.0, 5.0, 5.0]
    tracks[:, 2, 1] = [4.0, 4.0, 4.0, 4.0078125]
    # distances: 0-1: 3 3 5 5; 0-2: 4 4 4 4.008; 1-2: 5 5 6.403 6.408
    found = accumulate_distance_change(tracks, precision=precision, backend=backend)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, [2.0, 0.0, np.sqrt(41) - 5], rtol=1e-6)
    lower = accumulate_distance_change(
        tracks, noise_floor=0.005, precision=precision, backend=backend
    )
    np.testing.assert_allclose(lower, [2.0, 0.0078125, np.sqrt(41) - 5], rtol=1e-6)
    at_floor = accumulate_distance_change(
        tracks, noise_floor=0.0078125, precision=precision, backend=backend
    )
    assert at_floor[1] == 0.0  # a change equal to the floor does not exceed it


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_a_step_needs_both_points_twice(backend):
    tracks = np.zeros((5, 2, 3))
    tracks[:, 1, 0] = [1.0, 2.0, 4.0, 8.0, 16.0]
    assert accumulate_distance_change(tracks, backend=backend).tolist() == [15.0]
    for missing in (np.nan, np.inf, -np.inf):
        gap = tracks.copy()
        gap[2, 0, 1] = missing
        assert accumulate_distance_change(gap, backend=backend).tolist() == [9.0]


@pytest.mark.parametrize("track_count", SIZES)
@pytest.mark.parametrize("step_count", [0, 1, 2, 33])
@pytest.mark.parametrize("threads", [1, 3])
def test_float64_is_bit_equal(isa, track_count, step_count, threads):
    tracks = walk(step_count, track_count, missing=0.1)
    expected = accumulate_distance_change(tracks, backend="reference")
    np.testing.assert_array_equal(accumulate_distance_change(tracks, threads=threads), expected)
    rms = _cpu.accumulate_distance_change(tracks, 0.0, "rms", threads)
    expected = reference.accumulate_distance_change(tracks, 0.0, "rms", 0)
    np.testing.assert_array_equal(rms, expected)


@pytest.mark.parametrize("single", [True, False])
@pytest.mark.parametrize("offset", [0.0, 100.0])
@pytest.mark.parametrize("seed", range(3))
def test_exact_flips_no_decision(isa, single, offset, seed):
    tracks = walk(120, 60, seed, missing=0.02) + offset
    if single:
        tracks = tracks.astype(np.float32)
    wide = tracks.astype(np.float64)
    expected = accumulate_distance_change(wide)
    exact, redone = _cpu.distance_change_redone(wide, 0.01, "exact", 1)
    unit, steps = 2.0**-24, len(wide)
    middle = (np.nanmin(wide, (0, 1)) + np.nanmax(wide, (0, 1))) / 2
    largest = 0.0 if single else np.nanmax(np.abs(wide - middle))
    reach = np.nanmax(np.linalg.norm(wide[:, :, None] - wide[:, None], axis=-1))
    bound = steps * unit * (7.2 * largest + 9 * reach) + steps * unit * expected
    assert (np.abs(exact - expected) <= bound).all()
    # A flipped decision would be an error of the floor itself, 0.01 m.
    assert np.abs(exact - expected).max() < 1e-3
    assert 0 <= redone <= len(exact)
    fast = accumulate_distance_change(tracks, precision="float32")
    assert fast.dtype == np.float64
    np.testing.assert_allclose(fast, expected, atol=0.1)


def test_exact_redoes_pairs_near_the_floor(isa):
    tracks = np.zeros((3, 2, 3), np.float64)
    tracks[:, 1, 0] = [1.0, 1.0 + 0.01 * (1 + 1e-9), 1.0]
    value, redone = _cpu.distance_change_redone(tracks, 0.01, "exact", 1)
    assert redone == 1
    np.testing.assert_array_equal(value, accumulate_distance_change(tracks))
    huge = tracks * 1e30
    np.testing.assert_array_equal(
        accumulate_distance_change(huge, precision="exact"), accumulate_distance_change(huge)
    )


def test_rigid_motion_changes_nothing():
    tracks, _ = bodies(60, (20,), 0.0)
    assert accumulate_distance_change(tracks, noise_floor=1e-9).max() == 0.0


def test_float32_and_strided_input():
    tracks = walk(20, 30).astype(np.float32)
    expected = accumulate_distance_change(tracks.astype(np.float64))
    np.testing.assert_array_equal(accumulate_distance_change(tracks), expected)
    view = np.repeat(tracks, 2, axis=1)[:, ::2]
    np.testing.assert_array_equal(accumulate_distance_change(view), expected)


def nearest_pairs(condensed, method):
    """Heights and partitions by definition: the nearest two clusters merge, looked for anew."""
    n = int((1 + np.sqrt(1 + 8 * len(condensed))) / 2 + 0.5)
    between = np.zeros((n, n))
    between[np.triu_indices(n, 1)] = condensed
    between += between.T
    groups = [[k] for k in range(n)]

    def apart(a, b):
        if method == "average":
            return between[np.ix_(a, b)].mean()
        square = between**2  # Ward: by the squares within and between
        within = sum(square[np.ix_(g, g)].sum() / len(g) ** 2 for g in (a, b)) / 2
        centres = square[np.ix_(a, b)].mean() - within
        return np.sqrt(max(2 * len(a) * len(b) / (len(a) + len(b)) * centres, 0.0))

    while len(groups) > 1:
        pairs = combinations(range(len(groups)), 2)
        height, i, j = min((apart(groups[i], groups[j]), i, j) for i, j in pairs)
        groups[i] += groups.pop(j)
        yield height, sorted(map(sorted, groups))


def partition(labels):
    return sorted(np.flatnonzero(labels == k).tolist() for k in range(labels.max() + 1))


@pytest.mark.parametrize("method", ["average", "ward"])
@pytest.mark.parametrize("cluster", CLUSTERS)
@given(st.integers(2, 14), st.integers(0, 10_000))
@settings(deadline=None, max_examples=30)
def test_clusters_are_those_of_the_nearest_pairs(cluster, method, n, seed):
    points = np.random.default_rng(seed).random((n, 3))
    condensed = pdist(points)
    steps = list(nearest_pairs(condensed, method))
    for (height, groups), (after, _) in pairwise([*steps, (np.inf, [])]):
        labels = cluster(condensed, method, min(height + 1, (height + after) / 2), 1)
        assert partition(labels) == groups
        first = [int(np.flatnonzero(labels == k)[0]) for k in range(labels.max() + 1)]
        assert first == sorted(first)


@pytest.mark.parametrize("method", ["average", "ward"])
@given(st.integers(1, 60), st.integers(0, 10_000), st.sampled_from([0.0, 0.1, 0.5, 1.5]))
@settings(deadline=None)
def test_ties_join_alike_in_both_derivations(method, n, seed, cut):
    rng = np.random.default_rng(seed)
    pairs = n * (n - 1) // 2
    steps = np.cumsum(rng.integers(-1, 2, (6, n, 3)) * 0.006, axis=0)
    sums = accumulate_distance_change(steps + rng.integers(0, 3, (1, n, 3)))  # most are 0
    for condensed in (rng.integers(0, 4, pairs) * 0.5, sums):
        ours, again = (cluster(condensed, method, cut, 2) for cluster in CLUSTERS)
        np.testing.assert_array_equal(ours, again)


def test_segments_of_ties_are_verified():
    rng = np.random.default_rng(3)
    for _ in range(60):
        clip = np.cumsum(rng.integers(-1, 2, (8, 30, 3)) * 0.006, axis=0)
        clip += rng.integers(0, 3, (1, 30, 3))
        options = {"min_size": 2}
        again = rigid_segments(clip, backend="reference", **options)
        np.testing.assert_array_equal(rigid_segments(clip, **options), again)


@pytest.mark.parametrize("method", ["published", "robust"])
@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_drifting_clouds_are_two_segments(method, backend):
    tracks, group = bodies(30, (7, 9), 0.0005)
    options = {"method": method, "backend": backend}
    np.testing.assert_array_equal(rigid_segments(tracks, **options), group)
    still, _ = bodies(30, (12,), 0.001)
    assert (rigid_segments(still, **options) == 0).all()


def test_small_and_missing_tracks_get_no_label():
    tracks, group = bodies(40, (5, 6, 8), 0.0)
    found = rigid_segments(tracks, noise_floor=0.001)
    assert found.tolist() == [-1] * 5 + [0] * 6 + [1] * 8
    tracks[:, 18] = np.nan
    tracks[:9, 17] = np.nan
    labels = rigid_segments(tracks, noise_floor=0.001, min_size=5)
    assert labels.dtype == np.int32
    assert labels[17:].tolist() == [-1, -1]
    np.testing.assert_array_equal(labels[:17], group[:17])
    assert rigid_segments(tracks[:, :0]).shape == (0,)
    assert rigid_segments(tracks[:0], min_size=1).tolist() == [-1] * 19
    assert rigid_segments(tracks[:, :1], min_size=1).tolist() == [0]


@pytest.mark.parametrize(
    ("step_count", "sizes", "noise", "missing"),
    [
        (40, (8, 12, 20), 0.0005, 0.0),
        (100, (6, 6, 10, 30), 0.001, 0.05),
        (300, (20, 10, 15), 0.002, 0.1),
        (60, (40,), 0.003, 0.05),
        (150, (10, 10, 10, 10), 0.0, 0.0),
        (145, (8, 4, 6, 6, 8, 7, 7, 5), 0.001, 0.02),
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_robust_finds_synthetic_bodies(step_count, sizes, noise, missing, seed):
    tracks, group = bodies(step_count, sizes, noise, missing, seed)
    kept = np.isfinite(tracks).all(2).mean(0) >= 0.8
    labels = rigid_segments(tracks, method="robust", min_size=1)
    assert rand_index(labels[kept], group[kept]) > 0.85


def test_robust_finds_motion_below_the_noise_of_a_step():
    # Two bodies pass each other at 8 mm a step; the noise of a distance change is about 8 mm, too.
    rng = np.random.default_rng(7)
    points = rng.uniform(-1, 1, (24, 3))
    group = np.repeat([0, 1], 12)
    tracks = np.tile(points, (150, 1, 1))
    tracks[:, 12:, 0] += 0.008 * np.arange(150)[:, None]
    tracks += rng.normal(size=tracks.shape) * 0.004
    assert rand_index(rigid_segments(tracks, method="robust"), group) == 1.0
    assert rand_index(rigid_segments(tracks), group) < 0.1


def test_robust_of_clips_shorter_than_the_long_step():
    points = np.random.default_rng(8).uniform(-1, 1, (12, 3))
    tracks = np.tile(points, (5, 1, 1))
    tracks[:, 6:, 0] += 0.05 * np.arange(5)[:, None]
    expected = np.repeat([0, 1], 6)
    np.testing.assert_array_equal(rigid_segments(tracks, method="robust"), expected)


@pytest.mark.real
def test_motion_capture(real_data):
    clip = np.load(real_data / "tracks/mocap_box_lift.npz")
    tracks, group = clip["tracks_XYZ"].astype(np.float64), clip["group_id"]
    tracks[(tracks == 0).all(2)] = np.nan
    published = rigid_segments(tracks, min_size=1)
    assert published.max() + 1 == 4
    assert rand_index(published, group) == pytest.approx(0.43, abs=0.01)
    assert rand_index(rigid_segments(tracks, method="robust", min_size=1), group) > 0.8
    short = rigid_segments(tracks[:70], method="robust", min_size=1)
    assert rand_index(short, group) > rand_index(rigid_segments(tracks[:70], min_size=1), group)


@pytest.mark.real
def test_static_scene_is_bit_equal(real_data, isa):
    tracks = np.load(real_data / "tracks/hololens_static_000_024.npz")["tracks_XYZ"]
    tracks = np.where(tracks[..., 2:] > 0, tracks, np.nan)
    expected = accumulate_distance_change(tracks.astype(np.float64), backend="reference")
    np.testing.assert_array_equal(accumulate_distance_change(tracks), expected)
    exact = accumulate_distance_change(tracks, precision="exact")
    assert np.abs(exact - expected).max() < 1e-3
    labels = rigid_segments(tracks, method="robust")
    counts = np.bincount(labels + 1)
    assert counts.max() >= 0.9 * len(labels)


def test_refusals():
    with pytest.raises(ValueError, match=r"tracks must have shape \(T, N, 3\), got \(3, 4\)"):
        accumulate_distance_change(np.zeros((3, 4)))
    with pytest.raises(TypeError, match="float32 or float64, got int64"):
        accumulate_distance_change(np.zeros((3, 4, 3), np.int64))
    with pytest.raises(ValueError, match="precision must be 'float64'"):
        accumulate_distance_change(np.zeros((3, 4, 3)), precision="rms")
    with pytest.raises(ValueError, match="noise_floor must lie in"):
        accumulate_distance_change(np.zeros((3, 4, 3)), noise_floor=-1)
    with pytest.raises(ValueError, match="method must be"):
        rigid_segments(np.zeros((3, 4, 3)), method="fast")
    with pytest.raises(ValueError, match="move too far"):
        rigid_segments(np.array([0.0, 1.0, 1e300])[:, None, None] * np.eye(3))
    with pytest.raises(BackendUnavailable):
        rigid_segments(np.zeros((3, 4, 3)), backend="triton")
