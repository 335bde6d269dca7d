# SPDX-License-Identifier: Apache-2.0
"""Damages that any file may suffer, and those of files of text."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

_NUMBER = re.compile(rb"-?\d+(\.\d+)?([eE][-+]?\d+)?")
SPARSE_BYTES = 8 << 30
TEXTS = frozenset(
    (".txt", ".json", ".csv", ".tsv", ".traj", ".pincam", ".conf", ".house", ".segs", "")
)

Damage = Callable[[Path], None]


def _replaced(path: Path, make: Callable[[Path], object]) -> None:
    path.unlink()
    make(path)


def _noise(path: Path) -> None:
    rng = np.random.default_rng(len(path.name))
    path.write_bytes(rng.integers(0, 256, 3000, np.uint8).tobytes())


def _flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    rng = np.random.default_rng(len(content))
    for at in rng.integers(0, len(content), max(8, len(content) // 200)).tolist():
        content[at] ^= 1 << int(rng.integers(8))
    path.write_bytes(content)


def _sparse(path: Path) -> None:
    """Eight gigabytes that take no place on the disk."""
    with path.open("r+b") as stream:
        stream.truncate(SPARSE_BYTES)


ANY: dict[str, Damage] = {
    "empty": lambda p: void(p.write_bytes(b"")),
    "half": lambda p: void(p.write_bytes(p.read_bytes()[: p.stat().st_size // 2])),
    "noise": _noise,
    "flipped bits": _flipped,
    "a pipe": lambda p: _replaced(p, os.mkfifo),
    "a folder": lambda p: _replaced(p, Path.mkdir),
    "a link to itself": lambda p: _replaced(p, lambda q: q.symlink_to(q.name)),
    "a link to nothing": lambda p: _replaced(p, lambda q: q.symlink_to("nowhere")),
    "eight sparse gigabytes": _sparse,
}


def _numbers(word: bytes) -> Damage:
    return lambda p: void(p.write_bytes(_NUMBER.sub(word, p.read_bytes())))


def _first_number(word: bytes) -> Damage:
    return lambda p: void(p.write_bytes(_NUMBER.sub(word, p.read_bytes(), count=1)))


def _middle(word: bytes) -> Damage:
    def damage(path: Path) -> None:
        content = path.read_bytes()
        half = len(content) // 2
        path.write_bytes(content[:half] + word + content[half:])

    return damage


TEXT: dict[str, Damage] = {
    "numbers NaN": _numbers(b"NaN"),
    "numbers infinite": _numbers(b"1e999"),
    "numbers of 300 digits": _numbers(b"9" * 300),
    "a number of 6000 digits": _first_number(b"9" * 6000),
    "negative numbers": _numbers(b"-7"),
    "no UTF-8": _middle(b"\xff\xfe\x80"),
    "NUL": _middle(b"\0\0"),
    "a line of 8 MB": _middle(b"7" * (8 << 20)),
    "a million lines": lambda p: void(p.write_bytes(p.read_bytes() + b"1 2 3 4\n" * 1_000_000)),
}
JSON: dict[str, Damage] = {
    "nested lists": lambda p: void(p.write_bytes(b"[" * 200_000)),
    "nested objects": lambda p: void(p.write_bytes(b'{"a":' * 200_000)),
    "closed nesting": lambda p: void(p.write_bytes(b"[" * 50_000 + b"]" * 50_000)),
    "another type": lambda p: void(p.write_bytes(b"[1, null, {}]")),
    "an empty object": lambda p: void(p.write_bytes(b"{}")),
    "twenty megabytes of lists": lambda p: void(p.write_bytes(b'{"frames":[' + b"[]," * 7_000_000)),
    "null for lists": lambda p: void(
        p.write_bytes(re.sub(rb"\[[^\[\]]*\]", b"null", p.read_bytes()))
    ),
    "texts for numbers": _numbers(b'"x"'),
}


def void(_: object) -> None:
    """A damage returns nothing."""


def damages_of(path: Path) -> dict[str, Damage]:
    """The damages that a file may suffer, by name."""
    if path.suffix == ".json" or path.name == "metadata":
        return ANY | TEXT | JSON
    return ANY | TEXT if path.suffix in TEXTS else dict(ANY)


def kinds_of_files(root: Path) -> list[Path]:
    """One file of each kind below a folder: names that differ in their digits alone are one."""
    kinds: dict[str, Path] = {}
    for path in sorted(root.rglob("*")):
        if path.is_file():
            relative = path.relative_to(root)
            kinds.setdefault(re.sub(r"[0-9]+", "#", relative.as_posix()), relative)
    return list(kinds.values())


def json_edit(name: str, edit: Callable[[dict], object]) -> Damage:
    """Change the object of the JSON file of this name below a folder."""

    def change(root: Path) -> None:
        path = root / name
        stored = json.loads(path.read_text())
        edit(stored)
        path.write_text(json.dumps(stored))

    return change
