# SPDX-License-Identifier: Apache-2.0
"""Take questions of others into a data set, answers as they are.

Their answers are what their files say: nothing is computed, and `verify` says so.

Examples:
  spatialcore import llava_instruct.json -o llava --images /data/coco
  spatialcore import train.jsonl -o chat --from trl
  spatialcore import vsibench/test.jsonl -o vsi --images /data/vsibench    videos below it
  spatialcore import v1_balanced_sqa_annotations_test.json -o sqa --without-images
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from spatialcore.commands import exit_codes
from spatialcore.commands.guard import run_verb
from spatialcore.commands.progress import ProgressBar
from spatialcore.commands.text import fitted, one_line, printable

if TYPE_CHECKING:
    from spatial_engine.importing import ImportReport


@dataclass(frozen=True)
class Options:
    """Options of `spatialcore import`.

    Attributes:
        source: A file (JSON, JSON lines or Parquet), or a folder of files of one form.
        output: Folder of the data set; it must be new or empty.
        from_: Form of the rows; default: told by the first one.
        images: Folder that the paths of pictures and videos start at; default: that of the file.
        questions: SQA3D: the file of questions; default: the one beside the answers.
        frames: Frames that are taken of a video.
        without_images: Take the questions alone, without looking for what they show.
        split: Split of all records; default: val of benchmarks, train of conversations.
        name: Name of the source in the records; default: made of form and file.
        max_left_out: Share of rows that may be left out; with more, nothing is written (exit 3).
        json: Print one JSON object instead of text.
    """

    source: Annotated[Path, tyro.conf.Positional]
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    from_: Annotated[
        Literal["llava", "trl", "vsibench", "scanqa", "sqa3d"] | None, tyro.conf.arg(name="from")
    ] = None
    images: Path | None = None
    questions: Path | None = None
    frames: int = 16
    without_images: bool = False
    split: Literal["train", "val"] | None = None
    name: str | None = None
    max_left_out: float = 0.1
    json: bool = False


def main(argv: list[str]) -> int:
    """Run the command; returns its exit code."""
    return run_verb("import", Options, __doc__, argv, _run)


def _run(options: Options) -> int:
    from spatial_engine.importing import ImportRequest, import_files
    from spatial_engine.importing.make import TooFewRows

    request = ImportRequest(
        options.source, options.from_, options.name, options.split, options.images,
        options.questions, options.frames, options.without_images, options.max_left_out,
    )  # fmt: skip
    try:
        with ProgressBar() as bar:
            report = import_files(request, options.output, lambda n: bar.show("rows", n, n))
    except TooFewRows as error:
        print(f"spatialcore import: {one_line(str(error))}", file=sys.stderr)
        return exit_codes.SKIPPED
    print(json.dumps(_as_json(report)) if options.json else _as_text(options.output, report))
    return exit_codes.SKIPPED if report.left_out else exit_codes.OK


def _as_json(report: ImportReport) -> dict[str, object]:
    # `asdict` makes counters of pairs.
    counted = {name: dict(getattr(report, name)) for name in ("tasks", "left_out", "notes")}
    plain = {name: getattr(report, name) for name in ("kind", "rows", "records", "without_images")}
    return {**plain, **counted, "examples": report.examples}


def _as_text(out: Path, report: ImportReport) -> str:
    lines = [
        f"{out}: {report.records:,} records of {report.rows:,} rows of {report.kind}, without "
        "geometry: their answers are what the files say, and `verify` leaves them out"
    ]
    lines += [f"{count:>9,}  {task}" for task, count in sorted(report.tasks.items())]
    if report.without_images:
        lines.append(f"{report.without_images:>9,}  of them show no image")
    lines += [f"{count:>9,}  rows: {note}" for note, count in report.notes.most_common()]
    for reason, count in report.left_out.most_common():
        where = ", ".join(report.examples[reason])
        lines.append(f"{count:>9,}  left out: {reason} ({where})")
    return fitted(printable("\n".join(lines)))
