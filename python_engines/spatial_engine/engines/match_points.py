# SPDX-License-Identifier: Apache-2.0
"""Wrong places for a point in a second image: as likely to be its place as the right one.

Where a point of image 1 may lie in image 2 depends on where it was: most things move sideways and
stay at their height. Wrong places that were merely other points would give that away. They are
therefore as far from the point's own as points from about the same place of image 1 moved in other
pairs of the scene with about the same overlap, on real surface of image 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spatial_engine.engines.context import SceneContext
from spatial_engine.engines.frame_pairs import band_pairs
from spatial_engine.engines.frame_points import (
    Float64,
    Int64,
    Uint64,
    apart_from,
    mask_rows,
    metres_between,
    pixels_apart,
    point_views,
)
from spatialcore.draws import fold_array, smallest_of_groups, smallest_seen

DISTRACTOR_COUNT = 3
HARD_SHARE = 0.15  # of W: hard points lie no farther from one of them
_PAIRS_OF_BIN = 40  # of which moves are known
_POINTS_OF_PAIR = 12
_BIN_STEP = 0.03  # of the image: how much nearer a move of the same overlap counts than of the next
_LOOK = 160  # moves that a pair chooses from
_FIRST = 32  # of these are looked at first: most pairs need no more
_LEAF = 64  # of a tree that is asked as often as it has points: it is made sooner
_SNAP_SHARE = 0.03  # of W: surface may lie so far from where a move leads
_AT_ONCE = 512  # rows: the trees of their second images are held together


class Matched(NamedTuple):
    """Points of pairs of frames (n rows).

    Attributes:
        first, second: Frames in the order shown.
        bin: Overlap bin.
        point: The point.
        state: Draw of each pair, into which moves are folded.
        hard: Whether the wrong places lie near the right one, or near one that does.
        central: Whether it is the right one that they lie near.
    """

    first: Int64
    second: Int64
    bin: Int64
    point: Int64
    state: Uint64
    hard: NDArray[np.bool_]
    central: NDArray[np.bool_]

    def take(self, rows: Any) -> Matched:
        """Some of the rows."""
        return Matched(*(column[rows] for column in self))


class _Moves(NamedTuple):
    """Where points went from one image to another (m moves), in shares of the images.

    Attributes:
        tree: Over where they were, and the overlap bin.
        by: (m, 2) how far they went.
        key: (m,) the pair of frames.
    """

    tree: Any
    by: Float64
    key: Int64


def with_distractors(context: SceneContext, task: str, rows: Matched) -> Int64:
    """(n, 4) the point of each row and three more that its second image may ask about.

    They are apart in pixels and in space; -1 stands for one that was not found.
    """
    out = np.full((len(rows.point), 1 + DISTRACTOR_COUNT), -1, dtype=np.int64)
    out[:, 0] = rows.point
    moves = context.cached((task, "moves"), lambda: _moves(context, task))
    if moves is None:
        return out
    for begin in range(0, len(rows.point), _AT_ONCE):
        some = slice(begin, begin + _AT_ONCE)
        out[some] = _chosen(context, moves, rows.take(some), out[some])
    return out


def _moves(context: SceneContext, task: str) -> _Moves | None:
    """Moves of points in pairs of every overlap, both ways; None where there are none."""
    from scipy.spatial import cKDTree

    pairs, scene = band_pairs(context), context.scene
    draws = context.place.draw_rows(task, (pairs.i, pairs.j), "moves")
    count = int(pairs.bin.max(initial=-1)) + 1
    taken = smallest_of_groups(draws, pairs.bin, np.full(count, _PAIRS_OF_BIN))
    i, j = pairs.i[taken].astype(np.int64), pairs.j[taken].astype(np.int64)
    points = smallest_seen(
        draws[taken], scene.askable, mask_rows(context, i), scene.source_row, _POINTS_OF_PAIR,
        others=mask_rows(context, j),
    )  # fmt: skip
    pair, column = np.nonzero(points >= 0)
    if not len(pair):
        return None
    at = points[pair, column][:, None]
    ends = [_shares(context, frames[pair], at) for frames in (i, j)]
    bins = pairs.bin[taken][pair][:, None] * _BIN_STEP
    start = np.concatenate([np.hstack([end, bins]) for end in ends])
    key = np.tile(pairs.key[taken][pair], 2)
    by = ends[1] - ends[0]
    return _Moves(cKDTree(start), np.concatenate([by, -by]), key)


def _shares(context: SceneContext, frames: Int64, points: Int64) -> Float64:
    """(n, 2) where points (n, 1) lie in their images, of width and height."""
    views = point_views(context, frames, points)
    shares: Float64 = (views.uv / views.size)[:, 0]
    return shares


def _chosen(context: SceneContext, moves: _Moves, rows: Matched, chosen: Int64) -> Int64:
    """The distractors of some rows."""
    led = _Led.of(context, moves, rows)
    surfaces = {frame: _Surface.of(context, frame) for frame in np.unique(rows.second).tolist()}
    out = _among(context, rows, chosen, led.first(_FIRST, surfaces))
    short = np.flatnonzero((out < 0).any(axis=1))
    if len(short):
        few = rows.take(short)
        out[short] = _among(context, few, chosen[short], led.take(short).first(_LOOK, surfaces))
    return out


def _among(context: SceneContext, rows: Matched, chosen: Int64, offered: _Offered) -> Int64:
    """The first of the points that are offered to each row that are apart from the others."""
    guards, (points, uv, usable) = context.recipe.guards, offered
    target = point_views(context, rows.second, chosen[:, :1])
    W = target.width.astype(np.float64)
    least, reach = guards.distractor_pixel_share * W, np.nextafter(HARD_SHARE * W, np.inf)
    base = target.uv
    out = chosen.copy()
    for k in range(DISTRACTOR_COUNT):
        at = point_views(context, rows.second, out[:, : k + 1]).uv
        # What is too near to the points before the last one is no longer usable.
        free = usable & apart_from(points, uv, out[:, k : k + 1], at[:, k : k + 1], least)
        metres = metres_between(context, points, out[:, k : k + 1])
        free &= metres >= guards.distractor_distance_m
        usable = free
        free = free & ~(rows.hard[:, None] & pixels_apart(uv, base, reach))
        found, best = np.asarray(free.any(axis=1)), free.argmax(axis=1)
        row = np.arange(len(best))
        out[:, k + 1] = np.where(found, points[row, best], -1)
        usable = np.asarray(usable & found[:, None])  # a row that lacks one needs no more
        if k == 0:
            base = np.where(rows.central[:, None, None], base, uv[row, best][:, None])
    return out


class _Offered(NamedTuple):
    """Points (n, k) of the second image that moves lead to, their pixels, and which may be used."""

    point: Int64
    uv: Float64
    usable: NDArray[np.bool_]


class _Surface(NamedTuple):
    """What a frame may ask about: p points, their pixels and a tree of them, and the image's size.

    Attributes:
        point: (p,) points.
        uv: (p, 2) pixels.
        size: (2,) width and height of the image.
        tree: Of `uv`.
    """

    point: Int64
    uv: Float64
    size: Float64
    tree: Any

    @classmethod
    def of(cls, context: SceneContext, frame: int) -> _Surface:
        """That of a frame."""
        from scipy.spatial import cKDTree

        row = int(mask_rows(context, frame))
        every = context.scene.askable.indices(row).astype(np.int64)
        views = point_views(context, [frame], every[None])
        tree = cKDTree(views.uv[0], _LEAF, balanced_tree=False, compact_nodes=False)
        return cls(every, views.uv[0], views.size[0, 0].astype(np.float64), tree)


class _Led(NamedTuple):
    """Where moves of other pairs lead to from the points of n rows.

    Attributes:
        frame: (n,) the second image of each.
        start: (n, 2) where the points lie in their first images, in shares.
        by: (n, k, 2) the moves, in the order of draws.
        own: (n, k) whether a move is one of the row's own pair.
    """

    frame: Int64
    start: Float64
    by: Float64
    own: NDArray[np.bool_]

    @classmethod
    def of(cls, context: SceneContext, moves: _Moves, rows: Matched) -> _Led:
        """The moves from about the same places, in pairs of about the same overlap."""
        look = min(_LOOK, len(moves.by))
        start = _shares(context, rows.first, rows.point[:, None])
        query = np.hstack([start, rows.bin[:, None] * _BIN_STEP])
        near = moves.tree.query(query, k=list(range(1, look + 1)))[1]
        order = np.argsort(fold_array(rows.state[:, None], near), axis=1, kind="stable")
        near = np.take_along_axis(near, order, axis=1)
        key = (np.minimum(rows.first, rows.second) << 32) | np.maximum(rows.first, rows.second)
        return cls(rows.second, start, moves.by[near], moves.key[near] == key[:, None])

    def take(self, rows: Int64) -> _Led:
        """Some of the rows."""
        return _Led(self.frame[rows], self.start[rows], self.by[rows], self.own[rows])

    def first(self, count: int, surfaces: Mapping[int, _Surface]) -> _Offered:
        """The surface of the second images that the first moves lead to."""
        ends = self.start[:, None] + self.by[:, :count]
        points, uv = np.zeros(ends.shape[:2], np.int64), np.zeros_like(ends)
        usable = ~self.own[:, :count]
        for frame in np.unique(self.frame).tolist():
            mine, seen = np.flatnonzero(self.frame == frame), surfaces[frame]
            away, which = seen.tree.query(ends[mine] * seen.size)
            points[mine], uv[mine] = seen.point[which], seen.uv[which]
            usable[mine] &= away <= _SNAP_SHARE * seen.size[0]
        return _Offered(points, uv, usable)
