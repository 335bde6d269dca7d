# SPDX-License-Identifier: Apache-2.0
"""What every task about points of a frame needs: pixels, depths, chosen points, and the re-check.

A point is chosen by the smallest draw among the askable ones of a frame that pass a test. All
samples of a scene are chosen together: compiled draws name a few points of each, arrays test them,
and only where none of these passes are all points of the frame looked at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spatial_engine.engines.context import SceneContext
from spatial_engine.records.marks import COLOURS, Mark, mark_radius
from spatialcore.draws import fold_array, smallest_seen, uniform_below_rows
from spatialcore.lens import Lens
from spatialcore.types import invert_pose

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
Uint64 = NDArray[np.uint64]
# (queries (n,), points (n, k), what their frames see of them) -> which points pass a guard.
Test = Callable[[Int64, Int64, "Views"], NDArray[np.bool_]]
Tests = Sequence[tuple[str, Test]]  # each guard's name and test, in the order of reasons

# Several samples of one frame only when frames run short, and never more than this.
POINTS_PER_FRAME = 4
# Points of each query that are tested first: ten times the inverse of the share that passes.
LOOK = 32
LOOK_AGAIN = 512  # where none of them passes; then all points of the frame
_TESTED = 1 << 20  # points at a time: about 100 MB of arrays
_COLOUR_NAMES = tuple(COLOURS)


class Views(NamedTuple):
    """Points as frames see them, any shape (...).

    Attributes:
        uv: (..., 2) float64 pixels, column and row.
        z: (...) float64 metres.
        size: (..., 2) int64 width and height of the image that each point is seen in.
    """

    uv: Float64
    z: Float64
    size: Int64

    @property
    def width(self) -> Int64:
        """(...) columns of the image."""
        return self.size[..., 0]

    def take(self, rows: Any) -> Views:
        """The views of some rows."""
        return Views(self.uv[rows], self.z[rows], self.size[rows])

    @classmethod
    def beside(cls, views: Sequence[Views]) -> Views:
        """Views of the same rows, one after the other along the second axis."""
        return cls(*(np.concatenate(column, axis=1) for column in zip(*views, strict=True)))


class _Cameras(NamedTuple):
    frame: Int64  # (F,) ascending
    matrix: Float64  # (F, 4, 4) cam_from_world
    K: Float64  # (F, 4): fx, fy, cx, cy
    size: Int64  # (F, 2): width, height
    lens: tuple[Lens | None, ...]
    row_of_id: NDArray[np.intp]


def _cameras(context: SceneContext) -> _Cameras:
    def make() -> _Cameras:
        scene = context.scene
        row_of_id = np.empty(len(scene.source_row), dtype=np.intp)
        row_of_id[scene.source_row] = np.arange(len(row_of_id))
        frames = np.asarray(scene.valid_frames, dtype=np.int64)
        cameras = [scene.color_camera(frame) for frame in frames.tolist()]
        numbers = [(c.K[0, 0], c.K[1, 1], c.K[0, 2], c.K[1, 2]) for c in cameras]
        lenses = tuple(camera.lens for camera in cameras)
        return _Cameras(
            frames,
            invert_pose(scene.frames.world_from_cam[scene.frames.valid]),
            np.array(numbers, dtype=np.float64).reshape(-1, 4),
            np.array([camera.size for camera in cameras], dtype=np.int64).reshape(-1, 2),
            lenses if any(lenses) else (),
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
    cameras, rows = _cameras(context), mask_rows(context, frames)
    at = np.take(context.scene.points, points, axis=0).astype(np.float64)
    x, y, z = (at[..., k] for k in range(3))
    m = cameras.matrix[rows, :, :, None]
    a, b, c = (((m[:, r, 0] * x + m[:, r, 1] * y) + m[:, r, 2] * z) + m[:, r, 3] for r in range(3))
    K = cameras.K[rows, :, None]
    fx, fy, cx, cy = (K[:, k] for k in range(4))
    if cameras.lens:
        a, b, c = _bent(cameras.lens, rows, a, b, c)
    uv = np.empty((*c.shape, 2))
    uv[..., 0], uv[..., 1] = (fx * a) / c + cx, (fy * b) / c + cy
    return Views(uv, c, np.broadcast_to(cameras.size[rows, None], uv.shape))


def _bent(
    lenses: Sequence[Lens | None], rows: Int64, a: Float64, b: Float64, c: Float64
) -> tuple[Float64, Float64, Float64]:
    """Camera coordinates whose pinhole projection is where each frame's lens puts them."""
    a, b = a.copy(), b.copy()
    for lens in {lens for lens in lenses if lens is not None}:
        mine = np.array([lenses[row] == lens for row in rows.tolist()], dtype=np.bool_)
        z = c[mine]
        x, y = lens.distort(a[mine] / z, b[mine] / z)
        a[mine], b[mine] = x * z, y * z
    return a, b, c


