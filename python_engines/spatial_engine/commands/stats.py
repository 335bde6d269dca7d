# SPDX-License-Identifier: Apache-2.0
"""Count what a data set holds: tasks, answers, balance, blind guesses, rejections.

Examples:
  spatialcore stats out
  spatialcore stats out --workers 8 --json
  spatialcore stats out --stress               what is scored without looking, rooms held out
  spatialcore stats out --prune out-pruned     a set without the records that give themselves away
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from spatialcore.commands import exit_codes
from spatialcore.commands.guard import run_verb
from spatialcore.commands.progress import ProgressBar
from spatialcore.commands.text import printable
from spatialcore.errors import UsageError
from spatialcore.workers import Workers

if TYPE_CHECKING:
    from rich.table import Table

    from spatial_engine.dataset.stats import DatasetStats, TaskStats

_MEDIAN, _LOW, _HIGH = "0.5", "0.05", "0.95"


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
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from spatial_engine.dataset.stats import TaskStats
    from spatial_engine.records.task_name import family_of

    console = Console()
    table = Table(
        title=f"{stats.rows:,} records in {stats.files} files",
        title_justify="left",
        box=SIMPLE_HEAD,
    )
    table.add_column("task", overflow="fold", min_width=24)
    table.add_column("rows", justify="right", no_wrap=True)
    table.add_column("answers", overflow="fold", min_width=14)
    for name in ("chance", "const.", "blind", "short"):
        table.add_column(name, justify="right", no_wrap=True)
    family = ""
    for task in sorted(stats.tasks.keys() | stats.shortfall.keys()):
        if family_of(task) != family:
            family = family_of(task)
            table.add_section()
            table.add_row(Text(printable(family), style="bold"))
        row = stats.tasks.get(task, TaskStats())
        short = stats.shortfall.get(task, 0)
        table.add_row(
            Text(printable(f"  {task.partition('.')[2]}")),
            f"{row.rows:,}",
            Text(printable(_answers(row))) if row.rows else "[yellow]none[/]",
            _share(row.chance),
            "" if row.unit == "letter" else _share(row.majority),
            _share(row.blind),
            f"{short:,}" if short else "",
        )
    console.print(table)
    console.print(
        "answers: share of each word or letter; 5 %, median and 95 % of a number, of its length "
        "for vectors. chance: score of guessing over the closed set. const.: score of one "
        "answer. blind: best score without looking, where `stats OUT --stress` has found it. "
        "short: rows of the quota that no candidate could give.",
        style="dim",
    )  # fmt: skip
    reasons: Counter[str] = Counter()
    for counts in stats.rejections.values():
        reasons.update(counts)
    if reasons:
        listed = ", ".join(f"{reason} {count:,}" for reason, count in reasons.most_common())
        console.print(f"refused candidates: {printable(listed)}", highlight=False, markup=False)
    if stats.shortages:
        causes: Counter[str] = Counter()
        for counts in stats.shortages.values():
            causes.update(counts)
        listed = ", ".join(f"{reason} {count:,}" for reason, count in causes.most_common())
        console.print(f"rows short: {listed}", highlight=False, markup=False)
    for skip in stats.skipped_scenes:
        line = f"skipped {skip.source}/{skip.scene}: {skip.reason}"
        console.print(printable(line), highlight=False, markup=False)
    for one in stats.dropped:
        console.print(printable(f"not made: {one}"), highlight=False, markup=False)
    if stats.unknown_tasks:
        names = ", ".join(stats.unknown_tasks)
        console.print(f"chance is not known of {names}: install the package of their engines")
    if stats.budgets:
        console.print(_budgets(stats))
    if stats.duplicate_ids:
        console.print(f"[red]{stats.duplicate_ids} ids occur more than once[/]")


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


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
    table.add_column("task", no_wrap=True)
    for name in names:
        table.add_column(name, justify="right")
    for task, found in stats.budgets.items():
        cells = []
        for name in names:
            one = found.get(name)
            share = "" if one is None else f"{100 * one.answered / one.rows:.0f}"
            cells.append(share + (f" ({one.changed})" if one is not None and one.changed else ""))
        table.add_row(printable(task), *cells)
    return table


def _answers(row: TaskStats) -> str:
    """Shares of words and letters, or low, middle and high numbers."""
    if row.answers:
        ordered = sorted(row.answers.items(), key=lambda item: (-item[1], item[0]))
        shown = ", ".join(f"{word} {count / row.rows:.0%}" for word, count in ordered[:6])
        return shown + (", ..." if len(ordered) > 6 else "")
    if row.numbers:
        low, middle, high = (row.numbers[q] for q in (_LOW, _MEDIAN, _HIGH))
        return f"{low:.4g} .. {middle:.4g} .. {high:.4g} {row.unit}"
    return row.unit
