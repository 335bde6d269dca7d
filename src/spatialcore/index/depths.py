# SPDX-License-Identifier: Apache-2.0
"""Depth maps of a scene, each decoded once: read ahead on threads, kept for further passes.

A reader gives a map as its file has it, upright and without what says "no reading". Here it is held
against the size of its camera, kept in the cache where there is one, and looked at as evidence that
depth and poses agree. Then whoever walks over the maps has it, and nobody hands it back.
"""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spatialcore.errors import SceneFormatError
from spatialcore.index.depth_cache import MapFile, SceneCache
from spatialcore.io.agreement import DepthShot, depth_shot, sampled_frames
from spatialcore.types import Frame, Scene

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


class SceneMaps:
    """The maps of a scene's usable frames in order, for one walk.

    Iterating gives (row, depth): the row in the scene's table of frames, and (h, w) uint16 or
    float32 as stored, contiguous.

    Args:
        scene: The scene.
        rows: Rows of the frames wanted, ascending.
        threads: Decoding threads.
        cache: Folder of `spatialcore.index.depth_cache`; None keeps nothing. Only a whole walk is
            kept.

    Attributes:
        reasons: After the walk, row -> reason code of the maps that could not be had.
        shots: After the walk, sampled maps with their cameras, in order.
    """

    def __init__(
        self, scene: Scene, rows: Sequence[int], threads: int, cache: Path | None = None
    ) -> None:
        self.reasons: dict[int, str] = {}
        self.shots: list[DepthShot] = []
        self._scene, self._threads, self._cache = scene, threads, cache
        self._frames = [(row, scene.frames[row]) for row in rows]

    def __iter__(self) -> Iterator[tuple[int, NDArray[Any]]]:
        scene, read = self._scene, self._scene.read_depth
        keeping: AbstractContextManager[MapFile | None] = nullcontext()
        if self._cache is not None:
            held = SceneCache(scene, self._cache)
            read, keeping = held.read, held.keeping(len(self._frames))
        compared = {f.index for f in sampled_frames([frame for _, frame in self._frames])}
        with keeping as kept:
            for item in decode_ahead(read, self._frames, scene.depth_size_of, self._threads):
                if item.reason:
                    self.reasons[item.row] = item.reason
                    continue
                frame = scene.frames[item.row]
                if kept is not None:
                    kept.add(frame.index, item.depth)
                if frame.index in compared:
                    shot = depth_shot(scene, frame, item.depth)
                    self.shots.extend([] if shot is None else [shot])
                yield item.row, item.depth


class DepthSpool:
    """Maps and their rows that may be walked again: in memory, then in a temporary file.

    The first walk takes them from where they come, and hands each on as it is kept. Use as a
    context manager; the file vanishes with it.

    Args:
        maps: (row, depth), which can be walked once.
        folder: Where the temporary file lies.
        kept_bytes: What memory holds of them.
    """

    def __init__(
        self,
        maps: Iterable[tuple[int, NDArray[Any]]],
        folder: Path,
        kept_bytes: int = KEPT_BYTES,
    ) -> None:
        self._coming = iter(maps)
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

    def __iter__(self) -> Iterator[tuple[int, NDArray[Any]]]:
        for row, kept in self._maps:
            yield row, kept if isinstance(kept, np.ndarray) else self._read(kept)
        for row, depth in self._coming:
            self._keep(row, depth)
            yield row, depth

    def _keep(self, row: int, depth: NDArray[Any]) -> None:
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
