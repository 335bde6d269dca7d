# SPDX-License-Identifier: Apache-2.0
"""Members of tar archives that come from strangers, read at random and never past their caps.

A tar has no directory: its headers are walked once, by seeking from one to the next. Compressed
ones have to be unpacked first, since nothing can be found in them without reading all before it.
No file stays open, so that workers may fork.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from spatialcore.errors import SceneFormatError
from spatialcore.io.paths import file_size

# Half an hour at 2 Hz with sixteen files a frame; walking the headers of more takes seconds.
MAX_MEMBERS = 1 << 16
MAX_MEMBER_BYTES = 256 << 20
_HEADER_BYTES = 1 << 20  # of a name or of extended fields

Place = tuple[int, int]


class _Headers(io.FileIO):
    """A file of which only headers are read: the library takes their lengths at their word."""

    def read(self, count: int | None = -1, /) -> bytes:
        if count is None or not 0 <= count <= _HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {count} bytes")
        return super().read(count)


def _walked(path: Path) -> Iterator[tarfile.TarInfo]:
    with _Headers(path, "rb") as file, tarfile.open(fileobj=file, mode="r:") as archive:
        while (member := archive.next()) is not None:
            cast(Any, archive).members.clear()  # or it keeps every one
            yield member


def first_member(path: Path) -> str:
    """Name of the first member, "" where the file is no tar; reads one header."""
    try:
        return next((member.name for member in _walked(path)), "")
    except (tarfile.TarError, OSError, ValueError, EOFError):
        return ""


@lru_cache(maxsize=4)
def _places(path: Path, stamp: tuple[int, int]) -> Mapping[str, Place]:
    size, found = stamp[1], {}
    for count, member in enumerate(_walked(path)):
        if count == MAX_MEMBERS:
            raise tarfile.ReadError(f"it has more than {MAX_MEMBERS:,} members")
        # Links and holes would be read from somewhere else.
        if member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not member.sparse:
            if member.offset_data + member.size > size:
                raise tarfile.ReadError(f"it ends within {member.name[:80]!r}")
            found[member.name.removeprefix("./")] = (member.offset_data, member.size)
    return found


def tar_members(path: Path) -> Mapping[str, Place]:
    """(offset, bytes) of the regular files in a tar, by name; of equal names the last counts.

    Raises:
        SceneFormatError: Missing (code "file_missing"), or damaged, compressed, cut off or of more
            than 65,536 members (code "archive_bad").
    """
    size = file_size(path)
    try:
        return _places(path, (path.stat().st_mtime_ns, size))
    except (tarfile.TarError, OSError, ValueError, EOFError) as error:
        what = f"is not a readable tar archive: {str(error)[:80]}"
        hint = "unpack it" if path.suffix != ".tar" else ""
        raise SceneFormatError(path, what, hint, "archive_bad") from error


def tar_member_bytes(
    path: Path,
    name: str,
    *,
    missing: str = "file_missing",
    max_bytes: int = MAX_MEMBER_BYTES,
    head: int | None = None,
) -> bytes:
    """The bytes of a member, or its first `head`.

    Args:
        path: The archive.
        name: Of the member.
        missing: Reason code where there is no such member.
        max_bytes: More is refused before anything is read.
        head: How many bytes are wanted; None: all.

    Raises:
        SceneFormatError: As `tar_members`; no such member; or one that is larger than `max_bytes`
            (code "file_too_large").
    """
    place = tar_members(path).get(name)
    if place is None:
        raise SceneFormatError(path, f"has no member {name[:80]!r}", code=missing)
    offset, size = place
    if head is None and size > max_bytes:
        what = f"member {name[:80]!r} has {size} bytes, {max_bytes} are allowed"
        raise SceneFormatError(path, what, code="file_too_large")
    wanted = size if head is None else min(head, size)
    try:
        with path.open("rb", buffering=0) as stream:
            stream.seek(offset)
            content = stream.read(wanted)
    except OSError as error:
        raise SceneFormatError(path, "cannot be read", code="unreadable") from error
    if len(content) != wanted:
        raise SceneFormatError(path, f"ends within {name[:80]!r}", code="archive_bad")
    return content
