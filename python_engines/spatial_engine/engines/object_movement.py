# SPDX-License-Identifier: Apache-2.0
"""How far, and along which vector, a tracked point moved in the world between two frames.

The displacement is the straight line between two positions of the point in the world, so that the
motion of the camera has no part in it. Its vector is told on the axes of the first image's camera
(x right, y down, z forward). Pairs of frames come from ten equal-width bins of distance.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spatial_engine import answers
from spatial_engine.engine import CandidateTable, Facts, Place, Row, SceneContext
from spatial_engine.engines.frame_points import (
    PointView,
    drawn_colour,
    mark_at,
    view_norm1000,
)
from spatial_engine.marks import mark_radius
from spatialcore.relations.motion import tracks_in_world

if TYPE_CHECKING:
    from spatial_engine.reference import ReferenceScene
    from spatialcore.relations.recipe import Recipe
    from spatialcore.types import Track3D

Float64 = NDArray[np.float64]
Quantity = Literal["distance", "vector"]
Form = Literal["marked", "coordinate"]

BINS = 10
# Tracks of each rigid part, and pairs of each bin, by split: the published numbers.
TRACKS = {"train": 15, "val": 1}
PAIRS = {"train": 30, "val": 1}
_CAPPING_BIN = 4  # whose size caps the others where the recipe says so


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
        edge = mark_radius(W, recipe.guards.mark_radius_share) if recipe.guards.border else 0
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


def distance_bins(distance: Float64) -> NDArray[np.int64]:
    """Bin of each distance among ten of equal width from the least to the greatest, both included.

    Example:
        >>> distance_bins(np.array([0.0, 0.1, 0.99, 1.0])).tolist()
        [0, 1, 9, 9]
    """
    edges = np.histogram_bin_edges(distance, BINS)
    return np.clip(np.searchsorted(edges, distance, side="right") - 1, 0, BINS - 1)


def smallest_of_bins(
    bins: NDArray[np.int64], hashes: NDArray[np.uint64], most: int
) -> NDArray[np.int64]:
    """Rows of the `most` smallest hashes in each bin, in order of bin, then hash."""
    order = np.lexsort((hashes, bins))
    ranked = bins[order]
    rank = np.arange(len(order)) - np.searchsorted(ranked, ranked)
    return order[rank < most]


@dataclass(frozen=True, slots=True)
class ObjectMovement:
    """How did a point of a rigid part move?

    Attributes:
        quantity: Length of the displacement, or its vector.
        form: How the point is shown on the first image.
    """

    quantity: Quantity
    form: Form
    kind: ClassVar[Literal["scene", "clip"]] = "clip"
    words: ClassVar[tuple[str, ...]] = ()
    needs_up: ClassVar[bool] = False

    @property
    def task(self) -> str:
        """Task name."""
        return f"object_movement.{self.quantity}.{self.form}"

    @property
    def question_type(self) -> str:
        """Published name."""
        names = {"distance": "total_distance", "vector": "displacement_vector"}
        return f"tapvid3d_{names[self.quantity]}"

    def bin_count(self, recipe: Recipe) -> int:
        """Ten bins of distance, relative to what the point does in its clip."""
        del recipe
        return BINS

    def strata(self, recipe: Recipe) -> tuple[tuple[str, float], ...]:
        """Moving and static pairs; one stratum where the recipe leaves their shares open."""
        share = recipe.guards.static_max_share
        return (("", 1.0),) if share >= 1 else (("moving", 1.0 - share), ("static", share))

    def candidates(self, context: SceneContext) -> CandidateTable:
        """Pairs of frames of the tracks with the smallest draws of every rigid part."""
        clip, view = context.track, _view(context)
        if view.reason:
            return CandidateTable.empty({view.reason: 1})
        column = {int(track): n for n, track in enumerate(clip.track_index)}
        labels = context.cached("part_labels", lambda: _labels(context))
        rejected = Counter(no_part=sum(label < 0 for label in labels.values()))
        found = []
        for track in _chosen_tracks(context, self.task):
            rows, reasons = self._pairs(context.place, view, track, column[track])
            rejected += reasons
            if len(rows):
                found.append(rows)
        if not found:
            return CandidateTable.empty(rejected)
        table = np.concatenate(found)
        columns = (table[:, 0], table[:, 1], table[:, 2])
        return CandidateTable.build(
            table[:, :2], table[:, 2:3], context.place.draw_rows(self.task, columns, "select"),
            bin=table[:, 3], stratum=table[:, 4], rejected=rejected,
        )  # fmt: skip

    def _pairs(
        self, place: Place, view: ClipView, track: int, n: int
    ) -> tuple[NDArray[np.int64], Counter[str]]:
        """Rows (first frame, second, track, bin, stratum), and the pairs refused by reason.

        Nothing outlives the call: the published cap leaked from one point to the next.
        """
        recipe, guards = place.recipe, place.recipe.guards
        rows, every = np.flatnonzero(view.seen[:, n]), len(view.seen)
        i, j = (rows[k] for k in np.triu_indices(len(rows), 1))
        refused = Counter(not_visible=every * (every - 1) // 2 - len(i))
        if not len(i):
            return np.zeros((0, 5), np.int64), refused
        ends = (view.frame[i], view.frame[j], np.full(len(i), track))
        swapped = self._reversed(place, ends)
        first, second = np.where(swapped, j, i), np.where(swapped, i, j)
        distance = np.linalg.norm(view.world[j, n] - view.world[i, n], axis=1)
        bins, hashes = distance_bins(distance), place.draw_rows(self.task, ends, "pair")
        askable, still = view.inside[first, n], distance < guards.static_max_m
        moving = np.ones_like(still) if recipe.track_pool == "all" else ~still
        moving &= still | (distance >= guards.moving_min_m)
        refused["border"] = int((~askable).sum())
        refused["track_still"] = int((askable & ~still & ~moving).sum())
        most = PAIRS[place.split]
        if recipe.track_cap == "fifth_bin":
            most = max(1, min(int((bins == _CAPPING_BIN).sum()), most))
        pool = np.flatnonzero(askable & moving)
        taken = pool[smallest_of_bins(bins[pool], hashes[pool], most)]
        static = np.flatnonzero(askable & still)
        one = static[np.argsort(hashes[static])[:1]]
        chosen = np.concatenate([taken, np.setdiff1d(one, taken)])
        stratum = still[chosen] & (guards.static_max_share < 1)
        out = np.stack([
            view.frame[first[chosen]], view.frame[second[chosen]], np.full(len(chosen), track),
            bins[chosen], stratum,
        ], axis=1)  # fmt: skip
        return out.astype(np.int64), refused

    def _reversed(self, place: Place, ends: tuple[Any, ...]) -> NDArray[np.bool_]:
        """Which pairs are shown later frame first: the recipe's share, by draw."""
        share = place.recipe.track_reversed[place.split == "val"]
        # 53 bits are exact as float64, so a share of 0 is never reached.
        draws = place.draw_rows(self.task, ends, "swap") >> np.uint64(11)
        return np.asarray(draws >= (1.0 - share) * 2.0**53)

    def facts(self, context: SceneContext, row: Row) -> Facts:
        """The displacement from the first frame shown to the second."""
        clip, view = context.track, _view(context)
        t = [int(np.flatnonzero(view.frame == frame)[0]) for frame in row.frames]
        n = int(np.flatnonzero(clip.track_index == row.items[0])[0])
        labels = context.cached("part_labels", lambda: _labels(context))
        u, v = view.uv[t[0], n]
        at = PointView(float(u), float(v), float(clip.tracks_cam[t[0], n, 2]))
        poses = clip.cam_from_world[t]
        points = view.world[t, n]
        return self._facts(context.place, row, at, points, poses, labels, clip.camera.size)

    def _facts(
        self,
        place: Place,
        row: Row,
        at: PointView,
        points: Float64,
        poses: Float64,
        labels: dict[int, int],
        size: tuple[int, int],
    ) -> Facts:
        delta = points[1] - points[0]
        moved = bool(np.linalg.norm(delta) >= place.recipe.guards.static_max_m)
        shown = delta if moved else np.zeros(3)
        R1, label = poses[0][:3, :3], labels[row.items[0]]
        vector = [sum(float(R1[r, k] * shown[k]) for k in range(3)) for r in range(3)]
        centres = [-pose[:3, :3].T @ pose[:3, 3] for pose in poses]
        evidence = {
            "track": row.items[0], "cluster": label,
            "cluster_size": sum(other == label for other in labels.values()),
            "point1_world": points[0].tolist(), "point2_world": points[1].tolist(),
            "cam_from_world": [pose.tolist() for pose in poses],
            "uv": [at.u, at.v], "vector_m": vector, "distance_m": float(np.linalg.norm(shown)),
            "point_moving": moved,
            "cam_moving": bool(np.linalg.norm(centres[1] - centres[0]) >= 0.01),
        }  # fmt: skip
        rounding = (
            "truncate" if self.task in place.recipe.truncated_tasks else place.recipe.rounding
        )
        if self.quantity == "distance":
            answer = answers.integer(1000 * float(np.linalg.norm(shown)), "mm", rounding)
            slots = {"distance_mm": answer.span}
        else:
            answer = answers.vector([1000 * x for x in vector], "mm", rounding)
            names = ("x_mm", "y_mm", "z_mm")
            slots = {k: str(int(x)) for k, x in zip(names, answer.number, strict=True)}
        variant = "" if moved else "static"
        if self.form == "coordinate":
            x, y = view_norm1000(at, size)
            return Facts(
                answer, {**evidence, "norm1000": [x, y]}, {**slots, "x1": str(x), "y1": str(y)},
                variant=variant,
            )  # fmt: skip
        colour = drawn_colour(place.draw(self.task, (*row.frames, *row.items), "colour"))
        mark = mark_at(at, size, place.recipe.guards.mark_radius_share, colour)
        return Facts(answer, evidence, slots, ((mark,), ()), variant=variant)

    def recompute(self, reference: ReferenceScene, row: Row) -> tuple[Facts, str]:
        """The displacement from the clip's own readings, by plain matrix products."""
        clip, place, track = reference.track, reference.place, row.items[0]
        times = {frame.index: t for t, frame in enumerate(clip.frames)}
        t = [times[frame] for frame in row.frames]
        n = clip.track_index.tolist().index(track)
        cam, poses = clip.tracks_cam[t, n], clip.cam_from_world[t]
        points = np.stack([
            (np.linalg.inv(pose) @ [*point, 1.0])[:3]
            for pose, point in zip(poses, cam, strict=True)
        ])  # fmt: skip
        with np.errstate(divide="ignore", invalid="ignore"):
            depth = cam[:, 2:] + reference.recipe.track_pixel_offset
            uv = cam[:, :2] * np.diag(clip.camera.K)[:2] / depth + clip.camera.K[:2, 2]
        at = PointView(float(uv[0, 0]), float(uv[0, 1]), float(cam[0, 2]))
        labels = reference.cached("part_labels", lambda: _reference_labels(reference))
        facts = self._facts(place, row, at, points, poses, labels, clip.camera.size)
        return facts, self._rejection(reference, t, n, uv, cam, points, labels[track])

    def _rejection(
        self,
        reference: ReferenceScene,
        t: list[int],
        n: int,
        uv: Float64,
        cam: Float64,
        points: Float64,
        label: int,
    ) -> str:
        clip, guards, size = reference.track, reference.recipe.guards, reference.image_size
        if not all(clip.frames[k].image for k in t):
            return "image_missing"
        inside = ((uv >= 0) & (uv < size)).all() and (cam[:, 2] > 0).all()
        if label < 0:
            return "no_part"
        if not inside or not clip.visible[t, n].all():
            return "not_visible"
        edge = mark_radius(size[0], guards.mark_radius_share) if guards.border else 0
        if not all(edge <= x < side - edge for x, side in zip(uv[0], size, strict=True)):
            return "border"
        distance = float(np.linalg.norm(points[1] - points[0]))
        return "track_still" if guards.static_max_m <= distance < guards.moving_min_m else ""


