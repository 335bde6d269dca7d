# SPDX-License-Identifier: Apache-2.0
"""Make every record a second time from its source, and compare.

Examples:
  spatialcore verify out                        all rows up to 100,000, else a fixed sample
  spatialcore verify out --all --workers 16
  spatialcore verify out --root scannet=/mnt/scans   where the scans have moved
  spatialcore verify out --chains train-set      and each number of an export's chains
  spatialcore verify out --repair               make damaged and lost shards again, then check
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from spatialcore.commands import exit_codes
from spatialcore.commands.guard import run_verb
from spatialcore.commands.parse import roots_of, shard_of
from spatialcore.commands.progress import ProgressBar
from spatialcore.commands.text import fitted, printable
from spatialcore.errors import RecordError
from spatialcore.workers import Workers

if TYPE_CHECKING:
    from spatial_engine.check.verify import VerifyReport


@dataclass(frozen=True)
class Options:
    """Options of `spatialcore verify`.

    Attributes:
        records: Folder made by `spatialcore generate`.
        sample: Check this many rows, always the same ones.
        all: Check every row, however many.
        run: Who does the work.
        shard: i/n checks only the shards whose number is i modulo n.
        fail_fast: Stop at the first shard with a mismatch.
        repair: First make every shard again that is lost or whose bytes have changed.
        plan: The plan to repair by; default: RECORDS/plan.
        root: KEY=PATH, where a source has moved.
        chains: An export made with --chains, or one target of it: every number of its chains is
            held against evidence that is derived again.
        json: Print one JSON object instead of text.
    """

    records: Annotated[Path, tyro.conf.Positional]
    run: Workers
    sample: int | None = None
    all: bool = False
    shard: str = "0/1"
    fail_fast: bool = False
    repair: bool = False
    plan: Path | None = None
    root: tuple[str, ...] = ()
    chains: Path | None = None
    json: bool = False


def main(argv: list[str]) -> int:
    """Run the command; returns its exit code."""
    return run_verb("verify", Options, __doc__, argv, _run)


def _run(options: Options) -> int:
    from spatial_engine.check.verify import verify

    if options.repair:
        _repair(options)
    with ProgressBar() as bar:
        report = verify(
            options.records, sample=options.sample, everything=options.all,
            workers=options.run, shard=shard_of(options.shard), fail_fast=options.fail_fast,
            roots=roots_of(options.root), chains=options.chains,
            on_progress=lambda done, total: bar.show("shards", done, total),
        )  # fmt: skip
    if options.chains and not report.chains and report.ok:
        raise RecordError(f"{options.chains}: no row holds a chain; export with --chains")
    print(json.dumps(asdict(report) | {"ok": report.ok}) if options.json else _as_text(report))
    if report.failed:
        return exit_codes.FAILED
    return exit_codes.OK if report.ok else exit_codes.SKIPPED


def _repair(options: Options) -> None:
    """Run the plan again: it leaves what is whole and makes what is not."""
    from spatial_engine.dataset.dataset import Dataset
    from spatial_engine.dataset.make import generate
    from spatialcore.errors import UsageError

    dataset = Dataset.open(options.records)
    plan = options.plan or dataset.path / "plan"
    if not (plan / "plan.json").is_file():
        raise UsageError(f"{plan}: no plan to repair by; name the one of this data set with --plan")
    made = [
        event.shard
        for event in generate(plan, dataset.path, workers=options.run)
        if not event.reused
    ]
    print(f"repaired: {len(made)} of {dataset.manifest.shards} shards were made again",
          file=sys.stderr)  # fmt: skip


def _as_text(report: VerifyReport) -> str:
    lines = [f"problem: {printable(problem)}" for problem in report.problems]
    lines += [f"not checked: {shard}" for shard in report.unchecked]
    lines += [f"never made: {printable(one)}" for one in report.dropped]
    for m in report.mismatches:
        lines.append(
            f"{printable(m.id)}\n  {m.field}: stored {m.stored!r}, recomputed {m.recomputed!r}"
        )
    if report.mismatch_count > len(report.mismatches):
        lines.append(f"... and {report.mismatch_count - len(report.mismatches):,} more")
    if report.wording_changed:
        lines.append("the templates have changed since: texts were parsed, not compared")
    if report.chains:
        lines.append(f"{report.chains:,} chains held against evidence that was derived again")
    of = f" of {report.total:,}" if report.checked != report.total else ""
    verdict = "every answer follows from its source" if report.ok else "NOT verified"
    if report.imported:
        lines.append(
            f"{report.imported:,} records were imported and have no geometry: their files are "
            "whole, their answers are what was imported"
        )
    if report.imported and not report.failed and not report.unchecked:
        verdict = "every answer follows from its source" if report.checked else "nothing to derive"
    lines.append(f"{report.checked:,}{of} records checked: {verdict}")
    return fitted("\n".join(lines))
