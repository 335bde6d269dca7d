# SPDX-License-Identifier: Apache-2.0
"""Which points each frame sees and which of them may be asked about, in one pass over the depth."""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spatialcore._libraries import Library, Marker
from spatialcore.bitmask import BitMask, word_count
from spatialcore.errors import SceneFormatError
from spatialcore.index.askable import askable_points, askable_rule
from spatialcore.index.frames import frame_pixel_map
from spatialcore.index.rules import Rules
from spatialcore.occlusion import DepthRule, DepthViews, PixelMap, visible_in
from spatialcore.types import Float64, Scene, invert_pose

# Frames tested in one call: their maps stay in the last-level cache between the two tests.
_BATCH = 16
# Frames of a copy to a GPU: the tile of frames for which the kernel reads its points once.
_DEVICE_BATCH = 32
# Batches on their way to a GPU at most: one tested, one copied, one decoded, one to spare.
_IN_FLIGHT = 4


class View(NamedTuple):
    """How the frames of a scene see: camera, depth and rules.

    Attributes:
        K: (3, 3) of the colour images.
        image_size: (W, H).
        depth_K: (3, 3) of the depth images, given or derived from the pixel map.
        depth_size: (w, h).
        depth_scale: Metres per unit.
        map_name: "from_intrinsics", "from_sizes" or "identity".
        pixel_map: From colour to depth pixels.
        rule: When a point counts as seen.
    """

    K: Float64
    image_size: tuple[int, int]
    depth_K: Float64  # noqa: N815
    depth_size: tuple[int, int]
    depth_scale: float
    map_name: str
    pixel_map: PixelMap
    rule: DepthRule


def depth_rule(rules: Rules) -> DepthRule:
    """The visibility rule."""
    if rules.rule == "strict":
        return DepthRule.strict()
    return DepthRule.tolerance(rules.rule_relative, rules.rule_absolute_m)


def scene_view(scene: Scene, rules: Rules) -> View:
    """Camera, pixel map and rule of a scene.

    Raises:
        SceneFormatError: The map cannot be known; code "depth_K_missing".
    """
    if scene.color.lens is not None:
        raise SceneFormatError(
            scene.root / scene.id, "has a lens that is no pinhole", code="distortion"
        )
    name, K = pixel_map_name(scene, rules), scene.color.K
    pixel_map = frame_pixel_map(name, scene.color, scene.depth, scene.depth_size)
    return View(
        K=K,
        image_size=scene.color.size,
        depth_K=_depth_K(K, pixel_map) if scene.depth is None else scene.depth.K,
        depth_size=scene.depth_size,
        depth_scale=scene.depth_scale,
        map_name=name,
        pixel_map=pixel_map,
        rule=depth_rule(rules),
    )


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
    w, h = view.depth_size
    m = view.pixel_map
    columns = np.rint((np.arange(w) - m.bx) / m.ax)
    rows = np.rint((np.arange(h) - m.by) / m.ay)
    columns[(columns < 0) | (columns >= view.image_size[0])] = -1
    rows[(rows < 0) | (rows >= view.image_size[1])] = -1
    return columns.astype(np.int64), rows.astype(np.int64)


def instance_on_depth(view: View, instance: NDArray[np.int32]) -> NDArray[np.int32]:
    """Instance ids of the colour grid, read at each depth pixel; -1 outside the colour image."""
    if view.map_name == "identity":
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
    """

    rows: NDArray[np.int64]
    visible: BitMask
    askable: BitMask

    def to_host(self) -> Masks:
        """The same masks in numpy words; waits for a GPU."""
        visible = self.visible.to_host()
        same = self.askable is self.visible
        return self._replace(visible=visible, askable=visible if same else self.askable.to_host())


class MaskBuilder:
    """Visibility and guards of every frame, each map tested while it is in cache.

    Maps wait until a batch is full. On a GPU they are stacked into page-locked memory and copied
    while earlier ones are tested and later ones decoded; the masks stay there.

    Args:
        view: Camera and rules.
        rules: Whether there are guards, and which.
        points: (P, 3) float32 in the index's world.
        world_from_cam: (F_all, 4, 4) of the scene's table.
        threads: CPU threads.
        device: Where to test; None = on the CPU.
    """

    def __init__(
        self,
        view: View,
        rules: Rules,
        points: NDArray[np.float32],
        world_from_cam: Float64,
        *,
        threads: int | None = None,
        device: Library | None = None,
    ) -> None:
        self._view, self._threads, self._device = view, threads, device
        self._guards = None
        if rules.askable == "guarded":
            self._guards = askable_rule(rules.guards, view.image_size, view.depth_size)
        self._cam_from_world = invert_pose(world_from_cam)
        self._points, self._K = self._placed(points)[0], self._placed(view.K)[0]
        self._waiting: list[tuple[int, NDArray[Any]]] = []
        self._rows: list[int] = []
        self._visible: list[Any] = []
        self._askable: list[Any] = []
        self._in_flight: deque[Marker] = deque()

    def add(self, row: int, depth: NDArray[Any]) -> None:
        """Test the map of the frame in a row of the table, or let it wait for its batch."""
        self._waiting.append((row, depth))
        if len(self._waiting) == (_BATCH if self._device is None else _DEVICE_BATCH):
            self._test_waiting()

    def finish(self) -> Masks:
        """The masks of all frames that were added."""
        self._test_waiting()
        order = np.argsort(np.array(self._rows, np.int64), kind="stable")
        visible = _joined(self._visible, order, len(self._points), self._device)
        askable = visible
        if self._guards is not None:
            askable = _joined(self._askable, order, len(self._points), self._device)
        return Masks(np.array(self._rows, np.int64)[order], visible, askable)

    def _placed(self, *parts: NDArray[Any]) -> Any:
        return np.stack(parts) if self._device is None else self._device.upload(parts)

    def _test_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        for dtype in dict.fromkeys(depth.dtype for _, depth in waiting):
            same = [(row, depth) for row, depth in waiting if depth.dtype == dtype]
            self._test([row for row, _ in same], [depth for _, depth in same])

    def _test(self, rows: list[int], depth: list[NDArray[Any]]) -> None:
        scene = DepthViews(
            self._points,
            self._K,
            self._placed(*self._cam_from_world[rows]),
            # On the host only the guards need the maps in one piece.
            depth if self._device is None and self._guards is None else self._placed(*depth),
            self._view.image_size,
            self._view.depth_scale,
            self._view.pixel_map,
        )
        seen = visible_in(scene, rule=self._view.rule, threads=self._threads)
        self._rows.extend(rows)
        self._visible.append(seen.words)
        if self._guards is not None:
            askable = askable_points(scene, seen, self._guards, threads=self._threads)
            self._askable.append(askable.words)
        if self._device is not None:
            self._in_flight.append(self._device.mark())
            if len(self._in_flight) > _IN_FLIGHT:
                self._in_flight.popleft().synchronize()


def _joined(
    words: list[Any], order: NDArray[np.int64], point_count: int, device: Library | None
) -> BitMask:
    if not words:
        return BitMask(np.zeros((0, word_count(point_count)), np.uint64), point_count)
    joined = np.concatenate(words) if device is None else device.concatenate(words)
    if (np.diff(order) > 0).all():
        return BitMask(joined, point_count)
    return BitMask(joined[order if device is None else device.upload([order])[0]], point_count)
