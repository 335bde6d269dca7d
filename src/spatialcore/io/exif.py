# SPDX-License-Identifier: Apache-2.0
"""How a picture is to be shown by its EXIF orientation, read from its header, and taken out of it.

A camera that is held on its side stores the picture as its sensor lies and says so in one tag,
which browsers and some loaders follow and others do not. Here the tag becomes the `#rotate=` of the
picture's uri, and bytes that are handed on carry it no more, so that everyone sees one picture.

Sources: CIPA DC-008 (EXIF 3.0), 4.6.5 tag 0x0112 and 4.7.2; PNG 3rd edition, 11.3.4.5 `eXIf`;
the WebP container specification, chunk `EXIF`.
"""

from __future__ import annotations

import io
import zlib
from pathlib import Path
from typing import BinaryIO, NamedTuple

MIRRORED = -1
"""Turn of a picture whose tag mirrors it: no camera does."""

_TAG, _SHORT = 0x0112, 3
_TURNS = {1: 0, 3: 180, 6: 90, 8: 270}
_EXIF = b"Exif\0\0"
_MAX_EXIF = 1 << 16  # of a JPEG's segment; the tag lies in its first entries
_MAX_ENTRIES, _MAX_CHUNKS = 512, 256


class _Tag(NamedTuple):
    """Where the value of the tag stands in the file, its byte order, and what it says."""

    offset: int
    order: str
    value: int


def picture_turn(image: Path | bytes) -> int:
    """Clockwise degrees that turn the stored picture upright as its EXIF says; 0 without.

    Args:
        image: A JPEG, PNG or WebP, or its bytes; of anything else, or damaged, the turn is 0.

    Returns:
        0, 90, 180, 270, or `MIRRORED`.
    """
    found = _tag_of(image)
    return 0 if found is None else _TURNS.get(found.value, MIRRORED)


def without_turn(image: bytes) -> bytes:
    """The same picture with an orientation of 1: as it is stored is how it is shown.

    Two bytes change, and a PNG's checksum; pixels and all other tags stay.
    """
    found = _tag_of(image)
    if found is None or found.value == 1:
        return image
    out = bytearray(image)
    out[found.offset : found.offset + 2] = (1).to_bytes(2, found.order)  # type: ignore[arg-type]
    if image[:4] == b"\x89PNG":
        _mend_checksum(out)
    return bytes(out)


def _mend_checksum(png: bytearray) -> None:
    chunk = _png_exif(io.BytesIO(png))
    if chunk is not None and sum(chunk) + 4 <= len(png):
        start, length = chunk
        crc = zlib.crc32(png[start - 4 : start + length])
        png[start + length : start + length + 4] = crc.to_bytes(4, "big")


def _tag_of(image: Path | bytes) -> _Tag | None:
    try:
        if isinstance(image, bytes):
            return _read(io.BytesIO(image))
        if not image.is_file():  # opening a pipe would wait for its other end
            return None
        with image.open("rb", buffering=4096) as stream:
            return _read(stream)
    except (OSError, ValueError):
        return None


def _read(stream: BinaryIO) -> _Tag | None:
    head = stream.read(12)
    if head[:2] == b"\xff\xd8":
        place = _jpeg_exif(stream)
    elif head[:8] == b"\x89PNG\r\n\x1a\n":
        place = _png_exif(stream)
    elif head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        place = _webp_exif(stream)
    else:
        return None
    if place is None:
        return None
    start, length = place
    stream.seek(start)
    exif = stream.read(min(length, _MAX_EXIF))
    skipped = len(_EXIF) if exif[:6] == _EXIF else 0
    return _orientation(exif[skipped:], start + skipped)


def _jpeg_exif(stream: BinaryIO) -> tuple[int, int] | None:
    """Where the EXIF of a JPEG stands: it comes before the picture, among the first segments."""
    at = 2
    for _ in range(_MAX_CHUNKS):
        stream.seek(at)
        head = stream.read(10)
        if len(head) < 10 or head[0] != 0xFF or not 0xE0 <= head[1] <= 0xFE:
            return None
        length = int.from_bytes(head[2:4], "big")
        if head[1] == 0xE1 and head[4:10] == _EXIF:
            return at + 4, length - 2
        at += 2 + max(length, 2)
    return None


def _png_exif(stream: BinaryIO) -> tuple[int, int] | None:
    """Where the data of `eXIf` stands; it may come before or behind the picture's chunks."""
    at = 8
    for _ in range(_MAX_CHUNKS):
        stream.seek(at)
        head = stream.read(8)
        if len(head) < 8:
            return None
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        if kind == b"eXIf":
            return at + 8, length
        if kind == b"IEND":
            return None
        at += 12 + length
    return None


def _webp_exif(stream: BinaryIO) -> tuple[int, int] | None:
    at = 12
    for _ in range(_MAX_CHUNKS):
        stream.seek(at)
        head = stream.read(8)
        if len(head) < 8:
            return None
        length = int.from_bytes(head[4:], "little")
        if head[:4] == b"EXIF":
            return at + 8, length
        at += 8 + length + length % 2
    return None


def _orientation(tiff: bytes, offset: int) -> _Tag | None:
    """The tag in a TIFF structure that begins at `offset` of the file."""
    orders = {b"II*\0": "little", b"MM\0*": "big"}
    order = orders.get(tiff[:4])
    if order is None:
        return None

    def number(at: int, size: int) -> int:
        return int.from_bytes(tiff[at : at + size], order)  # type: ignore[arg-type]

    first = number(4, 4)
    count = min(number(first, 2), _MAX_ENTRIES)
    for entry in range(first + 2, first + 2 + 12 * count, 12):
        if entry + 12 > len(tiff):
            return None
        if number(entry, 2) == _TAG:
            value = number(entry + 8, 2)
            known = number(entry + 2, 2) == _SHORT and number(entry + 4, 4) == 1 and 1 <= value <= 8
            return _Tag(offset + entry + 8, order, value) if known else None
    return None
