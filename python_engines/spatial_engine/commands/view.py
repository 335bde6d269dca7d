# SPDX-License-Identifier: Apache-2.0
"""Write a page to look through records: marked images, and why.

Examples:
  spatialcore view out                        writes out/gallery/index.html
  spatialcore view out --per-task 20 --tasks 'depth_perception.*'
  spatialcore view out --serve                and shows it on http://127.0.0.1:8765
  spatialcore view out --rerun --per-task 5   writes out.rrd: evidence in 3-D, for Rerun
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from spatialcore.commands import exit_codes
from spatialcore.commands.guard import run_verb
from spatialcore.commands.parse import globs_of, or_default, roots_of
from spatialcore.commands.progress import ProgressBar
from spatialcore.commands.text import printable
from spatialcore.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from spatial_engine.dataset.dataset import Dataset, OpenedRecord
    from spatial_engine.view import GalleryReport

_ON_PAGE, _RECORDED = 100_000, 500
_NAMED = 3  # scenes or images that a message names


@dataclass(frozen=True)
class Options:
    """Options of `spatialcore view`.

    Attributes:
        records: Folder made by `spatialcore generate`.
        output: Folder of the page; default: RECORDS/gallery.
        per_task: Records of each task; default: all that --limit leaves room for.
        limit: Records shown; beyond, as many of each task as gives that; default: 100,000.
        tasks: Globs of task names, also joined by commas; default: all.
        serve: Show the page on this machine until interrupted.
        port: Port of `--serve`.
        rerun: Write a Rerun recording instead of a page, to this file or RECORDS.rrd beside the
            records; --limit is 500 there.
        root: KEY=PATH, where a source has moved.
        json: Print one JSON object instead of text.
    """

    records: Annotated[Path, tyro.conf.Positional]
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    per_task: int | None = None
    limit: int | None = None
    tasks: tuple[str, ...] = ()
    serve: bool = False
    port: int = 8765
    rerun: Path | None = None
    root: tuple[str, ...] = ()
    json: bool = False


def main(argv: list[str]) -> int:
    """Run the command; returns its exit code."""
    return run_verb("view", Options, __doc__, or_default(argv, "--rerun"), _run)


def _run(options: Options) -> int:
    from spatial_engine.dataset.dataset import Dataset
    from spatial_engine.view import choose, write_gallery
    from spatialcore.folders import check_free

    for name, value in (("--per-task", options.per_task), ("--limit", options.limit)):
        if value is not None and value < 1:
            raise ValueError(f"{name} must be positive, got {value}")
    if options.rerun is not None and (options.serve or options.output is not None):
        raise UsageError("--rerun writes a recording and no page: leave out --serve and --output")
    folder = options.records / "gallery" if options.output is None else options.output
    if options.rerun is None:
        check_free(folder, "view")
    dataset = Dataset.open(options.records, roots=roots_of(options.root))
    globs = globs_of(options.tasks, dataset.manifest.tasks) or ("*",)
    known = {task for file in dataset.shards for task in file.done.tasks}
    tasks = {task for task in known if any(fnmatchcase(task, glob) for glob in globs)}
    limit = options.limit or (_ON_PAGE if options.rerun is None else _RECORDED)
    chosen = choose(dataset, tasks, per_task=options.per_task, limit=limit)
    if not chosen.counts:
        raise ValueError(
            f"{options.records}: no record of {', '.join(options.tasks) or 'any task'}"
        )
    if options.rerun is not None:
        beside = dataset.path.with_name(f"{dataset.path.name}.rrd")
        path = beside if options.rerun == Path() else options.rerun
        return _record(dataset, dataset.chosen(tasks, chosen.ids), options, path)
    total = sum(chosen.counts.values()) if chosen.ids is None else len(chosen.ids)
    with ProgressBar() as bar:
        report = write_gallery(
            dataset, dataset.chosen(tasks, chosen.ids), folder, counts=chosen.counts,
            progress=lambda task, done: bar.show(task, done, total),
        )  # fmt: skip
    _tell(options, report, sum(chosen.counts.values()))
    if options.serve:
        _serve(folder, options.port)
    return exit_codes.SKIPPED if report.lost_images else exit_codes.OK


def _record(dataset: Dataset, records: Iterable[OpenedRecord], options: Options, path: Path) -> int:
    from spatial_engine.view.recording import record_dataset

    done = record_dataset(dataset, records, path)
    if options.json:
        print(json.dumps({
            "recording": str(path), "shown": done.records, "lost_images": len(done.lost_images),
            "scenes_without_map": len(done.without_map),
        }))  # fmt: skip
    else:
        print(f"{path}: {done.records:,} records; `rerun {path}` shows them")
    if done.lost_images:
        lost = [f"{name}: {why}" for name, why in done.lost_images.items()]
        _warn(f"images of {len(lost):,} records cannot be opened", lost)
    if done.without_map:
        named = [f"{'/'.join(key)}: {why}" for key, why in done.without_map.items()]
        _warn(f"{len(named):,} scenes have no map; their records show no evidence in 3-D", named)
    return exit_codes.SKIPPED if done.lost_images else exit_codes.OK


def _tell(options: Options, report: GalleryReport, records: int) -> None:
    if options.json:
        print(json.dumps({
            "page": str(report.page), "shown": report.shown, "records": records,
            "pictures": report.pictures, "lost_images": len(report.lost_images),
            "scenes_without_map": len(report.without_map),
        }))  # fmt: skip
    else:
        some = f"{report.shown:,} of {records:,}" if report.shown < records else f"{records:,}"
        print(f"{report.page}: {some} records, {report.pictures:,} pictures")
    if report.lost_images:
        lost = list(report.lost_images.values())
        _warn(f"{len(lost):,} images cannot be opened, their places are empty", lost)
    if report.without_map:
        named = [f"{'/'.join(key)}: {why}" for key, why in report.without_map.items()]
        _warn(f"{len(named):,} scenes have no map; their evidence alone is drawn", named)


def _warn(what: str, named: list[str]) -> None:
    more = f"; and {len(named) - _NAMED:,} more" if len(named) > _NAMED else ""
    print(printable(f"{what}: {'; '.join(named[:_NAMED])}{more}"), file=sys.stderr)


def _serve(folder: Path, port: int) -> None:
    """Serve the page to this machine alone, until Ctrl-C."""
    from spatial_engine.view.serve import LOOPBACK, make_server

    with make_server(folder, port) as server:
        print(f"http://{LOOPBACK}:{port} (Ctrl-C ends)", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return
