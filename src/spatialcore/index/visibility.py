# SPDX-License-Identifier: Apache-2.0
"""Which points each frame sees and which of them may be asked about, in one pass over the depth."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spatialcore._libraries import Library, Marker
from spatialcore.bitmask import BitMask, word_count
from spatialcore.errors import SceneFormatError
from spatialcore.index.askable import askable_points, askable_rule
from spatialcore.index.frames import frame_pixel_map
from spatialcore.index.lensed import askable_lensed, lensed_points
from spatialcore.index.rules import Rules
from spatialcore.occlusion import DepthRule, DepthViews, PixelMap, visible_in
from spatialcore.types import Camera, Float64, Frame, Scene, invert_pose

# Frames tested in one call: their maps stay in the last-level cache between the two tests.
_BATCH = 16
# Frames of a copy to a GPU: the tile of frames for which the kernel reads its points once.
_DEVICE_BATCH = 32
# A map whose one pixel, to which every other is clipped, lies behind all points.
FAR_MAP = np.full((1, 1), 1e30, np.float32)
# Batches on their way to a GPU at most: one tested, one copied, one decoded, one to spare.
_IN_FLIGHT = 4


class View(NamedTuple):
    """How a frame sees: cameras, depth and rules.

    Attributes:
        color: Camera of the colour image.
        depth: Camera of the depth map, given or derived from the pixel map.
        depth_scale: Metres per unit.
        map_name: "from_intrinsics", "from_sizes" or "identity".
        pixel_map: From colour to depth pixels.
        rule: When a point counts as seen.
    """

    color: Camera
    depth: Camera
    depth_scale: float
    map_name: str
    pixel_map: PixelMap
    rule: DepthRule

    @property
    def bent(self) -> bool:
        """Whether a lens bends the rays; colour and depth then share it."""
        return self.color.lens is not None


def depth_rule(rules: Rules) -> DepthRule:
    """The visibility rule."""
    if rules.rule == "strict":
        return DepthRule.strict()
    return DepthRule.tolerance(rules.rule_relative, rules.rule_absolute_m)


def surface_rule(rules: Rules) -> DepthRule:
    """When a point lies on the surface that the map shows."""
    return DepthRule.tolerance(rules.surface_relative, rules.surface_absolute_m)


def scene_view(scene: Scene, rules: Rules) -> View:
    """Camera, pixel map and rule of a scene.

    Raises:
        SceneFormatError: The map cannot be known, code "depth_K_missing"; or colour and depth have
            different lenses, code "lens_differs".
    """
    name = pixel_map_name(scene, rules)
    if scene.depth is not None and scene.depth.lens != scene.color.lens:
        raise SceneFormatError(
            scene.root / scene.id,
            "has other lenses for colour than for depth",
            "undistort the images, or register depth to them",
            code="lens_differs",
        )
    shared = scene.color, scene.depth, scene.depth_size
    return _view(name, *shared, scene.depth_scale, depth_rule(rules))


def frame_view(shared: View, scene: Scene, frame: Frame) -> View:
    """The view of a frame: the shared one, unless it has cameras of its own."""
    if frame.color is None and frame.depth_camera is None:
        return shared
    cameras = scene.color_of(frame), scene.depth_of(frame), scene.depth_size_of(frame)
    return _view(shared.map_name, *cameras, shared.depth_scale, shared.rule)


def _view(
    name: str,
    color: Camera,
    depth: Camera | None,
    depth_size: tuple[int, int],
    depth_scale: float,
    rule: DepthRule,
) -> View:
    pixel_map = frame_pixel_map(name, color, depth, depth_size)
    if depth is None:
        depth = Camera(_depth_K(color.K, pixel_map), *depth_size, color.lens)
    return View(color, depth, depth_scale, name, pixel_map, rule)


def pixel_map_name(scene: Scene, rules: Rules) -> str:
    """How colour pixels meet depth pixels, see `frame_pixel_map`.

    By intrinsics where both are known; identity where the sizes are equal and the layout has no
    depth intrinsics; by sizes where the rules say so.

    Raises:
        SceneFormatError: It cannot be known; code "depth_K_missing".
    """
    (W, H), (w, h) = scene.color.size, scene.depth_size
    if rules.depth_map == "from_sizes":
        return "from_sizes"
    if scene.depth is not None:
        return "from_intrinsics"
    if (w, h) == (W, H):
        return "identity"
    raise SceneFormatError(
        scene.root / scene.id,
        f"has no depth intrinsics, and depth {w}x{h} differs from colour {W}x{H}",
        "add depth_intrinsic.txt, or pass --depth-map sizes to use the ratio of the sizes",
        code="depth_K_missing",
    )


def _depth_K(K: Float64, m: PixelMap) -> Float64:  # noqa: N802
    """The depth camera that a pixel map implies."""
    return np.array(
        [
            [m.ax * K[0, 0], 0.0, m.ax * K[0, 2] + m.bx],
            [0.0, m.ay * K[1, 1], m.ay * K[1, 2] + m.by],
            [0.0, 0.0, 1.0],
        ]
    )


def colour_pixels(view: View) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Nearest colour column of each depth column, and row of each depth row; -1 outside."""
    (w, h), size, m = view.depth.size, view.color.size, view.pixel_map
    columns = np.rint((np.arange(w) - m.bx) / m.ax)
    rows = np.rint((np.arange(h) - m.by) / m.ay)
    columns[(columns < 0) | (columns >= size[0])] = -1
    rows[(rows < 0) | (rows >= size[1])] = -1
    return columns.astype(np.int64), rows.astype(np.int64)


