# SPDX-License-Identifier: Apache-2.0
"""Published split lists: text files with one scene id a line, found near the scenes."""

from __future__ import annotations

import functools
from pathlib import Path

from spatialcore.io.paths import read_text

_FOLDERS = ("", "splits", "meta_data", "Tasks/Benchmark")
_PREFIXES = ("scannetv2_", "nvs_sem_", "")
_SPLITS = ("train", "val")


@functools.lru_cache(maxsize=64)
def _ids(path: Path, _mtime_ns: int) -> frozenset[str]:
    return frozenset(line.strip() for line in read_text(path).splitlines() if line.strip())


def _split_files(root: Path, prefixes: tuple[str, ...]) -> list[tuple[str, Path]]:
    """(split, file) of the first folder that has a list, first prefix first."""
    for folder in (*(root / f for f in _FOLDERS), root.parent, root.parent / "splits"):
        for prefix in prefixes:
            files = [(split, folder / f"{prefix}{split}.txt") for split in _SPLITS]
            found = [(split, path) for split, path in files if path.is_file()]
            if found:
                return found
    return []


def split_of(
    scene_id: str, root: Path, *, prefixes: tuple[str, ...] = _PREFIXES, space: str | None = None
) -> tuple[str | None, tuple[Path, ...]]:
    """Split of a scene by the lists near its root.

    Args:
        scene_id: Looked up as it is.
        root: Source root; `splits/`, `meta_data/` and the parent folder are searched as well.
        prefixes: Of the list files: `<prefix>train.txt`, `<prefix>val.txt`.
        space: Looked up when the id itself is on no list.

    Returns:
        "train", "val" or None = on no list; and the list files that were read.

    Raises:
        SceneFormatError: A list is not text.
    """
    files = _split_files(root, prefixes)
    lists = {split: _ids(path, path.stat().st_mtime_ns) for split, path in files}
    paths = tuple(path for _, path in files)
    for name in (scene_id, space):
        for split, ids in lists.items():
            if name in ids:
                return split, paths
    return None, paths
