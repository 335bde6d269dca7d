# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import heapq
import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spatialcore import _cpu
from spatialcore._reference import floor_grid as reference
from spatialcore.relations.free_space import (
    FreeSpace,
    approach,
    cells_along,
    free_space,
    line_clear,
    sees,
)
from spatialcore.relations.routes import find_path, plan_route, route_turns, turn_word
from spatialcore.relations.verdict import Reason, Rejection
from spatialcore.relations.walks import (
    Step,
    facing_objects,
    instructions,
    step_turn,
    walk,
)
from tests.relations.rooms import block, floor_points, room_points, wall_points

seeds = st.integers(0, 2**32 - 1)


def reason(found):
    assert isinstance(found, Rejection), found
    return found.reason


def room(width=6.0, depth=5.0, walls=(), items=()):
    """A walled room with inner walls and objects, and its floor grid."""
    parts = [
        floor_points(width, depth),
        room_points([(0, 0), (width, 0), (width, depth), (0, depth)]),
        *(wall_points(*ends) for ends in walls),
        *(item.points for item in items),
    ]
    points = np.concatenate(parts)
    labels = np.zeros(len(points), bool)
    labels[: len(parts[0])] = True
    space = free_space(points, labels)
    assert isinstance(space, FreeSpace)
    return space


def dijkstra(free, start, goal):
    H, W = free.shape
    best, queue = {start: 0.0}, [(0.0, start)]
    while queue:
        cost, (r, c) = heapq.heappop(queue)
        if (r, c) == goal:
            return cost
        if cost > best[r, c]:
            continue
        for dr in (-1, 0, 1):
            for dc in (-1, 0, 1):
                a, b = r + dr, c + dc
                if (dr, dc) == (0, 0) or not (0 <= a < H and 0 <= b < W and free[a, b]):
                    continue
                if dr and dc and not (free[r, b] and free[a, c]):
                    continue
                total = cost + math.hypot(dr, dc)
                if total < best.get((a, b), math.inf):
                    best[a, b] = total
                    heapq.heappush(queue, (total, (a, b)))
    return None


@given(seeds)
@settings(max_examples=60, deadline=None)
def test_paths_are_as_short_as_dijkstras(seed):
    rng = np.random.default_rng(seed)
    free = rng.random(rng.integers(1, 16, 2)) > rng.uniform(0, 0.5)
    start, goal = (tuple(int(rng.integers(n)) for n in free.shape) for _ in range(2))
    free[start] = free[goal] = True
    found, expected = find_path(free, start, goal), dijkstra(free, start, goal)
    if expected is None:
        assert found is None
        return
    path, cost = found
    assert cost == pytest.approx(expected)
    assert (path[0], path[-1]) == (start, goal)
    for (r, c), (a, b) in pairwise(path):
        assert max(abs(r - a), abs(c - b)) == 1
        assert free[a, b]
        assert free[r, b]
        assert free[a, c]
    assert find_path(free, start, goal) == found


@given(seeds)
@settings(max_examples=60, deadline=None)
def test_compiled_paths_are_those_of_the_reference(seed):
    rng = np.random.default_rng(seed)
    free = rng.random(rng.integers(1, 40, 2)) > rng.uniform(0, 0.4)
    start, goal = (tuple(int(rng.integers(n)) for n in free.shape) for _ in range(2))
    assert find_path(free, start, goal) == reference.find_path(free, start, goal)
    assert find_path(free.T, start[::-1], goal[::-1]) == reference.find_path(
        free.T, start[::-1], goal[::-1]
    )


