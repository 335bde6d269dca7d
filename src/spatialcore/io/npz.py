# SPDX-License-Identifier: Apache-2.0
"""Bounded reading of `.npz` archives: sizes are checked before a member is inflated.

Headers are parsed here rather than by numpy, whose parser reads as many bytes as the header
declares before it checks them. Object arrays are handed out as their raw pickle bytes.
"""

from __future__ import annotations

import ast
import math
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spatialcore.errors import SceneFormatError
from spatialcore.io.paths import file_size
from spatialcore.io.zip_directory import check_member_count

MAX_MEMBERS = 1024
MAX_MEMBER_BYTES = 2 << 30
# Deflate cannot exceed 1032:1; arrays of zeros come near it, so small members are exempt.
MAX_RATIO = 200
RATIO_FREE_BYTES = 16 << 20
_HEADER_BYTES = 4096
_KINDS = frozenset("biuf")


@dataclass(frozen=True, slots=True)
class NpyHeader:
    """The parsed head of an `.npy`: `descr` such as "<f4" or "|O", shape, order, bytes taken."""

    descr: str
    shape: tuple[int, ...]
    fortran_order: bool
    length: int


def parse_npy_header(head: bytes, path: Path) -> NpyHeader:
    """Parse the first bytes of an `.npy` file without trusting any length in it.

    Raises:
        SceneFormatError: Not an `.npy`, a header over 4,096 bytes, or a malformed one.
    """
    if head[:6] != b"\x93NUMPY" or len(head) < 12 or head[6] not in (1, 2, 3):
        raise SceneFormatError(path, "holds a member that is not an .npy array", code="archive_bad")
    start = 10 if head[6] == 1 else 12
    length = int.from_bytes(head[8:start], "little")
    if length > _HEADER_BYTES - start or start + length > len(head):
        raise SceneFormatError(path, f"holds an .npy header of {length} bytes", code="archive_bad")
    try:
        fields = ast.literal_eval(head[start : start + length].decode("latin1").strip())
        if not isinstance(fields, dict):
            raise ValueError("not a dictionary")
        descr, shape = fields["descr"], fields["shape"]
        fortran_order = fields["fortran_order"]
    except (ValueError, SyntaxError, KeyError, TypeError, RecursionError, MemoryError) as error:
        raise SceneFormatError(path, "holds a malformed .npy header", code="archive_bad") from error
    sized = isinstance(shape, tuple) and len(shape) <= 8
    sized = sized and all(type(n) is int and 0 <= n < 1 << 48 for n in shape)
    if not sized or type(descr) is not str or type(fortran_order) is not bool:
        raise SceneFormatError(
            path, "holds an .npy header with unexpected fields", code="archive_bad"
        )
    return NpyHeader(descr, shape, fortran_order, start + length)


def array_from_npy(npy: bytes, path: Path) -> NDArray[np.generic]:
    """The array of an `.npy` in memory; numbers and bools only.

    Raises:
        SceneFormatError: Another kind of element, or a length that the shape does not give.
    """
    header = parse_npy_header(npy[:_HEADER_BYTES], path)
    try:
        dtype = np.dtype(header.descr)
    except (TypeError, ValueError, SyntaxError) as error:
        raise SceneFormatError(
            path, f"holds an array of {header.descr!r:.40}", code="archive_bad"
        ) from error
    if dtype.kind not in _KINDS or dtype.subdtype is not None:
        raise SceneFormatError(
            path, f"holds an array of {header.descr!r:.40}, expected numbers", code="archive_bad"
        )
    count = math.prod(header.shape)
    if len(npy) - header.length != count * dtype.itemsize:
        raise SceneFormatError(
            path,
            f"holds {len(npy) - header.length} bytes for an array of shape {header.shape}",
            code="archive_bad",
        )
    flat = np.frombuffer(npy, dtype, count, header.length)
    return flat.reshape(header.shape, order="F" if header.fortran_order else "C")


def check_member(member: zipfile.ZipInfo, path: Path) -> None:
    """Whether a member of a zip archive may be inflated, from what the directory says.

    Raises:
        SceneFormatError: Neither stored nor deflated, larger than 2 GiB, or inflating more than
            200-fold (code "archive_bomb").
    """
    name = member.filename.removesuffix(".npy")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise SceneFormatError(
            path, f"member {name!r} is neither stored nor deflated", code="archive_bad"
        )
    size = member.file_size
    packed = max(member.compress_size, 1)
    if size > MAX_MEMBER_BYTES or (size > RATIO_FREE_BYTES and size > MAX_RATIO * packed):
        raise SceneFormatError(
            path,
            f"member {name!r} inflates from {member.compress_size} to {size} bytes",
            code="archive_bomb",
        )


def read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> bytes:
    """Inflate one member of a zip archive, never past the size that it declares.

    Raises:
        SceneFormatError: As `check_member`, or damaged.
    """
    check_member(member, path)
    name, size = member.filename.removesuffix(".npy"), member.file_size
    try:
        with archive.open(member) as stream:
            content = stream.read(size + 1)
    except (
        zipfile.BadZipFile,
        zlib.error,
        OSError,
        EOFError,
        ValueError,
        RuntimeError,
        IndexError,
    ) as error:
        raise SceneFormatError(
            path, f"member {name!r} is damaged: {error}", code="archive_bad"
        ) from error
    if len(content) != size:
        raise SceneFormatError(
            path, f"member {name!r} is not as long as it declares", code="archive_bad"
        )
    return content


class Npz:
    """An open `.npz` whose members are read one at a time, under caps.

    Args:
        path: The archive.

    Raises:
        SceneFormatError: Not a zip archive, or more than 1,024 members.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        file_size(path)
        try:
            check_member_count(path, MAX_MEMBERS)
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, ValueError, RuntimeError) as error:
            raise SceneFormatError(
                path, f"is not an .npz archive: {error}", code="archive_bad"
            ) from error
        self._members = {i.filename.removesuffix(".npy"): i for i in self._zip.infolist()}

    def __enter__(self) -> Npz:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    @property
    def names(self) -> tuple[str, ...]:
        """Member names without `.npy`, in archive order."""
        return tuple(self._members)

    def read(self, name: str) -> bytes:
        """Inflate one member, never past the size that it declares.

        Raises:
            SceneFormatError: Missing, or as `read_member`.
        """
        member = self._members.get(name)
        if member is None:
            raise SceneFormatError(
                self.path,
                f"has no array {name!r}",
                f"it has {', '.join(self.names)[:200]}",
                code="archive_bad",
            )
        return read_member(self._zip, member, self.path)

    def array(self, name: str) -> NDArray[np.generic]:
        """A member as an array of numbers or bools."""
        return array_from_npy(self.read(name), self.path)
