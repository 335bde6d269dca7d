# SPDX-License-Identifier: Apache-2.0
"""Scenes without a known scale: brought to the size of a room, so that thresholds mean something.

Structure from motion and relative depth networks leave one factor open. Questions about lengths are
refused for such scenes; the others, directions and correspondences, have thresholds in metres that
would depend on that factor. So it is chosen: the middle reading lies `MIDDLE_DEPTH_M` away.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spatialcore.errors import SceneFormatError
from spatialcore.io.agreement import sampled_frames
from spatialcore.types import Frame, Object3D, Scene

MIDDLE_DEPTH_M = 2.0  # half of the readings of an indoor capture lie within about two metres
_SAMPLED = 8


def room_sized(scene: Scene) -> Scene:
    """The scene with poses, boxes and depth scaled alike; unchanged where lengths are metres.

    Raises:
        SceneFormatError: No depth map has a reading; code "no_usable_frames".
    """
    if scene.metric:
        return scene
    factor = MIDDLE_DEPTH_M / _middle_depth(scene)
    return replace(
        scene,
        frames=tuple(_scaled(frame, factor) for frame in scene.frames),
        objects=tuple(_scaled_object(item, factor) for item in scene.objects),
        depth_scale=scene.depth_scale * factor,
        notes=(*scene.notes, "scale_unknown"),
    )


def _scaled(frame: Frame, factor: float) -> Frame:
    if frame.world_from_cam is None:
        return frame
    pose = np.array(frame.world_from_cam, dtype=np.float64)
    pose[:3, 3] *= factor
    return replace(frame, world_from_cam=pose)


def _scaled_object(item: Object3D, factor: float) -> Object3D:
    if item.box is None:
        return item
    box = replace(item.box, center=item.box.center * factor, size=item.box.size * factor)
    return replace(item, box=box)


def _middle_depth(scene: Scene) -> float:
    """Median reading of some frames, in the scene's own unit."""
    middles = []
    for frame in sampled_frames(scene.frames, _SAMPLED):
        try:
            depth = scene.read_depth(frame)[::4, ::4].astype(np.float64) * scene.depth_scale
        except SceneFormatError:
            continue
        known = depth[np.isfinite(depth) & (depth > 0)]
        if len(known):
            middles.append(float(np.median(known)))
    if not middles:
        raise SceneFormatError(
            scene.root / scene.id, "no depth map has a reading", code="no_usable_frames"
        )
    return float(np.median(middles))
