# SPDX-License-Identifier: Apache-2.0
"""Lenses by hand, against their formulas written plainly, and where they stop being valid."""

import math

import numpy as np
import pytest

from spatialcore.lens import Lens
from spatialcore.types import Camera

K = np.array([[500.0, 0, 320], [0, 510, 240], [0, 0, 1]])


def test_the_rational_model_by_hand():
    k1, k2, p1, p2, k3, k4, k5, k6 = 0.1, -0.05, 0.01, -0.02, 0.03, 0.02, 0.01, -0.004
    x, y = 0.3, -0.2
    r2 = x * x + y * y
    radial = (1 + k1 * r2 + k2 * r2**2 + k3 * r2**3) / (1 + k4 * r2 + k5 * r2**2 + k6 * r2**3)
    wanted = (
        x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
        y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
    )
    found = Lens("opencv", (k1, k2, p1, p2, k3, k4, k5, k6)).distort(x, y)
    assert [float(v) for v in found] == pytest.approx(wanted, abs=1e-15)


def test_the_equidistant_model_by_hand():
    lens = Lens("fisheye", (0.1, 0.02, 0, -0.01))
    x, y = 0.6, 0.8  # r = 1: 45 degrees
    theta = math.pi / 4
    bent = theta * (1 + 0.1 * theta**2 + 0.02 * theta**4 - 0.01 * theta**8)
    assert [float(v) for v in lens.distort(x, y)] == pytest.approx([0.6 * bent, 0.8 * bent])
    assert [float(v) for v in lens.distort(0.0, 0.0)] == [0.0, 0.0]
    assert Lens("fisheye", ()).distort(1.0, 0.0)[0] == pytest.approx(math.pi / 4)


def test_beyond_the_fold_nothing_is_in_the_picture():
    lens = Lens("opencv", (-0.3,))  # r (1 - 0.3 r^2) grows until r = 1 / sqrt(0.9)
    assert lens.valid_radius == pytest.approx(1 / math.sqrt(0.9), rel=2e-3)
    inside, outside = lens.distort([1.0, 1.2], [0.0, 0.0])[0]
    assert inside == pytest.approx(0.7)
    assert math.isnan(outside)
    uv, _ = Camera(K, 640, 480, lens).project([[1.2, 0.0, 1.0], [0.0, 0.0, -1.0]])
    assert np.isnan(uv).all()


def test_a_lens_of_zeros_is_a_pinhole():
    assert Camera(K, 640, 480, Lens("opencv", (0.0, 0.0))).lens is None
    point = [0.2, -0.1, 2.0]
    uv, z = Camera(K, 640, 480).project(point)
    assert uv.tolist() == [500 * 0.2 / 2 + 320, 510 * -0.1 / 2 + 240]
    assert z == 2.0


@pytest.mark.parametrize(
    ("model", "numbers"),
    [("brown", ()), ("fisheye", (1, 2, 3, 4, 5)), ("opencv", (math.nan,)), ("opencv", (1e9,))],
)
def test_what_is_no_lens_is_refused(model, numbers):
    with pytest.raises(ValueError, match="lens"):
        Lens(model, numbers)
