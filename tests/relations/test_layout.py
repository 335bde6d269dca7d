# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spatialcore.relations.directions import (
    bearing_deg,
    relative_direction,
)
from spatialcore.relations.layout import (
    LayoutRules,
    Sighting,
    absolute_distance,
    appearance_order,
    first_sightings,
    nearest_of,
    nearest_of_rows,
    object_count,
    object_size,
    relative_distance,
    sole_object,
)
from spatialcore.relations.verdict import Answer, Reason, Rejection
from tests.relations.rooms import block, solid, turn_z
from tests.seeds import fresh_seeds

seeds = st.integers(0, 2**32 - 1)


def spot(object_id, category, x, y, side=0.2):
    return solid(object_id, category, (x, y, 0.5), (side, side, 1.0))


def reason(found):
    assert isinstance(found, Rejection), found
    return found.reason


def test_facing_north_an_object_to_the_east_is_right():
    bed, door, lamp = spot(0, "bed", 0, 0), spot(1, "door", 0, 3), spot(2, "lamp", 2, 0)
    for form, word in (("easy", "right"), ("medium", "right")):
        assert relative_direction(bed, door, lamp, form).value == word
    assert reason(relative_direction(bed, door, lamp, "hard")) == Reason.DIRECTION_BORDER
    assert relative_direction(bed, door, spot(2, "lamp", 2, 1), "hard").value == "front-right"
    assert relative_direction(bed, door, spot(2, "lamp", -2, 1), "hard").value == "front-left"
    assert relative_direction(bed, door, spot(2, "lamp", -2, -1), "hard").value == "back-left"
    assert relative_direction(bed, door, spot(2, "lamp", 2, -1), "hard").value == "back-right"
    behind = spot(2, "lamp", 0.1, -1.5)
    assert relative_direction(bed, door, behind, "medium").value == "back"
    assert reason(relative_direction(bed, door, behind, "easy")) == Reason.BACK_SECTOR


# Where words change, degrees counter-clockwise from ahead.
BORDERS = {"easy": (0, 135, -135), "medium": (0, 135, -135), "hard": (0, 90, 180, -90)}


def sector(angle, form):
    side = "left" if angle > 0 else "right"
    if form == "hard":
        return f"{'front' if abs(angle) < 90 else 'back'}-{side}"
    return "back" if abs(angle) >= 135 else side


@pytest.mark.parametrize("form", ["easy", "medium", "hard"])
def test_borders_are_kept_ten_degrees_away_on_both_sides(form):
    stand, face = spot(0, "a", 0, 0, 0.02), spot(1, "b", 0, 3, 0.02)
    for angle in range(-180, 180):
        at = np.radians(90 + angle)
        item = spot(2, "c", 2 * np.cos(at), 2 * np.sin(at), 0.02)
        found = relative_direction(stand, face, item, form)
        border = min(abs((angle - edge + 180) % 360 - 180) for edge in BORDERS[form])
        if border < 9.9:
            assert reason(found) == Reason.DIRECTION_BORDER
        elif border > 10.1:
            word = sector(angle, form)
            asked = found.value if isinstance(found, Answer) else found.reason
            assert asked == (Reason.BACK_SECTOR if (form, word) == ("easy", "back") else word)


def test_objects_too_near_or_too_far_are_not_asked():
    stand, face = spot(0, "a", 0, 0), spot(1, "b", 0, 3)
    assert (
        reason(relative_direction(stand, face, spot(2, "c", 0.29, 0), "easy")) == "distance_range"
    )
    assert reason(relative_direction(stand, face, spot(2, "c", 5.1, 0), "easy")) == "distance_range"


def test_at_most_two_corners_may_leave_the_sector():
    stand, face = spot(0, "a", 0, 0), spot(1, "b", 0, 3)
    long_desk = solid(2, "desk", (1.0, 1.0, 0.4), (3.0, 0.4, 0.8))
    found = relative_direction(stand, face, long_desk, "easy")
    assert reason(found) == Reason.SECTOR_SPLIT
    assert found.evidence["stray_corners"] == 4


