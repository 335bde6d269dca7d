# SPDX-License-Identifier: Apache-2.0
"""The nine numbers of a camera: by hand, and there and back."""

from __future__ import annotations

import math

import numpy as np
import pytest


def test_cameras_by_hand():
    """A quarter turn about z and angles of view of 90 degrees: focal length = half a side."""
    import torch

    from spatialmllm.model.vggt.cameras import decode_cameras, encode_cameras

    half = math.sqrt(0.5)
    encoding = torch.tensor([1.0, 2, 3, 0, 0, half, half, math.pi / 2, math.pi / 2])
    cam_from_world, K = decode_cameras(encoding.double(), 48, 64)
    expected = [[0, -1, 0, 1], [1, 0, 0, 2], [0, 0, 1, 3], [0, 0, 0, 1]]
    np.testing.assert_allclose(cam_from_world.numpy(), expected, atol=1e-6)
    np.testing.assert_allclose(K.numpy(), [[32, 0, 31.5], [0, 24, 23.5], [0, 0, 1]], atol=1e-5)
    again = encode_cameras(cam_from_world, K, 48, 64)
    np.testing.assert_allclose(again.numpy(), encoding.numpy(), atol=1e-6)
    # The length of a quaternion and its sign say nothing.
    scaled = encoding.clone()
    scaled[3:7] *= -2.5
    torch.testing.assert_close(decode_cameras(scaled.double(), 48, 64)[0], cam_from_world)
    with pytest.raises(ValueError, match="9 numbers"):
        decode_cameras(torch.zeros(7), 48, 64)


def test_rotations_and_quaternions_are_inverse_in_every_branch():
    import torch
    from scipy.spatial.transform import Rotation

    from spatialmllm.model.vggt.cameras import quaternion_from_rotation, rotation_from_quaternion

    rng = np.random.default_rng(0)
    quaternions = rng.normal(size=(200, 4))
    quaternions[:4] = np.eye(4)  # half turns about each axis, and none
    quaternions /= np.linalg.norm(quaternions, axis=1, keepdims=True)
    quaternions *= np.where(quaternions[:, 3:] < 0, -1, 1)
    rotation = rotation_from_quaternion(torch.from_numpy(quaternions))
    np.testing.assert_allclose(
        rotation.numpy(), Rotation.from_quat(quaternions).as_matrix(), atol=1e-14
    )
    back = quaternion_from_rotation(rotation).numpy()
    signs = np.where((back * quaternions).sum(axis=1, keepdims=True) < 0, -1, 1)
    np.testing.assert_allclose(signs * back, quaternions, atol=1e-12)
