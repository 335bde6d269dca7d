# SPDX-License-Identifier: Apache-2.0
"""Options of a verb from its frozen dataclass: one look of `--help` for every command."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TypeVar

import tyro

T = TypeVar("T")


def parse_options(options: type[T], argv: list[str], verb: str, text: str | None) -> T:
    """Parse the arguments of `spatialcore VERB`; a usage error exits with 2.

    Args:
        options: Frozen dataclass; its docstring's Attributes become the help of the options.
        argv: Arguments after the verb.
        verb: Name of the verb.
        text: The module's docstring: the summary, then examples.
    """
    return tyro.cli(
        options,
        args=argv,
        prog=f"spatialcore {verb}",
        description=inspect.cleandoc(text or ""),
        config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
    )


def roots_of(pairs: tuple[str, ...]) -> dict[str, Path]:
    """`KEY=PATH` options as folders by source key; ValueError for anything else.

    Example:
        >>> roots_of(("scannet=/mnt/scans",))["scannet"].name
        'scans'
    """
    roots: dict[str, Path] = {}
    for pair in pairs:
        key, equals, path = pair.partition("=")
        if not (key and equals and path):
            raise ValueError(f"--root takes KEY=PATH, got {pair!r}")
        if key in roots:
            raise ValueError(f"--root names {key} twice")
        roots[key] = Path(path)
    return roots
