# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spatial_engine.engines import subject_of
from spatialmllm.training.conversations import conversation_key, deal


@given(
    groups=st.lists(st.sampled_from("abcdef"), max_size=40),
    turns=st.integers(1, 6),
    epoch=st.integers(0, 3),
)
def test_every_record_once_and_no_group_twice(groups, turns, epoch):
    hands = deal(groups, turns, seed=3, epoch=epoch, key="k")
    assert sorted(i for hand in hands for i in hand) == list(range(len(groups)))
    for hand in hands:
        assert len(hand) <= turns
        assert len({groups[i] for i in hand}) == len(hand)
    assert len(hands) == len(deal(groups, turns, seed=3, epoch=epoch + 1, key="k"))


def test_the_order_depends_on_seed_epoch_and_key():
    groups = [str(i) for i in range(30)]
    made = deal(groups, 6, seed=0, epoch=0, key="k")
    assert made == deal(groups, 6, seed=0, epoch=0, key="k")
    assert made != deal(groups, 6, seed=0, epoch=1, key="k")
    assert made != deal(groups, 6, seed=1, epoch=0, key="k")
    assert made != deal(groups, 6, seed=0, epoch=0, key="l")


@pytest.mark.parametrize(
    ("first", "second", "joined"),
    [
        ("camera_movement.x_direction", "camera_movement.vector", True),
        ("camera_movement.yaw_angle", "camera_movement.yaw_direction", True),
        ("camera_movement.yaw_angle", "camera_movement.pitch_angle", False),
        ("camera_movement.distance", "camera_movement.yaw_angle", False),
        ("depth_perception.value.marked", "depth_perception.comparison.marked", True),
        ("object_perception.height", "object_perception.width", True),
        ("object_movement.distance.marked", "object_movement.vector.marked", True),
        ("spatial_relation.nearer", "scene_layout.object_count", True),
    ],
)
def test_joined_facts(fabricated, first, second, joined):
    from spatial_engine.records.answers import word

    records = [
        fabricated.make_record(task, "room", ["a.png"], "Which?", word("left"))
        for task in (first, second)
    ]
    assert (subject_of(records[0]) == subject_of(records[1])) == joined


def test_other_objects_are_other_facts_and_other_marks_other_images(fabricated):
    from spatial_engine.records.answers import Mark, word

    def make(**options):
        return fabricated.make_record(
            "spatial_relation.nearer", "room", ["a.png"], "Which?", word("left"), **options
        )

    assert subject_of(make(items=(1, 2))) != subject_of(make(items=(1, 3)))
    assert subject_of(make(items=(1, 2))) == subject_of(make(items=(2, 1)))
    assert conversation_key(make()) == conversation_key(make(items=(5,)))
    assert conversation_key(make()) != conversation_key(make(marks=[Mark(20, 20, 4, "red")]))
