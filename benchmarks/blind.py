# SPDX-License-Identifier: Apache-2.0
"""The gate of blindness: rooms that no rule was set on, every task attacked, the table of docs.

    python -m benchmarks.blind FOLDER --seed 577215 --rooms 24 --clips 12 --page docs/blind.md

Each call continues what an earlier one left in the folder: the rooms, the data set, and the tasks
that have been attacked, in `attacked.json`. Tasks of fewer records than an interval needs are also
asked in `--more` further rooms of the next seed, and as many clips. `--real FOLDER` attacks
captured scenes as well.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from spatial_engine.commands import generate
from spatial_engine.dataset.blind_rows import Sample, Told
from spatial_engine.dataset.dataset import Dataset
from spatial_engine.dataset.stress import Share, TaskStress, attackable, attacked
from spatialcore.files import write_json
from spatialcore.sample import SampleConfig, make_sample

BEGIN, END = "<!-- figures begin -->", "<!-- figures end -->"
HEAD = (
    "| task | records | chance | constant | prior | options only | marks only | text only "
    "| may reach | |\n"
    "|---|---|---|---|---|---|---|---|---|---|"
)


FEW = "few"
"""Of a task that is beyond its bound by less than its records can tell."""
FRAMES = 40
"""Of a room that are looked at: of more that are rendered one in so many is kept."""
Parts = Mapping[str, tuple[Sample, list[Told], float | None]]
LEAST_RECORDS = 150
"""Of a task with fewer records further rooms are asked: an interval of half is 8 points wide."""


def made(
    folder: Path, rooms: int, clips: int, seed: int, frames: int, tasks: Sequence[str] = ()
) -> Path:
    """A data set of fresh rooms and clips by the default recipe; an earlier one is used again."""
    config = SampleConfig(
        rooms=rooms, clips=clips, seed=seed, frames=frames, layouts=("scannet", "tapvid3d")
    )
    if not (folder / "set" / "sample.json").exists():
        for _ in make_sample(folder / "set", config):
            continue
    sources = [str(folder / "set" / name) for name in config.layouts]
    asked = ["--tasks", ",".join(tasks)] if tasks else []
    return generated(sources, folder / "out", "--stride", str(max(1, frames // FRAMES)), *asked)


def generated(sources: list[str], out: Path, *options: str) -> Path:
    """The data set of some sources; an earlier one is continued."""
    argv = [*sources, "-o", str(out), *options]
    if not (out / "summary.json").exists() and generate.main(argv):
        raise SystemExit(f"{out}: no data set was made")
    return out


def attacked_tasks(
    outs: Sequence[Path], kept: Path, most: int, tasks: Sequence[str] | None = None
) -> dict[str, TaskStress]:
    """What each task gives away; tasks of the same records and rows are not attacked again."""
    datasets = [Dataset.open(out) for out in outs]
    key = {"rows": most, "shards": [file.done.hash for one in datasets for file in one.shards]}
    known: dict[str, Any] = {}
    if kept.exists():
        before = json.loads(kept.read_text(encoding="utf-8"))
        known = before["tasks"] if before["key"] == key else {}
    found = {}
    samples = joined([attackable(one, most=most, tasks=tasks) for one in datasets])
    for done, (task, (count, rows, guess)) in enumerate(samples.items(), 1):
        if task not in known:
            known[task] = attacked(count, rows, guess).to_json()
            write_json(kept, {"key": key, "tasks": known})
        found[task] = _read(known[task])
        told(task, done, len(samples))
    return found


def joined(parts: Sequence[Parts]) -> dict[str, tuple[int, list[Told], float | None]]:
    """The records of each task in several data sets, whose rooms are no longer of one name."""
    found = {}
    for task in sorted(set().union(*parts)):
        mine = [(k, *part[task]) for k, part in enumerate(parts) if task in part]
        rows = [replace(row, space=f"{k}/{row.space}") for k, _, some, _ in mine for row in some]
        found[task] = sum(sample.rows for _, sample, _, _ in mine), rows, mine[0][3]
    return found


def _read(stored: Mapping[str, Any]) -> TaskStress:
    """The figures of `TaskStress.to_json`, without the records' biases."""
    names = {one.name for one in fields(TaskStress)}
    values = {
        name: Share(**value) if isinstance(value, dict) else value
        for name, value in stored.items() if name in names
    }  # fmt: skip
    return TaskStress(**values)


