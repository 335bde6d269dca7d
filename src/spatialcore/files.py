# SPDX-License-Identifier: Apache-2.0
"""Files that are whole or absent: a checked name, a temporary file beside it, a sync, a rename.

Everything that spatialcore writes goes through here, so this is where a name from a stranger's
file becomes a path (`child`), and where a full disk becomes a sentence (`explained`). A temporary
file is locked while its writer lives: what a killed writer left is told apart from what another
one is writing, on this machine or, where the file system passes locks on, on any.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spatialcore.errors import OutputError, UnsafeName
from spatialcore.interrupts import at_worst

if TYPE_CHECKING:
    from numpy.typing import NDArray

NAME_BYTES = 255  # the longest name that common file systems hold
_ROOM = 32  # bytes that the name of a temporary file adds
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?\Z", re.IGNORECASE)
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{12}\.tmp\Z", re.DOTALL)
_BLOCK = 1 << 20
_MANY = 1000  # files, above which one sync of all is quicker than one of each
_WORDS = {
    errno.ENOSPC: ("the disk is full", "free some space and run the same command again"),
    errno.EDQUOT: ("the quota is used up", "free some space and run the same command again"),
    errno.EROFS: ("the file system can only be read", "choose a folder elsewhere"),
    errno.EACCES: ("there is no permission to write", "choose a folder of your own"),
    errno.EPERM: ("there is no permission to write", "choose a folder of your own"),
    errno.ENOENT: ("the folder vanished", "run the same command again"),
    errno.ENOTDIR: ("a folder is needed where a file is", "choose another folder"),
    errno.EISDIR: ("a file is needed where a folder is", "choose another name"),
    errno.ENAMETOOLONG: ("the name is too long", "choose a shorter folder"),
    errno.EFBIG: ("the file is larger than is allowed", "raise the limit on file sizes"),
    errno.EMFILE: ("too many files are open", "use fewer --workers"),
    errno.ENFILE: ("too many files are open", "use fewer --workers"),
    errno.EIO: ("the disk reports an error", "choose a folder on another disk"),
    errno.ELOOP: ("links lead in a circle", "choose a folder that is none"),
    errno.EBUSY: ("something else holds it", "close it, or choose another folder"),
}  # fmt: skip


def plain_name(name: str, where: str | Path = "") -> str:
    """Return `name` if it can be the name of one file; nothing that leads elsewhere is one.

    Args:
        name: The name.
        where: The folder or file that it was meant for, for the message.

    Raises:
        UnsafeName: It is empty, "." or "..", has a separator, a control character or a lone
            surrogate, is longer than 223 bytes, or is a device's name on some system.
    """
    what = ""
    if name in ("", ".", ".."):
        what = "is no name"
    elif "/" in name or "\\" in name:
        what = "holds a separator of folders"
    elif _CONTROL.search(name):
        what = "holds a control character"
    elif _DEVICES.match(name):
        what = "is the name of a device on some systems"
    else:
        try:
            if len(name.encode()) > NAME_BYTES - _ROOM:
                what = f"is longer than {NAME_BYTES - _ROOM} bytes"
        except UnicodeEncodeError:
            what = "is not text"
    if what:
        raise UnsafeName(where or "output", f"{name[:80]!r} {what}", "no file was written for it")
    return name


def child(folder: Path, *names: str) -> Path:
    """`folder/name/...`, where each name is a plain one and no link leads out of the folder.

    Args:
        folder: A folder that the user named; it may itself be reached by links.
        names: Names from data: a scene, a source, a split, a file.

    Raises:
        UnsafeName: A name is none, or a link that lies there leads out of the folder.
    """
    path = folder
    for name in names:
        path = path / plain_name(name, folder)
        if path.is_symlink() and not path.resolve().is_relative_to(folder.resolve()):
            raise UnsafeName(path, "is a link that leads out of the folder", "remove the link")
    return path


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn an OSError of what is written at `path` into an OutputError in words."""
    try:
        yield
    except OSError as error:
        what, hint = _WORDS.get(
            error.errno or 0, ("it cannot be written", "choose another folder, or look at the disk")
        )
        raise OutputError(path, what, hint) from error


def sync(path: Path) -> None:
    """Force a file, or the names in a folder, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Force every file below a folder, and the folders, to disk."""
    paths = [p for p in folder.rglob("*") if not p.is_symlink() and (p.is_file() or p.is_dir())]
    if len(paths) > _MANY:
        os.sync()
        return
    for path in (*paths, folder):
        sync(path)


def temporary_name(path: Path) -> Path:
    """A fresh name beside `path` that `remove_leftovers` knows."""
    return path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")