@given(seeds)
@settings(max_examples=60, deadline=None)
def test_mirror_swaps_left_and_right_and_turning_the_world_changes_nothing(seed):
    rng = np.random.default_rng(seed)
    world2 = turn_z(float(rng.uniform(0, 360)), tuple(rng.normal(size=3)))
    items = [solid(k, str(k), rng.uniform(-3, 3, 3), rng.uniform(0.1, 0.5, 3)) for k in range(3)]
    flip = np.diag([-1.0, 1, 1])
    mirrored = [solid(k, str(k), flip @ i.box.center, i.box.size) for k, i in enumerate(items)]
    turned = [
        solid(k, str(k), b.center, b.size, b.R)
        for k, b in enumerate(i.box.turned(world2) for i in items)
    ]
    for form in ("easy", "medium", "hard"):
        first = relative_direction(*items, form)
        if first.evidence.get("border_deg", 90) < 1e-6:
            continue
        same, other = relative_direction(*turned, form), relative_direction(*mirrored, form)
        assert type(first) is type(same) is type(other)
        if isinstance(first, Answer):
            swap = {"left": "right", "right": "left"}
            expected = "-".join(swap.get(w, w) for w in first.value.split("-"))
            assert (same.value, other.value) == (first.value, expected)
        else:
            assert first.reason == same.reason == other.reason


def test_bearing_keeps_its_half_open_range():
    assert bearing_deg((0, 0), (1, 0), (-1, 0)) == 180.0
    assert bearing_deg((0, 0), (1, 0), (-1, -0.0)) == 180.0
    assert bearing_deg((0, 0), (1, 0), (0, 1)) == 90.0


def test_counts_between_two_and_twenty():
    chairs = [spot(k, "chair", k, 0) for k in range(3)]
    found = object_count([*chairs, spot(9, "bed", 0, 2)], "chair")
    assert found.value == 3
    assert found.evidence == {"object_ids": [0, 1, 2], "fragment_ids": []}
    assert reason(object_count(chairs, "chair", seen={0, 2})) == Reason.CATEGORY_NOT_SEEN
    assert object_count(chairs, "chair", seen={0, 1, 2}).value == 3
    assert reason(object_count(chairs[:1], "chair")) == Reason.COUNT_RANGE
    assert reason(object_count(chairs, "sofa")) == Reason.COUNT_RANGE
    assert reason(object_count([spot(k, "x", k, 0) for k in range(21)], "x")) == Reason.COUNT_RANGE


def test_a_crumb_of_a_chair_is_not_a_chair():
    chairs = [solid(k, "chair", (k, 0, 0), (0.6, 0.6, 0.8)) for k in range(4)]
    crumb = solid(7, "chair", (9, 0, 0), (0.2, 0.06, 0.02))
    assert object_count([*chairs, crumb], "chair").evidence["fragment_ids"] == [7]
    assert object_count([*chairs, crumb], "chair").value == 4


def test_sole_object():
    items = [spot(0, "a", 0, 0), spot(1, "b", 0, 0), spot(2, "b", 0, 0)]
    assert sole_object(items, "a") is items[0]
    assert reason(sole_object(items, "b")) == Reason.CATEGORY_NOT_UNIQUE
    assert reason(sole_object(items, "c")) == Reason.CATEGORY_NOT_UNIQUE


def test_absolute_distance_of_vertices_and_of_boxes():
    a, b = block(0, "a", (0, 0, 0.5), (1, 1, 1)), block(1, "b", (3, 0, 0.5), (1, 1, 1))
    found = absolute_distance(a, b)
    assert found.value == pytest.approx(2.0)
    assert found.evidence["from"] == "vertices"
    boxed = solid(1, "b", (3, 0, 0.5), (1, 1, 1))
    assert absolute_distance(a, boxed).evidence["from"] == "boxes"
    assert reason(absolute_distance(a, block(1, "b", (1.1, 0, 0.5), (1, 1, 1)))) == "distance_range"
    assert reason(absolute_distance(a, solid(1, "b", (12, 0, 0), (1, 1, 1)))) == "distance_range"


