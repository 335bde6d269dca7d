# SPDX-License-Identifier: Apache-2.0
"""How far, and along which vector, a tracked point moved in the world between two frames.

The displacement is the straight line between two positions of the point in the world, so that the
motion of the camera has no part in it. Its vector is told on the axes of the first image's camera
(x right, y down, z forward). Pairs of frames come from ten equal-width bins of distance.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spatial_engine.engines.base import AnswerForm, Engine, Facts, Kind, Subject
from spatial_engine.engines.candidates import CandidateTable, Row
from spatial_engine.engines.chains import of_points
from spatial_engine.engines.contents import number_strata, number_stratums, place_contents
from spatial_engine.engines.context import SceneContext
from spatial_engine.engines.frame_points import drawn_colours, marks_at, views_norm1000
from spatial_engine.engines.published import Published
from spatial_engine.engines.track_pairs import (
    BINS,
    ClipView,
    Columns,
    chosen_pairs,
    chosen_tracks,
    clip_view,
    lengths,
)
from spatial_engine.records import answers
from spatial_engine.records.answers import Answer
from spatial_engine.records.marks import mark_radius
from spatial_engine.records.place import Place

if TYPE_CHECKING:
    from spatial_engine.recipe import Recipe
    from spatial_engine.records.chains import Chain, Telling
    from spatial_engine.reference.scene import ReferenceScene

Float64 = NDArray[np.float64]
Quantity = Literal["distance", "vector"]
Form = Literal["marked", "coordinate"]

_SCALE_MM = 10.0  # of the first bin of distances
_STEADY_M = 0.01  # a camera that moves less is said to stand still


@dataclass(frozen=True, slots=True)
class ObjectMovement(Engine):
    """How did a point of a rigid part move?

    Attributes:
        quantity: Length of the displacement, or its vector.
        form: How the point is shown on the first image.
    """

    quantity: Quantity
    form: Form
    kind: ClassVar[Kind] = "clip"
    subject: ClassVar[Subject] = Subject("movement", of_items=True)

    @property
    def task(self) -> str:
        """Task name."""
        return f"object_movement.{self.quantity}.{self.form}"

    @property
    def question_type(self) -> str:
        """Published name."""
        names = {"distance": "total_distance", "vector": "displacement_vector"}
        return f"tapvid3d_{names[self.quantity]}"

    @property
    def answer(self) -> AnswerForm:
        """Millimetres."""
        return AnswerForm("integer" if self.quantity == "distance" else "vector", "mm")

    @property
    def published(self) -> Published:
        """The row of the quantity; the benchmark asks each source of clips on its own."""
        return Published("MultiSPA", f"object movement {self.quantity}", by_source=True)

    def bin_count(self, recipe: Recipe) -> int:
        """Ten bins of distance, relative to what the point does in its clip."""
        del recipe
        return BINS

    def strata(self, recipe: Recipe) -> tuple[tuple[str, float], ...]:
        """Static pairs and moving ones; one stratum where the recipe leaves their shares open.

        Where the recipe balances what answers say, distances have a stratum for each bin.
        """
        share = recipe.guards.static_max_share
        if share >= 1:
            return (("", 1.0),)
        if not self._by_length(recipe):
            return (("moving", 1.0 - share), ("static", share))
        bins = number_strata("mm", _SCALE_MM)
        return (*((name, (1.0 - share) * part) for name, part in bins), ("static", share))

    def _by_length(self, recipe: Recipe) -> bool:
        """Whether each place of the point is asked with distances of all lengths alike."""
        share = recipe.guards.static_max_share
        return self.quantity == "distance" and recipe.word_strata and share < 1

    def caps(self, recipe: Recipe) -> tuple[float, ...]:
        """Points at rest are no more than their share of the rows that there are."""
        share = recipe.guards.static_max_share
        return (1.0,) if share >= 1 else (*[1.0] * (len(self.strata(recipe)) - 1), share)

    def candidates(self, context: SceneContext) -> CandidateTable:
        """Pairs of frames of the tracks with the smallest draws of every rigid part."""
        clip, view = context.track, _view(context)
        if view.reason:
            return CandidateTable.empty({view.reason: 1})
        columns = context.cached("track_columns", lambda: Columns(clip.track_index))
        labels = context.cached("part_labels", lambda: _labels(context))
        rejected = Counter(no_part=sum(label < 0 for label in labels.values()))
        tracks = chosen_tracks(context.place, self.task, labels)
        table, refused = chosen_pairs(context.place, self.task, view, tracks, columns[tracks])
        rejected += refused
        if not len(table):
            return CandidateTable.empty(rejected)
        select = context.place.draw_rows(self.task, list(table[:, :3].T), "select")
        stratum, content = table[:, 4], np.zeros(len(table), np.uint64)
        if self._by_length(context.recipe):
            times = context.cached("clip_times", lambda: Columns(view.frame))
            t, n = times[table[:, :2]], columns[table[:, 2]]
            way = lengths(view.world[t[:, 1], n] - view.world[t[:, 0], n])
            still = len(self.strata(context.recipe)) - 1
            stratum = np.where(stratum > 0, still, number_stratums(1000 * way / _SCALE_MM))
            content = place_contents(view.uv[t[:, 0], n], clip.camera.size)
        return CandidateTable.build(
            table[:, :2], table[:, 2:3], select,
            bin=table[:, 3], stratum=stratum, content=content, rejected=rejected,
        )  # fmt: skip

    def facts(self, context: SceneContext, rows: Sequence[Row]) -> list[Facts]:
        """The displacements from the first frame shown to the second."""
        clip, view = context.track, _view(context)
        columns = context.cached("track_columns", lambda: Columns(clip.track_index))
        times = context.cached("clip_times", lambda: Columns(view.frame))
        parts = context.cached("parts", lambda: _parts(_labels(context)))
        n = columns[[row.items[0] for row in rows]]
        t = times[[row.frames for row in rows]]
        moves = _Moves(
            view.uv[t[:, :1], n[:, None]],
            view.world[t, n[:, None]],
            clip.cam_from_world[t],
            [parts[row.items[0]] for row in rows],
        )
        return self._facts(context.place, rows, moves, clip.camera.size)

    def _facts(
        self, place: Place, rows: Sequence[Row], moves: _Moves, size: tuple[int, int]
    ) -> list[Facts]:
        delta = moves.points[:, 1] - moves.points[:, 0]
        length = lengths(delta)
        moved = length >= place.recipe.guards.static_max_m
        distance = np.where(moved, length, 0.0)
        vector = _turned(moves.poses[:, 0], np.where(moved[:, None], delta, 0.0))
        evidence = _evidence(rows, moves, moved, distance, vector)
        told = self._told(place.recipe, distance, vector)
        variants = ["" if moving else "static" for moving in moved.tolist()]
        if self.form == "coordinate":
            return [
                Facts(
                    answer, {**numbers, "norm1000": [x, y]},
                    {**slots, "x1": str(x), "y1": str(y)}, variant=variant,
                )
                for (answer, slots), numbers, ((x, y),), variant in zip(
                    told, evidence, views_norm1000(moves.uv, size).tolist(), variants, strict=True
                )
            ]  # fmt: skip
        columns = np.array([(*row.frames, *row.items) for row in rows], dtype=np.int64).T
        colours = drawn_colours(place.draw_rows(self.task, list(columns), "colour"))
        marks = marks_at(moves.uv, size, place.recipe.rules.guards.mark_radius_share, colours)
        return [
            Facts(answer, numbers, slots, (mark, ()), variant=variant)
            for (answer, slots), numbers, mark, variant in zip(
                told, evidence, marks, variants, strict=True
            )
        ]

    def _told(
        self, recipe: Recipe, distance: Float64, vector: Float64
    ) -> list[tuple[Answer, dict[str, str]]]:
        """Answer and slots of each row."""
        rounding = "truncate" if self.task in recipe.truncated_tasks else recipe.rounding
        if self.quantity == "distance":
            lengths = answers.integers(1000 * distance, "mm", rounding)
            return [(answer, {"distance_mm": text}) for answer, text in lengths]
        names, found = ("x_mm", "y_mm", "z_mm"), answers.vectors(1000 * vector, "mm", rounding)
        return [(answer, dict(zip(names, xyz, strict=True))) for answer, xyz in found]

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
        labels = reference.cached("part_labels", lambda: reference_labels(reference))
        moves = _Moves(uv[None, :1], points[None], poses[None], [_parts(labels)[track]])
        facts = self._facts(place, [row], moves, clip.camera.size)[0]
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
        clip, guards = reference.track, reference.recipe.guards
        size = clip.camera.size
        if not all(clip.frames[k].image for k in t):
            return "image_missing"
        inside = ((uv >= 0) & (uv < size)).all() and (cam[:, 2] > 0).all()
        if label < 0:
            return "no_part"
        if not inside or not clip.visible[t, n].all():
            return "not_visible"
        marks = reference.recipe.rules.guards
        edge = mark_radius(size[0], marks.mark_radius_share) if marks.border else 0
        if not all(edge <= x < side - edge for x, side in zip(uv[0], size, strict=True)):
            return "border"
        distance = float(np.linalg.norm(points[1] - points[0]))
        return "track_still" if guards.static_max_m <= distance < guards.moving_min_m else ""

    def chain(self, told: Telling) -> Chain | None:
        """The numbers of its evidence in words."""
        return of_points.object_movement(told, self.quantity)


def _view(context: SceneContext) -> ClipView:
    return context.cached("clip_view", lambda: clip_view(context.track, context.recipe))


class _Part(NamedTuple):
    """The rigid part of a track: its label, and how many tracks it has."""

    label: int
    size: int


class _Moves(NamedTuple):
    """Where the points of n rows are in the two frames shown.

    Attributes:
        uv: (n, 1, 2) pixels in the first frame.
        points: (n, 2, 3) metres in the clip's world.
        poses: (n, 2, 4, 4) cam_from_world.
        parts: The parts of the points.
    """

    uv: Float64
    points: Float64
    poses: Float64
    parts: Sequence[_Part]


def _evidence(
    rows: Sequence[Row],
    moves: _Moves,
    moved: NDArray[np.bool_],
    distance: Float64,
    vector: Float64,
) -> list[dict[str, Any]]:
    R, t = moves.poses[..., :3, :3], moves.poses[..., :3, 3, None]
    centres = -((R[..., 0, :] * t[..., 0, :] + R[..., 1, :] * t[..., 1, :])
                + R[..., 2, :] * t[..., 2, :])  # fmt: skip
    cam_moving = lengths(centres[:, 1] - centres[:, 0]) >= _STEADY_M
    columns = (
        moves.points.tolist(), moves.poses.tolist(), moves.uv[:, 0].tolist(), vector.tolist(),
        distance.tolist(), moved.tolist(), cam_moving.tolist(),
    )  # fmt: skip
    return [
        {
            "track": row.items[0], "cluster": part.label, "cluster_size": part.size,
            "point1_world": point1, "point2_world": point2, "cam_from_world": poses, "uv": uv,
            "vector_m": displacement, "distance_m": length, "point_moving": moving,
            "cam_moving": camera,
        }
        for row, part, (point1, point2), poses, uv, displacement, length, moving, camera in zip(
            rows, moves.parts, *columns, strict=True
        )
    ]  # fmt: skip


def _turned(poses: Float64, vectors: Float64) -> Float64:
    """(n, 3) vectors on the axes of (n, 4, 4) cameras; no component is minus zero."""
    R, v = poses[:, :3, :3], vectors[:, None]
    return ((0.0 + R[..., 0] * v[..., 0]) + R[..., 1] * v[..., 1]) + R[..., 2] * v[..., 2]


def _parts(labels: dict[int, int]) -> dict[int, _Part]:
    size = Counter(labels.values())
    return {track: _Part(label, size[label]) for track, label in labels.items()}


def _labels(context: SceneContext) -> dict[int, int]:
    parts = context.scene.parts
    return dict(zip(parts.track.tolist(), parts.label.tolist(), strict=True))


def reference_labels(reference: ReferenceScene) -> dict[int, int]:
    """The rigid part of each track of a clip by the reference; -1 for tracks of no kept part."""
    from spatialcore.rigidity import rigid_segments

    clip, method = reference.track, reference.recipe.rules.segmentation
    labels = rigid_segments(clip.tracks_cam, method=method, backend="reference")
    return dict(zip(clip.track_index.tolist(), np.asarray(labels).tolist(), strict=True))


OBJECT_MOVEMENT = (
    ObjectMovement("distance", "coordinate"),
    ObjectMovement("vector", "coordinate"),
    ObjectMovement("distance", "marked"),
    ObjectMovement("vector", "marked"),
)
