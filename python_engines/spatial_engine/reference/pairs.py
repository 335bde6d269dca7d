# SPDX-License-Identifier: Apache-2.0
"""How two frames of a scene stand to each other, by plain matrix products and vectors."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from spatial_engine.reference.scene import ReferenceScene

Float64 = NDArray[np.float64]


class PairFacts(NamedTuple):
    """How camera 2 stands to camera 1; angles are about z and mean little where up is unknown.

    Attributes:
        intersection: Points that both frames see.
        counts: Points that each frame sees.
        translation: (3,) metres, position of camera 2 on the axes of camera 1.
        distance: Metres between the cameras.
        rise: Metres that camera 2 is higher.
        dyaw_deg: Yaw of camera 2 less that of camera 1, in (-180, 180].
        dpitch_deg: Likewise of pitch.
        roll_change_deg: Likewise of roll, in (-180, 180].
        pitches_deg: Of both cameras.
    """

    intersection: int
    counts: tuple[int, int]
    translation: Float64
    distance: float
    rise: float
    dyaw_deg: float
    dpitch_deg: float
    roll_change_deg: float
    pitches_deg: tuple[float, float]


def pair_facts(scene: ReferenceScene, first: int, second: int) -> PairFacts:
    """The facts of two frames, from their poses and depth maps."""
    W1, W2 = scene.world_from_cam(first), scene.world_from_cam(second)
    relative = np.linalg.inv(W1) @ W2
    (yaw1, pitch1, roll1), (yaw2, pitch2, roll2) = _angles_deg(W1), _angles_deg(W2)
    a, b = scene.visible(first), scene.visible(second)
    return PairFacts(
        int((a & b).sum()),
        (int(a.sum()), int(b.sum())),
        relative[:3, 3],
        float(np.linalg.norm(relative[:3, 3])),
        float((W2[:3, 3] - W1[:3, 3]) @ np.array([0.0, 0.0, 1.0])),
        _wrapped_deg(yaw2 - yaw1),
        pitch2 - pitch1,
        _wrapped_deg(roll2 - roll1),
        (pitch1, pitch2),
    )


def _angles_deg(W: Float64) -> tuple[float, float, float]:
    """Yaw, pitch and roll by vectors: the view direction, and the right axis against level."""
    right, down, forward = W[:3, 0], W[:3, 1], W[:3, 2]
    forward = forward / np.linalg.norm(forward)
    yaw = float(np.degrees(np.arctan2(forward[1], forward[0])))
    pitch = float(np.degrees(np.arcsin(np.clip(forward[2], -1.0, 1.0))))
    return yaw, pitch, float(np.degrees(np.arctan2(right[2], -down[2])))


def _wrapped_deg(angle: float) -> float:
    """An angle less whole turns, in (-180, 180]."""
    least = math.remainder(angle, 360.0)
    return 180.0 if least == -180.0 else least
