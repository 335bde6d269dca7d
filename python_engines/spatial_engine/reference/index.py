# SPDX-License-Identifier: Apache-2.0
"""What an index stores, recomputed from the source in plain float64 numpy.

Nothing here calls a kernel or reads a mask or a table: it is the other side of `verify` and of the
index's tests. Points are named by their source row, as in records.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spatial_engine.reference.cloud import morton_order, voxel_cloud
from spatialcore.index.askable import AskableRule, askable_rule
from spatialcore.index.cloud import (
    ENOUGH_POINTS,
    LEAST_POINTS,
    VOXELS_M,
)
from spatialcore.index.frames import (
    World,
    frame_poses,
    index_world,
    pair_distance,
    wrap_deg,
    yaw_pitch_deg,
)
from spatialcore.index.rules import Rules
from spatialcore.index.visibility import View, instance_on_depth, scene_view
from spatialcore.types import Cloud, Float64, Scene, invert_pose, transform_points

_KEPT_MAPS = 8


class PointGuards(NamedTuple):
    """The guards on n points in one frame, each with the number it tests.

    Attributes:
        uv: (n, 2) pixels of the colour image, NaN behind the camera.
        z: (n,) depth of the points, metres.
        reading: (n,) depth read at the points' pixels, metres, NaN = none.
        visible: (n,) bool.
        in_range: (n,) bool, z within the depth range.
        on_canvas: (n,) bool, the mark's disc lies in the image.
        agrees: (n,) bool, the reading agrees with z.
        disc_share: (n,) share of the disc's readings near z, NaN where there is none.
        off_edge: (n,) bool, that share is large enough.
        askable: (n,) bool, all of them.
    """

    uv: Float64
    z: Float64
    reading: Float64
    visible: NDArray[np.bool_]
    in_range: NDArray[np.bool_]
    on_canvas: NDArray[np.bool_]
    agrees: NDArray[np.bool_]
    disc_share: Float64
    off_edge: NDArray[np.bool_]
    askable: NDArray[np.bool_]


class PairFacts(NamedTuple):
    """How frame j relates to frame i; see `PairTable`."""

    intersection: int
    count_i: int
    count_j: int
    distance: float
    dyaw_deg: float
    dpitch_deg: float


class SceneReference:
    """One scene of a source, for recomputing what the index says about it.

    Attributes:
        scene: The opened scene.
        rules: Rules and guards.
        view: Camera, pixel map and depth rule.
        world: Turn to z up and axis alignment.
    """

    def __init__(self, scene: Scene, rules: Rules, built: Cloud | None = None) -> None:
        """Prepare a scene.

        Args:
            scene: As its source opens it.
            rules: The index's rules.
            built: The index's built cloud, after its hash was checked; None rebuilds it where the
                scene has no mesh, which holds all readings in memory.
        """
        self.scene = scene
        self.rules = rules
        self.view: View = scene_view(scene, rules)
        self.world: World = index_world(scene.world_up, scene.aligned_from_world)
        self._built = built
        self._poses, self._reasons = frame_poses(self.world, scene.frames)
        self._row = {frame.index: k for k, frame in enumerate(scene.frames)}
        self._maps: OrderedDict[int, Float64] = OrderedDict()

    @cached_property
    def cloud(self) -> Cloud:
        """The cloud in the index's world, row = source row."""
        if self.scene.read_cloud is not None:
            mesh = self.scene.read_cloud()
            points = np.asarray(mesh.points_world, np.float32)
            if not np.array_equal(self.world.aligned_from_world, np.eye(4)):
                moved = transform_points(self.world.aligned_from_world, points)
                points = moved.astype(np.float32)
            return Cloud(points, mesh.instance)
        return self._rebuilt() if self._built is None else self._built

    def _rebuilt(self) -> Cloud:
        frames = []
        for k, frame in enumerate(self.scene.frames):
            if not self._reasons[k]:
                ids: NDArray[np.int32] | None = None
                if self.scene.read_instance is not None:
                    ids = instance_on_depth(self.view, self.scene.read_instance(frame))
                frames.append((self.scene.read_depth(frame), self._poses[k], ids))
        view = self.view
        for voxel in VOXELS_M:
            points, instance = voxel_cloud(frames, view.depth_scale, view.depth_K, voxel, 2)
            if len(points) >= ENOUGH_POINTS:
                break
        if len(points) < LEAST_POINTS:
            points, instance = voxel_cloud(frames, view.depth_scale, view.depth_K, voxel, 1)
        order = morton_order(points)
        return Cloud(points[order], instance[order])

    def world_from_cam(self, frame: int) -> Float64:
        """(4, 4) pose in the index's world; ValueError when the frame cannot be used."""
        row = self._row[frame]
        if self._reasons[row]:
            raise ValueError(f"{self.scene.id}: frame {frame} is masked: {self._reasons[row]}")
        pose: Float64 = self._poses[row]
        return pose

    def depth_m(self, frame: int) -> Float64:
        """(h, w) float64 metres, NaN = no reading; the last few maps are kept."""
        if frame not in self._maps:
            stored = self.scene.read_depth(self.scene.frames[self._row[frame]])
            metres = stored.astype(np.float64) * self.scene.depth_scale
            metres[~(np.isfinite(metres) & (metres > 0))] = np.nan
            self._maps[frame] = metres
            while len(self._maps) > _KEPT_MAPS:
                self._maps.popitem(last=False)
        self._maps.move_to_end(frame)
        return self._maps[frame]

    def project(self, frame: int, rows: ArrayLike | None = None) -> tuple[Float64, Float64]:
        """Pixels (n, 2), NaN where z <= 0, and z (n,) metres; points by source row, None = all."""
        p = self.cloud.points_world
        p = p if rows is None else p[np.asarray(rows, np.int64)]
        cam = transform_points(invert_pose(self.world_from_cam(frame)), p)
        K, z = self.view.K, cam[:, 2]
        ahead = (z > 0) & np.isfinite(z)
        safe = np.where(ahead, z, np.nan)
        u = (K[0, 0] * cam[:, 0]) / safe + K[0, 2]
        v = (K[1, 1] * cam[:, 1]) / safe + K[1, 2]
        return np.stack([u, v], axis=1), z

    def _depth_pixel(self, uv: Float64) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Column and row of the reading of each pixel; 0 where the pixel is NaN."""
        m, (w, h) = self.view.pixel_map, self.view.depth_size
        safe = np.nan_to_num(uv, nan=0.0, posinf=0.0, neginf=0.0)
        column = np.clip(np.rint(m.ax * safe[:, 0] + m.bx), 0, w - 1)
        row = np.clip(np.rint(m.ay * safe[:, 1] + m.by), 0, h - 1)
        return column.astype(np.int64), row.astype(np.int64)

    def visible(self, frame: int, rows: ArrayLike | None = None) -> NDArray[np.bool_]:
        """(n,) bool: which points the frame sees, by source row (None = all)."""
        uv, z = self.project(frame, rows)
        return self._visible(frame, uv, z)

    def _visible(self, frame: int, uv: Float64, z: Float64) -> NDArray[np.bool_]:
        W, H = self.view.image_size
        column, row = self._depth_pixel(uv)
        d = self.depth_m(frame)[row, column]
        u, v = uv[:, 0], uv[:, 1]
        seen: NDArray[np.bool_] = (u >= 0) & (u < W) & (v >= 0) & (v < H) & (z > 0)
        if self.rules.rule == "strict":
            return seen & np.asarray(z < d, np.bool_)
        limit = np.maximum(self.rules.rule_relative * z, self.rules.rule_absolute_m)
        return seen & np.asarray(np.abs(z - d) < limit, np.bool_)

    def guards(self, frame: int, rows: ArrayLike) -> PointGuards:
        """The guards on points, by source row, with the numbers they test."""
        uv, z = self.project(frame, rows)
        rule = askable_rule(self.rules.guards, self.view.image_size, self.view.depth_size)
        column, row = self._depth_pixel(uv)
        reading = self.depth_m(frame)[row, column]
        visible = self._visible(frame, uv, z)
        in_range = (z >= rule.depth_min) & (z <= rule.depth_max)
        on_canvas = _on_canvas(uv, self.view.image_size, rule)
        agreement = np.maximum(rule.agreement_relative * z, rule.agreement_absolute)
        agrees = np.abs(z - reading) < agreement
        near, readings = self._disc(frame, column, row, z, rule)
        off_edge = near >= rule.edge_share * readings
        with np.errstate(invalid="ignore"):
            share = near / readings
        guarded = in_range & on_canvas & agrees & off_edge
        askable = visible & guarded if self.rules.askable == "guarded" else visible
        return PointGuards(
            uv, z, reading, visible, in_range, on_canvas, agrees, share, off_edge, askable
        )

    def _disc(
        self,
        frame: int,
        column: NDArray[np.int64],
        row: NDArray[np.int64],
        z: Float64,
        rule: AskableRule,
    ) -> tuple[Float64, Float64]:
        """Readings near z, and readings, in the disc around each depth pixel."""
        reach = int(rule.disc_radius)
        dy, dx = np.mgrid[-reach : reach + 1, -reach : reach + 1]
        inside = dx * dx + dy * dy <= rule.disc_radius * rule.disc_radius
        x = column[:, None] + dx[inside]
        y = row[:, None] + dy[inside]
        w, h = self.view.depth_size
        kept = (x >= 0) & (x < w) & (y >= 0) & (y < h)
        d = self.depth_m(frame)[np.clip(y, 0, h - 1), np.clip(x, 0, w - 1)]
        reading = kept & np.isfinite(d)
        limit = np.maximum(rule.edge_relative * z, rule.edge_absolute)[:, None]
        near = reading & (np.abs(d - z[:, None]) <= limit)
        return near.sum(axis=1).astype(np.float64), reading.sum(axis=1).astype(np.float64)

    def pair(self, frame_i: int, frame_j: int) -> PairFacts:
        """Overlap counts and relative pose of two frames."""
        a, b = self.visible(frame_i), self.visible(frame_j)
        pose_i, pose_j = self.world_from_cam(frame_i), self.world_from_cam(frame_j)
        dyaw = dpitch = float("nan")
        if self.scene.world_up is not None:
            (yaw_i, pitch_i), (yaw_j, pitch_j) = yaw_pitch_deg(pose_i), yaw_pitch_deg(pose_j)
            dyaw, dpitch = float(wrap_deg(yaw_j - yaw_i)), pitch_j - pitch_i
        distance = float(pair_distance(pose_i, pose_j))
        return PairFacts(int((a & b).sum()), int(a.sum()), int(b.sum()), distance, dyaw, dpitch)

    def object_extent(
        self, object_id: int, frame: int, axes: ArrayLike
    ) -> tuple[int, Float64, Float64]:
        """What a frame sees of an object.

        Args:
            object_id: Its id.
            frame: The frame.
            axes: (3, 3), rows are the axes.

        Returns:
            Visible vertices, and the least and greatest coordinate (3,) of them on each axis,
            metres; NaN when none is visible.
        """
        rows = np.flatnonzero(self.cloud.instance == object_id)
        seen = rows[self.visible(frame, rows)]
        if not len(seen):
            return 0, np.full(3, np.nan), np.full(3, np.nan)
        a = np.asarray(axes, dtype=np.float64)
        x, y, z = self.cloud.points_world[seen].astype(np.float64).T
        along = np.stack([(a[k, 0] * x + a[k, 1] * y) + a[k, 2] * z for k in range(3)])
        return len(seen), along.min(axis=1), along.max(axis=1)


def _on_canvas(uv: Float64, size: tuple[int, int], rule: AskableRule) -> NDArray[np.bool_]:
    """Whether the disc around the mark's pixel, clip(rint(u), 0, W - 1), lies in the image."""
    out: NDArray[np.bool_] = np.asarray(np.isfinite(uv).all(axis=1), np.bool_)
    if not rule.border:
        return out
    for axis in (0, 1):
        last = size[axis] - 1
        pixel = np.clip(np.rint(uv[:, axis]), 0, last)
        out &= (pixel >= rule.mark_radius) & (pixel <= last - rule.mark_radius)
    return out
