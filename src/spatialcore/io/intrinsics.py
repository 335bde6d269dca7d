# SPDX-License-Identifier: Apache-2.0
"""From what a layout says of a camera to the camera of the images on disk."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spatialcore.lens import Lens
from spatialcore.types import Camera, Float64

# Focal lengths in image widths: from the widest fisheye to a telescope.
FOCAL_SHARE = (0.02, 100.0)


@dataclass(frozen=True, slots=True, eq=False)
class Intrinsics:
    """What a layout says of a camera.

    Attributes:
        K: (3, 3) pixels, integer centres.
        size: (width, height) of the images that K belongs to; None: those on disk.
        lens: Distortion, or None.
    """

    K: Float64
    size: tuple[int, int] | None = None
    lens: Lens | None = None

    def camera(self, size: tuple[int, int]) -> Camera:
        """The camera of images of `size`, scaled where K belongs to images of another size.

        Raises:
            ValueError: The message is a reason code: "intrinsic_size" (the images have another
                shape than K is for), "intrinsic_bad", "intrinsic_out_of_range"
                or "principal_point_outside".
        """
        K, own = self.K, self.size or size
        if not (np.isfinite(K).all() and K[0, 0] > 0 and K[1, 1] > 0 and K[0, 1] == 0):
            raise ValueError("intrinsic_bad")
        if focal_fault(K, own[0]):
            raise ValueError("intrinsic_out_of_range")
        if own != size:
            sx, sy = size[0] / own[0], size[1] / own[1]
            # Rounding a size to whole pixels changes its shape by at most about a pixel.
            if abs(sx - sy) * min(own) > 1.0 + max(sx, sy):
                raise ValueError("intrinsic_size")
            K = scaled_K(K, sx, sy)
        if not (0 <= K[0, 2] < size[0] and 0 <= K[1, 2] < size[1]):
            raise ValueError("principal_point_outside")
        return Camera(K, *size, self.lens)


def focal_fault(K: Float64, width: int) -> bool:
    """Whether a focal length cannot be one: a view of under 0.6 or over 175 degrees."""
    least, most = FOCAL_SHARE
    return not all(least * width <= f <= most * width for f in (K[0, 0], K[1, 1]))


def scaled_K(K: Float64, sx: float, sy: float) -> Float64:  # noqa: N802
    """K of an image resampled by (sx, sy).

    Pixel edges coincide, so centres at integers move by half a pixel: c + 0.5 scales.
    """
    out = np.array(K, dtype=np.float64)
    out[0] = (K[0, 0] * sx, 0.0, (K[0, 2] + 0.5) * sx - 0.5)
    out[1] = (0.0, K[1, 1] * sy, (K[1, 2] + 0.5) * sy - 0.5)
    return out


def registered_depth_camera(color: Camera, size: tuple[int, int]) -> Camera | None:
    """Camera of depth that was resampled from the colour view to another size.

    Returns:
        None where both sizes are equal: depth then shares the colour grid.
    """
    if size == color.size:
        return None
    K = scaled_K(color.K, size[0] / color.width, size[1] / color.height)
    return Camera(K, *size, color.lens)
