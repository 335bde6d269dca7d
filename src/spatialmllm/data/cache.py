# SPDX-License-Identifier: Apache-2.0
"""Decoded images on disk, after marks and resize: a training run opens each image once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spatialcore.files import whole_file

if TYPE_CHECKING:
    from spatial_engine.records.record import ImageRef

Pixels = NDArray[np.uint8]


class ImageCache:
    """Raw RGB files named by everything that decides their pixels.

    The name is a hash of the image's file (path, size, time of change), its marks and the size it
    is resized to, so a changed source or recipe never meets an old entry. Files are written aside
    and renamed: processes may share a folder, and a file is whole or absent.

    Args:
        folder: Made when it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._resolved: dict[Path, str] = {}

    def read(
        self,
        root: Path,
        reference: ImageRef,
        letter_height_share: float,
        size: tuple[int, int],
        decode: Callable[[], Pixels],
    ) -> Pixels:
        """Pixels (height, width, 3) of an image, from the folder or by `decode`.

        Args:
            root: Folder that the image's uri is relative to.
            reference: The image and its marks.
            letter_height_share: Height of the marks' letters, of the image's width.
            size: (height, width) after the resize.
            decode: Makes the pixels.
        """
        path = self._path(root, reference, letter_height_share, size)
        height, width = size
        with suppress(FileNotFoundError):
            kept = np.fromfile(path, dtype=np.uint8)
            if kept.size == height * width * 3:
                return kept.reshape(height, width, 3)
        pixels = np.ascontiguousarray(decode())
        with whole_file(path, durable=False) as temporary:
            temporary.write_bytes(pixels.data)
        return pixels

    def _path(
        self, root: Path, reference: ImageRef, letter_height_share: float, size: tuple[int, int]
    ) -> Path:
        # Links are followed once for a root: an image's own path would cost more than its pixels.
        if root not in self._resolved:
            self._resolved[root] = str(root.resolve())
        file = os.path.normpath(f"{self._resolved[root]}/{reference.uri.partition('#')[0]}")
        changed = (0, 0)
        # A file that is not there has no entry: decoding it raises what is wrong with it.
        with suppress(FileNotFoundError):
            state = Path(file).stat()
            changed = (state.st_size, state.st_mtime_ns)
        marks = (reference.marks, letter_height_share) if reference.marks else ()
        key = f"{file}|{reference.uri}|{changed}|{marks}|{size}"
        name = hashlib.blake2b(key.encode(), digest_size=16).hexdigest()
        return self.folder / name[:2] / f"{name[2:]}.rgb"
