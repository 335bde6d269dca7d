# SPDX-License-Identifier: Apache-2.0
"""One image: counts with their guards, sides by hand and in the mirror, nearer by hand."""

from __future__ import annotations

import dataclasses
from collections import Counter
from itertools import permutations

import numpy as np
import pytest

from spatial_engine.engines.candidates import Row
from spatial_engine.engines.frame_view import View
from spatial_engine.engines.layout_scene import LayoutScene
from spatial_engine.engines.one_image import ONE_IMAGE
from spatial_engine.engines.seen_parts import SeenParts
from spatial_engine.recipe import Guards, Recipe
from spatial_engine.records.place import FrameImage, Place
from spatialcore.relations.scene_object import SceneObject
from spatialcore.relations.verdict import Answer, Rejection
from spatialcore.types import Camera
from tests.relations.rooms import block
from tests.seeds import fresh_seeds

COUNT, SIDE, NEARER = ONE_IMAGE
K = np.array([[100.0, 0, 99.5], [0, 100.0, 74.5], [0, 0, 1]])
# At the origin, 1 m high, looking along +y: x is to the right in the image, too.
POSE = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 1], [0, 0, 0, 1]])
THINGS = [
    block(1, "chair", (-1.0, 4.0, 1.0), (0.4, 0.4, 0.4)),
    block(2, "chair", (1.5, 5.0, 1.0), (0.4, 0.4, 0.4)),
    block(3, "lamp", (0.8, 2.0, 1.0), (0.2, 0.2, 0.2)),
    block(4, "box", (0.1, 3.0, 1.0), (0.2, 0.2, 0.2)),
]


def view(visible: list[int], mirror: bool = False) -> View:
    """One frame that sees so many vertices of the two chairs, the lamp and the box."""
    flip = np.array([-1.0 if mirror else 1.0, 1.0, 1.0])
    things = tuple(SceneObject(t.object_id, t.category, points=t.points * flip) for t in THINGS)
    image = {0: FrameImage("0", "0.jpg", 200, 150)}
    place = Place("fake", "room", "room_00", "train", Recipe(), 1, "identity", image)
    layout = LayoutScene(
        place,
        Recipe(),
        (0,),
        None,
        things,
        np.array(visible)[:, None],
        np.zeros((1, 3), np.float32),
    )
    return View(layout, 0, Camera(K, 200, 150), POSE)


def ask(engine, seen: View, *items: int):
    found = engine._ask(seen, items)
    return found.value if isinstance(found, Answer) else str(found.reason)


def test_counts_by_hand() -> None:
    assert ask(COUNT, view([100, 100, 50, 50]), 1) == 2
    assert ask(COUNT, view([0, 100, 50, 50]), 2) == 1
    assert ask(COUNT, view([100, 100, 50, 50]), 3) == 1


@pytest.mark.parametrize("few", [1, 19])
def test_an_instance_that_is_hardly_seen_makes_a_count_ambiguous(few: int) -> None:
    assert ask(COUNT, view([100, few, 50, 50]), 1) == "object_partial"
    least = int(view([0, 0, 0, 0]).layout.seen_from[1])
    assert ask(COUNT, view([100, least - 1, 50, 50]), 1) == "object_partial"
    assert ask(COUNT, view([100, least, 50, 50]), 1) == 2
    assert ask(COUNT, view([0, 0, 50, 50]), 1) == "category_not_seen"


def test_sides_by_hand_and_in_the_mirror() -> None:
    # u = 100 x / y + 99.5: the lamp at 139.5; the first chair alone at 74.5.
    seen = view([100, 0, 50, 50])
    found = SIDE._ask(seen, (3,))
    assert found.value == "right"
    assert found.evidence["u"] == pytest.approx(139.5)
    assert ask(SIDE, seen, 1) == "left"
    mirrored = view([100, 0, 50, 50], mirror=True)
    assert [ask(SIDE, mirrored, k) for k in (3, 1)] == ["left", "right"]


def test_the_middle_of_the_image_is_not_asked() -> None:
    # The box lies at u = 102.8, 3.3 px from the middle; the guard is 6 % of 200 px.
    assert ask(SIDE, view([0, 0, 50, 50]), 4) == "dead_zone"


