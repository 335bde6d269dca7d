# SPDX-License-Identifier: Apache-2.0
"""Colour images by uri: sizes from headers, bytes as they are, pixels only on demand.

A uri is relative to the root of its source and has one of six forms: `a/b.jpg`,
`a.sens#frame=120`, `clip.npz#images_jpeg_bytes/17`, `v.mp4#frame=3`, `a.zip#b/c.jpg` (also
`a.r3d`, `a.tar`), `a.npz#image/3` (a row of pixels). Behind each may stand `#rotate=90`,
`&rotate=90` behind a fragment: the clockwise degrees that turn the stored picture upright. What
EXIF says of turning is in the uri, so the pixels are taken as they are stored, and bytes that are
handed on say nothing of it.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from spatialcore.errors import SceneFormatError
from spatialcore.io.exif import without_turn
from spatialcore.io.paths import fragment_number, read_bytes, resolve_inside, split_uri
from spatialcore.io.upright import split_rotation
from spatialcore.io.videos import is_video, video_frame

if TYPE_CHECKING:
    from PIL import Image

MAX_PIXELS = 64 << 20
MAX_FILE_BYTES = 256 << 20
_FORMATS = ("JPEG", "PNG", "WEBP")
# Start-of-frame markers of JPEG: all of C0..CF but DHT, JPG and DAC.
_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})
# A file of filler bytes must not keep the marker walk busy.
_MAX_SEGMENTS = 4096
_TAIL_BYTES = 1 << 20


def _jpeg_size(stream: BinaryIO) -> tuple[int, int] | None:
    for _ in range(_MAX_SEGMENTS):
        marker = stream.read(2)
        if len(marker) < 2 or marker[0] != 0xFF:
            return None
        if marker[1] == 0xFF:
            stream.seek(-1, io.SEEK_CUR)
            continue
        if marker[1] in _ALONE:
            continue
        length = stream.read(2)
        if len(length) < 2 or length < b"\x00\x02":
            return None
        if marker[1] in _SOF:
            frame = stream.read(5)
            if len(frame) < 5:
                return None
            height, width = struct.unpack(">HH", frame[1:])
            return width, height
        stream.seek(int.from_bytes(length, "big") - 2, io.SEEK_CUR)
    return None


def _webp_size(head: bytes) -> tuple[int, int] | None:
    kind = head[12:16]
    if kind == b"VP8X":
        return (
            int.from_bytes(head[24:27], "little") + 1,
            int.from_bytes(head[27:30], "little") + 1,
        )
    if kind == b"VP8L" and head[20:21] == b"\x2f":
        bits = int.from_bytes(head[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and head[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack("<HH", head[26:30])
        return width & 0x3FFF, height & 0x3FFF
    return None


def _size_of(stream: BinaryIO) -> tuple[int, int] | None:
    head = stream.read(30)
    if head[:2] == b"\xff\xd8":
        stream.seek(2)
        return _jpeg_size(stream)
    if head[:8] == b"\x89PNG\r\n\x1a\n" and head[12:16] == b"IHDR" and len(head) >= 24:
        width, height = struct.unpack(">II", head[16:24])
        return width, height
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP" and len(head) == 30:
        return _webp_size(head)
    return None


def _is_cut(stream: BinaryIO) -> bool:
    """Whether a picture lacks the mark or the bytes that it ends with; what follows is let be.

    The stream stands behind the size: an embedded preview, which has marks of its own, is before.
    """
    start, length = stream.tell(), stream.seek(0, io.SEEK_END)
    stream.seek(0)
    head = stream.read(12)
    if head[:4] == b"RIFF":
        return 8 + int.from_bytes(head[4:8], "little") > length
    mark = b"\xff\xd9" if head[:2] == b"\xff\xd8" else b"IEND"
    end, block = length, len(mark) + 4  # behind IEND is its checksum
    while end > start:
        begin = max(start, end - block)
        stream.seek(begin)
        if mark in stream.read(end - begin):
            return False
        end, block = begin + (len(mark) - 1 if begin > start else 0), _TAIL_BYTES
    return True


def image_size(
    image: Path | bytes, path: Path | str = "image", *, whole: bool = False
) -> tuple[int, int]:
    r"""(width, height) of a JPEG, PNG or WebP, from its header, without decoding.

    Args:
        image: A file, or the bytes of one.
        path: Named in errors when `image` is bytes.
        whole: Whether bytes are all of a file, whose end is then looked at as a file's is.

    Raises:
        SceneFormatError: Missing, empty, of another format, larger than 64 megapixels, or cut off
            before its end; code "image_bad".

    Example:
        >>> image_size(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x05\0\0\0\x03")
        (5, 3)
    """
    if isinstance(image, bytes):
        stream = io.BytesIO(image)
        size = _size_of(stream)
        cut = whole and size is not None and _is_cut(stream)
    else:
        path = image
        try:
            if not image.is_file():  # opening a pipe would wait for its other end
                raise SceneFormatError(path, "is no file", code="image_bad")
            with image.open("rb", buffering=4096) as file:
                if os.fstat(file.fileno()).st_size > MAX_FILE_BYTES:
                    raise SceneFormatError(path, "is larger than 256 MiB", code="image_bad")
                size = _size_of(file)
                cut = size is not None and _is_cut(file)
        except (OSError, ValueError) as error:
            raise SceneFormatError(path, f"cannot be read: {error}", code="image_bad") from error
    if size is None:
        raise SceneFormatError(path, "is not a JPEG, PNG or WebP image", code="image_bad")
    if not 0 < size[0] * size[1] <= MAX_PIXELS:
        raise SceneFormatError(
            path,
            f"declares {size[0]}x{size[1]} pixels, at most {MAX_PIXELS} are allowed",
            code="image_bad",
        )
    if cut:
        raise SceneFormatError(path, "is cut off before its end", "copy it again", "image_bad")
    return size


def decode_image(image: bytes, path: Path | str = "image") -> Image.Image:
    """Decode a JPEG, PNG or WebP to RGB; SceneFormatError (code "image_bad") when damaged."""
    from PIL import Image

    image_size(image, path)
    try:
        with Image.open(io.BytesIO(image), formats=_FORMATS) as opened:
            opened.load()
            return opened.convert("RGB")
    except Exception as error:  # Pillow's plugins raise many kinds on damage
        raise SceneFormatError(path, f"cannot be decoded: {error}", code="image_bad") from error


def _sens_bytes(path: Path, uri: str) -> bytes:
    from spatialcore.io.sens import open_sens

    return open_sens(path).image_bytes(fragment_number(uri, "frame="))


def _npz_bytes(path: Path, uri: str) -> bytes:
    from spatialcore.io.tapvid3d import clip_images

    number = fragment_number(uri, "images_jpeg_bytes/")
    images = clip_images(path)
    if number >= len(images):
        raise SceneFormatError(
            path, f"has {len(images)} images, number {number} was asked for", code="image_bad"
        )
    return images[number]


def _member_bytes(path: Path, uri: str) -> bytes:
    from spatialcore.io.archives import member_bytes

    return member_bytes(path, split_uri(uri)[1])


def _tar_bytes(path: Path, uri: str) -> bytes:
    from spatialcore.io.tars import tar_member_bytes

    return tar_member_bytes(path, split_uri(uri)[1])


_READERS: dict[str, Callable[[Path, str], bytes]] = {
    ".sens": _sens_bytes,
    ".npz": _npz_bytes,
    ".zip": _member_bytes,
    ".r3d": _member_bytes,
    ".tar": _tar_bytes,
}


def _is_pixels(uri: str) -> bool:
    """Whether the picture is a row of an array of pixels."""
    name, part = split_uri(uri)
    return name.lower().endswith(".npz") and not part.startswith("images_jpeg_bytes/")


def _pixels(path: Path, part: str) -> Image.Image:
    """A row (h, w, 3) or (3, h, w) of an array: bytes, or floats from 0 to 1."""
    import numpy as np
    from PIL import Image

    from spatialcore.io.depth_maps import npz_array

    try:
        stored = npz_array(path, part)
    except SceneFormatError as error:
        raise SceneFormatError(path, error.what, code="image_bad") from error
    if stored.ndim == 3 and stored.shape[0] == 3 != stored.shape[2]:
        stored = np.moveaxis(stored, 0, -1)
    large = stored.size > 3 * MAX_PIXELS or 0 in stored.shape
    if stored.ndim != 3 or stored.shape[2] != 3 or large:
        what = f"{part[:80]} has shape {stored.shape}, a picture is (h, w, 3)"
        raise SceneFormatError(path, what, code="image_bad")
    if stored.dtype.kind == "f":
        stored = np.rint(np.clip(np.nan_to_num(stored.astype(np.float64)), 0.0, 1.0) * 255)
    elif stored.dtype != np.uint8:
        raise SceneFormatError(path, f"{part[:80]} holds {stored.dtype}", code="image_bad")
    return Image.fromarray(np.ascontiguousarray(stored.astype(np.uint8)))


def holds_bytes(uri: str) -> bool:
    """Whether `image_bytes` can copy the picture as stored: none of a video, pixels, or a turn."""
    stored, degrees = split_rotation(uri)
    return not degrees and not is_video(split_uri(stored)[0]) and not _is_pixels(stored)


def image_bytes(root: Path, uri: str) -> bytes:
    """The encoded bytes behind a uri, as stored but for an EXIF orientation; for exports that copy.

    Args:
        root: Root of the source.
        uri: Any form of which `holds_bytes` is true.

    Raises:
        SceneFormatError: The uri leads out of the root, or the image is missing or not an image.
    """
    name, fragment = split_uri(uri)
    path = resolve_inside(Path(root), name)
    if not holds_bytes(uri):
        raise SceneFormatError(path, f"holds no image bytes under #{fragment[:80]}", code="uri")
    if not fragment:
        image = read_bytes(path, MAX_FILE_BYTES)
    elif path.suffix.lower() in _READERS:
        image = _READERS[path.suffix.lower()](path, uri)
    else:
        raise SceneFormatError(path, f"holds no image bytes under #{fragment[:80]}", code="uri")
    image_size(image, path, whole=True)
    return without_turn(image)


def open_image(root: Path, uri: str) -> Image.Image:
    """Decode the image behind a uri to RGB.

    Args:
        root: Root of the source.
        uri: Any of the forms above, relative to `root`; videos need the extra `video`.

    Returns:
        PIL image, mode RGB, turned as the uri says.

    Raises:
        SceneFormatError: The uri leads out of the root; the image is missing, damaged, of a
            format other than JPEG, PNG and WebP, or larger than 64 megapixels.
    """
    stored, degrees = split_rotation(uri)
    path = resolve_inside(Path(root), split_uri(stored)[0])
    if is_video(path.name):
        image = video_frame(path, fragment_number(stored, "frame="))
    elif _is_pixels(stored):
        image = _pixels(path, split_uri(stored)[1])
    else:
        image = decode_image(image_bytes(root, stored), path)
    if not degrees:
        return image
    return image.rotate(-degrees, expand=True)  # quarter turns are exact, and counted the other way
