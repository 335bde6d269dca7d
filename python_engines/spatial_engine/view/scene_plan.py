# SPDX-License-Identifier: Apache-2.0
"""A scene from above, drawn once for its records: cloud, boxes, cameras; and boxes in images.

What a record refers to (frames, objects) is looked up in the plan, so a record stores numbers, not
drawings. Lengths of the map are centimetres, y downward.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spatial_engine.view.shapes import Box, Shape, bounds, cells, label, line, lines
from spatialcore.index.store import SceneIndex
from spatialcore.index.tables import ObjectRow

Float64 = NDArray[np.float64]

CM = 100.0
_CELL_M = 0.06  # of the cloud from above
_LOW_M, _HIGH_M = 0.3, 2.0  # above the floor: walls and furniture, no ceiling
_LEAST_POINTS = 2  # of a cell that is drawn
_MOST_POINTS = 400_000  # that are looked at
_FRUSTUM = 0.055  # of the map's longer side
_NUMBER = 0.5  # of a frustum's length: how far behind a camera its number stands
_NEAR_M = 0.05
_EDGES = ((0, 1), (1, 3), (3, 2), (2, 0), (4, 5), (5, 7), (7, 6), (6, 4),
          (0, 4), (1, 5), (2, 6), (3, 7))  # fmt: skip


class Placed(NamedTuple):
    """Something on the map: its outline, and where its name stands."""

    d: str
    x: int
    y: int
    name: str


class PlacedCamera(NamedTuple):
    """A camera on the map: its outline, its centre, and the place of its number behind it."""

    d: str
    x: int
    y: int
    number_x: int
    number_y: int


class Above(NamedTuple):
    """The map's plane in the world.

    Attributes:
        axes: (2, 3) rows: the map's x, and what is up on the page.
        up: (3,) what the map is seen along.
        said: How the map is seen, in words.
    """

    axes: Float64
    up: Float64
    said: str

    def page(self, points_world: ArrayLike) -> Float64:
        """(..., 2) centimetres on the page of (..., 3) metres in the world."""
        flat: Float64 = np.asarray(points_world, dtype=np.float64) @ self.axes.T * (CM, -CM)
        return flat


FROM_ABOVE = Above(np.eye(3)[:2], np.eye(3)[2], "from above")


def above_of_cameras(world_from_cam: ArrayLike) -> Above:
    """The plane across the mean down axis of (F, 4, 4) cameras, where gravity is not known."""
    R = np.asarray(world_from_cam, dtype=np.float64).reshape(-1, 4, 4)[:, :3, :3]
    R = R[np.isfinite(R).all(axis=(1, 2))]
    up = -R[:, :, 1].mean(axis=0) if len(R) else np.zeros(3)
    size = float(np.linalg.norm(up))
    if size < 0.1:
        return FROM_ABOVE
    up = up / size
    side = np.cross(R[0, :, 2], up)
    if float(np.linalg.norm(side)) < 1e-3:
        side = R[0, :, 0] - up * (R[0, :, 0] @ up)
    right = side / np.linalg.norm(side)
    axes = np.stack([right, np.cross(up, right)])
    return Above(axes, up, "along the cameras' own vertical, since gravity is not known")


@dataclass(eq=False)
class ScenePlan:
    """One scene's map, and where its objects lie in its images.

    Attributes:
        scene: The scene's index.
        outlines: "frame:object" -> the object's box in the frame's image; those asked for.
    """

    scene: SceneIndex
    outlines: dict[str, Placed | None] = field(default_factory=dict)

    @cached_property
    def above(self) -> Above:
        """The plane of the map."""
        if self.scene.up != "unknown":
            return FROM_ABOVE
        return above_of_cameras(self.scene.frames.world_from_cam)

    @cached_property
    def objects(self) -> dict[int, ObjectRow]:
        """Objects by id."""
        return {} if self.scene.is_clip else {row.object_id: row for row in self.scene.objects}

    @cached_property
    def _rows(self) -> tuple[NDArray[np.uint32], NDArray[np.intp]]:
        order = np.argsort(self.scene.source_row, kind="stable")
        return np.asarray(self.scene.source_row)[order], order

    def point(self, point_id: int) -> Float64 | None:
        """(3,) world of a point by its id in records, or None."""
        if self.scene.is_clip:
            return None
        ids, order = self._rows
        k = int(np.searchsorted(ids, point_id))
        if k == len(ids) or int(ids[k]) != point_id:
            return None
        return np.asarray(self.scene.points[order[k]], dtype=np.float64)

    @cached_property
    def _corners(self) -> dict[int, Float64]:
        """(8, 3) corners of each object's box."""
        signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) / 2
        return {
            number: row.box_center + (signs * row.box_size) @ row.box_R.T
            for number, row in self.objects.items()
        }

    @cached_property
    def boxes(self) -> dict[int, Placed]:
        """Each object's box on the map."""
        found = {}
        for number, corners in self._corners.items():
            d = str(line("box", self.above.page(corners[[0, 2, 6, 4]]), closed=True)[1])
            x, y = np.rint(self.above.page(self.objects[number].box_center)).astype(int).tolist()
            found[number] = Placed(d, x, y, self.objects[number].category)
        return found

    @cached_property
    def _reach(self) -> float:
        return max(self._tight[2:]) * _FRUSTUM

    def camera(self, frame: int) -> PlacedCamera | None:
        """A frame's camera on the map, looking along its open side; None where it has no pose."""
        if frame not in self.scene.table_row_of_frame:
            return None
        pose = self.scene.world_from_cam(frame)
        if not np.isfinite(pose).all():
            return None
        camera = self.scene.color_camera(frame)
        sides = (np.array([0, camera.width]) - camera.K[0, 2]) / camera.K[0, 0]
        rays = np.stack([sides, np.zeros(2), np.ones(2)], axis=1) @ pose[:3, :3].T
        centre = self.above.page(pose[:3, 3])
        ends = centre + self.above.page(rays) / CM * self._reach
        d = str(line("camera", [centre, ends[0], ends[1]], closed=True)[1])
        ahead = (ends - centre).mean(axis=0)
        behind = ahead / max(float(np.linalg.norm(ahead)), 1e-9) * _NUMBER * self._reach
        places = np.rint(np.concatenate([centre, centre - behind])).astype(int).tolist()
        return PlacedCamera(d, *places)

    @cached_property
    def _cloud(self) -> Shape | None:
        if self.scene.is_clip or not self.scene.point_count:
            return None
        step = max(1, self.scene.point_count // _MOST_POINTS)
        points = np.asarray(self.scene.points[::step], dtype=np.float64)
        height = points @ self.above.up
        floor = float(np.quantile(height, 0.02))
        points = points[(height > floor + _LOW_M) & (height < floor + _HIGH_M)]
        if not len(points):
            return None
        page = self.above.page(points) * (1, -1)
        side = _CELL_M * CM
        low = np.floor(page.min(axis=0) / side) * side
        column, row = ((page - low) // side).astype(int).T
        counted = np.zeros((row.max() + 1, column.max() + 1), dtype=np.int64)
        np.add.at(counted, (row, column), 1)
        return cells("cloud", counted >= _LEAST_POINTS, low * (1, -1), side)

    @cached_property
    def _tight(self) -> Box:
        """The box around cloud, objects and cameras, with outliers left out."""
        places = [self.above.page(c) for c in self._corners.values()]
        poses = self.scene.frames.world_from_cam[:, :3, 3]
        places.append(self.above.page(poses[np.isfinite(poses).all(axis=1)]))
        if not self.scene.is_clip and self.scene.point_count:
            cloud = self.above.page(self.scene.points[:: max(1, self.scene.point_count // 20_000)])
            places.append(np.quantile(cloud, [0.005, 0.995], axis=0))
        return bounds(np.concatenate(places))

    @cached_property
    def box(self) -> Box:
        """The part of the map that is shown."""
        x, y, width, height = self._tight
        margin = round(0.06 * max(width, height)) + 5
        return x - margin, y - margin, width + 2 * margin, height + 2 * margin

    @cached_property
    def base(self) -> list[Shape]:
        """What every record of the scene stands on: cloud, boxes, a metre's length."""
        shapes = [self._cloud] if self._cloud is not None else []
        if self.boxes:
            shapes.append(["box", "".join(placed.d for placed in self.boxes.values())])
        if self.scene.metric:
            x, y = self.box[0] + 12, self.box[1] + self.box[3] - 12
            shapes += [lines("scale", [[(x, y - 5), (x, y), (x + 100, y), (x + 100, y - 5)]]),
                       label("scale-text", (x + 110, y - 3), "1 m")]  # fmt: skip
        return shapes

    def outline(self, frame: int, object_id: int) -> Placed | None:
        """An object's box in a frame's image, pixels; None where the frame does not show it."""
        key = f"{frame}:{object_id}"
        if key not in self.outlines:
            self.outlines[key] = self._outline(frame, object_id)
        return self.outlines[key]

    @cached_property
    def _shown(self) -> set[tuple[int, int]]:
        seen = self.scene.object_frames
        return set(zip(seen.frame.tolist(), seen.object_id.tolist(), strict=True))

    def _outline(self, frame: int, object_id: int) -> Placed | None:
        if object_id not in self._corners or (frame, object_id) not in self._shown:
            return None
        corners = self._corners[object_id]
        edges = (self.pixels(frame, corners[list(edge)]) for edge in _EDGES)
        parts = [uv for uv in edges if uv is not None]
        if not parts:
            return None
        width, height = self.scene.color_camera(frame).size
        ends = np.concatenate(parts)
        x, y = ends[ends[:, 1].argmin()]
        return Placed(
            str(lines("seen", parts)[1]), round(min(max(x, 0.02 * width), 0.8 * width)),
            round(min(max(y - 0.01 * height, 0.05 * height), 0.97 * height)),
            self.objects[object_id].category,
        )  # fmt: skip

    def pixels(self, frame: int, ends_world: ArrayLike) -> Float64 | None:
        """(2, 2) pixels of a line's ends, cut in front of the camera; None where none is seen."""
        if frame not in self.scene.row_of_frame:
            return None
        cam_from_world = self.scene.cam_from_world(frame)
        ends = np.asarray(ends_world) @ cam_from_world[:3, :3].T + cam_from_world[:3, 3]
        clipped = _in_front(ends)
        if clipped is None:
            return None
        camera = self.scene.color_camera(frame)
        uv, _ = camera.project(clipped)
        far = ~np.isfinite(uv) | (np.abs(uv) > 20 * max(camera.size))
        return None if far.any() else uv

    def to_json(self, frames: set[int], object_ids: set[int]) -> dict[str, Any]:
        """What a page needs to draw records that show these frames and name these objects."""
        cameras = {frame: self.camera(frame) for frame in sorted(frames)}
        return {
            "name": f"{self.scene.source}/{self.scene.scene}",
            "said": self.above.said,
            "box": list(self.box),
            "base": self.base,
            "cameras": {str(f): list(c) for f, c in cameras.items() if c is not None},
            "boxes": {str(n): list(self.boxes[n]) for n in sorted(object_ids) if n in self.boxes},
            "outlines": {k: list(p) for k, p in sorted(self.outlines.items()) if p is not None},
        }


def _in_front(ends: Float64) -> Float64 | None:
    """The part of an edge (2, 3) in front of the camera, or None."""
    a, b = ends
    if max(a[2], b[2]) <= _NEAR_M:
        return None
    if min(a[2], b[2]) > _NEAR_M:
        return ends
    near = a + (b - a) * ((_NEAR_M - a[2]) / (b[2] - a[2]))
    return np.stack([near, b] if a[2] <= _NEAR_M else [a, near])


def is_walk(frames: tuple[int, ...]) -> bool:
    """Whether the frames of a record are drawn as a walk: three or more, in order."""
    return len(frames) > 2 and all(a < b for a, b in pairwise(frames))


def plan_of(scene: SceneIndex) -> ScenePlan:
    """The plan of an indexed scene; SceneIndexError where its files are not what was indexed."""
    plan = ScenePlan(scene)
    _ = plan.base, plan.box, plan._rows if not scene.is_clip else None
    return plan
