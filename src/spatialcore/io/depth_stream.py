# SPDX-License-Identifier: Apache-2.0
"""Maps of a whole capture in one file, one after the other.

Either the file is one raw DEFLATE stream of numbers of one type, as MultiScan's are; or, as
ScanNet++ writes its `depth.bin`, such a stream of float32 metres or blocks behind the number of
their bytes (u32, little-endian): LZ4 of uint16 millimetres, or raw DEFLATE of float32 metres.
"""

from __future__ import annotations

import struct
import threading
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from spatialcore.errors import SceneFormatError
from spatialcore.io.paths import file_size

Size = tuple[int, int]
_CHUNK = 1 << 20
# One running stream cannot be entered in its middle: its state is kept every so many maps.
_CHECKPOINT = 64
# Threads ask for neighbours out of order: the last maps are kept, so that none starts anew.
_RECENT = 16
_MAX_MAPS = 1 << 20
_LENGTH = struct.Struct("<I")
_SILENT_BYTES = 4 << 20
_FLOAT = np.dtype("<f4")


def _bad(path: Path, what: str) -> SceneFormatError:
    return SceneFormatError(path, what, code="depth_bad")


class _Maps(Protocol):
    """Maps of one file by number."""

    def read(self, number: int) -> NDArray[Any]: ...


def _places(path: Path, size: Size) -> tuple[tuple[int, int], ...] | None:
    """(offset, bytes) of every map where each stands behind its length; None where none do."""
    found: list[tuple[int, int]] = []
    total, place = file_size(path), 0
    largest = 8 * size[0] * size[1]
    with path.open("rb") as stream:
        while place < total:
            head = stream.read(_LENGTH.size)
            count = _LENGTH.unpack(head)[0] if len(head) == _LENGTH.size else 0
            place += _LENGTH.size + count
            if not 0 < count <= largest or place > total or len(found) >= _MAX_MAPS:
                return None
            found.append((place - count, count))
            stream.seek(place)
    return tuple(found) or None


@dataclass(frozen=True, slots=True)
class _Blocks:
    """Maps that stand behind their lengths."""

    path: Path
    size: Size
    places: tuple[tuple[int, int], ...]

    def read(self, number: int) -> NDArray[Any]:
        if number >= len(self.places):
            raise SceneFormatError(
                self.path, f"has {len(self.places)} maps, none {number}", code="depth_missing"
            )
        offset, count = self.places[number]
        with self.path.open("rb") as stream:
            stream.seek(offset)
            stored = stream.read(count)
        w, h = self.size
        units = self._unpacked(stored, 2 * w * h)
        if units is not None:
            depth = np.frombuffer(units, "<u2").reshape(h, w).astype(np.float32)
            return depth * np.float32(0.001)
        try:
            metres = zlib.decompressobj(-15).decompress(stored, 4 * w * h + 1)
        except zlib.error as error:
            raise _bad(self.path, f"map {number} is damaged: {error}") from error
        return _as_map(metres, self.size, self.path, number)

    def _unpacked(self, stored: bytes, length: int) -> bytes | None:
        """The bytes of an LZ4 block, None where it is none of this length."""
        try:
            import lz4.block
        except ImportError as error:
            raise SceneFormatError(
                self.path, "is compressed by LZ4", "pip install '.[captures]'", code="extra"
            ) from error
        try:
            found: bytes = lz4.block.decompress(stored, uncompressed_size=length)
        except (lz4.block.LZ4BlockError, ValueError, MemoryError):
            return None
        return found if len(found) == length else None


