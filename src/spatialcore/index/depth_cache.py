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
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from spatialcore.files import child, whole_file, write_json
from spatialcore.index.depths import DecodedDepth, decode_ahead
from spatialcore.index.inputs import input_mark
from spatialcore.io.paths import input_name
from spatialcore.types import Frame, Scene

CACHE_VERSION = 1


class _Stored(NamedTuple):
    row_of: dict[int, int]  # frame index -> row of `maps`
    maps: NDArray[Any]


def decoded_maps(
    scene: Scene, frames: Sequence[tuple[int, Frame]], threads: int, folder: Path | None
) -> Iterator[DecodedDepth]:
    """The maps of a scene's frames in order, from the cache where it holds them.

    Args:
        scene: The scene.
        frames: (row, frame) in the order wanted.
        threads: Decoding threads.
        folder: Folder of the cache; None keeps nothing. Only a whole pass over `frames` is kept.

    Yields:
        One DecodedDepth for each frame. Frames that could not be decoded are tried again each time.
    """
    if folder is None:
        yield from decode_ahead(scene.read_depth, frames, scene.depth_size_of, threads)
        return
    path = child(folder, scene.source, scene.id)
    inputs = _inputs(scene)
    stored = _open(path, inputs, scene.depth_size)
    if stored is None:
        yield from _decode_and_keep(scene, frames, threads, path, inputs)
        return
    missing = [(row, frame) for row, frame in frames if frame.index not in stored.row_of]
    decoded = decode_ahead(scene.read_depth, missing, scene.depth_size_of, threads)
    for row, frame in frames:
        k = stored.row_of.get(frame.index)
        yield next(decoded) if k is None else DecodedDepth(row, np.asarray(stored.maps[k]))


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


def _decode_and_keep(
    scene: Scene,
    frames: Sequence[tuple[int, Frame]],
    threads: int,
    path: Path,
    inputs: dict[str, Any],
) -> Iterator[DecodedDepth]:
    """Decode, and write each map behind the last one; the file appears when all are there."""
    kept: list[int] = []
    formats: set[tuple[np.dtype[Any], tuple[int, ...]]] = set()
    names = {row: frame.index for row, frame in frames}
    try:
        with whole_file(_file(path, ".npy")) as temporary:
            with temporary.open("wb") as file:
                shape = (len(frames), *scene.depth_size[::-1])
                start = _write_header(file, np.dtype(np.uint16), shape)
                for item in decode_ahead(scene.read_depth, frames, scene.depth_size_of, threads):
                    if not item.reason:
                        kept.append(names[item.row])
                        formats.add((item.depth.dtype, item.depth.shape))
                        file.write(item.depth.data)
                    yield item
                dtypes = {dtype for dtype, _ in formats}
                if {size for _, size in formats} != {shape[1:]} or len(dtypes) != 1:
                    raise _NotKept
                file.seek(0)
                assert _write_header(file, dtypes.pop(), (len(kept), *shape[1:])) == start
            _file(path, ".json").unlink(missing_ok=True)
    except _NotKept:
        return
    write_json(_file(path, ".json"), {**inputs, "frames": kept})


class _NotKept(Exception):  # not an error: it ends a write that leaves nothing
    """Nothing was decoded, or maps of several types or sizes."""


def _write_header(file: Any, dtype: np.dtype[Any], shape: tuple[int, ...]) -> int:
    """A header of numpy's format, padded to the same length for every dtype and frame count."""
    fields = {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    npy.write_array_header_1_0(file, fields)
    return int(file.tell())


def _file(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)  # an id may hold dots
