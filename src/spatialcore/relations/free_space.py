# SPDX-License-Identifier: Apache-2.0
"""Where one can walk: a floor grid of a scan, and which straight lines over it are clear.

Rows run along y, columns along x. Distances between cells are compared as whole squared cell
counts, so no rounding decides whether a cell is free.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spatialcore import _cpu
from spatialcore.relations.scene_object import SceneObject
from spatialcore.relations.solids import point_to_polygon
from spatialcore.relations.verdict import Answer, Evidence, Reason, Rejection
from spatialcore.types import Float64

Mask = NDArray[np.bool_]
Cell = tuple[int, int]


@dataclass(frozen=True, slots=True)
class GridRules:
    """How a scan becomes a floor grid; metres above the floor unless said otherwise.

    Attributes:
        cell_m: Side of a cell.
        floor_percentile: Height of the floor where no vertex is labelled floor, percent of z.
        obstacle_low_m, obstacle_high_m: A vertex strictly between the two is an obstacle; one
            that far or nearer to the floor, above or below, shows the floor.
        floor_reach_m: A free cell has seen floor within this distance.
        clearance_m: A free cell has no obstacle within this distance.
        eye_low_m: An obstacle vertex from here up blocks the sight of a standing person.
        min_free_m2: Free pockets below this area are no place to stand.
        max_reach_m: An object farther than this from every free cell is not reached.
        side_slack_m: Free cells this much farther from an object than the nearest are as good:
            one walks up to it from where one comes.
        sight_margin_m: Cells this near an object's footprint do not hide it.
    """

    cell_m: float = 0.05
    floor_percentile: float = 1.0
    obstacle_low_m: float = 0.10
    obstacle_high_m: float = 1.60
    floor_reach_m: float = 0.15
    clearance_m: float = 0.20
    eye_low_m: float = 1.20
    min_free_m2: float = 0.25
    max_reach_m: float = 1.0
    side_slack_m: float = 0.10
    sight_margin_m: float = 0.10

    def __post_init__(self) -> None:
        if self.cell_m <= 0 or not 0 <= self.obstacle_low_m < self.obstacle_high_m:
            raise ValueError("cell_m must be positive and obstacle_low_m below obstacle_high_m")


DEFAULT_RULES = GridRules()
"""A person of 0.4 m breadth in a room scanned at centimetres."""


@dataclass(frozen=True, eq=False)
class FreeSpace:
    """The walkable floor of a scan.

    Attributes:
        origin: (2,) world (x, y) of the outer corner of cell (0, 0), metres.
        cell_m: Side of a cell, metres.
        floor_z: Height of the floor in the world, metres.
        free: (H, W) cells a route may use.
        passable: (H, W) cells with half the clearance: what a walk that follows rounded
            instructions must keep to.
        tall: (H, W) cells that block the sight of a standing person.
        rules: The rules it was made with.
    """

    origin: Float64
    cell_m: float
    floor_z: float
    free: Mask
    passable: Mask
    tall: Mask
    rules: GridRules
    _distances: dict[int, Float64] = field(default_factory=dict, repr=False)
    _approaches: dict[tuple[int, float, float], Answer[Cell] | Rejection] = field(
        default_factory=dict, repr=False
    )

    @cached_property
    def free_cells(self) -> NDArray[np.int64]:
        """(N, 2) rows and columns of the free cells."""
        return np.argwhere(self.free)

    @cached_property
    def free_xy(self) -> Float64:
        """(N, 2) world (x, y) of the free cells' centres."""
        return self.centers(self.free_cells)

    def distance_to(self, item: SceneObject) -> Float64:
        """(N,) metres from the free cells to an object's footprint, kept by the object's id."""
        if item.object_id not in self._distances:
            away = point_to_polygon(item.box.footprint, self.free_xy)
            self._distances[item.object_id] = away
        return self._distances[item.object_id]

    def center(self, cell: Cell) -> Float64:
        """(2,) world (x, y) of a cell's centre."""
        x, y = self._corner
        return np.array([x + (cell[1] + 0.5) * self.cell_m, y + (cell[0] + 0.5) * self.cell_m])

    def centers(self, cells: ArrayLike) -> Float64:
        """(N, 2) world (x, y) of the centres of cells (N, 2)."""
        return np.asarray(self.origin + (np.asarray(cells)[:, ::-1] + 0.5) * self.cell_m)

    def grid_xy(self, xy: ArrayLike) -> tuple[float, float]:
        """World (x, y) in cells, where cell centres are integers: (column, row)."""
        place: Any = xy  # plain floats: this runs for every line that is looked along
        x, y = self._corner
        return (
            (float(place[0]) - x) / self.cell_m - 0.5,
            (float(place[1]) - y) / self.cell_m - 0.5,
        )

    def cell_at(self, xy: ArrayLike) -> Cell | None:
        """The cell that holds a world (x, y), or None outside the grid."""
        column, row = (math.floor(v + 0.5) for v in self.grid_xy(xy))
        H, W = self.free.shape
        return (row, column) if 0 <= row < H and 0 <= column < W else None

    @cached_property
    def _corner(self) -> tuple[float, float]:
        x, y = self.origin.tolist()
        return x, y


