# SPDX-License-Identifier: Apache-2.0
"""Walks and lines over a floor grid: the specification of the compiled ones in `_cpu`."""

from __future__ import annotations

import heapq
import math

import numpy as np
from numpy.typing import NDArray

Cell = tuple[int, int]

_HALF_DIAGONAL = math.sqrt(0.5) + 1e-9  # cells; reaches every cell that a line crosses or grazes
_SQRT2 = math.sqrt(2.0)
_MOVES = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))


def find_path(free: NDArray[np.bool_], start: Cell, goal: Cell) -> tuple[list[Cell], float] | None:
    """`spatialcore.relations.routes.find_path`, with a heap of (f, h, cell)."""
    # A border of blocked cells saves every bounds check.
    stride = free.shape[1] + 2
    open_cells = np.pad(free, 1).ravel().tolist()
    origin, target = ((r + 1) * stride + c + 1 for r, c in (start, goal))
    if not (open_cells[origin] and open_cells[target]):
        return None
    goal_row, goal_column = divmod(target, stride)
    steps = [(dr * stride + dc, dr * stride, dc, dr * dc != 0) for dr, dc in _MOVES]
    best: dict[int, float] = {origin: 0.0}
    counts: dict[int, tuple[int, int]] = {origin: (0, 0)}
    parent: dict[int, int] = {}
    closed: set[int] = set()
    queue = [(0.0, 0.0, origin)]
    while queue:
        f, _, here = heapq.heappop(queue)
        if here in closed:
            continue
        if here == target:
            return _trace(parent, target, stride), f
        closed.add(here)
        straight, diagonal = counts[here]
        for move, vertical, horizontal, is_diagonal in steps:
            there = here + move
            if not open_cells[there] or there in closed:
                continue
            if is_diagonal:
                if not (open_cells[here + vertical] and open_cells[here + horizontal]):
                    continue
                s, d = straight, diagonal + 1
            else:
                s, d = straight + 1, diagonal
            cost = s + d * _SQRT2
            if cost >= best.get(there, math.inf):
                continue
            best[there], counts[there], parent[there] = cost, (s, d), here
            row, column = divmod(there, stride)
            dr, dc = abs(row - goal_row), abs(column - goal_column)
            hs, hd = (dr - dc, dc) if dr > dc else (dc - dr, dr)
            f = (s + hs) + (d + hd) * _SQRT2
            heapq.heappush(queue, (f, hs + hd * _SQRT2, there))
    return None


def _trace(parent: dict[int, int], target: int, stride: int) -> list[Cell]:
    path = [target]
    while path[-1] in parent:
        path.append(parent[path[-1]])
    return [(k // stride - 1, k % stride - 1) for k in reversed(path)]


def cells_along(start: tuple[float, float], end: tuple[float, float]) -> NDArray[np.int64]:
    """Rows and columns (N, 2) of the cells that a line crosses; its ends are (column, row)."""
    (ax, ay), (bx, by) = start, end
    columns = np.arange(math.floor(min(ax, bx) - 1), math.ceil(max(ax, bx) + 1) + 1)
    rows = np.arange(math.floor(min(ay, by) - 1), math.ceil(max(ay, by) + 1) + 1)
    dx, dy = bx - ax, by - ay
    square = dx * dx + dy * dy
    px, py = columns[None, :] - ax, rows[:, None] - ay
    share = np.clip((px * dx + py * dy) / square, 0.0, 1.0) if square > 0 else np.zeros(1)
    off_x, off_y = px - share * dx, py - share * dy
    near = off_x * off_x + off_y * off_y <= _HALF_DIAGONAL**2
    r, c = np.nonzero(near)
    return np.stack([r + rows[0], c + columns[0]], axis=1)
