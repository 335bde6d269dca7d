# SPDX-License-Identifier: Apache-2.0
"""Write the measured tables of the pages of operations: `python -m benchmarks.measured`.

A table stands between `<!-- measured: NAME -->` and `<!-- end of measured -->`; NAME is a key of
TABLES, whose columns are tables of the stored results of one machine.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from spatialcore.files import write_text

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "docs" / "ops"
RESULT = ROOT / "benchmarks" / "results" / "intel-r-xeon-r-processor-avx512.json"
_BLOCK = re.compile(r"(<!-- measured: ([a-z ]+) -->\n)(.*?)(<!-- end of measured -->)", re.DOTALL)

# The columns of a block: a heading, and how the title of the stored table begins.
TABLES: dict[str, dict[str, str]] = {
    "coverage": {
        "view sets, 25 frames": "view sets: 25 ",
        "view sets, 400 frames": "view sets: 400 ",
        "greedy 32 of 300 rows x 100,000 points": "greedy 32 of 300 ",
    },
    "decode": {
        "HoloLens, 540x360, captured": "16-bit PNG, hololens",
        "shelf, 640x480, captured": "16-bit PNG, apc_shelf",
        "room with noise, written by OpenCV": "16-bit PNG, room, written by OpenCV",
        "the same, written by Pillow": "16-bit PNG, room, written by Pillow",
    },
    "inflate": {
        "HoloLens": "inflate, hololens",
        "shelf": "inflate, apc_shelf",
        "room, OpenCV": "inflate, room, written by OpenCV",
        "room, Pillow": "inflate, room, written by Pillow",
    },
    "ply": {
        "vertices": "PLY of 200,000 vertices and 400,000 faces: vertices",
        "vertices and faces": "PLY of 200,000 vertices and 400,000 faces: all",
    },
    "occlusion hot": {
        "50 k points": "hot maps: 50000 ",
        "200 k": "hot maps: 200000 ",
        "1 M": "hot maps: 1000000 ",
        "HoloLens, 200 k, 96 frames": "hololens_office_000: hot",
        "shelf, 200 k, 15 frames": "apc_shelf_0000: hot",
    },
    "occlusion cold": {
        "50 k points": "cold maps: 50000 ",
        "200 k": "cold maps: 200000 ",
        "1 M": "cold maps: 1000000 ",
        "HoloLens, 200 k, 96 frames": "hololens_office_000: cold",
        "shelf, 200 k, 15 frames": "apc_shelf_0000: cold",
    },
    "overlap": {
        "300 x 200k coherent": "coherent: 300 frames",
        "300 x 200k random": "random: 300 frames",
        "1,000 x 200k coherent": "coherent: 1000 frames",
    },
    "rigidity": {
        "304 tracks, 150 steps": "accumulate: 304 ",
        "1,008": "accumulate: 1008 ",
        "2,000": "accumulate: 2000 ",
    },
}


def block(name: str, result: dict[str, Any]) -> str:
    """The text of a block.

    Raises:
        LookupError: The results hold no such table.
    """
    columns = []
    for title in TABLES[name].values():
        found = [one for one in result["tables"] if one["title"].startswith(title)]
        if not found:
            raise LookupError(f"no table of the results begins with {title!r}")
        columns.append({row["name"]: row for row in found[0]["rows"]})
    rows = list(dict.fromkeys(row for column in columns for row in column))
    host = result["machine"]
    shared = any(row.get("share") for column in columns for row in column.values())
    head = (
        f"{host['cpu']}, one thread, process time in milliseconds; "
        "times the first row, medians of rounds" + ("; share of the ceiling." if shared else ".")
    )
    return "\n".join([
        head,
        "",
        f"| | {' | '.join(TABLES[name])} |",
        "|---|" + "---:|" * len(columns),
        *(f"| {row} | {' | '.join(_cell(column, row) for column in columns)} |" for row in rows),
        "",
    ])  # fmt: skip


def _cell(column: dict[str, dict[str, Any]], name: str) -> str:
    if name not in column:
        return ""
    row = column[name]
    spent = row["milliseconds"]
    parts = [f"{spent:,.3g}" if spent < 1000 else f"{spent:,.0f}"]
    if name != next(iter(column)):
        ratio = row["ratio"]
        parts.append(f"{ratio:.2f}x" if ratio < 10 else f"{ratio:,.0f}x")
    if row.get("share"):
        parts.append(f"{100 * row['share']:.0f} %")
    return ", ".join(parts)


def written(page: str, result: dict[str, Any]) -> str:
    """The page with its blocks made anew."""
    return _BLOCK.sub(lambda found: found[1] + block(found[2], result) + found[4], page)


def main() -> None:
    """Write the blocks of all pages of operations."""
    result = json.loads(RESULT.read_text(encoding="utf-8"))
    for page in sorted(PAGES.glob("*.md")):
        write_text(page, written(page.read_text(encoding="utf-8"), result))


if __name__ == "__main__":
    main()
