# SPDX-License-Identifier: Apache-2.0
"""One writer at a time: locks that the system drops when their process ends, however it ends.

A lock is a file in the folder that is written, held by `flock`. It stays when it is free: removing
it would let two processes hold two files of one name.
"""

from __future__ import annotations

import fcntl
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spatialcore.errors import FolderInUse
from spatialcore.files import explained

_LOG = logging.getLogger(__name__)
_PREFIX, _SUFFIX = ".spatialcore-", ".lock"


def is_lock(name: str) -> bool:
    """Whether this is the name of a lock file."""
    return name.startswith(_PREFIX) and name.endswith(_SUFFIX)


@contextmanager
def locked(folder: Path, name: str, *, shared: bool = False, wait: bool = False) -> Iterator[None]:
    """Hold a lock of a folder while the block runs.

    Args:
        folder: The folder that is written; made when it is absent.
        name: What the lock is for: a verb, or a shard.
        shared: Hold it together with others that share it.
        wait: Wait for the holder, and log so as a warning, instead of refusing.

    Raises:
        FolderInUse: Another process holds it; the message says which.
        OutputError: The lock file cannot be made.
    """
    path = folder / f"{_PREFIX}{name}{_SUFFIX}"
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    with explained(path):
        folder.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(path, flags, 0o666)
    try:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip()
            _wait_or_refuse(descriptor, kind, folder, holder, wait=wait)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _wait_or_refuse(descriptor: int, kind: int, folder: Path, holder: str, *, wait: bool) -> None:
    holder = holder or "another process"
    if not wait:
        raise FolderInUse(
            folder, f"is being written by {holder}", "wait for it, or choose another folder"
        )
    _LOG.warning("%s is being written by %s; waiting for it", folder, holder)
    fcntl.flock(descriptor, kind)


@contextmanager
def claimed(folder: Path, name: str, number: int) -> Iterator[None]:
    """Hold one of many locks of a folder, that of a number, while the block runs; waits for it.

    All are bytes of one file, and a process may hold one at a time.
    """
    path = folder / f"{_PREFIX}{name}{_SUFFIX}"
    with explained(path):
        folder.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(path, flags, 0o666)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX, 1, number)
        yield
    finally:
        os.close(descriptor)


def is_held(folder: Path, name: str) -> bool:
    """Whether another process, or another holder in this one, holds a lock."""
    try:
        descriptor = os.open(folder / f"{_PREFIX}{name}{_SUFFIX}", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False
