# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from spatialcore.bitmask import BitMask, word_count
from spatialcore.overlap import Overlap

SIZES = [0, 1, 63, 64, 65, 257]


def test_bits_are_little_endian():
    flags = np.zeros((2, 70), bool)
    flags[0, [0, 3, 63]] = True
    flags[1, 64] = True
    mask = BitMask.from_bool(flags)
    assert mask.words.tolist() == [[1 + 8 + (1 << 63), 0], [0, 1]]
    assert mask.words.dtype == np.uint64
    assert mask.counts().tolist() == [3, 1]
    assert mask.counts().dtype == np.uint32
    assert mask.indices(0).tolist() == [0, 3, 63]
    assert mask.shape == (2, 70)
    assert len(mask) == mask.frame_count == 2
    assert repr(mask) == "BitMask(frames=2, points=70)"


@pytest.mark.parametrize("frame_count", SIZES)
@pytest.mark.parametrize("point_count", SIZES)
def test_round_trip_and_transpose(frame_count, point_count):
    flags = np.random.default_rng(1).random((frame_count, point_count)) < 0.3
    mask = BitMask.from_bool(flags)
    assert mask.words.shape == (frame_count, word_count(point_count))
    np.testing.assert_array_equal(mask.to_bool(), flags)
    np.testing.assert_array_equal(mask.counts(), flags.sum(1))
    np.testing.assert_array_equal(mask.any_frame(), flags.any(1))
    np.testing.assert_array_equal(mask.any_point(), flags.any(0))
    turned = mask.transpose()
    np.testing.assert_array_equal(turned.to_bool(), flags.T)
    assert turned.transpose() == mask


@given(hnp.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 200))))
def test_operators_follow_booleans(flags):
    mask = BitMask.from_bool(flags)
    other = BitMask.from_bool(flags[::-1])
    np.testing.assert_array_equal((mask & other).to_bool(), flags & flags[::-1])
    np.testing.assert_array_equal((mask | other).to_bool(), flags | flags[::-1])
    np.testing.assert_array_equal(mask.common(0, -1), np.flatnonzero(flags[0] & flags[-1]))
    np.testing.assert_array_equal(mask.at(np.arange(flags.shape[1])), flags)
    listed = [np.flatnonzero(row) for row in flags]
    assert BitMask.from_indices(listed, flags.shape[1]) == mask


def test_transpose_in_chunks(monkeypatch):
    monkeypatch.setattr("spatialcore.bitmask._CHUNK_BITS", 64 * 5)
    flags = np.random.default_rng(2).random((5, 1000)) < 0.5
    np.testing.assert_array_equal(BitMask.from_bool(flags).transpose().to_bool(), flags.T)


def test_rows():
    flags = np.random.default_rng(3).random((6, 100)) < 0.5
    mask = BitMask.from_bool(flags)
    assert np.shares_memory(mask[1:4].words, mask.words)
    np.testing.assert_array_equal(mask[::2].to_bool(), flags[::2])
    np.testing.assert_array_equal(mask[[4, 0]].to_bool(), flags[[4, 0]])
    np.testing.assert_array_equal(mask.row(2), mask.words[2])
    with pytest.raises(TypeError, match="row"):
        mask[1]
    assert mask != mask[:5]
    assert mask != "mask"
    assert BitMask.zeros(6, 100) != mask
    assert BitMask.zeros(2, 3) == BitMask.from_bool(np.zeros((2, 3), bool))


def test_non_contiguous_words_are_held():
    words = np.zeros((4, 6), np.uint64)
    words[1, 2] = 5
    mask = BitMask(words[:, ::2], 192)
    assert np.shares_memory(mask.words, words)
    assert mask.indices(1).tolist() == [64, 66]


def test_memory_map(tmp_path):
    flags = np.random.default_rng(4).random((7, 130)) < 0.5
    mask = BitMask.from_bool(flags)
    mask.save(tmp_path / "visible.npy")
    opened = BitMask.open(tmp_path / "visible.npy", 130)
    assert isinstance(opened.words, np.memmap)
    assert not opened.words.flags.writeable
    assert opened == mask
    np.testing.assert_array_equal(opened[2:4].to_bool(), flags[2:4])


def test_refusals():
    words = np.zeros((2, 2), np.uint64)
    with pytest.raises(ValueError, match=r"words must have shape \(F, 2\) for 128 points"):
        BitMask(np.zeros((2, 3), np.uint64), 128)
    with pytest.raises(TypeError, match="dtype uint64, got int64"):
        BitMask(words.astype(np.int64), 128)
    with pytest.raises(TypeError, match="got list"):
        BitMask([[0, 0]], 128)
    with pytest.raises(ValueError, match="at least 0"):
        BitMask(words, -1)
    words[1, 1] = 1 << 10
    assert BitMask(words, 75).counts().tolist() == [0, 1]
    with pytest.raises(ValueError, match="past point 73"):
        BitMask(words, 74)
    with pytest.raises(TypeError, match="dtype bool"):
        BitMask.from_bool(np.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"\(F, P\), got \(2,\)"):
        BitMask.from_bool(np.zeros(2, bool))
    with pytest.raises(ValueError, match="3 and 4 points"):
        BitMask.zeros(1, 3) & BitMask.zeros(1, 4)
    with pytest.raises(IndexError, match=r"\[0, 3\)"):
        BitMask.zeros(1, 3).at([3])
    with pytest.raises(ValueError, match=r"\[0, 3\)"):
        BitMask.from_indices([[3]], 3)


