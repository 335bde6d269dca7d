# SPDX-License-Identifier: Apache-2.0
"""Making a plan: quotas for each task, source and split, two passes over candidates, shards."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from spatial_engine.engines import engine_of, select_tasks
from spatial_engine.plan.contents import Cells
from spatial_engine.plan.limit import Allocated, shares_of
from spatial_engine.plan.open import index_hash
from spatial_engine.plan.passes import (
    Counted,
    SceneJob,
    count_candidates,
    keep_offer,
    offered,
    pick_hashes,
    picked_candidates,
)
from spatial_engine.plan.plan import (
    Plan,
    PlanConfig,
    PlannedScene,
    Rejected,
)
from spatial_engine.plan.quotas import Cell, cell_quotas, in_benchmark, scene_count
from spatial_engine.plan.rows import write_plan_rows
from spatial_engine.plan.scene_passes import (
    Event,
    Passes,
    given_by_cell,
    limited,
    rejected_scene,
)
from spatial_engine.plan.shards import shards_of
from spatial_engine.plan.stretch import sides_of
from spatial_engine.plan.thresholds import Offer, find_thresholds, taken_hashes
from spatial_engine.recipe import Recipe, recipe_for
from spatial_engine.records.wording import wording_hash
from spatialcore.draws import draw
from spatialcore.errors import PlanError
from spatialcore.files import scratch
from spatialcore.index.index import Index
from spatialcore.workers import Workers, held


def make_plan(
    index: Index,
    config: PlanConfig,
    *,
    recipe: Recipe | None = None,
    rows_file: Path | None = None,
    workers: int | Workers | None = None,
    counted: Path | None = None,
    on_progress: Event | None = None,
) -> Plan:
    """Plan the records of an index.

    Args:
        index: The index.
        config: What is asked.
        recipe: None is the built-in one of the index's rules; another must have the same rules.
        rows_file: Where the rows that the plan takes are written down, so that making them does not
            list the candidates again; None writes nothing. Passes on Ray leave it out.
        workers: Processes, or who else lists the candidates; None is one for each processor. A
            scene whose worker dies twice gives no rows, and is among the rejections.
        counted: A folder that `count_part` left: its scenes are not listed again.
        on_progress: Called with (stage, scenes done, scenes in all).

    Raises:
        PlanError: The recipe does not fit the index, a space is on both sides of the split, a scene
            is unknown, or no record can be made; the message then holds the reasons.
    """
    workers = Workers.of(workers)
    local = workers.executor == "local"
    plan, weights = _asked(index, config, _fitting(index, recipe))
    scenes = plan.scenes
    with scratch("spatialcore-plan") as own, held(workers):
        folder = own if counted is None else counted
        # A piece on another machine does not see this folder and lists candidates again.
        jobs = _jobs(plan, folder if local else None)
        passes = Passes(jobs, workers, on_progress, folder=counted)
        passes.count(count_candidates)
        while True:
            plan, quota = limited(plan, weights, passes, count_candidates)
            given = given_by_cell(plan, quota, passes.counted)
            allocated = {cell: given[cell].allocate(rows) for cell, rows in quota.items()}
            takes = {cell: Cells(p.have.contents, p.taken) for cell, p in allocated.items()}
            with closing(passes.run(partial(pick_hashes, takes=takes), "choose")) as picked:
                for number, offer in picked:
                    if not local:
                        keep_offer(_offer_path(folder, number), offer)
            if not passes.without_lost():
                break
        offers = partial(_offers, passes, folder)
        plan = replace(
            plan, thresholds=find_thresholds(allocated, scenes, offers),
            rejections=_rejections(scenes, passes.counted, allocated),
        )  # fmt: skip
        plan = replace(plan, shards=shards_of(scenes, partial(taken_hashes, plan, offers=offers)))
        if not plan.rows:
            raise PlanError(f"no record can be made. {reason_text(plan)}")
        if rows_file is not None and local:
            job_of = dict(zip(scenes, passes.jobs, strict=True))
            write_plan_rows(rows_file, plan, lambda scene: picked_candidates(job_of[scene]))
            plan = replace(plan, rows_file=rows_file)
    return plan


def count_part(
    index: Index,
    config: PlanConfig,
    folder: Path,
    part: tuple[int, int],
    *,
    recipe: Recipe | None = None,
    workers: int | Workers | None = None,
    on_progress: Event | None = None,
) -> tuple[int, int]:
    """List the candidates of every n-th scene of a plan, and leave them for `make_plan`.

    Args:
        index: The index.
        config: What is asked.
        folder: Where they are left, of this index and question alone.
        part: (i, n): only scenes whose position is i modulo n.
        recipe: As in `make_plan`.
        workers: As in `make_plan`. On Ray, whose machines may not see the folder, counts alone are
            left, and candidates are listed again.
        on_progress: Called with (stage, scenes done, scenes in all).

    Returns:
        Scenes that are counted so far, by all parts; and scenes in all.
    """
    workers = Workers.of(workers)
    plan, _ = _asked(index, config, _fitting(index, recipe))
    jobs = _jobs(plan, folder if workers.executor == "local" else None)
    passes = Passes(jobs, workers, on_progress, folder=folder)
    return passes.count_part(count_candidates, part), len(jobs)


def asked_hash(index: Index, config: PlanConfig, recipe: Recipe | None) -> str:
    """What is asked, as a hash: equal ones give equal plans."""
    return _asked(index, config, _fitting(index, recipe))[0].hash()


def same_question(index: Index, config: PlanConfig, recipe: Recipe | None, plan: Plan) -> bool:
    """Whether a plan is that of an index and a question; equal questions give equal plans."""
    asked, _ = _asked(index, config, _fitting(index, recipe))
    names = ("config", "recipe", "tasks", "scenes", "wording")
    return all(getattr(asked, name) == getattr(plan, name) for name in names)


def _fitting(index: Index, recipe: Recipe | None) -> Recipe:
    """The recipe of the plan; PlanError when the index was made for another."""
    if recipe is None:
        return recipe_for(index.rules)
    if recipe.rules.hash() != index.rules.hash():
        raise PlanError(
            f"recipe {recipe.name!r} does not fit the index, which was made with the rules "
            f"{index.rules.name!r}: {index.rules.difference(recipe.rules)}; index again with "
            f"--recipe {recipe.name}"
        )
    return recipe


def _asked(index: Index, config: PlanConfig, recipe: Recipe) -> tuple[Plan, dict[Cell, int]]:
    """A plan that says what is asked, and takes nothing yet; and the recipe's rows of each cell."""
    tasks = select_tasks(config.tasks, recipe, without_rows=config.benchmark is not None)
    if config.benchmark is not None:
        tasks = tuple(task for task in tasks if in_benchmark(task))
    scenes = _planned_scenes(index, config)
    weights = cell_quotas(tasks, scenes, recipe, config)
    quota = weights if config.limit is None else shares_of(config.limit, weights)
    plan = Plan(
        index.path.resolve(), config, recipe, tasks, _sources(index), scenes,
        {cell: total // max(1, scene_count(scenes, cell)) + 1 for cell, total in quota.items()},
        thresholds=(), rejections=(), shards=(),
        wording=wording_hash(engine_of(task).templates for task in tasks),
    )  # fmt: skip
    return plan, weights


def _sources(index: Index) -> dict[str, dict[str, Any]]:
    return {
        key: {"kind": source.kind, "root": str(source.root), "options": dict(source.options)}
        for key, source in index.sources.items()
    }


def _jobs(plan: Plan, folder: Path | None) -> list[SceneJob]:
    """A job for each scene; candidates wait in the folder.

    With a limit, tasks that list them within the quota of a scene come in a second round, when it
    is known how many rows the others leave to them.
    """
    second = {
        task: 1 for task in plan.tasks
        if plan.config.limit is not None and engine_of(task).within_quota
    }  # fmt: skip
    return [
        SceneJob(
            plan.index, plan.recipe, plan.config.seed, _tasks_for(plan.tasks, scene), scene,
            plan.quotas_of(scene), None if folder is None else folder / f"{k}.scene", second,
        )
        for k, scene in enumerate(plan.scenes)
    ]  # fmt: skip


def _rejections(
    scenes: tuple[PlannedScene, ...],
    counted: Sequence[Counted],
    allocated: Mapping[Cell, Allocated],
) -> tuple[Rejected, ...]:
    """What the scenes refused, and of whole sources the rows that a stratum may not give."""
    capped = [
        Rejected(task, source, "", "stratum_cap", found.capped)
        for (task, source, _), found in sorted(allocated.items())
        if found.capped
    ]
    refused = [
        Rejected(*row)
        for scene, result in zip(scenes, counted, strict=True)
        for row in rejected_scene(scene, result)
    ]
    return (*refused, *capped)


def reason_text(plan: Plan) -> str:
    """The rejections by reason as one line, for messages."""
    counts = plan.histogram()
    if not counts:
        return "There was nothing to ask about: no pair of frames, no point, no object."
    return "Rejected: " + ", ".join(f"{reason} {count}" for reason, count in counts.items())


def _planned_scenes(index: Index, config: PlanConfig) -> tuple[PlannedScene, ...]:
    wanted = set(config.scenes)
    unknown = wanted - {scene for _, scene in index.scenes()}
    if unknown:
        raise PlanError(f"scene {sorted(unknown)[0]!r} is not in the index")
    scenes, sides = [], defaultdict(set)
    bound = config.val_share * 2.0**64
    for scene in index:
        split = scene.split
        if split is None:
            side = draw(config.seed, "split", scene.source, scene.space, [], "split")
            split = "val" if side < bound else "train"
        sides[scene.source, scene.space].add(split)
        if not wanted or scene.scene in wanted:
            scenes.append(
                PlannedScene(
                    scene.source, scene.scene, scene.space, split, scene.kind, index_hash(scene)
                )
            )  # fmt: skip
    for (source, space), splits in sorted(sides.items()):
        if len(splits) > 1:
            raise PlanError(f"space {source}/{space} is in train and in val: that would leak")
    if config.val_stretch:
        scenes = sides_of(index, scenes, config.val_stretch)
    scenes = [scene for scene in scenes if config.split in (None, scene.split)]
    if not scenes and config.split == "val":
        raise PlanError("no scene is in val; --val-share 0.1 sends a tenth of the spaces there")
    if not scenes:
        raise PlanError("no scene is selected")
    return tuple(sorted(scenes, key=lambda scene: scene[:4]))


def _tasks_for(tasks: tuple[str, ...], scene: PlannedScene) -> tuple[str, ...]:
    return tuple(task for task in tasks if engine_of(task).kind == scene.kind)


def _offer_path(folder: Path, number: int) -> Path:
    """Where what a scene offers waits, if it came from another machine."""
    return folder / f"{number}.picked"


def _offers(
    passes: Passes, folder: Path, number: int, tasks: Sequence[str]
) -> Iterator[tuple[str, Offer]]:
    """What a scene that is not lost offers of some tasks."""
    if number not in passes.left_out:
        yield from offered(passes.jobs[number].picked or _offer_path(folder, number), tasks)
