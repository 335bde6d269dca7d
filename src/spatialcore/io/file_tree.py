# SPDX-License-Identifier: Apache-2.0
"""Which files lie below a folder, for lists of thousands of names with many places for each."""

from __future__ import annotations

import os
from pathlib import Path

from spatialcore.io.paths import resolve_inside

# What is listed of folders and of names in them; beyond it each file is asked for alone.
_MOST_FOLDERS, _MOST_NAMES = 1024, 1 << 20


class FileTree:
    """Finds files below a folder: each of its folders is listed once, when it is first asked for.

    To ask the system for a file takes as long as twenty looks into a list, and a reconstruction of
    50,000 images has a hundred places where the map of each may lie.

    Args:
        root: The folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folders: dict[str, frozenset[str] | None] = {}
        self._found: dict[tuple[str, tuple[str, ...], tuple[str, ...]], Path | None] = {}
        self._names = 0

    def find(
        self, name: str, places: tuple[str, ...] = ("",), suffixes: tuple[str, ...] = ("",)
    ) -> Path | None:
        """The first file of a name that is there.

        Args:
            name: Relative to each of the places.
            places: Folders that end in "/", or "", by their names relative to the root.
            suffixes: What may stand behind the name.

        Raises:
            SceneFormatError: A name leads out of the root; code "path_escape".
        """
        key = name, places, suffixes
        if key not in self._found:
            self._found[key] = self._first(name, places, suffixes)
        return self._found[key]

    def _first(self, name: str, places: tuple[str, ...], suffixes: tuple[str, ...]) -> Path | None:
        if ".." in name or "\\" in name or "\0" in name or name.startswith("/"):
            resolve_inside(self._root, name)  # refuses it, wherever it may lead
        last = name.rpartition("/")[2]
        for place in places:
            listing = self._beside(place + name)
            if listing is not None and not listing:
                continue
            for suffix in suffixes:
                if listing is None or last + suffix in listing:
                    path = resolve_inside(self._root, place + name + suffix)
                    if os.path.isfile(path):  # noqa: PTH113 - a name may be too long for a file
                        return path
        return None

    def _beside(self, name: str) -> frozenset[str] | None:
        """Names in the folder of a file, none where the folder is not there; None: not known."""
        above, _, _ = name.rpartition("/")
        if above in self._folders:
            return self._folders[above]
        here = ""
        for folder in above.split("/") if above else ():
            if folder in ("", ".."):  # refused where the file is resolved
                return None
            listing = self._listing(here)
            if listing is None:
                return None
            if folder != ".":
                if folder not in listing:
                    return frozenset()
                here = f"{here}/{folder}" if here else folder
        return self._listing(here)

    def _listing(self, folder: str) -> frozenset[str] | None:
        """Names in a folder; None where it cannot be listed, or too much has been."""
        if folder not in self._folders:
            if len(self._folders) >= _MOST_FOLDERS or self._names >= _MOST_NAMES:
                return None
            try:
                found = frozenset(os.listdir(self._root / folder))  # noqa: PTH208 - makes no paths
            except (FileNotFoundError, NotADirectoryError):
                found = frozenset()
            except (OSError, ValueError):
                found = None
            self._names += len(found or ())
            self._folders[folder] = found
        return self._folders[folder]
