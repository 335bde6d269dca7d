# SPDX-License-Identifier: Apache-2.0
"""Depth maps of a scene, each decoded once: read ahead on threads, kept for a second pass."""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spatialcore.errors import SceneFormatError
from spatialcore.types import Frame

# Decoded maps that may wait: enough to keep decoders busy, few enough to stay in the cache.
_AHEAD = 4
# Maps kept in memory between two passes; beyond it they go to a temporary file.
KEPT_BYTES = 192 << 20


class DecodedDepth(NamedTuple):
    """A frame's map, or why there is none.

    Attributes:
        row: Row of the frame in the scene's table.
        depth: (h, w) uint16 or float32 as stored, contiguous; empty when `reason` is set.
        reason: "" or a reason code.
    """

    row: int
    depth: NDArray[Any]
    reason: str = ""


class _Spilled(NamedTuple):
    """Where the temporary file holds a map; a scene may mix integer and float ones."""

    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def _decode(
    read: Callable[[Frame], NDArray[Any]], frame: Frame, row: int, size: tuple[int, int]
) -> DecodedDepth:
    nothing = np.zeros((0, 0), np.float32)
    try:
        stored = read(frame)
    except SceneFormatError as error:
        return DecodedDepth(row, nothing, error.code)
    if stored.shape != (size[1], size[0]):
        return DecodedDepth(row, nothing, "depth_size_differs")
    dtype = np.float32 if stored.dtype.kind == "f" else np.uint16
    return DecodedDepth(row, np.ascontiguousarray(stored, dtype=dtype))


def decode_ahead(
    read: Callable[[Frame], NDArray[Any]],
    frames: Sequence[tuple[int, Frame]],
    size_of: Callable[[Frame], tuple[int, int]],
    threads: int,
) -> Iterator[DecodedDepth]:
    """Decode maps on worker threads and yield them in order.

    Args:
        read: The scene's `read_depth`; SceneFormatError masks that frame alone.
        frames: (row, frame) in the order wanted.
        size_of: (w, h) that the map of a frame must have.
        threads: Decoding threads, at least 1.

    Yields:
        One DecodedDepth for each frame.
    """
    with ThreadPoolExecutor(max(1, threads), thread_name_prefix="depth") as pool:
        waiting: deque[Future[DecodedDepth]] = deque()
        for row, frame in frames:
            waiting.append(pool.submit(_decode, read, frame, row, size_of(frame)))
            if len(waiting) > _AHEAD * max(1, threads):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


class DepthSpool:
    """Decoded maps and their rows, kept for further passes: in memory, then in a temporary file.

    Use as a context manager; the file vanishes with it.
    """

    def __init__(self, folder: Path, kept_bytes: int = KEPT_BYTES) -> None:
        self._folder = folder
        self._left = kept_bytes
        self._maps: list[tuple[int, NDArray[Any] | _Spilled]] = []
        self._file: Any = None

    def __enter__(self) -> DepthSpool:
        return self

    def __exit__(self, *_: object) -> None:
        self._maps.clear()
        if self._file is not None:
            self._file.close()

    def append(self, row: int, depth: NDArray[Any]) -> None:
        """Keep one more map."""
        if depth.nbytes <= self._left:
            self._left -= depth.nbytes
            self._maps.append((row, depth))
            return
        if self._file is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 -- lives as long as self
        self._file.seek(0, 2)
        self._maps.append((row, _Spilled(int(self._file.tell()), depth.shape, depth.dtype)))
        self._file.write(depth.data)

    def _read(self, place: _Spilled) -> NDArray[Any]:
        self._file.seek(place.offset)
        out = np.empty(place.shape, place.dtype)
        self._file.readinto(out.reshape(-1).view(np.uint8).data)
        return out

    def __iter__(self) -> Iterator[tuple[int, NDArray[Any]]]:
        for row, kept in self._maps:
            yield row, kept if isinstance(kept, np.ndarray) else self._read(kept)
