# SPDX-License-Identifier: Apache-2.0
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spatialcore.index.frames import (
    index_world,
    pair_distance,
    wrap_deg,
    yaw_pitch_deg,
    zup_rotation,
)
from tests.index.scenes import look


def test_z_up_stays_as_it_is_and_other_axes_turn_by_exact_quarters():
    assert np.array_equal(zup_rotation((0, 0, 2)), np.eye(4))
    assert zup_rotation((0, 1, 0))[:3, :3].tolist() == [[1, 0, 0], [0, 0, -1], [0, 1, 0]]
    assert zup_rotation((0, 0, -1))[:3, :3].tolist() == [[1, 0, 0], [0, -1, 0], [0, 0, -1]]
    assert zup_rotation((1, 0, 0))[:3, :3].tolist() == [[0, 0, -1], [0, 1, 0], [1, 0, 0]]


unit = st.floats(-1, 1)


@given(unit, unit, unit)
def test_the_shortest_arc_takes_up_to_z(x: float, y: float, z: float):
    up = np.array([x, y, z])
    length = float(np.sqrt((up * up).sum()))
    if length < 1e-3 or z / length < -0.999999:
        return
    R = zup_rotation(up)[:3, :3]
    np.testing.assert_allclose(R @ up / length, [0, 0, 1], atol=1e-9)
    np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-9)
    # The shortest arc leaves the axis up x z where it is.
    axis = np.array([up[1], -up[0], 0.0])
    np.testing.assert_allclose(R @ axis, axis, atol=1e-9)


@pytest.mark.parametrize("up", [(0, 0, 0), (1, 0), (math.nan, 0, 1)])
def test_a_wrong_up_is_an_error(up):
    with pytest.raises(ValueError, match="world_up"):
        zup_rotation(up)


def test_alignment_comes_after_the_turn():
    shift = np.eye(4)
    shift[:3, 3] = (1, 2, 3)
    world = index_world((0, 1, 0), shift)
    # Source (0, 5, 0) is 5 m up; the shift moves it in the turned world.
    np.testing.assert_array_equal(world.aligned_from_world @ [0, 5, 0, 1], [1, 2, 8, 1])


def test_yaw_is_counter_clockwise_from_above_and_pitch_is_up():
    assert yaw_pitch_deg(look((0, 0, 0), 30, 20)) == pytest.approx((30, 20))
    assert yaw_pitch_deg(look((0, 0, 0), 179, -45)) == pytest.approx((179, -45))


def test_differences_wrap_into_half_open_range():
    assert wrap_deg([190.0, -190.0, 180.0, -180.0, 0.0]).tolist() == [-170, 170, 180, 180, 0]


def test_distance_between_cameras():
    a, b = look((0, 0, 0), 10), look((3, 4, 12), 80, 5)
    assert pair_distance(a, b) == pytest.approx(13.0)
