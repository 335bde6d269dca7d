# SPDX-License-Identifier: Apache-2.0
"""Places that words name: by hand, on random floors against plain geometry, and who arrives."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from scipy.ndimage import label

from spatialcore.relations.free_space import FreeSpace, free_space, roomy
from spatialcore.relations.starts import arrivals, possible_starts, start_place
from spatialcore.relations.verdict import Answer, Rejection
from spatialcore.relations.walks import DEFAULT_RULES, Step
from tests.relations.rooms import block, floor_points, room_points

BED, DESK = block(1, "bed", (1, 2, 0.3), (1.0, 2.0, 0.6)), block(2, "desk", (4, 2, 0.4), (1, 1, 1))


def room(*items) -> FreeSpace:
    corners = [(0.01, 0.01), (5.01, 0.01), (5.01, 4.01), (0.01, 4.01)]
    points = [floor_points(5, 4), room_points(corners), *(item.points for item in items)]
    space = free_space(np.concatenate(points))
    assert isinstance(space, FreeSpace)
    return space


def test_a_place_by_hand() -> None:
    """The bed ends at x = 1.5; the line to the desk runs along y = 2."""
    space = roomy(room(BED, DESK), 0.2)
    found = start_place(space, BED, DESK)
    assert isinstance(found, Answer)
    assert found.value.gap_m == 0.4  # 0.3 m is free, but leaves no room for a slip
    assert found.value.xy == pytest.approx((1.9, 2.0), abs=0.01)
    assert space.free[found.value.cell]
    mirrored = start_place(space, DESK, BED)
    assert isinstance(mirrored, Answer)
    assert mirrored.value.xy == pytest.approx((3.5 - mirrored.value.gap_m, 2.0), abs=0.01)


def test_no_place_between_things_that_touch_or_stand_close() -> None:
    near = block(2, "desk", (2.4, 2, 0.4), (1, 1, 1))
    for other in (near, block(2, "desk", (1.8, 2, 0.4), (0.6, 1, 1))):
        found = start_place(room(BED, other), BED, other)
        assert isinstance(found, Rejection)
        assert found.reason == "no_start"


@pytest.mark.parametrize("seed", range(4))
def test_possible_starts_are_one_region_within_the_slack(seed: int) -> None:
    rng = np.random.default_rng(seed)
    space = room(BED, DESK)
    space = dataclasses.replace(space, passable=rng.random(space.passable.shape) < 0.7)
    for _ in range(50):
        xy = rng.uniform((0.2, 0.2), (4.8, 3.8))
        slack = rng.uniform(0.05, 0.5)
        cells = np.argwhere(space.passable)
        near = cells[np.hypot(*(space.centers(cells) - xy).T) <= slack]
        mask = np.zeros_like(space.passable)
        mask[tuple(near.T)] = True
        regions, _ = label(mask)
        own = space.cell_at(xy)
        expected = space.centers(np.argwhere((regions == regions[own]) & mask[own]))
        found = possible_starts(space, xy, slack)
        assert found[0] == tuple(xy)
        np.testing.assert_allclose(np.array(found[1:]).reshape(-1, 2), expected.reshape(-1, 2))


def test_arrivals_are_counted_and_room_keeps_a_slip_on_the_floor() -> None:
    space = room(BED, DESK)
    tight = roomy(space, 0.2)
    for row, column in np.argwhere(tight.free)[::40]:
        x, y = space.center((row, column))
        for angle in np.linspace(0, 2 * math.pi, 9):
            slip = (x + 0.16 * math.cos(angle), y + 0.16 * math.sin(angle))
            assert space.passable[space.cell_at(slip)]
    starts, face, goal = [(2.0, 1.0), (2.0, 1.2), (2.0, 1.9)], (2.0, 4.0), (2.0, 2.0)
    steps = [Step("straight", 1.0, angle_deg=0)]
    assert arrivals(space, starts, face, goal, steps) == pytest.approx(2 / 3)
    assert arrivals(space, starts, face, goal, steps, rules=dataclasses.replace(
        DEFAULT_RULES, goal_m=1.0)) == 1.0  # fmt: skip
    assert space.cell_at((-5.0, 0.0)) is None