def test_relative_distance_takes_the_nearest_instance_and_keeps_its_margins():
    primary = spot(0, "tv", 0, 0)
    near = {
        "chair": [spot(1, "chair", 5, 0), spot(2, "chair", 1, 0)],
        "bed": [spot(3, "bed", 2, 0)],
    }
    found = relative_distance(primary, near)
    assert found.value == "chair"
    assert found.evidence["gaps_m"] == pytest.approx({"chair": 0.8, "bed": 1.8})
    close = near | {"sofa": [spot(4, "sofa", 0, 1.1)]}
    assert reason(relative_distance(primary, close)) == Reason.DISTANCE_GAP
    apart = near | {"sofa": [spot(4, "sofa", 0, 1.25)]}
    assert relative_distance(primary, apart).value == "chair"
    assert reason(relative_distance(primary, apart, room_area_m2=41.0)) == Reason.DISTANCE_GAP
    far = {"chair": [spot(1, "chair", 4, 0)], "bed": [spot(3, "bed", 4.8, 0)]}
    assert reason(relative_distance(primary, far)) == Reason.DISTANCE_GAP  # 3.8 m and 4.6 m
    touching = near | {"rug": [spot(5, "rug", 0, 0.2)]}
    assert reason(relative_distance(primary, touching)) == Reason.DISTANCE_RANGE
    with pytest.raises(ValueError, match="two categories"):
        relative_distance(primary, {"chair": near["chair"]})


def test_object_size_is_the_longest_side_of_the_turned_box():
    desk = solid(0, "desk", (0, 0, 0), (0.6, 1.4, 0.7), turn_z(30)[:3, :3])
    assert object_size(desk).value == 1.4
    assert reason(object_size(solid(0, "pen", (0, 0, 0), (0.09, 0.01, 0.01)))) == "object_small"


def test_first_sightings_by_threshold_and_by_glimpse():
    found = first_sightings(
        [[0, 5, 30, 0], [0, 0, 0, 60], [0, 0, 1, 0]], [100, 1001, 40], ["chair", "chair", "bed"]
    )
    assert found["chair"] == Sighting("chair", 2, 1)
    assert found["bed"] == Sighting("bed", None, 2)
    # 5 % of 1001 vertices are 51 rounded up.
    assert first_sightings([[50, 51]], [1001], ["x"])["x"].seen == 1
    # Who looks at the frames may know better than the counts.
    told = first_sightings([[60, 60, 60]], [100], ["x"], shown=[[False, False, True]])
    assert told["x"] == Sighting("x", 2, 0)
    with pytest.raises(ValueError, match="disagree"):
        first_sightings([[1]], [1, 2], ["x"])
    with pytest.raises(ValueError, match="disagree"):
        first_sightings([[1]], [1], ["x"], shown=[[True, False]])


def test_appearance_order_and_its_guards():
    def order(*rows, times=None):
        return appearance_order([Sighting(*row) for row in rows], times=times)

    assert order(("b", 4, 2), ("a", 0, 0)).value == ("a", "b")
    assert reason(order(("b", 1, 1), ("a", 0, 0))) == Reason.ORDER_AMBIGUOUS
    assert reason(order(("b", 4, 0), ("a", 2, 1))) == Reason.ORDER_AMBIGUOUS
    assert reason(order(("b", 4, 1), ("a", 2, 1))) == Reason.ORDER_AMBIGUOUS
    assert reason(order(("b", None, 1), ("a", 2, 1))) == Reason.CATEGORY_NOT_SEEN
    rows = (("b", 2, 2), ("a", 0, 0))
    assert order(*rows, times=[0.0, 0.5, 1.0]).value == ("a", "b")
    assert reason(order(*rows, times=[0.0, 0.4, 0.9])) == Reason.ORDER_AMBIGUOUS
    with pytest.raises(ValueError, match="distinct"):
        order(("a", 1, 1), ("a", 3, 3))


def test_rules_are_data():
    rules = LayoutRules(min_count=1)
    assert object_count([spot(0, "a", 0, 0)], "a", rules=rules).value == 1


@pytest.mark.parametrize("room_area_m2", [None, 20.0, 80.0])
def test_the_nearest_of_many_rows_is_that_of_each(room_area_m2):
    gaps = np.random.default_rng(fresh_seeds(1)[0]).uniform(0, 2, (300, 4)).round(1)
    gaps[:100, 1:] += 0.9  # so that some have an answer
    reason, nearest = nearest_of_rows(gaps, room_area_m2=room_area_m2)
    for row, why, column in zip(gaps.tolist(), reason.tolist(), nearest.tolist(), strict=True):
        found = nearest_of(1, dict(zip("abcd", row, strict=True)), room_area_m2=room_area_m2)
        assert why == (str(found.reason) if isinstance(found, Rejection) else "")
        assert why or found.value == "abcd"[column]
    assert set(reason.tolist()) == {"", "distance_gap", "distance_range"}
