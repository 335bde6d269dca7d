# SPDX-License-Identifier: Apache-2.0
"""Clips of tracked points with known rigid parts: free bodies, jointed figures, rooms.

Other seeds of them helped to choose the robust rule of `rigid_segments`. Lengths in metres, 25
steps a second; every clip depends on its seed alone.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
RATE = 25.0


class LabelledClip(NamedTuple):
    """Tracks and their true parts.

    Attributes:
        tracks: (T, N, 3) metres, NaN = no reading.
        group: (N,) the rigid part of each track.
    """

    tracks: Float64
    group: NDArray[np.int64]


def _turn(axis: Float64, angle: Float64) -> Float64:
    """(T, 3, 3) rotations about one axis by Rodrigues' formula; angle (T,) radians."""
    x, y, z = axis / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    s, c = np.sin(angle)[:, None, None], np.cos(angle)[:, None, None]
    turn: Float64 = np.eye(3) + s * cross + (1 - c) * (cross @ cross)
    return turn


def _sway(rng: np.random.Generator, time: Float64, size: float) -> Float64:
    """(T,) a smooth motion to and fro of two frequencies, `size` in all."""
    fast, slow = rng.uniform(0.4, 1.2), rng.uniform(0.1, 0.4)
    a, b = rng.uniform(0, 2 * np.pi, 2)
    wave = 0.5 * np.sin(2 * np.pi * fast * time + a) + 0.5 * np.sin(2 * np.pi * slow * time + b)
    return np.asarray(size * wave)


def free_bodies(rng: np.random.Generator, steps: int) -> LabelledClip:
    """Two to five bodies of 6-20 points that turn and travel each in its own way."""
    time = np.arange(steps) / RATE
    clips, sizes = [], rng.integers(6, 21, rng.integers(2, 6))
    for size in sizes:
        turn = _turn(rng.normal(size=3), rng.uniform(0.2, 1.0) * time + _sway(rng, time, 0.4))
        points = rng.uniform(-0.2, 0.2, (size, 3))
        path = time[:, None] * rng.uniform(-0.3, 0.3, 3) + rng.uniform(-1, 1, 3) + (0, 0, 4)
        clips.append(np.einsum("tij,nj->tni", turn, points) + path[:, None])
    return LabelledClip(np.concatenate(clips, axis=1), np.repeat(np.arange(len(sizes)), sizes))


def jointed_figure(rng: np.random.Generator, steps: int) -> LabelledClip:
    """A trunk with four limbs of two links each, nine parts of 5-8 points, hinged end to end."""
    time = np.arange(steps) / RATE
    trunk = _turn(np.array([0.0, 0, 1]), _sway(rng, time, 0.6))
    place = np.stack([_sway(rng, time, 0.5), _sway(rng, time, 0.05), 4 + 0 * time], axis=1)
    clips, sizes = [], []

    def add(turn: Float64, origin: Float64, half: tuple[float, float, float], middle: float):
        sizes.append(int(rng.integers(5, 9)))
        points = rng.uniform(-1, 1, (sizes[-1], 3)) * half + (0, middle, 0)
        clips.append(np.einsum("tij,nj->tni", turn, points) + origin[:, None])

    add(trunk, place, (0.18, 0.28, 0.1), 0.0)
    for corner in ((-0.2, -0.25), (0.2, -0.25), (-0.1, 0.3), (0.1, 0.3)):
        turn, origin = trunk, place + trunk @ np.array([*corner, 0.0])
        for _ in range(2):
            bend = _turn(rng.normal(size=3), _sway(rng, time, rng.uniform(0.4, 1.0)))
            turn = turn @ bend
            add(turn, origin, (0.05, 0.13, 0.05), 0.16)
            origin = origin + turn @ np.array([0.0, 0.32, 0.0])
    return LabelledClip(np.concatenate(clips, axis=1), np.repeat(np.arange(len(sizes)), sizes))


def room_and_movers(rng: np.random.Generator, steps: int) -> LabelledClip:
    """Forty points of a room at rest, and one to three objects that each move for a while."""
    time = np.arange(steps) / RATE
    room = rng.uniform((-2, -1, 3), (2, 1, 6), (40, 3))
    clips, sizes = [np.tile(room, (steps, 1, 1))], [40]
    for _ in range(rng.integers(1, 4)):
        start, length = rng.uniform(0, 0.5) * time[-1], rng.uniform(0.3, 0.5) * time[-1]
        share = np.clip((time - start) / length, 0, 1)
        share = share * share * (3 - 2 * share)
        turn = _turn(rng.normal(size=3), rng.uniform(-1.5, 1.5) * share)
        path = share[:, None] * rng.uniform(-0.5, 0.5, 3) + rng.uniform(-0.5, 0.5, 3) + (0, 0, 3)
        sizes.append(int(rng.integers(6, 15)))
        points = rng.uniform(-0.15, 0.15, (sizes[-1], 3))
        clips.append(np.einsum("tij,nj->tni", turn, points) + path[:, None])
    return LabelledClip(np.concatenate(clips, axis=1), np.repeat(np.arange(len(sizes)), sizes))


KINDS = {
    "free bodies": free_bodies,
    "jointed figure": jointed_figure,
    "room and movers": room_and_movers,
}


def labelled_clip(
    kind: str, steps: int, noise: float, missing: float, seed: int, skin: float = 0.0
) -> LabelledClip:
    """A clip of a kind, with noise and gaps.

    Args:
        kind: A key of `KINDS`.
        steps: T.
        noise: Standard deviation of each coordinate of each reading, metres.
        missing: Share of missing readings, in gaps of about eight steps.
        seed: Of everything.
        skin: Standard deviation of a slow wandering of each point on its body, metres.
    """
    rng = np.random.default_rng([seed, steps, list(KINDS).index(kind)])
    tracks, group = KINDS[kind](rng, steps)
    tracks = tracks + rng.normal(size=tracks.shape) * noise
    if skin:
        # A first-order process with a time constant of a second.
        keep = np.exp(-1 / RATE)
        state = rng.normal(size=tracks.shape[1:])
        for t in range(steps):
            tracks[t] += skin * state
            state = keep * state + np.sqrt(1 - keep**2) * rng.normal(size=state.shape)
    gap_count = round(missing * tracks.shape[0] * tracks.shape[1] / 8)
    for n in rng.integers(0, tracks.shape[1], gap_count):
        start = int(rng.integers(0, steps))
        tracks[start : start + 8, n] = np.nan
    return LabelledClip(tracks, group)