_MAX_CELLS = 1 << 24  # 200 m by 200 m of 5 cm: no floor that is walked in one scan


def free_space(
    points: ArrayLike, floor: ArrayLike | None = None, *, rules: GridRules = DEFAULT_RULES
) -> FreeSpace | Rejection:
    """The floor grid of a scan.

    Args:
        points: (P, 3) vertices in metres, world z up.
        floor: (P,) bool, vertices labelled floor; None, or none set, takes a low percentile
            of z as the floor's height.
        rules: Thresholds.

    Returns:
        FreeSpace, or `no_route` when no cell is free, or the grid has over 16 million cells.

    Raises:
        ValueError: A shape is wrong or a coordinate is not finite.
    """
    p = np.asarray(points, dtype=np.float64)
    if p.ndim != 2 or p.shape[1] != 3:
        raise ValueError(f"points must have shape (P, 3), got {p.shape}")
    if not np.isfinite(p).all():
        raise ValueError("points must be finite")
    labelled = np.zeros(len(p), bool) if floor is None else np.asarray(floor, dtype=bool)
    if labelled.shape != (len(p),):
        raise ValueError(f"floor must have shape ({len(p)},), got {labelled.shape}")
    if not len(p):
        return Rejection(Reason.NO_ROUTE)
    heights = p[:, 2]
    floor_z = float(
        np.median(heights[labelled])
        if labelled.any()
        else np.percentile(heights, rules.floor_percentile)
    )
    index = np.floor(p[:, :2] / rules.cell_m).astype(np.int64)
    first = index.min(axis=0)
    column, row = (index - first).T
    shape = (int(row.max()) + 1, int(column.max()) + 1)
    if shape[0] * shape[1] > _MAX_CELLS:
        return Rejection(Reason.NO_ROUTE, {"floor_z": floor_z, "cells": shape[0] * shape[1]})
    above = heights - floor_z
    obstacle = (above > rules.obstacle_low_m) & (above < rules.obstacle_high_m)
    blocked = _occupied(shape, row, column, obstacle)
    ground = _occupied(shape, row, column, np.abs(above) <= rules.obstacle_low_m)
    tall = _occupied(shape, row, column, obstacle & (above >= rules.eye_low_m))
    reach, keep = rules.floor_reach_m / rules.cell_m, rules.clearance_m / rules.cell_m
    seen = _grown(ground, reach)
    free = _without_pockets(seen & ~_grown(blocked, keep), rules)
    if not free.any():
        return Rejection(Reason.NO_ROUTE, {"floor_z": floor_z})
    passable = _grown(ground, reach + 0.5 * keep) & ~_grown(blocked, 0.5 * keep)
    return FreeSpace(first * rules.cell_m, rules.cell_m, floor_z, free, passable, tall, rules)


def roomy(space: FreeSpace, margin_m: float) -> FreeSpace:
    """The same floor, whose free cells have only passable ones within a margin.

    Who keeps to it may stray by the margin and still walk on passable floor.
    """
    tight = _grown(~np.pad(space.passable, 1), margin_m / space.cell_m)[1:-1, 1:-1]
    return replace(space, free=space.free & ~tight, _distances={}, _approaches={})


def passable_runs(space: FreeSpace) -> Evidence:
    """The passable floor as plain numbers: what is needed to walk instructions again.

    Returns:
        `origin` (x, y) metres, `cell_m`, `shape` (rows, columns), and `runs`: lengths of
        alternating runs of cells in row-major order, the first of blocked ones.
    """
    cells = np.concatenate([[False], space.passable.ravel(), [not space.passable.flat[-1]]])
    edges = np.flatnonzero(cells[1:] != cells[:-1])
    return {
        "origin": space.origin.tolist(),
        "cell_m": space.cell_m,
        "shape": list(space.passable.shape),
        "runs": np.diff(edges, prepend=0).tolist(),
    }


def space_of_runs(stored: Mapping[str, Any]) -> FreeSpace:
    """A floor to walk on from what `passable_runs` gives; free and passable are the same there.

    Raises:
        ValueError: The runs do not fill the shape.
    """
    runs = np.asarray(stored["runs"], dtype=np.int64)
    H, W = (int(side) for side in stored["shape"])
    if (runs < 0).any() or H < 1 or W < 1 or int(runs.sum()) != H * W:
        raise ValueError(f"runs of {int(runs.sum())} cells do not fill a grid of {H} x {W}")
    passable = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(H, W)
    origin = np.asarray(stored["origin"], dtype=np.float64)
    return FreeSpace(
        origin, float(stored["cell_m"]), 0.0, passable, passable, np.zeros((H, W), bool),
        DEFAULT_RULES,
    )  # fmt: skip


