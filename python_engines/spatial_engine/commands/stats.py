# SPDX-License-Identifier: Apache-2.0
"""Count tasks, answers, balance, blind guesses and rejections.

Examples:
  spatialcore stats out
  spatialcore stats out --workers 8 --json
  spatialcore stats out --stress               what is scored without looking, rooms held out
  spatialcore stats out --prune out-pruned     a set without the records that give themselves away
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from spatialcore.commands import exit_codes
from spatialcore.commands.guard import run_verb
from spatialcore.commands.progress import ProgressBar
from spatialcore.commands.text import parted, printable
from spatialcore.errors import UsageError
from spatialcore.workers import Workers

if TYPE_CHECKING:
    from rich.table import Table

    from spatial_engine.dataset.stats import DatasetStats, TaskStats

_NAME = 24  # columns of a task
_MEDIAN, _LOW, _HIGH = "0.5", "0.05", "0.95"
# Answers whose numbers have no order of size.
_PLACES = {"norm1000": "places in an image", "cell": "maps of cells", "steps": "walks"}
_SHARES = {"chance": "chance", "const.": "majority", "blind": "blind"}
_LEGEND = (
    "answers: share of each word or letter; 5 %, median and 95 % of a number, of its length for "
    "vectors. chance: score of guessing over the closed set; of points at random in the image, of "
    "boxes by its middle half. const.: score of one answer. blind: best score without looking, "
    "where `stats OUT --stress` has found it. short: rows of the quota that no candidate could "
    "give."
)


@dataclass(frozen=True)
class Options:
    """Options of `spatialcore stats`.

    Attributes:
        records: Folder made by `spatialcore generate`.
        stress: Attack every task by its constants, options, marks and text (extra `stress`).
        prune: Write a data set here without the most telling records of tasks past their bound.
        rows: Records of a task that are looked at by either.
        run: Who counts.
        json: Print one JSON object instead of tables.
    """

    records: Annotated[Path, tyro.conf.Positional]
    run: Workers
    stress: bool = False
    prune: Path | None = None
    rows: int = 2000
    json: bool = False


def main(argv: list[str]) -> int:
    """Run the command; returns its exit code."""
    return run_verb("stats", Options, __doc__, argv, _run)


def _run(options: Options) -> int:
    from spatial_engine.commands.stress_table import print_stress, run_prune, run_stress
    from spatial_engine.dataset.dataset import Dataset
    from spatial_engine.dataset.stats import dataset_stats

    if options.rows < 1:
        raise UsageError(f"--rows must be positive, not {options.rows}")
    dataset = Dataset.open(options.records)
    if options.prune is not None:
        lines = run_prune(dataset, options.prune, options.rows)
        print(json.dumps(lines) if options.json else "\n".join(lines))
        return exit_codes.OK
    found = run_stress(dataset, options.rows) if options.stress else {}
    with ProgressBar() as bar:
        stats = dataset_stats(options.records, workers=options.run, on_progress=bar.show)
    if options.json:
        attacks = {task: one.to_json() for task, one in found.items()}
        print(json.dumps(stats.to_json() | ({"stress": attacks} if options.stress else {})))
        return exit_codes.OK
    _print(stats)
    if options.stress:
        print_stress(found)
    return exit_codes.OK


def _print(stats: DatasetStats) -> None:
    from rich.console import Console

    console = Console()
    console.print(_table(stats))
    console.print(_LEGEND, style="dim")
    for line in _lines_below(stats):
        console.print(printable(line), highlight=False, markup=False)
    if stats.budgets:
        console.print(_budgets(stats))
    if stats.duplicate_ids:
        console.print(f"[red]{stats.duplicate_ids} ids occur more than once[/]")


def _table(stats: DatasetStats) -> Table:
    """A row a task with records; columns that would be empty are left out: 80 columns are few."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from spatial_engine.records.task_name import family_of

    table = Table(
        title=f"{stats.rows:,} records in {stats.files} files", title_justify="left",
        box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False, collapse_padding=True,
    )  # fmt: skip
    table.add_column("task", overflow="fold", min_width=_NAME)
    table.add_column("rows", justify="right", no_wrap=True)
    table.add_column("answers", overflow="fold", min_width=20)
    shown = [name for name in _SHARES if any(_cell(name, row) for row in stats.tasks.values())]
    short = stats.shortfall if any(stats.shortfall.get(task) for task in stats.tasks) else None
    for name in (*shown, *(["short"] if short is not None else [])):
        table.add_column(name, justify="right", no_wrap=True)
    family = ""
    for task, row in stats.tasks.items():
        if family_of(task) != family:
            family = family_of(task)
            table.add_section()
            table.add_row(Text(printable(family), style="bold"))
        cells = [_cell(name, row) for name in shown]
        if short is not None:
            cells.append(f"{short[task]:,}" if short.get(task) else "")
        name = parted(printable(f"  {task.partition('.')[2]}"), _NAME)
        told = Text(name), Text(printable(_answers(row)))
        table.add_row(told[0], f"{row.rows:,}", told[1], *cells)
    return table


