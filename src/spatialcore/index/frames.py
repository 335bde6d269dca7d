# SPDX-License-Identifier: Apache-2.0
"""Frames of an index: the z-up world, the frame table, and how two frames relate."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spatialcore.bitmask import BitMask
from spatialcore.errors import SceneIndexError
from spatialcore.index.tables import FrameTable, PairTable
from spatialcore.io.matrices import pose_reason
from spatialcore.lens import Lens
from spatialcore.occlusion import PixelMap
from spatialcore.types import Camera, Float64, Frame, compose_poses, invert_pose, transform_points

# Up directions closer to z than this are z: no reader knows better, and the points stay as stored.
_UP_TIE = 1e-12


class World(NamedTuple):
    """How the index's world lies in the source's.

    Attributes:
        zup_from_world: (4, 4) rotation that takes up to +z; identity where up is unknown.
        aligned_from_world: (4, 4) the source's axis alignment after that rotation.
    """

    zup_from_world: Float64
    aligned_from_world: Float64


def zup_rotation(world_up: ArrayLike) -> Float64:
    """The rotation of the shortest arc that takes a direction to +z.

    R = I + [v]x + [v]x^2 / (1 + c) with v = up x z, c = up . z; half a turn about x for -z.

    Args:
        world_up: (3,) direction, not zero.

    Returns:
        (4, 4) float64. Axis directions give exact permutations with signs.

    Raises:
        ValueError: Not three finite numbers, or all zero.

    Example:
        >>> zup_rotation((0.0, 1.0, 0.0))[:3, :3].tolist()
        [[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]]
    """
    up = np.asarray(world_up, dtype=np.float64)
    if up.shape != (3,) or not np.isfinite(up).all() or not up.any():
        raise ValueError(f"world_up must be three finite numbers, not all zero, got {up.tolist()}")
    length = math.sqrt((float(up[0]) ** 2 + float(up[1]) ** 2) + float(up[2]) ** 2)
    x, y, c = (float(n) / length for n in up)
    out = np.eye(4)
    if math.hypot(x, y) < _UP_TIE:
        if c < 0:
            out[1, 1] = out[2, 2] = -1.0
        return out
    k = 1.0 / (1.0 + c)
    out[:3, :3] = [
        [1.0 - k * (x * x), -k * (x * y), -x],
        [-k * (x * y), 1.0 - k * (y * y), -y],
        [x, y, 1.0 - k * (x * x + y * y)],
    ]
    return out + 0.0  # no negative zeros


def index_world(world_up: ArrayLike | None, aligned_from_zup: ArrayLike | None) -> World:
    """The fixed change of world of a scene: up to +z, then the source's axis alignment."""
    zup = np.eye(4) if world_up is None else zup_rotation(world_up)
    return World(zup, zup if aligned_from_zup is None else compose_poses(aligned_from_zup, zup))


def move_points(world: World, points_world: NDArray[np.float32]) -> NDArray[np.float32]:
    """Points in the index's world: computed in float64, stored as float32.

    Unmoved worlds return the points as they are, bit for bit.

    Args:
        world: Change of world.
        points_world: (P, 3) float32 metres.
    """
    if np.array_equal(world.aligned_from_world, np.eye(4)):
        return np.ascontiguousarray(points_world, dtype=np.float32)
    return transform_points(world.aligned_from_world, points_world).astype(np.float32)


def frame_poses(world: World, frames: Sequence[Frame]) -> tuple[Float64, list[str]]:
    """World poses of all frames, and why a frame cannot be used.

    Returns:
        world_from_cam: (F, 4, 4) in the index's world, NaN where there is none.
        reasons: "" or a reason code: the reader's, "pose_missing", "pose_nonfinite",
            "pose_singular" or "pose_not_rigid".
    """
    poses = np.full((len(frames), 4, 4), np.nan)
    reasons = [f.reason for f in frames]
    for k, frame in enumerate(frames):
        if frame.world_from_cam is not None:
            poses[k] = frame.world_from_cam
        elif not reasons[k]:
            reasons[k] = "pose_missing"
    poses[~np.isfinite(poses).all(axis=(1, 2))] = np.nan
    poses = compose_poses(world.aligned_from_world, poses)
    poses[~np.isfinite(poses).all(axis=(1, 2))] = np.nan
    invertible = np.isfinite(invert_pose(poses)).all(axis=(1, 2))
    for k in np.flatnonzero(~invertible).tolist():
        if not reasons[k]:
            reasons[k] = "pose_singular" if np.isfinite(poses[k]).all() else "pose_nonfinite"
    for k, frame in enumerate(frames):
        if not reasons[k] and frame.world_from_cam is not None:
            reasons[k] = pose_reason(frame.world_from_cam)
    return poses, reasons


def frame_table(
    frames: Sequence[Frame],
    world_from_cam: Float64,
    reasons: Sequence[str],
    image_size: tuple[int, int],
    depth_size: tuple[int, int],
    visible_count: Mapping[int, int],
) -> FrameTable:
    """The table of all frames; `visible_count` is by row."""
    count = len(frames)
    sizes = np.array([image_size if f.color is None else f.color.size for f in frames], np.int32)
    sizes = sizes.reshape(count, 2)
    depth_sizes = [depth_size if f.depth_camera is None else f.depth_camera.size for f in frames]
    depths = np.array(depth_sizes, np.int32).reshape(count, 2)
    return FrameTable(
        frame=np.array([f.index for f in frames], np.int32),
        name=[f.name for f in frames],
        valid=np.array([not r for r in reasons], np.bool_),
        reason=list(reasons),
        time=np.array([np.nan if f.time is None else f.time for f in frames], np.float64),
        world_from_cam=world_from_cam,
        image=[f.image for f in frames],
        depth=[f.depth for f in frames],
        width=sizes[:, 0].copy(),
        height=sizes[:, 1].copy(),
        depth_width=depths[:, 0].copy(),
        depth_height=depths[:, 1].copy(),
        visible_count=np.array([visible_count.get(k, 0) for k in range(count)], np.uint32),
        color_camera=[None if f.color is None else camera_numbers(f.color) for f in frames],
        depth_camera=[
            None if f.depth_camera is None else camera_numbers(f.depth_camera) for f in frames
        ],
    )