def instance_on_depth(view: View, instance: NDArray[np.int32]) -> NDArray[np.int32]:
    """Instance ids of the colour grid, read at each depth pixel; -1 outside the colour image."""
    if view.map_name == "identity" or view.color.same_as(view.depth):
        return np.ascontiguousarray(instance)
    columns, rows = colour_pixels(view)
    out = np.ascontiguousarray(instance[np.maximum(rows, 0)][:, np.maximum(columns, 0)])
    out[rows < 0] = -1
    out[:, columns < 0] = -1
    return out


class Masks(NamedTuple):
    """Masks of the frames that have a map.

    Attributes:
        rows: (F,) int64 ascending row of each frame in the scene's table.
        visible: F x P.
        askable: F x P, the same object as `visible` where the rules have no guards.
        surface: F x P, points whose reading is theirs within the sensor's noise; the same object as
            `visible` where the rules take objects by their visible vertices.
        inside: F x P, points whose pixel lies in the image, seen or not; likewise.
    """

    rows: NDArray[np.int64]
    visible: BitMask
    askable: BitMask
    surface: BitMask
    inside: BitMask

    def to_host(self) -> Masks:
        """The same masks in numpy words; waits for a GPU."""
        host = {id(mask): mask.to_host() for mask in self[1:]}
        return Masks(self.rows, *(host[id(mask)] for mask in self[1:]))


def find_masks(
    maps: Iterable[tuple[int, NDArray[Any]]],
    views: Sequence[View],
    rules: Rules,
    points: NDArray[np.float32],
    world_from_cam: Float64,
    *,
    threads: int | None = None,
    device: Library | None = None,
) -> Masks:
    """Test the points against every map, each while it is in cache.

    Maps wait until a batch is full. On a GPU they are stacked into page-locked memory and copied
    while earlier ones are tested and later ones decoded; the masks stay there.

    Frames of one size are tested together, each with its own intrinsics. Frames behind a lens are
    tested one by one in numpy (`lensed`), on the host.

    Args:
        maps: (row of the scene's table, (h, w) map as stored); walked once.
        views: Cameras and rules of every frame of the table.
        rules: Whether there are guards, and which.
        points: (P, 3) float32 in the index's world.
        world_from_cam: (F_all, 4, 4) of the table.
        threads: CPU threads.
        device: Where to test; None = on the CPU.

    Returns:
        The masks of the frames that have a map, where they were made.
    """
    tests = _Tests(views, rules, points, world_from_cam, threads=threads, device=device)
    size = _BATCH if device is None else _DEVICE_BATCH
    waiting: list[tuple[int, NDArray[Any]]] = []
    for one in maps:
        waiting.append(one)
        if len(waiting) == size:
            tests.run(waiting)
            waiting = []
    tests.run(waiting)
    return tests.masks()