def _lines_below(stats: DatasetStats) -> Iterator[str]:
    """What the table has no room for: tasks without a record, refusals, what was skipped."""
    from spatial_engine.records.task_name import grouped

    absent = sorted(stats.shortfall.keys() - stats.tasks.keys())
    if absent:
        names = ", ".join(grouped(absent, {*absent, *stats.tasks}))
        yield f"{len(absent)} tasks have no record: {names}"
    for what, by_task in (
        ("refused candidates", stats.rejections),
        ("rows short", stats.shortages),
    ):
        counted: Counter[str] = Counter()
        for counts in by_task.values():
            counted.update(counts)
        if counted:
            listed = ", ".join(f"{reason} {count:,}" for reason, count in counted.most_common())
            yield f"{what}: {listed}"
    for skip in stats.skipped_scenes:
        yield f"skipped {skip.source}/{skip.scene}: {skip.reason}"
    for one in stats.dropped:
        yield f"not made: {one}"
    if stats.unknown_tasks:
        names = ", ".join(stats.unknown_tasks)
        yield f"chance is not known of {names}: install the package of their engines"


def _cell(name: str, row: TaskStats) -> str:
    """A share of a task as its column shows it; "" where there is none."""
    value = getattr(row, _SHARES[name])
    hidden = name == "const." and row.unit == "letter"  # which letter is right is balanced
    return "" if value is None or hidden else f"{value:.0%}"


def _budgets(stats: DatasetStats) -> Table:
    """Share of records that so many frames answer, and of those with another answer."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    names = list(dict.fromkeys(name for one in stats.budgets.values() for name in one))
    names.sort(key=lambda name: (not name.isdigit(), int(name) if name.isdigit() else 0))
    table = Table(
        title="percent of records that so many frames answer; in brackets how many otherwise "
        "than by the record's own frames", title_justify="left", box=SIMPLE_HEAD,
    )  # fmt: skip
    table.add_column("task", overflow="fold")
    for name in names:
        table.add_column(name, justify="right")
    for task, found in stats.budgets.items():
        cells = []
        for name in names:
            one = found.get(name)
            share = "" if one is None else f"{100 * one.answered / one.rows:.0f}"
            cells.append(share + (f" ({one.changed})" if one is not None and one.changed else ""))
        table.add_row(parted(printable(task), _NAME), *cells)
    return table


def _answers(row: TaskStats) -> str:
    """Shares of words and letters, or low, middle and high numbers."""
    if row.answers:
        ordered = sorted(row.answers.items(), key=lambda item: (-item[1], item[0]))
        shown = ", ".join(f"{word} {count / row.rows:.0%}" for word, count in ordered[:6])
        return shown + (", ..." if len(ordered) > 6 else "")
    if row.unit in _PLACES:
        return _PLACES[row.unit]
    if row.numbers:
        low, middle, high = (row.numbers[q] for q in (_LOW, _MEDIAN, _HIGH))
        return f"{low:.4g} .. {middle:.4g} .. {high:.4g} {row.unit}"
    return row.unit
