# SPDX-License-Identifier: Apache-2.0
"""Which pairs of frames of a clip's tracks may be asked about: a few of each bin of distance.

All tracks are looked at together, in arrays over (track, pair of frames) that hold a bounded number
of rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spatial_engine.records.marks import mark_radius
from spatial_engine.records.place import Place
from spatialcore.draws import fold_array, smallest_of_groups
from spatialcore.index.motion import tracks_in_world

if TYPE_CHECKING:
    from spatial_engine.recipe import Recipe
    from spatialcore.types import Track3D

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

BINS = 10
# Tracks of each rigid part, and pairs of each bin, by split: the published numbers.
TRACKS = {"train": 15, "val": 1}
PAIRS = {"train": 30, "val": 1}
_CAPPING_BIN = 4  # whose size caps the others where the recipe says so
_AT_ONCE = 1 << 18  # rows: about 50 MB of arrays


class ClipView(NamedTuple):
    """A clip as the task sees it (T frames, N tracks).

    Attributes:
        frame: (T,) frame indices.
        world: (T, N, 3) metres in the clip's world.
        uv: (T, N, 2) pixels.
        seen: (T, N) bool, visible, in bounds, in a frame with an image and a pose.
        inside: (T, N) bool, also clear of the border by a mark's radius where that is a guard.
        reason: Why no frame can be shown, or "".
    """

    frame: NDArray[np.int64]
    world: Float64
    uv: Float64
    seen: NDArray[np.bool_]
    inside: NDArray[np.bool_]
    reason: str


def clip_view(clip: Track3D, recipe: Recipe) -> ClipView:
    """World positions, pixels, and what may be shown and asked."""
    tracks, (W, H) = clip.tracks_cam, clip.camera.size
    K, z = clip.camera.K, tracks[..., 2]
    posed = np.asarray(np.isfinite(clip.cam_from_world).all(axis=(1, 2)))
    pictured = np.array([bool(frame.image) for frame in clip.frames], dtype=bool)
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = z + recipe.track_pixel_offset
        uv = np.stack([
            K[0, 0] * tracks[..., 0] / depth + K[0, 2],
            K[1, 1] * tracks[..., 1] / depth + K[1, 2],
        ], axis=-1)  # fmt: skip
        u, v = uv[..., 0], uv[..., 1]
        seen = clip.visible & (z > 0) & (u >= 0) & (u < W) & (v >= 0) & (v < H)
        marks = recipe.rules.guards
        edge = mark_radius(W, marks.mark_radius_share) if marks.border else 0
        inside = (u >= edge) & (u < W - edge) & (v >= edge) & (v < H - edge)
    seen &= (posed & pictured).reshape(-1, 1)
    reason = "" if posed.any() else "extrinsics_missing"
    if posed.any() and not (posed & pictured).any():
        reason = "image_missing"
    world_poses = np.where(posed.reshape(-1, 1, 1), clip.cam_from_world, np.eye(4))
    return ClipView(
        np.array([frame.index for frame in clip.frames], dtype=np.int64),
        tracks_in_world(tracks, world_poses), uv, seen, seen & inside, reason,
    )  # fmt: skip


def lengths(vectors: Float64) -> Float64:
    """Euclidean length of (n, 3) vectors, in a fixed order of sums."""
    x, y, z = vectors.T
    found: Float64 = np.sqrt((x * x + y * y) + z * z)
    return found


class Columns:
    """Where sorted or unsorted labels stand, for arrays of labels."""

    def __init__(self, labels: NDArray[Any]) -> None:
        """`labels` (n,) are distinct integers."""
        self._order = np.argsort(labels, kind="stable")
        self._sorted = np.asarray(labels)[self._order]

    def __getitem__(self, wanted: ArrayLike) -> NDArray[np.intp]:
        """Positions of labels, all of which there are."""
        return self._order[np.searchsorted(self._sorted, np.asarray(wanted))]


def distance_bins(distance: Float64, track: Int64, count: int) -> Int64:
    """Bin of each distance among ten of equal width from the track's least to its greatest.

    Args:
        distance: (n,) metres.
        track: (n,) 0..count-1, ascending; each has a row.
        count: Tracks.

    Example:
        >>> distance_bins(np.array([0.0, 0.1, 0.99, 1.0]), np.zeros(4, int), 1).tolist()
        [0, 1, 9, 9]
    """
    starts = np.searchsorted(track, np.arange(count))
    low, high = (f.reduceat(distance, starts) if count else distance
                 for f in (np.minimum, np.maximum))  # fmt: skip
    # The edges are those of numpy.histogram, which also widens an interval of no length.
    flat = 0.5 * (low == high)
    edges = np.linspace(low - flat, high + flat, BINS + 1)
    bins = np.full(len(distance), -1, dtype=np.int64)
    for edge in edges:
        bins += distance >= edge[track]
    return np.clip(bins, 0, BINS - 1)


def chosen_tracks(place: Place, task: str, labels: Mapping[int, int]) -> Int64:
    """The tracks of the smallest draws in every kept part; their order in the file has no say."""
    tracks = np.array(sorted(labels), dtype=np.int64)
    order = np.argsort(place.draw_rows(task, (tracks,), "point"), kind="stable")
    taken: Counter[int] = Counter()
    chosen = []
    for track in tracks[order].tolist():
        label = labels[track]
        if label >= 0 and taken[label] < TRACKS[place.split]:
            taken[label] += 1
            chosen.append(track)
    return np.array(chosen, dtype=np.int64)


def chosen_pairs(
    place: Place, task: str, view: ClipView, tracks: Int64, columns: NDArray[np.intp]
) -> tuple[Int64, Counter[str]]:
    """Rows (first frame, second, track, bin, stratum), and the pairs refused by reason.

    Nothing of one track reaches another: the published cap leaked from one point to the next.

    Args:
        place: Recipe, split and draws.
        task: The task.
        view: The clip.
        tracks: (m,) ids.
        columns: (m,) where the view holds them.
    """
    every = len(view.seen)
    ends = np.triu_indices(every, 1)
    step = max(1, _AT_ONCE // max(1, len(ends[0])))
    found, refused = [np.zeros((0, 5), np.int64)], Counter[str]()
    for begin in range(0, len(tracks), step):
        some = slice(begin, begin + step)
        rows = _Rows.of(view, ends, tracks[some], columns[some])
        refused["not_visible"] += len(ends[0]) * len(tracks[some]) - len(rows.i)
        if len(rows.i):
            table, reasons = _chosen(place, task, view, rows)
            found.append(table)
            refused += reasons
    return np.concatenate(found), refused


class _Rows(NamedTuple):
    """Pairs of frames in which a track is seen (n rows), by track, then frames."""

    i: NDArray[np.intp]
    j: NDArray[np.intp]
    n: NDArray[np.intp]  # the view's column
    track: Int64  # id
    group: Int64  # 0.. of the tracks that have any

    @classmethod
    def of(
        cls, view: ClipView, ends: tuple[Any, ...], tracks: Int64, columns: NDArray[np.intp]
    ) -> _Rows:
        i, j = ends
        seen = view.seen[:, columns].T
        which, pair = np.nonzero(seen[:, i] & seen[:, j])
        _, group = np.unique(which, return_inverse=True)
        return cls(i[pair], j[pair], columns[which], tracks[which], group.astype(np.int64))


def _draws(place: Place, task: str, view: ClipView, rows: _Rows, slot: str) -> NDArray[np.uint64]:
    """The draw of each row: (earlier frame, later frame, track)."""
    # Every track has the same pairs of frames: what they fold into is made once.
    i, j = np.triu_indices(len(view.frame), 1)
    base = np.zeros((len(view.frame),) * 2, dtype=np.uint64)
    base[i, j] = place.draw_rows(task, (view.frame[i], view.frame[j]), slot)
    return fold_array(base[rows.i, rows.j], rows.track)


def _chosen(place: Place, task: str, view: ClipView, rows: _Rows) -> tuple[Int64, Counter[str]]:
    recipe, guards = place.recipe, place.recipe.guards
    count = int(rows.group[-1]) + 1
    # 53 bits are exact as float64, so a share of 0 is never reached.
    later_first = (_draws(place, task, view, rows, "swap") >> np.uint64(11)) >= (
        1.0 - recipe.track_reversed[place.split == "val"]
    ) * 2.0**53
    first = np.where(later_first, rows.j, rows.i)
    second = np.where(later_first, rows.i, rows.j)
    distance = lengths(view.world[rows.j, rows.n] - view.world[rows.i, rows.n])
    bins, hashes = (
        distance_bins(distance, rows.group, count),
        _draws(place, task, view, rows, "pair"),
    )
    askable, still = view.inside[first, rows.n], distance < guards.static_max_m
    moving = np.ones_like(still) if recipe.track_pool == "all" else ~still
    moving &= still | (distance >= guards.moving_min_m)
    refused = Counter(
        border=int((~askable).sum()), track_still=int((askable & ~still & ~moving).sum())
    )
    most = np.full(count, PAIRS[place.split])
    if recipe.track_cap == "fifth_bin":
        capping = np.bincount(rows.group[bins == _CAPPING_BIN], minlength=count)
        most = np.clip(capping, 1, most)
    pool = np.flatnonzero(askable & moving)
    taken = pool[
        smallest_of_groups(hashes[pool], rows.group[pool] * BINS + bins[pool], most.repeat(BINS))
    ]
    static = np.flatnonzero(askable & still)
    one = static[smallest_of_groups(hashes[static], rows.group[static], np.ones(count, np.int64))]
    chosen = np.concatenate([taken, np.setdiff1d(one, taken)])
    chosen = chosen[np.argsort(rows.group[chosen], kind="stable")]
    stratum = still[chosen] & (guards.static_max_share < 1)
    table = np.stack([
        view.frame[first[chosen]], view.frame[second[chosen]], rows.track[chosen],
        bins[chosen], stratum,
    ], axis=1)  # fmt: skip
    return table.astype(np.int64), refused
