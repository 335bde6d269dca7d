# SPDX-License-Identifier: Apache-2.0
"""The files of a sample set: written whole or not at all, with their hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from spatialcore.files import child, whole_file


@dataclass(frozen=True, slots=True)
class Written:
    """A file of the set.

    Attributes:
        path: Relative to the set's folder, with forward slashes.
        size: Bytes.
        sha256: Hex digest of its content.
    """

    path: str
    size: int
    sha256: str


def write_file(root: Path, path: str, chunks: bytes | Iterable[bytes]) -> Written:
    """Write `root/path` from bytes or chunks and return its size and hash."""
    digest, size = hashlib.sha256(), 0
    with whole_file(child(root, *path.split("/"))) as part, part.open("wb") as stream:
        for chunk in (chunks,) if isinstance(chunks, bytes) else chunks:
            stream.write(chunk)
            digest.update(chunk)
            size += len(chunk)
    return Written(path, size, digest.hexdigest())


def combined_hash(files: Iterable[Written]) -> str:
    """sha256 over the lines `sha256  path` in the order of the paths, as `sha256sum` prints."""
    digest = hashlib.sha256()
    for file in sorted(files, key=lambda f: f.path):
        digest.update(f"{file.sha256}  {file.path}\n".encode())
    return digest.hexdigest()
