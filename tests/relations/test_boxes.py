# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spatialcore.relations.boxes import (
    AREA_NEAR,
    RIVAL_SHARE,
    OrientedBox,
    aligned_box,
    contains_points,
    convex_hull_2d,
    gravity_box,
    points_to_box,
)
from tests.relations.rooms import moved, random_rotation, shell, turn_z

seeds = st.integers(0, 2**32 - 1)


def test_aligned_box_holds_its_points():
    box = aligned_box([(1, 2, 3), (4, 0, 3.5)])
    assert box.center.tolist() == [2.5, 1.0, 3.25]
    assert box.size.tolist() == [3.0, 2.0, 0.5]
    assert box.volume == 3.0


@pytest.mark.parametrize("points", [np.zeros((0, 3)), np.zeros((4, 2)), [(0, 0, np.nan)]])
def test_boxes_of_no_or_bad_points_are_a_callers_mistake(points):
    with pytest.raises(ValueError, match="points must"):
        gravity_box(points)


@pytest.mark.parametrize(
    ("center", "size", "R"),
    [
        ((0, 0), (1, 1, 1), np.eye(3)),
        ((0, 0, 0), (1, -1, 1), np.eye(3)),
        ((0, 0, 0), (1, 1, 1), np.diag([1, 1, 1.1])),
        ((0, 0, np.inf), (1, 1, 1), np.eye(3)),
    ],
)
def test_malformed_boxes_are_refused(center, size, R):
    with pytest.raises(ValueError, match="must"):
        OrientedBox(center, size, R)


@pytest.mark.parametrize("angle", [0, 10, 45, 80, 89.99, 90, 133, -20])
def test_gravity_box_finds_a_turned_table(angle):
    points = moved(shell((0, 0, 0.5), (1.6, 0.8, 1.0)), turn_z(angle, (3, -2, 1)))
    box = gravity_box(points)
    long = int(np.argmax(box.size))
    assert sorted(box.size) == pytest.approx([0.8, 1.0, 1.6])
    assert box.size[2] == pytest.approx(1.0)
    assert box.center == pytest.approx([3, -2, 1.5])
    axis = box.R[:, long]
    along = math.degrees(math.atan2(axis[1], axis[0])) - angle
    assert abs((along + 90) % 180 - 90) < 1e-6
    # The room-aligned box of the same table is inflated.
    assert aligned_box(points).volume >= box.volume - 1e-9


def test_flat_and_thin_objects_have_boxes():
    point = gravity_box([(1, 2, 3)])
    assert point.size.tolist() == [0, 0, 0]
    assert point.volume == pytest.approx(0.02**3)
    line = gravity_box([(0, 0, 0), (1, 1, 0), (2, 2, 0)])
    assert sorted(line.size.round(9)) == pytest.approx([0, 0, math.sqrt(8)])
    post = gravity_box([(0.7, -0.1, 0.02 * k) for k in range(100)])
    assert post.size == pytest.approx([0, 0, 1.98])
    assert post.center == pytest.approx([0.7, -0.1, 0.99])
    picture = gravity_box(shell((0, 0, 1), (0.0, 0.6, 0.4)))
    assert picture.volume == pytest.approx(0.02 * 0.6 * 0.4)


@given(seeds)
@settings(max_examples=60, deadline=None)
def test_gravity_box_is_least_or_hugs_its_points_holds_all_and_ignores_order(seed):
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(int(rng.integers(3, 200)), 3)) * rng.uniform(0.1, 3, 3)
    box = gravity_box(points)
    assert contains_points(box, points, 1e-9).all()
    area, inside = box.size[0] * box.size[1], depth_inside(points, box.R)
    for R in along_hull_edges(points):
        span = np.ptp((points @ R)[:, :2], axis=0)
        least = area <= span[0] * span[1] * (1 + 1e-6)
        assert least or rivals(area, inside, span[0] * span[1], depth_inside(points, R))
    again = gravity_box(points[rng.permutation(len(points))])
    for name in ("center", "size", "R"):
        assert np.array_equal(getattr(box, name), getattr(again, name))


def along_hull_edges(points):
    """A rotation about z for each edge of the hull: the least rectangle lies along one of them."""
    hull = convex_hull_2d(points[:, :2])
    for x, y in np.roll(hull, -1, axis=0) - hull:
        yield turn_z(math.degrees(math.atan2(y, x)))[:3, :3]


def depth_inside(points, R):
    """Mean distance of points from the nearest side of the upright box along R around them."""
    turned = (points @ R)[:, :2]
    return np.minimum(turned - turned.min(axis=0), turned.max(axis=0) - turned).min(axis=1).mean()


def rivals(area, inside, least_area, least_inside):
    """Whether a rectangle may stand for a smaller one: not by much, its sides much nearer."""
    return area <= AREA_NEAR * least_area * (1 + 1e-9) and inside < RIVAL_SHARE * least_inside


