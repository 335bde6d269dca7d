# SPDX-License-Identifier: Apache-2.0
"""The parts of an index that several processes make: what each found, until all are done."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from spatialcore.files import write_json

PARTS = ".parts"  # no key of a source
Rows = list[dict[str, str]]


def keep_part(
    out: Path, part: tuple[int, int], asked: str, rows: Sequence[Mapping[str, str]]
) -> list[Rows]:
    """Write what a part found; returns the rows of every part that is there, in order.

    Args:
        out: The index, whose header the caller holds.
        part: (i, n).
        asked: Hash of what is indexed: parts of something else are not counted.
        rows: The scenes of this part.
    """
    i, n = part
    write_json(_path(out, i, n), {"asked": asked, "rows": list(rows)})
    found = []
    for number in range(n):
        value = _read(_path(out, number, n))
        if value.get("asked") == asked:
            found.append(list(value["rows"]))
    return found


def remove_parts(out: Path) -> None:
    """Remove what parts left, once the index is complete."""
    for path in (out / PARTS).glob("*of*.json"):
        path.unlink(missing_ok=True)
    with suppress(OSError):  # it was never there, or holds something else
        (out / PARTS).rmdir()


def _path(out: Path, number: int, count: int) -> Path:
    return out / PARTS / f"{number}of{count}.json"


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
