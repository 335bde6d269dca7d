# SPDX-License-Identifier: Apache-2.0
"""Decide which records will be made, exactly, before any is.

Examples:
  spatialcore plan index -o plan                     the recipe's quotas
  spatialcore plan index -o plan --limit 10000 --tasks 'camera_movement.*'
  spatialcore plan index -o plan --benchmark multispa     300 records of each published subtask
  spatialcore plan scans -o plan                     index the scans into plan/index first
  spatialcore generate plan -o out                   then make them
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from spatial_engine.commands.sources import SourceOptions, index_sources
from spatialcore.commands import exit_codes
from spatialcore.commands.guard import run_verb
from spatialcore.commands.parse import globs_of
from spatialcore.commands.progress import ProgressBar
from spatialcore.errors import UsageError
from spatialcore.workers import Workers

if TYPE_CHECKING:
    from spatial_engine.plan.plan import Plan, PlanConfig


@dataclass(frozen=True)
class Selection:
    """What is asked of an index.

    Attributes:
        recipe: default, multispa-paper or a TOML file; default: the index's own.
        limit: Rows in all, spread over the tasks in proportion to their quotas.
        tasks: Globs of task names, also joined by commas.
        scenes: A file of scene ids, one a line.
        split: Only this split.
        val_share: Share of the spaces, of sources without their own list, that go to val.
        balance: Where the quota of a small bin goes: to the next one, or evenly to all.
        benchmark: multispa: 300 rows of each of its subtasks, of val unless --split says otherwise.
        seed: Seed of every choice.
    """

    recipe: str | None = None
    limit: int | None = None
    tasks: tuple[str, ...] = ()
    scenes: Path | None = None
    split: Literal["train", "val"] | None = None
    val_share: float = 0.0
    balance: Literal["carry", "even"] | None = None
    benchmark: Literal["multispa"] | None = None
    seed: int = 0

    def check(self) -> None:
        """Refuse what cannot be asked before anything is indexed; ValueError says why."""
        from spatial_engine.recipe import load_recipe

        self.config()
        if self.recipe is not None:
            load_recipe(self.recipe)

    def config(self) -> PlanConfig:
        """The plan's configuration; ValueError when a field is out of range."""
        from spatial_engine.engines import engines
        from spatial_engine.plan.plan import PlanConfig

        return PlanConfig(
            seed=self.seed,
            tasks=globs_of(self.tasks, (engine.task for engine in engines())),
            limit=self.limit,
            split=self.split or ("val" if self.benchmark else None),
            scenes=_scenes_of(self.scenes),
            val_share=self.val_share,
            balance=self.balance,
            benchmark=self.benchmark,
        )


@dataclass(frozen=True)
class Options:
    """Options of `spatialcore plan`.

    Attributes:
        sources: One index, or scenes or clips (a path or `kind:path`), which are indexed first.
        output: Folder of the plan.
        select: What is asked.
        read: How sources are read.
        index: Where sources are indexed; default: OUTPUT/index.
        run: Who does the work.
        json: Print one JSON object instead of text.
    """

    sources: Annotated[tuple[str, ...], tyro.conf.Positional]
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    select: Selection
    read: SourceOptions
    run: Workers
    index: Path | None = None
    json: bool = False


def main(argv: list[str]) -> int:
    """Run the command; returns its exit code."""
    return run_verb("plan", Options, __doc__, argv, _run)


def _run(options: Options) -> int:
    from spatial_engine.plan.plan import check_plan_folder, claim_plan
    from spatialcore.index.index import Index

    check_plan_folder(options.output)
    options.select.check()
    first = Path(options.sources[0]) if len(options.sources) == 1 else None
    skipped: list[str] = []
    if first is not None and (first / "index.json").is_file():
        index = first
    else:
        index = options.output / "index" if options.index is None else options.index
        if options.index is None:
            claim_plan(options.output)
        recipe = options.select.recipe
        index_sources(options.sources, index, options.read, recipe, options.run)
        skipped = [f"{s.source}/{s.scene}: {s.reason}" for s in Index.open(index).skipped]
    plan = plan_index(index, options.output, options.select, options.run)
    if options.json:
        print(json.dumps({**as_json(plan), "skipped": skipped + plan.left_out}))
    else:
        lines = [as_text(plan, options.output), *(f"  skipped {line}" for line in skipped)]
        print("\n".join(lines))
    return exit_codes.SKIPPED if skipped or plan.left_out else exit_codes.OK


