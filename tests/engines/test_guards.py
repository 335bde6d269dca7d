# SPDX-License-Identifier: Apache-2.0
"""Every guard, just inside and just outside: by the engine, and by the float64 reference.

A row is chosen whose number is known. With the guard a hair on its side of the number the row is
asked; with the guard a hair on the other side it is not, and the reference names the reason.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

from spatial_engine.engines import engine_of
from spatial_engine.engines.candidates import Row
from spatial_engine.engines.context import SceneContext
from spatial_engine.recipe import Recipe, load_recipe
from spatial_engine.reference.scene import ReferenceScene
from spatialcore.index import Index, IndexConfig, build_index
from spatialcore.io.open import open_sources
from spatialcore.types import Source

HAIR = 1e-6
Number = Callable[[dict[str, Any]], float]


class Case(NamedTuple):
    """A guard of a task.

    Attributes:
        task: The task.
        guard: Field of `Guards`.
        number: What is compared with it, from a row's evidence.
        least: Whether the number has to reach the guard; else it may not exceed it.
        reason: Why the row is refused.
        loose: Other guards that are switched off, so that this one decides.
    """

    task: str
    guard: str
    number: Number
    least: bool
    reason: str
    loose: Mapping[str, float] = MappingProxyType({})


def between(evidence: dict[str, Any]) -> float:
    """Pixels between two points, as a share of the sample images' width."""
    return math.dist(*(point["uv"] for point in evidence["points"])) / 648


def depths(evidence: dict[str, Any]) -> list[float]:
    return [point["z_m"] for point in evidence["points"]]


def units(evidence: dict[str, Any]) -> float:
    (x1, y1), (x2, y2) = evidence["norm1000"]
    return max(abs(x1 - x2), abs(y1 - y2))


def nearest_mark(evidence: dict[str, Any]) -> float:
    marks = [evidence["uv"][1], *evidence["distractor_uv"]]
    return min(math.dist(a, b) for k, a in enumerate(marks) for b in marks[:k]) / 648


def component(axis: int) -> Number:
    return lambda evidence: abs(evidence["translation_m"][axis])


CASES = [
    *(
        Case(f"camera_movement.{name}_direction", "min_component_m", component(axis), True,
             "dead_zone", {"min_component_share": 0.0})
        for axis, name in enumerate("xyz")
    ),
    Case("camera_movement.x_direction", "min_component_share",
         lambda e: abs(e["translation_m"][0]) / e["distance_m"], True, "dead_zone",
         {"min_component_m": 0.0}),
    Case("camera_movement.x_direction", "max_roll_change_deg", lambda e: abs(e["roll_change_deg"]),
         False, "roll"),
    Case("camera_movement.yaw_direction", "min_angle_deg", lambda e: abs(e["dyaw_deg"]), True,
         "dead_zone"),
    Case("camera_movement.yaw_angle", "max_yaw_turn_deg", lambda e: abs(e["dyaw_deg"]), False,
         "half_turn"),
    Case("camera_movement.pitch_angle", "min_angle_deg", lambda e: abs(e["dpitch_deg"]), True,
         "dead_zone"),
    Case("camera_movement.distance", "min_distance_m", lambda e: e["distance_m"], True,
         "dead_zone"),
    Case("camera_movement.vector", "min_distance_m", lambda e: e["distance_m"], True, "dead_zone"),
    Case("depth_perception.comparison.marked", "min_depth_gap_m",
         lambda e: abs(depths(e)[0] - depths(e)[1]), True, "depth_gap",
         {"min_depth_gap_share": 0.0}),
    Case("depth_perception.comparison.marked", "min_depth_gap_share",
         lambda e: abs(depths(e)[0] - depths(e)[1]) / max(depths(e)), True, "depth_gap",
         {"min_depth_gap_m": 0.0}),
    Case("depth_perception.comparison.marked", "min_pixel_separation", between, True,
         "points_too_close"),
    Case("depth_perception.comparison.coordinate", "min_coordinate_gap", units, True,
         "coordinates_equal", {"min_pixel_separation": 0.0}),
    Case("visual_correspondence.match.choice", "distractor_pixel_share", nearest_mark, True,
         "distractor_short"),
    Case("object_perception.height", "object_min_side_m", lambda e: e["side_m"], True,
         "object_small"),
    Case("object_perception.width", "object_partial_vertices", lambda e: e["vertex_count"], True,
         "object_partial"),
    Case("scene_layout.relative_direction_easy", "direction_border_deg",
         lambda e: e["border_deg"], True, "direction_border"),
    Case("scene_layout.relative_direction_hard", "direction_border_deg",
         lambda e: e["border_deg"], True, "direction_border"),
    Case("scene_layout.route_plan", "turn_border_deg",
         lambda e: min(abs(abs(a) - b) for a in e["angles_deg"] for b in (45, 135)), True,
         "direction_border"),
    Case("object_movement.distance.marked", "moving_min_m", lambda e: e["distance_m"], True,
         "track_still"),
    Case("object_movement.vector.coordinate", "moving_min_m", lambda e: e["distance_m"], True,
         "track_still"),
]  # fmt: skip