def frames_to_ask(context: SceneContext, task: str, look: int = 1) -> tuple[Int64, Int64]:
    """(frames, samples of each) within `look` quotas of the scene: frames by their draw `frame`.

    With more frames than the quota the first ones by draw give one sample each. With fewer, and
    where the recipe keeps samples apart, each gives up to `POINTS_PER_FRAME`.
    """
    scene = context.scene
    seen = (_counts(context)[1] > 0) & context.holds(scene.valid_frames)
    frames = scene.valid_frames[seen]
    quota = look * context.scene_quota.get(task, len(frames))
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
    tests: Tests,
    refused: Counter[str],
) -> Int64:
    """The askable point of the smallest draw that passes, for each of n frames; -1 where none.

    Args:
        context: The scene.
        frames: (n,) where each point is chosen; equal ones are best neighbours.
        states: (n,) draws, into which the point's id is folded.
        tests: The guards; called several times, also with points that are -1.
        refused: Takes for each frame without a point the guard that turned the last one away.
    """
    out = np.full(len(frames), -1, dtype=np.int64)
    step = max(1, _TESTED // LOOK)
    for begin in range(0, len(frames), step):
        queries = np.arange(begin, min(begin + step, len(frames)))
        points = smallest_askable(context, frames[queries], states[queries])
        out[queries] = _first(context, frames, states, tests, queries, points, refused)
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
    tests: Tests,
    queries: Int64,
    points: Int64,
    refused: Counter[str] | None = None,
) -> Int64:
    """The first of the points (m, k) of each query that passes, else the first of its frame."""
    out = np.full(len(queries), -1, dtype=np.int64)
    views = point_views(context, frames[queries], points)
    passed, reached = points >= 0, np.zeros(len(queries), np.int64)
    for _, test in tests:
        reached += passed.any(axis=1)  # the guards that some point comes to
        passed &= test(queries, points, views)
    found = passed.any(axis=1)
    out[found] = points[found, passed.argmax(axis=1)[found]]
    left = np.flatnonzero(~found & ((points[:, -1] >= 0) | (refused is not None)))
    if points.shape[1] < LOOK_AGAIN and len(left):
        step = max(1, _TESTED // LOOK_AGAIN)
        for some in np.split(left, range(step, len(left), step)):
            mine = queries[some]
            more = smallest_askable(context, frames[mine], states[mine], LOOK_AGAIN)
            out[some] = _first(context, frames, states, tests, mine, more, refused)
        return out
    whole: tuple[int, Int64, Views] | None = None
    for k in left.tolist():
        query = queries[k : k + 1]
        frame = int(frames[query[0]])
        if whole is None or whole[0] != frame:
            row = int(mask_rows(context, frame))
            every = context.scene.askable.indices(row)[None].astype(np.int64)
            whole = frame, every, point_views(context, frames[query], every)
        allowed = _passing(tests, query, whole[1], whole[2])
        if len(allowed):
            drawn = fold_array(states[query], point_ids(context, allowed))
            out[k] = allowed[np.argmin(drawn)]
        elif refused is not None:
            refused[_last_guard(tests, query, whole[1], whole[2], int(reached[k]))] += 1
    return out


def _passing(tests: Tests, query: Int64, points: Int64, views: Views) -> Int64:
    """Which of the points (1, p) of a query pass every guard; the last one turns most away."""
    left = np.arange(points.shape[1])
    some: tuple[slice, Any] = (slice(None), slice(None))  # the first guard needs no copy
    for _, test in reversed(tests):
        left = left[test(query, points[some], views.take(some))[0]]
        some = (slice(None), left)
    return np.asarray(points[0, left])


def _last_guard(tests: Tests, query: Int64, points: Int64, views: Views, reached: int) -> str:
    """The guard that turned the last possible point of a query away.

    Args:
        tests: The guards.
        query: (1,) the query.
        points: (1, p) its points, none of which passes.
        views: What its frame sees of them.
        reached: How many of the guards a point is known to have come to.
    """
    passed = np.ones(points.shape, dtype=np.bool_)
    for name, test in tests[:-1] if reached < len(tests) else ():
        passed &= test(query, points, views)
        if not passed.any():
            return name
    return tests[-1][0]


def first_points(context: SceneContext, task: str, look: int = 1) -> tuple[Int64, Int64]:
    """(frames, points) of the samples of a task: smallest draws, apart by the guard.

    The samples of a frame follow each other; a frame gives fewer where no point lies apart.
    """
    frames, counts = frames_to_ask(context, task, look)
    states = context.place.draw_rows(task, (frames,), "point")
    rows = mask_rows(context, frames)
    least = context.recipe.guards.points_apart_share * _cameras(context).size[rows, :1]
    looked = smallest_askable(context, frames, states)
    chosen = np.full((len(frames), POINTS_PER_FRAME), -1, dtype=np.int64)
    asked = np.arange(len(frames))
    for k in range(int(counts.max(initial=0))):
        asked = asked[counts[asked] > k]
        before = chosen[:, :k]
        at = point_views(context, frames, before).uv

        def apart(
            queries: Int64, points: Int64, views: Views, before: Int64 = before, at: Float64 = at
        ) -> NDArray[np.bool_]:
            return apart_from(points, views.uv, before[queries], at[queries], least[queries])

        tests = [("points_too_close", apart)] if k else []
        chosen[asked, k] = _first(context, frames, states, tests, asked, looked[asked])
        asked = asked[chosen[asked, k] >= 0]
    given = chosen >= 0
    return np.repeat(frames, given.sum(axis=1)), chosen[given]


def apart_from(
    points: Int64, uv: Float64, chosen: Int64, at: Float64, least: ArrayLike
) -> NDArray[np.bool_]:
    """Which points (n, k) at pixels uv are others than the chosen ones, and so far from each.

    Args:
        points: (n, k) points of the index's cloud.
        uv: (n, k, 2) their pixels.
        chosen: (n, c) points chosen before.
        at: (n, c, 2) their pixels.
        least: Pixels, a number or (n, 1).
    """
    free = np.ones(points.shape, dtype=bool)
    for c in range(chosen.shape[1]):
        free &= pixels_apart(uv, at[:, c, None], least)
        free &= points != chosen[:, c, None]
    return free


def pixels_apart(a: Float64, b: Float64, least: ArrayLike) -> NDArray[np.bool_]:
    """Which pixels (..., 2) are at least so far from each other, compared as squares."""
    u, v, least = a[..., 0] - b[..., 0], a[..., 1] - b[..., 1], np.asarray(least)
    far: NDArray[np.bool_] = u * u + v * v >= least * least
    return far


def metres_between(context: SceneContext, points: Int64, target: Int64) -> Float64:
    """(n, k) distance in space of points (n, k) from those of target (n, 1)."""
    world = context.scene.points
    d = np.take(world, points, axis=0).astype(np.float64)
    d -= np.take(world, target, axis=0).astype(np.float64)
    x, y, z = (d[..., k] for k in range(3))
    apart: Float64 = np.sqrt((x * x + y * y) + z * z)
    return apart


def marks_at(
    uv: Float64, size: ArrayLike, share: float, colours: Sequence[str], letters: str = ""
) -> list[tuple[Mark, ...]]:
    """The marks of points: at their nearest pixels, clipped to the image.

    Args:
        uv: (n, k, 2) pixels of the points of one image for each of n records.
        size: (W, H) of the image, or (n, k, 2).
        share: Radius of a mark as a share of W.
        colours: n colours.
        letters: Of the k points, or "".
    """
    sizes = np.broadcast_to(np.asarray(size), uv.shape)
    pixels = np.clip(np.rint(uv), 0, sizes - 1.0).tolist()
    names = letters or ("",) * uv.shape[1]
    radii = {int(w): mark_radius(int(w), share) for w in np.unique(sizes[..., 0])}
    widths = sizes[:, 0, 0].tolist()
    return [
        tuple(
            Mark(u, v, radii[width], colour, name) for (u, v), name in zip(row, names, strict=True)
        )
        for row, colour, width in zip(pixels, colours, widths, strict=True)
    ]


def drawn_colours(values: Uint64) -> list[str]:
    """One of the mark colours for each 64-bit draw."""
    return [_COLOUR_NAMES[k] for k in uniform_below_rows(values, len(_COLOUR_NAMES)).tolist()]


def views_norm1000(uv: Float64, size: ArrayLike) -> Int64:
    """0..1000 coordinates of pixels (..., 2) of images of `size`: `answers.norm1000` of each."""
    shares: Float64 = np.rint(1000 * uv / np.asarray(size))
    return shares.astype(np.int64)
