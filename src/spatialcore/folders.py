# SPDX-License-Identifier: Apache-2.0
"""Folders that are ours: marked when made, and emptied only of what the mark lists.

A folder that a user names for output may be anything: a home folder, the working directory, the
mount point of a container. It is written into when it is absent, empty, or carries the mark of the
same verb; it is emptied only of the files that its mark lists, and never through a link.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from spatialcore.errors import FolderInUse, UnsafeName
from spatialcore.files import (
    explained,
    is_temporary,
    plain_name,
    remove_leftovers,
    sync,
    sync_tree,
    temporary_name,
    write_json,
)
from spatialcore.locks import is_lock

MARK = ".spatialcore.json"
_MARK_BYTES = 64 << 20


def _never(_: Path) -> bool:
    return False


def claim(folder: Path, made_by: str, *, known: Callable[[Path], bool] = _never) -> None:
    """Make a folder that may hold several files over time, or see that it is ours.

    What a killed writer left in it is removed.

    Args:
        folder: The folder; made with its parents when it is absent.
        made_by: Verb that writes it, such as "plan"; goes into the mark.
        known: Whether a folder without a mark is ours all the same, by a file that only we make.

    Raises:
        FolderInUse: It holds what something else has made; the message names one file.
        OutputError: It cannot be made.
    """
    check_ours(folder, made_by, known=known)
    if not known(folder) and not has_mark(folder, made_by):
        set_mark(folder, made_by)
    remove_leftovers(folder)


def set_mark(folder: Path, made_by: str) -> None:
    """Say that a folder is ours: for one that was looked at before."""
    write_json(folder / MARK, {"made_by": made_by, "files": []})


def has_mark(folder: Path, made_by: str) -> bool:
    """Whether a folder carries the mark of this verb."""
    try:
        _listed(folder, made_by)
    except (FolderInUse, OSError):
        return False
    return True


def check_ours(folder: Path, made_by: str, *, known: Callable[[Path], bool] = _never) -> None:
    """Raise FolderInUse unless `claim` may take the folder: to be known before long work."""
    if not _is_vacant(folder) and not known(folder):
        _listed(folder, made_by)


def check_free(folder: Path, made_by: str | None = None) -> None:
    """Raise FolderInUse unless `whole_folder` may write here: to be known before long work."""
    if _is_vacant(folder):
        return
    if made_by is None:
        raise FolderInUse(folder, "is not empty", "choose another folder")
    _check_all_listed(folder, _listed(folder, made_by))


@contextmanager
def whole_folder(folder: Path, made_by: str | None = None) -> Iterator[Path]:
    """A temporary folder that becomes `folder` when the block ends, and vanishes when it fails.

    An absent folder appears by one rename. One that is there keeps its place (it may be a mount
    point, or where a shell stands): what its mark lists is taken out, and the new files are moved
    in, each by a rename, after all of them are on disk.

    Args:
        folder: The folder; its parents are made.
        made_by: Verb that writes it, whose own earlier folder is replaced; it leaves a mark. None
            leaves no mark, and takes only a folder that is absent or empty.

    Yields:
        An empty folder to write into.

    Raises:
        FolderInUse: The folder holds what is not ours.
        OutputError: The disk is full, or the like.
    """
    folder = folder.resolve()
    check_free(folder, made_by)
    with _work_folder(folder, inside=folder.exists()) as work:
        with _written_below(work, folder):
            yield work
        with explained(folder):
            _publish(work, folder, made_by)


@contextmanager
def replaced_folder(folder: Path, names: Collection[str]) -> Iterator[Path]:
    """A temporary folder beside `folder` that takes its place when the block ends.

    For a folder inside one of ours, whose files have fixed names and whose readers must never see
    it in between: two renames swap it, and the old files are removed after.

    Args:
        folder: The folder; absent, or holding files of these names alone.
        names: The names of its files.

    Yields:
        An empty folder to write into.

    Raises:
        FolderInUse: The folder holds something else.
        OutputError: The disk is full, or the like.
    """
    _check_names(folder, names)
    with _work_folder(folder, inside=False) as work:
        with _written_below(work, folder):
            yield work
        with explained(folder):
            sync_tree(work)
            _check_names(folder, names)
            old = temporary_name(folder)
            with suppress(FileNotFoundError):
                folder.rename(old)
            work.rename(folder)
            sync(folder.parent)
            remove_files(old, names)
            with suppress(OSError):
                old.rmdir()


def _check_names(folder: Path, names: Collection[str]) -> None:
    if _is_vacant(folder):
        return
    for path in sorted(folder.iterdir()):
        if path.name not in names and not is_passing(path.name):
            raise FolderInUse(
                folder, f"holds {path.name!r}, which is not of a folder of ours",
                "nothing was removed; move it away, or choose another folder",
            )  # fmt: skip


@contextmanager
def _work_folder(folder: Path, *, inside: bool) -> Iterator[Path]:
    """An empty temporary folder in `folder` or beside it, locked, and removed at the end."""
    with explained(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        work = temporary_name(folder / "new" if inside else folder)
        remove_leftovers(work.parent, only=None if inside else folder.name)
        work.mkdir()
        lock = os.open(work, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with suppress(OSError):  # a file system without locks: leftovers there are kept
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield work
    finally:
        os.close(lock)
        shutil.rmtree(work, ignore_errors=True)


@contextmanager
def _written_below(work: Path, folder: Path) -> Iterator[None]:
    """Explain an OSError of writing; one of a file elsewhere, which was read, passes."""
    try:
        yield
    except OSError as error:
        name = str(error.filename or "")
        if error.errno in (errno.ENOSPC, errno.EDQUOT) or name.startswith(str(work)):
            with explained(folder):
                raise
        raise


def _publish(work: Path, folder: Path, made_by: str | None) -> None:
    new = sorted(p.relative_to(work).as_posix() for p in work.rglob("*") if not _is_folder(p))
    mark = {"made_by": made_by, "files": new}
    if not folder.exists():
        if made_by is not None:
            write_json(work / MARK, mark)
        sync_tree(work)
        work.rename(folder)
        sync(folder.parent)
        return
    sync_tree(work)
    check_free(folder, made_by)  # again: it took a while
    if made_by is not None:
        old = _listed(folder, made_by) if (folder / MARK).exists() else ()
        # If this is cut short, all that may then lie here is listed: the next run replaces it.
        write_json(folder / MARK, {**mark, "files": sorted({*old, *new})})
        remove_files(folder, old)
    for path in sorted(work.iterdir()):
        path.rename(folder / path.name)
    if made_by is not None:
        write_json(folder / MARK, mark)
    sync(folder)


def remove_folder(folder: Path, made_by: str) -> None:
    """Remove a folder of ours: what its mark lists, the mark, and the folder if it is empty then.

    Raises:
        FolderInUse: It has no mark of this verb.
        OutputError: Something cannot be removed.
    """
    remove_files(folder, (*_listed(folder, made_by), MARK))
    with suppress(OSError):  # it holds something else
        folder.rmdir()


def remove_files(folder: Path, names: Iterable[str]) -> None:
    """Remove the files of these names below a folder, and folders that are empty then.

    Raises:
        UnsafeName: A name leads out of the folder; nothing has been removed then.
    """
    paths = [_below(folder, name) for name in names]
    with explained(folder):
        for path in paths:
            if path.is_file() or path.is_symlink():
                path.unlink()
        for parent in sorted({p for path in paths for p in path.parents}, reverse=True):
            if parent.is_relative_to(folder) and parent != folder:
                with suppress(OSError):  # it holds something else, or is gone
                    parent.rmdir()


def _below(folder: Path, name: str) -> Path:
    """The file of a listed name; UnsafeName when a link or a `..` stands in between."""
    path = folder
    for part in name.split("/"):
        if path != folder and path.is_symlink():
            raise UnsafeName(path, "is a link where a folder was written", "remove the link")
        path = path / plain_name(part, folder)
    return path


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def is_passing(name: str) -> bool:
    """Whether a name is of a temporary file or a lock: neither is content."""
    return is_temporary(name) or is_lock(name)


def _is_vacant(folder: Path) -> bool:
    """Whether a folder is absent or empty, but for what a killed writer left."""
    if not folder.exists():
        if folder.is_symlink():
            raise FolderInUse(folder, "is a link to nothing", "remove it, or choose another folder")
        return True
    if not folder.is_dir():
        raise FolderInUse(folder, "is a file", "choose another folder")
    with explained(folder):
        return all(is_passing(path.name) for path in folder.iterdir())


def _listed(folder: Path, made_by: str) -> tuple[str, ...]:
    """The files that a folder's mark lists; FolderInUse when it has no mark of this verb."""
    mark = folder / MARK
    try:
        if mark.is_symlink() or mark.stat().st_size > _MARK_BYTES:
            raise ValueError
        value = json.loads(mark.read_text(encoding="utf-8"))
        maker, files = value["made_by"], value["files"]
        if not all(isinstance(name, str) for name in [maker, *files]):
            raise TypeError
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        first = min((p.name for p in folder.iterdir() if p.name != MARK), default=MARK)
        raise FolderInUse(
            folder, f"is not empty, and not made by `spatialcore {made_by}`: it holds {first!r}",
            "nothing was removed; choose another folder",
        ) from None  # fmt: skip
    if maker != made_by:
        raise FolderInUse(
            folder, f"was made by `spatialcore {maker}`, not by `{made_by}`",
            "nothing was removed; choose another folder",
        )  # fmt: skip
    return tuple(files)


def _check_all_listed(folder: Path, listed: Iterable[str]) -> None:
    known = {MARK, *listed}
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if _is_folder(path) or name in known or is_passing(name.partition("/")[0]):
            continue
        raise FolderInUse(
            folder, f"holds {name!r}, which is not of the output that it was made with",
            "nothing was removed; move it away, or choose another folder",
        )  # fmt: skip
