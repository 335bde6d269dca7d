# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import numpy as np
import pytest

from spatialcore.io.open import open_source
from spatialcore.relations.room import RoomRules, room_size, thin_points
from spatialcore.relations.verdict import Reason, Rejection
from tests.relations.rooms import floor_points, moved, room_points, shell, turn_z

RECTANGLE = [(0, 0), (5, 0), (5, 4), (0, 4)]
L_SHAPE = [(0, 0), (6, 0), (6, 3), (3, 3), (3, 5), (0, 5)]


def scan(polygon, keep=None, spacing=0.03):
    """Floor and walls of a room; `keep` drops floor points that the scan missed."""
    xy = np.array(polygon, float)
    floor = floor_points(*xy.max(axis=0), spacing=spacing)
    inside = np.zeros(len(floor), bool)
    for (x0, y0), (x1, y1) in zip(xy, np.roll(xy, -1, axis=0), strict=True):
        crosses = (y0 > floor[:, 1]) != (y1 > floor[:, 1])
        with np.errstate(divide="ignore", invalid="ignore"):
            at = x0 + (floor[:, 1] - y0) * (x1 - x0) / (y1 - y0)
        inside ^= crosses & (floor[:, 0] < at)
    floor = floor[inside]
    if keep is not None:
        floor = floor[keep(floor)]
    return np.concatenate([floor, room_points(polygon)])


def reason(found):
    assert isinstance(found, Rejection), found
    return found.reason


@pytest.mark.parametrize(("polygon", "area"), [(RECTANGLE, 20.0), (L_SHAPE, 24.0)])
@pytest.mark.parametrize("angle", [0, 17, 90])
def test_whole_rooms(polygon, area, angle):
    points = moved(scan(polygon), turn_z(angle, (3.1, -2.7, 0.4)))
    assert room_size(points).value == pytest.approx(area, rel=0.02)
    assert room_size(points[:, :2]).value == pytest.approx(area, rel=0.02)


def test_floor_hidden_by_furniture_counts():
    def seen(floor):
        bed = (abs(floor[:, 0] - 2.5) < 0.8) & (abs(floor[:, 1] - 2) < 0.9)
        wardrobe = (floor[:, 0] < 0.6) & (floor[:, 1] < 1.8)
        return ~bed & ~wardrobe

    found = room_size(scan(RECTANGLE, seen))
    assert found.value == pytest.approx(20.0, rel=0.02)
    assert found.evidence["holes_m2"] > 3.0
    # The top of a bed covers the floor below it.
    covered = np.concatenate([scan(RECTANGLE, seen), shell((2.5, 2, 0.3), (1.6, 1.8, 0.5))])
    assert room_size(covered).evidence["holes_m2"] < 1.5


def test_a_yard_is_no_floor():
    ring = scan([(0, 0), (8, 0), (8, 8), (0, 8)], lambda f: (abs(f[:, :2] - 4) > 2.5).any(axis=1))
    assert reason(room_size(ring)) == Reason.ROOM_UNSTABLE


def test_a_scan_that_ends_before_the_walls_is_refused():
    points = scan(RECTANGLE)
    half = points[points[:, 0] < 2.5]
    found = room_size(half)
    assert reason(found) == Reason.ROOM_OPEN
    assert found.evidence["open_share"] == pytest.approx(4 / 13, abs=0.04)
    assert reason(room_size(points[points[:, 2] < 0.5])) == Reason.ROOM_OPEN


def test_small_and_empty_rooms_are_refused():
    assert reason(room_size(scan([(0, 0), (1.9, 0), (1.9, 2), (0, 2)]))) == Reason.ROOM_SMALL
    assert reason(room_size(np.zeros((0, 3)))) == Reason.ROOM_SMALL
    assert reason(room_size(np.zeros((50, 3)))) == Reason.ROOM_SMALL
    assert reason(room_size([(0, 0), (1, 1), (2, 2)])) == Reason.ROOM_SMALL


def test_order_of_points_does_not_change_a_bit():
    points = scan(L_SHAPE)
    shuffled = points[np.random.default_rng(1).permutation(len(points))]
    assert room_size(points) == room_size(shuffled)


def test_thin_points_are_means_of_cells():
    assert thin_points([(0.01, 0.01), (0.03, 0.02), (0.06, 0.0)], 0.05) == pytest.approx(
        np.array([(0.02, 0.015), (0.06, 0.0)])
    )


def test_furnished_rooms_are_read_within_three_percent(sample_dir):
    source = open_source(sample_dir / "scannet")
    for room in source.scene_ids():
        truth = json.loads((sample_dir / f"scannet/scans/{room}/ground_truth.json").read_text())
        area = room_size(source.open(room).read_cloud().points_world)
        assert area.value == pytest.approx(truth["area_m2"], rel=0.03)


def test_callers_mistakes():
    with pytest.raises(ValueError, match="shape"):
        room_size(np.zeros((3, 4)))
    with pytest.raises(ValueError, match="finite"):
        room_size([(0, np.nan)])
    with pytest.raises(ValueError, match="check_alpha"):
        RoomRules(alpha=0.6)
