# SPDX-License-Identifier: Apache-2.0
"""Checks of depth maps, with one wording for an array of them and for what yields them."""

from __future__ import annotations

from itertools import chain
from typing import Any

import numpy as np

from spatialcore._check import (
    check_array,
    check_dtype,
    check_number,
    check_shape,
    dtype_of,
    library_of,
)


class MapChecks:
    """The checks of F depth maps, whether they come as one array or one by one."""

    def __init__(
        self,
        frame_count: int,
        image_size: tuple[int, int],
        scale: float | None,
        has_pixel_map: bool,
    ) -> None:
        self.frame_count = frame_count
        self.image_size = image_size
        self._scale = None if scale is None else check_number("depth_scale", scale, least=5e-324)
        if self._scale is not None and not np.isfinite(self._scale):
            raise ValueError(f"depth_scale must be finite, got {scale}")
        self._has_pixel_map = has_pixel_map
        self._count = 0
        self._first: tuple[type, Any, Any] | None = None

    @property
    def scale(self) -> float:
        return 1.0 if self._scale is None else self._scale

    def check_stack(self, depth: Any) -> None:
        check_shape("depth", depth, ("F", "h", "w"), sizes={"F": self.frame_count})
        self._check_map(depth, (int(depth.shape[1]), int(depth.shape[2])))

    def check_next(self, depth: Any) -> None:
        """Look at one map of several, which are all of one type and size."""
        if self._count == self.frame_count:
            raise ValueError(f"depth has more maps than the {self.frame_count} poses")
        check_array(f"depth map {self._count}", depth)
        self._count += 1
        if self._first is None:
            check_shape("depth map", depth, ("h", "w"))
            self._check_map(depth, (int(depth.shape[0]), int(depth.shape[1])))
            self._first = type(depth), depth.dtype, depth.shape
        elif (type(depth), depth.dtype, depth.shape) != self._first:
            _, dtype, shape = self._first
            raise ValueError(
                f"depth maps must share one type and size, got {dtype} {tuple(shape)} "
                f"and {depth.dtype} {tuple(depth.shape)}"
            )

    def check_end(self) -> None:
        """After the last of several maps: there were F of them."""
        if self._count < self.frame_count:
            raise ValueError(f"depth has {self._count} maps for {self.frame_count} poses")

    def _check_map(self, depth: Any, size: tuple[int, int]) -> None:
        check_dtype("depth", depth, "uint16", "float32")
        h, w = size
        if h < 1 or w < 1:
            raise ValueError(f"depth maps must not be empty, got {h} rows x {w} columns")
        if self._scale is None and dtype_of(depth) != "float32":
            raise ValueError("depth_scale is required for integer depth")
        if not self._has_pixel_map and (w, h) != self.image_size:
            raise ValueError(
                f"depth maps are {w}x{h} and the image is {self.image_size[0]}x"
                f"{self.image_size[1]}: pass depth_from_image=PixelMap.from_intrinsics(K, depth_K)"
            )


def size_of_maps(depth: Any) -> tuple[tuple[int, int], Any]:
    """(w, h) of the first depth map, and the maps again, of which it was taken.

    Raises:
        ValueError: There is no map.
    """
    if library_of(depth):
        if len(depth.shape) != 3:
            raise ValueError(f"depth must have shape (F, h, w), got {tuple(depth.shape)}")
        return (int(depth.shape[2]), int(depth.shape[1])), depth
    maps = iter(depth) if not isinstance(depth, list | tuple) else None
    first = next(maps if maps is not None else iter(depth), None)
    if first is None or len(getattr(first, "shape", ())) != 2:
        raise ValueError("depth has no map of shape (h, w) to take image_size from")
    again = depth if maps is None else chain([first], maps)
    return (int(first.shape[1]), int(first.shape[0])), again
