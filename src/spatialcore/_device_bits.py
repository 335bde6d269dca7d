# SPDX-License-Identifier: Apache-2.0
"""What BitMask does with words that are torch or cupy arrays: in that library, where they lie.

Words are taken as int64, whose operators both libraries have: a shift to the right copies the
sign, so every shift is followed by a mask.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatialcore._libraries import Library

_WORD_BITS = 64
_CHUNK_BITS = 1 << 28  # unpacked bytes held at once by transpose()
_PAIRS, _NIBBLES, _OCTETS = 0x5555555555555555, 0x3333333333333333, 0x0F0F0F0F0F0F0F0F


def counts(lib: Library, words: Any) -> Any:
    """(F,) uint32 (int32 bits in torch): set bits of each row."""
    x = lib.view(words, "int64")
    x = x - ((x >> 1) & _PAIRS)
    x = (x & _NIBBLES) + ((x >> 2) & _NIBBLES)
    x = (x + (x >> 4)) & _OCTETS
    for step in (8, 16, 32):  # no byte overflows: a word has at most 64 bits
        x = x + (x >> step)
    return lib.convert((x & 0x7F).sum(axis=1), "uint32")


def any_frame(lib: Library, words: Any) -> Any:
    """(F,) bool."""
    return (lib.view(words, "int64") != 0).any(axis=1)


def any_point(lib: Library, words: Any, point_count: int) -> Any:
    """(P,) bool: the rows joined pairwise, log2 F times."""
    rows = lib.view(words, "int64")
    if not len(rows):
        return lib.zeros((point_count,), "bool")
    while len(rows) > 1:
        half = len(rows) // 2
        joined = rows[:half] | rows[half : 2 * half]
        rows = lib.concatenate([joined, rows[2 * half :]]) if len(rows) % 2 else joined
    return to_bool(lib, rows, point_count)[0]


def to_bool(lib: Library, words: Any, point_count: int) -> Any:
    """(F, P) bool."""
    octets = lib.view(words, "uint8")
    flags = (octets[..., None] >> lib.arange(8, "uint8")) & 1
    unpacked = flags.reshape((*words.shape[:-1], _WORD_BITS * words.shape[-1]))
    return lib.convert(unpacked[..., :point_count], "bool")


def from_bool(lib: Library, flags: Any) -> Any:
    """(F, ceil(P / 64)) words of (F, P) flags."""
    frame_count, point_count = flags.shape
    width = (point_count + _WORD_BITS - 1) // _WORD_BITS
    padded = lib.zeros((frame_count, width * _WORD_BITS), "uint8")
    padded[:, :point_count] = lib.convert(flags, "uint8")
    octets = padded.reshape((frame_count, 8 * width, 8)) << lib.arange(8, "uint8")
    return lib.view(lib.convert(octets.sum(axis=2), "uint8"), "uint64")


def transpose(lib: Library, words: Any, point_count: int) -> Any:
    """(P, ceil(F / 64)) words."""
    frame_count, width = words.shape
    step = max(1, _CHUNK_BITS // max(1, frame_count * _WORD_BITS))
    parts = [lib.zeros((0, (frame_count + _WORD_BITS - 1) // _WORD_BITS), "uint64")]
    for first in range(0, width, step):
        inside = min((first + step) * _WORD_BITS, point_count) - first * _WORD_BITS
        flags = to_bool(lib, words[:, first : first + step], inside)
        parts.append(from_bool(lib, flags.T))
    return lib.concatenate(parts)


def indices(lib: Library, row: Any, point_count: int) -> Any:
    """Set bits of one row, ascending int64; waits for their number."""
    return lib.nonzero(to_bool(lib, row, point_count))[0]


def at(lib: Library, words: Any, points: NDArray[np.int64]) -> Any:
    """(F, n) bool: bits of n points that the caller has checked."""
    place = lib.upload([points // _WORD_BITS, points % _WORD_BITS])
    return lib.convert((lib.view(words, "int64")[:, place[0]] >> place[1]) & 1, "bool")
