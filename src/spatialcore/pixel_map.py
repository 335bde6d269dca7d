# SPDX-License-Identifier: Apache-2.0
"""From the pixels of an image to those of the depth map beside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spatialcore._check import check_number, check_shape


@dataclass(frozen=True, slots=True)
class PixelMap:
    """Affine map of pixels: depth column = ax u + bx, depth row = ay v + by.

    One multiply and one add in float64, never fused; the result is rounded half to even and
    clipped to the depth map.

    Attributes:
        ax: Depth columns per colour column.
        bx: Depth column of u = 0.
        ay: Depth rows per colour row.
        by: Depth row of v = 0.

    Examples:
        >>> sizes = PixelMap.from_sizes((1296, 968), (640, 480))
        >>> sizes.depth_pixel([1295.9, 967.9], (640, 480)).tolist()
        [639, 479]
    """

    ax: float = 1.0
    bx: float = 0.0
    ay: float = 1.0
    by: float = 0.0

    def __post_init__(self) -> None:
        for name in ("ax", "bx", "ay", "by"):
            value = check_number(name, getattr(self, name), least=-1e15, most=1e15)
            object.__setattr__(self, name, value)

    @classmethod
    def identity(cls) -> PixelMap:
        """Colour and depth share one grid."""
        return cls()

    @classmethod
    def from_intrinsics(cls, image_K: ArrayLike, depth_K: ArrayLike) -> PixelMap:
        """The exact map between two cameras at one place: a = f_d / f_c, b = c_d - a c_c.

        Args:
            image_K: (3, 3) of the colour image, pixels.
            depth_K: (3, 3) of the depth image, pixels.
        """
        image = np.asarray(image_K, dtype=np.float64)
        depth = np.asarray(depth_K, dtype=np.float64)
        check_shape("image_K", image, (3, 3))
        check_shape("depth_K", depth, (3, 3))
        ax = float(depth[0, 0]) / float(image[0, 0])
        ay = float(depth[1, 1]) / float(image[1, 1])
        bx = float(depth[0, 2]) - ax * float(image[0, 2])
        by = float(depth[1, 2]) - ay * float(image[1, 2])
        return cls(ax, bx, ay, by)

    @classmethod
    def from_sizes(cls, image_size: tuple[int, int], depth_size: tuple[int, int]) -> PixelMap:
        """The published map: the ratio of the sizes (width, height), without an offset."""
        return cls(depth_size[0] / image_size[0], 0.0, depth_size[1] / image_size[1], 0.0)

    def depth_pixel(self, uv: ArrayLike, depth_size: tuple[int, int]) -> NDArray[np.int64]:
        """(..., 2) column, row of the depth readings of colour pixels; `depth_size` is (w, h)."""
        pixels = np.asarray(uv, dtype=np.float64) * (self.ax, self.ay) + (self.bx, self.by)
        return np.clip(np.rint(pixels), 0, np.array(depth_size) - 1).astype(np.int64)
