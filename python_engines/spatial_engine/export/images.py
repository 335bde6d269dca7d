# SPDX-License-Identifier: Apache-2.0
"""The images of an export: written once each, shared by all records that show them."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from spatialcore.files import is_temporary, plain_name, whole_file
from spatialcore.io.paths import file_size, resolve_inside

if TYPE_CHECKING:
    from spatial_engine.dataset.dataset import OpenedRecord
    from spatial_engine.records.record import QARecord

ImageMode = Literal["link", "copy", "none"]
QUALITY = 95


def encoded(root: Path, uri: str) -> bytes:
    """The image as stored; a frame of a video, or one turned upright, as JPEG."""
    from spatialcore.io.images import holds_bytes, image_bytes, open_image

    if holds_bytes(uri):
        return image_bytes(root, uri)
    return _jpeg(open_image(root, uri))


def marked(opened: OpenedRecord, number: int) -> bytes:
    """The image with its marks drawn at its stored size, as JPEG of quality 95."""
    return _jpeg(opened.image(number))


def _jpeg(picture: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=QUALITY)  # type: ignore[attr-defined]  # a PIL image
    return out.getvalue()


class ImageStore:
    """Puts images below `folder`/images; a file that is there is not made again.

    Several processes may put the same image: each file is whole or absent.
    """

    def __init__(self, folder: Path, mode: ImageMode, *, absolute: bool = False) -> None:
        self._folder = folder
        self._mode = mode
        self._absolute = absolute

    def place(self, opened: OpenedRecord, number: int) -> str:
        """Path of the record's image of this number: relative to the export, or from the root.

        Without files it is `source/uri`, which names an image and is no path.
        """
        path = self._place(opened, number)
        named = self._mode == "none" and not opened.record.images[number].marks
        return path if named or not self._absolute else str(self._folder / path)

    def _place(self, opened: OpenedRecord, number: int) -> str:
        record = opened.record
        image = record.images[number]
        if image.marks:
            text = f"{record.source}|{image.uri}|{image.marks}|{opened.letter_height_share}"
            name = hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
            return self._write(f"images/marked/{name}.jpg", lambda: marked(opened, number))
        if self._mode == "none":
            return f"{record.source}/{image.uri}"
        plain, _, fragment = image.uri.partition("#")
        suffix = Path(plain).suffix.lower() if not fragment else ".jpg"
        name = plain_name(_stem(record, number) + suffix, self._folder)
        relative = f"images/{plain_name(record.source)}/{plain_name(record.scene)}/{name}"
        if self._mode == "link" and not fragment:
            path = self._folder / relative
            if not path.is_symlink():
                target = resolve_inside(opened.root, plain)
                file_size(target)  # a link to nothing would only be found by who trains on it
                path.parent.mkdir(parents=True, exist_ok=True)
                with suppress(FileExistsError):  # another process was quicker
                    path.symlink_to(target)
            return relative
        return self._write(relative, lambda: encoded(opened.root, image.uri))

    def _write(self, relative: str, make: Callable[[], bytes]) -> str:
        path = self._folder / relative
        if not path.exists():
            with whole_file(path, durable=False) as temporary:
                temporary.write_bytes(make())
        return relative


def count_images(folder: Path) -> int:
    """The image files, links aside, of an export; what killed processes left is removed."""
    count = 0
    for path in (folder / "images").rglob("*"):
        if is_temporary(path.name):
            path.unlink()
        elif path.is_file() and not path.is_symlink():
            count += 1
    return count


def _stem(record: QARecord, number: int) -> str:
    """File name of the frame: its whole name, since two folders may hold equal file names."""
    if number >= len(record.frame_names):
        return f"{number:05d}"
    name = re.sub(r"\.(jpe?g|png|webp)$", "", record.frame_names[number], flags=re.IGNORECASE)
    return name.replace("..", "_").replace("\\", "_").replace("/", "_")
