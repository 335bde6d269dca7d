# SPDX-License-Identifier: Apache-2.0
"""Look through scenes and clips: what is there, what is missing.

Examples:
  spatialcore check scans                      a line for each scene below a folder
  spatialcore check scans --verbose            all that is known of each, task by task
  spatialcore check scans --json               one JSON object
  spatialcore check posed_images:rooms --world-up +y --report rooms.html

Exit code: 0 every scene can be used, 1 none can, 3 some cannot.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from spatialcore.commands import exit_codes
from spatialcore.commands.check_tasks import task_counter, with_tasks
from spatialcore.commands.guard import run_verb
from spatialcore.commands.reading import Reading
from spatialcore.commands.text import WIDTH, wrapped
from spatialcore.errors import UsageError, printable
from spatialcore.files import write_text

if TYPE_CHECKING:
    from spatialcore.io.survey import SceneReport
    from spatialcore.types import Source

_BAR_AFTER_S = 2.0


@dataclass(frozen=True)
class Options:
    """Options of `spatialcore check`.

    Attributes:
        source: A scene, a clip, or a folder of them; `kind:path` names the reader.
        read: How it is read.
        every_frame: Decode every depth image instead of a dozen a scene.
        count: Scenes of each source whose questions are counted, on some of their frames; the
            others are taken to give as many. 0 counts none.
        verbose: All that is known of each scene.
        report: Write the table as an HTML page.
        json: Print one JSON object instead of a table.
    """

    source: Annotated[str, tyro.conf.Positional]
    read: Reading
    every_frame: bool = False
    count: int = 8
    verbose: bool = False
    report: Path | None = None
    json: bool = False


def main(argv: list[str]) -> int:
    """Run the command; returns its exit code."""
    return run_verb("check", Options, __doc__, argv, _run)


def _run(options: Options) -> int:
    from spatialcore.io.open import open_sources

    read = options.read.options()
    if options.count < 0:
        raise UsageError(f"--count must be 0 or more, got {options.count}")
    sources, counter = open_sources(options.source, read), task_counter()
    surveys: list[tuple[Source, list[SceneReport]]] = []
    for source in sources:
        found = list(_follow(source, options))
        surveys.append((source, list(with_tasks(source, found, counter, options.count))))
    _show(surveys, options)
    return _exit_code([report for _, reports in surveys for report in reports])


def _exit_code(reports: list[SceneReport]) -> int:
    skipped = sum(bool(report.error) for report in reports)
    if skipped == len(reports):
        return exit_codes.FAILED
    return exit_codes.SKIPPED if skipped else exit_codes.OK


def _follow(source: Source, options: Options) -> Iterator[SceneReport]:
    """The reports of one source; draws a bar on a terminal once it has taken two seconds."""
    from spatialcore.io.agreement import SAMPLED_FRAMES
    from spatialcore.io.survey import survey

    started, bar = time.perf_counter(), None
    total = len(source.scene_ids())
    sampled = None if options.every_frame else SAMPLED_FRAMES
    try:
        for report in survey(source, sampled_frames=sampled):
            late = time.perf_counter() - started > _BAR_AFTER_S
            if bar is None and late and sys.stderr.isatty():
                from rich.console import Console
                from rich.progress import Progress

                bar = Progress(console=Console(stderr=True), transient=True)
                bar.start()
                task = bar.add_task(source.key, total=total)
            if bar is not None:
                bar.advance(task)
            yield report
    finally:
        if bar is not None:
            bar.stop()


def _show(surveys: list[tuple[Source, list[SceneReport]]], options: Options) -> None:
    from spatialcore.commands.check_table import (
        detail_lines,
        html_page,
        summary_lines,
        survey_lines,
    )

    if options.report is not None:
        write_text(options.report, html_page(surveys))
    if options.json:
        print(json.dumps(_as_json(surveys), allow_nan=False))
        return
    width = shutil.get_terminal_size((WIDTH, 24)).columns if sys.stdout.isatty() else WIDTH
    for source, reports in surveys:
        print(f"{source.kind} {printable(str(source.root))}")
        print("\n".join(survey_lines(reports, max(width, WIDTH))))
    if options.verbose:
        details = [line for _, found in surveys for r in found for line in detail_lines(r)]
        details = [wrapped(line) for line in details]
        print("\n".join(["", *details, ""]))
    print("\n".join(map(wrapped, summary_lines(surveys))))


def _as_json(surveys: list[tuple[Source, list[SceneReport]]]) -> dict[str, Any]:
    reports = [report for _, found in surveys for report in found]
    return {
        "sources": [
            {
                "kind": source.kind,
                "key": source.key,
                "root": str(source.root),
                "scenes": [report.to_dict() for report in found],
            }
            for source, found in surveys
        ],
        "scene_count": len(reports),
        "skipped_count": sum(bool(report.error) for report in reports),
    }
