# SPDX-License-Identifier: Apache-2.0
"""Which scene points each posed depth frame sees."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spatialcore._check import (
    check_array,
    check_count,
    check_dtype,
    check_number,
    check_shape,
    check_threads,
    dtype_of,
    library_of,
)
from spatialcore._dispatch import batch_kernel, kernel
from spatialcore.bitmask import BitMask
from spatialcore.projection import check_scene


@dataclass(frozen=True, slots=True)
class DepthRule:
    """When a point at depth z counts as seen where the depth map reads d (both metres).

    A reading d <= 0 or not finite sees nothing; every comparison is strict and float64. Two rules
    are never mixed in one data set, because each moves all overlaps.

    Attributes:
        kind: "tolerance" (0 < z and |z - d| < max(relative z, absolute)) or "strict" (0 < z < d).
        relative: Tolerance as a share of z.
        absolute: Least tolerance, metres.

    Examples:
        >>> str(DepthRule.tolerance()), str(DepthRule.strict()), str(DepthRule.tolerance(1 / 3, 1))
        ('tolerance(0.1,0.05)', 'strict', 'tolerance(0.3333333333333333,1)')
    """

    kind: Literal["tolerance", "strict"] = "tolerance"
    relative: float = 0.1
    absolute: float = 0.05

    def __post_init__(self) -> None:
        if self.kind not in ("tolerance", "strict"):
            raise ValueError(f"kind must be 'tolerance' or 'strict', got {self.kind!r}")
        for name in ("relative", "absolute"):
            value = check_number(name, getattr(self, name), least=0.0, most=1e15)
            object.__setattr__(self, name, value)

    @classmethod
    def tolerance(cls, relative: float = 0.1, absolute: float = 0.05) -> DepthRule:
        """The default: on the sensed surface, within 10 % of z or 5 cm."""
        return cls("tolerance", relative, absolute)

    @classmethod
    def strict(cls) -> DepthRule:
        """The published MultiSPA rule: anything before the sensed surface."""
        return cls("strict", 0.0, 0.0)

    def __str__(self) -> str:
        if self.kind == "strict":
            return "strict"
        return f"tolerance({_number(self.relative)},{_number(self.absolute)})"


def _number(value: float) -> str:
    """Shortest text of six digits at most that gives the number back, else all of its digits."""
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


TOLERANCE = DepthRule.tolerance()


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


class DepthViews(NamedTuple):
    """One scene of `visible_points_batch`; the fields are the arguments of `visible_points`.

    Attributes:
        points_world: (P, 3) float32 or float64, metres.
        K: (3, 3) or (F, 3, 3) of the colour image, pixels.
        cam_from_world: (F, 4, 4).
        depth: (F, h, w) uint16 or float32, or an iterable of F maps.
        image_size: (W, H) of the colour image.
        depth_scale: Metres per unit; required for integer depth.
        depth_from_image: Map from colour to depth pixels; None when they share one grid.
    """

    points_world: Any
    K: Any
    cam_from_world: Any
    depth: Any
    image_size: tuple[int, int]
    depth_scale: float | None = None
    depth_from_image: PixelMap | None = None


def visible_points(
    points_world: Any,
    K: Any,
    cam_from_world: Any,
    depth: Any,
    *,
    image_size: tuple[int, int],
    depth_scale: float | None = None,
    depth_from_image: PixelMap | None = None,
    rule: DepthRule = TOLERANCE,
    backend: str | None = None,
    threads: int | None = None,
) -> BitMask:
    """The points that each frame sees, by projection and a test against its depth map.

    A point is inside iff 0 <= u < W and 0 <= v < H in colour pixels; its reading is the nearest
    depth pixel of (u, v) through `depth_from_image`, d = reading * depth_scale in float64; `rule`
    then compares z with d. Points behind the camera, non-finite points and poses, and pixels
    without a reading are not visible. The bits equal the float64 reference on every backend.

    Args:
        points_world: (P, 3) float32 or float64, metres, in any order. Points in Morton order
            (`spatialcore._cpu.morton_order`) spare a sort.
        K: (3, 3) or (F, 3, 3) of the colour image, pixels, zero skew.
        cam_from_world: (F, 4, 4).
        depth: (F, h, w) uint16 or float32, or an iterable of F such maps, which may refill one
            buffer. One thread holds one map of an iterable at a time, and tests it while it is in
            cache; several hold copies of 32, or one each where they are more. The maps of a list
            or tuple are not copied.
        image_size: (W, H) of the colour image.
        depth_scale: Metres per unit; required for integer depth, None means 1.0 for float depth.
            A file's "shift" of 1000 is 0.001.
        depth_from_image: Map from colour to depth pixels; None when they share one grid.
        rule: `DepthRule.tolerance(relative, absolute)` or `DepthRule.strict()`.
        backend: "reference", "cpu", "cuda", "triton"; None chooses by where the points live.
        threads: CPU threads; None uses the process's affinity mask.

    Returns:
        BitMask, F frames x P points, in the order of `points_world`.

    Raises:
        TypeError: An argument is not an array of the dtypes above.
        ValueError: A shape or size does not fit, or integer depth came without a scale.
        BackendUnavailable: The backend is not installed, or cannot run these arrays.

    Source: MultiSPA (arXiv 2505.17015). Cost: docs/ops/occlusion.md.

    Examples:
        >>> K = np.array([[500.0, 0.0, 320.0], [0.0, 500.0, 240.0], [0.0, 0.0, 1.0]])
        >>> points = np.array([[0.0, 0.0, 2.0], [0.0, 0.0, 3.0]])
        >>> wall = np.full((1, 480, 640), 2010, np.uint16)
        >>> mask = visible_points(
        ...     points, K, np.eye(4)[None], wall, image_size=(640, 480), depth_scale=0.001
        ... )
        >>> mask.indices(0).tolist()
        [0]
    """
    given = DepthViews(
        points_world, K, cam_from_world, depth, image_size, depth_scale, depth_from_image
    )
    return visible_in(given, rule=rule, backend=backend, threads=threads)


def visible_in(
    views: DepthViews,
    *,
    rule: DepthRule = TOLERANCE,
    backend: str | None = None,
    threads: int | None = None,
) -> BitMask:
    """`visible_points` of one scene that is in one piece.

    Args:
        views: The arguments of the scene.
        rule: As for `visible_points`.
        backend: As for `visible_points`.
        threads: As for `visible_points`.

    Raises:
        TypeError: As `visible_points`.
        ValueError: As `visible_points`.
        BackendUnavailable: As `visible_points`.
    """
    scene, arrays = _checked_scene(views, rule)
    run = kernel("occlusion", "visible_points", backend, arrays)
    words = run(
        *scene[:4],
        image_size=scene.image_size,
        depth_scale=scene.depth_scale,
        depth_from_image=scene.depth_from_image,
        rule=rule,
        threads=check_threads(threads),
    )
    return BitMask(words, len(scene.points_world))


def visible_points_batch(
    scenes: Sequence[DepthViews],
    *,
    rule: DepthRule = TOLERANCE,
    backend: str | None = None,
    threads: int | None = None,
) -> list[BitMask]:
    """`visible_points` of many scenes.

    With "cuda" all scenes of the same dtypes are one launch, since a small scene does not fill a
    GPU; the other backends take them one after another. The bits are those of `visible_points`.

    Args:
        scenes: The arguments of each scene, all in one place.
        rule: One rule for all.
        backend: As for `visible_points`; None chooses by where the points live.
        threads: CPU threads for each scene; None uses the process's affinity mask.

    Returns:
        A BitMask for each scene, in order.

    Raises:
        TypeError: As `visible_points`.
        ValueError: As `visible_points`, or the scenes live in more than one place.
        BackendUnavailable: As `visible_points`.

    Examples:
        >>> K = np.array([[500.0, 0.0, 320.0], [0.0, 500.0, 240.0], [0.0, 0.0, 1.0]])
        >>> wall = np.full((1, 480, 640), 2.0, np.float32)
        >>> scenes = [
        ...     DepthViews(np.array([[0.0, 0.0, z]]), K, np.eye(4)[None], wall, (640, 480))
        ...     for z in (2.0, 3.0)
        ... ]
        >>> [mask.counts().tolist() for mask in visible_points_batch(scenes)]
        [[1], [0]]
    """
    checked = [_checked_scene(scene, rule) for scene in scenes]
    workers = check_threads(threads)
    if not scenes:
        return []
    run = batch_kernel(
        "occlusion", "visible_points", backend, [a for _, arrays in checked for a in arrays]
    )
    if run is None:
        return [visible_in(scene, rule=rule, backend=backend, threads=threads) for scene in scenes]
    words = run([scene for scene, _ in checked], rule, workers)
    return [BitMask(w, len(s.points_world)) for w, (s, _) in zip(words, checked, strict=True)]


def _checked_scene(scene: DepthViews, rule: DepthRule) -> tuple[DepthViews, list[Any]]:
    """The scene as backends take it, and the arrays that decide where it runs."""
    points_world, K, cam_from_world = check_scene(scene.points_world, scene.K, scene.cam_from_world)
    width, height = scene.image_size
    size = check_count("width", width, least=1), check_count("height", height, least=1)
    if not isinstance(rule, DepthRule):
        raise TypeError(f"rule must be a DepthRule, got {type(rule).__name__}")
    maps = _Maps(len(cam_from_world), size, scene.depth_scale, scene.depth_from_image)
    arrays, depth = [points_world, K, cam_from_world], scene.depth
    if library_of(depth):
        maps.check_stack(depth)
        arrays.append(depth)
    else:
        depth = maps.stream(depth)
    return (
        DepthViews(points_world, K, cam_from_world, depth, size, maps.scale, maps.pixel_map),
        arrays,
    )


class _Maps:
    """The checks of F depth maps, whether they come as one array or one by one."""

    def __init__(
        self,
        frame_count: int,
        image_size: tuple[int, int],
        scale: float | None,
        pixel_map: PixelMap | None,
    ) -> None:
        self.frame_count = frame_count
        self.image_size = image_size
        self._scale = None if scale is None else check_number("depth_scale", scale, least=5e-324)
        if self._scale is not None and not np.isfinite(self._scale):
            raise ValueError(f"depth_scale must be finite, got {scale}")
        self._pixel_map = pixel_map

    @property
    def scale(self) -> float:
        return 1.0 if self._scale is None else self._scale

    @property
    def pixel_map(self) -> PixelMap:
        return PixelMap.identity() if self._pixel_map is None else self._pixel_map

    def check_stack(self, depth: Any) -> None:
        check_shape("depth", depth, ("F", "h", "w"), sizes={"F": self.frame_count})
        self._check_map(depth, (int(depth.shape[1]), int(depth.shape[2])))

    def stream(self, depth: Iterable[Any]) -> Iterable[Any]:
        """The checked maps: all of a list or tuple, or one after another from what makes them."""
        if not isinstance(depth, Iterable):
            raise TypeError(f"depth must be an array or an iterable, got {type(depth).__name__}")
        maps = self._checked(depth)
        return list(maps) if type(depth) in (list, tuple) else maps

    def _checked(self, depth: Iterable[Any]) -> Iterator[Any]:
        """Yield the maps; exactly F of them, all of one size."""
        count, first = 0, None
        for depth_map in depth:
            if count == self.frame_count:
                raise ValueError(f"depth has more maps than the {self.frame_count} poses")
            check_array(f"depth map {count}", depth_map)
            count += 1
            if first is None:
                check_shape("depth map", depth_map, ("h", "w"))
                self._check_map(depth_map, (int(depth_map.shape[0]), int(depth_map.shape[1])))
                first = type(depth_map), depth_map.dtype, depth_map.shape
            elif (type(depth_map), depth_map.dtype, depth_map.shape) != first:
                raise ValueError(
                    f"depth maps must share one type and size, got {first[1]} {tuple(first[2])} "
                    f"and {depth_map.dtype} {tuple(depth_map.shape)}"
                )
            yield depth_map
        if count < self.frame_count:
            raise ValueError(f"depth has {count} maps for {self.frame_count} poses")

    def _check_map(self, depth: Any, size: tuple[int, int]) -> None:
        check_dtype("depth", depth, "uint16", "float32")
        h, w = size
        if h < 1 or w < 1:
            raise ValueError(f"depth maps must not be empty, got {h} rows x {w} columns")
        if self._scale is None and dtype_of(depth) != "float32":
            raise ValueError("depth_scale is required for integer depth")
        if self._pixel_map is None and (w, h) != self.image_size:
            raise ValueError(
                f"depth maps are {w}x{h} and the image is {self.image_size[0]}x"
                f"{self.image_size[1]}: pass depth_from_image=PixelMap.from_intrinsics(K, depth_K)"
            )
