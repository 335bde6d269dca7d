# SPDX-License-Identifier: Apache-2.0
"""The engines, one task each: those of this package, and those that other packages bring.

A package brings engines by an entry point of the group `spatialcore.engines` that names a tuple of
them (docs/adding-an-engine.md). They are looked up on the first question, not on import. A package
whose engines cannot be loaded is left out with a warning; two engines of one task are an error.
"""

from __future__ import annotations

import difflib
import fnmatch
import logging
import multiprocessing
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

from spatial_engine.records.task_name import TASK_NAME, family_of
from spatialcore.errors import TaskError

if TYPE_CHECKING:
    from spatial_engine.engines.base import Engine
    from spatial_engine.recipe import Recipe
    from spatial_engine.records.record import QARecord

GROUP = "spatialcore.engines"
OURS = "spatial_engine"
# The order in which a plan asks them.
_OWN = (
    "camera_movement:CAMERA_MOVEMENT",
    "depth_perception:DEPTH_PERCEPTION",
    "object_movement:OBJECT_MOVEMENT",
    "object_perception:OBJECT_PERCEPTION",
    "scene_layout:SCENE_LAYOUT",
    "numeric_choice:NUMERIC_CHOICE",
    "route_plan:ROUTES",
    "navigation:NAVIGATION",
    "spatial_relation:SPATIAL_RELATION",
    "one_image:ONE_IMAGE",
    "referred:REFERRED",
    "grounding:GROUNDING",
    "comparisons:COMPARISONS",
    "floor_plan:FLOOR_PLAN",
    "cognitive_map:COGNITIVE_MAP",
    "visual_correspondence:VISUAL_CORRESPONDENCE",
    "camera_object:CAMERA_OBJECT",
    "cross_view:CROSS_VIEW",
    "perspective:PERSPECTIVE",
    "walk_path:WALK_PATH",
    "track_story:TRACK_STORY",
    "revisit:REVISIT",
)
_log = logging.getLogger(__name__)


@cache
def engines() -> tuple[Engine, ...]:
    """Every installed engine: ours, then those of other packages by the names of the packages.

    Raises:
        TaskError: Two engines make one task; the message names their packages.
    """
    package_of: dict[str, str] = {}
    found: list[Engine] = []
    for package, engine in (*_own(), *_brought()):
        other = package_of.get(engine.task)
        if other is not None:
            what = f"packages {other!r} and {package!r} both make the task {engine.task!r}"
            raise TaskError(f"{what}; uninstall one of them")
        package_of[engine.task] = package
        found.append(engine)
    return tuple(found)


def _own() -> Iterator[tuple[str, Engine]]:
    for name in _OWN:
        group = EntryPoint(name.partition(":")[0], f"{__name__}.{name}", GROUP).load()
        yield from ((OURS, engine) for engine in group)


def _brought() -> Iterator[tuple[str, Engine]]:
    """The engines of other packages, each with the name of its package."""
    points = [(p.dist.name if p.dist else p.name, p) for p in entry_points(group=GROUP)]
    for package, point in sorted(points, key=lambda one: (one[0], one[1].name)):
        try:
            group = tuple(point.load())
            for engine in group:
                _check(engine)
        except (Exception, SystemExit) as error:  # a foreign package may raise anything
            # Worker processes look for themselves; one warning is enough.
            if multiprocessing.parent_process() is None:
                why = str(error) or "no reason given"
                text = "the engines of package %r are left out: %s: %s (entry point %s = %s)"
                _log.warning(text, package, type(error).__name__, why, point.name, point.value)
            continue
        yield from ((package, engine) for engine in group)


def _check(engine: object) -> None:
    """Refuse what could not be planned, worded or scored, before anything runs."""
    from spatial_engine.engines.base import METRICS, Engine
    from spatial_engine.records.answers import ANSWER_TYPES, CLOSED, UNITS
    from spatial_engine.records.wording import wording_of

    if not isinstance(engine, Engine):
        raise TypeError(f"{engine!r} is no instance of spatial_engine.engines.base.Engine")
    if not TASK_NAME.fullmatch(engine.task):
        raise ValueError(f"a task is named family.quantity[.form], not {engine.task!r}")
    form = engine.answer
    if form.type not in ANSWER_TYPES or form.unit not in UNITS or engine.metric not in METRICS:
        what = f"{form.type!r} in {form.unit!r} by {engine.metric!r}"
        raise ValueError(f"{engine.task}: no answer can be {what}")
    if (form.type in CLOSED) != bool(engine.words):
        raise ValueError(f"{engine.task}: words and letters have a closed set, numbers none")
    wording_of(engine.task, file=engine.templates)


@cache
def _by_task() -> dict[str, Engine]:
    return {engine.task: engine for engine in engines()}


def engine_of(task: str) -> Engine:
    """The engine of a task; of an imported one, what is known of it.

    Raises:
        TaskError: No installed engine makes it; the nearest task is named.
    """
    engine, known = engine_or_none(task), _by_task()
    if engine is None:
        near = difflib.get_close_matches(task, known, n=1)
        hint = f"did you mean {near[0]!r}? If not, " if near else ""
        raise TaskError(f"unknown task {task!r}; {hint}install the package that brings its engine")
    return engine


def engine_or_none(task: str) -> Engine | None:
    """The engine of a task, or None where the package that brings it is not installed."""
    engine = _by_task().get(task)
    if engine is None:
        from spatial_engine.engines.imported import imported_task

        with suppress(TaskError):
            return imported_task(task)
    return engine


def subject_of(record: QARecord) -> str:
    """What a record is about: two of one subject never share a conversation.

    Raises:
        TaskError: No installed engine makes the record's task.
    """
    return engine_of(record.task).subject.key(record.facts)


def select_tasks(
    patterns: Iterable[str], recipe: Recipe, *, without_rows: bool = False
) -> tuple[str, ...]:
    """The recipe's tasks that match any of the globs, in the order of `engines()`.

    Args:
        patterns: Globs; none = all.
        recipe: Says which tasks there are, and how many rows each is given.
        without_rows: Whether tasks count that its quota gives no row, as in a benchmark, which has
            quotas of its own.

    Raises:
        ValueError: A glob matches no task of the recipe, or only tasks without rows.
    """
    tasks = [e.task for e in engines() if recipe.unpublished or e.published is not None]
    if recipe.families:
        tasks = [task for task in tasks if family_of(task) in recipe.families]
    globs = list(patterns) or ["*"]
    for glob in globs:
        if not fnmatch.filter(tasks, glob):
            raise ValueError(f"no task of recipe {recipe.name!r} matches {glob!r}")
    if not without_rows:
        tasks = [task for task in tasks if recipe.quota.get(task, recipe.quota.get("*", 0))]
    for glob in globs:
        if not fnmatch.filter(tasks, glob):
            raise ValueError(
                f"recipe {recipe.name!r} gives no row to a task that matches {glob!r}: name it in "
                '`quota`, or all by "*"'
            )
    return tuple(task for task in tasks if any(fnmatch.fnmatchcase(task, g) for g in globs))
