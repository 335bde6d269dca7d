# SPDX-License-Identifier: Apache-2.0
"""The compiled depth decoder against Pillow, for every row filter, and on damaged files."""

from __future__ import annotations

import io
import itertools
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from spatialcore import _cpu

LIMIT = 1 << 26
NONE, SUB, UP, AVERAGE, PAETH = range(5)


def chunk(kind: bytes, payload: bytes) -> bytes:
    return (
        struct.pack(">I", len(payload))
        + kind
        + payload
        + struct.pack(">I", zlib.crc32(kind + payload))
    )


def filtered_rows(depth: NDArray[np.uint16], filters: list[int]) -> bytes:
    """Filter every row as ISO/IEC 15948 section 9 says, written for reading, not for speed."""
    raw = depth.astype(">u2").view(np.uint8).reshape(depth.shape[0], -1).astype(int)
    out = bytearray()
    for r, row in enumerate(raw):
        above = raw[r - 1] if r else np.zeros_like(row)
        left = np.concatenate([[0, 0], row[:-2]])
        corner = np.concatenate([[0, 0], above[:-2]])
        estimate = left + above - corner
        pa, pb, pc = abs(estimate - left), abs(estimate - above), abs(estimate - corner)
        paeth = np.where((pa <= pb) & (pa <= pc), left, np.where(pb <= pc, above, corner))
        guess = (np.zeros_like(row), left, above, (left + above) // 2, paeth)[filters[r]]
        out += bytes([filters[r]]) + ((row - guess) % 256).astype(np.uint8).tobytes()
    return bytes(out)


def write_png(depth: NDArray[np.uint16], filters: list[int], pieces: int = 1) -> bytes:
    h, w = depth.shape
    stream = zlib.compress(filtered_rows(depth, filters))
    cuts = np.linspace(0, len(stream), pieces + 1).astype(int)
    parts = [stream[a:b] for a, b in itertools.pairwise(cuts)]
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, 16, 0, 0, 0, 0))
        + b"".join(chunk(b"IDAT", part) for part in parts)
        + chunk(b"IEND", b"")
    )


def picture(h: int, w: int, seed: int = 0) -> NDArray[np.uint16]:
    rng = np.random.default_rng(seed)
    ramp = np.add.outer(np.arange(h) * 37, np.arange(w) * 211)
    return (ramp + rng.integers(0, 300, (h, w))).astype(np.uint16)


@pytest.mark.parametrize("kind", [NONE, SUB, UP, AVERAGE, PAETH])
@pytest.mark.parametrize(
    "size", [(1, 1), (1, 9), (5, 1), (4, 3), (4, 4), (9, 17), (13, 64), (33, 129)]
)
def test_each_filter(kind: int, size: tuple[int, int]) -> None:
    depth = picture(*size)
    png = write_png(depth, [kind] * size[0])
    np.testing.assert_array_equal(_cpu.decode_depth_png(png, LIMIT), depth)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png))), depth)


@pytest.mark.parametrize("seed", range(20))
def test_mixed_filters_and_chunks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    h, w = (int(n) for n in rng.integers(1, 50, 2))
    filters = [int(f) for f in rng.choice([NONE, SUB, UP, AVERAGE, PAETH, PAETH, PAETH], h)]
    depth = picture(h, w, seed)
    png = write_png(depth, filters, pieces=1 + seed % 4)
    np.testing.assert_array_equal(_cpu.decode_depth_png(png, LIMIT), depth)


@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 10, 11, 12, 13, 20, 33])
def test_rows_of_other_filters_among_paeth(width: int) -> None:
    """Wavefronts of four and of eight rows at every width around their lag, and what is left."""
    rng = np.random.default_rng(width)
    for height in (4, 5, 7, 8, 9, 12, 16, 19, 27):
        depth = rng.integers(0, 1 << 16, (height, width)).astype(np.uint16)
        filters = [PAETH, *map(int, rng.choice([NONE, SUB, UP, PAETH, PAETH], height - 1))]
        if height > 16:
            filters[int(rng.integers(1, height))] = AVERAGE
        png = write_png(depth, filters)
        np.testing.assert_array_equal(
            _cpu.decode_depth_png(png, LIMIT), depth, err_msg=f"{filters}"
        )


def test_another_kind_of_png_is_refused() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (5, 4)).save(buffer, "PNG")
    with pytest.raises(ValueError, match="not a plain 16-bit"):
        _cpu.decode_depth_png(buffer.getvalue(), LIMIT)


def test_limits() -> None:
    png = write_png(picture(8, 8), [NONE] * 8)
    with pytest.raises(ValueError, match="exceeds the limit of 63"):
        _cpu.decode_depth_png(png, 63)
    huge = png[:16] + struct.pack(">II", 1 << 12, 1 << 12) + png[24:]
    with pytest.raises(ValueError, match="more pixels than the file can hold"):
        _cpu.decode_depth_png(huge, LIMIT)


def test_truncated_and_damaged() -> None:
    png = write_png(picture(20, 20), [PAETH] * 20)
    for size in range(0, len(png) - 1, 7):
        with pytest.raises(ValueError):  # noqa: PT011 - the wording depends on where it ends
            _cpu.decode_depth_png(png[:size], LIMIT)
    with pytest.raises(ValueError, match="unknown row filter"):
        _cpu.decode_depth_png(bad_filter(), LIMIT)


def bad_filter() -> bytes:
    raw = b"\x07" + bytes(4)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, 16, 0, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(raw))
        + chunk(b"IEND", b"")
    )


@pytest.mark.real
def test_captured_depth(real_path: Path) -> None:
    files = sorted(real_path.glob("rgbd/*/posed_images/*.png"))
    assert files
    for file in files:
        expected = np.asarray(Image.open(file))
        np.testing.assert_array_equal(_cpu.decode_depth_png(file.read_bytes(), LIMIT), expected)