class _Running:
    """Maps of one running stream, read forwards from the nearest kept state."""

    def __init__(self, path: Path, size: Size, dtype: str) -> None:
        self._path, self._size, self._dtype = path, size, np.dtype(dtype)
        self._bytes = self._dtype.itemsize * size[0] * size[1]
        self._lock = threading.Lock()
        # State before map k: offset in the file, bytes read but not used, the decoder.
        self._states: dict[int, tuple[int, bytes, Any]] = {0: (0, b"", zlib.decompressobj(-15))}
        self._last: tuple[int, tuple[int, bytes, Any]] | None = None
        self._recent: dict[int, bytes] = {}

    def read(self, number: int) -> NDArray[Any]:
        with self._lock:
            if number not in self._recent:
                self._advance(number)
            content = self._recent[number]
        return _as_map(content, self._size, self._path, number, self._dtype)

    def _advance(self, number: int) -> None:
        """Decode up to a map from the nearest state before it."""
        start = max(k for k in self._states if k <= number)
        state = self._states[start]
        if self._last is not None and start <= self._last[0] <= number:
            start, state = self._last
        else:
            state = (*state[:2], state[2].copy())
        self._last = None  # a decoder that failed is not used again
        with self._path.open("rb") as stream:
            for k in range(start, number + 1):
                if k % _CHECKPOINT == 0 and k not in self._states:
                    self._states[k] = (*state[:2], state[2].copy())
                content, state = self._next(stream, state, k)
                self._recent[k] = content
                if len(self._recent) > _RECENT:
                    del self._recent[next(iter(self._recent))]
        self._last = (number + 1, state)

    def _next(
        self, stream: Any, state: tuple[int, bytes, Any], number: int
    ) -> tuple[bytes, tuple[int, bytes, Any]]:
        offset, rest, decoder = state
        stream.seek(offset)
        parts: list[bytes] = []
        missing = self._bytes
        silent = 0  # bytes of blocks that hold nothing
        try:
            while missing:
                if not rest:
                    rest = stream.read(_CHUNK)
                    offset += len(rest)
                part = decoder.decompress(rest, missing)
                silent = 0 if part else silent + len(rest)
                if not part and (not rest or decoder.eof or silent > _SILENT_BYTES):
                    code = "depth_bad" if parts or silent > _SILENT_BYTES else "depth_missing"
                    raise SceneFormatError(self._path, f"ends before map {number}", code=code)
                rest = decoder.unconsumed_tail
                parts.append(part)
                missing -= len(part)
        except zlib.error as error:
            raise _bad(self._path, f"is damaged before map {number}: {error}") from error
        return b"".join(parts), (offset, rest, decoder)


def _as_map(
    content: bytes, size: Size, path: Path, number: int, dtype: np.dtype[Any] = _FLOAT
) -> NDArray[Any]:
    if len(content) != dtype.itemsize * size[0] * size[1]:
        raise _bad(path, f"map {number} has {len(content)} bytes, not those of {size} floats")
    return np.frombuffer(content, dtype).reshape(size[1], size[0]).copy()


@lru_cache(maxsize=2)
def _opened(path: Path, stamp: tuple[int, int], size: Size) -> _Maps:
    del stamp
    places = _places(path, size)
    return _Running(path, size, "<f4") if places is None else _Blocks(path, size, places)


@lru_cache(maxsize=4)
def _running(path: Path, stamp: tuple[int, int], size: Size, dtype: str) -> _Running:
    del stamp
    return _Running(path, size, dtype)


def read_running_map(path: Path, number: int, size: Size, dtype: str) -> NDArray[Any]:
    """Map `number` of a file that is one raw DEFLATE stream, counted from 0.

    Args:
        path: The file.
        number: Of the map.
        size: (width, height) of all maps.
        dtype: Of their numbers, "<f2", "<u2" or "u1".

    Returns:
        (h, w) of that type, writable.

    Raises:
        SceneFormatError: As `read_stream_depth`.
    """
    stamp = file_size(path), path.stat().st_mtime_ns
    return _running(path, stamp, size, dtype).read(number)


def read_stream_depth(path: Path, number: int, size: Size) -> NDArray[Any]:
    """Map `number` of a file, counted from 0.

    Args:
        path: The file.
        number: Of the map.
        size: (width, height) of all maps.

    Returns:
        (h, w) float32 metres, writable.

    Raises:
        SceneFormatError: Missing, damaged (code "depth_bad"), no such map (code "depth_missing"),
            or lz4 is not installed (code "extra").
    """
    stamp = file_size(path), path.stat().st_mtime_ns
    return _opened(path, stamp, size).read(number)
