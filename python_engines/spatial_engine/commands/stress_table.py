# SPDX-License-Identifier: Apache-2.0
"""The stress test at the terminal: run, kept beside the data set, and shown as a table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from spatialcore.commands.progress import ProgressBar
from spatialcore.commands.text import parted, printable

if TYPE_CHECKING:
    from spatial_engine.dataset.dataset import Dataset
    from spatial_engine.dataset.stress import Share, TaskStress

_NAME = 26  # columns of a task


def run_stress(dataset: Dataset, most: int) -> dict[str, TaskStress]:
    """Attack the tasks of a data set and keep the figures in its folder."""
    from spatial_engine.dataset.stress import save, stress

    with ProgressBar() as bar:
        found = stress(dataset, most=most, on_progress=bar.show)
    try:
        save(dataset, found)
    except OSError as error:
        print(f"the figures are not kept: {error.strerror or error}")
    return found


def run_prune(dataset: Dataset, out: Path, most: int) -> list[str]:
    """Write a data set without the records that give themselves away, and verify it.

    Returns:
        What was done, a line for each task that lost records or still misses its bound.
    """
    from spatial_engine.check.verify import verify
    from spatial_engine.dataset.prune import prune, to_remove
    from spatial_engine.dataset.stress import save
    from spatialcore.errors import RecordError

    with ProgressBar() as bar:
        pruned = to_remove(dataset, most=most, on_progress=bar.show)
    summary = prune(dataset, out, pruned)
    report = verify(out, roots=dataset.roots)
    if not report.ok:
        first = next(iter((*report.problems, *report.unchecked, *report.mismatches)), "")
        raise RecordError(f"{out}: what is left does not verify: {first}")
    save(type(dataset).open(out), {task: one.after for task, one in pruned.items()})
    lines = [f"{out}: {summary.rows:,} records are left and follow from their source"]
    for task, one in pruned.items():
        if one.removed or not one.after.within:
            what = f"{one.before.blind:.0%} -> {one.after.blind:.0%} blind"
            missed = "" if one.after.within else ", still past its bound"
            lines.append(f"  {task}: {len(one.removed):,} records removed, {what}{missed}")
    return lines


def print_stress(found: Mapping[str, TaskStress]) -> None:
    """The figures of each task."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from spatial_engine.records.task_name import family_of

    console, table = (
        Console(),
        Table(title="without looking", title_justify="left", box=SIMPLE_HEAD, pad_edge=False),
    )
    table.add_column("task", overflow="fold", min_width=_NAME)
    for name in ("rows", "chance", "const.", "prior", "options", "marks", "text", "bound"):
        table.add_column(name, justify="right", no_wrap=True)
    family = ""
    for task, one in found.items():
        if family_of(task) != family:
            family = family_of(task)
            table.add_section()
            table.add_row(Text(printable(family), style="bold"))
        bound = f"{one.bound:.0%}" if one.within else f"[red]{one.bound:.0%}[/]"
        shares = (one.constant, one.prior, one.option, one.dot, one.text)
        table.add_row(
            Text(parted(printable(f"  {task.partition('.')[2]}"), _NAME)), f"{one.looked_at:,}",
            "" if one.chance is None else f"{one.chance:.0%}", *map(_with_interval, shares), bound,
        )  # fmt: skip
    console.print(table)
    console.print(
        "Percent of right answers, rooms held out, with half of the 95 % interval. const.: one "
        "answer. prior: one number a category. options, marks: these alone. text: all that is "
        "said. bound: what options and marks of a choice, or else the text, may reach; red where "
        "it is passed.",
        style="dim",
    )
    drawn = [one for one in found.values() if one.looked_at < one.rows]
    if drawn:
        console.print(f"of {len(drawn)} tasks not all records were looked at (--rows)")
    missed = sum(not one.within for one in found.values())
    if missed:
        console.print(f"{missed} of {len(found)} tasks give away more than their bound allows")


def _with_interval(share: Share | None) -> str:
    if share is None:
        return ""
    return f"{100 * share.value:.0f} ±{50 * (share.high - share.low):.0f}"
