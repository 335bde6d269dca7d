# SPDX-License-Identifier: Apache-2.0
"""LZFSE, Apple's compression, decoded to a length that is known: blocks are counted beforehand.

Block headers as in https://github.com/lzfse/lzfse, src/lzfse_internal.h: each begins with four
letters and the number of bytes that it holds.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable
from functools import cache
from pathlib import Path

from spatialcore.errors import SceneFormatError

_MAX_BLOCKS = 1 << 16
_END, _RAW, _LZVN, _FSE = b"bvx$", b"bvx-", b"bvxn", b"bvx2"


def lzfse_length(stored: bytes) -> int | None:
    """How many bytes the blocks say that they hold; None where they are malformed."""
    place = total = 0
    try:
        for _ in range(_MAX_BLOCKS):
            kind = stored[place : place + 4]
            if kind == _END:
                return total
            (held,) = struct.unpack_from("<I", stored, place + 4)
            total += held
            if kind == _RAW:
                place += 8 + held
            elif kind == _LZVN:
                place += 12 + struct.unpack_from("<I", stored, place + 8)[0]
            elif kind == _FSE:
                first, second, third = struct.unpack_from("<3Q", stored, place + 8)
                place += third & 0xFFFFFFFF
                place += (first >> 20 & 0xFFFFF) + (second >> 40 & 0xFFFFF)
            else:
                return None
    except struct.error:
        return None
    return None


@cache
def _decoder() -> Callable[..., int]:
    """`lzfse_decode_buffer` of Apple's library, as pyliblzfse carries it.

    The package's own `decompress` doubles its buffer without end on damaged input, and has written
    past it; the function below it is told how much room there is and keeps to it.
    """
    import liblzfse

    decode = ctypes.CDLL(liblzfse.__file__).lzfse_decode_buffer
    size, buffer = ctypes.c_size_t, ctypes.c_void_p
    decode.restype, decode.argtypes = size, [buffer, size, ctypes.c_char_p, size, buffer]
    found: Callable[..., int] = decode
    return found


def decode_lzfse(stored: bytes, length: int, path: Path, code: str = "depth_bad") -> bytes:
    """Exactly `length` bytes.

    Args:
        stored: The compressed bytes.
        length: How many they have to hold.
        path: Named in errors.
        code: Reason code of damage.

    Raises:
        SceneFormatError: They hold another number of bytes, are damaged, or pyliblzfse is not
            installed (code "extra").
    """
    try:
        decode = _decoder()
    except (ImportError, OSError, AttributeError) as error:
        raise SceneFormatError(
            path, "is compressed by LZFSE", "pip install '.[captures]'", code="extra"
        ) from error
    held = lzfse_length(stored)
    if held != length:
        what = "is no LZFSE stream" if held is None else f"holds {held} bytes, not {length}"
        raise SceneFormatError(path, what, code=code)
    # One byte more than is expected: a longer stream is told by filling it.
    out = ctypes.create_string_buffer(length + 1)
    count = decode(out, length + 1, stored, len(stored), None)
    if count != length:
        raise SceneFormatError(path, "is a damaged LZFSE stream", code=code)
    return out.raw[:length]
