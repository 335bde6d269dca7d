# SPDX-License-Identifier: Apache-2.0
"""Samplers; nothing here needs torch."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spatialcore import BitMask
from spatialcore.types import Scene
from spatialmllm.geometry import PointMaps, from_depth, from_npz, unproject
from spatialmllm.sampling import _by_coverage, coverage_of, frame_scores, select_frames
from spatialmllm.voxels import VoxelSets, voxel_sets


def _maps(clouds, confidence=None):
    """Point maps of one row of pixels a frame."""
    points = np.array(clouds, dtype=np.float32)[:, None]
    sure = np.ones(points.shape[:-1]) if confidence is None else np.array(confidence)[:, None]
    return PointMaps(points, sure.astype(np.float32), points[..., 2])


def test_uniform_and_random():
    assert select_frames(100, 5).indices == (0, 24, 49, 74, 99)
    assert select_frames(3, 16).indices == (0, 1, 2)
    first = select_frames(50, 8, "random", seed=1, key="clip")
    assert first == select_frames(50, 8, "random", seed=1, key="clip")
    assert first != select_frames(50, 8, "random", seed=2, key="clip")
    assert len(set(first.indices)) == 8
    assert list(first.indices) == sorted(first.order)


def test_unprojection_by_hand():
    pose = np.eye(4)
    pose[:3, 3] = (1, 2, 3)
    got = unproject([[2.0, 0.0], [4.0, np.nan]], [[2, 0, 0.5], [0, 4, 0.5], [0, 0, 1]], pose)
    # pixel (0, 0): x = -0.25, y = -0.125 at depth 2
    np.testing.assert_allclose(got[0, 0], [1 - 0.5, 2 - 0.25, 5])
    np.testing.assert_allclose(got[1, 0], [1 - 1.0, 2 + 0.5, 7])
    assert np.isnan(got[0, 1]).all()
    assert np.isnan(got[1, 1]).all()


def test_voxels_of_a_hand_scene():
    # Box 20 x 40 x 80: the voxel's side is 1; frames share the corner.
    clouds = [[(0, 0, 0), (20, 40, 80)], [(0, 0, 0), (0.5, 0, 0)]]
    made = voxel_sets(_maps(clouds))
    assert made.edge == pytest.approx(1.0)
    assert made.seen.point_count == 2
    assert made.seen.counts().tolist() == [2, 1]


def test_planar_scenes_and_scenes_without_points():
    flat = voxel_sets(_maps([[(0, 0, 5), (2, 4, 5)], [(1, 1, 5), (1, 1, 5)]]))
    assert flat.edge == pytest.approx(2 / 20)
    single = voxel_sets(_maps([[(1, 1, 1)]]))
    assert single.seen.counts().tolist() == [1]
    empty = _maps([[(np.nan,) * 3], [(np.nan,) * 3]])
    assert voxel_sets(empty).seen.point_count == 0
    chosen = select_frames(2, 1, "space_aware", geometry=lambda _: empty)
    assert chosen.indices == (0,)
    assert chosen.covered == 0


def test_points_below_the_median_confidence_are_left_out_even_below_one():
    clouds = [[(0, 0, 0), (9, 9, 9)], [(3, 3, 3), (6, 6, 6)]]
    made = voxel_sets(_maps(clouds, [[0.01, 0.02], [0.03, 0.04]]))
    assert made.seen.counts().tolist() == [0, 2]


@given(sets=st.lists(st.sets(st.integers(0, 11)), min_size=1, max_size=8), k=st.integers(1, 4))
def test_greedy_is_near_the_best_and_its_gains_never_rise(sets, k):
    voxels = VoxelSets(BitMask.from_indices([sorted(s) for s in sets], 12), 1.0)
    made = _by_coverage(range(len(sets)), k, voxels, "none")
    assert list(made.gains) == sorted(made.gains, reverse=True)
    assert all(gain >= 1 for gain in made.gains)
    got = len(set().union(*(sets[i] for i in made.indices))) if made.indices else 0
    best = max(len(set().union(*c)) for c in itertools.combinations(sets, min(k, len(sets))))
    assert got >= (1 - 1 / np.e) * best - 1e-9
    full = _by_coverage(range(len(sets)), k, voxels, "uniform")
    assert len(full.indices) == min(k, len(sets))
    assert full.order[: len(made.order)] == made.order


def test_a_static_clip_is_filled_or_published():
    same = _maps([[(0, 0, 0), (1, 1, 1)]] * 9)
    filled = select_frames(9, 3, "space_aware", geometry=lambda _: same)
    assert filled.order == (0, 8, 4)
    assert filled.gains == (2.0, 0.0, 0.0)
    assert select_frames(9, 3, "space_aware", geometry=lambda _: same, fill="none").indices == (0,)


def test_candidates_are_spread_over_a_long_clip():
    asked = []

    def geometry(indices):
        asked.extend(indices)
        return _maps([[(i, 0, 0), (i, 1, 1)] for i in indices])

    made = select_frames(20_000, 4, "space_aware", geometry=geometry, max_candidates=32)
    assert len(asked) == 32
    assert asked[-1] == 19_999
    assert set(made.indices) <= set(asked)


def test_scores_by_hand():
    rng = np.random.default_rng(0)
    flat = np.full((8, 8), 0.5)
    busy = rng.random((8, 8))
    y, x = np.indices((8, 8), dtype=np.float32)
    plane = np.stack([x, y, np.full_like(x, 3)], axis=-1)
    rough = np.stack([x, y, rng.uniform(2, 8, (8, 8)).astype(np.float32)], axis=-1)
    maps = PointMaps(np.stack([plane, rough]), np.ones((2, 8, 8), np.float32),
                     np.stack([plane[..., 2], rough[..., 2]]))  # fmt: skip
    scores = frame_scores(maps, [flat, busy])
    # motion is the same for both (0.5 each way), the rest favours the second
    np.testing.assert_allclose(scores, [0.2 * 0.5, 0.8 + 0.2 * 0.5])
    np.testing.assert_allclose(frame_scores(None, [flat, busy]), [0.25, 0.75])
    chosen = select_frames(2, 1, "score", geometry=lambda _: maps)
    assert chosen.indices == (1,)


def test_scored_frames_keep_apart():
    grey = [np.full((4, 4), (i % 2) * 0.1) for i in range(40)]
    made = select_frames(40, 4, "score", images=lambda i: grey[i])
    assert min(np.diff(made.indices)) >= 3


def test_providers_are_asked_for():
    with pytest.raises(ValueError, match="needs geometry"):
        select_frames(10, 2, "space_aware")
    with pytest.raises(ValueError, match="geometry or images"):
        select_frames(10, 2, "score")
    with pytest.raises(ValueError, match="method must be"):
        select_frames(10, 2, "best")


def _scene(**options):
    k = [[10.0, 0, 7.5], [0, 10.0, 5.5], [0, 0, 1]]
    poses = np.tile(np.eye(4), (6, 1, 1))
    poses[:, 0, 3] = (0, 0, 0, 5, 5.1, 10)
    poses[2, 0, 0] = np.inf
    depth = [np.full((12, 16), 2000, dtype=np.uint16) for _ in range(6)]
    return Scene.from_arrays(k, poses, depth, image_size=(16, 12), depth_scale=0.001, **options)


def test_geometry_from_depth_and_poses():
    maps = from_depth(_scene(), max_side=8)([0, 2, 3])
    assert maps.depth.shape == (3, 6, 8)
    assert np.isnan(maps.points_world[1]).all()
    np.testing.assert_allclose(maps.points_world[2] - maps.points_world[0], [[[5, 0, 0]] * 8] * 6)
    np.testing.assert_allclose(maps.points_world[0, 0, 0], [-1.5, -1.1, 2.0], atol=1e-6)
    chosen = select_frames(6, 3, "space_aware", geometry=from_depth(_scene()))
    assert chosen.indices in ((0, 3, 5), (0, 4, 5), (1, 3, 5))
    assert chosen.covered > 0.7  # frame 4 lies 0.1 m from frame 3: its pixels fall in cells between


def test_geometry_from_a_file(tmp_path):
    points = np.random.default_rng(0).random((4, 3, 2, 3))
    np.savez(tmp_path / "maps.npz", points_world=points)
    maps = from_npz(tmp_path / "maps.npz")([2, 0])
    np.testing.assert_allclose(maps.points_world, points[[2, 0]].astype(np.float32))
    np.savez(tmp_path / "wrong.npz", points=points)
    with pytest.raises(ValueError, match="no array points_world"):
        from_npz(tmp_path / "wrong.npz")


def test_coverage_share():
    voxels = VoxelSets(BitMask.from_indices([[0, 1], [1], [2, 3]], 5), 1.0)
    assert coverage_of(voxels, [0]) == 0.5
    assert coverage_of(voxels, [0, 2]) == 1.0


def test_the_command_on_sample_rooms(tmp_path, capsys):
    from spatialcore.sample.build import make_sample
    from spatialcore.sample.config import SampleConfig
    from spatialmllm.commands.frames import main

    config = SampleConfig(rooms=1, clips=0, frames=30)
    for _ in make_sample(tmp_path / "demo", config, workers=1):
        pass
    folder = next(p for p in (tmp_path / "demo").rglob("*") if p.is_dir() and "scannet" in p.name)
    assert main([str(folder), "--frames", "4", "--compare", "--json", "--save",
                 str(tmp_path / "chosen")]) == 0  # fmt: skip
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines
    coverage = lines[0]["coverage"]
    assert 0 < coverage["uniform"] <= 1
    assert coverage["space_aware"] >= coverage["random"]
    assert len(list((tmp_path / "chosen").glob("*_frame_0*.png"))) >= 4
    assert main([str(folder), "--scenes", "elsewhere"]) == 2
