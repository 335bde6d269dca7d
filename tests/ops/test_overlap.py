# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from spatialcore import BackendUnavailable, _cpu
from spatialcore.bitmask import BitMask
from spatialcore.overlap import overlapping_pairs, pairwise_overlap

SIZES = [0, 1, 63, 64, 257]


def coherent(frame_count: int, point_count: int, seed: int = 0) -> BitMask:
    """Frames that see short runs of points, as frames of a spatially sorted cloud do."""
    rng = np.random.default_rng(seed)
    flags = np.zeros((frame_count, point_count), bool)
    for row in flags:
        for start in rng.integers(0, point_count, 4):
            row[start : start + 300] = rng.random(row[start : start + 300].size) < 0.6
    return BitMask.from_bool(flags)


def listed(mask: BitMask, **options) -> np.ndarray:
    blocks = [np.stack(block, axis=1) for block in overlapping_pairs(mask, **options)]
    return np.concatenate(blocks) if blocks else np.zeros((0, 3), int)


def pairs_of(intersection: np.ndarray) -> np.ndarray:
    i, j = np.nonzero(np.triu(intersection, 1))
    return np.stack([i, j, intersection[i, j]], axis=1)


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_hand_worked(backend):
    flags = np.zeros((4, 130), bool)
    flags[0, [0, 63, 64, 129]] = True
    flags[1, [63, 64, 65]] = True
    flags[2, 129] = True
    overlap = pairwise_overlap(BitMask.from_bool(flags), backend=backend)
    assert overlap.intersection.tolist() == [[4, 2, 1, 0], [2, 3, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]]
    assert overlap.count.tolist() == [4, 3, 1, 0]
    assert overlap.intersection.dtype == overlap.count.dtype == np.uint32
    expected = np.array([[1, 2 / 5, 1 / 4, 0], [2 / 5, 1, 0, 0], [1 / 4, 0, 1, 0], [0, 0, 0, 0]])
    np.testing.assert_array_equal(overlap.iou, expected)
    assert overlap.iou.dtype == np.float64
    assert overlap.iou is overlap.iou
    np.testing.assert_array_equal(overlap.iou_as(np.float32), expected.astype(np.float32))


@pytest.mark.parametrize("path", ["auto", "dense", "sparse"])
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("frame_count", SIZES)
@pytest.mark.parametrize("point_count", [*SIZES, 4100])
def test_every_path_equals_the_reference(isa, path, threads, frame_count, point_count):
    flags = np.random.default_rng(5).random((frame_count, point_count)) < 0.4
    mask = BitMask.from_bool(flags)
    expected = pairwise_overlap(mask, backend="reference")
    found = _cpu.pairwise_overlap(mask, threads, path)
    np.testing.assert_array_equal(found, expected.intersection)
    np.testing.assert_array_equal(expected.count, flags.sum(1))


@pytest.mark.parametrize("path", ["dense", "sparse"])
def test_full_rows_do_not_overflow(isa, path):
    mask = BitMask.from_bool(np.ones((37, 70_000), bool))
    assert (_cpu.pairwise_overlap(mask, 0, path) == 70_000).all()


@pytest.mark.parametrize("seed", range(3))
def test_coherent_masks(isa, seed):
    mask = coherent(101, 30_000, seed)
    expected = pairwise_overlap(mask, backend="reference").intersection
    for path in ("dense", "sparse", "auto"):
        np.testing.assert_array_equal(_cpu.pairwise_overlap(mask, 2, path), expected)


def test_the_path_is_chosen_by_density():
    random = BitMask.from_bool(np.random.default_rng(0).random((64, 40_000)) < 0.5)
    assert not _cpu.OverlapRows(random, 1).sparse
    assert _cpu.OverlapRows(coherent(64, 200_000), 1).sparse
    with pytest.raises(ValueError, match="path must be"):
        _cpu.OverlapRows(random, 1, "fast")


@given(hnp.arrays(bool, st.tuples(st.integers(0, 12), st.integers(0, 300))), st.randoms())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_properties(flags, random):
    overlap = pairwise_overlap(BitMask.from_bool(flags))
    sets = [set(np.flatnonzero(row)) for row in flags]
    for i, a in enumerate(sets):
        for j, b in enumerate(sets):
            assert overlap.intersection[i, j] == len(a & b)
            assert overlap.iou[i, j] == (len(a & b) / len(a | b) if a | b else 0.0)
    order = list(range(flags.shape[1]))
    random.shuffle(order)
    moved = pairwise_overlap(BitMask.from_bool(flags[:, order]))
    np.testing.assert_array_equal(moved.intersection, overlap.intersection)


def test_non_contiguous_words():
    words = np.random.default_rng(1).integers(0, 2**63, (30, 20), dtype=np.uint64)
    for view in (words[::2, :10], words[:, ::2], words[::-1, 5:15]):
        mask = BitMask(view, 640)
        expected = pairwise_overlap(BitMask(view.copy(), 640), backend="reference")
        np.testing.assert_array_equal(pairwise_overlap(mask).intersection, expected.intersection)


def test_memory_map(tmp_path):
    mask = coherent(40, 5000)
    mask.save(tmp_path / "visible.npy")
    opened = BitMask.open(tmp_path / "visible.npy", 5000)
    expected = pairwise_overlap(mask).intersection
    np.testing.assert_array_equal(pairwise_overlap(opened).intersection, expected)
    np.testing.assert_array_equal(listed(opened), pairs_of(expected))


@pytest.mark.parametrize("strip", [1, 4 * 70 * 3, 64 << 20])
def test_pairs_are_sorted_and_complete(isa, monkeypatch, strip):
    monkeypatch.setattr("spatialcore.overlap._STRIP_BYTES", strip)
    for mask in (
        coherent(70, 20_000),
        BitMask.from_bool(np.random.default_rng(2).random((70, 90)) < 0.1),
        BitMask.zeros(5, 100),
        BitMask.zeros(0, 100),
    ):
        expected = pairs_of(pairwise_overlap(mask, backend="reference").intersection)
        np.testing.assert_array_equal(listed(mask, threads=2), expected)
    first = next(overlapping_pairs(coherent(70, 20_000)))
    assert [a.dtype for a in first] == [np.int32, np.int32, np.uint32]


def test_refusals():
    with pytest.raises(TypeError, match="visible must be a BitMask, got ndarray"):
        pairwise_overlap(np.zeros((2, 2), np.uint8))
    with pytest.raises(TypeError, match="visible must be a BitMask, got list"):
        overlapping_pairs([])
    mask = BitMask.zeros(2, 3)
    with pytest.raises(ValueError, match="threads must be at least 1"):
        pairwise_overlap(mask, threads=0)
    with pytest.raises(BackendUnavailable, match="GPU, these are numpy"):
        pairwise_overlap(mask, backend="cuda")
    with pytest.raises(ValueError, match="dtype must be"):
        pairwise_overlap(mask).iou_as(np.float16)
