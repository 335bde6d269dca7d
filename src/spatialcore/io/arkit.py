# SPDX-License-Identifier: Apache-2.0
"""What captures by ARKit apps have in common: a world with y up, and a phone held in any way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatialcore.errors import SceneFormatError
from spatialcore.io.confidence import read_confident_depth
from spatialcore.io.folder_source import FolderSource
from spatialcore.io.frame_files import FrameFiles, build_frames
from spatialcore.io.object_files import Labels
from spatialcore.io.upright import upright_turn
from spatialcore.types import Float64, Frame, Scene

UP = np.array([0.0, 1.0, 0.0])
_OPENCV_FROM_OPENGL = np.array([1.0, -1.0, -1.0])


def opencv_pose(world_from_cam: Float64) -> Float64:
    """The pose (4, 4) of a camera of ARKit (x right, y up, z back) with OpenCV's axes."""
    pose = np.array(world_from_cam, dtype=np.float64)
    pose[:3, :3] *= _OPENCV_FROM_OPENGL
    return pose


def arkit_scene(
    source: FolderSource,
    scene_id: str,
    files: Sequence[FrameFiles],
    *,
    depth_scale: float,
    inputs: Sequence[Path],
    notes: tuple[str, ...] = (),
    read: Callable[[Path, Frame], NDArray[Any]] = read_confident_depth,
    labels: Labels | None = None,
    space: str | None = None,
    split: str | None = None,
) -> Scene:
    """The scene of a phone capture: every picture turned by the one turn that gravity tells.

    Args:
        source: The reader.
        scene_id: One of its scenes.
        files: The frames as stored, each with its own intrinsics and pose (OpenCV axes).
        depth_scale: Metres a unit.
        inputs: Files beside the depth images that the scene is read from.
        notes: What the reader has to say.
        read: (root, frame) -> the stored depth map, turned; picklable.
        labels: Objects that the layout itself knows.
        space: Physical room; None: the scene itself.
        split: "train" or "val" where the layout ships a list.

    Raises:
        SceneFormatError: No frame can be used, or none has a camera.
    """
    place = source.folder(scene_id)
    turn = upright_turn((f.world_from_cam for f in files if f.world_from_cam is not None), UP)
    if turn is None:
        notes = (*notes, "upright_unknown")
    built = build_frames(files, source.root.resolve(), place, turn)
    if built.color is None:
        raise SceneFormatError(
            place, "has no frame with usable intrinsics", code="intrinsic_missing"
        )
    return source.registered_scene(
        scene_id,
        built,
        built.color,
        depth_scale=depth_scale,
        inputs=inputs,
        notes=notes,
        read=read,
        world_up=UP,
        labels=labels,
        space=space,
        split=split,
    )
