# SPDX-License-Identifier: Apache-2.0
"""Write records in the formats of trainers and evaluation harnesses.

Examples:
  spatialcore export out -o train-set --to llamafactory --images copy
  spatialcore export out -o prompts --to prompts vlmevalkit --split val
  spatialcore export out -o unmarked --to swift --no-render-marks --tasks "camera_movement.*"
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from spatialcore.commands import exit_codes
from spatialcore.commands.guard import run_verb
from spatialcore.commands.parse import globs_of, roots_of
from spatialcore.commands.progress import ProgressBar

if TYPE_CHECKING:
    from spatial_engine.dataset.dataset import Dataset, OpenedRecord

TargetName = Literal[
    "multispa", "internvl", "llava", "qwen", "trl", "llamafactory", "swift", "sharegpt",
    "vlmevalkit", "prompts", "webdataset",
]  # fmt: skip


@dataclass(frozen=True)
class Options:
    """Options of `spatialcore export`.

    Attributes:
        records: Folder made by `spatialcore generate`.
        output: Folder of the export; it must be new or empty.
        to: Formats to write, all in one pass.
        split: Only this split.
        tasks: Globs of task names, also joined by commas; default: all.
        images: Link to the source's images, copy them, or only name them.
        render_marks: Draw the marks of marked questions into JPEGs of their own; without it, a
            marked question is an error.
        embed_images: Put the images into the rows.
        limit: At most this many records.
        workers: Processes that make the images.
        root: KEY=PATH, where a source has moved.
        json: Print one JSON object instead of text.
    """

    records: Annotated[Path, tyro.conf.Positional]
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    to: tuple[TargetName, ...]
    split: str | None = None
    tasks: tuple[str, ...] = ()
    images: Literal["link", "copy", "none"] = "link"
    render_marks: bool = True
    embed_images: bool = False
    limit: int | None = None
    workers: int = 1
    root: tuple[str, ...] = ()
    json: bool = False


def main(argv: list[str]) -> int:
    """Run the command; returns its exit code."""
    return run_verb("export", Options, __doc__, argv, _run)


def _run(options: Options) -> int:
    from spatial_engine.dataset.dataset import Dataset
    from spatial_engine.export import Exported, export

    if options.limit is not None and options.limit < 1:
        raise ValueError(f"--limit must be positive, got {options.limit}")
    dataset = Dataset.open(options.records, roots=roots_of(options.root))
    rows = dataset.manifest.rows
    total = min(options.limit or rows, rows)
    counts = Exported()
    with ProgressBar() as bar:
        for counts in export(
            islice(_matching(options, dataset), options.limit), options.output, options.to, dataset,
            images=options.images, render_marks=options.render_marks,
            embed_images=options.embed_images, workers=options.workers,
        ):  # fmt: skip
            bar.show("records", counts.records, total)
    report = {"output": str(options.output), "records": counts.records, "images": counts.images,
              "tasks": dict(sorted(counts.tasks.items())), "lost": counts.lost}  # fmt: skip
    text = f"{options.output}: {counts.records} records, {counts.images} images written"
    lines = [text, *(f"  left out: {lost}" for lost in counts.lost)]
    print(json.dumps(report) if options.json else "\n".join(lines))
    return exit_codes.SKIPPED if counts.lost else exit_codes.OK


def _matching(options: Options, dataset: Dataset) -> Iterator[OpenedRecord]:
    globs = globs_of(options.tasks, dataset.manifest.tasks) or ("*",)
    for opened in dataset.opened(options.split):
        if any(fnmatchcase(opened.record.task, glob) for glob in globs):
            yield opened
