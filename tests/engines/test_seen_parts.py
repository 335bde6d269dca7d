# SPDX-License-Identifier: Apache-2.0
"""Parts of objects that frames show are kept for all who ask, each under their own names."""

from __future__ import annotations

import numpy as np

from spatial_engine.engines.seen_parts import SeenParts
from spatialcore.relations.scene_object import SceneObject
from tests.seeds import fresh_seeds


def test_a_part_has_the_name_that_it_is_asked_by() -> None:
    dice = np.random.default_rng(fresh_seeds(1)[0])
    points = dice.uniform(-1, 1, (40, 3)).astype(np.float32)
    instance = np.repeat(np.array([3, -1], np.int32), 20)
    parts = SeenParts(points, instance, lambda frame: np.arange(frame, 30))
    for name in ("chair", "#3", "chair"):
        part = parts.part(SceneObject(3, name, points=points[:20]), [0, 5])
        assert part is not None
        assert part.category == name
        assert part.points is not None
        assert np.array_equal(part.points, points[:20].astype(np.float64))
