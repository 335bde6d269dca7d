# SPDX-License-Identifier: Apache-2.0
"""Points of a frame a second time: pixels, depths and guards by the float64 reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from spatial_engine.engines.frame_points import Views

if TYPE_CHECKING:
    from spatial_engine.reference.scene import ReferenceScene


def reference_views(reference: ReferenceScene, frame: int, points: Sequence[int]) -> Views:
    """`point_views` of one frame (1, k) from the source, by a plain matrix product."""
    uv, z = reference.project(frame, points)
    size = np.array(reference.camera(frame).size, dtype=np.int64)
    return Views(uv[None], z[None], np.broadcast_to(size, (1, *uv.shape)))


def reference_rejection(reference: ReferenceScene, frame: int, points: Sequence[int]) -> str:
    """The first guard that one of the points breaks in a frame, or ""."""
    return next(filter(None, reference.guards(frame, points).reasons()), "")
