# SPDX-License-Identifier: Apache-2.0
"""Types of settings in words, for errors that say what a value should be and for the docs."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from msgspec import Meta


def nearest(word: Any, known: Iterable[str]) -> str:
    """The known word that a wrong one was meant to be, quoted, or ""."""
    found = difflib.get_close_matches(str(word), list(known), n=1, cutoff=0.6)
    return repr(found[0]) if found else ""


def describe(kind: Any) -> str:
    """A type and its range in words: "a number from 0 to 1"."""
    plain = bare(kind)
    some = [c for c in choices(plain) if c is not NoneType]
    if len(some) < len(choices(plain)):
        return f"{' or '.join(map(describe, some))}, or null"
    if get_origin(plain) is Literal:
        return "one of " + ", ".join(map(str, get_args(plain)))
    if len(some) > 1:
        return " or ".join(map(describe, some))
    if get_origin(plain) is tuple:
        first, *others = get_args(plain)
        count = "" if others == [Ellipsis] else f" of {1 + len(others)}"
        return f"a list{count}{_range(kind)}, each {describe(first)}"
    if columns := getattr(plain, "_fields", None):
        return f"a row of {len(columns)}: {', '.join(columns)}"
    if get_origin(plain) is Mapping:
        return f"a table, each {describe(get_args(plain)[1])}"
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
    return words.get(plain, "a table") + _range(kind)


def unit_of(kind: Any) -> str:
    """The unit beside a type, or ""."""
    parts = [kind, *get_args(bare(kind))]
    units = [(meta.extra or {}).get("unit", "") for part in parts for meta in metas(part)]
    return next((unit for unit in units if unit), "")


def _range(kind: Any) -> str:
    words = []
    for meta in metas(kind):
        if meta.ge is not None and meta.le is not None:
            words.append(f"from {_number(meta.ge)} to {_number(meta.le)}")
        else:
            bounds = {"above": meta.gt, "of at least": meta.ge, "below": meta.lt, "up to": meta.le}
            words += [f"{word} {_number(b)}" for word, b in bounds.items() if b is not None]
        if meta.min_length is not None and meta.max_length is not None:
            words.append(f"of length {meta.min_length} to {meta.max_length}")
        elif meta.min_length is not None:
            words.append(f"of length {meta.min_length} or more")
        if meta.pattern is not None:
            words.append(f"of the form {meta.pattern}")
    return f" {' and '.join(words)}" if words else ""


def _number(bound: float) -> str:
    return f"{int(bound) if bound == int(bound) else bound:,}"


def metas(kind: Any) -> list[Meta]:
    """Ranges beside a type."""
    if get_origin(kind) is not Annotated:
        return []
    return [item for item in kind.__metadata__ if isinstance(item, Meta)]


def bare(kind: Any) -> Any:
    """A type without its ranges."""
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def choices(kind: Any) -> tuple[Any, ...]:
    """The types of a union, or the type alone."""
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def literal_words(kind: Any) -> list[str]:
    """The words that a type takes, [] where it is no literal."""
    return [
        str(word)
        for choice in choices(bare(kind))
        if get_origin(choice) is Literal
        for word in get_args(choice)
    ]


def shown(value: Any) -> str:
    """A value in an error: short, and as files write it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = "null" if value is None else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def shown_key(key: Any) -> str:
    """A key in a path: quoted where it is not a plain word."""
    text = str(key)
    if not text.replace("_", "").replace("-", "").isalnum():
        text = repr(text)
    return text if len(text) <= 60 else text[:57] + "..."
