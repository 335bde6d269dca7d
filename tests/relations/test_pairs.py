# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from spatialcore.relations.pairs import (
    image_side,
    level_axes,
    near_far,
    nearer,
    topological,
    vertical,
    view_direction,
)
from spatialcore.relations.sizes import plain_size, size_relation
from spatialcore.relations.verdict import Reason, Rejection
from spatialcore.types import Camera, invert_pose
from tests.relations.rooms import block, moved, shell, solid, table, turn_z

# A camera at the origin, 1.5 m up, looking north (+y): image right is east.
NORTH = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 1.5], [0, 0, 0, 1]])


def reason(found):
    assert isinstance(found, Rejection), found
    return found.reason


def test_a_cup_in_a_box():
    crate = block(0, "box", (0, 0, 0.3), (0.6, 0.6, 0.6))
    cup = block(1, "cup", (0.05, 0, 0.3), (0.1, 0.1, 0.1), spacing=0.02)
    found = topological(crate, cup)
    assert found.value == "contains"
    assert found.evidence["inside_share"] == 1.0
    assert topological(cup, crate).value == "inside"
    # A coin is too small to ask about.
    coin = block(2, "coin", (0.05, 0, 0.3), (0.1, 0.1, 0.01), spacing=0.02)
    assert reason(topological(crate, coin)) == Reason.OBJECT_SMALL
    # As large as its container: the two share a place, neither contains the other.
    twin = block(3, "case", (0, 0, 0.3), (0.58, 0.58, 0.58))
    assert topological(crate, twin).value == "intersects"


def test_a_chair_under_a_table_without_contact_does_not_intersect():
    chair = block(1, "chair", (0.0, 0.2, 0.3), (0.4, 0.4, 0.6))
    found = topological(table(), chair)
    assert found.value == "adjacent"
    assert found.evidence["penetration_m"] >= 0.03
    assert found.evidence["gap_m"] > 0.05
    pushed = block(1, "chair", (0.0, 0.2, 0.345), (0.4, 0.4, 0.69))
    assert topological(table(), pushed).value == "intersects"


def test_a_lamp_on_a_desk_is_adjacent_and_above():
    desk = block(0, "desk", (0, 0, 0.36), (1.4, 0.7, 0.72))
    lamp = block(1, "lamp", (0.3, 0, 0.97), (0.2, 0.2, 0.5))
    assert topological(desk, lamp).value == "adjacent"
    assert vertical(lamp, desk).value == "above"
    assert vertical(desk, lamp).value == "below"
    ceiling = block(2, "ceiling light", (0.3, 0, 2.4), (0.3, 0.3, 0.1))
    assert vertical(ceiling, desk).value == "above"
    assert topological(ceiling, desk).value == "disjoint"
    aside = block(3, "ceiling light", (0.95, 0, 2.4), (0.3, 0.3, 0.1))
    assert reason(vertical(aside, desk)) == Reason.DEAD_ZONE


def test_gaps_between_adjacent_and_disjoint_are_not_asked():
    a = block(0, "a", (0, 0, 0.5), (1, 1, 1))
    for gap, word in ((0.1, "adjacent"), (0.145, None), (0.2, None), (0.4, "disjoint")):
        b = block(1, "b", (1 + gap, 0, 0.5), (1, 1, 1))
        found = topological(a, b)
        assert (reason(found) if word is None else found.value) == (word or Reason.DEAD_ZONE)


def test_turned_boxes_are_parted_by_their_own_axes():
    # Two boards at 45 degrees: their room-aligned boxes overlap, they do not.
    turned = turn_z(45)
    a = moved(shell((0, 0, 0.5), (2, 0.1, 1)), turned)
    b = moved(shell((0, 0.6, 0.5), (2, 0.1, 1)), turned)
    from spatialcore.relations.scene_object import SceneObject

    found = topological(SceneObject(0, "a", points=a), SceneObject(1, "b", points=b))
    assert found.value == "disjoint"
    assert found.evidence["penetration_m"] == pytest.approx(-0.5)


def test_directions_as_a_viewer_sees_them():
    a = block(0, "a", (0, 3, 0.5), (0.4, 0.4, 1))
    assert (
        view_direction(a, block(1, "b", (1, 3, 0.5), (0.4, 0.4, 1)), NORTH, "side").value == "right"
    )
    assert (
        view_direction(a, block(1, "b", (-1, 3, 0.5), (0.4, 0.4, 1)), NORTH, "side").value == "left"
    )
    far = block(1, "b", (0.2, 4.5, 0.5), (0.4, 0.4, 1))
    assert view_direction(a, far, NORTH, "depth").value == "behind"
    assert view_direction(far, a, NORTH, "depth").value == "in front"
    assert reason(view_direction(a, far, NORTH, "side")) == Reason.DEAD_ZONE
    oblique = block(1, "b", (0.6, 4.5, 0.5), (0.4, 0.4, 1))
    assert reason(view_direction(a, oblique, NORTH, "side")) == Reason.DEAD_ZONE
    # From the south side of the room the other way round.
    south = turn_z(180) @ NORTH
    assert (
        view_direction(a, block(1, "b", (1, 3, 0.5), (0.4, 0.4, 1)), south, "side").value == "left"
    )