class _Tests:
    """The batches of frames tested so far."""

    def __init__(
        self,
        views: Sequence[View],
        rules: Rules,
        points: NDArray[np.float32],
        world_from_cam: Float64,
        *,
        threads: int | None = None,
        device: Library | None = None,
    ) -> None:
        self._views, self._threads, self._device = views, threads, device
        self._guards = rules.guards if rules.askable == "guarded" else None
        self._surface_rule = surface_rule(rules) if rules.objects == "surface" else None
        self._cam_from_world = invert_pose(world_from_cam)
        self._host_points, self._points = points, self._placed(points)
        self._rows: list[int] = []
        self._visible: list[Any] = []
        self._askable: list[Any] = []
        self._surface: list[Any] = []
        self._inside: list[Any] = []
        self._in_flight: deque[Marker] = deque()

    def masks(self) -> Masks:
        """The masks of all frames that were tested, by row."""
        order = np.argsort(np.array(self._rows, np.int64), kind="stable")

        def joined(words: list[Any]) -> BitMask:
            return _joined(words, order, len(self._points), self._device)

        visible = joined(self._visible)
        askable = visible if self._guards is None else joined(self._askable)
        surface = inside = visible
        if self._surface_rule is not None:
            surface, inside = joined(self._surface), joined(self._inside)
        return Masks(np.array(self._rows, np.int64)[order], visible, askable, surface, inside)

    def _placed(self, array: NDArray[Any]) -> Any:
        return array if self._device is None else self._device.upload([array])[0]

    def run(self, waiting: Sequence[tuple[int, NDArray[Any]]]) -> None:
        """Test the maps of some rows, those of one kind together."""
        alike: dict[Hashable, list[tuple[int, NDArray[Any]]]] = {}
        for row, depth in waiting:
            alike.setdefault((_kind_of(self._views[row]), depth.dtype), []).append((row, depth))
        for same in alike.values():
            test = self._test_bent if self._views[same[0][0]].bent else self._test
            test([row for row, _ in same], [depth for _, depth in same])

    def _test_bent(self, rows: list[int], depth: list[NDArray[Any]]) -> None:
        for row, stored in zip(rows, depth, strict=True):
            view = self._views[row]
            seen = lensed_points(self._host_points, self._cam_from_world[row], stored, view)
            self._rows.append(row)
            self._visible.append(self._words(seen.visible))
            if self._guards is not None:
                rule = askable_rule(self._guards, view.color.size, view.depth.size)
                self._askable.append(self._words(askable_lensed(seen, stored, view, rule)))
            if self._surface_rule is not None:
                self._surface.append(self._words(seen.near(self._surface_rule)))
                self._inside.append(self._words(seen.inside))

    def _words(self, mask: NDArray[np.bool_]) -> Any:
        """One frame's bits where the masks live."""
        words = BitMask.from_bool(mask[None]).words
        return words if self._device is None else self._device.upload([words])[0]

    def _test(self, rows: list[int], depth: list[NDArray[Any]]) -> None:
        views = [self._views[row] for row in rows]
        view = views[0]
        given = DepthViews(
            self._points,
            self._placed(np.stack([one.color.K for one in views])),
            self._placed(self._cam_from_world[rows]),
            depth if self._device is None else self._device.upload(depth),
            view.color.size,
            view.depth_scale,
            [one.pixel_map for one in views],
        )
        rules = (view.rule, *([] if self._surface_rule is None else [self._surface_rule]))
        scene, (seen, *surface) = visible_in(given, rules, threads=self._threads)
        self._rows.extend(rows)
        self._visible.append(seen.words)
        if self._guards is not None:
            guards = askable_rule(self._guards, view.color.size, view.depth.size)
            askable = askable_points(scene, seen, guards, threads=self._threads)
            self._askable.append(askable.words)
        if self._surface_rule is not None:
            self._surface.append(surface[0].words)
            self._inside.append(self._in_image(scene).words)
        if self._device is not None:
            self._in_flight.append(self._device.mark())
            if len(self._in_flight) > _IN_FLIGHT:
                self._in_flight.popleft().synchronize()

    def _in_image(self, scene: DepthViews) -> BitMask:
        """The points whose pixel lies in the image: seen by a map of one endlessly far reading."""
        far = self._placed(np.stack([FAR_MAP] * len(scene.cam_from_world)))
        everywhere = scene._replace(depth=far, depth_from_image=PixelMap.identity())
        return visible_in(everywhere, [DepthRule.strict()], threads=self._threads).masks[0]


def _kind_of(view: View) -> Hashable:
    """What frames that are tested together share."""
    return view.bent, view.color.size, view.depth.size, view.depth_scale, view.rule


def _joined(
    words: list[Any], order: NDArray[np.int64], point_count: int, device: Library | None
) -> BitMask:
    if not words:
        return BitMask(np.zeros((0, word_count(point_count)), np.uint64), point_count)
    joined = np.concatenate(words) if device is None else device.concatenate(words)
    if (np.diff(order) > 0).all():
        return BitMask(joined, point_count)
    return BitMask(joined[order if device is None else device.upload([order])[0]], point_count)
