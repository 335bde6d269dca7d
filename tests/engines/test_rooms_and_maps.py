# SPDX-License-Identifier: Apache-2.0
"""Comparisons, floor plans and maps: by hand, in other worlds, and every record verified."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree

from spatial_engine.commands import generate, verify
from spatial_engine.dataset.compose import make
from spatial_engine.dataset.dataset import open_records
from spatial_engine.engines.base import Engine, candidates_of
from spatial_engine.engines.cognitive_map import COGNITIVE_MAP
from spatial_engine.engines.comparisons import COMPARISONS, offered_orders
from spatial_engine.engines.context import SceneContext
from spatial_engine.engines.floor_plan import DIAMETERS_CM, FLOOR_PLAN
from spatial_engine.engines.walk_task import OPEN_FLOOR, WalkScene
from spatial_engine.recipe import load_recipe
from spatial_engine.records.record import QARecord
from spatial_engine.scoring.multispa import score
from spatialcore.relations.floor_plan import opened as opened_floor
from spatialcore.relations.free_space import free_space
from spatialcore.relations.verdict import Answer, Rejection
from tests.engines.test_scene_layout import scene
from tests.engines.worlds import MIRROR_X, QUARTER, moved, opened, sample_room

TASKS = {engine.task: engine for engine in (*COMPARISONS, *FLOOR_PLAN, *COGNITIVE_MAP)}
GUARDS = dataclasses.replace(load_recipe("default").guards, object_family=False)
ONE_SET = dataclasses.replace(
    load_recipe("default"), name="custom", walks=1, guards=GUARDS
)  # more names may be used, so that a small room has rows of each task


@pytest.fixture(scope="module")
def by_hand() -> WalkScene:
    """The room of 5 x 4 m of the layout's tests; the vase is in no image."""
    layout = scene()
    guards = dataclasses.replace(layout.recipe.guards, object_partial_vertices=0)
    recipe = dataclasses.replace(layout.recipe, guards=guards)
    layout = dataclasses.replace(layout, recipe=recipe)
    made = WalkScene(layout, None)  # type: ignore[arg-type]
    made.__dict__["open_floor"] = opened_floor(free_space(layout.points, None, rules=OPEN_FLOOR))
    return made


def ask(walk: WalkScene, task: str, *items: int) -> object:
    found = TASKS[task].ask(walk, items)
    return found.value if isinstance(found, Answer) else str(found.reason)


def test_counts_are_compared_by_hand(by_hand: WalkScene) -> None:
    """Two chairs, one of everything else."""
    assert ask(by_hand, "comparison.more", 3, 1) == "more"
    assert ask(by_hand, "comparison.more", 1, 4) == "fewer"
    assert ask(by_hand, "comparison.more", 1, 2) == "count_range"  # one and one
    assert ask(by_hand, "comparison.count_difference", 3, 1) == 1
    assert ask(by_hand, "comparison.count_difference", 1, 3) == "dead_zone"
    assert ask(by_hand, "comparison.more", 3, 7) == "category_not_seen"


def test_orders_by_hand(by_hand: WalkScene) -> None:
    """Longest sides: shelf 1.8, bed 1.6, lamp 1.4, desk 1.2, chair 0.9, clock 0.3 m."""
    assert ask(by_hand, "comparison.size_order", 3, 2, 6) == ("shelf", "desk", "chair")
    assert ask(by_hand, "comparison.size_order", 8, 2, 6) == "size_known"  # four clocks to a desk
    assert ask(by_hand, "comparison.size_order", 6, 1, 8) == "dead_zone"  # 1.8 and 1.6
    # From the bed: 1.3 m up to the clock, 1.65 m to the lamp, 3 m to the shelf; desk at 2.4 m.
    order = ("clock", "lamp", "shelf")
    assert ask(by_hand, "comparison.distance_order", 1, 6, 8, 5) == order
    assert ask(by_hand, "comparison.distance_order", 1, 2, 8, 6) == "distance_gap"
    assert ask(by_hand, "comparison.distance_order", 2, 9, 1, 5) == "distance_range"  # on the desk


@pytest.mark.parametrize("count", [3, 4, 5])
def test_orders_on_offer_tell_nothing_of_the_true_one(by_hand: WalkScene, count: int) -> None:
    """Whichever is the true one, the others are as far from it: none is the odd one out."""
    truth, places = tuple("abcde"[:count]), Counter()
    for k in range(400):
        options = offered_orders(by_hand, "task", (k,), truth)
        assert len(set(options)) == 4
        assert {"".join(sorted(order)) for order in options} == {"abcde"[:count]}
        places[options.index(truth)] += 1
        if count > 3:  # two pairs of neighbours, each both ways round
            apart = [sum(a != b for a, b in zip(truth, order, strict=True)) for order in options]
            assert sorted(apart) == [0, 2, 2, 4]
    assert min(places.values()) > 400 / 4 - 4 * math.sqrt(400 * 3 / 16)


