# SPDX-License-Identifier: Apache-2.0
"""Lens distortion: where a ray of a pinhole camera lands behind a real lens.

A lens maps normalised coordinates (x, y) = (X / z, Y / z) of a point before the camera to distorted
ones, which K then maps to pixels. The forward model is exact; it is valid only out to the radius at
which the image would fold back on itself, and a point beyond that is not in the picture.

Sources: the two models of OpenCV, which COLMAP, nerfstudio and Kalibr share
(https://docs.opencv.org/4.x/d9/d0c/group__calib3d.html, .../db/d58/group__calib3d__fisheye.html).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float64 = NDArray[np.float64]

_COUNTS = {"opencv": 8, "fisheye": 4}
# Rays steeper than this (89 degrees) are outside every pinhole image.
_STEEPEST = 57.0
_STEPS = 4096


@dataclass(frozen=True, slots=True)
class Lens:
    """A distortion model with its coefficients.

    Attributes:
        model: "opencv": k1 k2 p1 p2 k3 k4 k5 k6, the rational polynomial with tangential terms
            (SIMPLE_RADIAL, RADIAL and OPENCV are its first ones); "fisheye": k1 k2 k3 k4, the
            equidistant polynomial in the angle.
        coefficients: Missing ones at the end are 0.
    """

    model: Literal["opencv", "fisheye"]
    coefficients: tuple[float, ...]
    _radius: float = field(default=math.inf, repr=False, compare=False)

    def __post_init__(self) -> None:
        count = _COUNTS.get(self.model)
        if count is None:
            raise ValueError(f"lens model must be opencv or fisheye, got {self.model!r}")
        given = tuple(float(c) for c in self.coefficients)
        if len(given) > count or not all(abs(c) < 1e3 for c in given):
            raise ValueError(f"a {self.model} lens has up to {count} finite coefficients: {given}")
        object.__setattr__(self, "coefficients", given + (0.0,) * (count - len(given)))
        object.__setattr__(self, "_radius", _fold_radius(self))

    @property
    def is_pinhole(self) -> bool:
        """Whether the lens changes nothing: an "opencv" lens with all coefficients 0."""
        return self.model == "opencv" and not any(self.coefficients)

    @property
    def valid_radius(self) -> float:
        """Largest sqrt(x^2 + y^2) that lands in the picture, before the image folds back."""
        return self._radius

    def distort(self, x: ArrayLike, y: ArrayLike) -> tuple[Float64, Float64]:
        """Distorted coordinates of normalised ones; NaN beyond the valid radius.

        Args:
            x: X / z of points before the camera, any shape.
            y: Y / z, of the same shape.

        Returns:
            The distorted x and y, float64, of that shape.

        Examples:
            >>> lens = Lens("opencv", (0.1,))
            >>> [float(v) for v in lens.distort(0.5, 0.0)]
            [0.5125, 0.0]
        """
        x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
        r2 = x * x + y * y
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            if self.model == "fisheye":
                scale = _fisheye_scale(np.sqrt(r2), self.coefficients)
                dx, dy = x * scale, y * scale
            else:
                dx, dy = _opencv(x, y, r2, self.coefficients)
            outside = ~(r2 <= self._radius * self._radius)
        return np.where(outside, np.nan, dx), np.where(outside, np.nan, dy)


def _opencv(
    x: Float64, y: Float64, r2: Float64, coefficients: tuple[float, ...]
) -> tuple[Float64, Float64]:
    p1, p2 = coefficients[2:4]
    radial = _rational(r2, coefficients)
    xy = x * y
    return (
        x * radial + (2.0 * p1 * xy + p2 * (r2 + 2.0 * x * x)),
        y * radial + (p1 * (r2 + 2.0 * y * y) + 2.0 * p2 * xy),
    )


def _rational(r2: Float64, coefficients: tuple[float, ...]) -> Float64:
    k1, k2, _, _, k3, k4, k5, k6 = coefficients
    above = 1.0 + r2 * (k1 + r2 * (k2 + r2 * k3))
    below = 1.0 + r2 * (k4 + r2 * (k5 + r2 * k6))
    ratio: Float64 = above / below
    return ratio


def _fisheye_scale(r: Float64, coefficients: tuple[float, ...]) -> Float64:
    """theta_d / r with theta = atan(r), theta_d = theta (1 + k1 theta^2 + ... + k4 theta^8)."""
    k1, k2, k3, k4 = coefficients
    theta = np.arctan(r)
    t2 = theta * theta
    bent = theta * (1.0 + t2 * (k1 + t2 * (k2 + t2 * (k3 + t2 * k4))))
    scale: Float64 = np.where(r > 1e-12, bent / np.where(r > 1e-12, r, 1.0), 1.0)
    return scale


def _fold_radius(lens: Lens) -> float:
    """The radius out to which the distorted radius grows, by steps of the angle."""
    r = np.tan(np.linspace(0.0, math.atan(_STEEPEST), _STEPS + 1))
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        if lens.model == "fisheye":
            bent = r * _fisheye_scale(r, lens.coefficients)
        else:
            bent = r * _rational(r * r, lens.coefficients)
    grows = np.diff(bent) > 0
    return float(r[-1] if grows.all() else r[int(np.argmin(grows))])