def _occupied(
    shape: tuple[int, int], row: NDArray[np.int64], column: NDArray[np.int64], chosen: Mask
) -> Mask:
    grid = np.zeros(shape, bool)
    grid[row[chosen], column[chosen]] = True
    return grid


def _grown(grid: Mask, radius: float) -> Mask:
    """Cells whose centre is within `radius` cells of a set cell's centre."""
    reach = int(radius + 1e-9)
    limit = (radius + 1e-9) ** 2
    H, W = grid.shape
    padded = np.zeros((H + 2 * reach, W + 2 * reach), bool)
    out = np.zeros((H, W), bool)
    padded[reach : reach + H, reach : reach + W] = grid
    for dr in range(-reach, reach + 1):
        for dc in range(-reach, reach + 1):
            if dr * dr + dc * dc <= limit:
                out |= padded[reach + dr : reach + dr + H, reach + dc : reach + dc + W]
    return out


def _without_pockets(free: Mask, rules: GridRules) -> Mask:
    from scipy.ndimage import label

    regions, count = label(free)
    cells = np.bincount(regions.ravel(), minlength=count + 1)
    large = cells * rules.cell_m**2 >= rules.min_free_m2
    large[0] = False
    return np.asarray(large[regions])


def cells_along(space: FreeSpace, start_xy: ArrayLike, end_xy: ArrayLike) -> NDArray[np.int64]:
    """Every cell that a straight line crosses or grazes: (N, 2) rows and columns.

    A line through the corner of four cells grazes all of them. Cells outside the grid are given
    too.
    """
    return _cpu.cells_along(space.grid_xy(start_xy), space.grid_xy(end_xy))


def line_clear(space: FreeSpace, mask: Mask, start_xy: ArrayLike, end_xy: ArrayLike) -> bool:
    """Whether every cell along a straight line lies on the grid and is set in `mask`."""
    return _cpu.line_clear(mask, space.grid_xy(start_xy), space.grid_xy(end_xy))


def approach(
    space: FreeSpace, item: SceneObject, toward_xy: ArrayLike | None = None
) -> Answer[Cell] | Rejection:
    """The free cell nearest an object's footprint, on the side where one comes from.

    Cells up to `side_slack_m` farther than the nearest count as equally near (there are some on
    every side of a small object); of these the one nearest `toward_xy`, then the lowest row and
    column.

    Args:
        space: Floor grid.
        item: The object.
        toward_xy: Where one comes from or goes to, world (x, y); None takes the centroid.

    Returns:
        Answer with (row, column), or `no_route` when no cell is free or the nearest is farther
        than `max_reach_m`. Evidence: `reach_m`.
    """
    goal = item.centroid if toward_xy is None else np.asarray(toward_xy, dtype=np.float64)
    key = (item.object_id, float(goal[0]), float(goal[1]))
    if key not in space._approaches:
        space._approaches[key] = _approach(space, item, goal)
    return space._approaches[key]


def _approach(space: FreeSpace, item: SceneObject, goal: Float64) -> Answer[Cell] | Rejection:
    cells, xy, distance = space.free_cells, space.free_xy, space.distance_to(item)
    if not len(cells):
        return Rejection(Reason.NO_ROUTE, {"object_id": item.object_id})
    nearest = float(distance.min())
    evidence: Evidence = {"reach_m": nearest, "object_id": item.object_id}
    if nearest > space.rules.max_reach_m:
        return Rejection(Reason.NO_ROUTE, evidence)
    near = distance <= nearest + space.rules.side_slack_m + 1e-9
    cells, xy = cells[near], xy[near]
    offset = xy - goal[:2]
    # Rounded, so that the last bit of a distance never chooses between two equal cells.
    order = np.round((offset * offset).sum(axis=1), 9)
    best = int(np.lexsort((cells[:, 1], cells[:, 0], order))[0])
    return Answer((int(cells[best, 0]), int(cells[best, 1])), evidence)


def sees(space: FreeSpace, xy: ArrayLike, item: SceneObject) -> bool:
    """Whether a person standing at (x, y) has a clear line to an object's centroid.

    Only vertices at eye height block it; those at the object itself do not.
    """
    cells = cells_along(space, xy, item.centroid[:2])
    H, W = space.tall.shape
    cells = cells[(cells >= 0).all(axis=1) & (cells[:, 0] < H) & (cells[:, 1] < W)]
    cells = cells[space.tall[cells[:, 0], cells[:, 1]]]
    if not len(cells):
        return True
    away = point_to_polygon(item.box.footprint, space.centers(cells))
    return bool((away <= space.rules.sight_margin_m).all())
