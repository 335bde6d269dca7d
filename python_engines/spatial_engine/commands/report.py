# SPDX-License-Identifier: Apache-2.0
"""Write one HTML page: counts, balance, what is short, examples.

Examples:
  spatialcore report out                     writes out-report.html beside out
  spatialcore report out --workers 8
  spatialcore report out -o page.html --root scannet=/mnt/scans
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from spatialcore.commands import exit_codes
from spatialcore.commands.guard import run_verb
from spatialcore.commands.parse import roots_of
from spatialcore.commands.progress import ProgressBar
from spatialcore.workers import Workers


@dataclass(frozen=True)
class Options:
    """Options of `spatialcore report`.

    Attributes:
        records: Folder made by `spatialcore generate`.
        output: The page; default: RECORDS-report.html beside it. A page there is replaced.
        run: Who counts.
        root: KEY=PATH, where a source has moved.
        json: Print one JSON object instead of text.
    """

    records: Annotated[Path, tyro.conf.Positional]
    run: Workers
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    root: tuple[str, ...] = ()
    json: bool = False


def main(argv: list[str]) -> int:
    """Run the command; returns its exit code."""
    return run_verb("report", Options, __doc__, argv, _run)


def _run(options: Options) -> int:
    from spatial_engine.dataset.dataset import Dataset
    from spatial_engine.view.report import write_report

    dataset = Dataset.open(options.records, roots=roots_of(options.root))
    path = options.output or dataset.path.with_name(f"{dataset.path.name}-report.html")
    if path.is_dir():
        raise ValueError(f"{path} is a folder; name the page, such as -o {path / 'report.html'}")
    if path.exists() and "spatialcore" not in _head(path):
        raise ValueError(f"{path} is not a report of ours; nothing was written; choose another -o")
    with ProgressBar() as bar:
        stats = write_report(dataset, path, workers=options.run, on_progress=bar.show)
    size = path.stat().st_size
    told = {"page": str(path), "records": stats.rows, "bytes": size}
    text = f"{path}: a report on {stats.rows:,} records, {size / 1e6:.1f} MB"
    print(json.dumps(told) if options.json else text)
    return exit_codes.OK


def _head(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(20_000).decode(errors="replace")
