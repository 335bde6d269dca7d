# SPDX-License-Identifier: Apache-2.0
"""The pictures of a gallery: every image once, and what marks change of it as patches.

A file is named after the pixels it holds, so equal images are one file. A marked image is the plain
one with an exact patch on it: a frame that is asked about a hundred times is stored once.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from spatial_engine.dataset.dataset import OpenedRecord
from spatialcore.errors import RecordError, SpatialCoreError

if TYPE_CHECKING:
    from PIL.Image import Image as PilImage

PICTURE_WIDTH = 960  # pixels at most
JPEG_QUALITY = 85
_KEPT = 48  # decoded images that are kept for the next records
_BELIEVED = 32  # lost images, from which a source that is not there is known before the end
_MOST_PATCHED = 0.2  # of the image's pixels; beyond, the marked image is a picture of its own


class Patch(NamedTuple):
    """The pixels that marks have changed, the others transparent: a file, and its place."""

    file: str
    x: int
    y: int
    width: int
    height: int


class Picture(NamedTuple):
    """An image as the page shows it.

    Attributes:
        file: Name below `images/`; "" where the image cannot be opened.
        width: Columns as recorded, which marks and evidence count in.
        height: Rows.
        patches: What marks change.
    """

    file: str
    width: int
    height: int
    patches: tuple[Patch, ...] = ()


class Pictures:
    """Writes pictures into a folder.

    Attributes:
        lost: Path of each image that cannot be opened -> what was raised.
    """

    def __init__(self, folder: Path) -> None:
        self.lost: dict[str, str] = {}
        self._folder = folder
        self._names: dict[tuple[Path, str], str] = {}
        self._plain: OrderedDict[tuple[Path, str], PilImage] = OrderedDict()
        self._written: set[str] = set()
        folder.mkdir()

    @property
    def count(self) -> int:
        """Files that were written."""
        return len(self._written)

    def add(self, opened: OpenedRecord, number: int) -> Picture:
        """An image of a record; written unless its pixels are there."""
        image = opened.record.images[number]
        key = (opened.root, image.uri)
        if str(opened.root / image.uri) in self.lost:
            return Picture("", image.width, image.height)
        try:
            if key not in self._names:
                self._names[key] = self._save(self._open(opened, number))
            name = self._names[key]
            patches: tuple[Patch, ...] = ()
            if image.marks:
                plain = self._open(opened, number)
                name, patches = self._marked(name, plain, opened.marked(plain, number))
        except (SpatialCoreError, OSError) as error:
            self.lost[str(opened.root / image.uri)] = str(error)
            if len(self._names) < len(self.lost) >= _BELIEVED:
                self.check()
            return Picture("", image.width, image.height)
        return Picture(name, image.width, image.height, patches)

    def check(self) -> None:
        """Raise RecordError when more images are lost than found: the source is not there."""
        found = len(self._names)
        if len(self.lost) > found:
            raise RecordError(
                f"{len(self.lost):,} of {len(self.lost) + found:,} images cannot be opened; where "
                f"a source has moved, say --root KEY=PATH: {next(iter(self.lost.values()))}"
            )

    def _open(self, opened: OpenedRecord, number: int) -> PilImage:
        key = (opened.root, opened.record.images[number].uri)
        if key not in self._plain:
            self._plain[key] = opened.plain(number)
            if len(self._plain) > _KEPT:
                self._plain.popitem(last=False)
        self._plain.move_to_end(key)
        return self._plain[key]

    def _marked(
        self, name: str, plain: PilImage, marked: PilImage
    ) -> tuple[str, tuple[Patch, ...]]:
        from PIL import Image, ImageChops

        box = ImageChops.difference(plain, marked).getbbox()
        if box is None:
            return name, ()
        before, after = (np.asarray(image.crop(box)) for image in (plain, marked))
        changed = (before != after).any(axis=2)
        if changed.sum() > _MOST_PATCHED * plain.width * plain.height:
            return self._save(marked), ()
        patch = np.dstack([after, np.full(changed.shape, 255, np.uint8)])
        patch[~changed] = 0
        drawn = Image.fromarray(patch, "RGBA")
        file = f"{_digest(drawn)}.png"
        if file not in self._written:
            drawn.save(self._folder / file, "PNG")
            self._written.add(file)
        return name, (Patch(file, box[0], box[1], drawn.width, drawn.height),)

    def _save(self, image: PilImage) -> str:
        name = f"{_digest(image)}.jpg"
        if name not in self._written:
            if image.width > PICTURE_WIDTH:
                height = round(image.height * PICTURE_WIDTH / image.width)
                image = image.resize((PICTURE_WIDTH, height))
            image.save(self._folder / name, "JPEG", quality=JPEG_QUALITY)
            self._written.add(name)
        return name


def _digest(image: PilImage) -> str:
    size = f"{image.width}x{image.height}".encode()
    return hashlib.blake2b(image.tobytes(), digest_size=8, key=size).hexdigest()
