# SPDX-License-Identifier: Apache-2.0
"""How many members a zip archive has at most, before its directory is parsed.

The library makes an object of every entry of a directory before anybody may count them: a file of
100 MB can list two million. Every entry begins with its mark, so that marks bound entries.

Source: PKWARE's APPNOTE, 4.3.12 to 4.3.16.
"""

from __future__ import annotations

import os
from pathlib import Path

_END, _END_BYTES, _COMMENT_BYTES = b"PK\5\6", 22, 65535
_LOCATOR, _LOCATOR_BYTES, _WIDE_END_BYTES = b"PK\6\7", 20, 56
_ENTRY = b"PK\1\2"
_MOST_BYTES = 64 << 20


def check_member_count(path: Path, most: int) -> None:
    """Refuse an archive whose directory may hold more than `most` members.

    What is no archive at all is left to the library to refuse.

    Args:
        path: A file.
        most: Members that it may hold.

    Raises:
        ValueError: There may be more; says so.
        OSError: It cannot be read.
    """
    with path.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        tail_bytes = min(size, _END_BYTES + _COMMENT_BYTES + _LOCATOR_BYTES + _WIDE_END_BYTES)
        stream.seek(size - tail_bytes)
        tail = stream.read(tail_bytes)
        at = tail.rfind(_END, 0, max(len(tail) - _END_BYTES + len(_END), 0))
        if at < 0:
            return
        length = int.from_bytes(tail[at + 12 : at + 16], "little")
        wide = at - _LOCATOR_BYTES - _WIDE_END_BYTES
        if wide >= 0 and tail[at - _LOCATOR_BYTES : at - _LOCATOR_BYTES + 4] == _LOCATOR:
            at, length = wide, int.from_bytes(tail[wide + 40 : wide + 48], "little")
        if length > _MOST_BYTES:
            raise ValueError(f"its directory has {length:,} bytes")
        end = size - tail_bytes + at
        stream.seek(max(end - length, 0))
        count = stream.read(min(length, end)).count(_ENTRY)
    if count > most:
        raise ValueError(f"it has up to {count:,} members, {most:,} are allowed")
