# SPDX-License-Identifier: Apache-2.0
"""What every task about points of a frame needs: pixels, depths, first points, and the re-check.

The first point of a frame is the askable one with the smallest draw; a further sample of the frame
takes the next smallest that lies apart from those before it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spatial_engine.answers import norm1000
from spatial_engine.engine import SceneContext
from spatial_engine.marks import COLOURS, Mark, mark_radius
from spatialcore.draws import first_passing, fold
from spatialcore.occlusion import PixelMap
from spatialcore.projection import project_points
from spatialcore.types import invert_pose

if TYPE_CHECKING:
    from spatial_engine.reference import ReferenceScene

Float64 = NDArray[np.float64]

# Several samples of one frame only when frames run short, and never more than this.
POINTS_PER_FRAME = 4
_COLOUR_NAMES = tuple(COLOURS)


class PointView(NamedTuple):
    """A point as a frame sees it: pixel (column, row) and z in metres."""

    u: float
    v: float
    z: float


class FramePoints(NamedTuple):
    """The askable points of a frame (n rows).

    Attributes:
        id: (n,) row in the source's cloud.
        uv: (n, 2) float64 pixels.
        z: (n,) float64 metres.
        points: (n, 3) float32 world.
    """

    id: NDArray[np.int64]
    uv: Float64
    z: Float64
    points: NDArray[np.float32]


class _Cameras(NamedTuple):
    matrix: dict[int, Float64]  # cam_from_world
    plain: dict[int, list[list[float]]]
    K: Float64
    row_of_id: NDArray[np.int64]


def _cameras(context: SceneContext) -> _Cameras:
    def make() -> _Cameras:
        scene = context.scene
        inverse = invert_pose(scene.frames.world_from_cam[scene.frames.valid])
        frames = scene.valid_frames.tolist()
        row_of_id = np.empty(len(scene.source_row), dtype=np.int64)
        row_of_id[scene.source_row] = np.arange(len(row_of_id))
        return _Cameras(
            dict(zip(frames, inverse, strict=True)),
            dict(zip(frames, inverse.tolist(), strict=True)),
            scene.color_K,
            row_of_id,
        )

    return context.cached("frame_points.cameras", make)


def frame_points(context: SceneContext, frame: int) -> FramePoints:
    """Askable points of a frame with their pixels; kept for the tasks that follow."""

    def make() -> FramePoints:
        scene, cameras = context.scene, _cameras(context)
        rows = scene.askable.indices(scene.row_of_frame[frame])
        points = np.ascontiguousarray(scene.points[rows])
        uv, z = project_points(points, cameras.K, cameras.matrix[frame][None], threads=1)
        return FramePoints(scene.source_row[rows].astype(np.int64), uv[0], z[0], points)

    return context.cached(("frame_points", frame), make)


def point_view(context: SceneContext, frame: int, point: int) -> PointView:
    """Pixel and depth of a point by its id: the arithmetic of `project_points` on plain floats."""
    cameras = _cameras(context)
    x, y, z = context.scene.points[cameras.row_of_id[point]].tolist()
    a, b, c = (((m[0] * x + m[1] * y) + m[2] * z) + m[3] for m in cameras.plain[frame][:3])
    K = cameras.K
    return PointView(float((K[0, 0] * a) / c + K[0, 2]), float((K[1, 1] * b) / c + K[1, 2]), c)


def frames_to_ask(context: SceneContext, task: str) -> list[tuple[int, int]]:
    """(frame, how many samples) within the scene's quota: frames by their draw `frame`.

    With more frames than the quota the first ones by draw give one sample each. With fewer, and
    where the recipe keeps samples apart, each gives up to `POINTS_PER_FRAME`.
    """
    scene = context.scene
    frames = scene.valid_frames[scene.askable.counts() > 0]
    quota = context.scene_quota.get(task, len(frames))
    order = np.argsort(context.place.draw_rows(task, (frames,), "frame"), kind="stable")
    ordered = frames[order].tolist()
    if quota <= len(ordered) or context.recipe.guards.points_apart_share == 0.0:
        return [(frame, 1) for frame in ordered[:quota]]
    each, rest = divmod(quota, max(1, len(ordered)))
    return [(f, min(POINTS_PER_FRAME, each + (k < rest))) for k, f in enumerate(ordered)]


def unseen_frames(context: SceneContext) -> dict[str, int]:
    """Frames without a visible or without an askable point, by reason."""
    visible, askable = context.scene.visible.counts(), context.scene.askable.counts()
    return {
        "no_visible_points": int((visible == 0).sum()),
        "no_askable_points": int(((visible > 0) & (askable == 0)).sum()),
    }


def first_points(context: SceneContext, task: str, frame: int, count: int) -> list[int]:
    """Rows of `frame_points` chosen as first points: smallest draws, apart by the guard."""
    seen = frame_points(context, frame)
    state = fold(context.place.state(task, "point"), frame)
    apart = context.recipe.guards.points_apart_share * context.scene.image_size[0]
    out: list[int] = []
    while len(out) < count:
        row = first_passing(state, seen.id, lambda rows: apart_from(seen, out, rows, apart))
        if row < 0:
            break
        out.append(row)
    return out


def apart_from(
    seen: FramePoints, chosen: Sequence[int], rows: NDArray[np.intp], least: float
) -> NDArray[np.bool_]:
    """(k,) which rows are others than the chosen ones, and at least so many pixels from each."""
    free = np.ones(len(rows), dtype=bool)
    for row in chosen:
        free &= (pixels_between(seen, rows, row) >= least) & (rows != row)
    return free


def pixels_between(seen: FramePoints, rows: NDArray[np.intp], row: int) -> Float64:
    """(k,) distance of points from one of them on the image, pixels."""
    gap = seen.uv[rows] - seen.uv[row]
    distance: Float64 = np.hypot(gap[:, 0], gap[:, 1])
    return distance


def mark_at(
    view: PointView, size: tuple[int, int], share: float, colour: str, letter: str = ""
) -> Mark:
    """The mark of a point: at its nearest pixel, clipped to the image."""
    u = min(max(round(view.u), 0), size[0] - 1)
    v = min(max(round(view.v), 0), size[1] - 1)
    return Mark(float(u), float(v), mark_radius(size[0], share), colour, letter)


def drawn_colour(value: int) -> str:
    """One of the mark colours for a 64-bit draw."""
    return _COLOUR_NAMES[(value * len(_COLOUR_NAMES)) >> 64]


def view_norm1000(view: PointView, size: tuple[int, int]) -> tuple[int, int]:
    """0..1000 coordinates of a point's pixel."""
    return norm1000(view.u, view.v, *size)


