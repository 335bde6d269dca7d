# SPDX-License-Identifier: Apache-2.0
"""The README's speed table of result files: `python -m benchmarks.table RESULT... [--check]`.

A line has our default, the fastest peer and the slowest, so that a peer that is faster shows as a
ratio below 1.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spatialcore.files import write_text

README = Path(__file__).resolve().parents[1] / "README.md"
PERFORMANCE = README.parent / "docs" / "performance.md"
BEGIN, END = "<!-- speed:begin -->\n", "<!-- speed:end -->"
SCALING = ("<!-- scaling:begin -->\n", "<!-- scaling:end -->")
_OURS = ("ours", "spatialcore")


# The lines of the README: what a reader wants to know, and the table that says it. Everything else
# is in the result file and on the pages of the operations.
# A table is named by the beginnings of its title, in this form and in older files.
SHOWN: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("which points 100 depth maps see, 200,000 points", ("hot maps: 200000 points", "200000 ")),
    ("the same on a captured office", ("hololens_office_000: hot maps", "hololens_office_000: 2")),
    ("shared points of all pairs of 300 frames", ("coherent: 300 frames",)),
    ("the same without order in the points", ("random: 300 frames",)),
    ("rigid groups of 1,008 tracks", ("accumulate: 1008 tracks",)),
    ("covisibility of 40 small depth maps, every pair", ("covisibility: 40 maps",)),
    ("16-bit depth PNG, captured office", ("16-bit PNG, hololens_office_000",)),
    ("16-bit depth PNG, captured shelf", ("16-bit PNG, apc_shelf_0000",)),
    ("16-bit depth PNG, room with noise", ("16-bit PNG, room, written by OpenCV",)),
    ("PLY of 200,000 vertices and its faces", ("PLY of 200,000 vertices and 400,000 faces: all",)),
    ("files to visibility and overlaps, 300 frames", ("index of a ray-cast room",)),
)


def line(table: dict[str, Any], label: str = "") -> str | None:
    """One line of the table; None where no peer was installed."""
    ours = table["rows"][0]
    peers = [row for row in table["rows"][1:] if not row["name"].startswith(_OURS)]
    if not peers:
        return None
    best = min(peers, key=lambda row: row["ratio"])
    slowest = max(peers, key=lambda row: row["ratio"])
    cells = [label or table["title"].split(";")[0], _speed(ours)]
    cells.append(f"{_times(best)} {_short(best)}")
    cells.append("" if slowest is best else f"{_times(slowest)} {_short(slowest)}")
    return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"


def _measure(result: dict[str, Any]) -> str:
    """How the figures were taken: older files have no rounds."""
    rounds = {row.get("rounds", 1) for table in result["tables"] for row in table["rows"]}
    return "least of the repeats" if rounds == {1} else "medians of alternating rounds"


def _speed(row: dict[str, Any]) -> str:
    if "milliseconds" in row:
        return f"{row['milliseconds']:,.3g} ms"
    return f"{row['rate'] / 1e9:,.3g} G/s"


def _short(row: dict[str, Any]) -> str:
    return str(row["name"]).split(", sorted")[0]


def _times(row: dict[str, Any]) -> str:
    ratio = row["ratio"]
    return f"{ratio:.2g}x" if ratio < 100 else f"{ratio:,.0f}x"


def speed_table(results: Sequence[dict[str, Any]]) -> str:
    """The text between the markers: each line from the first result that has its table."""
    lines, used = [], set()
    for label, titles in SHOWN:
        for k, result in enumerate(results):
            found = [t for t in result["tables"] if t["title"].startswith(titles)]
            made = line(found[0], label + "*" * k) if found else None
            if made is not None:
                lines.append(made)
                used.add(k)
                break
    return "\n".join([
        *(f"{'*' * k + ' ' if k else ''}{_machine_of(results[k])}" for k in sorted(used)),
        "",
        "| input | ours | against the fastest peer | against the slowest |",
        "|---|---|---|---|",
        *lines,
        "",
    ])  # fmt: skip


def _machine_of(result: dict[str, Any]) -> str:
    host = result["machine"]
    load = f"load {host['load_before'][0]:.1f} before and {host['load_after'][0]:.1f} after"
    return (
        f"{host['cpu']}, {host['cores']} cores ({load}; a suite itself is a load of 1),"
        f" instruction sets {', '.join(host['instruction_sets'])}; one thread, process time,"
        f" {_measure(result)}."
    )


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
    parser.add_argument("results", type=Path, nargs="+", help="the first that has a line gives it")
    parser.add_argument("--check", action="store_true", help="1 if the README is out of date")
    given = parser.parse_args()
    results = [json.loads(path.read_text(encoding="utf-8")) for path in given.results]
    stored = README.read_text(encoding="utf-8")
    wanted = with_table(stored, speed_table(results))
    if given.check:
        print("current" if wanted == stored else "README.md is out of date")
        return int(wanted != stored)
    write_text(README, wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
