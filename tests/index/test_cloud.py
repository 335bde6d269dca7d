# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from spatial_engine.reference.cloud import PosedReadings, on_depth_edge, voxels_of
from spatialcore._cpu import VoxelCloud
from spatialcore._reference.morton import morton_order
from spatialcore.index.cloud import PosedDepth, build_cloud, order_cloud
from tests.index.scenes import DEPTH_K, DEPTH_SIZE, POSES, ray_depth

K = np.array([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0]])
RULE = {"depth_min": 0.3, "depth_max": 6.0, "edge_relative": 0.05, "edge_absolute": 0.05}


def kernel(frames, depth_scale, K, voxel, min_frames):
    grid = VoxelCloud(voxel)
    for depth, world_from_cam, instance in frames:
        grid.add_frame(depth, depth_scale, K, world_from_cam, instance=instance, **RULE)
    assert grid.count(min_frames) == len(grid.extract(min_frames)[0])
    return grid.extract(min_frames)


def test_the_mean_of_two_readings_by_hand():
    # One pixel at the principal point: (0, 0, 1.25) and (0, 0, 1.75) in voxel (0, 0, 1) of 1 m.
    frames = [(np.array([[d]], np.float32), np.eye(4), None) for d in (1.25, 1.75, 2.5)]
    points, instance = kernel(frames, 1.0, K, 1.0, 2)
    # Offsets are kept to 2^-20 of a voxel and read at the middle of that step.
    assert points.tolist() == [[np.float32(0.5 / 2**20)] * 2 + [1.5 + np.float32(0.5 / 2**20)]]
    assert instance.tolist() == [-1]


def test_an_edge_is_a_jump_to_a_four_neighbour_that_has_a_reading():
    metres = np.array([[2.0, 2.09, 2.3], [0.0, 2.0, 2.2], [2.0, 2.0, 2.0]])
    # Limit is max(5 % of the smaller, 5 cm) = 0.1 at 2.0 and 0.1045 at 2.09.
    expected = [[False, True, True], [False, True, True], [False, False, True]]
    assert on_depth_edge(metres, 0.05, 0.05).tolist() == expected


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
@pytest.mark.parametrize("voxel", [0.03, 0.11])
def test_the_kernel_equals_the_reference(dtype, voxel):
    rng = np.random.default_rng(3)
    frames = []
    for pose in POSES:
        depth = ray_depth(pose).astype(np.float64) + rng.integers(-20, 21, DEPTH_SIZE[::-1])
        depth[rng.random(depth.shape) < 0.1] = 0
        ids = rng.integers(-1, 3, depth.shape).astype(np.int32)
        ids[: depth.shape[0] // 2] = 5
        frames.append((depth.clip(0).astype(dtype), pose, ids))
    if dtype == np.float32:
        frames[0][0][3, 4:7] = np.nan, np.inf, -1.0
    voxels = voxels_of((PosedReadings(d, DEPTH_K, *rest) for d, *rest in frames), 0.001, voxel)
    for min_frames in (1, 2, 3):
        points, ids = kernel(frames, 0.001, DEPTH_K, voxel, min_frames)
        expected = voxels.extract(min_frames)
        assert len(points) > 0
        np.testing.assert_array_equal(points, expected[0])
        np.testing.assert_array_equal(ids, expected[1])
    assert set(np.unique(ids)) >= {-1, 5}


def test_the_cloud_does_not_depend_on_the_order_of_frames():
    frames = [(ray_depth(p), p, None) for p in POSES]
    a, b = (kernel(f, 0.001, DEPTH_K, 0.05, 2)[0] for f in (frames, frames[::-1]))
    np.testing.assert_array_equal(a, b)


def test_a_majority_needs_sixty_percent():
    # Five pixels in one voxel: 3 of 5 is enough, 2 of 5 is not.
    for ids, expected in (([4, 4, 4, 8, -1], 4), ([4, 4, 8, 8, -1], -1)):
        frame = (np.full((1, 5), 1.0, np.float32), np.eye(4), np.array([ids], np.int32))
        wide = np.array([[1e3, 0, 0], [0, 1e3, 0], [0, 0, 1]])
        assert kernel([frame], 1.0, wide, 2.0, 1)[1].tolist() == [expected]


def test_readings_out_of_range_or_of_the_grid_are_left_out():
    far = np.eye(4)
    far[0, 3] = 1e9
    frames = [(np.full((1, 1), d, np.float32), np.eye(4), None) for d in (0.29, 6.01, 0.0)]
    frames.append((np.full((1, 1), 2.0, np.float32), far, None))
    assert len(kernel(frames, 1.0, K, 0.03, 1)[0]) == 0


def test_the_largest_voxel_with_enough_points_is_taken_and_few_points_drop_the_frame_rule():
    def build(*voxels):
        frames = [PosedDepth(ray_depth(p), DEPTH_K, p, None) for p in POSES]
        return build_cloud(frames, 0.001, *voxels)

    cloud = build()
    # 64 x 48 pixels never give 20,000 points; the two-frame rule keeps under 1,000 at 5 mm.
    assert cloud.voxel == 0.005
    assert cloud.min_frames == 1
    coarse = build((0.1,))
    assert (coarse.voxel, coarse.min_frames) == (0.1, 2)


def test_morton_order_by_hand():
    corners = np.array([[x, y, z] for z in (0, 1) for y in (0, 1) for x in (0, 1)], np.float32)
    ordered = order_cloud(corners[::-1].copy(), np.arange(8, dtype=np.int32))
    np.testing.assert_array_equal(ordered.points, corners)
    assert ordered.source_row.tolist() == [7, 6, 5, 4, 3, 2, 1, 0]


def test_equal_points_keep_the_source_order_and_damaged_ones_come_last():
    points = np.array([[1, 1, 1], [np.nan, 0, 0], [1, 1, 1], [0, 0, 0]], np.float32)
    assert order_cloud(points, np.zeros(4, np.int32)).source_row.tolist() == [3, 0, 2, 1]


def test_the_order_is_that_of_the_reference():
    rng = np.random.default_rng(5)
    points = rng.normal(0, 3, (5000, 3)).astype(np.float32)
    points[::7] = points[0]
    points[3] = np.inf
    ordered = order_cloud(points, np.zeros(len(points), np.int32))
    np.testing.assert_array_equal(ordered.source_row, morton_order(points))
