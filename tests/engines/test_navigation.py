# SPDX-License-Identifier: Apache-2.0
"""Walks: by hand, in the mirror, on turned and shifted floors, and scored by walking them."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest

from spatial_engine.dataset.compose import make
from spatial_engine.engines.candidates import Row
from spatial_engine.engines.context import SceneContext
from spatial_engine.engines.layout_scene import LayoutScene
from spatial_engine.engines.navigation import NavigationInstructions, _route
from spatial_engine.engines.navigation_check import astray, longer
from spatial_engine.engines.navigation_scene import NavigationScene, navigation_scene
from spatial_engine.engines.route_plan import SEQUENCES, RoutePlan, alike
from spatial_engine.plan.contents import Cells
from spatial_engine.plan.limit import Given
from spatial_engine.recipe import Recipe
from spatial_engine.records.answers import steps
from spatial_engine.records.reading import parse_answer
from spatial_engine.records.record import check_record
from spatial_engine.scoring.multispa import score
from spatialcore.relations.free_space import FreeSpace, free_space, passable_runs, space_of_runs
from spatialcore.relations.scene_object import SceneObject
from spatialcore.relations.verdict import Answer, Rejection
from spatialcore.relations.walks import heading_to, walk
from tests.engines.test_scene_layout import scene
from tests.relations.rooms import block, floor_points, room_points, turn_z, wall_points
from tests.relations.rooms import moved as moved_by

ROUTE, WALK = RoutePlan(), NavigationInstructions()
MIRROR = np.diag([-1.0, 1.0, 1.0, 1.0])
OPPOSITE = {"left": "right", "right": "left", "back": "back"}


THINGS = (
    block(1, "bin", (1.03, 1.12, 0.3), (0.31, 0.33, 0.6)),
    block(2, "stool", (4.93, 1.17, 0.3), (0.33, 0.31, 0.6)),
    block(3, "plant", (3.02, 2.58, 0.3), (0.31, 0.31, 0.6)),
    block(4, "lamp", (1.08, 3.93, 0.3), (0.33, 0.33, 0.6)),
    block(5, "crate", (4.87, 4.04, 0.3), (0.31, 0.33, 0.6)),
)
IN_A_ROW = (
    block(1, "bin", (2.6, 1.2, 0.3), (0.31, 0.33, 0.6)),
    block(2, "stool", (5.4, 1.6, 0.3), (0.31, 0.33, 0.6)),
    block(3, "plant", (0.7, 2.2, 0.3), (0.31, 0.33, 0.6)),
    block(4, "lamp", (5.4, 3.0, 0.3), (0.31, 0.33, 0.6)),
)


def layout_of(
    world: np.ndarray, walls: np.ndarray, things: tuple[SceneObject, ...] = THINGS
) -> LayoutScene:
    """A room of 6 x 5 m with small unique things; its places lie off the grid's lines."""
    corners = [(0.01, 0.02), (6.02, 0.01), (6.03, 5.02), (0.02, 5.01)]
    clouds = [floor_points(6.02, 5.01), room_points(corners), walls, *(i.points for i in things)]
    moved = [moved_by(cloud, world) for cloud in clouds]
    objects = tuple(
        SceneObject(i.object_id, i.category, points=moved_by(i.points, world)) for i in things
    )
    base = scene()
    counts = np.full((len(objects), len(base.frames)), 200)
    points = np.concatenate(moved).astype(np.float32)
    return LayoutScene(base.place, base.recipe, base.frames, None, objects, counts, points)