def test_steep_and_broken_views_have_no_level_axes():
    down = np.array([[1.0, 0, 0, 0], [0, -1, 0, 0], [0, 0, -1, 2], [0, 0, 0, 1]])
    assert reason(level_axes(down)) == Reason.STEEP_VIEW
    assert reason(level_axes(np.full((4, 4), -np.inf))) == Reason.POSE_INVALID
    right, forward = level_axes(NORTH)
    assert (right.tolist(), forward.tolist()) == ([1, 0, 0], [0, 1, 0])
    with pytest.raises(ValueError, match="axis"):
        view_direction(table(), table(1), NORTH, "up")


def test_image_side_keeps_clear_of_the_middle():
    camera = Camera(np.array([[500.0, 0, 319.5], [0, 500, 239.5], [0, 0, 1]]), 640, 480)
    cam_from_world = invert_pose(NORTH)

    def side(x, y=3.0):
        return image_side(solid(0, "a", (x, y, 1.5), (0.1, 0.1, 0.1)), camera, cam_from_world)

    assert side(1.0).value == "right"
    assert side(-1.0).value == "left"
    assert side(1.0).evidence["u"] == pytest.approx(319.5 + 500 / 3)
    assert reason(side(0.2)) == Reason.DEAD_ZONE
    assert reason(side(3.0)) == Reason.NO_VISIBLE_POINTS
    assert reason(side(0.5, -3.0)) == Reason.NO_VISIBLE_POINTS


def test_near_far_and_nearer():
    a = solid(0, "a", (0, 0, 0), (1, 1, 1))
    assert near_far(a, solid(1, "b", (1.9, 0, 0), (1, 1, 1))).value == "near"
    assert reason(near_far(a, solid(1, "b", (3, 0, 0), (1, 1, 1)))) == Reason.DEAD_ZONE
    assert near_far(a, solid(1, "b", (4.1, 0, 0), (1, 1, 1))).value == "far"
    one, two = solid(1, "b", (2, 0, 0), (1, 1, 1)), solid(2, "c", (0, 2.24, 0), (1, 1, 1))
    assert reason(nearer(a, one, two)) == Reason.DEAD_ZONE
    three = solid(3, "d", (0, 2.3, 0), (1, 1, 1))
    assert nearer(a, one, three).value == "nearer"
    assert nearer(a, three, one).value == "farther"


def test_sizes():
    a, b = solid(0, "a", (0, 0, 0), (1, 1, 1)), solid(1, "b", (0, 0, 0), (1, 1, 1.05))
    assert size_relation(a, b).value == "similar"
    # Another fit of the same scan may say 1.11 of what this one has as 1.09.
    nearly = solid(1, "b", (0, 0, 0), (1, 1, 1.09))
    assert reason(size_relation(a, nearly, by="height")) == Reason.DEAD_ZONE
    # By volume: the cubes of equal content have sides of 1, 1.12 and 1.26 m.
    assert reason(size_relation(a, solid(1, "b", (0, 0, 0), (1, 1, 1.4)))) == Reason.DEAD_ZONE
    assert size_relation(a, solid(1, "b", (0, 0, 0), (1, 1, 2))).value == "smaller"
    sheet = solid(2, "poster", (0, 0, 0), (2, 0, 1))
    assert size_relation(sheet, a).value == "smaller"
    assert size_relation(sheet, a, by="longest_side").value == "larger"
    assert size_relation(sheet, a, by="floor_area").value == "smaller"  # 2 m by 2 cm
    assert size_relation(sheet, a, by="height").value == "similar"
    assert reason(plain_size(sheet, a)) == Reason.SIZE_DISAGREES
    cup, mug = (
        solid(3, "cup", (0, 0, 0), (0.1, 0.1, 0.1)),
        solid(4, "mug", (0, 0, 0), (0.1, 0.1, 0.19)),
    )
    assert reason(size_relation(cup, mug, by="height")) == Reason.DEAD_ZONE  # 9 cm
    assert plain_size(cup, a).value == "smaller"
    assert plain_size(a, cup).value == "larger"
    assert reason(plain_size(cup, mug)) == Reason.DEAD_ZONE
    with pytest.raises(ValueError, match="by must"):
        size_relation(a, b, by="weight")
