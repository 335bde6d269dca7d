# SPDX-License-Identifier: Apache-2.0
"""Another's place: answers by hand, guards on both sides, turned, mirrored and measured again."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from spatial_engine.engines.candidates import Row
from spatial_engine.engines.perspective import PERSPECTIVE
from spatialcore.relations.verdict import Answer, Rejection
from tests.engines.views_by_hand import AGAIN, in_world, random_room, random_world, views_of
from tests.index.scenes import look
from tests.relations.rooms import block
from tests.seeds import fresh_seeds

BY_NAME = {engine.quantity: engine for engine in PERSPECTIVE}
SIZE = (0.2, 0.2, 0.2)
# Standing at 1 and facing 2 (north): 3 is left, 4 right, 5 behind, 6 ahead to the right (27 deg).
THINGS = [
    block(k, f"thing {name}", (*place, 1.0), SIZE)
    for k, name, place in (
        (1, "a", (0, 0)), (2, "b", (0, 2)), (3, "c", (-2, 0)), (4, "d", (2, 0)), (5, "e", (0, -2)),
        (6, "f", (0.8, 1.6)), (7, "g", (-2, -2)),
    )
]  # fmt: skip
POSES = [look((0.3, -0.5, 1.2), 95.0), look((3.0, 0.0, 1.2), 135.0), look((0.0, 5.0, 1.2), -90.0),
         look((-3.0, 3.0, 1.2), 0.0)]  # fmt: skip
ALL = {thing.object_id for thing in THINGS}


def views_all(poses=POSES, things=THINGS, **options):
    return views_of(things, poses, [{t.object_id for t in things}] * len(poses), **options)


def ask(quantity: str, views, row: Row):
    found = BY_NAME[quantity].ask(views, row)
    return found.value if isinstance(found, Answer) else str(found.reason)


def told(quantity: str, views, row: Row):
    engine = BY_NAME[quantity]
    found = engine.ask(views, row)
    assert isinstance(found, Answer)
    return engine.tell(views, row, found)


def test_what_is_beside_and_behind() -> None:
    views = views_all()
    for right, name, side in ((3, "thing c", "to your left"), (4, "thing d", "to your right"),
                              (5, "thing e", "behind you")):  # fmt: skip
        wrong = [k for k in (3, 4, 5, 6) if k != right]
        row = Row(views.frames, (1, 2, right, *wrong))
        assert ask("object_at", views, row) == name
        facts = told("object_at", views, row)
        assert facts.slots["side"] == side
        assert facts.options["ABCD".index(facts.answer.text)] == name
    assert ask("object_at", views, Row(views.frames, (1, 2, 6, 3, 4, 5))) == "direction_border"
    # 7 lies on the border of left and behind.
    assert ask("object_at", views, Row(views.frames, (1, 2, 3, 4, 5, 7))) == "direction_border"


def test_two_on_one_side_are_no_choice() -> None:
    views = views_all(things=[*THINGS, block(8, "thing h", (-2.0, 0.4, 1.0), SIZE)])
    row = Row(views.frames, (1, 2, 3, 4, 5, 8))
    assert ask("object_at", views, row) == "distractor_short"


def test_what_is_ahead_after_a_turn() -> None:
    views = views_all()
    for right, turn in ((3, "90 degrees to the left"), (4, "90 degrees to the right"),
                        (7, "135 degrees to the left")):  # fmt: skip
        wrong = [k for k in (3, 4, 5, 6) if k != right][:3]
        row = Row(views.frames, (1, 2, right, *wrong))
        assert told("after_turn", views, row).slots["turn"] == turn
    # 5 is straight behind; 6 only 27 degrees off.
    for right in (5, 6):
        row = Row(views.frames, (1, 2, right, 3, 4, 7))
        assert ask("after_turn", views, row) == "direction_border"
    near = views_all(things=[*THINGS, block(8, "thing h", (-2.0, 1.2, 1.0), SIZE)])
    assert ask("after_turn", near, Row(views.frames, (1, 2, 3, 4, 5, 8))) == "distractor_short"


def test_the_view_from_an_object_is_one_of_four_in_any_order() -> None:
    views = views_all()
    for frames in permutations(range(4)):
        word = ("first", "second", "third", "fourth")[frames.index(0)]
        assert ask("view_from", views, Row(frames, (1, 2))) == word
    # Nobody stands at 7 or looks from 1 to 5.
    assert ask("view_from", views, Row((0, 1, 2, 3), (7, 2))) == "position_far"
    assert ask("view_from", views, Row((0, 1, 2, 3), (1, 5))) == "position_far"
    beside = views_all([*POSES[:3], look((0.0, -1.2, 1.2), 90.0)])  # 1.1 m from 1, from its side
    assert ask("view_from", beside, Row((0, 1, 2, 3), (1, 2))) == "distractor_short"


def test_a_camera_on_the_map() -> None:
    """Camera 0 at (0.3, -0.5) looks 5 degrees left of north; camera 3 lies ahead to the left."""
    views = views_all([look((0, 0, 1), 90.0), look((1.0, 2.0, 1), 0.0), look((0.2, 2.0, 1), 0.0)])
    facts = told("camera_on_map", views, Row((0, 1), ()))
    # 1 m right and 2 m ahead: 125 and 250 thousandths of 8 m.
    assert facts.options["ABCD".index(facts.answer.text)] == "(625, 250)"
    assert set(facts.options) == {"(625, 250)", "(375, 250)", "(625, 750)", "(375, 750)"}
    assert ask("camera_on_map", views, Row((0, 2), ())) == "distance_range"
    apart = views_all(overlap=set())
    assert ask("camera_on_map", apart, Row((0, 1), ())) == "no_overlap"


OPPOSITE = {"left": "right", "right": "left"}


@pytest.mark.parametrize("seed", fresh_seeds(2))
def test_worlds_that_are_turned_mirrored_or_measured_again(seed: int) -> None:
    rng = np.random.default_rng(seed)
    answered: set[str] = set()
    for _ in range(3):
        things, poses = random_room(rng, names="abcdefghij", frames=6)
        seen = [{t.object_id for t in things}] * len(poses)
        plain = views_of(things, poses, seen)
        others = {
            "turned": views_of(*in_world(things, poses, random_world(rng)), seen),
            "mirrored": views_of(*in_world(things, poses, random_world(rng, mirror=True)), seen),
            "again": views_of(things, poses, seen, measures=AGAIN),
        }
        for engine in PERSPECTIVE:
            for row in list(engine.possible(plain))[:80]:
                found = engine.ask(plain, row)
                for name, views in others.items():
                    other = engine.ask(views, row)
                    if isinstance(found, Rejection) or isinstance(other, Rejection):
                        assert name != "again" or type(other) is type(found)
                        continue
                    answered.add(engine.quantity)
                    if engine.quantity == "camera_on_map":
                        flip = -1.0 if name == "mirrored" else 1.0
                        assert other.value == pytest.approx((flip * found.value[0], found.value[1]))
                    else:
                        assert other.value == found.value
                    if name == "mirrored" and engine.of_walk:
                        slots = [engine.tell(v, row, f).slots for v, f in
                                 ((plain, found), (views, other))]  # fmt: skip
                        said = slots[0].get("turn") or slots[0]["side"]
                        swapped = " ".join(OPPOSITE.get(word, word) for word in said.split())
                        assert (slots[1].get("turn") or slots[1]["side"]) == swapped
    assert answered >= {"object_at", "after_turn", "camera_on_map"}