def _view(context: SceneContext) -> ClipView:
    return context.cached("clip_view", lambda: clip_view(context.track, context.recipe))


def _labels(context: SceneContext) -> dict[int, int]:
    parts = context.scene.parts
    return dict(zip(parts.track.tolist(), parts.label.tolist(), strict=True))


def _reference_labels(reference: ReferenceScene) -> dict[int, int]:
    from spatialcore.rigidity import rigid_segments

    clip, method = reference.track, reference.recipe.segmentation
    labels = rigid_segments(clip.tracks_cam, method=method, backend="reference")
    return dict(zip(clip.track_index.tolist(), np.asarray(labels).tolist(), strict=True))


def _chosen_tracks(context: SceneContext, task: str) -> list[int]:
    """The tracks of the smallest draws in every kept part; their order in the file has no say."""
    labels, most = context.cached("part_labels", lambda: _labels(context)), TRACKS
    tracks = sorted(labels, key=lambda track: (context.place.draw(task, (track,), "point"), track))
    taken: Counter[int] = Counter()
    chosen = []
    for track in tracks:
        label = labels[track]
        if label >= 0 and taken[label] < most[context.place.split]:
            taken[label] += 1
            chosen.append(track)
    return chosen


OBJECT_MOVEMENT = (
    ObjectMovement("distance", "coordinate"),
    ObjectMovement("vector", "coordinate"),
    ObjectMovement("distance", "marked"),
    ObjectMovement("vector", "marked"),
)
