# SPDX-License-Identifier: Apache-2.0
"""Damages of folders, and how a command must end on them: one sentence that names the file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spatialcore import cli

Damage = Callable[[Path], None]
WHOLES = {
    "list": b"[]", "null": b"null", "number": b"3", "text": b'"x"', "empty object": b"{}",
    "empty": b"", "no UTF-8": b'{"rows": "\xff\xfe"}', "not JSON": b"{rows: 1}",
    "deep": b"[" * 100_000, "deep object": b'{"a":' * 100_000, "NaN": b'{"rows": NaN}',
    "twice": b'{"rows": 1, "rows": 2}', "surrogate": b'{"rows": "\\ud800"}',
}  # fmt: skip
WRONG: tuple[Any, ...] = (None, True, -1, 10**30, 0.5, "x", "../../x", [], {}, [None], {"x": {}})


def whole(name: str, content: bytes) -> Damage:
    return lambda out: void((out / name).write_bytes(content))


def void(_: object) -> None:
    return None


def cut(name: str, share: float) -> Damage:
    def damage(out: Path) -> None:
        content = (out / name).read_bytes()
        (out / name).write_bytes(content[: int(share * len(content))])

    return damage


def field(name: str, path: tuple[str, ...], value: Any, *, remove: bool = False) -> Damage:
    def damage(out: Path) -> None:
        table = json.loads((out / name).read_text())
        at = table
        for key in path[:-1]:
            at = at[key]
        if remove:
            del at[path[-1]]
        else:
            at[path[-1]] = value
        (out / name).write_text(json.dumps(table))

    return damage


def flipped(name: str, at: int, bit: int) -> Damage:
    def damage(folder: Path) -> None:
        content = bytearray((folder / name).read_bytes())
        content[at] ^= bit
        (folder / name).write_bytes(content)

    return damage


def json_damages(
    made: Path, files: Sequence[str], rng: np.random.Generator, each: int
) -> Iterator[tuple[str, Damage]]:
    """Whole files of another kind; then every field removed, and of `each` wrong values."""
    for name in files:
        for what, content in WHOLES.items():
            yield f"{name}: {what}", whole(name, content)
        yield f"{name}: half", cut(name, 0.5)
        table = json.loads((made / name).read_text())
        paths = [(key,) for key in table]
        paths += [(a, b) for a in table if isinstance(table[a], dict) for b in table[a]]
        for path in paths:
            yield f"{name}: no {path}", field(name, path, None, remove=True)
            for k in rng.choice(len(WRONG), size=each, replace=False):
                yield f"{name}: {path} = {WRONG[k]!r}", field(name, path, WRONG[k])


def wrong_end(argv: list[str], named: Iterable[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command; returns what is wrong with how it ended, or "".

    Args:
        argv: The command.
        named: An error names one of these.
        capsys: What it prints.
    """
    try:
        code = cli.main(argv)
    except BaseException as error:
        capsys.readouterr()
        return f"{type(error).__name__}: {error}"
    said = capsys.readouterr()
    if code not in (0, 1, 2, 3):
        return f"exit code {code}"
    for word in ("Errno", "Traceback", "a fault of spatialcore", "\x1b"):
        if word in said.err or (word == "\x1b" and word in said.out):
            return f"{word!r} in {said.err!r}"
    if code in (1, 2) and not (argv[0] == "verify" and said.out):
        if said.err.count("\n") != 1:
            return f"not one line: {said.err!r}"
        if not any(place in said.err for place in named):
            return f"names no file: {said.err!r}"
    return ""


def run_all(
    made: Path, folder: Path, damages: Iterable[tuple[str, Damage]],
    commands: Callable[[Path, Path], Iterator[list[str]]], capsys: pytest.CaptureFixture[str],
    named: Sequence[str] = (),
) -> list[str]:  # fmt: skip
    """Run commands on a copy of each damage; returns what went wrong.

    Args:
        made: The folder that is damaged.
        folder: Where its copies lie.
        damages: Names of damages, and what makes them.
        commands: The next commands, for a copy and a folder to write into.
        capsys: What they print.
        named: What an error may name beside the copy and that folder.
    """
    wrong = []
    for what, damage in damages:
        out, to = folder / "out", folder / "to"
        shutil.copytree(made, out)
        to.mkdir()
        damage(out)
        for argv in commands(out, to):
            if found := wrong_end(argv, (str(out), str(to), *named), capsys):
                wrong.append(f"{what}; {argv[0]}: {found[:600]}")
        shutil.rmtree(out)
        shutil.rmtree(to)
    return wrong
