# SPDX-License-Identifier: Apache-2.0
"""What must not change, or must change sign, when a world is turned, mirrored or shown swapped."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from spatial_engine.dataset.compose import make
from spatial_engine.engines import engine_of, engines
from spatial_engine.engines.base import candidates_of
from spatial_engine.engines.candidates import Row
from spatial_engine.engines.context import SceneContext
from spatial_engine.engines.object_movement import OBJECT_MOVEMENT
from spatial_engine.recipe import Recipe, load_recipe
from spatial_engine.records.answers import norm1000
from spatialcore.index.config import IndexConfig
from spatialcore.index.index import Index, build_index
from spatialcore.types import Scene, Track3D
from tests.engines.test_camera_movement import FIRST, SECOND, scene_of
from tests.engines.test_object_movement import context_of as clip_context
from tests.engines.test_object_movement import moving_clip
from tests.index.scenes import MemorySource, room_scene

FAMILIES = ("camera_movement", "depth_perception", "visual_correspondence", "object_perception")
SCENE_TASKS = [e.task for e in engines() if e.task.partition(".")[0] in FAMILIES]
QUARTER = np.array([[0.0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
MIRROR_Y = np.diag([1.0, -1.0, 1.0, 1.0])
MIRROR_X = np.diag([-1.0, 1.0, 1.0, 1.0])


def wide(name: str) -> Recipe:
    """A recipe in which any overlap is asked about, so that a small room has rows."""
    recipe = load_recipe(name)
    guards = dataclasses.replace(
        recipe.guards, object_partial_vertices=0, object_open_share=0.0, object_end_share=0.0
    )
    return dataclasses.replace(recipe, name="custom", band_percent=(0, 100), bin_percent=2,
                               guards=guards)  # fmt: skip


def context_of(scene: Scene, folder: Path, recipe: Recipe) -> SceneContext:
    """A scene in memory, indexed."""
    build_index([MemorySource({scene.id: scene})], folder, config=IndexConfig(recipe.rules))
    opened = Index.open(folder).open_scene(scene.source, scene.id)
    return SceneContext.open(opened, recipe, 0, "train", scene_quota=dict.fromkeys(SCENE_TASKS, 40))


@pytest.fixture(scope="module", params=["default", "multispa-paper"])
def turned(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> list[SceneContext]:
    """A room, and the same room turned by 90 degrees about z."""
    folder, recipe = tmp_path_factory.mktemp("turned"), wide(request.param)
    return [
        context_of(room_scene(world_from_room=turn), folder / str(k), recipe)
        for k, turn in enumerate((None, QUARTER))
    ]


@pytest.mark.parametrize("task", SCENE_TASKS)
def test_a_quarter_turn_of_the_world_changes_no_question(
    turned: list[SceneContext], task: str
) -> None:
    """The same rows are asked, with the same text, marks and options."""
    engine = engine_of(task)
    rows = [candidates_of(engine, context).rows() for context in turned]
    assert set(rows[0]) == set(rows[1])
    assert rows[0]
    for row in rows[0][:40]:
        plain, other = (make(engine, context, row) for context in turned)
        assert (plain.question, plain.answer, plain.options) == (
            other.question, other.answer, other.options,
        )  # fmt: skip
        assert plain.images == other.images


@pytest.mark.parametrize("form", ["coordinate", "choice"])
def test_a_correspondence_reads_backwards_when_swapped(
    turned: list[SceneContext], form: str
) -> None:
    engine = engine_of(f"visual_correspondence.match.{form}")
    context = turned[0]
    for row in candidates_of(engine, context).rows()[:20]:
        there = engine.facts(context, [row])[0].evidence["uv"]
        back = Row(row.frames[::-1], row.items[:1])
        coordinate = engine_of("visual_correspondence.match.coordinate")
        assert coordinate.facts(context, [back])[0].evidence["uv"] == there[::-1]


@pytest.mark.parametrize("side", ["height", "length", "width"])
def test_a_side_is_the_same_from_swapped_frames(turned: list[SceneContext], side: str) -> None:
    engine, context = engine_of(f"object_perception.{side}"), turned[0]
    for row in candidates_of(engine, context).rows():
        swapped = engine.facts(context, [Row(row.frames[::-1], row.items)])[0]
        assert swapped.answer == engine.facts(context, [row])[0].answer


def test_compared_points_may_be_named_in_either_order(turned: list[SceneContext]) -> None:
    """The right point is the nearer one where closer is asked, whichever stands first."""
    context = turned[0]
    engine = engine_of("depth_perception.comparison.coordinate")
    for row in candidates_of(engine, context).rows()[:30]:
        for items in (row.items, row.items[::-1]):
            facts = engine.facts(context, [Row(row.frames, items)])[0]
            points = facts.evidence["points"]
            nearest_first = sorted(points, key=lambda point: point["z_m"])
            wanted = nearest_first[0 if facts.variant == "closer" else 1]
            width, height = context.scene.image_size
            assert facts.answer.number == tuple(norm1000(*wanted["uv"], width, height))


OPPOSITE = {"left": "right", "right": "left"}


@pytest.mark.parametrize("task", [t for t in SCENE_TASKS if t.startswith("camera")])
def test_a_mirror_swaps_left_and_right_and_nothing_else(tmp_path: Path, task: str) -> None:
    """World y and camera x are reflected: the room is symmetric, the answers are the mirrored."""
    mirrored = [MIRROR_Y @ pose @ MIRROR_X for pose in (FIRST, SECOND)]
    plain, other = (
        make(engine_of(task), context_of(scene_of(*poses), tmp_path / str(k), wide("default")),
             Row((0, 1), ()))
        for k, poses in enumerate(((FIRST, SECOND), mirrored))
    )  # fmt: skip
    if plain.answer_text is not None:
        sideways = task.endswith(("x_direction", "yaw_direction"))
        word = plain.answer_text
        assert other.answer_text == (OPPOSITE[word] if sideways else word)
    elif task.endswith("vector"):
        x, y, z = plain.answer_number
        assert other.answer_number == (-x, y, z)
    else:
        assert other.answer_number == plain.answer_number


def moved_world(clip: Track3D, world2_from_world: np.ndarray) -> Track3D:
    """The same clip with its world turned."""
    poses = clip.cam_from_world @ np.linalg.inv(world2_from_world)
    return dataclasses.replace(clip, cam_from_world=poses)


def mirrored_clip(clip: Track3D) -> Track3D:
    """World x and camera x reflected; the optical axis is in the middle of the pixels."""
    K = clip.camera.K.copy()
    K[0, 2] = clip.camera.width - 1 - K[0, 2]
    camera = dataclasses.replace(clip.camera, K=K)
    poses = MIRROR_X @ clip.cam_from_world @ MIRROR_X
    tracks = clip.tracks_cam * [-1.0, 1.0, 1.0]
    return dataclasses.replace(clip, camera=camera, cam_from_world=poses, tracks_cam=tracks)


@pytest.mark.parametrize("engine", OBJECT_MOVEMENT, ids=lambda engine: engine.task)
@pytest.mark.parametrize("recipe", ["default", "multispa-paper"])
def test_movement_in_a_turned_and_in_a_mirrored_world(engine: object, recipe: str) -> None:
    clip = moving_clip()
    turned, mirrored = moved_world(clip, QUARTER), mirrored_clip(clip)
    contexts = [clip_context(c, recipe) for c in (clip, turned, mirrored)]
    rows = [set(candidates_of(engine, c).rows()) for c in contexts]  # type: ignore[arg-type]
    assert rows[0] == rows[1]
    for row in sorted(rows[0])[:30]:
        plain, same, other = (make(engine, c, row) for c in contexts)  # type: ignore[arg-type]
        assert same.answer_number == plain.answer_number
        u, v = plain.facts["uv"]
        assert other.facts["uv"] == pytest.approx([clip.camera.width - 1 - u, v])
        number = list(plain.answer_number)
        if len(number) == 3:
            number[0] = -number[0] + 0.0
        assert list(other.answer_number) == number
