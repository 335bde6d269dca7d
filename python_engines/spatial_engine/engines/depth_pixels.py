# SPDX-License-Identifier: Apache-2.0
"""Which pixel of a frame's depth map stands for a point that its colour image shows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from spatial_engine.engines.context import SceneContext
from spatial_engine.engines.frame_points import Int64, Views, mask_rows
from spatialcore.occlusion import PixelMap


def depth_pixels(context: SceneContext, frames: ArrayLike, views: Views) -> Int64:
    """(n, k, 2) the depth pixels that stand for points as n frames see them."""
    frames = np.asarray(frames, dtype=np.int64)
    out = np.empty(views.uv.shape, dtype=np.int64)
    maps = _pixel_maps(context)
    rows = mask_rows(context, frames)
    for key in set(maps.of_row[rows].tolist()):
        mine = maps.of_row[rows] == key
        pixel_map, size = maps.distinct[key]
        out[mine] = pixel_map.depth_pixel(views.uv[mine], size)
    return out


class _PixelMaps(NamedTuple):
    distinct: list[tuple[PixelMap, tuple[int, int]]]
    of_row: Int64


def _pixel_maps(context: SceneContext) -> _PixelMaps:
    """The maps from colour to depth pixels that the index was made with, and who has which."""

    def make() -> _PixelMaps:
        scene = context.scene
        found: dict[tuple[PixelMap, tuple[int, int]], int] = {}
        of_row = [
            found.setdefault((scene.pixel_map(frame), scene.depth_size_of(frame)), len(found))
            for frame in scene.valid_frames.tolist()
        ]
        return _PixelMaps(list(found), np.array(of_row, dtype=np.int64))

    return context.cached("frame_points.pixel_maps", make)
