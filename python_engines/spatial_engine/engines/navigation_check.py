# SPDX-License-Identifier: Apache-2.0
"""A walk derived a second time: another search for its length, and other means of walking it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatial_engine.engines.navigation_scene import NavigationScene
from spatialcore.relations.free_space import FreeSpace
from spatialcore.relations.verdict import Answer, Reason, Rejection
from spatialcore.relations.walks import DEFAULT_RULES, Instructions, Step

_PATH_SLACK = 1e-9  # of the path's length: two sums of the same steps in another order
_SAMPLE_M = 0.01  # along a leg
_END_SLACK_M = 1e-6


def longer(scene: NavigationScene, found: Answer[Any]) -> str:
    """Nothing when Dijkstra's search over the same cells finds the same length, else `no_route`."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import dijkstra

    space = scene.roomy
    if isinstance(space, Rejection):
        return str(Reason.NO_ROUTE)
    free, (H, W) = space.free, space.free.shape
    number = np.arange(H * W).reshape(H, W)
    ends: list[tuple[Any, Any, Any]] = []
    for dr, dc in ((0, 1), (1, 0), (1, 1), (1, -1)):
        here = (slice(0, H - dr), slice(max(0, -dc), W - max(0, dc)))
        there = (slice(dr, H), slice(max(0, dc), W + min(0, dc)))
        open_step = free[here] & free[there]
        if dr and dc:  # both cells beside a diagonal step
            open_step &= free[here[0], there[1]] & free[there[0], here[1]]
        length = np.full(int(open_step.sum()), np.hypot(dr, dc) * space.cell_m)
        ends.append((number[here][open_step], number[there][open_step], length))
    a, b, length = (np.concatenate([e[k] for e in ends]) for k in range(3))
    graph = coo_array((length, (a, b)), shape=(H * W, H * W)).tocsr()
    first, last = (row * W + column for row, column in (
        found.evidence["start_cell"], found.evidence["goal_cell"]
    ))  # fmt: skip
    shortest = float(dijkstra(graph, directed=False, indices=first)[last])
    same = abs(shortest - found.evidence["path_m"]) <= _PATH_SLACK * max(shortest, 1.0)
    return "" if same else str(Reason.NO_ROUTE)


def astray(scene: NavigationScene, found: Answer[Instructions]) -> str:
    """Nothing when the steps arrive from every start that the question allows.

    All starts walk together, as complex numbers; a leg is looked at every centimetre.
    """
    space = scene.space
    if isinstance(space, Rejection):
        return str(Reason.NO_ROUTE)
    facts = found.evidence
    told, face, goal = (complex(*facts[name]) for name in ("start_xy", "face_xy", "goal_xy"))
    place = _starts(space, told, float(facts["start_slack_m"]))
    ahead = (face - place) / abs(face - place)
    clear = True
    for step in found.value.steps:
        place, ahead, passed = _stepped(space, place, ahead, step)
        clear &= passed
    far = abs(place - goal).max()
    arrived = clear and far <= DEFAULT_RULES.goal_m + _END_SLACK_M
    return "" if arrived else str(Reason.START_UNSURE)


def _starts(space: FreeSpace, told: complex, slack_m: float) -> NDArray[np.complex128]:
    """The stated place, and the passable cells of one region with it within the slack."""
    from scipy.ndimage import label

    xy = space.centers(np.argwhere(space.passable))
    places = xy[:, 0] + 1j * xy[:, 1]
    near = np.zeros(space.passable.shape, bool)
    near[space.passable] = abs(places - told) <= slack_m
    regions, _ = label(near)
    own = space.cell_at((told.real, told.imag))
    kept = regions == regions[own] if own is not None and near[own] else near & False
    return np.concatenate([[told], places[kept[space.passable]]])


def _stepped(
    space: FreeSpace, place: NDArray[Any], ahead: NDArray[Any], step: Step
) -> tuple[NDArray[Any], NDArray[Any], bool]:
    """Place and heading after a step, and whether its leg stays on passable floor."""
    ahead = ahead * np.exp(1j * math.radians(step.angle_deg or 0))
    count = max(2, math.ceil(step.distance_m / _SAMPLE_M))
    leg = place[:, None] + ahead[:, None] * np.linspace(0.0, step.distance_m, count)
    x, y = space.origin
    column = np.floor((leg.real - x) / space.cell_m).astype(int)
    row = np.floor((leg.imag - y) / space.cell_m).astype(int)
    H, W = space.passable.shape
    inside = (row >= 0) & (row < H) & (column >= 0) & (column < W)
    passed = inside.all() and space.passable[row, column].all()
    return leg[:, -1], ahead, bool(passed)
