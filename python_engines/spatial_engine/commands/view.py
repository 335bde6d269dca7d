# SPDX-License-Identifier: Apache-2.0
"""Write a page of example records: marked images, question, answer, and the numbers behind it.

Examples:
  spatialcore view out                        writes out/gallery/index.html
  spatialcore view out --per-task 20 --tasks 'depth_perception.*'
  spatialcore view out --serve                and shows it on http://127.0.0.1:8765
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from spatialcore.commands import exit_codes
from spatialcore.commands.guard import run_verb
from spatialcore.commands.parse import globs_of, roots_of
from spatialcore.commands.progress import ProgressBar

if TYPE_CHECKING:
    from spatial_engine.dataset.dataset import OpenedRecord
    from spatial_engine.view import Example


@dataclass(frozen=True)
class Options:
    """Options of `spatialcore view`.

    Attributes:
        records: Folder made by `spatialcore generate`.
        output: Folder of the page; default: RECORDS/gallery.
        per_task: Examples of each task.
        tasks: Globs of task names, also joined by commas; default: all.
        serve: Show the page on this machine until interrupted.
        port: Port of `--serve`.
        root: KEY=PATH, where a source has moved.
        json: Print one JSON object instead of text.
    """

    records: Annotated[Path, tyro.conf.Positional]
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    per_task: int = 6
    tasks: tuple[str, ...] = ()
    serve: bool = False
    port: int = 8765
    root: tuple[str, ...] = ()
    json: bool = False


def main(argv: list[str]) -> int:
    """Run the command; returns its exit code."""
    return run_verb("view", Options, __doc__, argv, _run)


def _run(options: Options) -> int:
    from spatial_engine.view import write_gallery
    from spatialcore.folders import check_free

    if options.per_task < 1:
        raise ValueError(f"--per-task must be positive, got {options.per_task}")
    folder = options.records / "gallery" if options.output is None else options.output
    check_free(folder, "view")
    counts, chosen = _choose(options)
    if not counts:
        raise ValueError(f"{options.records}: no record of {', '.join(options.tasks)}")
    with ProgressBar() as bar:
        page = write_gallery(
            _examples(chosen, bar), folder, title=options.records.resolve().name, counts=counts
        )
    report = {"page": str(page), "shown": len(chosen), "records": sum(counts.values())}
    print(json.dumps(report) if options.json else f"{page}: {len(chosen)} examples")
    if options.serve:
        _serve(folder, options.port)
    return exit_codes.OK


def _choose(options: Options) -> tuple[dict[str, int], list[OpenedRecord]]:
    """Rows of each task, and the records to show; one pass that keeps what it shows."""
    from spatial_engine.dataset.dataset import Dataset
    from spatial_engine.view import choose_examples

    dataset = Dataset.open(options.records, roots=roots_of(options.root))

    globs = globs_of(options.tasks, dataset.manifest.tasks) or ("*",)
    counts: Counter[str] = Counter()

    def matching() -> Iterator[OpenedRecord]:
        for opened in dataset.opened():
            if any(fnmatchcase(opened.record.task, glob) for glob in globs):
                counts[opened.record.task] += 1
                yield opened

    chosen = choose_examples(matching(), options.per_task)
    return dict(counts), [opened for records in chosen.values() for opened in records]


def _examples(chosen: list[OpenedRecord], bar: ProgressBar) -> Iterator[Example]:
    from spatial_engine.view import Example

    for done, opened in enumerate(chosen):
        bar.show(opened.record.task, done, len(chosen))
        yield Example(opened.record, tuple(opened.images()))


def _serve(folder: Path, port: int) -> None:
    """Serve the page to this machine alone, until Ctrl-C."""
    from spatial_engine.view.serve import LOOPBACK, make_server

    with make_server(folder, port) as server:
        print(f"http://{LOOPBACK}:{port} (Ctrl-C ends)", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return
