# SPDX-License-Identifier: Apache-2.0
"""Which sets of frames show a side of an object: both of its ends, or every tenth of it.

"extent" is the published rule. Its minimal sets have one or two frames (docs/ops/coverage.md); the
index holds them all. "bins" also forbids a gap in the middle: the side is cut into tenths, and each
tenth that holds a vertex must be seen. Its minimal sets have up to four frames and are found by an
exact search of the index's masks.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spatial_engine.engines.context import SceneContext
from spatialcore.bitmask import BitMask
from spatialcore.coverage import MOST_COVER_FRAMES, covering_sets_by_bins, seen_bins
from spatialcore.index.objects import (
    axis_sides,
    is_excluded,
    object_vertices,
    seen_threshold,
    shows,
)
from spatialcore.index.tables import ObjectRow
from spatialcore.types import transform_points

BINS = 10
TOLERANCE = 0.1  # of the side: how much of it a set may miss

Extent = tuple[float, float]


class SeenObjects(NamedTuple):
    """What the frames see of the objects on one axis; keys are (object id, frame).

    Attributes:
        rows: The objects, by id.
        visible: Visible vertices.
        extent: Least and greatest coordinate of the vertices that the frame shows, metres.
        open: Share of the vertices in the image that the frame shows.
    """

    rows: dict[int, ObjectRow]
    visible: dict[tuple[int, int], int]
    extent: dict[tuple[int, int], Extent]
    open: dict[tuple[int, int], float]

    def hidden_in(self, object_id: int, least: float) -> list[int]:
        """Frames that hide more of an object than is allowed."""
        return [f for (k, f), share in self.open.items() if k == object_id and share < least]


def seen_objects(context: SceneContext, side: str) -> SeenObjects:
    """The index's table of a side ("height", "length", "width"), by object and frame."""

    def make() -> SeenObjects:
        scene, axes = context.scene, context.recipe.rules.object_axes
        table, rows = scene.object_frames, {row.object_id: row for row in scene.objects}
        keys = list(zip(table.object_id.tolist(), table.frame.tolist(), strict=True))
        lo, hi = getattr(table, f"lo_{axes}"), getattr(table, f"hi_{axes}")
        index = [axis_sides(rows[k[0]], axes)[side][0] for k in keys]
        at = np.arange(len(keys))
        pairs = zip(lo[at, index].tolist(), hi[at, index].tolist(), strict=True)
        counts = table.visible_count.tolist()
        shares = (table.surface_count / np.maximum(table.inside_count, 1)).tolist()
        return SeenObjects(
            rows, *(dict(zip(keys, column, strict=True)) for column in (counts, pairs, shares))
        )

    return context.cached(("object_perception", side), make)


def covering_sets(context: SceneContext, side: str) -> dict[int, list[NDArray[np.int32]]]:
    """Minimal covering sets of every object: (n, k) frames ascending, one array for each size k."""
    if context.recipe.coverage == "bins":
        return _bin_sets(context, side)
    sets = context.scene.view_sets
    mine = (np.array(sets.axis) == side) & (np.array(sets.axes) == context.recipe.rules.object_axes)
    found = {}
    for object_id in np.unique(sets.object_id[mine]).tolist():
        frames = sets.frames[mine & (sets.object_id == object_id)]
        single = frames[:, 1] < 0
        found[object_id] = [frames[single][:, :1], frames[~single]]
    return found


def _bin_sets(context: SceneContext, side: str) -> dict[int, list[NDArray[np.int32]]]:
    """Sets of one to four frames that see every tenth of the side, and its whole extent."""
    scene, recipe = context.scene, context.recipe
    seen = seen_objects(context, side)
    table, found = scene.object_frames, {}
    for row in scene.objects:
        length = axis_sides(row, recipe.rules.object_axes)[side][1]
        if is_excluded(recipe.rules, row.raw_category, row.category) or not length > 0:
            continue
        least = seen_threshold(recipe.rules, row.vertex_count)
        enough = shows(recipe.rules, table.surface_count, table.inside_count, least)
        frames = _spread(table.frame[(table.object_id == row.object_id) & enough])
        if not len(frames):
            continue
        masks = _object_masks(context)[[scene.row_of_frame[f] for f in frames.tolist()]]
        rows = _vertices(context)[row.object_id]
        axis = object_axis(row, recipe.rules.object_axes, side)
        sets = covering_sets_by_bins(scene.points, masks, rows, axis, bin_count=BINS)
        ends = np.array([seen.extent[row.object_id, frame] for frame in frames.tolist()])
        found[row.object_id] = [frames[s[_covers(ends[s], length)]] for s in sets]
    return found


def _object_masks(context: SceneContext) -> BitMask:
    """F x P, the points that tell what a frame shows of an object."""
    by_surface = context.recipe.rules.objects == "surface"
    return context.scene.surface if by_surface else context.scene.visible


