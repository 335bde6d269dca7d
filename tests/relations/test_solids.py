# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spatialcore import _cpu
from spatialcore.relations.boxes import OrientedBox
from spatialcore.relations.scene_object import SceneObject, gap, gap_floor
from spatialcore.relations.solids import (
    box_distance,
    clip_polygon,
    footprint_overlap,
    penetration,
    point_to_polygon,
    polygon_area,
)
from tests.relations.rooms import random_rotation, turn_z
from tests.seeds import fresh_seeds

seeds = st.integers(0, 2**32 - 1)


def cube(center, side=1.0, R=None):
    return OrientedBox(center, (side, side, side), np.eye(3) if R is None else R)


def test_distances_worked_by_hand():
    assert box_distance(cube((0, 0, 0)), cube((3, 0, 0))) == 2.0
    assert box_distance(cube((0, 0, 0)), cube((2, 2, 2))) == math.sqrt(3)
    assert box_distance(cube((0, 0, 0)), cube((0.5, 0.5, 0))) == 0.0
    # A cube on its edge: its corner points at the other's face.
    turned = cube((2, 0, 0), R=turn_z(45)[:3, :3])
    assert box_distance(cube((0, 0, 0)), turned) == pytest.approx(1.5 - math.sqrt(0.5))
    # Two bars crossing above each other: only their edges or faces are near, never a corner.
    bar = OrientedBox((0, 0, 0), (4, 0.2, 0.2), np.eye(3))
    over = OrientedBox((0, 0, 1), (0.2, 4, 0.2), np.eye(3))
    assert box_distance(bar, over) == pytest.approx(0.8)
    roof = turn_z(0)[:3, :3] @ np.array(
        [[1, 0, 0], [0, 0.5**0.5, -(0.5**0.5)], [0, 0.5**0.5, 0.5**0.5]]
    )
    rolled = OrientedBox((0, 0, 0), (4, 1, 1), roof)
    crossing = OrientedBox((0, 0, 2), (1, 4, 1), turn_z(-90)[:3, :3] @ roof @ turn_z(90)[:3, :3])
    assert box_distance(rolled, crossing) <= 2 - math.sqrt(0.5)


def test_penetration_worked_by_hand():
    assert penetration(cube((0, 0, 0)), cube((0.9, 0, 0))) == pytest.approx(0.1)
    assert penetration(cube((0, 0, 0)), cube((1.0, 0, 0))) == pytest.approx(0.0)
    assert penetration(cube((0, 0, 0)), cube((1.4, 0, 0))) == pytest.approx(-0.4)
    assert penetration(cube((0, 0, 0)), cube((0, 0, 0), 0.2)) == pytest.approx(0.6)


def test_edges_alone_part_two_boxes():
    # No face normal separates these two; a cross product of edges does.
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(4000):
        a = OrientedBox((0, 0, 0), rng.uniform(0.2, 2, 3), random_rotation(rng))
        b = OrientedBox(rng.normal(size=3), rng.uniform(0.2, 2, 3), random_rotation(rng))
        move = b.center - a.center
        faces = [
            a.half_extent(n) + b.half_extent(n) - abs(float(n @ move)) for n in (*a.R.T, *b.R.T)
        ]
        if min(faces) > 1e-6 and penetration(a, b) < -1e-6:
            found += 1
            assert box_distance(a, b) > 0
    assert found > 0


@given(seeds)
@settings(max_examples=60, deadline=None)
def test_box_distance_against_sampled_brute_force(seed):
    from scipy.optimize import minimize

    rng = np.random.default_rng(seed)
    a = OrientedBox(rng.normal(size=3), rng.uniform(0.05, 1.5, 3), random_rotation(rng))
    b = OrientedBox(2 * rng.normal(size=3), rng.uniform(0.05, 1.5, 3), random_rotation(rng))
    exact = box_distance(a, b)
    assert box_distance(b, a) == pytest.approx(exact, abs=1e-12)
    axis = np.linspace(-0.5, 0.5, 7)
    grid = np.stack(np.meshgrid(axis, axis, axis), axis=-1).reshape(-1, 3)
    pa, pb = ((grid * box.size) @ box.R.T + box.center for box in (a, b))
    apart = np.linalg.norm(pa[:, None] - pb[None], axis=-1)
    assert exact <= apart.min() + 1e-12
    # The sampled nearest pair, refined by a bounded minimiser, reaches the exact distance.
    i, j = np.unravel_index(apart.argmin(), apart.shape)

    def square(x):
        gap_vector = (x[:3] * a.size) @ a.R.T + a.center - (x[3:] * b.size) @ b.R.T - b.center
        left, right = gap_vector @ a.R * a.size, gap_vector @ b.R * b.size
        return gap_vector @ gap_vector, np.concatenate([2 * left, -2 * right])

    best = minimize(
        square,
        np.concatenate([grid[i], grid[j]]),
        jac=True,
        bounds=[(-0.5, 0.5)] * 6,
        method="L-BFGS-B",
        options={"ftol": 1e-16, "gtol": 1e-12, "maxiter": 500},
    )
    assert math.sqrt(max(best.fun, 0)) == pytest.approx(exact, abs=1e-4)
    assert penetration(a, b) == pytest.approx(penetration(b, a), abs=1e-12)
    assert (penetration(a, b) >= 0) == (exact == 0)
    assert -penetration(a, b) <= exact + 1e-12


