# SPDX-License-Identifier: Apache-2.0
"""Which scene points each posed depth frame sees."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spatialcore._check import (
    check_count,
    check_number,
    check_threads,
    library_of,
    on_host,
)
from spatialcore._check_maps import MapChecks, size_of_maps
from spatialcore._dispatch import batch_kernel, kernel
from spatialcore.bitmask import BitMask
from spatialcore.pixel_map import PixelMap as PixelMap
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


class DepthViews(NamedTuple):
    """How the frames of one scene see: the arguments of `visible_points`, and what backends take.

    Backends get it checked: K is (F, 3, 3) on the host, `depth_scale` a number, and
    `depth_from_image` one map, or a tuple of F where they differ.

    Attributes:
        points_world: (P, 3) float32 or float64, metres.
        K: (3, 3) or (F, 3, 3) of the colour image, pixels.
        cam_from_world: (F, 4, 4).
        depth: (F, h, w) uint16 or float32, or an iterable of F maps.
        image_size: (W, H) of the colour image.
        depth_scale: Metres per unit; required for integer depth.
        depth_from_image: Map from colour to depth pixels, or a sequence of one a frame; None when
            they share one grid.
    """

    points_world: Any
    K: Any
    cam_from_world: Any
    depth: Any
    image_size: tuple[int, int]
    depth_scale: float | None = None
    depth_from_image: PixelMap | Sequence[PixelMap] | None = None

    def map_of(self, frame: int) -> PixelMap:
        """The map from colour to depth pixels of one frame."""
        given = self.depth_from_image
        if given is None:
            return PixelMap.identity()
        return given if isinstance(given, PixelMap) else given[frame]

    def pixel_map_rows(self) -> NDArray[np.float64]:
        """(1, 4) ax, bx, ay, by of the map of all frames, or (F, 4) of each one's."""
        given = self.depth_from_image
        maps = [self.map_of(0)] if given is None or isinstance(given, PixelMap) else given
        return np.array([(m.ax, m.bx, m.ay, m.by) for m in maps], np.float64)


class CheckedViews(DepthViews):
    """Views as backends take them, for several calls: `checked_views` makes them.

    A change of them is DepthViews again, which nobody has checked.
    """

    __slots__ = ()

    @property
    def arrays(self) -> list[Any]:
        """The arrays that decide where a call runs."""
        arrays = [self.points_world, self.K, self.cam_from_world]
        return [*arrays, self.depth] if library_of(self.depth) else arrays

    def _replace(self, **changed: Any) -> DepthViews:  # type: ignore[override]
        return DepthViews(*self)._replace(**changed)