@given(seeds)
@settings(max_examples=100, deadline=None)
def test_compiled_lines_are_those_of_the_reference(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.uniform(-3, 30, (2, 2)).round(int(rng.integers(0, 3))).tolist()
    found, expected = _cpu.cells_along(a, b), reference.cells_along(a, b)
    assert found.tolist() == expected.tolist()
    mask = rng.random((28, 28)) > 0.02
    clear = all(0 <= r < 28 and 0 <= c < 28 and mask[r, c] for r, c in expected.tolist())
    assert _cpu.line_clear(mask, a, b) == clear


def test_ends_off_the_grid_are_refused():
    with pytest.raises(ValueError, match="on the grid"):
        find_path(np.ones((2, 2), bool), (0, 0), (2, 0))
    with pytest.raises(ValueError, match="million cells"):
        _cpu.cells_along((0.0, 0.0), (math.nan, 0.0))


def test_no_corner_is_cut_and_blocked_ends_have_no_path():
    free = np.array([[1, 0], [0, 1]], bool)
    assert find_path(free, (0, 0), (1, 1)) is None
    assert find_path(free, (0, 1), (1, 1)) is None
    assert find_path(free, (0, 0), (0, 0)) == ([(0, 0)], 0.0)


def test_free_cells_keep_their_clearance():
    item = block(0, "post", (3.025, 2.525, 0.5), (0.04, 0.04, 1.0))
    space = room(items=[item])
    centers = space.origin + (np.argwhere(space.free)[:, ::-1] + 0.5) * space.cell_m
    away = np.linalg.norm(centers - item.centroid[:2], axis=1)
    assert 0.17 < away.min() < 0.3
    assert space.floor_z == 0.0
    # Lamps above head height and rugs below the shin are no obstacles.
    lamp = block(1, "lamp", (2, 2, 1.9), (0.4, 0.4, 0.2))
    rug = block(2, "rug", (2, 2, 0.01), (1, 1, 0.02))
    assert room(items=[lamp, rug]).free.sum() == room().free.sum()


def test_lines_graze_all_four_cells_of_a_corner():
    space = room()
    a, b = space.center((30, 30)), space.center((31, 31))
    assert {tuple(c) for c in cells_along(space, a, b)} == {(30, 30), (30, 31), (31, 30), (31, 31)}
    assert [tuple(c) for c in cells_along(space, a, a)] == [(30, 30)]
    straight = cells_along(space, a, space.center((30, 35)))
    assert [tuple(c) for c in straight] == [(30, c) for c in range(30, 36)]
    assert not line_clear(space, space.free, a, (100.0, 1.0))


def test_the_nearest_free_cell_of_an_object():
    cupboard = block(0, "cupboard", (3, 4.7, 0.9), (1.2, 0.6, 1.8))
    space = room(items=[cupboard])
    found = approach(space, cupboard)
    x, y = space.center(found.value)
    assert 3 - 0.6 <= x <= 3 + 0.6
    assert 0.17 < 4.4 - y < 0.35
    assert reason(approach(space, block(1, "moon", (9, 9, 1), (1, 1, 1)))) == Reason.NO_ROUTE


def scene(blocked=False):
    gate = () if blocked else (((3.0, 0.0), (3.0, 3.4)),)
    walls = (((3.0, 0.0), (3.0, 5.0)),) if blocked else gate
    bed = block(0, "bed", (1, 1, 0.3), (0.8, 0.8, 0.6))
    desk = block(1, "desk", (5, 2.2, 0.4), (0.8, 0.8, 0.8))
    plant = block(2, "plant", (1.0, 4.4, 0.5), (0.3, 0.3, 1.0))
    shelf = block(3, "shelf", (3.4, 4.8, 0.9), (0.8, 0.3, 1.8))
    items = [bed, desk, plant, shelf]
    return room(walls=walls, items=items), items


def test_a_wall_is_walked_around_and_a_closed_one_has_no_route():
    space, (bed, desk, *_) = scene()
    found = plan_route(space, bed, desk)
    corners = found.value.corners
    assert len(corners) >= 3
    assert (corners[1:-1, 1] > 3.4).any()
    assert all(line_clear(space, space.free, a, b) for a, b in pairwise(corners))
    assert found.value.length_m <= found.evidence["path_m"] + 1e-9
    closed, (bed, desk, *_) = scene(blocked=True)
    assert reason(plan_route(closed, bed, desk)) == Reason.NO_ROUTE


def test_walls_hide_objects_and_tables_do_not():
    space, (bed, desk, plant, _) = scene()
    assert not sees(space, (2.0, 1.0), desk)
    assert sees(space, (2.0, 1.0), bed)
    assert sees(space, (2.0, 1.0), plant)
    assert [i.category for i in facing_objects(space, (2.0, 1.0), [bed, desk, plant])] == [
        "bed",
        "plant",
    ]
    twin = block(9, "plant", (2, 4.4, 0.5), (0.3, 0.3, 1.0))
    assert [i.category for i in facing_objects(space, (2.0, 1.0), [bed, plant, twin])] == ["bed"]


def described(space, items, start, target):
    route = plan_route(space, start, target).value
    results = [
        instructions(space, route, items, facing, target)
        for facing in facing_objects(space, route.corners[0], items)
    ]
    return route, [r for r in results if not isinstance(r, Rejection)], results


def test_walked_instructions_end_at_the_goal():
    space, items = scene()
    made, longest = 0, 0
    for start in items:
        for target in items:
            if start is target:
                continue
            route, answers, _ = described(space, items, start, target)
            for found in answers:
                made += 1
                longest = max(longest, len(found.value.steps))
                heading = found.evidence["heading_deg"]
                walked = walk(space, route.corners[0], heading, found.value.steps)
                assert walked.arrives(route.corners[-1])
                assert math.dist(walked.places[-1], route.corners[-1]) <= 0.2
                for step in found.value.steps:
                    assert step.turn == step_turn(step.angle_deg)
                    assert step.distance_m == round(step.distance_m, 1)
                assert found.value.target_side in ("ahead", "left", "right", "behind")
    assert made >= 5
    assert longest >= 2


def mirrored(points):
    return points * (-1.0, 1.0, 1.0)


def test_mirror_swaps_the_turns_of_instructions():
    _, items = scene()
    parts = np.concatenate([floor_points(6, 5), room_points([(0, 0), (6, 0), (6, 5), (0, 5)]),
                            wall_points((3, 0), (3, 3.4)), *(i.points for i in items)])  # fmt: skip
    # Off the lattice of cell borders, so that mirrored vertices fall into mirrored cells.
    parts += np.array([0.012, 0.012, 0.0])
    from spatialcore.relations.scene_object import SceneObject

    made = [
        SceneObject(i.object_id, i.category, points=i.points + np.array([0.012, 0.012, 0]))
        for i in items
    ]
    flipped = [SceneObject(i.object_id, i.category, points=mirrored(i.points)) for i in made]
    first, second = free_space(parts), free_space(mirrored(parts))
    assert np.array_equal(first.free, second.free[:, ::-1])
    swap = {"left": "right", "right": "left"}
    compared = 0
    for a, b in ((0, 1), (2, 1), (3, 0), (1, 2)):
        one = described(first, made, made[a], made[b])[2]
        two = described(second, flipped, flipped[a], flipped[b])[2]
        for x, y in zip(one, two, strict=True):
            if isinstance(x, Rejection) or isinstance(y, Rejection):
                continue
            if len(x.value.steps) != len(y.value.steps):
                continue
            turns = ["-".join(swap.get(w, w) for w in s.turn.split("-")) for s in x.value.steps]
            compared += 1
            assert turns == [s.turn for s in y.value.steps]
            assert swap.get(x.value.target_side, x.value.target_side) == y.value.target_side
    assert compared >= 2


def test_a_changed_step_no_longer_arrives():
    space, items = scene()
    route, answers, _ = described(space, items, items[0], items[2])
    found = answers[0]
    steps = list(found.value.steps)
    heading = found.evidence["heading_deg"]
    k = max(range(len(steps)), key=lambda i: steps[i].distance_m)
    wrong = Step(steps[k].turn, steps[k].distance_m, None, steps[k].angle_deg + 60)
    bad = walk(space, route.corners[0], heading, [*steps[:k], wrong, *steps[k + 1 :]])
    assert not bad.arrives(route.corners[-1])
    with pytest.raises(ValueError, match="turn must"):
        walk(space, (1, 1), 0.0, [Step("upwards", 1.0)])


def test_words_alone_mean_the_middle_of_their_sector():
    space = room()
    walked = walk(
        space, (1, 1), 0.0, [Step("straight", 2.0), Step("left", 1.0), Step("around", 1.0)]
    )
    assert walked.places[1] == (3.0, 1.0)
    assert walked.places[2] == pytest.approx((3.0, 2.0))
    assert walked.places[3] == pytest.approx((3.0, 1.0))
    assert walked.legs_clear == (True, True, True)
    assert walk(space, (1, 1), 180.0, [Step("straight", 2.0)]).legs_clear == (False,)


def test_words_of_turns():
    words = {10: "straight", 30: "slight-left", -30: "slight-right", 90: "left", -90: "right"}
    assert {a: step_turn(a) for a in words} == words
    assert step_turn(-135) == step_turn(180) == "around"
    assert [turn_word(a) for a in (59, 60, 120, 121, 149, 150, -90, 0, 180)] == [
        None, "left", "left", None, None, "back", "right", None, "back",
    ]  # fmt: skip


def stop(object_id, category, x, y):
    return block(object_id, category, (x, y, 0.4), (0.2, 0.2, 0.8))


def test_route_turns_between_named_objects():
    a, b, c = stop(0, "bin", 1, 1), stop(1, "lamp", 4, 1), stop(2, "vase", 4, 4)
    space = room(items=[a, b, c])
    found = route_turns(space, [a, b, c])
    assert found.value == ("left",)
    assert found.evidence["angles_deg"] == pytest.approx([90], abs=8)
    assert route_turns(space, [c, b, a]).value == ("right",)
    d = stop(3, "chair", 1.3, 4.1)
    assert route_turns(room(items=[a, b, c, d]), [a, b, c, d]).value == ("left", "left")


def test_route_turns_reject_blocked_short_and_vague_walks():
    a, b, c = stop(0, "bin", 1, 1), stop(1, "lamp", 4, 1), stop(2, "vase", 4, 4)
    wall = ((2.5, 0.0), (2.5, 3.0))
    assert reason(route_turns(room(walls=[wall], items=[a, b, c]), [a, b, c])) == Reason.NO_ROUTE
    back = stop(2, "vase", 1.9, 2.6)
    assert reason(route_turns(room(items=[a, b, back]), [a, b, back])) == Reason.DIRECTION_BORDER
    couch = block(0, "couch", (0.6, 2.5, 0.4), (0.4, 3.6, 0.8))
    lamp, vase = stop(1, "lamp", 2.4, 2.5), stop(2, "vase", 2.4, 4.3)
    wide = [couch, lamp, vase]  # from its end the turn at the lamp is far less than from its middle
    assert reason(route_turns(room(items=wide), wide)) == Reason.START_UNSURE
    narrow = [stop(0, "couch", 0.6, 2.5), lamp, vase]
    assert route_turns(room(items=narrow), narrow).value == ("left",)
    near = stop(1, "lamp", 1.5, 1)
    assert reason(route_turns(room(items=[a, near, c]), [a, near, c])) == Reason.DISTANCE_RANGE
    with pytest.raises(ValueError, match="stops must be 3 to 5"):
        route_turns(room(), [a, b])
    with pytest.raises(ValueError, match="distinct"):
        route_turns(room(), [a, b, a])


def test_a_quarter_turn_of_the_world_keeps_the_walk():
    _, items = scene()
    parts = np.concatenate([floor_points(6, 5), room_points([(0, 0), (6, 0), (6, 5), (0, 5)]),
                            wall_points((3, 0), (3, 3.4)), *(i.points for i in items)])  # fmt: skip
    parts += np.array([0.012, 0.012, 0.0])
    turned = np.stack([-parts[:, 1], parts[:, 0], parts[:, 2]], axis=1)
    first, second = free_space(parts), free_space(turned)
    assert np.array_equal(first.free.T[:, ::-1], second.free)


def test_bad_input_of_the_grid():
    with pytest.raises(ValueError, match="shape"):
        free_space(np.zeros((3, 2)))
    with pytest.raises(ValueError, match="floor"):
        free_space(np.zeros((3, 3)), np.zeros(2, bool))
    assert reason(free_space(np.zeros((0, 3)))) == Reason.NO_ROUTE
    assert reason(free_space([(0.0, 0, 0), (0, 0, 1)])) == Reason.NO_ROUTE