def test_polygons_by_hand():
    square = np.array([(0.0, 0), (2, 0), (2, 2), (0, 2)])
    diamond = np.array([(2.0, 1), (3, 2), (2, 3), (1, 2)])
    assert polygon_area(square) == 4
    assert polygon_area(clip_polygon(diamond, square)) == pytest.approx(0.5)
    assert len(clip_polygon(square + 5, square)) == 0
    away = point_to_polygon(square, np.array([(1.0, 1), (3, 1), (5, 6), (2, 2)]))
    assert away == pytest.approx([0, 1, 5, 0])
    assert point_to_polygon(np.array([(0.0, 0), (2, 0)]), np.array([(1.0, 3)])) == pytest.approx(
        [3]
    )


@given(seeds)
@settings(max_examples=40, deadline=None)
def test_footprint_overlap_against_sampling(seed):
    rng = np.random.default_rng(seed)
    a, b = (
        OrientedBox(rng.uniform(-0.4, 0.4, 3), rng.uniform(0.3, 1.5, 3), turn_z(t)[:3, :3])
        for t in rng.uniform(0, 360, 2)
    )
    axis = (np.arange(200) + 0.5) / 200 - 0.5
    grid = np.stack(np.meshgrid(axis, axis, [0.0]), axis=-1).reshape(-1, 3)
    small, other = (a, b) if a.size[:2].prod() < b.size[:2].prod() else (b, a)
    local = ((grid * small.size) @ small.R.T + small.center - other.center) @ other.R
    sampled = (np.abs(local[:, :2]) <= other.size[:2] / 2).all(axis=1).mean()
    assert footprint_overlap(a, b) == pytest.approx(sampled, abs=0.02)
    assert footprint_overlap(a, b) == pytest.approx(footprint_overlap(b, a), abs=1e-9)


@given(seeds)
@settings(max_examples=40, deadline=None)
def test_gap_is_the_least_vertex_distance(seed):
    rng = np.random.default_rng(seed)
    a, b = (
        SceneObject(k, "x", points=rng.normal(size=(int(rng.integers(1, 60)), 3)) + 2 * k)
        for k in range(2)
    )
    brute = np.linalg.norm(a.points[:, None] - b.points[None], axis=-1).min()
    assert gap(a, b) == pytest.approx(brute, abs=1e-12)
    assert gap(a, b) == gap(b, a)
    assert gap_floor([a, b])[0, 1] <= brute + 1e-12


def all_pairs(a, b):
    d = a[:, None] - b[None]
    return np.sqrt((d[..., 0] ** 2 + d[..., 1] ** 2) + d[..., 2] ** 2).min()


@pytest.mark.parametrize("apart", [0.0, 0.3, 5.0])
def test_gaps_are_exact_however_many_vertices_are_near(apart):
    rng = np.random.default_rng(fresh_seeds(1)[0])
    points = rng.uniform(0, 1, (2, 700, 3))
    points[1, :, 0] += apart
    a, b = (SceneObject(k, "x", points=points[k]) for k in range(2))
    assert gap(a, b) == all_pairs(a.points, b.points)


@given(seeds)
@settings(max_examples=150, deadline=None)
def test_gaps_of_flat_lined_up_and_touching_things_are_those_of_all_pairs(seed):
    """On a grid many pairs are equally near; flat things have no extent along an axis."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 90, 2)
    step = rng.choice([0.0, 0.05, 0.3])
    a, b = (
        np.round(rng.normal(size=(n, 3)) * rng.choice([0, 0.2, 1, 4], 3) / 0.1) * step
        + rng.choice([0, 1e-9, 0.7, -3], 3)
        for n in counts
    )
    near, far = (SceneObject(k, "x", points=points) for k, points in enumerate((a, b)))
    assert gap(near, far) == all_pairs(a, b)
    assert gap(SceneObject(0, "x", points=a[::-1]), far) == all_pairs(a, b)


@pytest.mark.parametrize("shape", [(3,), (2, 5), (5, 3), (3, 0)])
def test_what_are_no_columns_has_no_gap(shape):
    with pytest.raises(ValueError, match="columns of shape"):
        _cpu.least_square_gap(np.zeros(shape), np.zeros((3, 2)))


def test_other_names_of_a_thing_share_what_is_measured():
    a = SceneObject(0, "cup", points=[(0, 0, 0), (0, 0, 1)])
    b = SceneObject(1, "pen", points=[(3, 4, 1)])
    other = a.renamed("#0")
    assert (other.category, other.object_id, a.category) == ("#0", 0, "cup")
    assert gap(other, b.renamed("#1")) == gap(a, b) == 5.0
    assert other._gaps is a._gaps
    assert len(a._gaps) == 1


def test_gap_of_objects_without_vertices_is_that_of_their_boxes():
    a = SceneObject(0, "x", box=cube((0, 0, 0)))
    b = SceneObject(1, "y", points=[(2, 0, 0), (3, 1, 1)])
    assert gap(a, b) == 1.5
    assert gap_floor([a, b])[0, 1] == 1.5
    assert gap_floor([]).shape == (0, 0)
    with pytest.raises(ValueError, match="box or points"):
        SceneObject(2, "z")
