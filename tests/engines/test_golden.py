# SPDX-License-Identifier: Apache-2.0
"""What the engines ask and answer does not change unnoticed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.engines.golden import PATH, golden_entries

GOLDEN: dict[str, dict[str, Any]] = json.loads(PATH.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def made(every_task: Path) -> dict[str, dict[str, Any]]:
    """The same records, made now."""
    return golden_entries(every_task)


def close(stored: Any, found: Any) -> bool:
    """Equal, numbers to 1e-7: the sines of the rendered walks differ by machine in the last bit."""
    if isinstance(stored, dict):
        same = isinstance(found, dict) and stored.keys() == found.keys()
        return same and all(close(stored[k], found[k]) for k in stored)
    if isinstance(stored, list):
        same = isinstance(found, list) and len(stored) == len(found)
        return same and all(map(close, stored, found))
    if isinstance(stored, float):
        return isinstance(found, (int, float)) and stored == pytest.approx(found, 1e-7, 1e-7)
    return bool(stored == found)


def test_every_task_has_a_golden_record(made: dict[str, dict[str, Any]]) -> None:
    assert made.keys() == GOLDEN.keys()


@pytest.mark.parametrize("task", sorted(GOLDEN))
def test_the_record_is_the_golden_one(task: str, made: dict[str, dict[str, Any]]) -> None:
    stored, found = GOLDEN[task], made[task]
    assert stored.keys() == found.keys()
    for name, value in stored.items():
        assert close(value, found[name]), f"{name}: {value} became {found[name]}"
