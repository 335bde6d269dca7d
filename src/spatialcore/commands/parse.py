# SPDX-License-Identifier: Apache-2.0
"""Options of a verb from its frozen dataclass: one look of `--help` for every command."""

from __future__ import annotations

import inspect
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