def visible_points(
    points_world: Any,
    K: Any,
    cam_from_world: Any,
    depth: Any,
    *,
    image_size: tuple[int, int] | None = None,
    depth_scale: float | None = None,
    depth_from_image: PixelMap | Sequence[PixelMap] | None = None,
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
            buffer; float64 is rounded to float32. One thread holds one map of an iterable at a
            time, and tests it while it is in cache; several hold copies of 32, or one each where
            they are more. The maps of a list or tuple are not copied.
        image_size: (W, H) of the colour image; None is that of the depth maps, which then share its
            grid.
        depth_scale: Metres per unit; required for integer depth, None means 1.0 for float depth.
            A file's "shift" of 1000 is 0.001.
        depth_from_image: Map from colour to depth pixels, or a sequence of one a frame where the
            intrinsics change; None when they share one grid.
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
    if image_size is None:
        if depth_from_image is not None:
            raise ValueError("image_size is required beside depth_from_image")
        image_size, depth = size_of_maps(depth)
    given = DepthViews(
        points_world, K, cam_from_world, depth, image_size, depth_scale, depth_from_image
    )
    return visible_in(given, [rule], backend=backend, threads=threads).masks[0]


class Seen(NamedTuple):
    """What was seen in some views.

    Attributes:
        views: As they were checked, for further tests of the same maps.
        masks: F x P for each rule.
    """

    views: CheckedViews
    masks: tuple[BitMask, ...]


def visible_in(
    views: DepthViews,
    rules: Sequence[DepthRule],
    *,
    backend: str | None = None,
    threads: int | None = None,
) -> Seen:
    """`visible_points` of one scene that is in one piece, by several rules.

    Args:
        views: The arguments of the scene; what `checked_views` made of them is not checked again.
            Maps that come only once serve one rule.
        rules: What counts as seen.
        backend: As for `visible_points`.
        threads: As for `visible_points`.

    Raises:
        TypeError: As `visible_points`.
        ValueError: As `visible_points`.
        BackendUnavailable: As `visible_points`.
    """
    for rule in rules:
        _check_rule(rule)
    checked = checked_views(views, host=_on_host(backend))
    run = kernel("occlusion", "visible_points", backend, checked.arrays)
    workers, count = check_threads(threads), len(checked.points_world)
    words = [run(checked, rule=rule, threads=workers) for rule in rules]
    return Seen(checked, tuple(BitMask(one, count) for one in words))


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
    _check_rule(rule)
    checked = [checked_views(scene, host=_on_host(backend)) for scene in scenes]
    workers = check_threads(threads)
    if not scenes:
        return []
    everything = [array for views in checked for array in views.arrays]
    run = batch_kernel("occlusion", "visible_points", backend, everything)
    if run is None:
        one = kernel("occlusion", "visible_points", backend, everything)
        words = [one(views, rule=rule, threads=workers) for views in checked]
    else:
        words = run(checked, rule=rule, threads=workers)
    return [BitMask(w, len(s.points_world)) for w, s in zip(words, checked, strict=True)]


def _check_rule(rule: object) -> None:
    if not isinstance(rule, DepthRule):
        raise TypeError(f"rule must be a DepthRule, got {type(rule).__name__}")


def _on_host(backend: str | None) -> bool:
    """Whether a backend takes numpy arrays: those of torch on the CPU are then handed over so."""
    return backend in (None, "cpu", "reference")


def checked_views(given: DepthViews, *, host: bool = True) -> CheckedViews:
    """The views as backends take them.

    Args:
        given: The arguments of a scene.
        host: Whether torch tensors on the CPU become numpy arrays of the same memory.

    Raises:
        TypeError: As `visible_points`.
        ValueError: As `visible_points`.
    """
    if isinstance(given, CheckedViews):
        return given
    views = (given.points_world, given.K, given.cam_from_world)
    points_world, K, cam_from_world = check_scene(*(map(on_host, views) if host else views))
    width, height = given.image_size
    size = check_count("width", width, least=1), check_count("height", height, least=1)
    pixel_maps = _checked_pixel_maps(given.depth_from_image, len(cam_from_world))
    has_map = pixel_maps is not None
    maps = MapChecks(len(cam_from_world), size, given.depth_scale, has_map)
    depth = _checked_maps(given.depth, maps, host)
    shared = PixelMap.identity() if pixel_maps is None else pixel_maps
    return CheckedViews(points_world, K, cam_from_world, depth, size, maps.scale, shared)


def _checked_maps(given: Any, maps: MapChecks, host: bool) -> Any:
    """A stack or a list of maps after it was checked, or maps that are checked as they come."""
    if library_of(given):
        stack = _plain(given, host)
        maps.check_stack(stack)
        return stack
    if not isinstance(given, Iterable):
        raise TypeError(f"depth must be an array or an iterable, got {type(given).__name__}")
    checked = _each_checked(given, maps, host)
    return list(checked) if type(given) in (list, tuple) else checked


def _each_checked(given: Iterable[Any], maps: MapChecks, host: bool) -> Iterator[Any]:
    for one in given:
        depth = _plain(one, host)
        maps.check_next(depth)
        yield depth
    maps.check_end()


def _plain(depth: Any, host: bool) -> Any:
    """A map, or a stack of them, as kernels take it: float64 is rounded to float32."""
    library = library_of(depth)
    if library == "torch" and host:
        return _plain(on_host(depth), host=False)
    return depth.astype(np.float32) if library == "numpy" and depth.dtype == np.float64 else depth


def _checked_pixel_maps(given: object, frame_count: int) -> PixelMap | tuple[PixelMap, ...] | None:
    """One map where all frames have the same, else one a frame."""
    if given is None or isinstance(given, PixelMap):
        return given
    if not isinstance(given, Sequence) or not all(isinstance(m, PixelMap) for m in given):
        raise TypeError(
            "depth_from_image must be a PixelMap, or a sequence of one a frame, got "
            f"{type(given).__name__}"
        )
    if len(given) != frame_count:
        raise ValueError(f"depth_from_image has {len(given)} maps for {frame_count} poses")
    return given[0] if len(set(given)) == 1 else tuple(given)
