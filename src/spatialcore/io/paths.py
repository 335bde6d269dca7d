# SPDX-License-Identifier: Apache-2.0
"""Paths and files that come from strangers: ids, uris and sizes are checked before use."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, TypeVar

from spatialcore.errors import SceneFormatError, SettingsError
from spatialcore.io.names import is_scene_id
from spatialcore.settings import decode, parse_json

T = TypeVar("T")

TEXT_BYTES = 1 << 20
# What CPython takes for a list, a table, and a number with its place in one.
_LIST_BYTES, _TABLE_BYTES, _VALUE_BYTES = 88, 232, 36
_JSON_MEMORY = 192 << 20


def check_scene_id(name: str, root: Path) -> str:
    """Return `name`; SceneFormatError (code "scene_id") when it is not a scene id."""
    if not is_scene_id(name):
        raise SceneFormatError(
            root,
            f"{name[:200]!r} is not a scene id",
            "an id has 1 to 128 of A-Z a-z 0-9 . _ -",
            code="scene_id",
        )
    return name


def resolve_inside(root: Path, relative: str) -> Path:
    """The file `relative` below `root`.

    Links on disk are followed: who opened the folder meant what it links to. What a file names must
    stay inside by its text.

    Raises:
        SceneFormatError: code "path_escape" when the path is absolute, has a part "..", holds a NUL
            or a backslash, or cannot be a path of this machine.
    """
    # By its text: making a path of each of a capture's names took a fifth of the time to open it.
    bad = not relative or "\0" in relative or "\\" in relative or relative.startswith("/")
    if not bad and not relative.isascii():
        bad = any("\ud800" <= c <= "\udfff" for c in relative)
    if not bad and ".." not in relative.split("/"):
        return root.absolute() / relative
    raise SceneFormatError(
        root,
        f"{relative[:200]!r} leads out of the source",
        "files name each other by relative paths below the folder that was opened",
        code="path_escape",
    )


def input_name(path: Path, root: Path) -> str:
    """The name of an input in an index: relative to the root of its source, also when beside it."""
    return Path(os.path.relpath(path, root)).as_posix()


def split_uri(uri: str) -> tuple[str, str]:
    """Split `a.sens#frame=120` into the file and the part after `#` ("" when there is none)."""
    name, _, fragment = uri.partition("#")
    return name, fragment


def fragment_number(uri: str, prefix: str) -> int:
    """The frame number after `prefix` in the uri's fragment; SceneFormatError when malformed."""
    fragment = split_uri(uri)[1]
    digits = fragment.removeprefix(prefix)
    if digits == fragment or not digits.isascii() or not digits.isdigit() or len(digits) > 10:
        raise SceneFormatError(uri[:200], f"the uri must end in #{prefix}N", code="uri")
    return int(digits)


def file_size(path: Path) -> int:
    """Size in bytes; SceneFormatError (code "file_missing") when it is not a readable file."""
    try:
        if not path.is_file():
            raise SceneFormatError(path, "no such file", code="file_missing")
        return path.stat().st_size
    except (OSError, ValueError) as error:
        raise SceneFormatError(path, "cannot be read", code="file_missing") from error


def read_bytes(path: Path, max_bytes: int) -> bytes:
    """The whole file, refused above `max_bytes` before anything is read."""
    size = file_size(path)
    if size > max_bytes:
        raise SceneFormatError(
            path, f"{size} bytes, more than the {max_bytes} allowed", code="file_too_large"
        )
    try:
        with path.open("rb") as stream:
            return stream.read(max_bytes)
    except OSError as error:
        raise SceneFormatError(path, f"cannot be read: {error}", code="unreadable") from error


def read_text(path: Path, max_bytes: int = TEXT_BYTES) -> str:
    """The file as UTF-8 text; SceneFormatError when it is too large or not text."""
    try:
        return read_bytes(path, max_bytes).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SceneFormatError(path, "is not UTF-8 text", code="not_text") from error


def read_json(path: Path, max_bytes: int = TEXT_BYTES) -> Any:
    """The parsed JSON file; SceneFormatError when it is malformed or nested too deeply."""
    return json_value(read_bytes(path, max_bytes), path)


def json_value(stored: bytes, path: Path) -> Any:
    """The value of JSON bytes of a stranger, held against what it would take in memory.

    Raises:
        SceneFormatError: Not UTF-8 (code "not_text"), no JSON or nested too deeply (code
            "not_json"), or of so many values that they would take over twice the bytes and 256 MiB
            (code "file_too_large").
    """
    lists, tables = stored.count(b"["), stored.count(b"{")
    rest = stored.count(b",") + stored.count(b":")
    taken = _LIST_BYTES * lists + _TABLE_BYTES * tables + _VALUE_BYTES * rest
    if taken > len(stored) + _JSON_MEMORY:
        values = lists + tables + rest
        what = f"holds about {values:,} values, more than a capture needs"
        raise SceneFormatError(path, what, code="file_too_large")
    try:
        return json.loads(stored.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise SceneFormatError(path, "is not UTF-8 text", code="not_text") from error
    except RecursionError as error:
        raise SceneFormatError(
            path, "is not JSON that can be read: nested too deep", code="not_json"
        ) from error
    except ValueError as error:
        why = str(error) if isinstance(error, json.JSONDecodeError) else "a number is too long"
        raise SceneFormatError(path, f"is not JSON: {why[:120]}", code="not_json") from error


def read_typed(kind: type[T], path: Path, code: str, *, foreign: bool = False) -> T:
    """The JSON file as a dataclass, see `spatialcore.settings.decode`.

    Raises:
        SceneFormatError: The file is no JSON (code "not_json"), or a field is not what the
            dataclass says (`code`).
    """
    text, reason = read_text(path), "not_json"
    try:
        value = parse_json(text, str(path))
        reason = code
        made: T = decode(kind, value, str(path), foreign=foreign)
    except SettingsError as error:
        hint = f"did you mean {error.nearest}?" if error.nearest else ""
        raise SceneFormatError(path, f"{error.path}: {error.what}", hint, reason) from error
    return made


def list_names(folder: Path) -> list[str]:
    """Sorted names in a folder; SceneFormatError when it cannot be listed."""
    try:
        return sorted(entry.name for entry in folder.iterdir())
    except OSError as error:
        raise SceneFormatError(folder, f"cannot be listed: {error}", code="unreadable") from error