def test_a_bearing_by_hand(by_hand: WalkScene) -> None:
    """At the lamp (0.4, 3.6) facing the shelf (4.6, 3.4), the clock (2.5, 0.05) is to the right."""
    away = math.degrees(math.atan2(3.55, 2.1) - math.atan2(0.2, 4.2))
    assert ask(by_hand, "floor_plan.bearing", 5, 6, 8) == pytest.approx(away)
    assert ask(by_hand, "floor_plan.bearing", 5, 8, 6) == pytest.approx(360 - away)
    assert ask(by_hand, "floor_plan.bearing", 2, 9, 5) == "distance_range"
    assert ask(by_hand, "floor_plan.bearing", 7, 1, 8) == "sector_split"  # the bed is too broad


def test_walls_by_hand(by_hand: WalkScene) -> None:
    """The desk is at x = 5, the shelf too; the clock at y = 0, the lamp between two walls."""
    assert ask(by_hand, "floor_plan.same_wall", 2, 9, 8) == "wall_unsure"  # the cup is 0.55 away
    walls = {k: TASKS["floor_plan.same_wall"].ask(by_hand, (2, 6, 8, k)) for k in (5, 3)}
    assert all(isinstance(found, Rejection) for found in walls.values())


def test_free_floor_has_every_pocket_that_a_disc_covers() -> None:
    """3 x 2 m of floor; two boxes close off 0.4 x 0.6 m of it, on which nobody could stand."""
    floor = grid((0, 3), (0, 2))
    walls = [
        grid((0, 3), (0, 0)), grid((0, 3), (2, 2)), grid((0, 0), (0, 2)), grid((3, 3), (0, 2)),
    ]  # fmt: skip
    boxes = [grid((0.4, 0.8), (0, 0.8)), grid((0, 0.4), (0.6, 0.8))]
    raised = np.concatenate([*walls, *boxes]) + np.array([0, 0, 0.5])
    found = opened_floor(free_space(np.concatenate([floor, raised]), None, rules=OPEN_FLOOR))
    assert not isinstance(found, Rejection)
    area = np.count_nonzero(found.free) * found.cell_m**2
    assert area == pytest.approx(3 * 2 - 0.4 * 0.8 - 0.4 * 0.2, rel=0.03)
    middle = found.free[int(0.3 / found.cell_m), int(0.2 / found.cell_m)]
    assert middle


def grid(x: tuple[float, float], y: tuple[float, float]) -> np.ndarray:
    """Points 1 cm apart at height 0."""
    across, along = (np.arange(low, high + 0.005, 0.01) for low, high in (x, y))
    return np.stack([*np.meshgrid(across, along), np.zeros((len(along), len(across)))], -1).reshape(
        -1, 3
    )