_LENS_MODELS = ("", "opencv", "fisheye")


def camera_numbers(camera: Camera) -> list[float]:
    """A camera as fx, fy, cx, cy, and where it has a lens its model's number and coefficients."""
    K, lens = camera.K, camera.lens
    numbers = [float(v) for v in (K[0, 0], K[1, 1], K[0, 2], K[1, 2])]
    return numbers if lens is None else [
        *numbers, float(_LENS_MODELS.index(lens.model)), *lens.coefficients
    ]  # fmt: skip


def camera_of_numbers(numbers: Sequence[float], size: tuple[int, int]) -> Camera:
    """The camera of an image of `size` (width, height), from `camera_numbers`.

    Raises:
        SceneIndexError: They are no camera's.
    """
    try:
        fx, fy, cx, cy, *rest = numbers
        K = np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])
        if not rest:
            return Camera(K, *size)
        model = _LENS_MODELS[int(rest[0])]
        return Camera(K, *size, Lens(model, tuple(rest[1:])))  # type: ignore[arg-type]
    except (ValueError, IndexError, TypeError) as error:
        raise SceneIndexError(f"frames.parquet: camera {list(numbers)}: {error}") from error


def frame_pixel_map(
    name: str, color: Camera, depth: Camera | None, depth_size: tuple[int, int]
) -> PixelMap:
    """The map of a name from colour to depth pixels.

    Args:
        name: "from_intrinsics", "from_sizes" or "identity".
        color: Camera of the image.
        depth: Camera of the depth map; None where it shares the colour grid.
        depth_size: (w, h).
    """
    if name == "from_sizes":
        return PixelMap.from_sizes(color.size, depth_size)
    return PixelMap.identity() if depth is None else PixelMap.from_intrinsics(color.K, depth.K)


def yaw_pitch_deg(world_from_cam: ArrayLike) -> tuple[float, float]:
    """Direction of view in a z-up world, in degrees.

    f = third column of the rotation; yaw = atan2(f_y, f_x), counter-clockwise seen from above;
    pitch = asin(f_z / |f|), positive = looking up.

    Args:
        world_from_cam: (4, 4), z up.
    """
    m = np.asarray(world_from_cam, dtype=np.float64)
    x, y, z = float(m[0, 2]), float(m[1, 2]), float(m[2, 2])
    length = math.sqrt((x * x + y * y) + z * z)
    ratio = min(1.0, max(-1.0, z / length)) if length > 0 else math.nan
    return math.degrees(math.atan2(y, x)), math.degrees(math.asin(ratio))


def wrap_deg(angle_deg: ArrayLike) -> Float64:
    """Differences of angles in [-180, 180], wrapped into (-180, 180]."""
    a = np.asarray(angle_deg, dtype=np.float64)
    a = np.where(a > 180.0, a - 360.0, a)
    return np.where(a <= -180.0, a + 360.0, a)


def pair_distance(world_from_cam_i: Float64, world_from_cam_j: Float64) -> Float64:
    """Metres between camera centres: the length of the translation of cam_i_from_cam_j.

    Args:
        world_from_cam_i: (..., 4, 4).
        world_from_cam_j: (..., 4, 4).
    """
    cam_i_from_cam_j = compose_poses(invert_pose(world_from_cam_i), world_from_cam_j)
    x, y, z = (cam_i_from_cam_j[..., k, 3] for k in range(3))
    return np.asarray(np.sqrt((x * x + y * y) + z * z))


def pair_table(
    visible: BitMask,
    frames: NDArray[np.int32],
    world_from_cam: Float64,
    *,
    up_known: bool,
    threads: int | None = None,
) -> PairTable:
    """Every pair of frames that see a common point.

    Args:
        visible: F x P, on the host or on a GPU.
        frames: (F,) int32 ascending frame of each row.
        world_from_cam: (F, 4, 4) of the same rows, z up.
        up_known: False leaves dyaw and dpitch NaN.
        threads: CPU threads.
    """
    from spatialcore._libraries import on_host
    from spatialcore.overlap import overlapping_pairs

    angles = np.array([yaw_pitch_deg(m) if up_known else (np.nan, np.nan) for m in world_from_cam])
    yaw, pitch = angles.reshape(-1, 2).T
    blocks: list[PairTable] = []
    for block in overlapping_pairs(visible, threads=threads):
        i, j, intersection = map(on_host, block)
        blocks.append(
            PairTable(
                i=frames[i],
                j=frames[j],
                intersection=intersection.astype(np.uint32, copy=False),
                distance=pair_distance(world_from_cam[i], world_from_cam[j]),
                dyaw_deg=wrap_deg(yaw[j] - yaw[i]),
                dpitch_deg=pitch[j] - pitch[i],
            )
        )
    table = join_tables(blocks)
    order = np.lexsort((table.j, table.i))
    columns: list[Any] = [column[order] for column in table]
    return PairTable(*columns)


def join_tables(blocks: Sequence[PairTable]) -> PairTable:
    """Rows of all blocks, in order; an empty table for none."""
    empty: list[Any] = [np.zeros(0, t) for t in ("i4", "i4", "u4", "f8", "f8", "f8")]
    columns: list[Any] = [np.concatenate(c) for c in zip(empty, *blocks, strict=True)]
    return PairTable(*columns)
