# SPDX-License-Identifier: Apache-2.0
"""Published split lists: text files with one scene id a line, found near the scenes."""

from __future__ import annotations

import functools
import re
from pathlib import Path

from spatialcore.io.paths import read_text
from spatialcore.io.refusals import present

_FOLDERS = ("", "splits", "meta_data", "metadata", "Tasks/Benchmark")
_PREFIXES = ("scannetv2_", "scannet_", "nvs_sem_", "sem_", "")
# Ids of collections whose publishers hold scenes out: ScanNet, ScanNet++, ARKitScenes, 3RScan.
_PUBLISHED = re.compile(
    r"scene[0-9]{4}_[0-9]{2}\Z|[0-9a-f]{10}\Z|4[0-9]{7}\Z|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z"
)
_SPLITS = ("train", "val")


@functools.lru_cache(maxsize=64)
def _ids(path: Path, _mtime_ns: int) -> frozenset[str]:
    return frozenset(line.strip() for line in read_text(path).splitlines() if line.strip())


def _places(root: Path, folder: Path | None) -> list[Path]:
    """Where lists may lie: from the scene's own folder up to the one above the root."""
    above = [] if folder is None else [p for p in folder.parents if root in p.parents]
    return [*above, root, root.parent]


def _split_files(places: list[Path], prefixes: tuple[str, ...]) -> list[tuple[str, Path]]:
    """(split, file) of the first folder that has a list, first prefix first."""
    for folder in (place / name for place in places for name in _FOLDERS):
        for prefix in prefixes:
            files = [(split, folder / f"{prefix}{split}.txt") for split in _SPLITS]
            found = [(split, path) for split, path in files if present(path)]
            if found:
                return found
    return []


def split_of(
    scene_id: str,
    root: Path,
    *,
    prefixes: tuple[str, ...] = _PREFIXES,
    space: str | None = None,
    folder: Path | None = None,
) -> tuple[str | None, tuple[Path, ...]]:
    """Split of a scene by the lists near it.

    Args:
        scene_id: Looked up as it is.
        root: Source root; `splits/`, `meta_data/` and the folder above are searched as well.
        prefixes: Of the list files: `<prefix>train.txt`, `<prefix>val.txt`.
        space: Looked up when the id itself is on no list.
        folder: Of the scene: folders between it and the root come first, so that collections
            beside each other keep their own lists.

    Returns:
        "train", "val" or None = on no list; and the list files that were read.

    Raises:
        SceneFormatError: A list is not text.
    """
    files = _split_files(_places(root, folder), prefixes)
    lists = {split: _ids(path, path.stat().st_mtime_ns) for split, path in files}
    paths = tuple(path for _, path in files)
    for name in (scene_id, space):
        for split, ids in lists.items():
            if name in ids:
                return split, paths
    return None, paths


def split_note(name: str, split: str | None, root: Path) -> tuple[str, ...]:
    """The note "split_unknown" where a published id is on no list, so that it may be held out.

    Args:
        name: Of the scene's folder.
        split: What the lists say.
        root: Source root; scenes of `spatialcore sample` borrow ScanNet's form of ids.
    """
    if split is not None or _PUBLISHED.match(name) is None:
        return ()
    return () if (root.parent / "sample.json").is_file() else ("split_unknown",)
