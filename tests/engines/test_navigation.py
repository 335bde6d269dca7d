# SPDX-License-Identifier: Apache-2.0
"""Walks: by hand, in the mirror, on turned and shifted floors, and scored by walking them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from spatial_engine.dataset.compose import make
from spatial_engine.engines.context import SceneContext
from spatial_engine.engines.layout_scene import LayoutScene
from spatial_engine.engines.navigation import NavigationInstructions, RoutePlan, _longer, _route
from spatial_engine.engines.navigation_scene import NavigationScene, navigation_scene
from spatial_engine.records.answers import parse_answer, steps
from spatial_engine.records.record import check_record
from spatial_engine.scoring.multispa import score
from spatialcore.relations.free_space import FreeSpace, free_space, passable_runs, space_of_runs
from spatialcore.relations.scene_object import SceneObject
from spatialcore.relations.verdict import Answer, Rejection
from tests.engines.test_scene_layout import scene
from tests.relations.rooms import block, floor_points, room_points, turn_z, wall_points
from tests.relations.rooms import moved as moved_by

ROUTE, WALK = RoutePlan(), NavigationInstructions()
MIRROR = np.diag([-1.0, 1.0, 1.0, 1.0])
OPPOSITE = {"left": "right", "right": "left", "back": "back"}


def layout_of(world: np.ndarray, walls: np.ndarray) -> LayoutScene:
    """A room of 6 x 5 m with five small unique things; its places lie off the grid's lines."""
    corners = [(0.01, 0.02), (6.02, 0.01), (6.03, 5.02), (0.02, 5.01)]
    things = [
        block(1, "bin", (1.03, 1.12, 0.3), (0.31, 0.33, 0.6)),
        block(2, "stool", (4.93, 1.17, 0.3), (0.33, 0.31, 0.6)),
        block(3, "plant", (3.02, 2.58, 0.3), (0.31, 0.31, 0.6)),
        block(4, "lamp", (1.08, 3.93, 0.3), (0.33, 0.33, 0.6)),
        block(5, "crate", (4.87, 4.04, 0.3), (0.31, 0.33, 0.6)),
    ]
    clouds = [floor_points(6.02, 5.01), room_points(corners), walls, *(i.points for i in things)]
    moved = [moved_by(cloud, world) for cloud in clouds]
    objects = tuple(
        SceneObject(i.object_id, i.category, points=moved_by(i.points, world)) for i in things
    )
    base = scene()
    counts = np.full((len(objects), len(base.frames)), 200)
    points = np.concatenate(moved).astype(np.float32)
    return LayoutScene(base.place, base.recipe, base.frames, None, objects, counts, points)


def context_of(world: np.ndarray | None = None, walls: np.ndarray | None = None) -> SceneContext:
    """The room moved by a transform, with inner walls."""
    layout = layout_of(
        np.eye(4) if world is None else world, np.zeros((0, 3)) if walls is None else walls
    )
    context = SceneContext(None, layout.place)  # type: ignore[arg-type]  # no index is read
    space = free_space(layout.points)
    context._cache["scene_layout"] = layout
    context._cache["navigation_scene"] = NavigationScene(layout, space)
    return context


@pytest.fixture(scope="module")
def context() -> SceneContext:
    return context_of()


def rows_of(engine, context):
    return {row.items: row for row in engine.candidates(context).rows()}


def test_a_turn_by_hand(context: SceneContext) -> None:
    """From the stool (4.9, 1.2) west to the bin (1.0, 1.1), then north to the lamp (1.1, 3.9)."""
    found = rows_of(ROUTE, context)
    facts = ROUTE.facts(context, [found[2, 1, 4]])[0]
    assert facts.evidence["turns"] == ["right"]
    assert facts.evidence["angles_deg"][0] == pytest.approx(-90, abs=15)
    record = make(ROUTE, context, found[2, 1, 4])
    check_record(record)
    assert record.options["ABCD".index(record.answer_text)] == "turn right"
    assert set(record.options) == {"turn left", "turn right", "turn back"}
    assert "go forward until the bin; make turn 1; go forward until the lamp" in record.question


def test_longer_walks_have_four_options(context: SceneContext) -> None:
    longer = [row for items, row in rows_of(ROUTE, context).items() if len(items) > 3]
    assert longer
    for row in longer[:20]:
        record = make(ROUTE, context, row)
        assert len(set(record.options)) == 4
        assert not any("straight" in option for option in record.options)
        truth = record.options["ABCD".index(record.answer_text)]
        assert truth == ", then ".join(f"turn {t}" for t in record.facts["turns"])


