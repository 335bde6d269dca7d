# SPDX-License-Identifier: Apache-2.0
"""What no image puts together: numbers by hand, guards, and answers that hold in any order."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from spatial_engine.engines.candidates import Row
from spatial_engine.engines.contents import ANY, content_of, number_stratum
from spatial_engine.engines.cross_view import OPEN
from spatial_engine.engines.view_set import connected, shortest_chains
from spatialcore.relations.verdict import Answer, Rejection
from tests.engines.views_by_hand import AGAIN, in_world, random_room, random_world, views_of
from tests.index.scenes import look
from tests.relations.rooms import block
from tests.seeds import fresh_seeds

BY_NAME = {engine.quantity: engine for engine in OPEN}
THINGS = [
    block(1, "lamp", (0.0, 0.0, 1.0), (0.2, 0.2, 0.2)),
    block(2, "desk", (0.0, 3.0, 1.0), (0.2, 0.2, 0.2)),
    block(3, "sink", (4.0, 2.0, 1.0), (0.2, 0.2, 0.2)),
]
POSES = [look((1.0, -1.0, 1.0), 90), look((2.0, -1.0, 1.0), 60), look((3.0, -1.0, 1.0), 30)]
SEEN = [{1, 2}, set(), {3}]
LINKED = {(0, 1), (1, 2)}


def ask(quantity: str, views, row: Row):
    found = BY_NAME[quantity].ask(views, row)
    return found.value if isinstance(found, Answer) else str(found.reason)


def test_by_hand_and_in_every_order_of_the_images() -> None:
    views = views_of(THINGS, POSES, SEEN, overlap=LINKED)
    for frames in permutations((0, 1, 2)):
        # From the lamp to the sink: 3.8 m and 1.8 m between their nearest edges.
        assert ask("object_distance", views, Row(frames, (1, 3))) == pytest.approx(
            np.hypot(3.8, 1.8), abs=1e-6
        )
        # Standing at the lamp, the desk is north; the sink is east by 27 degrees north.
        assert ask("object_direction", views, Row(frames, (1, 2, 3))) == "front-right"
        assert ask("object_direction", views, Row(frames, (2, 1, 3))) == "front-left"
        assert ask("camera_distance", views, Row(frames, (0, 2))) == pytest.approx(2.0)
        assert ask("camera_direction", views, Row(frames, (0, 2))) == "right"
        # Camera 2 looks 30 degrees north of east; camera 0 is west: 150 degrees round.
        assert ask("camera_direction", views, Row(frames, (2, 0))) == "behind"


def test_a_distance_is_balanced_by_the_number_of_images_and_a_name() -> None:
    """More images lead farther; which of the two names counts does not depend on their order."""
    views, engine = views_of(THINGS, POSES, SEEN, overlap=LINKED), BY_NAME["object_distance"]
    counts, names = (3, 4, 5, 6), ("lamp", "sink")
    content = {(n, name): content_of(f"{n} images", name) for n in counts for name in names}
    drawn = set()
    for n in counts:
        for first in range(20):
            frames = tuple(range(first, first + n))
            stratum, found = engine.said(views, Row(frames, (1, 3)), 2.5)
            assert stratum == number_stratum(2.5, 0.1)
            assert engine.said(views, Row(frames[::-1], (1, 3)), 2.5) == (stratum, found)
            (told,) = (key for key, value in content.items() if value == found)
            assert told[0] == n
            drawn.add(told[1])
    assert drawn == set(names)
    assert BY_NAME["camera_distance"].said(views, Row((0, 1, 2), (0, 2)), 2.5)[1] == ANY


def test_images_have_to_hang_together_and_show_nothing_together() -> None:
    loose = views_of(THINGS, POSES, SEEN, overlap={(0, 1)})
    assert ask("object_distance", loose, Row((0, 1, 2), (1, 3))) == "no_overlap"
    assert ask("camera_distance", loose, Row((0, 1, 2), (0, 2))) == "no_overlap"
    both = views_of(THINGS, POSES, [{1, 2}, {1, 3}, {3}], overlap=LINKED)
    assert ask("object_distance", both, Row((0, 1, 2), (1, 3))) == "view_shared"
    assert ask("object_direction", both, Row((0, 1, 2), (1, 2, 3))) == "view_shared"
    near = views_of(THINGS, POSES, SEEN, overlap={*LINKED, (0, 2)})
    assert ask("camera_distance", near, Row((0, 1, 2), (0, 2))) == "view_shared"
    split = views_of(THINGS, POSES, [{1}, {2}, {3}], overlap=LINKED)
    assert ask("object_direction", split, Row((0, 1, 2), (1, 2, 3))) == "category_not_seen"


def test_a_direction_near_its_border_is_not_told() -> None:
    for yaw, word in ((45.0 - 9.0, "direction_border"), (45.0 - 11.0, "ahead"),
                      (45.0 + 9.0, "direction_border"), (45.0 + 11.0, "right")):  # fmt: skip
        poses = [look((0, 0, 1), yaw), POSES[1], look((2, 0, 1), 30)]
        views = views_of(THINGS, poses, SEEN, overlap=LINKED)
        assert ask("camera_direction", views, Row((0, 1, 2), (0, 2))) == word


def test_chains_are_shortest_and_of_three_to_six_images() -> None:
    line = {(k, k + 1) for k in range(7)} | {(0, 2)}
    views = views_of(THINGS, [POSES[0]] * 8, [set()] * 8, overlap=line)
    chains = {(c[0], c[-1]): c for c in shortest_chains(views)}
    assert chains[0, 3] == (0, 2, 3)
    assert chains[0, 6] == (0, 2, 3, 4, 5, 6)
    assert (0, 7) not in chains
    assert (0, 1) not in chains
    assert all(connected(views, chain[::-1]) for chain in chains.values())
    assert not connected(views, (0, 1, 3))


OPPOSITE = {
    "left": "right", "right": "left", "front-left": "front-right", "front-right": "front-left",
    "back-left": "back-right", "back-right": "back-left",
}  # fmt: skip


@pytest.mark.parametrize("seed", fresh_seeds(2))
def test_worlds_that_are_turned_mirrored_reordered_or_measured_again(seed: int) -> None:
    rng = np.random.default_rng(seed)
    answered: set[str] = set()
    for _ in range(3):
        things, poses = random_room(rng, frames=5)
        seen = [{t.object_id for t in things[k::5]} | {t.object_id for t in things[k + 5 :]}
                for k in range(5)]  # fmt: skip
        link = {(k, k + 1) for k in range(4)}
        plain = views_of(things, poses, seen, overlap=link)
        others = {
            "turned": views_of(*in_world(things, poses, random_world(rng)), seen, overlap=link),
            "mirrored": views_of(
                *in_world(things, poses, random_world(rng, mirror=True)), seen, overlap=link
            ),
            "again": views_of(things, poses, seen, overlap=link, measures=AGAIN),
        }
        for engine in OPEN:
            for row in engine.possible(plain):
                found = engine.ask(plain, row)
                if isinstance(found, Answer):
                    back = engine.ask(plain, Row(row.frames[::-1], row.items))
                    assert back.value == found.value
                for name, views in others.items():
                    other = engine.ask(views, row)
                    if isinstance(found, Rejection) or isinstance(other, Rejection):
                        assert name != "again" or type(other) is type(found)
                        continue
                    answered.add(engine.quantity)
                    wanted = found.value
                    if isinstance(wanted, str):
                        turned = OPPOSITE.get(wanted, wanted) if name == "mirrored" else wanted
                        assert other.value == turned
                    else:
                        assert other.value == pytest.approx(wanted, abs=1e-6)
    assert answered >= {"object_distance", "camera_distance", "camera_direction"}