@given(seeds)
@settings(max_examples=60, deadline=None)
def test_hull_is_convex_and_holds_all(seed):
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(int(rng.integers(3, 400)), 2)).round(int(rng.integers(1, 6)))
    hull = convex_hull_2d(points)
    for k in range(len(hull)):
        a, b = hull[k], hull[(k + 1) % len(hull)]
        side = (b[0] - a[0]) * (points[:, 1] - a[1]) - (b[1] - a[1]) * (points[:, 0] - a[0])
        assert (side >= -1e-9).all()
    assert {tuple(p) for p in hull} <= {tuple(p) for p in points}


@given(seeds)
@settings(max_examples=30, deadline=None)
def test_hull_of_walls_is_that_of_all_triples(seed):
    """Walls are thousands of points on few lines, exactly or nearly; no corner may be lost."""
    rng = np.random.default_rng(seed)
    ring = np.array([(0, 0), (4, 0), (4, 3), (1.5, 3), (0, 2)], dtype=float)
    along, k = rng.uniform(size=(90, 1)).round(2), rng.integers(0, len(ring), 90)
    points = ring[k] + along * (np.roll(ring, -1, axis=0) - ring)[k]
    if seed % 2:
        points += rng.normal(scale=1e-7, size=points.shape)
    a, b = np.triu_indices(len(points), 1)
    edge = points[b] - points[a]
    away = points - points[a][:, None]
    side = edge[:, None, 0] * away[..., 1] - edge[:, None, 1] * away[..., 0]
    length = np.hypot(*edge.T)
    one_sided = (side >= 0).all(axis=1) | (side <= 0).all(axis=1)
    # The ends of each one-sided line, those between its ends left out.
    ends = {tuple(points[n]) for n in {*a[one_sided & (length > 0)], *b[one_sided & (length > 0)]}}
    hull = convex_hull_2d(points)
    assert {tuple(p) for p in hull} <= ends
    area = 0.5 * np.sum(hull[:, 0] * np.roll(hull[:, 1], -1) - hull[:, 1] * np.roll(hull[:, 0], -1))
    for p, q in zip(hull, np.roll(hull, -1, axis=0), strict=True):
        assert ((q[0] - p[0]) * (points[:, 1] - p[1]) >= (q[1] - p[1]) * (points[:, 0] - p[0])
                - 1e-12).all()  # fmt: skip
    assert area > 0


@given(seeds)
@settings(max_examples=40, deadline=None)
def test_contains_and_distance_agree_with_the_boxes_own_axes(seed):
    rng = np.random.default_rng(seed)
    box = OrientedBox(rng.normal(size=3), rng.uniform(0.1, 2, 3), random_rotation(rng))
    local = rng.uniform(-2, 2, (200, 3))
    points = local @ box.R.T + box.center
    beyond = np.linalg.norm(np.maximum(np.abs(local) - box.size / 2, 0), axis=1)
    assert points_to_box(box, points) == pytest.approx(beyond, abs=1e-12)
    clear = np.abs(np.abs(local) - box.size / 2).min(axis=1) > 1e-9
    inside = (np.abs(local) < box.size / 2).all(axis=1)
    assert (contains_points(box, points) == inside)[clear].all()
    lo, hi = box.bounds
    assert lo == pytest.approx(box.corners.min(axis=0))
    assert hi == pytest.approx(box.corners.max(axis=0))
    assert len(box.footprint) in (4, 6)


@pytest.mark.parametrize("turn_deg", [5.0, 17.0, 63.0])
def test_a_thing_in_a_corner_keeps_its_sides(turn_deg):
    # A wardrobe of which a scan holds the front and one side: the hull on the floor is a triangle,
    # and along its longest side a rectangle of the same area lies across the thing.
    rng = np.random.default_rng(7)
    front = np.stack([rng.uniform(0, 0.71, 400), np.full(400, 0.67), rng.uniform(0, 1.9, 400)], 1)
    side = np.stack([np.full(400, 0.71), rng.uniform(0, 0.67, 400), rng.uniform(0, 1.9, 400)], 1)
    corners = [(0, 0.67, 0), (0.71, 0.67, 0), (0.71, 0, 1.9)]
    points = np.concatenate([front, side, np.array(corners)])
    points[:, :2] += rng.normal(0, 0.004, (len(points), 2))
    angle = np.deg2rad(turn_deg)
    c, s = np.cos(angle), np.sin(angle)
    box = gravity_box(points @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1.0]]))
    assert sorted(box.size[:2]) == pytest.approx([0.67, 0.71], abs=0.03)
    assert np.rad2deg(np.arctan2(box.R[1, 0], box.R[0, 0])) % 90 == pytest.approx(turn_deg, abs=1.5)


def test_a_round_thing_keeps_the_least_rectangle():
    # All rectangles around it are alike: nothing is nearer to the sides of one than of another.
    angles = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    ring = np.stack([0.3 * np.cos(angles), 0.3 * np.sin(angles), angles], axis=1)
    assert gravity_box(ring).size[:2] == pytest.approx([0.6, 0.6], abs=1e-3)