def test_torch_words_are_held():
    torch = pytest.importorskip("torch")
    flags = np.random.default_rng(5).random((3, 100)) < 0.5
    host = BitMask.from_bool(flags)
    signed = torch.from_numpy(host.words.view(np.int64))
    mask = BitMask(signed, 100)
    assert mask.words is signed
    assert mask.to_host() == host
    assert mask == BitMask(signed.clone(), 100)
    with pytest.raises(TypeError, match="to_host"):
        mask.save("nowhere.npy")
    signed[0, 1] = -1
    with pytest.raises(ValueError, match="past point 99"):
        BitMask(signed, 100)


def as_torch(mask):
    torch = pytest.importorskip("torch")
    words = torch.from_numpy(mask.words.view(np.int64).copy())
    return BitMask(words, mask.point_count), lambda x: x.numpy()


def as_cupy(mask, monkeypatch):
    """numpy words that go the way of cupy's: its functions by numpy's."""
    from spatialcore import bitmask
    from tests.native.host import HostCupy

    monkeypatch.setattr(bitmask.BitMask, "_on_host", False)
    monkeypatch.setattr(bitmask, "library_at", lambda array: HostCupy())
    return BitMask(mask.words.copy(), mask.point_count), lambda x: x


@pytest.mark.parametrize("library", ["torch", "cupy"])
@pytest.mark.parametrize("frame_count", [0, 1, 2, 7, 65])
@pytest.mark.parametrize("point_count", [1, 63, 64, 257])
def test_methods_answer_in_the_library_of_the_words(library, frame_count, point_count, monkeypatch):
    rng = np.random.default_rng(point_count)
    flags = rng.random((frame_count, point_count)) < rng.random((frame_count, 1))
    host = BitMask.from_bool(flags)
    points = rng.integers(0, point_count, 9)
    turned, counts, common = host.transpose().words, host.counts(), []
    if frame_count:
        common = host.common(0, frame_count - 1)
    mask, numpy = as_torch(host) if library == "torch" else as_cupy(host, monkeypatch)
    np.testing.assert_array_equal(numpy(mask.counts()), counts)
    np.testing.assert_array_equal(numpy(mask.to_bool()), flags)
    np.testing.assert_array_equal(numpy(mask.any_frame()), flags.any(1))
    np.testing.assert_array_equal(numpy(mask.any_point()), flags.any(0))
    np.testing.assert_array_equal(numpy(mask.at(points)), flags[:, points])
    np.testing.assert_array_equal(numpy(mask.transpose().words).view(np.uint64), turned)
    assert mask.transpose().shape == (point_count, frame_count)
    if frame_count:
        np.testing.assert_array_equal(numpy(mask.indices(0)), np.flatnonzero(flags[0]))
        np.testing.assert_array_equal(numpy(mask.common(0, frame_count - 1)), common)
    with pytest.raises(IndexError, match="points must lie in"):
        mask.at([point_count])


def test_nothing_on_a_device_is_read_by_the_host():
    """Tensors without memory: whatever needs a value of one on the host would raise."""
    torch = pytest.importorskip("torch")
    mask = BitMask(torch.empty((5, 2), dtype=torch.int64, device="meta"), 70)
    assert repr(mask) == "BitMask(frames=5, points=70, device='meta')"
    assert tuple(mask.counts().shape) == tuple(mask.any_frame().shape) == (5,)
    assert tuple(mask.any_point().shape) == (70,)
    assert tuple(mask.to_bool().shape) == (5, 70)
    assert tuple(mask.at([3, 4]).shape) == (5, 2)
    assert mask.transpose().shape == (70, 5)
    assert (mask & mask).shape == (mask | mask).shape == (5, 70)
    assert mask[1:3].shape == (2, 70)
    assert BitMask.from_bool(mask.to_bool()).shape == (5, 70)
    intersection = torch.empty((5, 5), dtype=torch.int32, device="meta")
    overlap = Overlap(intersection, intersection.diagonal())
    assert overlap.iou.dtype == torch.float64
    assert overlap.iou_as(np.float32).dtype == torch.float32
    with pytest.raises(RuntimeError):
        mask.indices(0)


def test_counts_above_two_to_the_31_are_unsigned_in_torch():
    torch = pytest.importorskip("torch")
    counts = np.array([[3 << 30, 1 << 31], [1 << 31, 1 << 31]], np.uint32)
    tensor = torch.from_numpy(counts.view(np.int32))
    expected = Overlap(counts, counts.diagonal()).iou
    np.testing.assert_array_equal(Overlap(tensor, tensor.diagonal()).iou.numpy(), expected)
