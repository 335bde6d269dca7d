# SPDX-License-Identifier: Apache-2.0
"""Decide which records will be made, exactly, before any is.

Examples:
  spatialcore plan index -o plan                     the recipe's quotas
  spatialcore plan index -o plan --limit 10000 --tasks 'camera_movement.*'
  spatialcore plan index -o plan --benchmark multispa     300 records of each published subtask
  spatialcore plan scans -o plan                     index the scans into plan/index first
  spatialcore plan index --limit 1000000 --estimate  what can be given, and at what cost
  spatialcore generate plan -o out                   then make them
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Literal

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
        limit: Rows in all, over the tasks that can be asked: what one cannot give, others do.
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
        output: Folder of the plan; needed unless --estimate is given.
        estimate: Write nothing: say what can be given, and what it costs in time and space.
        select: What is asked.
        read: How sources are read.
        index: Where sources are indexed; default: OUTPUT/index.
        run: Who does the work.
        json: Print one JSON object instead of text.
    """

    sources: Annotated[tuple[str, ...], tyro.conf.Positional]
    select: Selection
    read: SourceOptions
    run: Workers
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    index: Path | None = None
    estimate: bool = False
    json: bool = False


def main(argv: list[str]) -> int:
    """Run the command; returns its exit code."""
    return run_verb("plan", Options, __doc__, argv, _run)


def _run(options: Options) -> int:
    options.select.check()
    if options.estimate:
        if options.output is not None:
            raise UsageError("--estimate writes nothing: leave out -o")
        with TemporaryDirectory(prefix="spatialcore-plan-") as folder:
            return _planned(options, Path(folder) / "plan")
    if options.output is None:
        raise UsageError("missing --output (or -o), the folder of the plan")
    return _planned(options, options.output)


def _planned(options: Options, output: Path) -> int:
    """Plan into a folder and say what came of it."""
    from spatial_engine.commands.plan_text import as_json, as_text, estimate_lines
    from spatial_engine.plan.plan import check_plan_folder

    check_plan_folder(output)
    index, skipped = _index(options, output)
    plan = plan_index(index, output, options.select, options.run)
    head = options.sources[0] if options.estimate else str(output)
    report, lines = as_json(plan), [as_text(plan, head)]
    if options.estimate:
        from spatial_engine.dataset.estimate import estimate

        cost = estimate(plan, options.run.workers)
        report |= {"estimate": cost.to_json()}
        lines += estimate_lines(cost)
    if options.json:
        print(json.dumps({**report, "skipped": skipped + plan.left_out}))
    else:
        print("\n".join([*lines, *(f"  skipped {line}" for line in skipped)]))
    return exit_codes.SKIPPED if skipped or plan.left_out else exit_codes.OK


def _index(options: Options, output: Path) -> tuple[Path, list[str]]:
    """The index that is named, or that of the sources; and the scenes that were skipped."""
    from spatial_engine.plan.plan import claim_plan
    from spatialcore.index.index import Index

    first = Path(options.sources[0]) if len(options.sources) == 1 else None
    if first is not None and (first / "index.json").is_file():
        return first, []
    index = output / "index" if options.index is None else options.index
    if options.index is None:
        claim_plan(output)
    recipe = options.select.recipe
    index_sources(options.sources, index, options.read, recipe, options.run)
    return index, [f"{s.source}/{s.scene}: {s.reason}" for s in Index.open(index).skipped]


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