def test_free_floor_by_hand(by_hand: WalkScene) -> None:
    """20 m2 less what stands on it: bed 1.92, desk 0.96, chairs 0.5, lamp 0.09, shelf 0.5 ..."""
    area = ask(by_hand, "floor_plan.free_area")
    assert isinstance(area, float)
    assert area == pytest.approx(20 - 1.92 - 0.96 - 0.5 - 0.09 - 0.5 - 0.09, rel=0.06)
    found = TASKS["floor_plan.fits"].ask(by_hand, (60,))
    assert isinstance(found, Answer)
    assert found.value == "yes"
    widest = found.evidence["seen_m"]  # all of it is seen
    floor = by_hand.open_floor
    assert not isinstance(floor, Rejection)
    padded = np.pad(floor.free, 1)
    blocked = cKDTree(np.argwhere(~padded) * floor.cell_m)
    away = blocked.query(np.argwhere(padded) * floor.cell_m)[0].max()
    assert widest == pytest.approx(2 * (away - floor.cell_m / 2))
    words = {d: ask(by_hand, "floor_plan.fits", d) for d in DIAMETERS_CM}
    for diameter, word in words.items():
        assert word in ("dead_zone", "yes" if diameter / 100 < widest else "no")
    assert set(words.values()) == {"dead_zone", "yes", "no"}
    # Of floor that no frame shows nothing is said: half of it holds less.
    half = floor.free & (np.arange(floor.free.shape[0]) < floor.free.shape[0] // 2)[:, None]
    by_hand.__dict__["seen_floor"] = half
    try:
        by_hand.__dict__.pop("widest_seen", None)
        less = {d: ask(by_hand, "floor_plan.fits", d) for d in DIAMETERS_CM}
    finally:
        del by_hand.__dict__["seen_floor"], by_hand.__dict__["widest_seen"]
    count = Counter(less.values())
    assert count["yes"] < Counter(words.values())["yes"]
    assert count["no"] > Counter(words.values())["no"]


@pytest.fixture(scope="module")
def records(sample_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> list[QARecord]:
    """Records of one room, all of which `verify` derives again."""
    folder = tmp_path_factory.mktemp("rooms")
    out, one, recipe = folder / "out", folder / "scenes.txt", folder / "recipe.toml"
    one.write_text("scene0000_00\n")
    recipe.write_text("walks = 1\n[guards]\nobject_family = false\n")
    argv = [str(sample_dir / "scannet"), "-o", str(out), "--tasks", ",".join(TASKS)]
    assert generate.main([*argv, "--scenes", str(one), "--recipe", str(recipe)]) == 0
    assert verify.main([str(out)]) == 0
    return [opened.record for opened in open_records(out)]


def test_the_truth_scores_whole_and_another_answer_less(records: list[QARecord]) -> None:
    assert {r.task for r in records} >= {"comparison.more", "cognitive_map.choice"}
    for record in records:
        assert score(record, record.answer).value == 1.0
        assert score(record, "`-`").value == 0.0


def test_a_map_lies_as_its_anchors_say(records: list[QARecord]) -> None:
    """One motion of the plane takes the objects' places to their cells, and it is no mirror."""
    maps = [r for r in records if r.task == "cognitive_map.places"]
    assert maps
    for record in maps:
        facts = record.facts
        assert [tuple(c) for c in facts["cells"][2:]] == [
            {n: (x, y) for n, x, y in record.typed_answer.places}[name] for name in _names(record)
        ]
        for (x, y), (u, v) in zip(facts["places"], facts["cells"], strict=True):
            assert (min(int(x), 9), min(int(y), 9)) == (u, v)
        assert all(str(c) in record.question for _, *cell in facts["anchors"] for c in cell)


def _names(record: QARecord) -> list[str]:
    """The asked objects in the order of the items, by their cells."""
    at = {(x, y): name for name, x, y in record.typed_answer.places}
    return [at[tuple(cell)] for cell in record.facts["cells"][2:]]


def test_four_maps_differ_however_they_are_turned(records: list[QARecord]) -> None:
    for record in (r for r in records if r.task == "cognitive_map.choice"):
        assert len(set(record.options)) == 4
        assert min(record.facts["misfits"]) >= 1.5
        right = record.options["ABCD".index(str(record.answer_text))]
        cells = sorted(tuple(cell) for cell in record.facts["cells"])
        for option in record.options:
            found = sorted(
                tuple(int(n) for n in part.split("[")[1].strip(" ]").split(" , "))
                for part in option.split("; ")
            )
            assert found == cells
        assert right in record.question


@pytest.fixture(scope="module")
def plain(sample_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> SceneContext:
    room = moved(sample_room(sample_dir), np.eye(4))
    return opened(room, tmp_path_factory.mktemp("plain"), ONE_SET)


@pytest.mark.parametrize("world", ["turned", "mirrored"])
def test_another_world_says_the_same(
    plain: SceneContext, sample_dir: Path, tmp_path: Path, world: str
) -> None:
    """A turn changes no answer; a mirror turns bearings the other way and nothing else."""
    mirror = world == "mirrored"
    room = moved(sample_room(sample_dir), MIRROR_X if mirror else QUARTER, mirrored=mirror)
    other = opened(room, tmp_path, ONE_SET)
    compared = 0
    for engine in TASKS.values():
        both = [candidates_of(engine, context).rows() for context in (plain, other)]
        common = sorted(set(both[0]) & set(both[1]))
        assert len(common) >= 0.8 * max(map(len, both))
        for row in common[:: max(1, len(common) // 8)]:
            one, two = (make(engine, context, row) for context in (plain, other))
            compared += _alike(engine, one, two, mirror)
    assert compared > 25


def _alike(engine: Engine, one: QARecord, two: QARecord, mirror: bool) -> int:
    if engine.task == "floor_plan.bearing":
        turn = (360 - one.answer_number[0]) % 360 if mirror else one.answer_number[0]
        assert abs((turn - two.answer_number[0] + 180) % 360 - 180) <= 1
    elif engine.task == "floor_plan.free_area":
        assert two.answer_number[0] == pytest.approx(one.answer_number[0], rel=0.05)
    elif engine.answer.type == "letter" and engine.task != "cognitive_map.choice":
        said = [r.options["ABCD".index(str(r.answer_text))] for r in (one, two)]
        assert said[0] == said[1]
    elif engine.answer.type == "word":
        assert one.answer_text == two.answer_text
    elif engine.answer.type == "map":
        gaps = [
            [math.dist(a, b) for a, b in itertools.combinations(r.facts["places"], 2)]
            for r in (one, two)
        ]
        assert gaps[0] == pytest.approx(gaps[1], abs=1e-3)
    return 1


def test_frames_may_come_in_any_order(plain: SceneContext) -> None:
    """What frames show of a room does not depend on which is first."""
    backwards = dataclasses.replace(plain, frames=plain.shown[::-1], root=plain, _cache={})
    for engine in TASKS.values():
        rows = candidates_of(engine, plain).rows()[:6]
        for row in rows:
            turned = row._replace(frames=row.frames[::-1])
            one, two = engine.facts(plain, [row])[0], engine.facts(backwards, [turned])[0]
            assert (one.answer, one.evidence) == (two.answer, two.evidence)
