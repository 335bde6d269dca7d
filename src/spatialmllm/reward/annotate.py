# SPDX-License-Identifier: Apache-2.0
"""Annotate episodes: geometry where there is any, else a model, never mixed within a trace."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from spatialcore.errors import SpatialCoreError
from spatialcore.types import invert_pose
from spatialmllm.reward.asking import Asker, Told, both_ways, can_ask_back, tell
from spatialmllm.reward.episode import Episode, EpisodeError, Evidence, RewardSpec, RewardTrace
from spatialmllm.reward.formulas import agreement, camera_agreement, reward_of_distances
from spatialmllm.reward.places import Places, goal_of, places_of

Float64 = NDArray[np.float64]


def annotate_rewards(
    episodes: Iterable[Episode], spec: RewardSpec, *, ask: Asker | None = None
) -> Iterator[RewardTrace]:
    """One trace for each episode, in order; a bad episode gives a trace with `error`.

    Args:
        episodes: What is annotated.
        spec: What is rewarded.
        ask: A model, asked where given in place of the geometry.

    Yields:
        RewardTrace.

    Example:
        >>> tracks = np.zeros((3, 1, 3))
        >>> tracks[:, 0, 2] = [2.0, 1.5, 1.0]
        >>> spec = RewardSpec(subject=0, goal_world=(0.0, 0.0, 0.0))
        >>> [trace] = annotate_rewards([Episode("reach", 3, tracks=tracks)], spec)
        >>> trace.reward.tolist()
        [0.25, 0.25]
    """
    for episode in episodes:
        try:
            yield _by_geometry(episode, spec) if ask is None else _by_model(episode, spec, ask)
        except (EpisodeError, SpatialCoreError) as error:
            yield RewardTrace.failed(episode.id, str(error))


def _by_geometry(episode: Episode, spec: RewardSpec) -> RewardTrace:
    places = places_of(episode, spec)
    goal = goal_of(episode, spec, places)
    distance = np.full(episode.length, np.nan)
    if goal is not None:
        distance = np.linalg.norm(places.points - goal, axis=1)
    steps = np.diff(places.points, axis=0)
    since = steps if spec.anchor == "previous" else places.points[1:] - places.points[:1]
    if spec.kind == "agreement":
        reward = _agreement(episode, spec, steps)
    else:
        reward = reward_of_distances(distance, spec)
    return _trace(episode, spec, distance, since, reward, _step_confidence(places), places.source)


def _step_confidence(places: Places) -> Float64:
    """A step is as sure as its less sure end; unknown where both are."""
    ends = np.stack([places.confidence[:-1], places.confidence[1:]])
    known = np.isfinite(ends)
    least = np.where(known, ends, np.inf).min(axis=0)
    return np.where(known.any(axis=0), least, np.nan)


def _agreement(episode: Episode, spec: RewardSpec, steps: Float64) -> Float64:
    command = episode.command
    if command is None:
        raise EpisodeError(f"{episode.id}: agreement needs a command")
    if command.ndim == 2:
        return agreement(steps, command, spec.floor_m)
    if not spec.of_camera or episode.world_from_cam is None:
        raise EpisodeError(f"{episode.id}: commanded poses are those of the camera")
    poses = episode.world_from_cam
    known = np.asarray(np.isfinite(poses).all(axis=(1, 2)))
    both = known[:-1] & known[1:]
    reward = np.full(len(both), np.nan)
    moved = np.array([invert_pose(poses[i]) @ poses[i + 1] for i in np.flatnonzero(both)])
    if len(moved):
        reward[both] = camera_agreement(moved, command[both], spec.floor_m)
    return reward


def _trace(
    episode: Episode,
    spec: RewardSpec,
    distance: Float64,
    displacement: Float64,
    reward: Float64,
    confidence: Float64,
    source: Evidence,
    told: Told | None = None,
) -> RewardTrace:
    valid = np.isfinite(reward)
    with np.errstate(invalid="ignore"):
        moved = np.linalg.norm(displacement, axis=1) >= spec.floor_m
        success = distance[1:] <= spec.success_m
    return RewardTrace(
        episode.id, reward, distance, displacement, moved, success,
        np.where(valid, confidence, np.nan), valid, source,
        () if told is None else told.questions, () if told is None else told.answers,
    )  # fmt: skip


def _on_first_axes(episode: Episode, told: Float64) -> Float64:
    """Displacements on the axes of each step's first camera, turned to those of the first frame."""
    if episode.static_camera:
        return told
    poses = episode.world_from_cam
    if poses is None:
        raise EpisodeError(
            f"{episode.id}: a model tells displacements on each camera's own axes; without poses "
            "they fit the command only where the camera stands still"
        )
    turn = poses[0, :3, :3].T @ poses[:-1, :3, :3]
    return np.asarray(np.einsum("tij,tj->ti", turn, told))


def _by_model(episode: Episode, spec: RewardSpec, ask: Asker) -> RewardTrace:
    """The subject's place is unknown, so the goal is a displacement from the first frame."""
    if spec.kind == "agreement":
        pairs = [(i, i + 1) for i in range(episode.length - 1)]
    elif spec.displacement is None:
        raise EpisodeError(
            f"{episode.id}: without geometry the subject's place is unknown; a model takes the "
            "goal as a displacement"
        )
    else:
        pairs = [(0, i + 1) for i in range(episode.length - 1)]
    told = tell(episode, spec, pairs, ask)
    confidence = np.full(len(pairs), np.nan)
    # Asked back, the answer is on the other camera's axes: the same if the camera stands still.
    if can_ask_back(spec) and not spec.of_camera and episode.static_camera:
        back = tell(episode, spec, [(j, i) for i, j in pairs], ask)
        confidence = both_ways(told.displacement_m, back.displacement_m)
    distance = np.full(episode.length, np.nan)
    if spec.kind == "agreement":
        if episode.command is None or episode.command.ndim != 2:
            raise EpisodeError(f"{episode.id}: agreement of a model needs displacements (T-1, 3)")
        told = told._replace(displacement_m=_on_first_axes(episode, told.displacement_m))
        reward = agreement(told.displacement_m, episode.command, spec.floor_m)
    else:
        goal = np.asarray(spec.displacement)
        distance[0] = float(np.linalg.norm(goal))
        distance[1:] = np.linalg.norm(goal - told.displacement_m, axis=1)
        reward = reward_of_distances(distance, spec)
    return _trace(episode, spec, distance, told.displacement_m, reward, confidence, "model", told)
