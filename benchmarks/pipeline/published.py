# SPDX-License-Identifier: Apache-2.0
"""The published pipeline's structure, written from its description: the peer of the scene index.

Per frame: the colour JPEG decoded twice to learn its size, the depth PNG once, every point
projected in float64 through homogeneous coordinates, 0 < z < d. Per pair: two bool arrays.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray


def visible(
    points: NDArray[np.float32],
    K: NDArray[np.float64],
    poses: NDArray[np.float64],
    jpegs: list[Path],
    pngs: list[Path],
) -> NDArray[np.bool_]:
    """(F, P) bool: what each frame sees."""
    rows = []
    for pose, jpeg, png in zip(poses, jpegs, pngs, strict=True):
        height, _ = cv2.imread(str(jpeg)).shape[:2]
        _, width = cv2.imread(str(jpeg)).shape[:2]
        depth = cv2.imread(str(png), cv2.IMREAD_UNCHANGED)
        rows.append(_visible_in_frame(points, K, pose, (width, height), depth))
    return np.stack(rows)


def _visible_in_frame(points, K, pose, size, depth):
    homogeneous = np.concatenate([points.astype(np.float64), np.ones((len(points), 1))], axis=1)
    camera = (pose @ homogeneous.T)[:3]
    z = camera[2]
    with np.errstate(all="ignore"):
        u, v, _ = (K @ camera) / z
    inside = (z > 0) & (u >= 0) & (u < size[0]) & (v >= 0) & (v < size[1])
    height, width = depth.shape
    scale_u, scale_v = width / size[0], height / size[1]
    column = np.clip(np.round(np.where(inside, u, 0) * scale_u), 0, width - 1).astype(np.int64)
    row = np.clip(np.round(np.where(inside, v, 0) * scale_v), 0, height - 1).astype(np.int64)
    return inside & (z < depth[row, column] * 0.001)


def overlaps(seen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """IoU of all pairs i < j, row by row; 0 where neither frame sees anything."""
    out = []
    for i in range(len(seen)):
        for j in range(i + 1, len(seen)):
            common = np.logical_and(seen[i], seen[j]).sum()
            union = np.logical_or(seen[i], seen[j]).sum()
            out.append(common / union if union else 0.0)
    return np.array(out)