def verdict(one: TaskStress) -> str:
    """Empty within the bound, "past" where the interval lies beyond it, else "few"."""
    if one.within:
        return ""
    tested = [one.option, one.dot] if one.kind == "choice" else [one.text]
    beyond = any(share is not None and share.low > one.bound for share in tested)
    return "past" if beyond else FEW


def cell(share: Share | None) -> str:
    """A share in percent with its interval."""
    if share is None:
        return ""
    return f"{100 * share.value:.0f} ({100 * share.low:.0f}-{100 * share.high:.0f})"


def table(found: Mapping[str, TaskStress], more: Collection[str] = ()) -> str:
    """One line a task; those asked in further rooms have a plus."""
    lines = [HEAD]
    for task, one in found.items():
        chance = "" if one.chance is None else f"{100 * one.chance:.0f}"
        shares = (one.constant, one.prior, one.option, one.dot, one.text)
        records = f"{one.looked_at:,}{'+' * (task in more)}"
        cells = [task, records, chance, *map(cell, shares), f"{100 * one.bound:.0f}"]
        lines.append(f"| {' | '.join([*cells, verdict(one)])} |")
    return "\n".join(lines)


def page(found: Mapping[str, TaskStress], what: str, more: Collection[str] = ()) -> str:
    """The table with what it was measured on, and what misses."""
    told_of = {task: verdict(one) for task, one in found.items()}
    past, few = (sum(v == name for v in told_of.values()) for name in ("past", FEW))
    text = (
        f"{what}, the default recipe; percent of right answers with 95 % intervals. "
        f"{len(found) - past - few} of {len(found)} tasks stay within their bound, {past} are past "
        f"it, and {few} are beyond it by less than their records can tell."
    )
    return f"{text}\n\n{table(found, more)}"


def main(argv: list[str]) -> int:
    """Run the gate; 1 when a task passes its bound."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rooms", type=int, default=24)
    parser.add_argument("--clips", type=int, default=12)
    parser.add_argument("--seed", type=int, default=577215)
    parser.add_argument("--rows", type=int, default=400)
    parser.add_argument("--frames", type=int, default=200, help="of each room")
    parser.add_argument("--more", type=int, default=96, help="further rooms, and as many clips")
    parser.add_argument("--page", type=Path)
    parser.add_argument("--real", type=Path, help="folder of captured scenes")
    options = parser.parse_args(argv)
    folder = options.folder
    out = made(folder, options.rooms, options.clips, options.seed, options.frames)
    found = attacked_tasks([out], folder / "attacked.json", options.rows)
    what = (
        f"{options.rooms} sample rooms of {options.frames} frames and {options.clips} clips of "
        f"seed {options.seed}"
    )
    short = sorted(task for task, one in found.items() if one.looked_at < LEAST_RECORDS)
    if options.more and short:
        more, seed = options.more, options.seed + 1
        both = [out, made(folder / "more", more, more, seed, options.frames, short)]
        found |= attacked_tasks(both, folder / "attacked-more.json", options.rows, short)
        what += (
            f" (+: of fewer than {LEAST_RECORDS} records there, so also in {more} rooms and as "
            f"many clips of seed {seed})"
        )
    text = page(found, what, short if options.more else ())
    if options.real is not None:
        real = generated([str(options.real)], folder / "real")
        captured = attacked_tasks([real], folder / "attacked-real.json", options.rows)
        text += f"\n\n{page(captured, 'The two captured scenes, each attacked by the other')}"
    print(text)
    if options.page is not None:
        old = options.page.read_text(encoding="utf-8")
        between = re.compile(f"(?<={re.escape(BEGIN)}\n).*(?=\n{re.escape(END)})", re.DOTALL)
        options.page.write_text(between.sub(lambda _: text, old), encoding="utf-8")
    return int(any(verdict(one) == "past" for one in found.values()))


def told(task: str, done: int, total: int) -> None:
    """A line of progress."""
    print(f"{done} of {total}: {task}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
