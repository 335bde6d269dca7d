# SPDX-License-Identifier: Apache-2.0
"""Scores of answers that are places: turns, boxes, points on an object, maps of cells."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from spatial_engine.engines.place_chance import IOU_STEPS
from spatial_engine.records.answers import Place
from spatial_engine.records.marks import cell_of
from spatial_engine.records.names import spoken

NEAR_CELLS = 1  # a place that far off counts whole ...
HALF_CELLS = 2  # ... and that far off half
LEAST_CELLS = 2  # of a pair along an axis, to have an order there


def turn_error(a: float, b: float) -> float:
    """Degrees between two directions.

    Example:
        >>> turn_error(350, 10)
        20.0
    """
    return abs((a - b + 180.0) % 360.0 - 180.0)


def iou_score(answer: Sequence[float], truth: Sequence[float]) -> float:
    """Share of the IoU steps 0.5, 0.6 ... 0.9 that a box reaches; 0 for one turned inside out.

    Example:
        >>> iou_score((0, 0, 100, 100), (0, 0, 100, 75))
        0.6
    """
    found = iou(answer, truth)
    return sum(found >= step for step in IOU_STEPS) / len(IOU_STEPS)


def iou(answer: Sequence[float], truth: Sequence[float]) -> float:
    """Intersection over union of two boxes (x0, y0, x1, y1); 0 for one turned inside out."""
    if answer[2] <= answer[0] or answer[3] <= answer[1]:
        return 0.0
    wide, high = (
        max(0.0, min(answer[k + 2], truth[k + 2]) - max(answer[k], truth[k])) for k in (0, 1)
    )
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (answer, truth)]
    whole = areas[0] + areas[1] - wide * high
    return wide * high / whole if whole > 0 else 0.0


def on_cells(point: Sequence[float], runs: Sequence[Sequence[int]], size: tuple[int, int]) -> bool:
    """Whether a point in 0..1000 of an image (W, H) lies on one of the cells of runs.

    Example:
        >>> on_cells((500, 500), [(18, 20, 30)], (640, 480))
        True
    """
    if not all(0 <= share <= 1000 for share in point):
        return False
    column, row = cell_of(point[0], point[1], size)
    return any(row == r and first <= column <= last for r, first, last in runs)


def map_score(answer: Sequence[Place], truth: Sequence[Place], anchors: Sequence[Place]) -> float:
    """Mean of the score of the places and of the score of the pairs of a map.

    A place within one cell of the truth counts 1, within two 1/2. Of every pair of objects, those
    that were given included, each axis along which the truth parts them by two cells or more
    counts 1 where the answer has them in the same order. What is not named counts nothing.

    Example:
        >>> map_score([("bed", 2, 3)], [("bed", 2, 4)], [("lamp", 9, 4)])
        1.0
        >>> map_score([("bed", 9, 3)], [("bed", 2, 4)], [("lamp", 5, 4)])
        0.0
    """
    said = {name.casefold(): (x, y) for name, x, y in answer}
    right = {name: (x, y) for name, x, y in truth}
    found: dict[str, tuple[int, int] | None] = {
        name: said.get(name.casefold(), said.get(spoken(name).casefold())) for name in right
    }
    places = 0.0
    for name, (x, y) in right.items():
        at = found[name]
        off = HALF_CELLS + 1 if at is None else max(abs(at[0] - x), abs(at[1] - y))
        places += 1.0 if off <= NEAR_CELLS else 0.5 if off <= HALF_CELLS else 0.0
    given: dict[str, tuple[int, int] | None] = {name: (x, y) for name, x, y in anchors}
    ordered, held = 0, 0
    for a, b in combinations([*right, *given], 2):
        if a in given and b in given:
            continue
        true = [right.get(k) or given[k] for k in (a, b)]
        one, two = (found[k] if k in found else given[k] for k in (a, b))
        for axis in (0, 1):
            step = true[1][axis] - true[0][axis] if true[0] and true[1] else 0
            if abs(step) < LEAST_CELLS:
                continue
            ordered += 1
            held += one is not None and two is not None and (two[axis] - one[axis]) * step > 0
    pairs = held / ordered if ordered else places / len(right)
    return 0.5 * (places / len(right) + pairs)
