# SPDX-License-Identifier: Apache-2.0
"""A camera: its K, the size of its images and its lens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spatialcore.lens import Lens

Float64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Camera:
    """Pinhole camera, with the distortion of its lens where it has one.

    Attributes:
        K: (3, 3) float64 intrinsic matrix in pixels, zero skew.
        width: Image columns.
        height: Image rows.
        lens: Distortion, or None for a pinhole.
    """

    K: Float64
    width: int
    height: int
    lens: Lens | None = None

    def __post_init__(self) -> None:
        K = np.ascontiguousarray(self.K, dtype=np.float64)
        if K.shape != (3, 3):
            raise ValueError(f"K must have shape (3, 3), got {K.shape}")
        if not np.isfinite(K).all() or K[0, 0] <= 0 or K[1, 1] <= 0:
            raise ValueError("K must be finite with positive focal lengths")
        if K[0, 1] != 0:
            raise ValueError(f"K must have zero skew, got {K[0, 1]}")
        if self.width < 1 or self.height < 1:
            raise ValueError(f"image size must be positive, got {self.width}x{self.height}")
        object.__setattr__(self, "K", K)
        if self.lens is not None and self.lens.is_pinhole:
            object.__setattr__(self, "lens", None)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.width, self.height

    def same_as(self, other: Camera | None) -> bool:
        """Whether both see every point at the same pixel of an image of the same size."""
        return (
            other is not None
            and self.size == other.size
            and self.lens == other.lens
            and bool(np.array_equal(self.K, other.K))
        )

    def project(self, points_cam: ArrayLike) -> tuple[Float64, Float64]:
        """Pixels and depth of points in the camera's own frame.

        Args:
            points_cam: (..., 3) metres.

        Returns:
            uv: (..., 2) float64 pixels; NaN behind the camera and beyond the lens's valid radius.
            z: (...) float64 metres.
        """
        p, K = np.asarray(points_cam, dtype=np.float64), self.K
        x, y, z = p[..., 0], p[..., 1], p[..., 2]
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.lens is not None:
                x, y = (v * z for v in self.lens.distort(x / z, y / z))
            uv = np.stack([(K[0, 0] * x) / z + K[0, 2], (K[1, 1] * y) / z + K[1, 2]], axis=-1)
        uv[~(z > 0)] = np.nan
        return uv, z


def pinhole_depth(depth: NDArray[Any], camera: Camera) -> NDArray[Any]:
    """The depth map as a pinhole of the same K and size would show it: nearest readings.

    Clouds are built from it and frames compared by it, so that neither needs a lens; readings that
    the pinhole does not show are left out.
    """
    if camera.lens is None:
        return depth
    w, h = camera.size
    x = (np.arange(w) - camera.K[0, 2]) / camera.K[0, 0]
    y = (np.arange(h) - camera.K[1, 2]) / camera.K[1, 1]
    bent = camera.lens.distort(*np.meshgrid(x, y))
    column = np.rint(bent[0] * camera.K[0, 0] + camera.K[0, 2])
    row = np.rint(bent[1] * camera.K[1, 1] + camera.K[1, 2])
    with np.errstate(invalid="ignore"):
        inside = (column >= 0) & (column < w) & (row >= 0) & (row < h)
    column, row = (np.where(inside, v, 0).astype(np.int64) for v in (column, row))
    out: NDArray[Any] = np.where(inside, depth[row, column], depth.dtype.type(0))
    return out
