# SPDX-License-Identifier: Apache-2.0
"""A camera as the eye of somebody who stands there: how far things are, and which way.

Bearings are seen from above: degrees from where the camera looks, level with the floor, to the
left positive, in (-180, 180]. The arithmetic is elementwise in a fixed order, so that it gives the
same bits everywhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from spatialcore.relations.directions import bearing_deg
from spatialcore.types import Float64


@dataclass(frozen=True, slots=True, eq=False)
class Viewpoint:
    """Where a camera is and looks, world z up.

    Attributes:
        position: (3,) metres.
        ahead: (2,) its viewing direction on the floor, of any length.
        pitch_deg: How steep it looks, up positive.
    """

    position: Float64
    ahead: tuple[float, float]
    pitch_deg: float

    @classmethod
    def of(cls, world_from_cam: ArrayLike) -> Viewpoint:
        """The viewpoint of a pose (4, 4), world z up, OpenCV camera.

        Example:
            >>> level = [[1, 0, 0, 5], [0, 0, 1, 6], [0, -1, 0, 1.5], [0, 0, 0, 1]]
            >>> view = Viewpoint.of(level)
            >>> view.ahead, view.pitch_deg, view.bearing((4, 6))
            ((0.0, 1.0), 0.0, 90.0)
        """
        pose = np.asarray(world_from_cam, dtype=np.float64)
        x, y, z = (float(v) for v in pose[:3, 2])
        pitch = math.degrees(math.atan2(z, math.hypot(x, y)))
        return cls(pose[:3, 3].copy(), (x, y), pitch)

    @property
    def heading_deg(self) -> float:
        """Where it looks on the floor, degrees counter-clockwise from x."""
        return math.degrees(math.atan2(self.ahead[1], self.ahead[0]))

    def bearing(self, point: Any) -> float:
        """Degrees from the viewing direction to a point (2,) or (3,), to the left positive."""
        x, y = float(self.position[0]), float(self.position[1])
        return bearing_deg((x, y), (x + self.ahead[0], y + self.ahead[1]), point)

    def floor_distance(self, point: Any) -> float:
        """Metres to a point (2,) or (3,), its height left out."""
        return math.hypot(
            float(point[0]) - float(self.position[0]), float(point[1]) - float(self.position[1])
        )

    def range(self, points: ArrayLike) -> float:
        """Metres to the nearest of points (n, 3)."""
        dx, dy, dz = (np.asarray(points, dtype=np.float64) - self.position).T
        return float(np.sqrt(((dx * dx + dy * dy) + dz * dz).min()))

    def on_map(self, point: Any) -> tuple[float, float]:
        """Metres to the right of the camera and ahead of it, seen from above."""
        dx = float(point[0]) - float(self.position[0])
        dy = float(point[1]) - float(self.position[1])
        length = math.hypot(*self.ahead)
        c, s = self.ahead[0] / length, self.ahead[1] / length
        return dx * s - dy * c, dx * c + dy * s


def turn_deg(stand: Any, face: Any, target: Any) -> float:
    """`bearing_deg`: the turn at a point from facing a second to a third, to the left positive."""
    return bearing_deg(stand, face, target)


def nearest_on_floor(point: Any, outline: ArrayLike) -> float:
    """Metres from a point (2,) or (3,) to the nearest of vertices (n, 3), heights left out."""
    x, y = np.asarray(outline, dtype=np.float64)[:, :2].T
    dx, dy = x - float(point[0]), y - float(point[1])
    return float(np.sqrt((dx * dx + dy * dy).min()))
