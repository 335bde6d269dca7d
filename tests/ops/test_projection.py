# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from spatialcore import BackendUnavailable, project_points
from tests.ops.scenes import K, random_poses

BACKENDS = ["reference", "cpu"]


def equal_bits(a, b):
    return all(
        np.array_equal(x.view(np.uint64), y.view(np.uint64)) for x, y in zip(a, b, strict=True)
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_hand_worked(backend):
    points = np.array([[0.5, -0.25, 2.0], [1, 1, 0], [1, 1, -1], [0, 0, 4]], np.float32)
    camera = np.array([[500.0, 0, 320], [0, 400.0, 240], [0, 0, 1]])
    uv, depth = project_points(points, camera, np.eye(4)[None], backend=backend)
    assert depth[0].tolist() == [2, 0, -1, 4]
    assert uv[0, [0, 3]].tolist() == [[320 + 125, 240 - 50], [320, 240]]
    assert np.isnan(uv[0, [1, 2]]).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_pose_moves_points_into_the_camera(backend):
    turned = np.array([[0.0, 1, 0, 3], [-1, 0, 0, 4], [0, 0, 1, 5], [0, 0, 0, 1]])
    uv, depth = project_points(np.array([[1.0, 2, 5]]), np.eye(3), turned[None], backend=backend)
    assert depth.tolist() == [[10]]
    assert uv.tolist() == [[[0.5, 0.3]]]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("point_count", [0, 1, 63, 257, 20_001])
def test_cpu_equals_reference_in_every_bit(point_count, dtype, threads):
    rng = np.random.default_rng(point_count)
    points = rng.uniform(-4, 4, (point_count, 3)).astype(dtype)
    poses = random_poses(rng, 5)
    poses[3, 0, 0] = np.inf
    cameras = np.stack([K + rng.normal(size=(3, 3)) * (K > 0) for _ in poses])
    reference = project_points(points, cameras, poses, backend="reference")
    assert equal_bits(project_points(points, cameras, poses, threads=threads), reference)


def test_non_contiguous_points():
    points = np.random.default_rng(0).uniform(1, 2, (100, 6)).astype(np.float32)[::2, ::2]
    poses = np.eye(4)[None]
    expected = project_points(np.ascontiguousarray(points), K, poses)
    assert equal_bits(project_points(points, K, poses), expected)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("backend", BACKENDS)
def test_non_finite_points_and_poses_have_no_pixel(backend, bad):
    points = np.array([[bad, 0, 1], [0, 0, bad], [0, 0, 1]])
    uv, _ = project_points(points, K, np.eye(4)[None], backend=backend)
    assert not np.isfinite(uv[0, :2]).all(axis=1).any()
    pose = np.eye(4)
    pose[2, 3] = bad
    uv, _ = project_points(points[2:], K, pose[None], backend=backend)
    assert np.isnan(uv).all()


@pytest.mark.parametrize("frame_count", [0, 2])
def test_no_frames_or_no_points(frame_count):
    poses = np.tile(np.eye(4), (frame_count, 1, 1))
    uv, depth = project_points(np.zeros((0, 3)), K, poses)
    assert uv.shape == (frame_count, 0, 2)
    assert depth.shape == (frame_count, 0)


def test_errors_name_what_came():
    points, poses = np.zeros((4, 3), np.float32), np.eye(4)[None]
    with pytest.raises(ValueError, match=r"K must have shape \(3, 3\) or .*got \(4, 4\)"):
        project_points(points, np.eye(4), poses)
    with pytest.raises(ValueError, match=r"points_world must have shape \(P, 3\), got \(4, 2\)"):
        project_points(points[:, :2], K, poses)
    with pytest.raises(ValueError, match=r"cam_from_world must have shape \(F, 4, 4\)"):
        project_points(points, K, poses[0])
    with pytest.raises(TypeError, match="float32 or float64, got int64"):
        project_points(np.zeros((4, 3), np.int64), K, poses)
    with pytest.raises(TypeError, match="points_world must be a numpy"):
        project_points([[0, 0, 1]], K, poses)
    with pytest.raises(ValueError, match="zero skew"):
        project_points(points, K + np.array([[0, 1, 0], [0, 0, 0], [0, 0, 0]]), poses)
    with pytest.raises(ValueError, match="threads must be at least 1"):
        project_points(points, K, poses, threads=0)
    with pytest.raises(BackendUnavailable):
        project_points(points, K, poses, backend="cuda")
