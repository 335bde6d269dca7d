# SPDX-License-Identifier: Apache-2.0
"""Make question-answer records from scenes, an index or a plan.

Examples:
  spatialcore generate scans -o out                  index, plan and make, in one go
  spatialcore generate rooms clips -o out --limit 500 --seed 7 --workers 8
  spatialcore generate index -o out --tasks 'camera_movement.*,depth_perception.*'
  spatialcore generate plan -o out --shard 3/64      one part of an array job; run again to resume
  spatialcore generate office -o out --limit 5000 --to llamafactory
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from spatial_engine.commands.export import TargetName, as_lines, export_dataset
from spatial_engine.commands.export import as_json as export_json
from spatial_engine.commands.plan import (
    Selection,
    check_same_plan,
    plan_index,
    plan_together,
    recipe_of,
)
from spatial_engine.commands.plan_text import not_asked_lines, side_lines, total_line
from spatial_engine.commands.sources import index_sources
from spatialcore.commands import exit_codes
from spatialcore.commands.guard import run_verb
from spatialcore.commands.parse import shard_of
from spatialcore.commands.progress import ProgressBar
from spatialcore.commands.reading import KeyedReading
from spatialcore.commands.text import wrapped
from spatialcore.locks import is_held
from spatialcore.workers import Workers, held

if TYPE_CHECKING:
    from spatial_engine.export import Exported
    from spatial_engine.plan.plan import Plan

_NAMED = 6  # tasks of a reason; `plan` names all
VAL_STRETCH = 0.1  # of the questions about a single scene, which no split of rooms divides


@dataclass(frozen=True)
class Options:
    """Options of `spatialcore generate`.

    Attributes:
        sources: Scenes or clips (a path or `kind:path`), or one index, or one plan.
        output: Folder of the data set; the same command resumes an unfinished one.
        select: What is asked.
        read: How sources are read.
        index: Where sources are indexed; default: OUTPUT/index.
        run: Who does the work.
        device: Where sources are indexed: cpu, or cuda or cuda:N; see `spatialcore index --help`.
        shard: i/n makes only the shards whose number is i modulo n.
        overwrite: Start afresh when the folder holds another data set.
        to: Then export to these formats, below OUTPUT; see `spatialcore export --help`.
        json: Print one JSON object instead of text.
    """

    sources: Annotated[tuple[str, ...], tyro.conf.Positional]
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    select: Selection
    read: KeyedReading
    run: Workers
    index: Path | None = None
    device: str = "cpu"
    shard: str = "0/1"
    overwrite: bool = False
    to: tuple[TargetName, ...] = ()
    json: bool = False


def main(argv: list[str]) -> int:
    """Run the command; returns its exit code."""
    return run_verb("generate", Options, __doc__, argv, _run_held)


def _run_held(options: Options) -> int:
    with held(options.run):
        return _run(options)


def _run(options: Options) -> int:
    from spatial_engine.dataset.folder import check_folder
    from spatial_engine.dataset.make import check_question, generate
    from spatial_engine.plan.outlook import not_asked, shortfall
    from spatial_engine.plan.plan import Plan
    from spatialcore.index.index import Index

    started = time.perf_counter()
    part = shard_of(options.shard)
    check_folder(options.output, overwrite=options.overwrite)
    options.select.check()
    if not (options.overwrite or _named(options, "plan.json")):
        asked = _selection(options)
        check_question(options.output, asked.config(), recipe_of(asked))
    folders: list[Path] = []
    if part[1] > 1:
        _share(options, part)

    def planned() -> Path:
        folders.append(_plan_folder(options, together=part[1] > 1))
        return folders[0]

    rows = made = 0
    lost: list[str] = []
    dropped: list[str] = []
    with ProgressBar() as bar:
        for event in generate(
            planned, options.output, workers=options.run, shard=part, overwrite=options.overwrite
        ):
            rows += event.rows
            made += 0 if event.reused else event.rows
            lost += [event.lost] if event.lost else []
            dropped += event.dropped
            bar.show(f"shard {event.shard}", event.done, event.total)
    plan = Plan.open(folders[0])
    skipped = Index.open(plan.index).skipped
    report = {
        "output": str(options.output),
        "rows": rows,
        "made": made,
        "planned": plan.rows,
        "asked": plan.config.limit,
        "short": shortfall(plan),
        "not_asked": not_asked(plan),
        "skipped": [f"{s.source}/{s.scene}: {s.reason}" for s in skipped] + plan.left_out,
        "lost": lost,
        "dropped": dropped,
        "seconds": round(time.perf_counter() - started, 3),
    }
    lines = [_as_text(report, plan)]
    if options.to and not lost:
        counts = _export(options)
        if counts is None:
            lines.append("  not exported yet: other --shard i/n have not finished")
        else:
            report["export"] = export_json(options.output, counts)
            lost += counts.lost
            lines += as_lines(options.output, counts)
            lines += _next_steps(options)
    print(json.dumps(report) if options.json else "\n".join(lines))
    return exit_codes.SKIPPED if report["skipped"] or lost or dropped else exit_codes.OK


def _export(options: Options) -> Exported | None:
    """Export the finished data set below its folder; None while shards are missing."""
    from spatial_engine.dataset.dataset import Dataset
    from spatial_engine.export import Request

    dataset = Dataset.open(options.output)
    if dataset.summary() is None:
        return None
    scenes = sum(len(source.scenes) for source in dataset.manifest.sources.values())
    whole = scenes == 1 and dataset.splits == ("train",) and options.select.val_stretch is None
    planned = dataset.manifest.config.get("val_stretch")  # sides of the walk are planned apart
    stretch = VAL_STRETCH if whole and not planned else 0.0
    return export_dataset(
        dataset, options.output, Request(options.to), options.run, val_stretch=stretch,
        overwrite=options.overwrite,
    )  # fmt: skip


def _next_steps(options: Options) -> list[str]:
    """What a person would do now."""
    lines = [f"  next: spatialcore view {options.output}"]
    if "llamafactory" in options.to:
        from spatial_engine.export.llamafactory import TRAIN_FILE

        run = options.output / "llamafactory" / TRAIN_FILE
        lines.append(f"        llamafactory-cli train {run}")
    return lines


def _named(options: Options, name: str) -> Path | None:
    """The folder that was named, if it is a plan (`plan.json`) or an index (`index.json`)."""
    first = Path(options.sources[0]) if len(options.sources) == 1 else None
    return first if first is not None and (first / name).is_file() else None


def _share(options: Options, part: tuple[int, int]) -> None:
    """This process's share of indexing and counting, which others that start with it do, too."""
    from spatial_engine.dataset.manifest import MANIFEST_NAME

    if _named(options, "plan.json") or (options.output / MANIFEST_NAME).exists():
        return
    index = _named(options, "index.json")
    if index is None:
        index = _indexed(options, part)
    plan_index(index, options.output / "plan", _selection(options, index), options.run, part)


