# SPDX-License-Identifier: Apache-2.0
"""Depth of ARKit's sensors with its confidence maps: readings of low confidence are dropped.

The maps lie in a folder `confidence` beside the folder of the depth maps, under the same names.
ARKit has three levels, written 0 1 2 or 0 127 255; the lowest is 0 either way.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatialcore.errors import SceneFormatError
from spatialcore.io.depth_maps import read_depth
from spatialcore.io.images import decode_image
from spatialcore.io.paths import read_bytes, resolve_inside
from spatialcore.io.upright import split_rotation, turned_map
from spatialcore.types import Frame

FOLDER = "confidence"
_MAX_BYTES = 64 << 20


def without_unsure(depth: NDArray[Any], levels: NDArray[Any], path: Path) -> NDArray[Any]:
    """The map with 0 where the confidence is 0.

    Raises:
        SceneFormatError: Their sizes differ.
    """
    if levels.shape != depth.shape:
        raise SceneFormatError(
            path, f"has shape {levels.shape}, its depth map {depth.shape}", code="confidence_bad"
        )
    depth[levels == 0] = 0
    return depth


def read_confident_depth(root: Path, frame: Frame) -> NDArray[Any]:
    """As `depth_maps.read_depth`, without the readings of low confidence.

    A map without a confidence map beside it stays as it is.

    Raises:
        SceneFormatError: Either map cannot be read, or their sizes differ.
    """
    uri, degrees = split_rotation(frame.depth or "")
    depth = read_depth(root, replace(frame, depth=uri or None))
    name = PurePosixPath(uri)
    beside = (name.parent.parent / FOLDER / name.name).as_posix()
    if (root / beside).is_file():
        path = resolve_inside(root, beside)
        levels = np.asarray(decode_image(read_bytes(path, _MAX_BYTES), path))[:, :, 0]
        depth = without_unsure(depth, levels, path)
    return turned_map(depth, degrees)
