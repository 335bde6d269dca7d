# SPDX-License-Identifier: Apache-2.0
"""The camera's path: as a person walks through a room and looks at its furniture."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from spatialcore.sample.dice import Dice
from spatialcore.sample.rooms import Room
from spatialcore.sample.solids import Solid
from spatialcore.types import Float64

CELL = 0.1  # metres of the grid that the path is planned on
BODY = 0.34  # metres that a walker keeps from furniture and walls
BELOW_KNEE = 0.12  # metres; lower things, such as rugs, are walked over
STOPS = 7
SMOOTHING = 0.03  # share of the walk over which turns are smoothed
EASY_TURN = 1.4  # radians from one look to the next
HIGHEST_LOOK = 0.95  # metres; over it walls are bare
HEAD_PITCH = 0.62  # radians; steepest look down or up


def free_cells(room: Room, solids: list[Solid], body: float) -> tuple[NDArray[np.bool_], Float64]:
    """Where a walker can stand: (ny, nx) bool and the (x, y) of cell (0, 0)."""
    lo, hi = room.bounds
    nx, ny = (math.ceil(n / CELL) for n in hi - lo)
    x = lo[0] + CELL * (np.arange(nx) + 0.5)
    y = lo[1] + CELL * (np.arange(ny) + 0.5)
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    free = room.contains(grid)
    for wall in room.walls:
        (x0, y0), (x1, y1) = wall.start, wall.end
        dx = np.maximum(np.maximum(min(x0, x1) - grid[:, 0], grid[:, 0] - max(x0, x1)), 0.0)
        dy = np.maximum(np.maximum(min(y0, y1) - grid[:, 1], grid[:, 1] - max(y0, y1)), 0.0)
        free &= dx * dx + dy * dy > body * body
    for solid in solids[2 + len(room.polygon) :]:
        a, b = solid.extent()
        if b[2] < BELOW_KNEE or a[2] > 1.9:
            continue
        dx = np.maximum(np.maximum(a[0] - grid[:, 0], grid[:, 0] - b[0]), 0.0)
        dy = np.maximum(np.maximum(a[1] - grid[:, 1], grid[:, 1] - b[1]), 0.0)
        free &= dx * dx + dy * dy > body * body
    return free.reshape(ny, nx), np.array([x[0], y[0]])


def _distances(free: NDArray[np.bool_], start: tuple[int, int]) -> NDArray[np.int64]:
    """Steps from a cell to every cell by breadth-first waves of 4-neighbours; -1 unreachable."""
    steps = np.full(free.shape, -1, dtype=np.int64)
    wave = np.zeros_like(free)
    wave[start] = True
    count = 0
    while wave.any():
        steps[wave] = count
        grown = wave.copy()
        grown[1:] |= wave[:-1]
        grown[:-1] |= wave[1:]
        grown[:, 1:] |= wave[:, :-1]
        grown[:, :-1] |= wave[:, 1:]
        wave = grown & free & (steps < 0)
        count += 1
    return steps


def _descend(steps: NDArray[np.int64], end: tuple[int, int]) -> list[tuple[int, int]]:
    """A shortest way from `end` back to the cell with step 0."""
    way, at = [end], end
    while steps[at] > 0:
        r, c = at
        around = [(r + 1, c), (r - 1, c), (r, c + 1), (r, c - 1)]
        inside = [p for p in around if 0 <= p[0] < steps.shape[0] and 0 <= p[1] < steps.shape[1]]
        # Alternating the order of the neighbours makes a staircase, which smoothing straightens.
        if len(way) % 2:
            inside.reverse()
        at = next(p for p in inside if steps[p] == steps[at] - 1)
        way.append(at)
    return way


def _route(free: NDArray[np.bool_], dice: Dice) -> Float64:
    """(n, 2) cells (column, row) of a way past stops that are far from each other."""
    cells = np.argwhere(free)
    if not len(cells):
        raise RuntimeError("the room has no free floor to walk on")
    labels = [_distances(free, (int(r), int(c))) for r, c in cells[:: max(1, len(cells) // 12)]]
    reach = max(labels, key=lambda s: int((s >= 0).sum())) >= 0
    cells = np.argwhere(reach)
    first = dice.below(len(cells), "walk/first")
    stops = [(int(cells[first, 0]), int(cells[first, 1]))]
    nearest = np.full(len(cells), np.inf)
    for k in range(STOPS - 1):
        away = np.hypot(cells[:, 0] - stops[-1][0], cells[:, 1] - stops[-1][1])
        nearest = np.minimum(nearest, away)
        far = np.argsort(-nearest, kind="stable")[: max(1, len(cells) // 12)]
        pick = far[dice.below(len(far), "walk/stop", k)]
        stops.append((int(cells[pick, 0]), int(cells[pick, 1])))
    way: list[tuple[int, int]] = []
    for a, b in itertools.pairwise(stops):
        way += _descend(_distances(reach, a), b)[::-1]
    return np.array(way, dtype=np.float64)[:, ::-1]


def _smooth(values: Float64, width: int) -> Float64:
    """Three running means over 2 width + 1 rows with repeated ends: nearly a Gaussian."""
    kernel = np.full(2 * width + 1, 1.0 / (2 * width + 1))
    for _ in range(3):
        padded = np.concatenate([values[:1].repeat(width, 0), values, values[-1:].repeat(width, 0)])
        values = np.stack([np.convolve(c, kernel, mode="valid") for c in padded.T], axis=1)
    return values


def _positions(room: Room, solids: list[Solid], count: int, dice: Dice) -> Float64:
    """(count, 2) places of the walker, evenly spaced along a smoothed route over free floor."""
    for body in (BODY, 0.26, 0.18, 0.1):
        free, origin = free_cells(room, solids, body)
        if free.sum() > 12:
            break
    route = _route(free, dice) * CELL + origin
    fine = _smooth(np.repeat(route, 4, axis=0), 9)
    length = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(fine, axis=0).T))])
    at = np.linspace(0.0, length[-1], count)
    return np.stack([np.interp(at, length, fine[:, k]) for k in range(2)], axis=1)


def _targets(room: Room, places: Float64, dice: Dice, again: Collection[int]) -> Float64:
    """(count, 3) points to look at: drawn objects one after another, never one too close."""
    shell = 2 + len(room.polygon)
    spots, chosen = [], []
    for thing in room.objects[shell:]:
        if thing.parent < 0:
            lows, highs = zip(*(s.extent() for s in thing.solids), strict=True)
            spots.append(0.5 * (np.min(lows, axis=0) + np.max(highs, axis=0)))
            chosen.append(thing.object_id in again)
    centres = np.array(spots)
    centres[:, 2] = np.minimum(centres[:, 2], HIGHEST_LOOK)
    count = len(places)
    looks = max(2, round(0.08 * count), min(8, count // 5))
    rows = np.zeros((count, 3))
    looked = np.zeros(len(centres), dtype=np.int64)
    last, facing = -1, dice.between(-math.pi, math.pi, "walk/facing")
    for k in range(looks):
        begin, end = count * k // looks, count * (k + 1) // looks
        here = places[(begin + end) // 2 if end > begin else begin]
        flat = centres[:, :2] - here
        away = np.hypot(flat[:, 0], flat[:, 1])
        # People turn their head by less than a right angle at a time, when they can.
        bearing = np.arctan2(flat[:, 1], flat[:, 0])
        turned = np.abs(np.remainder(bearing - facing + math.pi, 2 * math.pi) - math.pi)
        far = (away > min(1.3, 0.7 * away.max())) & (np.arange(len(away)) != last)
        good = np.flatnonzero(far & (turned < EASY_TURN))
        if again and k % 2:
            good = np.flatnonzero(far & chosen)
        if not len(good):
            good = np.flatnonzero(far)
        last = int(dice.pick(good.tolist(), "walk/look", k)) if len(good) else int(away.argmax())
        looked[last] += 1
        facing = float(bearing[last])
        rows[begin:end] = centres[last]
    return rows


def walk_poses(
    room: Room, solids: list[Solid], count: int, dice: Dice | None = None,
    again: Collection[int] = (),
) -> Float64:  # fmt: skip
    """Poses of a walk through the room.

    Args:
        room: A furnished room.
        solids: `room.solids()[0]`.
        count: Frames F.
        dice: Draws of the walk; None = the room's.
        again: Objects that every second look is for, where one is far enough.

    Returns:
        room_from_cam: (F, 4, 4) float64; 1.2 to 1.7 m above the floor, level but for a sway.
    """
    dice = dice or room.dice
    places = _positions(room, solids, count, dice)
    targets = _targets(room, places, dice, again)
    time = np.arange(count) / max(count, 60)
    base, sway = dice.between(1.36, 1.5, "walk/height"), dice.between(0.0, 6.0, "walk/phase")
    height = base + 0.14 * np.sin(9.0 * time + sway) + 0.015 * np.sin(80.0 * time)
    level = targets[:, 2] * 0.8 + 0.2 * height
    flat = targets[:, :2] - places
    away = np.maximum(np.hypot(flat[:, 0], flat[:, 1]), 0.3)
    facing = np.column_stack([flat / away[:, None], (level - height) / np.maximum(away, 0.8)])
    width = max(1, round(SMOOTHING * count))
    yaw = np.unwrap(np.arctan2(facing[:, 1], facing[:, 0]))
    yaw, pitch = _smooth(np.column_stack([yaw, np.arctan(facing[:, 2])]), width).T
    pitch = np.clip(pitch + 0.07 * np.sin(23.0 * time + 2.0 * sway), -HEAD_PITCH, HEAD_PITCH)
    roll = 0.05 * np.sin(17.0 * time + 3.0 * sway) + 0.05 * np.sin(5.0 * time)
    return look(np.column_stack([places, height]), yaw, pitch, roll)


def look(places: Float64, yaw: Float64, pitch: Float64, roll: Float64) -> Float64:
    """(F, 4, 4) room_from_cam at (F, 3) places; yaw about z, pitch up, roll about the view."""
    forward = np.stack(
        [np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), np.sin(pitch)], -1
    )
    level = np.stack([np.sin(yaw), -np.cos(yaw), np.zeros_like(yaw)], -1)
    under = np.cross(forward, level)
    c, s = np.cos(roll)[:, None], np.sin(roll)[:, None]
    poses = np.zeros((len(yaw), 4, 4))
    poses[:, :3, 0] = c * level + s * under
    poses[:, :3, 1] = c * under - s * level
    poses[:, :3, 2] = forward
    poses[:, :3, 3] = places
    poses[:, 3, 3] = 1.0
    return poses
