# SPDX-License-Identifier: Apache-2.0
"""The README's speed table, made from a result file: `python -m benchmarks.table RESULT [--check]`.

Each measured table gives one line: our default and every peer's best, so that a peer that is
faster shows as a ratio below 1.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from spatialcore.files import write_text

README = Path(__file__).resolve().parents[1] / "README.md"
PERFORMANCE = README.parent / "docs" / "performance.md"
BEGIN, END = "<!-- speed:begin -->\n", "<!-- speed:end -->"
SCALING = ("<!-- scaling:begin -->\n", "<!-- scaling:end -->")
_OURS = ("ours", "spatialcore")


def line(table: dict[str, Any]) -> str | None:
    """One line of the table; None where no peer was installed."""
    ours = table["rows"][0]
    peers = [row for row in table["rows"][1:] if not row["name"].startswith(_OURS)]
    if not peers:
        return None
    best = min(peers, key=lambda row: row["ratio"])
    slowest = max(peers, key=lambda row: row["ratio"])
    cells = [table["title"].split(";")[0], ours["name"], f"{_times(best)} {best['name']}"]
    cells.append("" if slowest is best else f"{_times(slowest)} {slowest['name']}")
    return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"


def _times(row: dict[str, Any]) -> str:
    ratio = row["ratio"]
    return f"{ratio:.2g}x" if ratio < 100 else f"{ratio:,.0f}x"


def speed_table(result: dict[str, Any]) -> str:
    """The text between the markers."""
    host = result["machine"]
    lines = [text for text in map(line, result["tables"]) if text]
    sets = ", ".join(host["instruction_sets"])
    load = f"{min(host['load_before'][0], host['load_after'][0]):.1f}"
    return "\n".join([
        f"{host['cpu']}, {host['cores']} cores shared with other work (load {load} or more),"
        f" instruction sets {sets}; one thread, least process time.",
        "",
        "| input | ours | against the fastest peer | against the slowest |",
        "|---|---|---|---|",
        *lines,
        "",
    ])  # fmt: skip


def scaling_line(row: dict[str, Any]) -> str:
    """One operation at one size."""
    two = f"{row['one_wall'] / row['two_wall']:.2f}x"
    peer = "" if row["peer"] is None else f"{row['peer'] / row['one']:.1f}x {row['peer_name']}"
    return f"| {row['op']} | {row['size']} | {row['one']:,.4g} | {two} | {peer} |"


def scaling_table(result: dict[str, Any]) -> str:
    """The text between the markers of docs/performance.md."""
    before, after = result["load"]
    return "\n".join([
        f"{result['machine']['cpu']}, load {before:.1f} before and {after:.1f} after.",
        "",
        "| operation | frames x points, or tracks | ms, one thread | two threads | peer |",
        "|---|---:|---:|---:|---:|",
        *map(scaling_line, result["rows"]),
        "",
    ])  # fmt: skip


def with_table(page: str, table: str, markers: tuple[str, str] = (BEGIN, END)) -> str:
    """The page with the text between the markers replaced."""
    head, begin, rest = page.partition(markers[0])
    _, end, tail = rest.partition(markers[1])
    if not (begin and end):
        raise SystemExit("the page lacks the markers of the table")
    return head + begin + table + end + tail


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.table", description=__doc__)
    parser.add_argument("result", type=Path)
    parser.add_argument("--check", action="store_true", help="1 if the README is out of date")
    given = parser.parse_args()
    result = json.loads(given.result.read_text(encoding="utf-8"))
    stored = README.read_text(encoding="utf-8")
    wanted = with_table(stored, speed_table(result))
    if given.check:
        print("current" if wanted == stored else "README.md is out of date")
        return int(wanted != stored)
    write_text(README, wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