class Scenes(NamedTuple):
    """An index of rooms and clips, their sources, and the scene that serves each task."""

    index: Index
    sources: dict[str, Source]
    serving: dict[str, str]

    def rows(self, task: str, recipe: Recipe) -> list[Row]:
        """The candidates of the first scene of the task's kind that has any."""
        wanted = engine_of(task).kind == "clip"
        for scene in (s for s in self.index if s.is_clip == wanted):
            self.serving[task] = scene.scene
            if rows := engine_of(task).candidates(self.context(task, recipe)).rows():
                return rows
        raise AssertionError(f"no scene of the sample has candidates for {task}")

    def context(self, task: str, recipe: Recipe) -> SceneContext:
        """The scene that serves the task."""
        wanted = engine_of(task).kind == "clip"
        scene = next(s for s in self.index if s.scene == self.serving[task])
        source = self.sources[scene.source] if wanted else None
        return SceneContext.open(scene, recipe, 0, "train", scene_quota={task: 40}, source=source)

    def rejection(self, task: str, recipe: Recipe, row: Row) -> str:
        """Why the reference refuses a row, or ""."""
        context = self.context(task, recipe)
        source = self.sources[context.scene.source]
        opened = source.open(context.scene.scene)
        reference = ReferenceScene(opened, recipe, 0, "train")
        try:
            return engine_of(task).recompute(reference, row)[1]
        except ValueError as error:  # the layout's rows have no facts without an answer
            return re.sub(r".*has no answer \((\w+)\)", r"\1", str(error))


@pytest.fixture(scope="module")
def scenes(sample_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Scenes:
    sources = [s for name in ("scannet", "tapvid3d") for s in open_sources(sample_dir / name)]
    build_index(sources, tmp_path_factory.mktemp("guards") / "idx", IndexConfig())
    path = next(tmp_path_factory.getbasetemp().glob("guards*/idx"))
    return Scenes(Index.open(path), {source.key: source for source in sources}, {})


def with_guards(**changed: float) -> Recipe:
    recipe = load_recipe()
    guards = dataclasses.replace(recipe.guards, **changed)
    return dataclasses.replace(recipe, guards=guards, name="custom")


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.task}-{case.guard}")
def test_just_inside_and_just_outside(scenes: Scenes, case: Case) -> None:
    engine, recipe = engine_of(case.task), with_guards(**case.loose)
    rows = scenes.rows(case.task, recipe)
    context = scenes.context(case.task, recipe)
    row = rows[len(rows) // 2]
    number = case.number(dict(engine.facts(context, [row])[0].evidence))
    assert number > 0
    side = number * HAIR if case.least else -number * HAIR
    whole = isinstance(getattr(recipe.guards, case.guard), int)
    inside = int(number) if whole else number - side
    outside = int(number) + 1 if whole else number + side
    for guard, asked in ((inside, True), (outside, False)):
        changed = with_guards(**{**case.loose, case.guard: guard})
        assert (row in engine.candidates(scenes.context(case.task, changed)).rows()) == asked
        assert scenes.rejection(case.task, changed, row) == ("" if asked else case.reason)
