# SPDX-License-Identifier: Apache-2.0
"""Members of zip archives that come from strangers, read at random and never past their caps.

The directory of an archive is read once: captures keep thousands of members in one file, and
parsing it again for each would take quadratic time. No file stays open, so that workers may fork.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from spatialcore.errors import SceneFormatError
from spatialcore.io.npz import MAX_MEMBER_BYTES, check_member
from spatialcore.io.paths import file_size
from spatialcore.io.zip_directory import check_member_count

MAX_MEMBERS = 1 << 18
_LOCAL_HEADER = struct.Struct("<4s22xHH")


@lru_cache(maxsize=4)
def _directory(path: Path, stamp: tuple[int, int]) -> Mapping[str, zipfile.ZipInfo]:
    del stamp
    check_member_count(path, MAX_MEMBERS)
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    return {member.filename: member for member in members}


def members(path: Path, damaged: str = "archive_bad") -> Mapping[str, zipfile.ZipInfo]:
    """Members by name.

    Args:
        path: The archive.
        damaged: Reason code where it cannot be read.

    Raises:
        SceneFormatError: Missing (code "file_missing"), damaged, or of more than 262,144 members.
    """
    size = file_size(path)
    try:
        return _directory(path, (path.stat().st_mtime_ns, size))
    except (zipfile.BadZipFile, OSError, ValueError, RuntimeError) as error:
        what = f"is not a readable zip archive: {str(error)[:80]}"
        raise SceneFormatError(path, what, "copy it again", damaged) from error


def member_bytes(
    path: Path,
    name: str,
    *,
    missing: str = "file_missing",
    damaged: str = "archive_bad",
    max_bytes: int = MAX_MEMBER_BYTES,
) -> bytes:
    """The bytes of a member, stored or deflated.

    Args:
        path: The archive.
        name: Of the member.
        missing: Reason code where there is no such member.
        damaged: Reason code where archive or member is damaged.
        max_bytes: More is refused before anything is inflated.

    Raises:
        SceneFormatError: As `members`; no such member; or one that is encrypted, damaged, too
            large (code "file_too_large") or inflates too far.
    """
    member = members(path, damaged).get(name)
    if member is None:
        raise SceneFormatError(path, f"has no member {name[:80]!r}", code=missing)
    check_member(member, path)
    if member.file_size > max_bytes:
        what = f"member {name[:80]!r} has {member.file_size} bytes, {max_bytes} are allowed"
        raise SceneFormatError(path, what, code="file_too_large")
    try:
        with path.open("rb") as stream:
            stream.seek(member.header_offset)
            head = stream.read(_LOCAL_HEADER.size)
            mark, name_bytes, extra_bytes = _LOCAL_HEADER.unpack(head)
            stream.seek(name_bytes + extra_bytes, 1)
            packed = stream.read(member.compress_size)
        if mark != b"PK\3\4" or member.flag_bits & 1:
            raise ValueError("no readable member is where the directory says")
        content = packed
        if member.compress_type == zipfile.ZIP_DEFLATED:
            content = zlib.decompressobj(-15).decompress(packed, member.file_size + 1)
    except (OSError, ValueError, OverflowError, struct.error, zlib.error) as error:
        raise SceneFormatError(
            path, f"member {name[:80]!r} is damaged: {str(error)[:80]}", code=damaged
        ) from error
    if len(content) != member.file_size or zlib.crc32(content) != member.CRC:
        raise SceneFormatError(path, f"member {name[:80]!r} is damaged", code=damaged)
    return content