def _scenes_of(path: Path | None) -> tuple[str, ...]:
    """Scene ids of a text file, one a line; `#` starts a comment."""
    if path is None:
        return ()
    lines = path.read_text(encoding="utf-8").splitlines()
    names = tuple(name for line in lines if (name := line.partition("#")[0].strip()))
    if not names:
        raise UsageError(f"{path}: names no scene")
    return names


def plan_index(index: Path, output: Path, select: Selection, workers: Workers) -> Plan:
    """Plan an index and save the plan; FolderInUse when another process plans into the folder."""
    from spatial_engine.plan.plan import ROWS_NAME, check_plan_folder
    from spatialcore.locks import locked

    check_plan_folder(output)
    with locked(output, "plan"):
        plan = _make(index, output / ROWS_NAME, select, workers)
        plan.save(output)
    return plan


def check_same_plan(index: Path, folder: Path, select: Selection, workers: Workers) -> None:
    """Raise FolderInUse unless the plan that is being run from a folder is the one asked for."""
    from spatial_engine.plan.plan import Plan
    from spatialcore.errors import FolderInUse

    if _make(index, None, select, workers).hash() != Plan.open(folder).hash():
        raise FolderInUse(
            folder.parent, "is being made by another process, from another plan",
            "wait for it, or choose another -o",
        )  # fmt: skip


def _make(index: Path, rows_file: Path | None, select: Selection, workers: Workers) -> Plan:
    from spatial_engine.plan.make import make_plan
    from spatial_engine.recipe import load_recipe
    from spatialcore.index.index import Index

    recipe = None if select.recipe is None else load_recipe(select.recipe)
    with ProgressBar() as bar:
        return make_plan(
            Index.open(index), select.config(), recipe=recipe, rows_file=rows_file,
            workers=workers, on_progress=bar.show,
        )  # fmt: skip


def as_json(plan: Plan) -> dict[str, Any]:
    """What the plan promises."""
    from spatial_engine.dataset.make import rejections_by_task, shortfall

    return {
        "rows": plan.rows,
        "shards": len(plan.shards),
        "tasks": rows_by_task(plan),
        "shortfall": shortfall(plan),
        "rejections": rejections_by_task(plan),
        "skipped": plan.left_out,
        "hash": plan.hash(),
    }


def rows_by_task(plan: Plan) -> dict[str, int]:
    """Rows that each task will give."""
    rows = dict.fromkeys(plan.tasks, 0)
    for threshold in plan.thresholds:
        rows[threshold.task] += threshold.taken
    return rows


def as_text(plan: Plan, output: Path) -> str:
    """The plan as a table: rows, what is missing, and why candidates were refused."""
    from spatial_engine.dataset.make import rejections_by_task, shortfall

    missing, reasons = shortfall(plan), rejections_by_task(plan)
    width = max(map(len, plan.tasks))
    lines = [f"{output}: {plan.rows:,} records in {len(plan.shards)} shards"]
    for task, rows in rows_by_task(plan).items():
        short = f"  {missing[task]:,} short" if task in missing else ""
        common = sorted(reasons.get(task, {}).items(), key=lambda item: -item[1])[:3]
        why = ", ".join(f"{reason} {count:,}" for reason, count in common)
        lines.append(
            f"  {task:<{width}} {rows:>9,}{short}" + (f"  (refused: {why})" if why else "")
        )
    lines += [f"  skipped {line}" for line in plan.left_out]
    return "\n".join(lines)