def context_of(
    world: np.ndarray | None = None,
    walls: np.ndarray | None = None,
    things: tuple[SceneObject, ...] = THINGS,
) -> SceneContext:
    """The room moved by a transform, with inner walls."""
    layout = layout_of(
        np.eye(4) if world is None else world, np.zeros((0, 3)) if walls is None else walls, things
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
    assert "walk straight to the bin; make turn 1; walk straight to the lamp" in record.question


def test_longer_walks_have_four_options(context: SceneContext) -> None:
    longer = [row for items, row in rows_of(ROUTE, context).items() if len(items) > 3]
    assert longer
    for row in longer[:20]:
        record = make(ROUTE, context, row)
        assert len(set(record.options)) == 4
        assert not any("straight" in option for option in record.options)
        truth = record.options["ABCD".index(record.answer_text)]
        assert truth == ", then ".join(f"turn {t}" for t in record.facts["turns"])


def test_what_is_offered_is_alike_and_sequences_are_strata(context: SceneContext) -> None:
    """As many turns and as many of them back in each option; none where that leaves one."""
    table = ROUTE.candidates(context)
    names = [name for name, _ in ROUTE.strata(Recipe())]
    assert sum(share for _, share in ROUTE.strata(Recipe())) == pytest.approx(1)
    rows = table.rows()
    assert len({len(row.items) for row in rows}) == 3
    for stratum, facts in zip(table.stratum, ROUTE.facts(context, rows), strict=True):
        turns = tuple(facts.evidence["turns"])
        assert names[stratum] == " ".join(turns)
        offered = [option.replace("turn ", "").split(", then ") for option in facts.options]
        assert len(set(map(tuple, offered))) == min(4, len(alike(turns)))
        if len(turns) > 1:
            assert {one.count("back") for one in offered} == {turns.count("back")}
            assert turns.count("back") < len(turns)
    assert len(SEQUENCES) == 3 + 8 + 26
    asked = [alike(SEQUENCES[s]) for s in table.stratum]
    told = set(zip(table.content.tolist(), asked, strict=True))
    assert len(told) == len({content for content, _ in told}) == len(set(asked))


def test_options_alone_do_not_tell_the_truth(context: SceneContext) -> None:
    """Neither the place among the sorted options nor the one that is most like the others."""
    scene, rng = navigation_scene(context), np.random.default_rng(3)
    tries = 1200
    firsts = central = 0
    for _ in range(tries):
        every = alike(SEQUENCES[rng.integers(3, len(SEQUENCES))])
        turns = every[rng.integers(len(every))]
        row = Row((0, 1), tuple(rng.integers(0, 1 << 40, len(turns) + 2).tolist()))
        offered = ROUTE._options(scene, row, turns)
        options = [one.replace("turn ", "").split(", then ") for one in offered]
        shared = [sum(a == b for o in options for a, b in zip(o, p, strict=True)) for p in options]
        firsts += min(options) == list(turns)
        central += options[int(np.argmax(shared))] == list(turns)
    bound = 3 * (0.25 * 0.75 / tries) ** 0.5
    assert abs(firsts / tries - 0.25) < bound
    assert abs(central / tries - 0.25) < bound


def test_a_walk_that_only_turns_back_is_not_asked() -> None:
    """Four things along a line: to one end of it, back to the other, and back again."""
    row = context_of(things=IN_A_ROW)
    table = ROUTE.candidates(row)
    assert table.rejected["to_and_fro"] > 0
    turns = [facts.evidence["turns"] for facts in ROUTE.facts(row, table.rows())]
    assert ["back"] in turns
    assert len({int(c) for c, one in zip(table.content, turns, strict=True) if len(one) == 1}) == 1
    assert not [one for one in turns if len(one) > 1 and set(one) == {"back"}]
    assert alike(("back", "back")) == (("back", "back"),)


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


def told(record) -> tuple[str, float, str]:
    """The object one stands at, the gap and the faced object, from the English alone."""
    names = "bin|stool|plant|lamp|crate"
    text = record.question.rpartition("\n")[2]
    gap = float(re.search(r"(\d\.\d) m\b", text)[1])
    items = record.facts["items"]
    assert len(set(re.findall(names, text))) == len(items) == 3
    return items[0], gap, items[1]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_whoever_stands_where_the_text_says_arrives(seed: int) -> None:
    """Rooms turned at random; places by the words alone: gap and line, read by plain geometry."""
    rng = np.random.default_rng(seed)
    context = context_of(turn_z(rng.uniform(0, 360), (*rng.uniform(-5, 5, 2), 0.3)))
    scene = navigation_scene(context)
    space, table = scene.space, WALK.candidates(context)
    assert len(table) > 10
    xy = space.centers(np.argwhere(space.passable))
    tried = 0
    for row in table.rows()[::3]:
        record = make(WALK, context, row)
        start, gap, faced = told(record)
        item, goal = scene.layout.object(start), np.array(record.facts["goal_xy"])
        middle, face = item.centroid[:2], scene.layout.object(faced).centroid[:2]
        along = (face - middle) / np.hypot(*(face - middle))
        ahead, beside = (xy - middle) @ along, (xy - middle) @ (-along[1], along[0])
        away = np.min(np.hypot(*(xy[:, None] - item.points[None, :, :2]).T), axis=0)
        fits = (abs(beside) <= 0.1) & (abs(away - gap) <= 0.1) & (ahead > 0)
        for place in xy[fits]:
            walked = walk(space, place, heading_to(place, face), record.typed_answer.steps)
            assert walked.arrives(goal)
            tried += 1
    assert tried > 60


def test_a_walk_that_some_start_would_miss_is_refused(context: SceneContext) -> None:
    """Between two walls 0.75 m apart a slip of 15 cm leads onto the wall; 1.4 m leave room."""

    def rejected(gap: float) -> int:
        walls = [wall_points((1.8, y), (4.2, y)) for y in (2.6 - gap / 2, 2.6 + gap / 2)]
        return WALK.candidates(context_of(walls=np.concatenate(walls))).rejected["start_unsure"]

    assert rejected(0.75) > 0
    assert WALK.candidates(context).rejected.get("start_unsure", 0) < rejected(0.75)


def test_strata_are_legs_and_bins_are_lengths() -> None:
    context = context_of(walls=wall_points((3.1, 0.0), (3.1, 2.0)))
    table = WALK.candidates(context)
    assert len(WALK.strata(Recipe())) == len(WALK.caps(Recipe())) == WALK.bin_count(Recipe()) == 3
    assert WALK.caps(Recipe())[0] == 0.5
    paper = Recipe(word_strata=False)
    assert len(WALK.strata(paper)) == len(WALK.caps(paper)) == 1
    legs = set()
    for row, stratum, number in zip(table.rows(), table.stratum, table.bin, strict=True):
        facts = WALK.facts(context, [row])[0]
        length = facts.evidence["length_m"]
        assert length >= 1
        assert number == (length >= 2) + (length >= 3.5)
        assert stratum == min(len(facts.answer.steps), 3) - 1
        legs.add(len(facts.answer.steps))
    assert len(legs) >= 2
    assert len(set(table.bin.tolist())) == 3


def test_a_plan_has_no_more_straight_walks_than_others() -> None:
    """Of 60 walks with one leg and 20 with more, 20 of each are taken; the others are short."""
    counts = np.zeros((1, 3, 3), np.int64)
    counts[0, 0, :2], counts[0, 1, 1], counts[0, 2, 2] = 30, 12, 8
    given = Given(WALK.task, Cells(np.zeros(1, np.uint64), counts), Recipe(), "even")
    taken = given.allocate(300).taken.sum(axis=(0, 2))
    assert taken.tolist() == [20, 12, 8]


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
    assert wrong_turns >= 29
    assert wrong_lengths >= 29


def test_words_without_angles_are_walked_by_their_nominal_turn(context: SceneContext) -> None:
    row = next(iter(rows_of(WALK, context).values()))
    record = make(WALK, context, row)
    plain = [
        dataclasses.replace(s, angle_deg=None, landmark=None) for s in record.typed_answer.steps
    ]
    scored = score(record, f"`{steps(plain).span}`")
    assert scored.parsed
    assert 0.0 <= scored.value <= 1.0


def test_a_blocked_corridor_has_no_route(context: SceneContext) -> None:
    wall = wall_points((2.0, 0.0), (2.0, 5.0))
    parted = navigation_scene(context_of(walls=wall))
    assert isinstance(_route(navigation_scene(context), 1, 4, 2), Answer)
    found = _route(parted, 1, 4, 2)
    assert isinstance(found, Rejection)
    assert found.reason == "no_route"
    rejected = WALK.candidates(context_of(walls=wall)).rejected
    assert rejected["no_route"] > WALK.candidates(context).rejected.get("no_route", 0)


def test_another_search_and_other_walking_agree_and_see_what_is_wrong(
    context: SceneContext,
) -> None:
    navigation = navigation_scene(context)
    for row in WALK.candidates(context).rows()[::7]:
        found = WALK._walk(navigation, row.items)
        assert isinstance(found, Answer)
        assert longer(navigation, found) == astray(navigation, found) == ""
        further = Answer(found.value, {**found.evidence, "path_m": found.evidence["path_m"] + 0.05})
        assert longer(navigation, further) == "no_route"
        first, *rest = found.value.steps
        turned = dataclasses.replace(first, angle_deg=first.angle_deg + 90)
        wrong = dataclasses.replace(found.value, steps=(turned, *rest))
        assert astray(navigation, Answer(wrong, found.evidence)) == "start_unsure"


def test_the_floor_survives_its_runs(context: SceneContext) -> None:
    space = navigation_scene(context).space
    assert isinstance(space, FreeSpace)
    for passable in (space.passable, np.zeros((2, 3), bool), np.ones((3, 2), bool)):
        stored = passable_runs(dataclasses.replace(space, passable=passable))
        np.testing.assert_array_equal(space_of_runs(stored).passable, passable)
    with pytest.raises(ValueError, match="do not fill"):
        space_of_runs({"origin": [0, 0], "cell_m": 0.05, "shape": [2, 2], "runs": [3]})
