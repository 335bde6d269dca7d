# SPDX-License-Identifier: Apache-2.0
"""What every task about points of a frame needs: pixels, depths, chosen points, and the re-check.

A point is chosen by the smallest draw among the askable ones of a frame that pass a test. All
samples of a scene are chosen together: compiled draws name a few points of each, arrays test them,
and only where none of these passes are all points of the frame looked at.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spatial_engine.engines.base import SceneContext
from spatial_engine.records.marks import COLOURS, Mark, mark_radius
from spatialcore.draws import fold_array, smallest_seen, uniform_below_rows
from spatialcore.occlusion import PixelMap
from spatialcore.types import invert_pose

if TYPE_CHECKING:
    from spatial_engine.reference.scene import ReferenceScene

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
Uint64 = NDArray[np.uint64]
# (queries (n,), points (n, k)) -> which points may be chosen, (n, k) bool.
Passes = Callable[[Int64, Int64], NDArray[np.bool_]]

# Several samples of one frame only when frames run short, and never more than this.
POINTS_PER_FRAME = 4
# Points of each query that are tested first: ten times the inverse of the share that passes.
LOOK = 32
_TESTED = 1 << 20  # points at a time: about 100 MB of arrays
_COLOUR_NAMES = tuple(COLOURS)


class Views(NamedTuple):
    """Points as frames see them, any shape (...).

    Attributes:
        uv: (..., 2) float64 pixels, column and row.
        z: (...) float64 metres.
    """

    uv: Float64
    z: Float64


class _Cameras(NamedTuple):
    frame: Int64  # (F,) ascending
    matrix: Float64  # (F, 4, 4) cam_from_world
    K: Float64
    row_of_id: NDArray[np.intp]


def _cameras(context: SceneContext) -> _Cameras:
    def make() -> _Cameras:
        scene = context.scene
        row_of_id = np.empty(len(scene.source_row), dtype=np.intp)
        row_of_id[scene.source_row] = np.arange(len(row_of_id))
        return _Cameras(
            np.asarray(scene.valid_frames, dtype=np.int64),
            invert_pose(scene.frames.world_from_cam[scene.frames.valid]),
            scene.color_K,
            row_of_id,
        )

    return context.cached("frame_points.cameras", make)


def mask_rows(context: SceneContext, frames: ArrayLike) -> Int64:
    """Rows of frames in the masks of the index."""
    rows: Int64 = np.searchsorted(_cameras(context).frame, np.asarray(frames)).astype(np.int64)
    return rows


def point_ids(context: SceneContext, points: NDArray[Any]) -> Int64:
    """Ids of points of the index's cloud: their rows in the source's."""
    return np.take(context.scene.source_row, points).astype(np.int64)


def points_of_ids(context: SceneContext, ids: ArrayLike) -> NDArray[np.intp]:
    """Points of the index's cloud by their ids."""
    points: NDArray[np.intp] = _cameras(context).row_of_id[np.asarray(ids)]
    return points


def point_views(context: SceneContext, frames: ArrayLike, points: NDArray[Any]) -> Views:
    """Pixels and depths of points, bit-equal to `project_points`.

    Args:
        context: The scene.
        frames: (n,) frame of each row of points.
        points: (n, k) points of the index's cloud.
    """
    cameras = _cameras(context)
    x, y, z = np.moveaxis(np.take(context.scene.points, points, axis=0).astype(np.float64), -1, 0)
    m = cameras.matrix[mask_rows(context, frames), :, :, None]
    a, b, c = (((m[:, r, 0] * x + m[:, r, 1] * y) + m[:, r, 2] * z) + m[:, r, 3] for r in range(3))
    K = cameras.K
    return Views(np.stack([(K[0, 0] * a) / c + K[0, 2], (K[1, 1] * b) / c + K[1, 2]], axis=-1), c)


def frames_to_ask(context: SceneContext, task: str) -> tuple[Int64, Int64]:
    """(frames, samples of each) within the scene's quota: frames by their draw `frame`.

    With more frames than the quota the first ones by draw give one sample each. With fewer, and
    where the recipe keeps samples apart, each gives up to `POINTS_PER_FRAME`.
    """
    scene = context.scene
    frames = scene.valid_frames[_counts(context)[1] > 0]
    quota = context.scene_quota.get(task, len(frames))
    order = np.argsort(context.place.draw_rows(task, (frames,), "frame"), kind="stable")
    ordered = frames[order].astype(np.int64)
    if quota <= len(ordered) or context.recipe.guards.points_apart_share == 0.0:
        return ordered[:quota], np.ones(min(quota, len(ordered)), dtype=np.int64)
    each, rest = divmod(quota, max(1, len(ordered)))
    return ordered, np.minimum(POINTS_PER_FRAME, each + (np.arange(len(ordered)) < rest))


