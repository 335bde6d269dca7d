# SPDX-License-Identifier: Apache-2.0
"""Write records in the formats of trainers and evaluation harnesses.

Examples:
  spatialcore export out -o train-set --to llamafactory --images copy
  spatialcore export out -o bench --to lmms-eval --split val     a task folder for --include_path
  spatialcore export out -o kit --to vlmevalkit --split val      a data set class for VLMEvalKit
  spatialcore export out -o prompts --to prompts --split val --circular
  spatialcore export out -o thinking --to trl swift --chains   verified reasoning, then the answer
  spatialcore export out -o unmarked --to swift --no-render-marks --tasks "camera_movement.*"
  spatialcore export out -o room --to swift --val-stretch 0.1    one scene: its last frames are val
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from spatialcore.commands import exit_codes
from spatialcore.commands.guard import run_verb
from spatialcore.commands.parse import globs_of, roots_of, shard_of
from spatialcore.commands.progress import ProgressBar
from spatialcore.commands.text import wrapped
from spatialcore.workers import Workers

if TYPE_CHECKING:
    from spatial_engine.dataset.dataset import Dataset
    from spatial_engine.export import Exported, Request

TargetName = Literal[
    "multispa", "internvl", "llava", "qwen", "trl", "trl-grpo", "llamafactory", "swift", "sharegpt",
    "vlmevalkit", "prompts", "webdataset", "jsonl",
    "lmms-eval",
]  # fmt: skip


@dataclass(frozen=True)
class Options:
    """Options of `spatialcore export`.

    Attributes:
        records: Folder made by `spatialcore generate`.
        output: Folder of the export: new, or with other targets, or RECORDS itself.
        to: Formats to write, all in one pass; each in a folder of its own.
        split: Only this split; default: all, in files of their own.
        tasks: Globs of task names, also joined by commas; default: all.
        images: Link to the source's images, copy them, or only name them.
        paths: Of images in the rows: absolute, for any working folder, or relative to OUTPUT.
        render_marks: Take a marked question as an error; else its marks are drawn into JPEGs of
            their own.
        embed_images: Put the images into the rows.
        chains: Let the assistant think first: <think> the record's evidence in words </think>
            <answer> its answer </answer>; `verify --chains` makes every number again.
        circular: Ask every choice in all rotations of its options, as ID, ID@1, ID@2, ..., for
            prompts and vlmevalkit; `score --circular` then counts what is right in all of them.
        val_stretch: Of a set of one scene: this share of its questions, of the end of its walk, is
            val; questions about both sides are left out.
        limit: At most this many records, spread evenly over the tasks.
        shard: i/n makes only the parts whose position is i modulo n; the last one ends the export.
        overwrite: Make anew what was exported in another way.
        root: KEY=PATH, where a source has moved.
        run: Who does the work.
        json: Print one JSON object instead of text.
    """

    records: Annotated[Path, tyro.conf.Positional]
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    to: tuple[TargetName, ...]
    run: Workers
    split: str | None = None
    tasks: tuple[str, ...] = ()
    images: Literal["link", "copy", "none"] = "link"
    paths: Literal["absolute", "relative"] = "absolute"
    render_marks: bool = True
    embed_images: bool = False
    chains: bool = False
    circular: bool = False
    val_stretch: float = 0.0
    limit: int | None = None
    shard: str = "0/1"
    overwrite: bool = False
    root: tuple[str, ...] = ()
    json: bool = False


def main(argv: list[str]) -> int:
    """Run the command; returns its exit code."""
    return run_verb("export", Options, __doc__, argv, _run)


def _run(options: Options) -> int:
    from spatial_engine.dataset.dataset import Dataset
    from spatial_engine.export import Request

    shard = shard_of(options.shard)
    if options.limit is not None and options.limit < 1:
        raise ValueError(f"--limit must be positive, got {options.limit}")
    dataset = Dataset.open(options.records, roots=roots_of(options.root))
    request = Request(
        targets=tuple(dict.fromkeys(options.to)),
        split=options.split,
        tasks=globs_of(options.tasks, dataset.manifest.tasks),
        images=options.images,
        paths=options.paths,
        render_marks=options.render_marks,
        embed=options.embed_images,
        limit=options.limit,
        chains=options.chains,
        circular=options.circular,
    )
    counts = export_dataset(
        dataset, options.output, request, options.run, val_stretch=options.val_stretch,
        shard=shard, overwrite=options.overwrite,
    )  # fmt: skip
    report = as_json(options.output, counts)
    print(json.dumps(report) if options.json else "\n".join(as_lines(options.output, counts)))
    return exit_codes.SKIPPED if counts.lost else exit_codes.OK


def export_dataset(
    dataset: Dataset,
    output: Path,
    request: Request,
    workers: Workers,
    *,
    val_stretch: float = 0.0,
    shard: tuple[int, int] = (0, 1),
    overwrite: bool = False,
) -> Exported:
    """Export with a bar; returns what the export then holds."""
    import dataclasses

    from spatial_engine.export import Exported, export
    from spatial_engine.export.part import stretch_of
    from spatial_engine.export.run import check_export

    if not 0.0 <= val_stretch < 1.0:
        raise ValueError(f"--val-stretch must be a share below 1, got {val_stretch}")
    check_export(output, request, dataset)
    if val_stretch:
        request = dataclasses.replace(request, stretch=stretch_of(dataset, val_stretch))
    rows = dataset.manifest.rows
    total = min(request.limit or rows, rows)
    counts = Exported()
    with ProgressBar() as bar:
        for counts in export(
            dataset, output, request, workers=workers, shard=shard, overwrite=overwrite
        ):
            bar.show("records", counts.records, total)
    return counts


def as_json(output: Path, counts: Exported) -> dict[str, Any]:
    """What the export holds, for programs."""
    return {
        "output": str(output), "records": counts.records, "images": counts.images,
        "tasks": dict(sorted(counts.tasks.items())), "splits": dict(sorted(counts.splits.items())),
        "left_out": counts.left_out, "unchained": counts.unchained, "lost": counts.lost,
        "waiting": counts.waiting,
    }  # fmt: skip


def as_lines(output: Path, counts: Exported) -> Sequence[str]:
    """What the export holds, for people."""
    splits = ", ".join(f"{count:,} {split}" for split, count in sorted(counts.splits.items()))
    lines = [f"{output}: {counts.records:,} records ({splits}), {counts.images:,} images written"]
    if counts.limit is not None and counts.tasks:
        low, high = min(counts.tasks.values()), max(counts.tasks.values())
        each = f"{low:,}" if low == high else f"{low:,} to {high:,}"
        lines.append(f"  the limit of {counts.limit:,} is spread evenly over {len(counts.tasks)} "
                     f"tasks: {each} records of each")  # fmt: skip
    if counts.left_out:
        lines.append(f"  {counts.left_out:,} left out: they show frames of train and of val")
    if counts.unchained:
        lines.append(
            f"  {counts.unchained:,} have no chain, since their engines tell none: their "
            "turns are the answer block alone"
        )
    if counts.waiting:
        lines.append(f"  {counts.waiting:,} parts are still to be made, by other --shard i/n")
    lines += [f"  not made: {lost}; run again to try it once more" for lost in counts.lost]
    return [wrapped(line) for line in lines]
