# SPDX-License-Identifier: Apache-2.0
"""The engines, one task each. To add a family: a module, its template file, a line in `ENGINES`."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Iterable

from spatial_engine.engines.base import Engine, family_of
from spatial_engine.engines.camera_movement import CAMERA_MOVEMENT
from spatial_engine.engines.depth_perception import DEPTH_PERCEPTION
from spatial_engine.engines.navigation import NAVIGATION
from spatial_engine.engines.numeric_choice import NUMERIC_CHOICE
from spatial_engine.engines.object_movement import OBJECT_MOVEMENT
from spatial_engine.engines.object_perception import OBJECT_PERCEPTION
from spatial_engine.engines.one_image import ONE_IMAGE
from spatial_engine.engines.scene_layout import SCENE_LAYOUT
from spatial_engine.engines.spatial_relation import SPATIAL_RELATION
from spatial_engine.engines.visual_correspondence import VISUAL_CORRESPONDENCE
from spatial_engine.recipe import Recipe

ENGINES: tuple[Engine, ...] = (
    *CAMERA_MOVEMENT,
    *DEPTH_PERCEPTION,
    *OBJECT_MOVEMENT,
    *OBJECT_PERCEPTION,
    *SCENE_LAYOUT,
    *NUMERIC_CHOICE,
    *NAVIGATION,
    *SPATIAL_RELATION,
    *ONE_IMAGE,
    *VISUAL_CORRESPONDENCE,
)

_BY_TASK = {engine.task: engine for engine in ENGINES}


def engine_of(task: str) -> Engine:
    """The engine of a task; ValueError names the nearest task when there is none."""
    engine = _BY_TASK.get(task)
    if engine is None:
        near = difflib.get_close_matches(task, _BY_TASK, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"unknown task {task!r}{hint}")
    return engine


def select_tasks(patterns: Iterable[str], recipe: Recipe) -> tuple[str, ...]:
    """Tasks of the recipe's families that match any of the globs, in the order of `ENGINES`.

    Raises:
        ValueError: A glob matches no task of the recipe.
    """
    families = recipe.families or {family_of(engine.task) for engine in ENGINES}
    tasks = [engine.task for engine in ENGINES if family_of(engine.task) in families]
    globs = list(patterns) or ["*"]
    for glob in globs:
        if not fnmatch.filter(tasks, glob):
            raise ValueError(f"no task of recipe {recipe.name!r} matches {glob!r}")
    return tuple(task for task in tasks if any(fnmatch.fnmatchcase(task, g) for g in globs))
