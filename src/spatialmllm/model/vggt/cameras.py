# SPDX-License-Identifier: Apache-2.0
"""The nine numbers by which the camera head describes a camera, and the camera they mean.

(tx, ty, tz, qx, qy, qz, qw, vertical angle of view, horizontal angle of view): translation and
rotation of cam_from_world, the world being the camera of the first frame, angles in radians.
"""

from __future__ import annotations

import torch
from torch import Tensor

ENCODING_SIZE = 9
_NARROWEST = 1e-3  # radians; a closed field of view would have an infinite focal length


def rotation_from_quaternion(quaternion: Tensor) -> Tensor:
    """Rotations (..., 3, 3) of quaternions (..., 4) as (x, y, z, w), which need not be unit."""
    x, y, z, w = quaternion.unbind(-1)
    two = 2 / quaternion.square().sum(-1)
    rows = (
        (1 - two * (y * y + z * z), two * (x * y - z * w), two * (x * z + y * w)),
        (two * (x * y + z * w), 1 - two * (x * x + z * z), two * (y * z - x * w)),
        (two * (x * z - y * w), two * (y * z + x * w), 1 - two * (x * x + y * y)),
    )
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def quaternion_from_rotation(rotation: Tensor) -> Tensor:
    """Unit quaternions (..., 4) as (x, y, z, w), w >= 0, of rotations (..., 3, 3)."""
    r = rotation
    trace = r[..., 0, 0] + r[..., 1, 1] + r[..., 2, 2]
    # The four times squared components; the largest is safe to divide by.
    squares = torch.stack([1 + 2 * r[..., i, i] - trace for i in range(3)] + [1 + trace], dim=-1)
    xy, xz, yz = (r[..., i, j] + r[..., j, i] for i, j in ((0, 1), (0, 2), (1, 2)))
    wx, wy, wz = (r[..., i, j] - r[..., j, i] for i, j in ((2, 1), (0, 2), (1, 0)))
    products = torch.stack(
        [
            torch.stack([squares[..., 0], xy, xz, wx], dim=-1),
            torch.stack([xy, squares[..., 1], yz, wy], dim=-1),
            torch.stack([xz, yz, squares[..., 2], wz], dim=-1),
            torch.stack([wx, wy, wz, squares[..., 3]], dim=-1),
        ],
        dim=-2,
    )
    best = squares.argmax(dim=-1)[..., None, None].expand(*squares.shape[:-1], 1, 4)
    chosen = products.gather(-2, best).squeeze(-2)
    unit = chosen / chosen.norm(dim=-1, keepdim=True)
    return torch.where(unit[..., 3:] < 0, -unit, unit)


def decode_cameras(encoding: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Cameras of encodings.

    Args:
        encoding: (..., 9).
        height: Pixels of the image.
        width: Pixels of the image.

    Returns:
        cam_from_world (..., 4, 4), and K (..., 3, 3) with integer coordinates at pixel centres:
        the middle of the image is (W - 1)/2, (H - 1)/2.

    Raises:
        ValueError: The last dimension is not 9.
    """
    if encoding.shape[-1] != ENCODING_SIZE:
        raise ValueError(f"a camera is encoded in 9 numbers, got {tuple(encoding.shape)}")
    cam_from_world = torch.zeros(
        *encoding.shape[:-1], 4, 4, dtype=encoding.dtype, device=encoding.device
    )
    cam_from_world[..., :3, :3] = rotation_from_quaternion(encoding[..., 3:7])
    cam_from_world[..., :3, 3] = encoding[..., :3]
    cam_from_world[..., 3, 3] = 1
    K = torch.zeros(*encoding.shape[:-1], 3, 3, dtype=encoding.dtype, device=encoding.device)
    half = encoding[..., 7:].clamp(min=_NARROWEST) / 2
    K[..., 1, 1] = height / 2 / half[..., 0].tan()
    K[..., 0, 0] = width / 2 / half[..., 1].tan()
    K[..., 0, 2], K[..., 1, 2], K[..., 2, 2] = (width - 1) / 2, (height - 1) / 2, 1
    return cam_from_world, K


def encode_cameras(cam_from_world: Tensor, K: Tensor, height: int, width: int) -> Tensor:
    """Inverse of `decode_cameras`; the principal point is not encoded.

    Args:
        cam_from_world: (..., 4, 4).
        K: (..., 3, 3).
        height: Pixels of the image.
        width: Pixels of the image.

    Returns:
        (..., 9).
    """
    vertical = 2 * torch.atan(height / 2 / K[..., 1, 1])
    horizontal = 2 * torch.atan(width / 2 / K[..., 0, 0])
    quaternion = quaternion_from_rotation(cam_from_world[..., :3, :3])
    angles = torch.stack([vertical, horizontal], dim=-1)
    return torch.cat([cam_from_world[..., :3, 3], quaternion, angles], dim=-1)
