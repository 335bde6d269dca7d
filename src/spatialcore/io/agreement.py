# SPDX-License-Identifier: Apache-2.0
"""Whether a scene's depth maps agree with its poses, and which wrong convention would explain it.

A reading of one frame is carried into a neighbour by the two poses; the neighbour's own reading
there confirms it within 5 % or 5 cm. Sound captures confirm 0.9 and more; inverted or OpenGL poses,
a wrong unit of depth or a mirrored axis confirm a half and less. Below `CONTRADICTED` the source
contradicts itself, and what would be made from it would be wrong, though every answer followed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from spatialcore.camera import pinhole_depth
from spatialcore.io.intrinsics import scaled_K
from spatialcore.types import (
    Camera,
    Float32,
    Float64,
    Frame,
    Scene,
    Track3D,
    compose_poses,
    invert_pose,
    transform_points,
)

CONTRADICTED = 0.7  # sound: 0.897 and more on five captures; wrong: 0.51 and less
ENOUGH_READINGS = 300  # fewer compared readings prove nothing
SAMPLED_FRAMES = 12
# Every 8th pixel of a 640x480 image: 4,800 readings tell a share to about 1 %.
_PIXEL_STEP = 8
_MAX_READINGS = 1 << 20  # of one map: a dozen of them stay small
_RELATIVE, _ABSOLUTE_M = 0.05, 0.05
# A cause is named when undoing it confirms so much, and so much more than as given.
_CURED, _GAIN = 0.8, 0.25
# Sound captures have 0.897 and more. Between, and where nothing can be compared, a cause has to be
# plain before it is believed.
_SOUND, _CURED_OF_DOUBT, _GAIN_OF_DOUBT = 0.89, 0.93, 0.08
# A principal point farther from the middle than any lens that is not shifted, by one factor along
# and across. Shifted lenses and crops differ in the two.
_SIZE_FACTORS, _SAME_FACTOR = (0.85, 1.18), 0.05
_OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])
_UNITS = (
    *(10.0, 0.1, 5.0, 0.2, 4.0, 0.25, 2.0, 0.5, 6.5535, 1 / 6.5535),
    *(1000.0, 0.001, 100.0, 0.01, 3.2808, 0.3048),
)
_K_FACTORS = (2.0, 0.5, 4 / 3, 0.75, 1296 / 640, 640 / 1296, 3.0, 1 / 3, 1.5, 2 / 3)


@dataclass(frozen=True, slots=True, eq=False)
class DepthShot:
    """One frame's depth with its camera.

    Attributes:
        depth: (h, w) float32 metres, NaN where there is no reading.
        K: (3, 3) of the map, pixels.
        world_from_cam: (4, 4).
    """

    depth: Float32
    K: Float64
    world_from_cam: Float64


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far depth maps and poses agree.

    Attributes:
        share: Share of readings that a neighbour confirms; None where none can be compared.
        readings: How many were compared.
        cause: What the source looks like instead where it contradicts itself, or "".
        cured: The share once that cause is undone.
    """

    share: float | None
    readings: int
    cause: str = ""
    cured: float | None = None

    @property
    def contradicted(self) -> bool:
        """Whether the maps contradict the poses."""
        if self.cause:
            return True
        if self.share is None or self.readings < ENOUGH_READINGS:
            return False
        return self.share < CONTRADICTED

    def sentence(self) -> str:
        """What is wrong, for a person."""
        said = "its depth maps contradict its poses: "
        if self.share is None or self.readings < ENOUGH_READINGS:
            said += "neighbouring frames have next to no reading in common"
        else:
            said += (
                f"neighbours confirm {self.share:.0%} of the readings, in sound captures 90 % and "
                "more"
            )
        if self.cause:
            said += f"; looks like {self.cause} (then {self.cured:.0%})"
        return said


