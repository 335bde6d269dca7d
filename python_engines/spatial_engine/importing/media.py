# SPDX-License-Identifier: Apache-2.0
"""The pictures of imported rows: found below one folder, their sizes read, videos as frames."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from spatial_engine.importing.draft import LeftOut, Shown
from spatial_engine.records.record import ImageRef
from spatialcore.errors import SceneFormatError
from spatialcore.files import write_bytes
from spatialcore.io.exif import picture_turn
from spatialcore.io.images import image_size
from spatialcore.io.paths import resolve_inside
from spatialcore.io.upright import turned_size, turned_uri
from spatialcore.io.videos import SUFFIXES, is_video, video_frame_count, video_size

EMBEDDED = "images"
"""Folder of a data set that holds the pictures which its rows held."""
MAX_IMAGES = 512
"""Of a row."""
_PICTURES = (".jpg", ".jpeg", ".png", ".webp")


class Placed(NamedTuple):
    """A picture of a record, the name of its frame, and its number in a video."""

    image: ImageRef
    name: str
    frame: int


class Media:
    """Finds what rows show.

    Args:
        root: Folder that paths start at; absolute paths must lie in it.
        out: Folder of the data set, for pictures that rows hold themselves.
        frames: Frames that are taken of a video or of a folder of frames, spread evenly.
    """

    def __init__(self, root: Path, out: Path, frames: int) -> None:
        self._root, self._out, self._frames = root.resolve(), out, frames
        self._sized = lru_cache(maxsize=1 << 16)(self._measured)
        self.paths = self.embedded = 0

    def place(self, shown: Sequence[Shown]) -> list[list[Placed]]:
        """The pictures of each thing that a row shows.

        Raises:
            LeftOut: Something is not there, damaged, or outside of the folder.
        """
        if any(one.path for one in shown) and any(one.content for one in shown):
            raise LeftOut("pictures by path beside pictures in the row")
        placed = [self._placed(one) for one in shown]
        if sum(map(len, placed)) > MAX_IMAGES:
            raise LeftOut(f"more than {MAX_IMAGES} pictures")
        self.paths += any(one.path for one in shown)
        self.embedded += any(one.content for one in shown)
        return placed

    @property
    def root(self) -> str:
        """Root of the source as a manifest holds it: the folder, or that of the held pictures."""
        return EMBEDDED if self.embedded and not self.paths else str(self._root)

    def _placed(self, one: Shown) -> list[Placed]:
        if one.content and one.video:
            raise LeftOut("a video in the row, which is not unpacked")
        if one.content:
            return [self._held(one.content)]
        relative = self._relative(one.path)
        if one.video:
            return self._of_video(relative)
        image = self._sized(relative)
        return [Placed(image, Path(relative).name, 0)]

    def _relative(self, path: str) -> str:
        """The path below the folder."""
        if not path:
            raise LeftOut("no name of a picture")
        given = Path(path)
        if given.is_absolute():
            if not given.is_relative_to(self._root):
                raise LeftOut("a picture outside of the folder of images")
            path = given.relative_to(self._root).as_posix()
        if "#" in path:
            raise LeftOut("a picture with a # in its name")
        return path.removeprefix("./")

    def _measured(self, relative: str) -> ImageRef:
        try:
            path = resolve_inside(self._root, relative)
            size = image_size(path)
        except SceneFormatError as error:
            if error.code == "image_bad":
                there = (self._root / relative).exists()
                raise LeftOut("a damaged picture" if there else "a missing picture") from None
            raise LeftOut("a picture outside of the folder of images") from None
        return _upright(relative, size, picture_turn(path))

    def _held(self, content: bytes) -> Placed:
        """A picture that a row holds, written once below the data set."""
        try:
            size = image_size(content, whole=True)
        except SceneFormatError:
            raise LeftOut("a damaged picture") from None
        suffix = ".png" if content.startswith(b"\x89PNG") else ".jpg"
        name = hashlib.blake2b(content, digest_size=16).hexdigest() + suffix
        relative = f"{name[:2]}/{name}"
        path = self._out / EMBEDDED / relative
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(path, content)
        return Placed(_upright(relative, size, picture_turn(content)), name, 0)

    def _of_video(self, relative: str) -> list[Placed]:
        """Frames of a video, or of a folder of pictures, spread evenly over it."""
        found = next((name for name in _names(relative) if (self._root / name).exists()), None)
        if found is None:
            raise LeftOut("a missing video")
        path = resolve_inside(self._root, found)
        if path.is_dir():
            names = sorted(p.name for p in path.iterdir() if p.suffix.lower() in _PICTURES)
            if not names:
                raise LeftOut("a folder without frames")
            chosen = _spread(len(names), self._frames)
            return [Placed(self._sized(f"{found}/{names[k]}"), names[k], k) for k in chosen]
        try:
            count = video_frame_count(path)
            width, height = video_size(path)
        except SceneFormatError as error:
            if error.code == "extra":
                raise  # what is to be installed is said, not counted
            raise LeftOut("a damaged video") from None
        if not count:
            raise LeftOut("a video without frames")
        return [
            Placed(ImageRef(f"{found}#frame={k}", width, height), f"{Path(found).name}#{k}", k)
            for k in _spread(count, self._frames)
        ]


def _names(relative: str) -> list[str]:
    """Where a video may lie that is named without its suffix."""
    if is_video(relative):
        return [relative]
    return [relative, *(f"{relative}{suffix}" for suffix in SUFFIXES)]


def _spread(count: int, most: int) -> list[int]:
    """At most `most` of `count` positions, evenly, the first and the last among them."""
    if count <= most:
        return list(range(count))
    return [round(k * (count - 1) / (most - 1)) if most > 1 else count // 2 for k in range(most)]


def _upright(uri: str, size: tuple[int, int], turn: int) -> ImageRef:
    """A picture as its EXIF says that it is shown; a mirrored one as it is stored."""
    turn = max(turn, 0)
    return ImageRef(turned_uri(uri, turn) if turn else uri, *turned_size(size, turn))
