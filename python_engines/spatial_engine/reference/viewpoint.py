# SPDX-License-Identifier: Apache-2.0
"""Where a camera is and looks, a second time: matrices, norms, and angles of complex numbers.

The other way is `spatialcore.relations.viewpoint`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float64 = NDArray[np.float64]


class ReferenceViewpoint:
    """A camera seen from above, by its pose.

    Args:
        world_from_cam: (4, 4), world z up.
    """

    def __init__(self, world_from_cam: ArrayLike) -> None:
        self._pose = np.asarray(world_from_cam, dtype=np.float64)
        self.position: Float64 = (self._pose @ np.array([0.0, 0.0, 0.0, 1.0]))[:3]
        forward = self._pose[:3, :3] @ np.array([0.0, 0.0, 1.0])
        self._forward = forward / np.linalg.norm(forward)

    @property
    def pitch_deg(self) -> float:
        """How steep the camera looks, up positive."""
        return float(np.degrees(np.arcsin(np.clip(self._forward[2], -1.0, 1.0))))

    @property
    def heading_deg(self) -> float:
        """Where the camera looks on the floor, counter-clockwise from x."""
        return float(np.degrees(np.angle(complex(*self._forward[:2]))))

    def bearing(self, point: Any) -> float:
        """Degrees from the viewing direction to a point, to the left positive."""
        there = np.asarray(point, np.float64)[:2] - self.position[:2]
        return _turn(complex(*self._forward[:2]), complex(*there))

    def floor_distance(self, point: Any) -> float:
        """Metres to a point, its height left out."""
        return float(np.linalg.norm(np.asarray(point, np.float64)[:2] - self.position[:2]))

    def range(self, points: ArrayLike) -> float:
        """Metres to the nearest of points (n, 3)."""
        away = np.asarray(points, dtype=np.float64) - self.position
        return float(np.linalg.norm(away, axis=1).min())

    def on_map(self, point: Any) -> tuple[float, float]:
        """Metres to the right of the camera and ahead of it, seen from above."""
        ahead = self._forward[:2] / np.linalg.norm(self._forward[:2])
        world_from_map = np.array([[ahead[1], ahead[0]], [-ahead[0], ahead[1]]])
        there = np.asarray(point, np.float64)[:2] - self.position[:2]
        right, forward = np.linalg.solve(world_from_map, there).tolist()
        return right, forward


def reference_turn(stand: Any, face: Any, target: Any) -> float:
    """The turn at one point from facing a second to facing a third, left positive, degrees."""
    here, ahead, there = (complex(float(p[0]), float(p[1])) for p in (stand, face, target))
    return _turn(ahead - here, there - here)


def reference_nearest_on_floor(point: Any, outline: ArrayLike) -> float:
    """Metres from a point to the nearest of vertices (n, 3), heights left out."""
    from scipy.spatial import cKDTree

    tree = cKDTree(np.asarray(outline, dtype=np.float64)[:, :2])
    return float(tree.query(np.asarray(point, np.float64)[:2])[0])


def _turn(ahead: complex, there: complex) -> float:
    angle = float(np.degrees(np.angle(there / ahead)))
    return 180.0 if angle == -180.0 else angle
