# SPDX-License-Identifier: Apache-2.0
"""Typed settings: from TOML or JSON to a frozen dataclass, or one error that says what is wrong.

The dataclass is the only statement of what a file may hold: its field names, types, literals,
lengths, and the ranges beside the types (`Share`, `Metres`, ...). Nothing is ignored or turned
into another type: a wrong literal, type, length, range or key is a `SettingsError` that names the
file, the path in it and the nearest right word.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
import stat
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from spatialcore.errors import SettingsError
from spatialcore.settings_words import (
    bare,
    choices,
    describe,
    literal_words,
    metas,
    nearest,
    shown,
    shown_key,
)

T = TypeVar("T")

MAX_TOML_BYTES = 1 << 20
MAX_JSON_BYTES = 64 << 20
MAX_DEPTH = 32
_MAX_INT = 10**300  # the files of others hold numbers beyond 64 bits where we read nothing

# Where in a row of several columns msgspec found what is wrong.
_INNER = re.compile(r" - at `\$(.+)`$")

Share = Annotated[float, Meta(ge=0, le=1)]
Metres = Annotated[float, Meta(ge=0, le=1e9, extra={"unit": "m"})]
Degrees = Annotated[float, Meta(ge=0, le=360, extra={"unit": "degrees"})]
Percent = Annotated[int, Meta(ge=0, le=100, extra={"unit": "%"})]
Count = Annotated[int, Meta(ge=0, le=1_000_000_000)]
Positive = Annotated[int, Meta(ge=1, le=1_000_000_000)]
Factor = Annotated[float, Meta(ge=0, le=1e9)]
Name = Annotated[str, Meta(min_length=1, max_length=200)]


def read_settings(kind: type[T], path: str | Path) -> T:
    """A TOML file (by its suffix) or a JSON file as the dataclass `kind`.

    Raises:
        SettingsError: It cannot be read, or is not what `kind` says.
    """
    table = read_toml(path) if Path(path).suffix == ".toml" else read_json(path)
    made: T = decode(kind, table, str(path))
    return made


def read_toml(path: str | Path) -> dict[str, Any]:
    """The tables of a TOML file of at most 1 MiB."""
    return parse_toml(_text(path, MAX_TOML_BYTES), str(path))


def read_json(path: str | Path) -> Any:
    """The value of a JSON file of at most 64 MiB."""
    return parse_json(_text(path, MAX_JSON_BYTES), str(path))


def parse_toml(text: str, file: str) -> dict[str, Any]:
    """The tables of TOML text; `file` names it in errors."""
    try:
        table = tomllib.loads(text)
    except RecursionError as error:
        raise SettingsError(file, "$", "not TOML that can be read: nested too deep") from error
    except ValueError as error:
        raise SettingsError(file, "$", f"not TOML: {error}") from error
    check_plain(table, file)
    return table


def parse_json(text: str, file: str) -> Any:
    """The value of JSON text, in which a key stands once and every number is finite."""

    def table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            twice = next(name for name, n in Counter(k for k, _ in pairs).items() if n > 1)
            raise SettingsError(file, "$", f"the key {shown(twice)} stands twice in a table")
        return found

    def constant(word: str) -> Any:
        raise SettingsError(file, "$", f"{word} is not a number of JSON")

    try:
        value = json.loads(text, object_pairs_hook=table, parse_constant=constant)
    except RecursionError as error:
        raise SettingsError(file, "$", "not JSON that can be read: nested too deep") from error
    except SettingsError:
        raise
    except ValueError as error:
        raise SettingsError(file, "$", f"not JSON: {error}") from error
    check_plain(value, file)
    return value


def _text(path: str | Path, most: int) -> str:
    """The text of a regular file of at most `most` bytes."""
    try:
        found = Path(path).stat()
        if not stat.S_ISREG(found.st_mode):
            raise SettingsError(path, "$", "not a file")
        if found.st_size > most:
            size = f"{found.st_size:,} bytes, more than the {most:,} that such a file may have"
            raise SettingsError(path, "$", size)
        return Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SettingsError(path, "$", f"not UTF-8 text, at byte {error.start:,}") from error
    except OSError as error:
        raise SettingsError(path, "$", f"cannot be read: {error.strerror}") from error
    except ValueError as error:
        if isinstance(error, SettingsError):
            raise
        raise SettingsError(repr(path), "$", f"cannot be a file: {error}") from error


def check_plain(value: Any, file: str) -> None:
    """Refuse what no setting can be: numbers beyond all ranges, broken text, endless nesting."""
    waiting = [(value, "$", 0)]
    while waiting:
        value, at, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise SettingsError(file, at[:80] + "...", f"nested deeper than {MAX_DEPTH}")
        if isinstance(value, Mapping):
            waiting += [(key, at, depth) for key in value if isinstance(key, str)]
            waiting += [(item, f"{at}.{shown_key(key)}", depth + 1) for key, item in value.items()]
        elif isinstance(value, list | tuple):
            waiting += [(item, f"{at}[{k}]", depth + 1) for k, item in enumerate(value)]
        elif isinstance(value, float) and not math.isfinite(value):
            raise SettingsError(file, at, f"{value} is not a finite number")
        elif isinstance(value, int) and abs(value) > _MAX_INT:
            raise SettingsError(file, at, "a whole number beyond every range")
        elif isinstance(value, str) and not _is_text(value):
            raise SettingsError(file, at, "a text that is not Unicode (a lone surrogate)")


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def decode(kind: Any, value: Any, file: str, at: str = "$", *, foreign: bool = False) -> Any:
    """A plain value as the type `kind`: a dataclass, or a list or table of what it names.

    Args:
        kind: The type, a class or an annotation such as `Mapping[str, Count]`.
        value: As `parse_toml` or `parse_json` gives it.
        file: Names the file in errors.
        at: Where `value` stands in the file.
        foreign: Whether others write such files: keys that `kind` does not name are passed over.

    Raises:
        SettingsError: It is not what `kind` says.
    """
    check_plain(value, file)
    return _Decoder(file, kind, at, foreign).built(kind, value, at)


def check_fields(instance: Any) -> None:
    """Hold every field of a frozen dataclass to its type and range; for `__post_init__`.

    So a setting made in Python keeps the same rules as one that is read, and 1 for 1.0 is 1.0.

    Raises:
        SettingsError: A field is of another type or out of range.
    """
    name = type(instance).__name__
    decoder = _Decoder(name, type(instance))
    for key, kind in _hints(instance.__class__).items():
        value = getattr(instance, key)
        check_plain(value, name)
        object.__setattr__(instance, key, decoder.built(kind, value, f"$.{key}"))


class _Decoder:
    """Decodes one file; keeps its name, its whole type and where that stands for the errors."""

    def __init__(self, file: str, root: Any, at: str = "$", foreign: bool = False) -> None:
        self.file, self.root, self.at, self.foreign = file, root, at, foreign

    def built(self, kind: Any, value: Any, at: str) -> Any:
        plain = bare(kind)
        if len(choices(plain)) > 1:
            fitting = [choice for choice in choices(plain) if _fits(choice, value)]
            if len(fitting) == 1:
                return self.built(fitting[0], value, at)
        elif _is_class(plain):
            return self._instance(plain, value, at)
        elif _is_table(plain):
            return self._table(plain, value, at)
        elif get_origin(plain) is tuple:
            return self._items(kind, value, at)
        return self._leaf(kind, value, at)

    def _leaf(self, kind: Any, value: Any, at: str) -> Any:
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            if inner := _INNER.search(str(error)):
                what = f"{str(error)[: inner.start()].lower()} in {shown(value)}"
                raise SettingsError(self.file, at + inner[1], what) from error
            raise self.wrong(value, kind, at) from error

    def _items(self, kind: Any, value: Any, at: str) -> Any:
        kinds = get_args(bare(kind))
        open_end = len(kinds) == 2 and kinds[1] is Ellipsis
        if not isinstance(value, list | tuple) or (not open_end and len(value) != len(kinds)):
            raise self.wrong(value, kind, at)
        of = [kinds[0]] * len(value) if open_end else kinds
        made = tuple(
            self.built(k, v, f"{at}[{n}]") for n, (k, v) in enumerate(zip(of, value, strict=True))
        )
        if not all(_holds(meta, made) for meta in metas(kind)):
            raise self.wrong(value, kind, at)
        for n, item in enumerate(made if open_end else ()):
            if made.index(item) < n:
                raise SettingsError(self.file, f"{at}[{n}]", f"{shown(value[n])} stands twice")
        return made

    def _table(self, kind: Any, value: Any, at: str) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise self.wrong(value, kind, at)
        keys, values = get_args(kind)
        return {
            self._leaf(keys, key, at): self.built(values, item, f"{at}.{shown_key(key)}")
            for key, item in value.items()
        }

    def _instance(self, kind: Any, value: Any, at: str) -> Any:
        if isinstance(value, kind):  # made in Python, and so checked
            return value
        if not isinstance(value, Mapping):
            raise self.wrong(value, kind, at)
        hints = _hints(kind)
        known = {key: item for key, item in value.items() if key in hints}
        for key in () if self.foreign else value:
            if key not in known:
                what = f"there is no setting {shown(key)} here"
                raise SettingsError(
                    self.file, f"{at}.{shown_key(key)}", what, self._home(key, hints)
                )
        missing = [f.name for f in dataclasses.fields(kind) if _is_required(f)]
        for key in missing:
            if key not in value:
                raise SettingsError(self.file, f"{at}.{key}", "missing")
        made = {key: self.built(hints[key], item, f"{at}.{key}") for key, item in known.items()}
        try:
            return kind(**made)
        except SettingsError:
            raise
        except ValueError as error:
            raise SettingsError(self.file, at, str(error)) from error

    def wrong(self, value: Any, kind: Any, at: str) -> SettingsError:
        """The error of a value that is not what its type says."""
        near = nearest(value, literal_words(kind)) if isinstance(value, str) else ""
        what = f"{shown(value)} is not {describe(kind)}"
        return SettingsError(self.file, at, what, near)

    def _home(self, key: Any, hints: Mapping[str, Any]) -> str:
        """The right name of an unknown key, or where it belongs."""
        elsewhere = dict(_paths(self.root, self.at))
        near = nearest(key, elsewhere).strip("'")
        return elsewhere.get(key, "") or nearest(key, hints) or elsewhere.get(near, "")


def _holds(meta: Meta, made: tuple[Any, ...]) -> bool:
    least, most = meta.min_length, meta.max_length
    return (least is None or len(made) >= least) and (most is None or len(made) <= most)


def _is_class(kind: Any) -> bool:
    return isinstance(kind, type) and dataclasses.is_dataclass(kind)


def _is_table(kind: Any) -> bool:
    origin = get_origin(kind)
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _fits(kind: Any, value: Any) -> bool:
    """Whether a value has the shape of a type: null, a table, a list, or none of these."""
    plain = bare(kind)
    if value is None or plain is NoneType:
        return value is None and plain is NoneType
    if _is_class(plain):
        return isinstance(value, Mapping | plain)
    if _is_table(plain):
        return isinstance(value, Mapping)
    scalar = not isinstance(value, list | tuple | Mapping) and not dataclasses.is_dataclass(value)
    return scalar if get_origin(plain) is not tuple else isinstance(value, list | tuple)


@cache
def _hints(kind: Any) -> dict[str, Any]:
    names = {field.name for field in dataclasses.fields(kind) if field.init}
    hints = get_type_hints(kind, include_extras=True)
    return {name: hint for name, hint in hints.items() if name in names}


def _is_required(field: dataclasses.Field[Any]) -> bool:
    missing = dataclasses.MISSING
    return field.init and field.default is missing and field.default_factory is missing


def _paths(kind: Any, at: str) -> Iterable[tuple[str, str]]:
    """Every key below a type, with its path."""
    for choice in choices(bare(kind)):
        if _is_class(choice):
            for key, inner in _hints(choice).items():
                yield key, f"{at}.{key}"
                yield from _paths(inner, f"{at}.{key}")