def _spread(frames: NDArray[np.int32]) -> NDArray[np.int32]:
    """The frames, or as many of them, evenly spread, as the exact search is made for."""
    if len(frames) <= MOST_COVER_FRAMES:
        return frames
    # Whole numbers: k (n - 1) // 63 runs from the first to the last frame without repeats.
    return frames[np.arange(MOST_COVER_FRAMES) * (len(frames) - 1) // (MOST_COVER_FRAMES - 1)]


def _covers(ends: NDArray[np.float64], side: float) -> NDArray[np.bool_]:
    """(n,) bool for (n, k, 2) intervals: whether their joint extent is the side, within 10 %."""
    if not len(ends):
        return np.zeros(0, bool)
    whole = ends[..., 1].max(axis=1) - ends[..., 0].min(axis=1)
    return np.asarray(np.abs(whole - side) <= TOLERANCE * side)


def _vertices(context: SceneContext) -> dict[int, NDArray[np.int64]]:
    """Point rows of every object, finite ones only."""

    def make() -> dict[int, NDArray[np.int64]]:
        ids = [row.object_id for row in context.scene.objects]
        points = context.scene.points
        rows = object_vertices(np.asarray(context.scene.instance), ids)
        return {k: r[np.isfinite(points[r]).all(axis=1)] for k, r in zip(ids, rows, strict=True)}

    return context.cached("object_vertices", make)


def object_axis(row: ObjectRow, axes: str, side: str) -> NDArray[np.float64]:
    """(3,) direction of a side of an object's box."""
    turn = np.eye(3) if axes == "aligned" else row.box_R.T
    return np.asarray(turn[axis_sides(row, axes)[side][0]])


def bins_of_frames(
    context: SceneContext, row: ObjectRow, side: str, frames: tuple[int, ...]
) -> tuple[list[list[int]], list[int]]:
    """The tenths of a side that each frame sees, and those that hold a vertex; ascending."""
    scene = context.scene
    masks = _object_masks(context)[[scene.row_of_frame[frame] for frame in frames]]
    rows = _vertices(context)[row.object_id]
    axis = object_axis(row, context.recipe.rules.object_axes, side)
    found = seen_bins(scene.points, masks, rows, axis, bin_count=BINS)
    return [_bits(int(word)) for word in found.seen], _bits(found.occupied)


def _bits(word: int) -> list[int]:
    return [b for b in range(BINS) if word >> b & 1]


def end_shares(
    context: SceneContext, row: ObjectRow, side: str, frames: NDArray[np.int32]
) -> NDArray[np.float64]:
    """How well frames show either end of a side of an object.

    Args:
        context: The scene.
        row: The object.
        side: "height", "length" or "width".
        frames: (n, k) frames.

    Returns:
        (n, k, 2) share of the vertices in the lowest and in the highest tenth of the side that each
        frame shows, off the border of its image by `object_end_margin`.
    """
    named = {int(f): _end_shares(context, row, int(f))[side] for f in np.unique(frames)}
    found = np.array([named[f] for f in frames.reshape(-1).tolist()])
    return found.reshape(*frames.shape, 2)


def _end_shares(
    context: SceneContext, row: ObjectRow, frame: int
) -> dict[str, tuple[float, float]]:
    """The shares of one frame, for each side; computed once."""

    def make() -> dict[str, tuple[float, float]]:
        scene, rows = context.scene, _vertices(context)[row.object_id]
        points = np.asarray(scene.points)[rows]
        camera = scene.color_camera(frame)
        uv, z = camera.project(transform_points(scene.cam_from_world(frame), points))
        edge = context.recipe.guards.object_end_margin * camera.size[0]
        with np.errstate(invalid="ignore"):  # NaN compares false: no pixel
            (u, v), (W, H) = uv.T, camera.size
            clear = (u >= edge) & (u < W - edge) & (v >= edge) & (v < H - edge) & (z > 0)
        words = _object_masks(context).words[scene.row_of_frame[frame]]
        clear &= (words[rows >> 6] >> (rows & 63).astype(np.uint64) & np.uint64(1)) != 0
        found = {}
        for side, low_high in _ends(context, row).items():
            low, high = (float(clear[end].mean()) for end in low_high)
            found[side] = low, high
        return found

    return context.cached(("end_shares", row.object_id, frame), make)


def _ends(context: SceneContext, row: ObjectRow) -> dict[str, list[NDArray[np.bool_]]]:
    """For each side the vertices of its lowest and of its highest tenth."""

    def make() -> dict[str, list[NDArray[np.bool_]]]:
        axes = context.recipe.rules.object_axes
        x, y, z = context.scene.points[_vertices(context)[row.object_id]].astype(np.float64).T
        found = {}
        for side in ("height", "length", "width"):
            a = object_axis(row, axes, side)
            along = (a[0] * x + a[1] * y) + a[2] * z
            low, high = along.min(), along.max()
            reach = TOLERANCE * (high - low)
            found[side] = [along <= low + reach, along >= high - reach]
        return found

    return context.cached(("ends", row.object_id), make)