@contextmanager
def whole_file(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """A temporary file that becomes `path` when the block ends, and vanishes when it fails.

    A link at `path` is replaced, never written through.

    Args:
        path: The file; its folder is made.
        durable: Sync before the rename; without it a power cut may lose what was written.

    Yields:
        Path of an empty file to write.

    Raises:
        OutputError: The disk is full, the folder is read-only or gone, and the like.
    """
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary, descriptor = _locked(path)
        try:
            yield temporary
            if durable:
                sync(temporary)
            temporary.replace(path)
            if durable:
                sync(path.parent)
        finally:
            with suppress(OSError):
                temporary.unlink()
            os.close(descriptor)


def _locked(path: Path) -> tuple[Path, int]:
    """A new temporary file and the descriptor that holds its lock."""
    while True:
        temporary = temporary_name(path)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(temporary, flags, 0o666)
        with suppress(OSError):  # a file system without locks: leftovers there are kept
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if temporary.exists():  # it was not swept between its making and its lock
            return temporary, descriptor
        os.close(descriptor)


def write_bytes(path: Path, chunks: bytes | Iterable[bytes]) -> str:
    """Write a file whole or not at all; returns its `content_hash`."""
    digest = _hasher()
    with whole_file(path) as temporary, temporary.open("wb") as stream:
        for chunk in (chunks,) if isinstance(chunks, bytes) else chunks:
            stream.write(chunk)
            digest.update(chunk)
    return str(digest.hexdigest())


def save_array(path: Path, array: NDArray[Any]) -> None:
    """The bytes that `np.save` writes; a disk that takes only some of them is told by its reason.

    numpy's own writing says how many bytes are missing, and not why.
    """
    import numpy as np
    from numpy.lib import format as npy

    header = npy.header_data_from_array_1_0(array)
    data = array.T if header["fortran_order"] else array
    with explained(path), path.open("wb") as file:
        npy.write_array_header_1_0(file, header)
        file.write(np.ascontiguousarray(data).data)


def write_text(path: Path, text: str) -> str:
    """Write UTF-8 text whole or not at all; returns its `content_hash`."""
    return write_bytes(path, text.encode())


def write_json(path: Path, value: Mapping[str, Any]) -> str:
    """Write a JSON object whole or not at all, keys sorted; returns its `content_hash`."""
    return write_text(path, json_text(value))


def json_text(value: Mapping[str, Any]) -> str:
    """The one form of our JSON files: keys sorted, indented by one, no NaN."""
    return json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n"


def sealed(value: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON object with the hash of its own content in it, as "seal"."""
    content = {key: item for key, item in value.items() if key != "seal"}
    digest = _hasher()
    digest.update(json_text(content).encode())
    return {**content, "seal": digest.hexdigest()}


def is_sealed(value: Mapping[str, Any]) -> bool:
    """Whether a JSON object that was read is the one that `sealed` gave."""
    try:
        return bool(value.get("seal") == sealed(value)["seal"])
    except (ValueError, TypeError):  # it holds a NaN
        return False


def _hasher() -> Any:
    return hashlib.blake2b(digest_size=16)


def content_hash(path: Path) -> str:
    """BLAKE2b-16 of a file, as hex; read in blocks, so a file of any size takes a MiB."""
    digest = _hasher()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return str(digest.hexdigest())


def file_stamp(path: Path) -> tuple[int, int, int]:
    """What tells a file from another of its name: inode, bytes and time; zeros for none.

    For caches of one process: what was opened once is another thing once the file is.
    """
    try:
        status = path.stat()
    except OSError:
        return 0, 0, 0
    return status.st_ino, status.st_size, status.st_mtime_ns


def is_temporary(name: str) -> bool:
    """Whether `temporary_name` made this name."""
    return _TEMPORARY.match(name) is not None


def remove_leftovers(folder: Path, *, only: str | None = None) -> int:
    """Remove temporary files and folders in `folder` whose writers are gone; returns how many.

    Only names that `temporary_name` makes are looked at, links are never followed, and what a
    living process is writing is locked and stays.

    Args:
        folder: Where to look, not below.
        only: Leave all but those that were to get this name; a user's own folder is swept so.
    """
    removed = 0
    for path in _names(folder):
        wanted = only is None or path.name.startswith(f".{only}.")
        if wanted and is_temporary(path.name) and not path.is_symlink():
            removed += _remove_unlocked(path)
    return removed


@contextmanager
def scratch(name: str) -> Iterator[Path]:
    """A folder for temporary files that is gone after the block, also where a signal ends it.

    One whose process was killed is removed by the next that asks for the same name: a folder is
    locked while its process lives.
    """
    parent = Path(tempfile.gettempdir())
    remove_leftovers(parent, only=name)
    with explained(parent):
        folder, descriptor = _locked_folder(parent / name)

    def remove() -> None:
        shutil.rmtree(folder, ignore_errors=True)

    try:
        with at_worst(remove):
            yield folder
    finally:
        remove()
        os.close(descriptor)


def _locked_folder(path: Path) -> tuple[Path, int]:
    """A new temporary folder and the descriptor that holds its lock."""
    while True:
        temporary = temporary_name(path)
        temporary.mkdir(mode=0o700)
        with suppress(FileNotFoundError):  # it was swept between its making and its lock
            descriptor = os.open(temporary, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            with suppress(OSError):  # a file system without locks: leftovers there are kept
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if temporary.exists():
                return temporary, descriptor
            os.close(descriptor)


@contextmanager
def swept(folders: Callable[[], Iterable[Path]]) -> Iterator[None]:
    """Afterwards, however the block ends, what killed writers left in the folders is removed."""
    try:
        yield
    finally:
        for folder in folders():
            remove_leftovers(folder)


def _names(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _remove_unlocked(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
