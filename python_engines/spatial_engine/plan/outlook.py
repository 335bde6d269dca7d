# SPDX-License-Identifier: Apache-2.0
"""What a plan gives beside what was asked, and in words why it is not more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from spatial_engine.engines import engine_of
from spatial_engine.plan.limit import shares_of
from spatial_engine.plan.open import open_index
from spatial_engine.plan.plan import Plan
from spatial_engine.plan.quotas import Cell, cell_quotas
from spatial_engine.records.task_name import grouped

NONE_OF: Mapping[str, str] = {
    "clip": "there is no clip of tracks",
    "scene": "there is no scan",
    "revisit": "no room was scanned twice",
}
NO_OBJECTS = "no object is labelled"
ALL_ASKED, UNBALANCED = "all_asked", "unbalanced"  # nothing was refused, and all or some are taken
NOTHING = "nothing was found to ask about"
BEYOND_LIMIT = "the limit has no row for them"


def quotas(plan: Plan) -> dict[Cell, int]:
    """Rows that each task, source and split was asked for: of the recipe, or its share of a limit.

    A limit's share is what the task would give if all could; others give what it lacks.
    """
    weights = cell_quotas(plan.tasks, plan.scenes, plan.recipe, plan.config)
    return weights if plan.config.limit is None else shares_of(plan.config.limit, weights)


def rows_by_task(plan: Plan) -> dict[str, int]:
    """Rows that each task gives, in the order of the tasks."""
    rows = dict.fromkeys(plan.tasks, 0)
    for threshold in plan.thresholds:
        rows[threshold.task] += threshold.taken
    return rows


def rows_by_split(plan: Plan) -> dict[str, int]:
    """Rows of each split."""
    rows = Counter[str]()
    for shard in plan.shards:
        rows[shard.split] += shard.rows
    return dict(sorted(rows.items()))


def shortfall(plan: Plan) -> dict[str, int]:
    """Rows that a task could not give of its quota, where any are missing."""
    missing: Counter[str] = Counter()
    for (task, _, _), rows in quotas(plan).items():
        missing[task] += rows
    missing.subtract(rows_by_task(plan))
    return {task: count for task, count in sorted(missing.items()) if count > 0}


def rejections_by_task(plan: Plan) -> dict[str, dict[str, int]]:
    """Rejections by task and reason."""
    out: dict[str, Counter[str]] = {}
    for row in plan.rejections:
        out.setdefault(row.task, Counter())[row.reason] += row.count
    return {task: dict(sorted(counts.items())) for task, counts in sorted(out.items())}


def reasons(plan: Plan, most: int = 3) -> dict[str, str]:
    """Why each task does not give more: its commonest rejections, or what it lacks."""
    counts, missing = rejections_by_task(plan), shortfall(plan)
    out = {}
    for task in plan.tasks:
        common = sorted(counts.get(task, {}).items(), key=lambda item: (-item[1], item[0]))
        told = ", ".join(f"{reason} {count:,}" for reason, count in common[:most])
        out[task] = told or _lacking(plan, task, short=task in missing)
    return out


def _lacking(plan: Plan, task: str, *, short: bool) -> str:
    """What the scenes lack, where no guard refused anything of a task."""
    kind = engine_of(task).kind
    scenes = [scene for scene in plan.scenes if scene.kind == kind]
    if not scenes:
        return NONE_OF[kind]
    mine = [t for t in plan.thresholds if t.task == task and t.available]
    if mine:
        held = sum(t.available for t in mine), sum(t.taken for t in mine)
        return _held_back(*held) if short else ""
    if kind == "clip":
        return ""
    index = open_index(plan.index)
    labelled = any(len(index.open_scene(s.source, s.scene).objects) for s in scenes)
    return NOTHING if labelled else NO_OBJECTS


def _held_back(available: int, taken: int) -> str:
    """Why a task that no guard refused gives no more: all are asked, or balance keeps the rest."""
    if taken < available:
        return f"{UNBALANCED} {available - taken:,}"
    return f"{ALL_ASKED} {available:,}"


def beyond_limit(plan: Plan) -> set[str]:
    """Tasks that could be asked, and that a small limit has no row for."""
    if plan.config.limit is None:
        return set()
    shares = Counter[str]()
    for (task, _, _), rows in quotas(plan).items():
        shares[task] += rows
    taken = rows_by_task(plan)
    there = {threshold.task for threshold in plan.thresholds if threshold.available}
    return {task for task in there if not shares[task] and not taken[task]}


def not_asked(plan: Plan) -> dict[str, list[str]]:
    """Reason -> the tasks that give no row; a whole family is named once, as `family.*`."""
    rows, why, beyond = rows_by_task(plan), reasons(plan), beyond_limit(plan)
    names: dict[str, list[str]] = {}
    for task in (task for task, count in rows.items() if not count):
        reason = BEYOND_LIMIT if task in beyond else why[task] or NOTHING
        names.setdefault(reason, []).append(task)
    return {reason: grouped(tasks, plan.tasks) for reason, tasks in names.items()}
