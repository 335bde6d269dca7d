# SPDX-License-Identifier: Apache-2.0
"""Decide which records will be made, exactly, before any is.

Examples:
  spatialcore plan index -o plan                     the recipe's quotas
  spatialcore plan index -o plan --limit 10000 --tasks 'camera_movement.*'
  spatialcore plan index -o plan --benchmark multispa     300 records of each published subtask
  spatialcore plan scans -o plan                     index the scans into plan/index first
  spatialcore plan index -o plan --shard 3/16        one part of an array job
  spatialcore plan index --limit 1000000 --estimate  what can be given, and at what cost
  spatialcore generate plan -o out                   then make them
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import tyro

from spatial_engine.commands.sources import index_sources
from spatialcore.commands import exit_codes
from spatialcore.commands.guard import run_verb
from spatialcore.commands.parse import globs_of, shard_of
from spatialcore.commands.progress import ProgressBar
from spatialcore.commands.reading import KeyedReading
from spatialcore.commands.text import wrapped
from spatialcore.errors import UsageError
from spatialcore.files import scratch
from spatialcore.workers import Workers, held

if TYPE_CHECKING:
    from spatial_engine.plan.plan import Plan, PlanConfig
    from spatial_engine.recipe import Recipe


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
        val_stretch: Of one scene: this share of its questions is val, of the end of its walk, and
            no question shows frames of both sides; `generate --to` takes 0.1, 0 is none.
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
    val_stretch: float | None = None
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
            val_stretch=self.val_stretch or 0.0,
            balance=self.balance,
            benchmark=self.benchmark,
        )


@dataclass(frozen=True)
class Options:
    """Options of `spatialcore plan`.

    Attributes:
        sources: One index, or scenes or clips (a path or `kind:path`), which are indexed first.
        output: Folder of the plan; needed unless --estimate is given.
        estimate: Say also what it costs in time and space; without --output nothing is written.
        select: What is asked.
        read: How sources are read.
        index: Where sources are indexed; default: OUTPUT/index.
        run: Who does the work.
        shard: i/n lists the candidates of the scenes whose position is i modulo n; the last one to
            finish makes the plan.
        json: Print one JSON object instead of text.
    """

    sources: Annotated[tuple[str, ...], tyro.conf.Positional]
    select: Selection
    read: KeyedReading
    run: Workers
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    index: Path | None = None
    estimate: bool = False
    shard: str = "0/1"
    json: bool = False


def main(argv: list[str]) -> int:
    """Run the command; returns its exit code."""
    return run_verb("plan", Options, __doc__, argv, _run_held)


def _run_held(options: Options) -> int:
    with held(options.run):
        return _run(options)


def _run(options: Options) -> int:
    options.select.check()
    if options.output is not None:
        return _planned(options, options.output)
    if not options.estimate:
        raise UsageError("missing --output (or -o), the folder of the plan")
    with scratch("spatialcore-plan") as folder:
        return _planned(options, folder / "plan")


def _planned(options: Options, output: Path) -> int:
    """Plan into a folder and say what came of it."""
    from spatial_engine.commands.plan_text import as_json, as_text, estimate_lines
    from spatial_engine.plan.plan import check_plan_folder

    check_plan_folder(output)
    part = shard_of(options.shard)
    index, skipped = _index(options, output, part)
    plan = plan_index(index, output, options.select, options.run, part)
    if isinstance(plan, Waiting):
        report = {"output": str(output), "counted": plan.counted, "scenes": plan.scenes}
        text = f"{output}: {plan.counted:,} of {plan.scenes:,} scenes are counted"
        print(json.dumps(report) if options.json else f"{text}; other --shard i/n are to come")
        return exit_codes.OK
    head = options.sources[0] if options.output is None else str(output)
    report, lines = as_json(plan), [as_text(plan, head)]
    if options.estimate:
        from spatial_engine.dataset.estimate import estimate

        cost = estimate(plan, options.run.workers)
        report |= {"estimate": cost.to_json()}
        lines += estimate_lines(cost, written=options.output is not None)
    if options.json:
        print(json.dumps({**report, "skipped": skipped + plan.left_out}))
    else:
        print("\n".join([*lines, *(wrapped(f"  skipped {line}") for line in skipped)]))
    return exit_codes.SKIPPED if skipped or plan.left_out else exit_codes.OK


def _index(options: Options, output: Path, part: tuple[int, int]) -> tuple[Path, list[str]]:
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
    index_sources(options.sources, index, options.read, recipe, options.run, part=part)
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


class Waiting(NamedTuple):
    """A plan some of whose scenes other parts have still to count."""

    counted: int
    scenes: int


def plan_index(
    index: Path,
    output: Path,
    select: Selection,
    workers: Workers,
    part: tuple[int, int] = (0, 1),
    *,
    wait: bool = False,
) -> Plan | Waiting:
    """Plan an index and save the plan.

    FolderInUse when another process plans into the folder, unless it is to be waited for.
    With a part, its scenes are counted, and the plan is made when all of them are.
    """
    from spatial_engine.plan.plan import ROWS_NAME, check_plan_folder
    from spatialcore.locks import locked

    check_plan_folder(output)
    if part[1] > 1:
        return _plan_part(index, output, select, workers, part)
    with locked(output, "plan", wait=wait):
        plan = _make(index, output / ROWS_NAME, select, workers)
        plan.save(output)
    return plan


def _plan_part(
    index: Path, output: Path, select: Selection, workers: Workers, part: tuple[int, int]
) -> Plan | Waiting:
    """One part; several processes may run parts of one plan side by side."""
    from spatial_engine.plan.make import asked_hash, count_part
    from spatial_engine.plan.plan import ROWS_NAME, Plan, claim_plan
    from spatialcore.files import explained
    from spatialcore.index.index import Index
    from spatialcore.locks import locked

    claim_plan(output)
    if not (output / "counted").exists() and _is_made(index, output, select):
        return Plan.open(output)  # with more parts than scenes, others were enough
    recipe = recipe_of(select)
    opened, config = Index.open(index), select.config()
    folder = output / "counted" / asked_hash(opened, config, recipe)
    with locked(output, "plan", shared=True, wait=True), ProgressBar() as bar:
        with explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
        counted, scenes = count_part(
            opened, config, folder, part, recipe=recipe, workers=workers, on_progress=bar.show
        )
    if counted < scenes:
        return Waiting(counted, scenes)
    with locked(output, "plan", wait=True):
        if not folder.exists():  # another part was the last one, too, and has made the plan
            return Plan.open(output)
        plan = _make(index, output / ROWS_NAME, select, workers, folder)
        plan.save(output)
        shutil.rmtree(output / "counted")
    return plan


def plan_together(index: Path, output: Path, select: Selection, workers: Workers) -> None:
    """Have the plan of processes that started together: made once, from all their counts."""
    from spatial_engine.plan.make import asked_hash
    from spatial_engine.plan.plan import ROWS_NAME, claim_plan
    from spatialcore.index.index import Index
    from spatialcore.locks import locked

    claim_plan(output)
    with locked(output, "plan", wait=True):
        if _is_made(index, output, select):
            return
        opened, recipe = Index.open(index), recipe_of(select)
        counted = output / "counted" / asked_hash(opened, select.config(), recipe)
        plan = _make(
            index, output / ROWS_NAME, select, workers, counted if counted.exists() else None
        )
        plan.save(output)
        shutil.rmtree(output / "counted", ignore_errors=True)


def _is_made(index: Path, output: Path, select: Selection) -> bool:
    """Whether a folder holds the plan of this question, and no scene was lost from it."""
    from spatial_engine.plan.make import same_question
    from spatial_engine.plan.plan import Plan
    from spatialcore.index.index import Index

    if not (output / "plan.json").exists():
        return False
    plan = Plan.open(output)
    same = same_question(Index.open(index), select.config(), recipe_of(select), plan)
    return same and not plan.left_out


def check_same_plan(index: Path, folder: Path, select: Selection) -> None:
    """Raise FolderInUse unless the plan that is being run from a folder is the one asked for."""
    from spatial_engine.plan.make import same_question
    from spatial_engine.plan.plan import Plan
    from spatialcore.errors import FolderInUse
    from spatialcore.index.index import Index

    plan = Plan.open(folder)
    if not same_question(Index.open(index), select.config(), recipe_of(select), plan):
        raise FolderInUse(
            folder.parent, "is being made by another process, from another plan",
            "wait for it, or choose another -o",
        )  # fmt: skip


def recipe_of(select: Selection) -> Recipe | None:
    """The recipe that is named; None is the index's own."""
    from spatial_engine.recipe import load_recipe

    return None if select.recipe is None else load_recipe(select.recipe)


def _make(
    index: Path,
    rows_file: Path | None,
    select: Selection,
    workers: Workers,
    counted: Path | None = None,
) -> Plan:
    from spatial_engine.plan.make import make_plan
    from spatialcore.index.index import Index

    recipe = recipe_of(select)
    with ProgressBar() as bar:
        return make_plan(
            Index.open(index), select.config(), recipe=recipe, rows_file=rows_file,
            workers=workers, counted=counted, on_progress=bar.show,
        )  # fmt: skip