def _counts(context: SceneContext) -> tuple[NDArray[Any], NDArray[Any]]:
    """Visible and askable points of every valid frame."""
    scene = context.scene
    return context.cached(
        "frame_points.counts", lambda: (scene.visible.counts(), scene.askable.counts())
    )


def unseen_frames(context: SceneContext) -> dict[str, int]:
    """Frames without a visible or without an askable point, by reason."""
    visible, askable = _counts(context)
    return {
        "no_visible_points": int((visible == 0).sum()),
        "no_askable_points": int(((visible > 0) & (askable == 0)).sum()),
    }


def first_passing(
    context: SceneContext,
    frames: Int64,
    states: Uint64,
    passes: Passes,
    looked: Int64 | None = None,
) -> Int64:
    """The askable point of the smallest draw that passes, for each of n frames; -1 where none.

    Args:
        context: The scene.
        frames: (n,) where each point is chosen; equal ones are best neighbours.
        states: (n,) draws, into which the point's id is folded.
        passes: The test; it may be called several times, and with points that are -1.
        looked: `smallest_askable` of these states where it is known already; what is tested before
            all points of a frame are.
    """
    out = np.full(len(frames), -1, dtype=np.int64)
    step = max(1, _TESTED // (LOOK if looked is None else looked.shape[1]))
    for begin in range(0, len(frames), step):
        queries = np.arange(begin, min(begin + step, len(frames)))
        points = (
            smallest_askable(context, frames[queries], states[queries])
            if looked is None
            else looked[queries]
        )
        out[queries] = _first(context, frames, states, passes, queries, points)
    return out


def smallest_askable(
    context: SceneContext, frames: Int64, states: Uint64, count: int = LOOK
) -> Int64:
    """(n, count) askable points with the smallest draws, -1 where a frame has fewer."""
    scene = context.scene
    return smallest_seen(states, scene.askable, mask_rows(context, frames), scene.source_row, count)


def _first(
    context: SceneContext,
    frames: Int64,
    states: Uint64,
    passes: Passes,
    queries: Int64,
    points: Int64,
) -> Int64:
    """The first of the points (m, k) of each query that passes, else the first of its frame."""
    out = np.full(len(queries), -1, dtype=np.int64)
    left = np.arange(len(queries))
    for begin, end in ((0, LOOK), (LOOK, points.shape[1])):
        if begin >= end or not len(left):
            continue
        some = points[left, begin:end]
        passed = passes(queries[left], some) & (some >= 0)
        found = passed.any(axis=1)
        out[left[found]] = some[found, passed.argmax(axis=1)[found]]
        left = left[~found]
    for k in left[points[left, -1] >= 0].tolist():
        query = queries[k : k + 1]
        every = context.scene.askable.indices(int(mask_rows(context, frames[query])[0]))
        allowed = every[passes(query, every[None].astype(np.int64))[0]]
        if len(allowed):
            drawn = fold_array(states[query], point_ids(context, allowed))
            out[k] = allowed[np.argmin(drawn)]
    return out


def first_points(context: SceneContext, task: str) -> tuple[Int64, Int64]:
    """(frames, points) of the samples of a task: smallest draws, apart by the guard.

    The samples of a frame follow each other; a frame gives fewer where no point lies apart.
    """
    frames, counts = frames_to_ask(context, task)
    states = context.place.draw_rows(task, (frames,), "point")
    least = context.recipe.guards.points_apart_share * context.scene.image_size[0]
    looked = smallest_askable(context, frames, states)
    chosen = np.full((len(frames), POINTS_PER_FRAME), -1, dtype=np.int64)
    asked = np.arange(len(frames))
    for k in range(int(counts.max(initial=0))):
        asked = asked[counts[asked] > k]
        before = chosen[:, :k]
        at = point_views(context, frames, before).uv

        def passes(
            queries: Int64, points: Int64, before: Int64 = before, at: Float64 = at
        ) -> NDArray[np.bool_]:
            if not before.shape[1]:
                return np.ones(points.shape, dtype=bool)
            uv = point_views(context, frames[queries], points).uv
            return apart_from(points, uv, before[queries], at[queries], least)

        chosen[asked, k] = _first(context, frames, states, passes, asked, looked[asked])
        asked = asked[chosen[asked, k] >= 0]
    given = chosen >= 0
    return np.repeat(frames, given.sum(axis=1)), chosen[given]


def apart_from(
    points: Int64, uv: Float64, chosen: Int64, at: Float64, least: float
) -> NDArray[np.bool_]:
    """Which points (n, k) at pixels uv are others than the chosen ones, and so far from each.

    Args:
        points: (n, k) points of the index's cloud.
        uv: (n, k, 2) their pixels.
        chosen: (n, c) points chosen before.
        at: (n, c, 2) their pixels.
        least: Pixels.
    """
    free = np.ones(points.shape, dtype=bool)
    for c in range(chosen.shape[1]):
        free &= pixels_apart(uv, at[:, c, None], least)
        free &= points != chosen[:, c, None]
    return free


def pixels_apart(a: Float64, b: Float64, least: float) -> NDArray[np.bool_]:
    """Which pixels (..., 2) are at least so far from each other, compared as squares."""
    u, v = a[..., 0] - b[..., 0], a[..., 1] - b[..., 1]
    far: NDArray[np.bool_] = u * u + v * v >= least * least
    return far


def marks_at(
    uv: Float64, size: tuple[int, int], share: float, colours: Sequence[str], letters: str = ""
) -> list[tuple[Mark, ...]]:
    """The marks of points: at their nearest pixels, clipped to the image.

    Args:
        uv: (n, k, 2) pixels of the points of one image for each of n records.
        size: (W, H) of the image.
        share: Radius of a mark as a share of W.
        colours: n colours.
        letters: Of the k points, or "".
    """
    pixels = np.clip(np.rint(uv), 0, np.array(size) - 1.0).tolist()
    radius, names = mark_radius(size[0], share), letters or ("",) * uv.shape[1]
    return [
        tuple(Mark(u, v, radius, colour, name) for (u, v), name in zip(row, names, strict=True))
        for row, colour in zip(pixels, colours, strict=True)
    ]


def drawn_colours(values: Uint64) -> list[str]:
    """One of the mark colours for each 64-bit draw."""
    return [_COLOUR_NAMES[k] for k in uniform_below_rows(values, len(_COLOUR_NAMES)).tolist()]


def views_norm1000(uv: Float64, size: tuple[int, int]) -> Int64:
    """0..1000 coordinates of pixels (..., 2): `answers.norm1000` of each."""
    shares: Float64 = np.rint(1000 * uv / np.array(size))
    return shares.astype(np.int64)


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


def reference_views(reference: ReferenceScene, frame: int, points: Sequence[int]) -> Views:
    """`point_views` of one frame (1, k) from the source, by a plain matrix product."""
    uv, z = reference.project(frame, reference.points[list(points)])
    return Views(uv[None], z[None])


def reference_rejection(reference: ReferenceScene, frame: int, point: int) -> str:
    """The first guard that a point breaks in a frame, or "", read from the depth map.

    The formulas are those of the index's `askable` mask (contracts 4), written on plain numbers.
    """
    if not reference.visible(frame)[point]:
        return "not_visible"
    if reference.recipe.rules.askable == "visible":
        return ""
    guards, view = reference.recipe.rules.guards, reference_views(reference, frame, [point])
    W, H = reference.image_size
    (u, v), z = view.uv[0, 0].tolist(), float(view.z[0, 0])
    if not guards.depth_min_m <= z <= guards.depth_max_m:
        return "depth_range"
    radius = mark_radius(W, guards.mark_radius_share)
    column, row = min(max(round(u), 0), W - 1), min(max(round(v), 0), H - 1)
    inside = radius <= column <= W - 1 - radius and radius <= row <= H - 1 - radius
    if guards.border and not inside:
        return "border"
    depth = reference.depth_m(frame)
    h, w = depth.shape
    column, row = reference.pixel_map.depth_pixel([u, v], (w, h)).tolist()
    allowed = max(guards.agreement_relative * z, guards.agreement_absolute_m)
    if not abs(z - depth[row, column]) < allowed:
        return "agreement"
    return _edge_rejection(guards, depth, (column, row), z, max(1.0, radius * w / W))


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