def sampled_frames(frames: Sequence[Frame], count: int | None = SAMPLED_FRAMES) -> list[Frame]:
    """`count` usable frames, evenly spread in runs of two neighbours, or all when None."""
    usable = [f for f in frames if f.valid]
    if count is None or len(usable) <= count:
        return usable
    starts = np.linspace(0, len(usable) - 2, max(count // 2, 1)).round().astype(int)
    picked = sorted({int(i) + step for i in starts for step in (0, 1)})
    return [usable[i] for i in picked]


def depth_camera(scene: Scene, frame: Frame) -> Camera:
    """Camera of a frame's depth map: as given, else that of its image at the map's size."""
    given = scene.depth_of(frame)
    if given is not None:
        return given
    color, (w, h) = scene.color_of(frame), scene.depth_size_of(frame)
    return Camera(scaled_K(color.K, w / color.width, h / color.height), w, h, color.lens)


def depth_shot(scene: Scene, frame: Frame, stored: NDArray[np.generic]) -> DepthShot | None:
    """The frame's map in metres with its camera, thinned out to a megapixel.

    Args:
        scene: The scene.
        frame: A usable frame of it.
        stored: (h, w) as `read_depth` gives it.

    Returns:
        The map as it is, or behind a lens as a pinhole of the same K would show it, so that a
        straight ray leads from one frame to another; None where the map has another size than its
        camera.
    """
    camera = depth_camera(scene, frame)
    if frame.world_from_cam is None:
        return None
    if camera.lens is not None:
        if stored.shape != (camera.height, camera.width):
            return None
        stored = pinhole_depth(stored, camera)
    step = max(1, math.ceil(math.sqrt(stored.size / _MAX_READINGS)))
    depth = stored[::step, ::step].astype(np.float32) * np.float32(scene.depth_scale)
    depth[~((depth > 0) & np.isfinite(depth))] = np.nan
    K = camera.K.copy()
    K[:2] /= step
    return DepthShot(depth, K, frame.world_from_cam)


def _confirmed(first: DepthShot, second: DepthShot) -> NDArray[np.bool_]:
    """Which readings of `first` land on a reading of `second`, and whether that one agrees."""
    h, w = first.depth.shape
    v, u = np.mgrid[0:h:_PIXEL_STEP, 0:w:_PIXEL_STEP]
    z = first.depth[v, u]
    u, v, z = (a[np.isfinite(z)] for a in (u, v, z))
    K = first.K
    rays = np.stack([(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], np.ones_like(z)], axis=1)
    second_from_first = compose_poses(invert_pose(second.world_from_cam), first.world_from_cam)
    points = transform_points(second_from_first, rays * z[:, None])
    points = points[points[:, 2] > 0]
    K, (h, w) = second.K, second.depth.shape
    column = np.rint(K[0, 0] * points[:, 0] / points[:, 2] + K[0, 2])
    row = np.rint(K[1, 1] * points[:, 1] / points[:, 2] + K[1, 2])
    inside = (column >= 0) & (column < w) & (row >= 0) & (row < h)
    points, column, row = points[inside], column[inside], row[inside]
    read = second.depth[row.astype(int), column.astype(int)]
    known = np.isfinite(read)
    expected = points[known, 2]
    confirmed: NDArray[np.bool_] = np.abs(read[known] - expected) <= np.maximum(
        _RELATIVE * expected, _ABSOLUTE_M
    )
    return confirmed


def _share(shots: Sequence[DepthShot]) -> tuple[float | None, int]:
    hits = [_confirmed(a, b) for a, b in pairwise(shots)]
    total = sum(map(len, hits))
    if not total:
        return None, 0
    return float(sum(int(h.sum()) for h in hits) / total), total


def measure(shots: Sequence[DepthShot]) -> Agreement:
    """The agreement of frames in capture order; names the likely cause where they contradict."""
    share, total = _share(shots)
    found = Agreement(share, total)
    little = share is None or total < ENOUGH_READINGS
    if len(shots) < 2 or (not little and share is not None and share >= _SOUND):
        return found
    best, cause = share if share is not None and not little else 0.0, ""
    least = _CURED if little or found.contradicted else _CURED_OF_DOUBT
    gain = _GAIN if little or found.contradicted else _GAIN_OF_DOUBT
    start = best
    for name, undo in _hypotheses():
        cured, compared = _share([undo(shot) for shot in shots])
        if cured is not None and compared >= ENOUGH_READINGS and cured > best:
            best, cause = cured, name
    if best >= (_CURED_OF_DOUBT if little else least) and best >= start + gain:
        return Agreement(share, total, cause, best)
    return found


def only_mirrored(reasons: Iterable[str]) -> str:
    """How a scene contradicts itself whose frames are masked for one axis alone, or ""."""
    if {*reasons} != {"pose_mirrored"}:
        return ""
    return (
        "its poses mirror the world: one axis points the other way in each, or two are exchanged; "
        "no camera stands so"
    )


def contradiction(scene: Scene, agreement: Agreement) -> str:
    """How a scene contradicts itself, for a person; "" where it does not.

    Maps and poses speak of the depth camera alone. Of the colour camera the principal point does:
    off the middle by one factor in both directions, it is that of images of another size.
    """
    if agreement.contradicted:
        return agreement.sentence()
    W, H = scene.color.size
    across, down = 2 * (scene.color.K[:2, 2] + 0.5) / (W, H)
    low, high = _SIZE_FACTORS
    if low < across < high or abs(across - down) > _SAME_FACTOR * max(across, down):
        return ""
    return (
        f"its K belongs to images of about {across * W:.0f}x{down * H:.0f} pixels, its images have "
        f"{W}x{H}: the principal point lies at {across / 2:.0%} and {down / 2:.0%} of the sides"
    )


def _hypotheses() -> Iterator[tuple[str, Callable[[DepthShot], DepthShot]]]:
    """What a source may be instead, and how a shot would be read then."""

    def posed(change: Callable[[Float64], Float64]) -> Callable[[DepthShot], DepthShot]:
        return lambda shot: replace(shot, world_from_cam=change(shot.world_from_cam))

    def scaled(factor: float) -> Callable[[DepthShot], DepthShot]:
        return lambda shot: replace(shot, depth=shot.depth * np.float32(factor))

    yield "world-to-camera poses (cam_from_world)", posed(invert_pose)
    yield "OpenGL camera axes (y up, z back)", posed(lambda m: m @ _OPENGL)
    yield (
        "world-to-camera poses with OpenGL camera axes",
        posed(lambda m: np.asarray(invert_pose(_OPENGL @ m))),
    )
    yield "range along the ray in place of z", _z_of_range
    yield "depth images mirrored against the poses", _mirrored
    yield "depth images upside down against the poses", _upside_down
    for factor in _UNITS:
        unit = f"{factor:g} times as large" if factor > 1 else f"{1 / factor:g} times as small"
        yield f"another unit of depth, {unit}", scaled(factor)
    for factor in _K_FACTORS:
        size = f"{factor:.2g} times as large" if factor > 1 else f"{1 / factor:.2g} times as small"
        yield f"K of images {size}", _zoomed(1 / factor)


def _z_of_range(shot: DepthShot) -> DepthShot:
    h, w = shot.depth.shape
    v, u = np.mgrid[:h, :w]
    x, y = (u - shot.K[0, 2]) / shot.K[0, 0], (v - shot.K[1, 2]) / shot.K[1, 1]
    length = np.sqrt(1 + x * x + y * y).astype(np.float32)
    return replace(shot, depth=shot.depth / length)


def _mirrored(shot: DepthShot) -> DepthShot:
    return replace(shot, depth=shot.depth[:, ::-1])


def _upside_down(shot: DepthShot) -> DepthShot:
    return replace(shot, depth=shot.depth[::-1])


def _zoomed(factor: float) -> Callable[[DepthShot], DepthShot]:
    """The K of images so many times as large; pixel centres are integers."""

    def zoom(shot: DepthShot) -> DepthShot:
        K = shot.K.copy()
        K[:2] *= factor
        K[:2, 2] += 0.5 * (factor - 1)
        return replace(shot, K=K)

    return zoom


# Of a sound clip's visible points a few leave the picture by noise at its rim.
OUTSIDE_CONTRADICTED = 0.05


def share_outside(clip: Track3D) -> float | None:
    """Share of a clip's visible points that its camera projects out of the picture.

    None where no point is visible, or the clip has no images that could contradict.
    """
    if not any(frame.image for frame in clip.frames):
        return None
    seen = clip.visible & np.isfinite(clip.tracks_cam).all(axis=-1)
    if not seen.any():
        return None
    uv, _ = clip.camera.project(clip.tracks_cam[seen])
    W, H = clip.camera.size
    inside = (uv[:, 0] >= -0.5) & (uv[:, 0] < W) & (uv[:, 1] >= -0.5) & (uv[:, 1] < H)
    return float(1.0 - inside.mean())


def outside_sentence(share: float) -> str:
    """What is wrong with a clip, for a person."""
    return (
        f"{share:.0%} of its visible points project outside its images: fx_fy_cx_cy belongs to "
        "images of another size, or the tracks to another camera"
    )
