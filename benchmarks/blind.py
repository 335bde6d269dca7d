# SPDX-License-Identifier: Apache-2.0
"""The gate of blindness: rooms that no rule was set on, every task attacked, the table of docs.

python -m benchmarks.blind FOLDER --seed 271828 --rooms 24 --page docs/blind.md
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from spatial_engine.commands import generate
from spatial_engine.dataset.dataset import Dataset
from spatial_engine.dataset.stress import Share, TaskStress, stress
from spatialcore.sample import SampleConfig, make_sample

BEGIN, END = "<!-- figures begin -->", "<!-- figures end -->"
HEAD = (
    "| task | records | chance | constant | prior | options only | marks only | text only "
    "| may reach | |\n"
    "|---|---|---|---|---|---|---|---|---|---|"
)


def made(folder: Path, rooms: int, seed: int) -> Path:
    """A data set of fresh rooms and clips by the default recipe; an earlier one is used again."""
    out = folder / "out"
    if not (out / "summary.json").exists():
        config = SampleConfig(rooms=rooms, clips=4, seed=seed, layouts=("scannet", "tapvid3d"))
        for _ in make_sample(folder / "set", config):
            continue
        sources = [str(folder / "set" / name) for name in config.layouts]
        if generate.main([*sources, "-o", str(out)]):
            raise SystemExit("no data set was made")
    return out


def cell(share: Share | None) -> str:
    """A share in percent with its interval."""
    if share is None:
        return ""
    return f"{100 * share.value:.0f} ({100 * share.low:.0f}-{100 * share.high:.0f})"


def table(found: Mapping[str, TaskStress]) -> str:
    """One line a task."""
    lines = [HEAD]
    for task, one in found.items():
        chance = "" if one.chance is None else f"{100 * one.chance:.0f}"
        shares = (one.constant, one.prior, one.option, one.dot, one.text)
        cells = [task, f"{one.looked_at:,}", chance, *map(cell, shares), f"{100 * one.bound:.0f}"]
        lines.append(f"| {' | '.join([*cells, '' if one.within else 'past'])} |")
    return "\n".join(lines)


def page(found: Mapping[str, TaskStress], rooms: int, seed: int) -> str:
    """The table with what it was measured on, and what misses."""
    missed = {task: one for task, one in found.items() if not one.within}
    told = [
        f"{rooms} sample rooms and 4 clips of seed {seed}, the default recipe; percent of right "
        f"answers with 95 % intervals. {len(found) - len(missed)} of {len(found)} tasks stay "
        "within their bound.",
        "", table(found),
    ]  # fmt: skip
    return "\n".join(told)


def main(argv: list[str]) -> int:
    """Run the gate; 1 when a task passes its bound."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rooms", type=int, default=24)
    parser.add_argument("--seed", type=int, default=271828)
    parser.add_argument("--rows", type=int, default=800)
    parser.add_argument("--page", type=Path)
    options = parser.parse_args(argv)
    dataset = Dataset.open(made(options.folder, options.rooms, options.seed))
    found = stress(dataset, most=options.rows, on_progress=told)
    text = page(found, options.rooms, options.seed)
    print(text)
    if options.page is not None:
        old = options.page.read_text(encoding="utf-8")
        between = re.compile(f"(?<={re.escape(BEGIN)}\n).*(?=\n{re.escape(END)})", re.DOTALL)
        options.page.write_text(between.sub(lambda _: text, old), encoding="utf-8")
    return int(not all(one.within for one in found.values()))


def told(task: str, done: int, total: int) -> None:
    """A line of progress."""
    print(f"{done} of {total}: {task}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
