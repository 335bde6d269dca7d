# SPDX-License-Identifier: Apache-2.0
"""Whether the files that an index was made of are still those: their content decides."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from spatialcore.files import content_hash

_HASHED_BYTES = 4 << 30


@lru_cache(maxsize=1 << 16)
def _hash_of(path: Path, size: int, mtime_ns: int, inode: int) -> str:  # noqa: ARG001  # the key
    return content_hash(path)


def hash_once(path: Path) -> str:
    """`content_hash`, kept in this process as long as the file's size and time stay."""
    stat = path.stat()
    return _hash_of(path, stat.st_size, stat.st_mtime_ns, stat.st_ino)


def input_mark(path: Path) -> list[Any] | None:
    """[size, mtime in ns, content hash] of a file; None when there is no such file.

    Every byte is hashed, of each depth image and of a whole .sens too: an index reads them anyway,
    and BLAKE2b takes a second a gigabyte. Of a file over 4 GiB, larger than any scan, the hash is
    "": its size and time alone tell it, so that another time is a change.
    """
    try:
        stat = path.stat()
        digest = hash_once(path) if stat.st_size <= _HASHED_BYTES else ""
        return [stat.st_size, stat.st_mtime_ns, digest]
    except OSError:
        return None


def differs_from_mark(path: Path, mark: list[Any] | None) -> bool:
    """Whether a file is another than the one of a mark: the content decides.

    Equal size and time say "the same" without reading; another time alone says nothing.
    """
    try:
        stat = path.stat()
        if mark is None or stat.st_size != mark[0]:
            return True
        if stat.st_mtime_ns == mark[1]:
            return False
        return stat.st_size > _HASHED_BYTES or bool(hash_once(path) != mark[2])
    except OSError:
        return mark is not None
