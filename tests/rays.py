# SPDX-License-Identifier: Apache-2.0
"""A ray-cast room of boxes, for tests that need frames which agree with each other.

The room is 5 x 4 x 2.6 m, z up; frames follow a short walk and look at the furniture. Depth is
exact z, so any two frames agree to rounding. Cameras may have a lens: its rays are found by
iteration, which the forward model then confirms.
"""

from __future__ import annotations

import io
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spatialcore.types import Camera, Float64

ROOM = np.array([[0.0, 0.0, 0.0], [5.0, 4.0, 2.6]])
# name, lowest corner, highest corner, colour; object ids count from 1 in this order
BOXES = (
    ("table", (3.6, 1.2, 0.0), (4.6, 2.4, 0.75), (150, 90, 40)),
    ("chair", (3.0, 2.7, 0.0), (3.5, 3.2, 0.95), (40, 90, 160)),
    ("cabinet", (4.4, 3.0, 0.0), (5.0, 4.0, 1.9), (90, 140, 90)),
    ("trash can", (2.6, 0.3, 0.0), (2.95, 0.65, 0.4), (60, 60, 60)),
    ("lamp", (4.1, 1.6, 0.75), (4.3, 1.8, 1.25), (230, 200, 60)),
)


class Shot(NamedTuple):
    """One frame: colour (h, w, 3), z (h, w) metres, object ids (h, w), pose and camera."""

    colour: NDArray[np.uint8]
    depth: Float64
    instance: NDArray[np.int32]
    world_from_cam: Float64
    camera: Camera


def pinhole(width: int = 160, height: int = 120, fov_deg: float = 62.0) -> Camera:
    """A camera with the principal point in the middle."""
    f = width / 2 / np.tan(np.deg2rad(fov_deg) / 2)
    K = np.array([[f, 0, (width - 1) / 2], [0, f, (height - 1) / 2], [0, 0, 1.0]])
    return Camera(K, width, height)


def look(eye: tuple[float, float, float], target: tuple[float, float, float]) -> Float64:
    """world_from_cam of a level camera at `eye` that looks at `target`."""
    forward = np.subtract(target, eye).astype(np.float64)
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    pose[:3, 3] = eye
    return pose


def walk(count: int) -> list[Float64]:
    """Poses of a walk that sees all furniture from several sides."""
    poses = []
    for k in range(count):
        t = k / max(count - 1, 1)
        eye = (0.7 + 0.9 * t, 0.8 + 1.6 * t, 1.45 + 0.1 * np.sin(6 * t))
        a = np.deg2rad(-35 + 80 * t)
        poses.append(look(eye, (eye[0] + 3 * np.cos(a), eye[1] + 3 * np.sin(a), 0.75)))
    return poses


def rays(camera: Camera) -> Float64:
    """(h, w, 3) directions of the pixels in the camera's frame, z = 1; NaN where the lens ends."""
    v, u = np.mgrid[: camera.height, : camera.width].astype(np.float64)
    x0, y0 = (u - camera.K[0, 2]) / camera.K[0, 0], (v - camera.K[1, 2]) / camera.K[1, 1]
    x, y = x0, y0
    if camera.lens is not None:
        for _ in range(60):
            dx, dy = camera.lens.distort(x, y)
            x, y = x + (x0 - dx), y + (y0 - dy)
        dx, dy = camera.lens.distort(x, y)
        wrong = ~(np.hypot(dx - x0, dy - y0) < 1e-9)
        x, y = np.where(wrong, np.nan, x), np.where(wrong, np.nan, y)
    return np.stack([x, y, np.ones_like(x)], axis=-1)


def shoot(world_from_cam: Float64, camera: Camera, boxes: tuple = BOXES) -> Shot:
    """Render one frame of a room of boxes."""
    d = rays(camera) @ world_from_cam[:3, :3].T
    o = world_from_cam[:3, 3]
    with np.errstate(divide="ignore", invalid="ignore"):
        far = np.maximum((ROOM[0] - o) / d, (ROOM[1] - o) / d).min(axis=-1)
        instance = np.full(far.shape, -1, dtype=np.int32)
        colour = np.full((*far.shape, 3), 190.0)
        for k, (_, low, high, paint) in enumerate(boxes, start=1):
            a, b = (np.array(low) - o) / d, (np.array(high) - o) / d
            near, end = np.minimum(a, b).max(axis=-1), np.maximum(a, b).min(axis=-1)
            hit = (near < end) & (near > 0.05) & (near < far)
            far = np.where(hit, near, far)
            instance[hit] = k
            colour[hit] = paint
        squares = np.floor((o + d * far[..., None]) * 4).sum(axis=-1) % 2
    colour *= np.nan_to_num(0.75 + 0.25 * squares)[..., None]
    depth = np.where(np.isfinite(far), far, 0.0)
    return Shot(colour.astype(np.uint8), depth, instance, world_from_cam, camera)


def box_surface(low: tuple, high: tuple, spacing: float) -> NDArray[np.float64]:
    """Points all over the faces of a box, as a mesh would have them."""
    low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
    along = [
        np.linspace(a, b, max(2, int((b - a) / spacing) + 1))
        for a, b in zip(low, high, strict=True)
    ]
    faces = []
    for axis in range(3):
        grids = list(along)
        for end in (low[axis], high[axis]):
            grids[axis] = np.array([end])
            faces.append(np.stack(np.meshgrid(*grids, indexing="ij"), -1).reshape(-1, 3))
    return np.concatenate(faces)


def png5000(shot: Shot) -> bytes:
    """The depth map in TUM's unit, 5,000 to the metre."""
    buffer = io.BytesIO()
    Image.fromarray(np.rint(shot.depth * 5000).astype(np.uint16)).save(buffer, "PNG")
    return buffer.getvalue()


def shots(cameras: list[Camera]) -> list[Shot]:
    """The walk, one frame for each camera."""
    return [shoot(pose, c) for pose, c in zip(walk(len(cameras)), cameras, strict=True)]
