# SPDX-License-Identifier: Apache-2.0
"""A clip as its tracks tell it: where things are at each time, seen or not, and which move at all.

Made twice: from the index's rigid parts for the engines, and from the source for `verify`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spatial_engine.engines.context import SceneContext
from spatial_engine.engines.track_pairs import clip_view
from spatial_engine.records.marks import mark_radius
from spatial_engine.records.place import Place

if TYPE_CHECKING:
    from spatial_engine.reference.scene import ReferenceScene

Float64 = NDArray[np.float64]
IMAGES = (4, 6, 8)
STRIDES = (1, 2, 3, 5, 8)
STARTS = 8  # of stretches of one length
MOST_UNEVEN = 0.05  # of the gap that is told, by which one between two frames may differ
RIM_SHARE = 0.04  # of the width: a mark at the rim sits on something that is cut off


@dataclass(frozen=True, eq=False)
class ClipStory:
    """A clip: where its tracks are, and which thing each belongs to (T frames, N tracks).

    Attributes:
        place: Names and draws.
        frame: (T,) frame indices.
        track: (N,) ids.
        world: (T, N, 3) metres.
        seen: (T, N) whether a track is visible, in the image.
        inside: (T, N) whether a mark at it lies in the image, too.
        uv: (T, N, 2) pixels.
        axes: (T, 3, 3) rows are the axes of each camera in the world.
        label: (N,) rigid part, -1 none.
        size: (W, H).
        clock: (T,) seconds, None where the source does not tell.
    """

    place: Place
    frame: NDArray[np.int64]
    track: NDArray[np.int64]
    world: Float64
    seen: NDArray[np.bool_]
    inside: NDArray[np.bool_]
    uv: Float64
    axes: Float64
    label: NDArray[np.int64]
    size: tuple[int, int]
    clock: tuple[float | None, ...] = ()
    _whole: dict[tuple[int, ...], list[bool]] = field(default_factory=dict)

    def gap_s(self, times: Sequence[int]) -> float | None:
        """Seconds from each of evenly spaced frames to the next, as told; None where unknown."""
        clock = [self.clock[t] if self.clock else None for t in times]
        known = [second for second in clock if second is not None]
        if len(known) < len(clock):
            return None
        gaps = [b - a for a, b in pairwise(known)]
        gap = float(f"{(known[-1] - known[0]) / len(gaps):.2g}")
        even = gap > 0 and all(abs(one - gap) <= MOST_UNEVEN * gap for one in gaps)
        return gap if even else None

    @cached_property
    def time_of(self) -> Mapping[int, int]:
        """Row of each frame."""
        return {frame: t for t, frame in enumerate(self.frame.tolist())}

    @cached_property
    def column_of(self) -> Mapping[int, int]:
        """Column of each track."""
        return {track: n for n, track in enumerate(self.track.tolist())}

    @cached_property
    def movable(self) -> NDArray[np.bool_]:
        """(N,) whether a track leaves its first seen place by as much as a moving point does."""
        out = np.zeros(len(self.track), dtype=bool)
        for n in range(len(self.track)):
            at = self.world[self.seen[:, n], n]
            if len(at):
                out[n] = way_of(at).max() >= self.place.recipe.guards.moving_min_m
        return out

    @cached_property
    def stretches(self) -> list[tuple[int, ...]]:
        """Rows of frames of stretches of the clip: so many images, evenly spaced."""
        found: dict[tuple[int, ...], None] = {}
        for count in IMAGES:
            for stride in STRIDES:
                rest = len(self.frame) - 1 - stride * (count - 1)
                if rest >= 0:
                    for k in range(STARTS):
                        begin = k * rest // (STARTS - 1)
                        found[tuple(range(begin, begin + stride * count, stride))] = None
        return list(found)

    def whole(self, times: Sequence[int], n: int) -> bool:
        """Whether a track is seen in all frames, and can be marked in the first."""
        key = tuple(times)
        if key not in self._whole:
            (u, v), rim, (W, H) = self.uv[key[0]].T, RIM_SHARE * self.size[0], self.size
            with np.errstate(invalid="ignore"):  # NaN compares false: not in the image
                clear = (rim <= u) & (u <= W - rim) & (rim <= v) & (v <= H - rim)
            found = clear & self.seen[list(key)].all(axis=0) & self.inside[key[0]]
            self._whole[key] = found.tolist()
        return self._whole[key][n]


def way_of(points: Float64) -> Float64:
    """(k,) metres from the first of points (k, 3)."""
    dx, dy, dz = (points - points[0]).T
    found: Float64 = np.sqrt((dx * dx + dy * dy) + dz * dz)
    return found


def clip_story(context: SceneContext) -> ClipStory:
    """The clip of an indexed scene, computed once."""
    return context.cached("clip_story", lambda: _index_story(context))


def _index_story(context: SceneContext) -> ClipStory:
    clip = context.track
    view = context.cached("clip_view", lambda: clip_view(clip, context.recipe))
    parts = context.scene.parts
    label_of = dict(zip(parts.track.tolist(), parts.label.tolist(), strict=True))
    track = clip.track_index.astype(np.int64)
    return ClipStory(
        context.place, view.frame, track, view.world, view.seen, view.inside, view.uv,
        np.asarray(clip.cam_from_world)[:, :3, :3],
        np.array([label_of.get(k, -1) for k in track.tolist()], dtype=np.int64),
        clip.camera.size, tuple(frame.time for frame in clip.frames),
    )  # fmt: skip


def reference_story(reference: ReferenceScene) -> ClipStory:
    """The clip by inverse matrices and products, its rigid parts by the float64 reference."""
    from spatial_engine.engines.object_movement import reference_labels

    clip, recipe = reference.track, reference.recipe
    labels = reference.cached("part_labels", lambda: reference_labels(reference))
    track = clip.track_index.astype(np.int64)
    T, N = clip.visible.shape
    world = np.full((T, N, 3), np.nan)
    posed = np.array([bool(np.isfinite(pose).all()) for pose in clip.cam_from_world])
    ones = np.ones((N, 1))
    for t in np.flatnonzero(posed).tolist():
        here = np.concatenate([clip.tracks_cam[t], ones], axis=1)
        world[t] = (here @ np.linalg.inv(clip.cam_from_world[t]).T)[:, :3]
    depth = clip.tracks_cam[..., 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        image = clip.tracks_cam @ clip.camera.K.T
        uv = image[..., :2] / (depth + recipe.track_pixel_offset)[..., None]
        size = np.array(clip.camera.size)
        pictured = np.array([bool(frame.image) for frame in clip.frames]) & posed
        seen = clip.visible & (depth > 0) & (uv >= 0).all(axis=-1) & (uv < size).all(axis=-1)
        marks = recipe.rules.guards
        edge = mark_radius(int(size[0]), marks.mark_radius_share) if marks.border else 0
        inside = (uv >= edge).all(axis=-1) & (uv < size - edge).all(axis=-1)
    seen &= pictured[:, None]
    return ClipStory(
        reference.place, np.array([frame.index for frame in clip.frames]), track, world, seen,
        seen & inside, uv, np.stack([np.linalg.inv(p)[:3, :3].T for p in clip.cam_from_world]),
        np.array([labels.get(k, -1) for k in track.tolist()]), clip.camera.size,
        tuple(frame.time for frame in clip.frames),
    )  # fmt: skip