def _indexed(options: Options, part: tuple[int, int] = (0, 1)) -> Path:
    """Index the sources, or take up their index; --overwrite starts one of our own afresh."""
    from spatialcore.errors import SceneIndexError
    from spatialcore.index.make import remove_index

    folder = options.index or options.output / "index"
    run = partial(
        index_sources, options.sources, folder, options.read, options.select.recipe, options.run,
        device=options.device, part=part, wait=True,
    )  # fmt: skip
    try:
        return run()
    except SceneIndexError:
        if not options.overwrite or options.index is not None:
            raise
        remove_index(folder)
        return run()


def _plan_folder(options: Options, *, together: bool) -> Path:
    """The plan that was named, or one made of the index or sources that were named.

    Processes that started together wait for each other.
    """
    if (first := _named(options, "plan.json")) is not None:
        _refuse(options.select != Selection(), "the plan already says what is asked")
        _refuse_device(options.device)
        return first
    if (first := _named(options, "index.json")) is not None:
        _refuse_device(options.device)
        index = first
    else:
        index = _indexed(options)
    folder, asked = options.output / "plan", _selection(options, index)
    if is_held(options.output, "run"):
        check_same_plan(index, folder, asked)
    elif together:
        plan_together(index, folder, asked, options.run)
    else:
        plan_index(index, folder, asked, options.run, wait=True)
    return folder


def _selection(options: Options, index: Path | None = None) -> Selection:
    """What is asked; where it is not said, an export of a single scene has the end of its walk val.

    A data set that is there already is asked as it was, whether it is exported now or not.
    """
    from spatial_engine.dataset.manifest import MANIFEST_NAME, read_manifest
    from spatial_engine.plan.stretch import can_be_held
    from spatialcore.index.index import Index

    asked = options.select
    if asked.val_stretch is not None:
        return asked
    if not options.overwrite and (options.output / MANIFEST_NAME).exists():
        return replace(asked, val_stretch=read_manifest(options.output).config.get("val_stretch"))
    if not options.to or index is None or asked.val_share or asked.split or asked.benchmark:
        return asked
    wanted = asked.config().scenes
    scenes = [s for s in Index.open(index) if not wanted or s.scene in wanted]
    held = len(scenes) == 1 and can_be_held(scenes[0], VAL_STRETCH)
    return replace(asked, val_stretch=VAL_STRETCH if held else None)


def _refuse(wrong: bool, why: str) -> None:
    if wrong:
        raise ValueError(f"options of the selection are for sources and indexes: {why}")


def _refuse_device(device: str) -> None:
    if device != "cpu":
        raise ValueError("--device is for sources: what was named is indexed already")


def _as_text(report: dict[str, Any], plan: Plan) -> str:
    earlier = report["rows"] - report["made"]
    lines = [
        f"{report['output']}: {report['rows']:,} records"
        + (f" ({earlier:,} from an earlier run)" if earlier else "")
        + f" in {report['seconds']:.1f} s",
        wrapped(f"  planned {total_line(plan)}"),
    ]
    lines += side_lines(plan)
    lines += not_asked_lines(plan, most=_NAMED)
    lines += [wrapped(f"  skipped {line}") for line in report["skipped"]]
    again = "run again to try it once more"
    lost = report["lost"] + report["dropped"]
    lines += [wrapped(f"  not made: {line}; {again}") for line in lost]
    return "\n".join(lines)