def test_a_category_must_name_one_object() -> None:
    assert ask(SIDE, view([100, 100, 50, 50]), 1) == "category_not_unique"
    # One percent of the other chair's vertices is the most that may show.
    most = int(0.01 * view([0] * 4).layout.vertex_count[1])
    assert ask(SIDE, view([100, most, 50, 50]), 1) == "left"
    assert ask(SIDE, view([100, most + 1, 50, 50]), 1) == "category_not_unique"
    assert ask(SIDE, view([100, 0, 0, 50]), 3) == "category_not_seen"


def test_nearer_by_hand_and_swapped() -> None:
    seen = view([100, 0, 50, 50])
    found = NEARER._ask(seen, (3, 1))
    # Nearest corners: lamp (0.7, 1.9), chair (-0.8, 3.8), both at the camera's height +- half.
    assert found.evidence["range_a_m"] == pytest.approx(np.hypot(0.7, 1.9), abs=0.01)
    assert found.evidence["range_b_m"] == pytest.approx(np.hypot(0.8, 3.8), abs=0.01)
    assert found.value == "nearer"
    assert ask(NEARER, seen, 1, 3) == "farther"
    # 2.9 m against 3.9 m is a ratio of 1.34; a fifth more than 2.02 m is not enough.
    assert ask(NEARER, seen, 4, 1) == "nearer"
    close = NEARER._ask(seen, (4, 3))
    assert isinstance(close, Answer) == (close.evidence["range_a_m"] >= 1.25 * 2.02)


def shown_alone(seen: View, rows: dict[int, np.ndarray]) -> View:
    """The view when the frame shows only some vertices of the objects, by id."""
    things = seen.layout.objects
    points = np.concatenate([t.points for t in things]).astype(np.float32)
    instance = np.repeat([t.object_id for t in things], [len(t.points) for t in things])
    shown = np.concatenate([
        rows.get(t.object_id, np.ones(len(t.points), bool)) for t in things
    ])  # fmt: skip
    parts = SeenParts(points, instance.astype(np.int32), lambda _: shown)
    layout = dataclasses.replace(seen.layout, parts=parts, of_any={})  # another world
    return dataclasses.replace(seen, layout=layout)


def test_what_the_image_hides_decides_nothing() -> None:
    """A lamp whose near end is out of sight: by what is seen the box is as near, or nearer."""
    seen = view([100, 0, 50, 50])
    assert ask(NEARER, shown_alone(seen, {}), 3, 4) == "nearer"
    pole = SceneObject(3, "lamp", points=np.column_stack([
        np.full(81, 0.8), np.linspace(2.0, 6.0, 81), np.full(81, 1.0)
    ]))  # fmt: skip
    things = tuple(pole if t.object_id == 3 else t for t in seen.layout.objects)
    longer = dataclasses.replace(seen, layout=dataclasses.replace(seen.layout, objects=things))
    assert ask(NEARER, shown_alone(longer, {}), 3, 4) == "nearer"
    # From 4.2 m on the box, at 2.9 m, is nearer to the eye; between, no word is sure.
    for first, reason in ((3.2, "dead_zone"), (4.2, "hidden_part")):
        part = shown_alone(longer, {3: pole.points[:, 1] > first})
        assert ask(NEARER, part, 3, 4) == reason
        assert ask(NEARER, part, 4, 3) == reason
    found = NEARER._ask(shown_alone(longer, {3: pole.points[:, 1] > 2.1}), (3, 4))
    assert found.evidence["range_a_m"] > found.evidence["whole_a_m"]


