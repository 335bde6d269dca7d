# SPDX-License-Identifier: Apache-2.0
"""Where the subject is in every frame, by geometry, on the axes of the first camera."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spatialcore.rigidity import rigid_segments
from spatialcore.types import invert_pose
from spatialmllm.reward.episode import Episode, EpisodeError, Evidence, RewardSpec
from spatialmllm.reward.formulas import rigid_fit

Float64 = NDArray[np.float64]
NEAREST_PX = 10.0


class Places(NamedTuple):
    """Places of a subject.

    Attributes:
        points: (T, 3) metres in the fixed frame, NaN where unknown.
        confidence: (T,) in [0, 1], NaN where nothing can tell.
        fixed_from_world: (4, 4) of the fixed frame: the first camera's axes where its pose is
            known, else the world's.
        source: What they come from.
    """

    points: Float64
    confidence: Float64
    fixed_from_world: Float64
    source: Evidence


def places_of(episode: Episode, spec: RewardSpec) -> Places:
    """Places of the spec's subject.

    A track's place is that of its whole rigid part: the part's points in the first frame with a
    reading are fitted to those of each frame, and carry the subject along, so that the noise of one
    track counts little and gaps of it are filled. Confidence is 1 - residual / floor. Where the
    part leaves the subject by more than the floor, the track stands alone, with confidence 0.

    Raises:
        EpisodeError: The episode lacks tracks, poses or intrinsics that the subject needs.
    """
    poses = episode.world_from_cam
    fixed = np.eye(4)
    if poses is not None and np.isfinite(poses[0]).all():
        fixed = invert_pose(poses[0])
    if spec.of_camera:
        if poses is None:
            raise EpisodeError(f"{episode.id}: the camera as subject needs world_from_cam")
        points = _through(fixed, poses[:, :3, 3])
        return Places(points, np.where(np.isfinite(points[:, 0]), 1.0, np.nan), fixed, "poses")
    if isinstance(spec.subject, str):
        raise EpisodeError(
            f"{episode.id}: only a model finds {spec.subject!r}; by geometry a subject is a track, "
            "a pixel or the camera"
        )
    world = world_tracks(episode)
    column = _column(episode, spec.subject, world)
    points, confidence = _carried(world, column, spec.floor_m)
    return Places(_through(fixed, points), confidence, fixed, "tracks")


def world_tracks(episode: Episode) -> Float64:
    """Tracks (T, N, 3) in one fixed frame.

    Raises:
        EpisodeError: There are none, or they are on camera axes and the camera's poses are unknown.
    """
    if episode.tracks is None:
        raise EpisodeError(
            f"{episode.id}: no tracks; a pixel's later places are not known without them"
        )
    tracks = np.asarray(episode.tracks, dtype=np.float64)
    if not episode.in_camera:
        return tracks
    if episode.world_from_cam is not None:
        rotation = episode.world_from_cam[:, :3, :3]
        moved = np.einsum("tij,tnj->tni", rotation, tracks)
        return np.asarray(moved + episode.world_from_cam[:, None, :3, 3])
    if episode.static_camera:
        return tracks
    raise EpisodeError(
        f"{episode.id}: tracks on the axes of a camera that may move need world_from_cam"
    )


def goal_of(episode: Episode, spec: RewardSpec, places: Places) -> Float64 | None:
    """The goal (3,) in the fixed frame, or None without one.

    Raises:
        EpisodeError: The goal's pixel has no depth, or the first place is unknown.
    """
    if spec.goal_world is not None:
        goal = np.array(spec.goal_world, dtype=np.float64)
        return _through(places.fixed_from_world, goal)
    if spec.goal_pixel is not None:
        return _through(places.fixed_from_world, _unprojected(episode, spec.goal_pixel))
    if spec.displacement is not None:
        if not np.isfinite(places.points[0]).all():
            raise EpisodeError(f"{episode.id}: the subject's first place is unknown")
        return np.asarray(places.points[0] + spec.displacement)
    return None


def _through(b_from_a: Float64, points: Float64) -> Float64:
    return np.asarray(points @ b_from_a[:3, :3].T + b_from_a[:3, 3])


def _column(episode: Episode, subject: int | tuple[float, float], world: Float64) -> int:
    """The track of a subject: its column, or that nearest to a pixel of the first frame."""
    count = world.shape[1]
    if isinstance(subject, int):
        if not 0 <= subject < count:
            raise EpisodeError(f"{episode.id}: track {subject} of {count}")
        return subject
    if episode.camera is None:
        raise EpisodeError(f"{episode.id}: a pixel as subject needs the camera's intrinsics")
    first = world[0]
    if episode.world_from_cam is not None:
        first = _through(invert_pose(episode.world_from_cam[0]), first)
    ahead = np.isfinite(first).all(axis=1) & (first[:, 2] > 0)
    distance = np.full(count, np.inf)
    pixels, _ = episode.camera.project(first[ahead])
    distance[ahead] = np.linalg.norm(pixels - np.asarray(subject), axis=1)
    nearest = int(np.argmin(np.where(np.isfinite(distance), distance, np.inf)))
    if not distance[nearest] <= NEAREST_PX:
        raise EpisodeError(
            f"{episode.id}: no track within {NEAREST_PX:g} pixels of {subject}; the nearest is "
            f"{distance[nearest]:.0f} away"
        )
    return nearest


def _carried(world: Float64, column: int, floor_m: float) -> tuple[Float64, Float64]:
    # The published rule drops changes under a centimetre a step and joins what moves slowly.
    labels = rigid_segments(world, method="robust", noise_floor=floor_m)
    own = world[:, column]
    part = np.flatnonzero(labels == labels[column]) if labels[column] >= 0 else np.array([column])
    readings = np.asarray(np.isfinite(world[:, part]).all(axis=2))
    known = np.isfinite(own).all(axis=1)
    if not known.any():
        return own, np.full(len(own), np.nan)
    start = int(np.argmax(known))
    points, confidence = own.copy(), np.full(len(own), np.nan)
    for t in range(len(own)):
        both = readings[start] & readings[t]
        if both.sum() < 3:
            continue
        rotation, shift, residual = rigid_fit(world[start, part[both]], world[t, part[both]])
        points[t] = rotation @ own[start] + shift
        confidence[t] = max(0.0, 1.0 - residual / floor_m)
    apart = np.linalg.norm(points - own, axis=1)[known]
    if apart.max() > floor_m:
        # The part is not rigid, or not the subject's: its own readings are what is known.
        return own, np.where(known, 0.0, np.nan)
    return points, confidence


def _unprojected(episode: Episode, pixel: tuple[float, float]) -> Float64:
    """World point of a pixel of the first frame, through its depth."""
    poses = episode.world_from_cam
    if episode.depth_m is None or episode.camera is None or poses is None:
        raise EpisodeError(f"{episode.id}: a pixel as goal needs depth, intrinsics and poses")
    if episode.camera.lens is not None:
        raise EpisodeError(f"{episode.id}: a pixel as goal needs a pinhole; this lens distorts")
    depth = episode.depth_m(0)
    column, row = (round(value) for value in pixel)
    if not (0 <= row < depth.shape[0] and 0 <= column < depth.shape[1]):
        raise EpisodeError(f"{episode.id}: the goal's pixel {pixel} is outside the depth map")
    z = float(depth[row, column])
    if not (np.isfinite(z) and z > 0):
        raise EpisodeError(f"{episode.id}: no depth at the goal's pixel {pixel}")
    ray = np.linalg.solve(episode.camera.K, np.array([column, row, 1.0]))
    return _through(poses[0], np.asarray(z * ray, dtype=np.float64))
