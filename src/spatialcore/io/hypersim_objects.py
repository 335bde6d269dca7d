# SPDX-License-Identifier: Apache-2.0
"""Objects of Hypersim's frames: instance maps, and their labels by the votes of all frames."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spatialcore.errors import SceneFormatError
from spatialcore.io.categories import named_objects
from spatialcore.io.hdf5 import read_hdf5
from spatialcore.io.nyu40 import elected, pixel_votes
from spatialcore.io.object_files import Labels
from spatialcore.types import Frame

_DEPTH, _INSTANCE, _SEMANTIC = ".depth_meters.", ".semantic_instance.", ".semantic."


def _beside(root: Path, frame: Frame, kind: str) -> Path | None:
    """A map of another kind beside the depth of a frame, or None."""
    path = None if frame.depth is None else root / frame.depth.replace(_DEPTH, kind)
    return path if path is not None and path.is_file() else None


def _votes(instance: Path, semantic: Path) -> NDArray[np.int64] | None:
    """Rows of (instance, label, pixels) of one frame; None where a map is damaged."""
    try:
        maps = [read_hdf5(path, (None, None)) for path in (instance, semantic)]
    except SceneFormatError as error:
        if error.code == "extra":
            raise
        return None
    if maps[0].shape != maps[1].shape:
        return None
    return pixel_votes(maps[0], maps[1])


@functools.lru_cache(maxsize=8)
def _named(
    pairs: tuple[tuple[Path, Path], ...], _stamp: tuple[int, ...]
) -> tuple[dict[int, str], int]:
    """The label that most pixels of an instance have, and how many pairs of maps are damaged."""
    found = [votes for pair in pairs if (votes := _votes(*pair)) is not None]
    return elected(found), len(pairs) - len(found)


def instance_labels(root: Path, frames: Sequence[Frame], size: tuple[int, int]) -> Labels:
    """Objects of the frames that have both maps, `semantic_instance` and `semantic`.

    Args:
        root: Root of the source.
        frames: Of the room.
        size: (width, height) of the images.
    """
    pairs = []
    for frame in frames:
        instance, semantic = (_beside(root, frame, kind) for kind in (_INSTANCE, _SEMANTIC))
        if frame.valid and instance is not None and semantic is not None:
            pairs.append((instance, semantic))
    if not pairs:
        return Labels()
    files = [path for pair in pairs for path in pair]
    names, damaged = _named(tuple(pairs), tuple(path.stat().st_mtime_ns for path in files))
    objects, notes = named_objects(names)
    missing = sum(frame.valid for frame in frames) - len(pairs)
    counts = {"instance_missing": missing, "instance_bad": damaged}
    notes += tuple(f"{name}={count}" for name, count in counts.items() if count)
    return Labels(objects, functools.partial(_read_instance, root, size), tuple(files), notes)


def _read_instance(root: Path, size: tuple[int, int], frame: Frame) -> NDArray[np.int32]:
    path = _beside(root, frame, _INSTANCE)
    if path is None:
        raise SceneFormatError(
            root, f"has no instance map of frame {frame.name}", code="file_missing"
        )
    stored = read_hdf5(path, (None, None))
    if stored.shape != size[::-1] or stored.dtype.kind not in "iu":
        what = f"has shape {stored.shape} of {stored.dtype}, the colour image {size[::-1]}"
        raise SceneFormatError(path, what, code="instance_bad")
    ids = stored.astype(np.int32)
    ids[(ids <= 0) | (ids >= 1 << 16)] = -1
    return ids