@pytest.mark.parametrize("seed", fresh_seeds(4))
def test_a_word_holds_for_what_is_seen_and_for_the_whole(seed: int) -> None:
    """Random objects, random parts of them in sight: every word by plain minima, none against."""
    rng = np.random.default_rng(seed)
    said = set()
    for _ in range(60):
        things = [
            SceneObject(k, name, points=rng.uniform(-1, 1, (40, 3)) * rng.uniform(0.05, 1.5, 3)
                        + (rng.uniform(-2, 2), rng.uniform(1, 6), 1.0))
            for k, name in ((3, "lamp"), (4, "box"))
        ]  # fmt: skip
        rows = {t.object_id: rng.random(40) < rng.uniform(0.05, 1) for t in things}
        if not all(shown.any() for shown in rows.values()):
            continue
        seen = view([100, 0, 50, 50])
        objects = (*seen.layout.objects[:2], *things)
        seen = dataclasses.replace(seen, layout=dataclasses.replace(seen.layout, objects=objects))
        found = ask(NEARER, shown_alone(seen, rows), 3, 4)
        said.add(found)
        far = [np.sqrt(((t.points - (0, 0, 1)) ** 2).sum(axis=1)) for t in things]
        pairs = [
            (far[0].min(), far[1].min()), (far[0][rows[3]].min(), far[1][rows[4]].min()),
        ]  # fmt: skip
        clear = [abs(a - b) >= max(0.1, 0.2 * max(a, b)) for a, b in pairs]
        words = ["nearer" if a < b else "farther" for a, b in pairs]
        if found in ("nearer", "farther"):
            assert clear == [True, True]
            assert words == [found, found]
        else:
            assert found == ("dead_zone" if not clear[1] else "hidden_part")
            assert not all(clear) or words[0] != words[1]
    assert {"nearer", "farther", "dead_zone"} <= said


def test_a_side_is_told_where_the_seen_part_lies_in_it() -> None:
    seen = view([100, 0, 50, 50])
    wide = SceneObject(3, "lamp", points=np.column_stack([
        np.linspace(-0.9, 1.9, 57), np.full(57, 2.0), np.full(57, 1.0)
    ]))  # fmt: skip
    things = tuple(wide if t.object_id == 3 else t for t in seen.layout.objects)
    broad = dataclasses.replace(seen, layout=dataclasses.replace(seen.layout, objects=things))
    assert ask(SIDE, shown_alone(broad, {}), 3) == "right"
    assert ask(SIDE, shown_alone(broad, {3: wide.points[:, 0] < 0}), 3) == "hidden_part"


def test_another_name_of_the_family_in_view_refuses_name_and_count() -> None:
    seen = view([100, 0, 50, 50])
    things = (*seen.layout.objects[:3], SceneObject(4, "floor lamp", points=THINGS[3].points))
    mixed = dataclasses.replace(seen, layout=dataclasses.replace(seen.layout, objects=things))
    assert ask(SIDE, mixed, 3) == "name_ambiguous"
    assert ask(COUNT, mixed, 3) == "name_ambiguous"
    assert ask(NEARER, mixed, 1, 3) == "name_ambiguous"
    assert ask(SIDE, mixed, 1) == "left"
    away = dataclasses.replace(mixed.layout, visible_count=np.array([[100], [0], [50], [0]]))
    assert ask(SIDE, dataclasses.replace(mixed, layout=away), 3) == "right"
    off = dataclasses.replace(Recipe(), name="custom", guards=Guards(object_family=False))
    loose = dataclasses.replace(mixed.layout, recipe=off)
    assert ask(SIDE, dataclasses.replace(mixed, layout=loose), 3) == "right"


def test_facts_say_what_was_asked() -> None:
    facts = COUNT._facts(view([100, 100, 50, 50]), Row((0,), (1,)))
    assert (facts.answer.number, facts.slots) == ((2.0,), {"category": "chair", "count": "2"})
    assert facts.evidence == {"object_ids": [1, 2], "visible": [100, 100]}
    with pytest.raises(ValueError, match="no answer"):
        SIDE._facts(view([100, 100, 50, 50]), Row((0,), (1,)))


def test_counts_have_strata_of_their_own() -> None:
    assert [COUNT._stratum(n) for n in (1, 2, 3, 4, 9)] == [0, 1, 2, 3, 3]
    assert isinstance(SIDE._ask(view([0, 0, 0, 0]), (3,)), Rejection)


def test_all_that_is_nearer_is_what_each_pair_is_told() -> None:
    seen = view([200, 200, 200, 200])
    first, second, words, refused = seen.all_nearer([1, 2, 3, 4])
    told, reasons = dict(zip(zip(first, second, strict=True), words, strict=True)), Counter()
    for pair in permutations([1, 2, 3, 4], 2):
        found = seen.nearer(*pair)
        if isinstance(found, Answer):
            assert told.pop(pair) == found.value
        else:
            reasons[str(found.reason)] += 1
    assert not told
    assert reasons == refused
