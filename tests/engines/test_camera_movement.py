# SPDX-License-Identifier: Apache-2.0
"""Camera movement worked by hand: two cameras in a box room, one step apart."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest

from spatial_engine.dataset.compose import make
from spatial_engine.engines import engine_of
from spatial_engine.engines.base import candidates_of
from spatial_engine.engines.camera_movement import CAMERA_MOVEMENT
from spatial_engine.engines.candidates import Row
from spatial_engine.engines.context import SceneContext
from spatial_engine.recipe import Guards, Recipe, load_recipe
from spatialcore.index.index import Index, build_index
from spatialcore.types import Scene
from tests.index.scenes import MemorySource, look, ray_depth, room_scene
from tests.seeds import fresh_seeds

# Camera 1 looks along +x: its right is -y, its down is -z. Camera 2 stands 0.2 m forward, 0.3 m to
# the right and 0.1 m up, has turned 20 degrees to the left and 10 degrees down.
FIRST = look((-1.5, 0.0, 0.2), 0.0)
SECOND = look((-1.3, -0.3, 0.3), 20.0, -10.0)
WIDE = {"band_percent": (0, 100), "bin_percent": 2, "name": "custom"}


def scene_of(*poses: np.ndarray, up: tuple[float, float, float] | None = (0, 0, 1)) -> Scene:
    return room_scene(
        world_from_cam=list(poses), depth=[ray_depth(pose) for pose in poses],
        images=[f"{k}.jpg" for k in range(len(poses))], world_up=up,
    )  # fmt: skip


def context_of(scene: Scene, folder: Path, recipe: Recipe | None = None) -> SceneContext:
    recipe = dataclasses.replace(recipe or load_recipe(), **WIDE)
    build_index([MemorySource({scene.id: scene})], folder)
    opened = Index.open(folder).open_scene(scene.source, scene.id)
    return SceneContext.open(opened, recipe, 0, "train")


@pytest.fixture
def context(tmp_path: Path) -> SceneContext:
    return context_of(scene_of(FIRST, SECOND), tmp_path / "index")


FORWARD = {
    "x_direction": "right", "y_direction": "up", "z_direction": "forward",
    "yaw_direction": "left", "pitch_direction": "down", "yaw_angle": (20.0,),
    "pitch_angle": (10.0,), "distance": (374.0,), "vector": (300.0, -100.0, 200.0),
    "height_direction": "up",
}  # fmt: skip


@pytest.mark.parametrize("quantity", FORWARD)
def test_worked_by_hand(context: SceneContext, quantity: str) -> None:
    record = make(engine_of(f"camera_movement.{quantity}"), context, Row((0, 1), ()))
    assert (record.answer_text or record.answer_number) == FORWARD[quantity]
    assert record.frames == (0, 1)
    assert f"`{record.typed_answer.span}`" in record.answer


def test_swapping_the_images_inverts_the_answer(context: SceneContext) -> None:
    """Seen from camera 2, camera 1 lies at -R^T t: turn the way back into its axes by hand."""
    opposite = {"yaw_direction": "right", "pitch_direction": "up"}
    for quantity, word in opposite.items():
        record = make(engine_of(f"camera_movement.{quantity}"), context, Row((1, 0), ()))
        assert record.answer_text == word
    way_back = SECOND[:3, :3].T @ (FIRST[:3, 3] - SECOND[:3, 3])
    record = make(engine_of("camera_movement.vector"), context, Row((1, 0), ()))
    assert record.answer_number == tuple(float(round(1000 * x)) for x in way_back)
    for axis, (positive, negative) in enumerate(
        [("right", "left"), ("down", "up"), ("forward", "backward")]
    ):
        record = make(
            engine_of(f"camera_movement.{'xyz'[axis]}_direction"), context, Row((1, 0), ())
        )
        assert record.answer_text == (positive if way_back[axis] > 0 else negative)


def test_paper_truncates_toward_zero(tmp_path: Path) -> None:
    scene = scene_of(FIRST, look((-1.2996, -0.3004, 0.3009), 20.0, -10.9))
    paper = load_recipe("multispa-paper")
    default = context_of(scene, tmp_path / "index")
    truncating = dataclasses.replace(
        default, place=dataclasses.replace(default.place, recipe=paper, _states={})
    )
    for quantity, rounded, truncated in [
        ("pitch_angle", (11.0,), (10.0,)),
        ("vector", (300.0, -101.0, 200.0), (300.0, -100.0, 200.0)),
    ]:
        engine = engine_of(f"camera_movement.{quantity}")
        assert make(engine, default, Row((0, 1), ())).answer_number == rounded
        assert make(engine, truncating, Row((0, 1), ())).answer_number == truncated


def reasons(context: SceneContext, quantity: str) -> dict[str, int]:
    table = candidates_of(engine_of(f"camera_movement.{quantity}"), context)
    return {reason: n for reason, n in table.rejected.items() if n}


def step(x: float = 0.0, y: float = 0.0, z: float = 0.0, yaw: float = 0.0, pitch: float = 0.0):
    return look((-1.5 + x, y, 0.2 + z), yaw, pitch)


@pytest.mark.parametrize(
    ("quantity", "inside", "outside", "reason"),
    [
        ("x_direction", step(y=-0.051), step(y=-0.049), "dead_zone"),
        ("y_direction", step(x=0.02, z=0.051), step(x=0.02, z=0.049), "dead_zone"),
        ("height_direction", step(x=0.02, z=0.051), step(x=0.02, z=0.049), "dead_zone"),
        ("z_direction", step(x=0.051), step(x=0.049), "dead_zone"),
        ("z_direction", step(x=0.101, y=-0.95), step(x=0.09, y=-0.95), "dead_zone"),
        ("yaw_direction", step(yaw=5.1), step(yaw=4.9), "dead_zone"),
        ("yaw_angle", step(yaw=5.1), step(yaw=4.9), "dead_zone"),
        ("pitch_direction", step(pitch=5.1), step(pitch=4.9), "dead_zone"),
        ("pitch_angle", step(pitch=-5.1), step(pitch=-4.9), "dead_zone"),
        ("distance", step(x=0.101), step(x=0.099), "dead_zone"),
        ("vector", step(x=0.101), step(x=0.099), "dead_zone"),
    ],
)
def test_dead_zones_just_inside_and_outside(
    tmp_path: Path, quantity: str, inside: np.ndarray, outside: np.ndarray, reason: str
) -> None:
    asked = context_of(scene_of(FIRST, inside), tmp_path / "asked")
    assert len(candidates_of(engine_of(f"camera_movement.{quantity}"), asked).rows()) == 1
    refused = context_of(scene_of(FIRST, outside), tmp_path / "refused")
    assert candidates_of(engine_of(f"camera_movement.{quantity}"), refused).rows() == []
    assert reasons(refused, quantity) == {reason: 1}


def roll(pose: np.ndarray, degrees: float) -> np.ndarray:
    a = math.radians(degrees)
    turn = np.eye(4)
    turn[:2, :2] = [[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]]
    return pose @ turn


@pytest.mark.parametrize(
    ("quantity", "first", "second", "reason"),
    [
        ("vector", FIRST, roll(step(x=0.3, yaw=10.0), 20.5), "roll"),
        ("yaw_angle", step(pitch=-55.0), step(x=0.3, yaw=15.0, pitch=-61.0), "steep_view"),
    ],
)
def test_roll_and_steep_views(
    tmp_path: Path, quantity: str, first: np.ndarray, second: np.ndarray, reason: str
) -> None:
    context = context_of(scene_of(first, second), tmp_path / "index")
    assert reasons(context, quantity) == {reason: 1}


def test_a_camera_that_looks_down_and_moves_ahead_is_asked_for_its_height_alone(
    tmp_path: Path,
) -> None:
    """By 50 degrees down, 30 cm ahead are 23 cm up in image 1, and 10 cm of sinking take 6 back."""
    steep, ahead = step(pitch=-50.0), step(x=0.3, z=-0.1, pitch=-50.0)
    context = context_of(scene_of(steep, ahead), tmp_path / "index")
    assert reasons(context, "y_direction") == {"gravity_disagrees": 1}
    assert (
        make(engine_of("camera_movement.height_direction"), context, Row((0, 1), ())).answer_text
        == "down"
    )
    published = dataclasses.replace(
        load_recipe(), name="custom", guards=Guards(vertical_agrees=False)
    )
    asked = context_of(scene_of(steep, ahead), tmp_path / "published", published)
    row = candidates_of(engine_of("camera_movement.y_direction"), asked).rows()[0]
    there = make(engine_of("camera_movement.y_direction"), asked, row)
    assert there.answer_text == ("up" if row.frames == (0, 1) else "down")


@pytest.mark.parametrize("seed", fresh_seeds(2))
def test_words_of_up_and_down_on_random_poses(tmp_path: Path, seed: int) -> None:
    """Each is told by its own axis, and the two never contradict each other."""
    rng = np.random.default_rng(seed)
    poses = [
        step(*rng.uniform(-0.3, 0.3, 3), rng.uniform(-9, 9), rng.uniform(-55, 5)) for _ in range(6)
    ]
    context = context_of(scene_of(*poses), tmp_path / "index")
    for axis, down in (("y", 1), ("height", -1)):
        engine = engine_of(f"camera_movement.{axis}_direction")
        for row in candidates_of(engine, context).rows():
            first, second = (poses[frame] for frame in row.frames)
            way = second[:3, 3] - first[:3, 3]
            along = first[:3, 1] @ way if axis == "y" else way[2]
            word = make(engine, context, row).answer_text
            assert word == ("down" if down * along > 0 else "up")
            assert axis == "height" or first[:3, 1] @ way * way[2] <= 0


def test_without_gravity_only_what_needs_none_is_asked(tmp_path: Path) -> None:
    context = context_of(scene_of(FIRST, SECOND, up=None), tmp_path / "index")
    asked = {e.task for e in CAMERA_MOVEMENT if candidates_of(e, context).rows()}
    assert "camera_movement.distance" in asked
    assert "camera_movement.z_direction" in asked
    assert not any("yaw" in task or "pitch" in task for task in asked)
    assert set(reasons(context, "yaw_angle")) == {"up_unknown"}


def test_a_turned_world_gives_the_same_answers(tmp_path: Path) -> None:
    """The same room lying on its side, with its up direction named."""
    lying = np.eye(4)
    lying[:3, :3] = [[1, 0, 0], [0, 0, 1], [0, -1, 0]]
    plain = context_of(scene_of(FIRST, SECOND), tmp_path / "plain")
    scene = room_scene(
        world_from_room=lying, up=(0.0, 1.0, 0.0), world_from_cam=[lying @ FIRST, lying @ SECOND],
        depth=[ray_depth(FIRST), ray_depth(SECOND)], images=["0.jpg", "1.jpg"],
    )  # fmt: skip
    turned = context_of(scene, tmp_path / "turned")
    for engine in CAMERA_MOVEMENT:
        a, b = (make(engine, c, Row((0, 1), ())) for c in (plain, turned))
        assert (a.answer_text, a.answer_number) == (b.answer_text, b.answer_number)


def test_guards_of_the_paper_are_off() -> None:
    guards = load_recipe("multispa-paper").guards
    assert isinstance(guards, Guards)
    assert (guards.min_component_m, guards.min_angle_deg, guards.min_distance_m) == (0, 0, 0)
