# SPDX-License-Identifier: Apache-2.0
"""What guessing scores where the answer is a place in an image, computed from its geometry.

Of a point: a place that is drawn evenly over the image. Of a box: the middle half of the image's
width and height, since a box that is drawn would have to have a size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from spatial_engine.engines.base import Metric
from spatial_engine.engines.references import iou
from spatial_engine.records.marks import CELLS

IOU_STEPS = (0.5, 0.6, 0.7, 0.8, 0.9)
COORDINATE_TOLERANCE = 0.05  # of the image's width
MIDDLE_BOX = (250.0, 250.0, 750.0, 750.0)


def place_chance(
    metric: Metric,
    truth: Sequence[float],
    size: tuple[int, int],
    runs: Sequence[Sequence[int]] = (),
) -> float | None:
    """Score of a guessed place, or None where the metric scores none.

    Args:
        metric: How the answer is scored.
        truth: Its numbers in 0..1000.
        size: (W, H) of the image.
        runs: Cells that show the object, as (row, first column, last column); see `cell_of`.

    Example:
        >>> place_chance("IoU", (250, 250, 750, 750), (640, 480))
        1.0
        >>> round(place_chance("within 5 % of W", (500, 500), (640, 480)), 5)
        0.01047
        >>> place_chance("on the object", (500, 500), (50, 50), [(0, 0, 49)])
        0.02
    """
    if metric == "IoU":
        found = iou(MIDDLE_BOX, truth)
        return sum(found >= step for step in IOU_STEPS) / len(IOU_STEPS)
    if metric == "on the object":
        return _share_of_cells(runs, size) if runs else None
    return _share_of_disc(truth, size) if metric == "within 5 % of W" else None


def _share_of_cells(runs: Sequence[Sequence[int]], size: tuple[int, int]) -> float:
    """Share of an image that cells cover; those of the last row may be cut."""
    width, height = size
    side = width / CELLS
    area = sum(
        (last - first + 1) * side * min(side, height - row * side) for row, first, last in runs
    )
    return float(area / (width * height))


def _share_of_disc(truth: Sequence[float], size: tuple[int, int]) -> float:
    """Share of an image that lies within the tolerance of a point; what is outside is cut off."""
    width, height = size
    u, v = truth[0] * width / 1000, truth[1] * height / 1000
    radius, steps = COORDINATE_TOLERANCE * width, 2000
    edges = np.linspace(max(0.0, v - radius), min(float(height), v + radius), steps + 1)
    rows = 0.5 * (edges[1:] + edges[:-1])
    half = np.sqrt(np.maximum(radius**2 - (rows - v) ** 2, 0.0))
    spans = np.minimum(u + half, width) - np.maximum(u - half, 0.0)
    return math.fsum(np.maximum(spans, 0.0) * np.diff(edges)) / (width * height)
