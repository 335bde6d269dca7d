# SPDX-License-Identifier: Apache-2.0
"""BitMask: the one visibility type, one bit for each frame and point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spatialcore import _device_bits
from spatialcore._check import check_array, check_count, check_dtype, device_of, library_of
from spatialcore._libraries import library_at
from spatialcore.files import save_array

WORD_BITS = 64
_CHUNK_BITS = 1 << 24  # unpacked bytes held at once by transpose()


@dataclass(frozen=True, slots=True, eq=False)
class BitMask:
    """F frames x P points as packed bits: bit p % 64 of `words[f, p // 64]` is point p in frame f.

    Words may be a numpy array, a read-only memory map, or a torch or cupy array on a GPU; they are
    held, never copied. Bits past the last point are zero. That is checked here once for words on
    the host; for words on a GPU it is the caller's promise, since looking would wait for the GPU.

    Every method but `open`, `save`, `from_indices` and `zeros` works where the words live and
    answers there, in their library; unsigned numbers of torch are held in int32 and int64. Only
    `indices`, `common` and `==` wait for the GPU, since their answer is a number on the host.

    Attributes:
        words: (F, ceil(P / 64)) uint64, little-endian. Torch words may be int64, the same bits.
        point_count: P.

    Raises:
        TypeError: `words` is not an array of such words.
        ValueError: The shape does not fit `point_count`, or a padding bit is set.

    Examples:
        >>> mask = BitMask.from_bool(np.array([[True, False, True], [False, False, True]]))
        >>> mask
        BitMask(frames=2, points=3)
        >>> mask.counts().tolist(), mask.indices(0).tolist()
        ([2, 1], [0, 2])
    """

    words: Any
    point_count: int

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "point_count", check_count("point_count", self.point_count, least=0)
        )
        check_array("words", self.words)
        check_dtype("words", self.words, *_dtypes(self.words))
        shape, width = tuple(self.words.shape), word_count(self.point_count)
        if len(shape) != 2 or shape[1] != width:
            raise ValueError(
                f"words must have shape (F, {width}) for {self.point_count} points, got {shape}"
            )
        if self.point_count % WORD_BITS and shape[0] and self.device == "cpu":
            last = _as_signed(self.words[:, -1]) >> (self.point_count % WORD_BITS)
            if bool((last != 0).any()):
                raise ValueError(f"words has bits set past point {self.point_count - 1}")

    @classmethod
    def from_bool(cls, visible: Any) -> BitMask:
        """Pack a boolean array.

        Args:
            visible: (F, P) bool; the words lie where it does.

        Raises:
            TypeError: Not boolean.
            ValueError: Not two axes.
        """
        on_host = library_of(visible) in ("", "numpy")
        flags = np.asarray(visible) if on_host else visible
        check_dtype("visible", flags, "bool")
        if flags.ndim != 2:
            raise ValueError(f"visible must have shape (F, P), got {tuple(flags.shape)}")
        frame_count, point_count = flags.shape
        if not on_host:
            return cls(_device_bits.from_bool(library_at(flags), flags), point_count)
        packed = np.zeros((frame_count, word_count(point_count) * 8), np.uint8)
        packed[:, : (point_count + 7) // 8] = np.packbits(flags, axis=1, bitorder="little")
        return cls(packed.view("<u8"), point_count)

    @classmethod
    def from_indices(cls, indices: Sequence[ArrayLike], point_count: int) -> BitMask:
        """One row for each list of point indices; ValueError when an index is out of range."""
        flags = np.zeros((len(indices), word_count(point_count)), "<u8")
        for row, listed in zip(flags, indices, strict=True):
            points = np.asarray(listed, dtype=np.int64)
            if points.size and not (points.min() >= 0 and points.max() < point_count):
                raise ValueError(f"indices must lie in [0, {point_count})")
            bits = np.uint64(1) << (points % WORD_BITS).astype(np.uint64)
            np.bitwise_or.at(row, points // WORD_BITS, bits)
        return cls(flags, point_count)

    @classmethod
    def zeros(cls, frame_count: int, point_count: int) -> BitMask:
        """No point visible in any frame."""
        return cls(np.zeros((frame_count, word_count(point_count)), "<u8"), point_count)

    @classmethod
    def open(cls, path: str | PathLike[str], point_count: int) -> BitMask:
        """Map the words of a `.npy` file read-only; nothing is read until it is used."""
        return cls(np.load(path, mmap_mode="r", allow_pickle=False), point_count)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the words as a `.npy` file; the point count is the caller's to store.

        Raises:
            TypeError: The words live on a GPU; copy them with `to_host` first.
            OutputError: The disk is full, and the like.
        """
        if not self._on_host:
            raise TypeError("save() needs numpy words; copy them with to_host() first")
        save_array(Path(path), np.asarray(self.words))

    @property
    def shape(self) -> tuple[int, int]:
        """(F, P)."""
        return int(self.words.shape[0]), self.point_count

    @property
    def frame_count(self) -> int:
        """F."""
        return int(self.words.shape[0])

    @property
    def device(self) -> str:
        """Where the words live: "cpu" or "cuda:N"."""
        return device_of(self.words)

    def __len__(self) -> int:
        return self.frame_count

    def __repr__(self) -> str:
        place = "" if self.device == "cpu" else f", device={self.device!r}"
        return f"BitMask(frames={self.frame_count}, points={self.point_count}{place})"

    def __eq__(self, other: object) -> bool:
        """Same shape and same bits; masks on different devices raise as their arrays do."""
        if not isinstance(other, BitMask):
            return NotImplemented
        if self.shape != other.shape:
            return False
        return bool((_as_signed(self.words) == _as_signed(other.words)).all())

    __hash__ = None  # type: ignore[assignment]

    def __getitem__(self, rows: Any) -> BitMask:
        """The frames of a slice (a view) or of an index or boolean array (a copy)."""
        if isinstance(rows, (int, np.integer)):
            raise TypeError("take one frame with row(frame) or indices(frame), or slice it")
        return BitMask(self.words[rows], self.point_count)

    def __and__(self, other: BitMask) -> BitMask:
        self._check_same_points(other)
        return BitMask(_as_signed(self.words) & _as_signed(other.words), self.point_count)

    def __or__(self, other: BitMask) -> BitMask:
        self._check_same_points(other)
        return BitMask(_as_signed(self.words) | _as_signed(other.words), self.point_count)

    def row(self, frame: int) -> Any:
        """(ceil(P / 64),) words of one frame, a view."""
        return self.words[frame]

    def counts(self) -> Any:
        """(F,) uint32: visible points of each frame."""
        if not self._on_host:
            return _device_bits.counts(library_at(self.words), self.words)
        return np.bitwise_count(self.words).sum(axis=1, dtype=np.uint32)

    def any_frame(self) -> Any:
        """(F,) bool: whether a frame sees any point."""
        if not self._on_host:
            return _device_bits.any_frame(library_at(self.words), self.words)
        return np.asarray(self.words.any(axis=1))

    def any_point(self) -> Any:
        """(P,) bool: whether a point is seen by any frame."""
        if not self._on_host:
            return _device_bits.any_point(library_at(self.words), self.words, self.point_count)
        union: NDArray[np.uint64] = np.bitwise_or.reduce(self.words, axis=0, keepdims=True)
        return _unpack(union, self.point_count)[0]

    def indices(self, frame: int) -> Any:
        """Visible points of one frame, ascending int64."""
        return self._indices_of(self.words[frame])

    def common(self, frame_a: int, frame_b: int) -> Any:
        """Points that both frames see, ascending int64."""
        words = _as_signed(self.words)
        return self._indices_of(words[frame_a] & words[frame_b])

    def _indices_of(self, row: Any) -> Any:
        if not self._on_host:
            return _device_bits.indices(library_at(row), row, self.point_count)
        return np.flatnonzero(_unpack(row[None], self.point_count)[0]).astype(np.int64, copy=False)

    def at(self, points: ArrayLike) -> Any:
        """(F, n) bool: whether each frame sees each of n points.

        Args:
            points: (n,) integers on the host.

        Raises:
            IndexError: A point is outside [0, P).
        """
        index = np.asarray(points, dtype=np.int64)
        if index.size and not (index.min() >= 0 and index.max() < self.point_count):
            raise IndexError(f"points must lie in [0, {self.point_count})")
        if not self._on_host:
            return _device_bits.at(library_at(self.words), self.words, index)
        words = self.words[:, index // WORD_BITS]
        return (words >> (index % WORD_BITS).astype(np.uint64) & np.uint64(1)).astype(np.bool_)

    def to_bool(self) -> Any:
        """(F, P) bool."""
        if not self._on_host:
            return _device_bits.to_bool(library_at(self.words), self.words, self.point_count)
        return _unpack(self.words, self.point_count)

    def transpose(self) -> BitMask:
        """P x F: row p holds the frames that see point p.

        At most 16 MiB are unpacked at once on the host, 256 MiB on a GPU.
        """
        if not self._on_host:
            lib = library_at(self.words)
            turned = _device_bits.transpose(lib, self.words, self.point_count)
            return BitMask(turned, self.frame_count)
        words = self.words
        frame_count, width = words.shape
        out = np.zeros((self.point_count, word_count(frame_count) * 8), np.uint8)
        step = max(1, _CHUNK_BITS // max(1, frame_count * WORD_BITS))
        for first in range(0, width, step):
            begin = first * WORD_BITS
            end = min(begin + step * WORD_BITS, self.point_count)
            flags = _unpack(words[:, first : first + step], end - begin)
            packed = np.packbits(flags.T, axis=1, bitorder="little")
            out[begin:end, : packed.shape[1]] = packed
        return BitMask(out.view("<u8"), frame_count)

    def to_host(self) -> BitMask:
        """The same mask in numpy words: itself on the host, an explicit copy from a GPU."""
        if self._on_host:
            return self
        host = library_at(self.words).download(self.words)
        return BitMask(host.view("<u8"), self.point_count)

    @property
    def _on_host(self) -> bool:
        return library_of(self.words) == "numpy"

    def _check_same_points(self, other: BitMask) -> None:
        if self.point_count != other.point_count:
            raise ValueError(f"masks have {self.point_count} and {other.point_count} points")


def word_count(point_count: int) -> int:
    """Words that hold `point_count` bits."""
    return (point_count + WORD_BITS - 1) // WORD_BITS


def _dtypes(words: Any) -> tuple[str, ...]:
    return ("uint64", "int64") if library_of(words) == "torch" else ("uint64",)


def _as_signed(words: Any) -> Any:
    """Torch words as int64, whose operators torch implements; others as they are."""
    if library_of(words) != "torch":
        return words
    import torch

    return words.view(torch.int64)


def _unpack(words: NDArray[np.uint64], point_count: int) -> NDArray[np.bool_]:
    """(F, P) bool of packed rows."""
    rows = np.ascontiguousarray(words, dtype="<u8")
    if rows.size == 0:
        return np.zeros((len(rows), point_count), np.bool_)
    bits = np.unpackbits(rows.view(np.uint8), axis=1, count=point_count, bitorder="little")
    return bits.view(np.bool_)
