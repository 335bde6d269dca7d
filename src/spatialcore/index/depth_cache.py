# SPDX-License-Identifier: Apache-2.0
"""Decoded depth maps of scenes, kept on disk so that the next index need not decode them again.

A scene is two files: `<scene>.npy`, its maps as numpy stores them, (F, h, w) uint16 or float32,
and `<scene>.json`, which frames they are and what the inputs looked like. They are uncompressed:
reading is a memory map, which the page cache serves at the speed of memory. The JSON is written
last, so its presence means complete; what does not fit the inputs, or was cut short, is decoded and
written again.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from spatialcore.files import child, whole_file, write_json
from spatialcore.index.inputs import input_mark
from spatialcore.io.paths import input_name
from spatialcore.types import Frame, Scene

CACHE_VERSION = 1


class _Stored(NamedTuple):
    row_of: dict[int, int]  # frame index -> row of `maps`
    maps: NDArray[Any]


class SceneCache:
    """What the cache holds of a scene, and where it is kept.

    Args:
        scene: The scene.
        folder: Folder of the cache.
    """

    def __init__(self, scene: Scene, folder: Path) -> None:
        self._scene = scene
        self._path = child(folder, scene.source, scene.id)
        self._inputs = _inputs(scene)
        self._stored = _open(self._path, self._inputs, scene.depth_size)

    def read(self, frame: Frame) -> NDArray[Any]:
        """As the scene's `read_depth`, from the cache where it holds the map.

        Raises:
            SceneFormatError: As `read_depth`. What could not be decoded is tried again each time.
        """
        stored = self._stored
        row = None if stored is None else stored.row_of.get(frame.index)
        if stored is None or row is None:
            return self._scene.read_depth(frame)
        return np.asarray(stored.maps[row])

    @contextmanager
    def keeping(self, frame_count: int) -> Iterator[MapFile | None]:
        """Where a whole pass over a scene's maps is kept; it appears when the block ends.

        Args:
            frame_count: Maps that the pass may give at most.

        Yields:
            What takes the maps; None where the cache holds the scene already.
        """
        if self._stored is not None:
            yield None
            return
        path = self._path
        try:
            with whole_file(_file(path, ".npy")) as temporary:
                with temporary.open("wb") as file:
                    kept = MapFile(file, frame_count, self._scene.depth_size)
                    yield kept
                    kept.finish()
                _file(path, ".json").unlink(missing_ok=True)
        except _NotKept:
            return
        write_json(_file(path, ".json"), {**self._inputs, "frames": kept.frames})


class MapFile:
    """The maps of one pass, written one behind the other.

    Attributes:
        frames: Indices of the frames whose maps are there.
    """

    def __init__(self, file: Any, frame_count: int, size: tuple[int, int]) -> None:
        self.frames: list[int] = []
        self._file, self._shape = file, size[::-1]
        self._formats: set[tuple[np.dtype[Any], tuple[int, ...]]] = set()
        self._start = _write_header(file, np.dtype(np.uint16), (frame_count, *self._shape))

    def add(self, frame: int, depth: NDArray[Any]) -> None:
        """Write one more map."""
        self.frames.append(frame)
        self._formats.add((depth.dtype, depth.shape))
        self._file.write(depth.data)

    def finish(self) -> None:
        """Write what they are in front of them; `_NotKept` where one file cannot hold them."""
        dtypes = {dtype for dtype, _ in self._formats}
        if {shape for _, shape in self._formats} != {self._shape} or len(dtypes) != 1:
            raise _NotKept
        self._file.seek(0)
        end = _write_header(self._file, dtypes.pop(), (len(self.frames), *self._shape))
        assert end == self._start


class _NotKept(Exception):  # not an error: it ends a write that leaves nothing
    """Nothing was decoded, or maps of several types or sizes."""


def is_cache(folder: Path) -> bool:
    """Whether a folder without our mark is a cache all the same, by the file of one scene."""
    for path in folder.glob("*/*.json"):
        try:
            meta = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return False
        return isinstance(meta, dict) and meta.keys() >= {"version", "reader", "inputs", "frames"}
    return False


def _inputs(scene: Scene) -> dict[str, Any]:
    marks = {input_name(p, scene.root): input_mark(p) for p in scene.inputs}
    return {"version": CACHE_VERSION, "reader": scene.kind, "inputs": marks}


def _open(path: Path, inputs: dict[str, Any], size: tuple[int, int]) -> _Stored | None:
    """What the cache holds of a scene; None where it is absent, out of date or damaged."""
    try:
        meta = json.loads(_file(path, ".json").read_text(encoding="utf-8"))
        frames = meta.pop("frames")
        if meta != inputs:
            return None
        maps = np.load(_file(path, ".npy"), mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, KeyError, AttributeError):
        return None
    if maps.shape != (len(frames), size[1], size[0]) or maps.dtype not in (np.uint16, np.float32):
        return None
    if isinstance(maps, np.memmap) and hasattr(mmap, "MADV_WILLNEED"):
        maps._mmap.madvise(mmap.MADV_WILLNEED)  # type: ignore[attr-defined]  # read ahead
    return _Stored({frame: row for row, frame in enumerate(frames)}, maps)


def _write_header(file: Any, dtype: np.dtype[Any], shape: tuple[int, ...]) -> int:
    """A header of numpy's format, padded to the same length for every dtype and frame count."""
    fields = {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    npy.write_array_header_1_0(file, fields)
    return int(file.tell())


def _file(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)  # an id may hold dots
