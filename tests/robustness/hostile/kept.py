# SPDX-License-Identifier: Apache-2.0
"""Verdicts that outlive a run: a run that is ended is continued, and says what is of older code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path

from tests.robustness.hostile.cases import Case
from tests.robustness.hostile.measure import Verdict

ROOT = Path(__file__).resolve().parents[3]


@cache
def code_digest() -> str:
    """Of the readers' sources and of what makes and judges inputs, as they are now."""
    seen = hashlib.sha256()
    for folder in ("src/spatialcore", "tests/robustness/hostile"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            seen.update(path.read_bytes())
    return seen.hexdigest()[:16]


class Kept:
    """A file of verdicts, one a line; several processes append to it.

    Args:
        path: Where they are kept; None keeps nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._rows: dict[str, dict] = {}
        if path is not None and path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                row = json.loads(line)
                self._rows[row["name"]] = row

    def add(self, verdict: Verdict) -> None:
        """Keep a verdict on the code as it is now."""
        if self._path is None:
            return
        row = json.dumps(asdict(verdict) | {"code": code_digest()})
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(row + "\n")

    def of(self, cases: Sequence[Case]) -> tuple[list[Verdict], list[Case]]:
        """The verdicts that are kept, and the cases to be run: the others, and those at fault."""
        sound = {name for name, row in self._rows.items() if not row["faults"]}
        old = [
            Verdict(**{k: v for k, v in self._rows[c.name].items() if k != "code"})
            for c in cases
            if c.name in sound
        ]
        return old, [c for c in cases if c.name not in sound]

    def before(self, verdicts: Sequence[Verdict]) -> int:
        """How many of the kept verdicts are of other code than that of now."""
        return sum(self._rows[v.name]["code"] != code_digest() for v in verdicts)
