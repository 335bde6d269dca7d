# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from spatialcore import _cpu
from spatialcore._reference.morton import morton_order


@pytest.mark.parametrize("point_count", [0, 1, 2, 257, 30_000])
def test_morton_order_equals_reference(point_count):
    rng = np.random.default_rng(point_count)
    points = rng.normal(size=(point_count, 3)).astype(np.float32)
    points[point_count // 2 :] = points[: point_count - point_count // 2]  # ties
    if point_count > 100:
        points[5], points[50] = np.nan, np.inf
        points[60:80] = points[60]
    order = _cpu.morton_order(points)
    assert order.dtype == np.uint32
    assert (order == morton_order(points)).all()


def test_morton_key_takes_bits_in_turn_x_lowest():
    corners = np.array([[x, y, z] for z in (0, 1) for y in (0, 1) for x in (0, 1)], np.float32)
    assert _cpu.morton_order(corners[::-1].copy()).tolist() == list(range(7, -1, -1))
    assert _cpu.morton_order(np.zeros((4, 3), np.float32)).tolist() == [0, 1, 2, 3]
