# SPDX-License-Identifier: Apache-2.0
"""One wrong change at a time of a tree of settings, and TOML text of the result."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

Path = tuple[str | int, ...]


class Mutation(NamedTuple):
    """A changed tree: where, what kind of change, and the whole of it."""

    path: Path
    kind: str
    tree: dict[str, Any]


def mutations(tree: dict[str, Any]) -> Iterator[Mutation]:
    """Every change of one field: another type, out of range, misspelt, list for scalar, ..."""
    for path, value in nodes(tree):
        for kind, wrong in wrong_values(value):
            yield Mutation(path, kind, with_value(tree, path, wrong))
        if isinstance(path[-1], str):
            yield Mutation(path, "key", with_key(tree, path, f"{path[-1]}x"))


def nodes(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every field below a value; of a list, whose items are alike, the first."""
    if path:
        yield path, value
    items: list[tuple[str | int, Any]] = []
    if isinstance(value, dict | list):
        items = list(value.items() if isinstance(value, dict) else enumerate(value[:1]))
    for key, item in items:
        yield from nodes(item, (*path, key))


def wrong_values(value: Any) -> Iterator[tuple[str, Any]]:
    """Values of other types, beyond every range, or misspelt."""
    if isinstance(value, dict):
        yield from (("scalar", 3), ("text", "a"), ("list", [value]))
    elif isinstance(value, list):
        yield from (("scalar", value[0] if value else 3), ("table", {"a": value}))
        yield "nested", [value, value]
        if value:
            yield "longer", [*value, copy.deepcopy(value[-1])]
            yield "shorter", value[:-1]
    else:
        yield from (("list", [value]), ("table", {"a": value}))
        if isinstance(value, str):
            yield from (("number", 3), ("bool", True), ("misspelt", f"{value}x"), ("empty", ""))
            yield "surrogate", "a\ud800"
        else:
            yield from (("text", str(value)), ("bare word", "fast"))
    if isinstance(value, bool):
        yield from (("number", 1), ("float", 1.0))
    elif isinstance(value, int | float):
        yield from (("bool", True), ("negative", -1 - abs(value)), ("huge", 1e300))
        yield from (("nan", math.nan), ("inf", math.inf), ("long", 10**40))
        if isinstance(value, int):
            yield "fraction", value + 0.5


def with_value(tree: Any, path: Path, value: Any) -> Any:
    """A copy of a tree with another value at a path."""
    made = copy.deepcopy(tree)
    at = made
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return made


def with_key(tree: Any, path: Path, key: str) -> Any:
    """A copy of a tree in which the last key of a path has another name."""
    made = copy.deepcopy(tree)
    at = made
    for name in path[:-1]:
        at = at[name]
    at[key] = at.pop(path[-1])
    return made


def toml(tree: dict[str, Any]) -> str:
    """The tree as TOML text, all tables inline."""
    return "".join(f"{_text(key)} = {_value(item)}\n" for key, item in tree.items())


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_text(k)} = {_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return _text(value) if isinstance(value, str) else repr(value)


def _text(value: str) -> str:
    return json.dumps(value)
