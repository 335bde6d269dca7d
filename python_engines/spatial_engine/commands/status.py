# SPDX-License-Identifier: Apache-2.0
"""Say how far a data set is: done, missing, and the next command.

Examples:
  spatialcore status out                 while shards are made, or after
  spatialcore status out --json          for a script that watches an array job
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from spatial_engine.commands.plan_text import duration
from spatialcore.commands import exit_codes
from spatialcore.commands.guard import run_verb
from spatialcore.commands.text import wrapped

if TYPE_CHECKING:
    from spatial_engine.dataset.status import Status

_SHOWN = 12  # ranges of missing shards


@dataclass(frozen=True)
class Options:
    """Options of `spatialcore status`.

    Attributes:
        records: Folder made by `spatialcore generate`, finished or not.
        json: Print one JSON object instead of text.
    """

    records: Annotated[Path, tyro.conf.Positional]
    json: bool = False


def main(argv: list[str]) -> int:
    """Run the command; returns its exit code."""
    return run_verb("status", Options, __doc__, argv, _run)


def _run(options: Options) -> int:
    from spatial_engine.dataset.status import dataset_status

    status = dataset_status(options.records)
    print(json.dumps(status.to_json()) if options.json else "\n".join(lines(options, status)))
    return exit_codes.OK


def lines(options: Options, status: Status) -> list[str]:
    """The status as text."""
    at_work = "a process is at work" if status.running else "no process is at work"
    if status.planned_shards == 0:
        out = [f"{options.records}: no record yet; {at_work}"]
        if status.scenes is not None:
            out.append(f"  {status.scenes:,} scenes indexed, {status.counted or 0:,} counted")
    else:
        share = 100 * status.shards / status.planned_shards
        out = [
            f"{options.records}: {status.rows:,} of {status.planned:,} records, "
            f"{status.shards:,} of {status.planned_shards:,} shards ({share:.1f} %); {at_work}"
        ]
        splits = ", ".join(f"{n:,} {split}" for split, n in (status.splits or {}).items())
        out += [f"  made     {splits}"] if splits else []
    if status.missing:
        more = f" and {len(status.missing) - _SHOWN} more ranges"
        shown = ", ".join(status.missing[:_SHOWN])
        out.append(f"  missing  shards {shown}{more if len(status.missing) > _SHOWN else ''}")
    if status.rows_a_minute is not None:
        left = status.seconds_left
        rest = f"; {duration(left)} left at this rate" if left is not None else ""
        out.append(f"  rate     {status.rows_a_minute:,.0f} records a minute{rest}")
    for target, (made, parts) in (status.exports or {}).items():
        out.append(f"  export   {target}: {made:,} of {parts:,} parts")
    return [*map(wrapped, out), f"  next     {status.next}"]  # a command stays whole