def test_a_mirrored_room_swaps_left_and_right(context: SceneContext) -> None:
    other = context_of(MIRROR)
    ours, theirs = rows_of(ROUTE, context), rows_of(ROUTE, other)
    common = ours.keys() & theirs.keys()
    assert len(common) >= 10
    for items in common:
        turns = ROUTE.facts(context, [ours[items]])[0].evidence["turns"]
        mirrored = ROUTE.facts(other, [theirs[items]])[0].evidence["turns"]
        assert mirrored == [OPPOSITE[turn] for turn in turns]


@pytest.mark.parametrize("world", [turn_z(90), turn_z(180, (3.0, -2.0, 0.5))])
def test_a_moved_world_has_the_same_turns(context: SceneContext, world: np.ndarray) -> None:
    other = context_of(world)
    ours, theirs = rows_of(ROUTE, context), rows_of(ROUTE, other)
    common = ours.keys() & theirs.keys()
    assert len(common) >= 10
    for items in common:
        a, b = (ROUTE.facts(c, [r[items]])[0].evidence["turns"] for c, r in
                ((context, ours), (other, theirs)))  # fmt: skip
        assert a == b


def test_instructions_are_read_back_and_arrive(context: SceneContext) -> None:
    found = rows_of(WALK, context)
    assert len(found) > 20
    for row in list(found.values())[:30]:
        record = make(WALK, context, row)
        check_record(record)
        read = parse_answer(record.answer, "steps", "steps").answer
        assert read == record.typed_answer
        assert all(step.angle_deg is not None for step in read.steps)
        assert score(record, record.answer).value == 1.0


def test_a_wrong_turn_or_length_does_not_arrive(context: SceneContext) -> None:
    wrong_turns = wrong_lengths = 0
    for row in list(rows_of(WALK, context).values())[:30]:
        record = make(WALK, context, row)
        truth = record.typed_answer.steps
        turned = [dataclasses.replace(truth[0], turn="left", angle_deg=truth[0].angle_deg + 90)]
        longer = [dataclasses.replace(truth[0], distance_m=truth[0].distance_m + 1.5)]
        for change, counted in ((turned, "turn"), (longer, "length")):
            answer = steps([*change, *truth[1:]])
            value = score(record, f"`{answer.span}`").value
            wrong_turns += counted == "turn" and value == 0
            wrong_lengths += counted == "length" and value == 0
        assert score(record, "`fly 1.0 m`").parsed is False
    assert wrong_turns == wrong_lengths == 30


def test_words_without_angles_are_walked_by_their_nominal_turn(context: SceneContext) -> None:
    row = next(iter(rows_of(WALK, context).values()))
    record = make(WALK, context, row)
    plain = [
        dataclasses.replace(s, angle_deg=None, landmark=None) for s in record.typed_answer.steps
    ]
    scored = score(record, f"`{steps(plain).span}`")
    assert scored.parsed
    assert scored.value in (0.0, 1.0)


def test_a_blocked_corridor_has_no_route(context: SceneContext) -> None:
    wall = wall_points((2.0, 0.0), (2.0, 5.0))
    parted = navigation_scene(context_of(walls=wall))
    assert isinstance(_route(navigation_scene(context), 1, 2), Answer)
    found = _route(parted, 1, 2)
    assert isinstance(found, Rejection)
    assert found.reason == "no_route"
    rejected = WALK.candidates(context_of(walls=wall)).rejected
    assert rejected["no_route"] > WALK.candidates(context).rejected.get("no_route", 0)


def test_another_search_finds_the_same_length_and_sees_a_longer_one(context: SceneContext) -> None:
    navigation = navigation_scene(context)
    row = next(iter(rows_of(WALK, context).values()))
    found = WALK._ask(navigation, row.items)
    assert isinstance(found, Answer)
    assert _longer(navigation, found) == ""
    longer = Answer(found.value, {**found.evidence, "path_m": found.evidence["path_m"] + 0.05})
    assert _longer(navigation, longer) == "no_route"


def test_the_floor_survives_its_runs(context: SceneContext) -> None:
    space = navigation_scene(context).space
    assert isinstance(space, FreeSpace)
    for passable in (space.passable, np.zeros((2, 3), bool), np.ones((3, 2), bool)):
        stored = passable_runs(dataclasses.replace(space, passable=passable))
        np.testing.assert_array_equal(space_of_runs(stored).passable, passable)
    with pytest.raises(ValueError, match="do not fill"):
        space_of_runs({"origin": [0, 0], "cell_m": 0.05, "shape": [2, 2], "runs": [3]})
