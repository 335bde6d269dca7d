# SPDX-License-Identifier: Apache-2.0
"""Bounded decoding of 16-bit greyscale PNG, the form in which depth and instance images come."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatialcore import _cpu
from spatialcore.errors import SceneFormatError

# 32 megapixels: a third more than a photograph's rendered depth, 64 MB decoded.
MAX_PIXELS = 32 << 20
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER_BYTES = 33
_INTERLACE = 28
_MAX_DEFLATE_RATIO = 1032


def depth_png_size(head: bytes, path: Path, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """(width, height) of a 16-bit greyscale PNG, from its first 33 bytes.

    Args:
        head: The file, or at least its first 33 bytes.
        path: Named in errors.
        max_pixels: Largest width * height to accept.

    Raises:
        SceneFormatError: Not a PNG, not 16-bit greyscale, or too large; code "depth_bad".
    """
    if len(head) < _HEADER_BYTES or head[:8] != _SIGNATURE or head[12:16] != b"IHDR":
        raise SceneFormatError(path, "is not a PNG image", code="depth_bad")
    width, height, bits, colour_type = struct.unpack(">IIBB", head[16:26])
    if not 0 < width * height <= max_pixels:
        raise SceneFormatError(
            path,
            f"declares {width}x{height} pixels, at most {max_pixels} are allowed",
            code="depth_bad",
        )
    if bits != 16 or colour_type != 0:
        raise SceneFormatError(
            path,
            f"has {bits} bits and colour type {colour_type}",
            "depth and instance images are 16-bit greyscale PNG",
            code="depth_bad",
        )
    return width, height


def decode_depth_png(png: bytes, path: Path, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint16]:
    """Decode a 16-bit greyscale PNG.

    Args:
        png: The whole file.
        path: Named in errors.
        max_pixels: Largest width * height to accept, checked before anything is allocated.

    Returns:
        (h, w) uint16, C-contiguous and writable, as stored.

    Raises:
        SceneFormatError: Not such a PNG, truncated or damaged; code "depth_bad".
    """
    width, height = depth_png_size(png, path, max_pixels)
    try:
        if png[_INTERLACE] == 0:
            return _cpu.decode_depth_png(png, max_pixels)
    except ValueError as error:
        raise SceneFormatError(path, f"cannot be decoded: {error}", code="depth_bad") from error
    # The compiled decoder leaves out interlaced files, which no depth camera writes.
    return _decode_interlaced(png, width, height, path)


def _decode_interlaced(png: bytes, width: int, height: int, path: Path) -> NDArray[np.uint16]:
    from PIL import Image

    if 2 * width * height > _MAX_DEFLATE_RATIO * len(png):
        raise SceneFormatError(path, "has more pixels than the file can hold", code="depth_bad")
    try:
        with Image.open(io.BytesIO(png), formats=("PNG",)) as image:
            image.load()
            pixels: NDArray[Any] = np.asarray(image)
    except Exception as error:  # Pillow's plugins raise many kinds on damage
        raise SceneFormatError(path, f"cannot be decoded: {error}", code="depth_bad") from error
    if pixels.shape != (height, width):
        raise SceneFormatError(path, f"decoded to {pixels.shape}", code="depth_bad")
    return np.array(pixels, dtype=np.uint16, order="C")
