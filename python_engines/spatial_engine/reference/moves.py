# SPDX-License-Identifier: Apache-2.0
"""How far a thing is from where it was, a second time: norms, and all pairs of points.

The other way is `spatial_engine.engines.visits`.
"""

from __future__ import annotations

import numpy as np

from spatialcore.relations.scene_object import SceneObject

_ROWS = 256  # points that are compared with all others at once


def reference_shift(before: SceneObject, after: SceneObject) -> float:
    """Metres between the middles of a thing's upright boxes in two visits."""
    return float(np.linalg.norm(np.subtract(after.centroid, before.centroid)))


def reference_near_share(before: SceneObject, after: SceneObject, metres: float) -> float:
    """Share of a thing's later points with an earlier one within so many metres."""
    from scipy.spatial.distance import cdist

    a, b = before.outline, after.outline
    near = [
        (cdist(b[k : k + _ROWS], a).min(axis=1) <= metres).sum() for k in range(0, len(b), _ROWS)
    ]
    return float(sum(near)) / len(b)