def scene_pixel_map(context: SceneContext) -> PixelMap:
    """The map from colour to depth pixels that the index was made with."""

    def make() -> PixelMap:
        scene = context.scene
        if scene.depth_map == "from_intrinsics" and scene.depth_K is not None:
            return PixelMap.from_intrinsics(scene.color_K, scene.depth_K)
        if scene.depth_map == "from_sizes":
            return PixelMap.from_sizes(scene.image_size, scene.depth_size)
        return PixelMap.identity()

    return context.cached("frame_points.pixel_map", make)


def reference_view(reference: ReferenceScene, frame: int, point: int) -> PointView:
    """`point_view` from the source, by a plain matrix product."""
    uv, z = reference.project(frame, reference.points[point : point + 1])
    return PointView(float(uv[0, 0]), float(uv[0, 1]), float(z[0]))


def reference_rejection(reference: ReferenceScene, frame: int, point: int) -> str:
    """The first guard that a point breaks in a frame, or "", read from the depth map.

    The formulas are those of the index's `askable` mask (contracts 4), written on plain numbers.
    """
    if not reference.visible(frame)[point]:
        return "not_visible"
    if reference.recipe.askable == "visible":
        return ""
    guards, view = reference.recipe.guards, reference_view(reference, frame, point)
    W, H = reference.image_size
    if not guards.depth_min_m <= view.z <= guards.depth_max_m:
        return "depth_range"
    radius = mark_radius(W, guards.mark_radius_share)
    column, row = min(max(round(view.u), 0), W - 1), min(max(round(view.v), 0), H - 1)
    inside = radius <= column <= W - 1 - radius and radius <= row <= H - 1 - radius
    if guards.border and not inside:
        return "border"
    depth = reference.depth_m(frame)
    h, w = depth.shape
    column, row = reference.pixel_map.depth_pixel(view.u, view.v, (w, h))
    allowed = max(guards.agreement_relative * view.z, guards.agreement_absolute_m)
    if not abs(view.z - depth[row, column]) < allowed:
        return "agreement"
    return _edge_rejection(guards, depth, (column, row), view.z, max(1.0, radius * w / W))


def _edge_rejection(
    guards: Any, depth: Float64, centre: tuple[int, int], z: float, radius: float
) -> str:
    """Return "depth_edge" unless enough of the readings in the disc lie near z."""
    readings = near = 0
    reach = math.floor(radius)
    tolerance = max(guards.edge_relative * z, guards.edge_absolute_m)
    for row in range(max(0, centre[1] - reach), min(depth.shape[0], centre[1] + reach + 1)):
        for column in range(max(0, centre[0] - reach), min(depth.shape[1], centre[0] + reach + 1)):
            if (column - centre[0]) ** 2 + (row - centre[1]) ** 2 > radius * radius:
                continue
            d = depth[row, column]
            readings += d > 0
            near += d > 0 and abs(d - z) <= tolerance
    return "" if near >= guards.edge_share * readings else "depth_edge"
