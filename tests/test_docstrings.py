# SPDX-License-Identifier: Apache-2.0
"""The examples of docstrings give what they say."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHOWN = sorted(
    str(path.relative_to(ROOT / root).with_suffix("")).replace("/", ".").removesuffix(".__init__")
    for root in ("src", "python_engines")
    for path in (ROOT / root).rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", SHOWN)
def test_examples_are_true(name: str) -> None:
    found = doctest.testmod(importlib.import_module(name))
    assert found.attempted > 0
    assert found.failed == 0
