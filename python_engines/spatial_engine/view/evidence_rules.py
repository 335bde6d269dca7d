# SPDX-License-Identifier: Apache-2.0
"""What each shape of evidence looks like: on a map of its scene, and on its images.

Evidence is drawn by its shape, not by the task: a pixel `uv`, a point `*_world`, a place `*_xy`, an
object id, a `floor` of runs. A rule of `RULES` looks for one shape and adds what it draws to the
canvas; evidence that no rule knows is in the table all the same. docs/gallery.md says which shapes
are known and how to add one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatial_engine.engines import engine_or_none
from spatial_engine.records.record import QARecord
from spatial_engine.view.map_grid import grid_through
from spatial_engine.view.scene_plan import CM, Above, Placed, PlacedCamera, ScenePlan
from spatial_engine.view.shapes import Shape, arrow, cells, dot, label, line, lines, ring
from spatialcore.relations.free_space import FreeSpace, space_of_runs

Float64 = NDArray[np.float64]
_RING = 0.025  # of an image's width: radius of what is drawn around a pixel
_MOST_RAYS = 6  # cameras that a line is drawn from
_MOST_CELLS = 1 << 22  # of a floor that is drawn


@dataclass
class Canvas:
    """What the rules draw on.

    Attributes:
        record: The record.
        facts: Its evidence.
        plan: The plan of its scene, or None.
        above: The plane of the map.
        objects: Ids of the objects that the answer is about, in the order named.
        top: Shapes of the map, centimetres.
        floor: Shapes that lie below all others.
        images: Number of an image -> shapes on it, pixels.
        points: Places of the map that must be seen on it.
    """

    record: QARecord
    facts: Mapping[str, Any]
    plan: ScenePlan | None
    above: Above
    objects: list[int] = field(default_factory=list)
    top: list[Shape] = field(default_factory=list)
    floor: list[Shape] = field(default_factory=list)
    images: dict[int, list[Shape]] = field(default_factory=dict)
    points: list[Float64] = field(default_factory=list)

    def on_map(self, *points_world: Float64) -> list[Float64]:
        """Places on the page, which the map then shows."""
        places = [self.above.page(point) for point in points_world]
        self.points += [place.reshape(-1, 2) for place in places]
        return places

    def on_image(self, number: int, shape: Shape) -> None:
        """Add a shape to an image, unless the record has no such image."""
        if 0 <= number < len(self.record.images):
            self.images.setdefault(number, []).append(shape)

    def camera(self, number: int) -> PlacedCamera | None:
        """The camera of an image on the map."""
        known = self.plan is not None and 0 <= number < len(self.record.frames)
        return self.plan.camera(self.record.frames[number]) if known and self.plan else None

    def box(self, object_id: int) -> Placed | None:
        """An object's box on the map."""
        return self.plan.boxes.get(object_id) if self.plan else None


def invertible(poses: Float64) -> bool:
    """Whether (F, 4, 4) matrices can be inverted."""
    return bool((np.abs(np.linalg.det(poses)) > 1e-9).all())


def numbers(value: Any, shape: Sequence[int | None]) -> Float64 | None:
    """Finite numbers of a shape (None: any length but 0), or None: evidence may hold anything."""
    if not isinstance(value, list):
        return None
    try:
        found = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    fits = found.ndim == len(shape) and all(
        n == m if m is not None else n > 0 for n, m in zip(found.shape, shape, strict=False)
    )
    return found if fits and bool((np.abs(found) < 1e6).all()) else None


def _ids(value: Any) -> list[int]:
    whole = isinstance(value, list) and all(type(one) is int for one in value)
    return list(value) if whole else []


def _number(value: Any) -> float | None:
    return float(value) if type(value) in (int, float) and math.isfinite(value) else None


def named_objects(canvas: Canvas) -> None:
    """`object_ids`, `object_id`, and the items of tasks about objects."""
    found = _ids(canvas.facts.get("object_ids")) or _ids([canvas.facts.get("object_id")])
    engine = engine_or_none(canvas.record.task)
    if engine is not None and engine.needs_objects:
        found = found or _ids(canvas.facts.get("items"))
        if canvas.facts.get("gaps_m"):  # the object asked from, and all it is compared with
            found += _ids(canvas.facts.get("items"))
    canvas.objects = list(dict.fromkeys(found))
    if canvas.plan is None:
        centre = numbers(canvas.facts.get("box_center"), (3,))
        size = numbers(canvas.facts.get("box_size"), (3,))
        if centre is not None and size is not None:
            signs = np.array([(-1, -1, 0), (1, -1, 0), (1, 1, 0), (-1, 1, 0)]) / 2
            (corners,) = canvas.on_map(centre + signs * size)
            canvas.top.append(line("object", corners, closed=True))


def cloud_points_of(record: QARecord, plan: ScenePlan | None) -> list[tuple[int, int, Float64]]:
    """`items` of a task about points of the cloud: position, id, (3,) world; those still there."""
    engine = engine_or_none(record.task)
    if plan is None or engine is None or not engine.of_points:
        return []
    found = [(k, i, plan.point(i)) for k, i in enumerate(_ids(record.facts.get("items")))]
    return [(k, i, place) for k, i, place in found if place is not None]


def items_are_points(canvas: Canvas) -> None:
    """Points of the cloud: dots, and the rays that see them."""
    letters = canvas.facts.get("letters")
    for k, _, point in cloud_points_of(canvas.record, canvas.plan):
        (place,) = canvas.on_map(point)
        if k == 0 or "distractor_uv" not in canvas.facts:
            rays = [canvas.camera(j) for j in range(len(canvas.record.images))]
            parts = [np.array([(c.x, c.y), place]) for c in rays if c is not None]
            canvas.top.append(lines("ray", parts))
        right = k == 0 or "distractor_uv" not in canvas.facts
        canvas.top.append(dot("point" if right else "other-point", place))
        if isinstance(letters, list) and k < len(letters) and isinstance(letters[k], str):
            canvas.top.append(label("name", place - (0, 12), letters[k][:1]))


def world_points(canvas: Canvas) -> None:
    """`point1_world`, `point2_world` and their like: dots, and an arrow between two."""
    found = {
        name.removesuffix("_world"): numbers(value, (3,))
        for name, value in canvas.facts.items()
        if name.endswith("_world")
    }
    places = {n: canvas.on_map(p)[0] for n, p in found.items() if p is not None}
    ends = list(places.values())
    if len(ends) == 2:
        canvas.top.append(arrow("arrow", *ends))
    canvas.top += [dot("point", place) for place in ends]


def stored_cameras(canvas: Canvas) -> None:
    """`cam_from_world`: the cameras, where no plan has them."""
    poses = numbers(canvas.facts.get("cam_from_world"), (None, 4, 4))
    if canvas.plan is not None or poses is None or not invertible(poses):
        return
    for k, pose in enumerate(np.linalg.inv(poses)):
        rays = pose[:3, 3] + 0.35 * np.array([[-0.5, 0, 1], [0.5, 0, 1]]) @ pose[:3, :3].T
        (corners,) = canvas.on_map(np.stack([pose[:3, 3], *rays]))
        canvas.top += [
            line("camera", corners, closed=True),
            label("number", corners[0], str(k + 1)),
        ]


def camera_moves(canvas: Canvas) -> None:
    """`translation_m`, `map_m` of two images, `net_m` of more: an arrow from camera to camera.

    With `steps_m` the way that was gone, too, which is longer.
    """
    facts, last = canvas.facts, len(canvas.record.images) - 1
    moved = [numbers(facts.get("translation_m"), (3,)), numbers(facts.get("map_m"), (2,))]
    between = last == 1 and any(one is not None for one in moved)
    if not between and _number(facts.get("net_m")) is None:
        return
    first, second = canvas.camera(0), canvas.camera(last)
    if first is not None and second is not None:
        if numbers(facts.get("steps_m"), (last,)) is not None:
            way = filter(None, map(canvas.camera, range(last + 1)))
            canvas.top.append(line("route", [(one.x, one.y) for one in way]))
        canvas.top.append(arrow("arrow", (first.x, first.y), (second.x, second.y)))


def free_space_of(facts: Mapping[str, Any]) -> FreeSpace | None:
    """`floor`: the cells that may be walked on, or None."""
    floor = facts.get("floor")
    if not isinstance(floor, dict):
        return None
    shape = numbers(floor.get("shape"), (2,))
    if shape is None or not (shape >= 1).all() or shape.prod() > _MOST_CELLS:
        return None
    try:
        return space_of_runs(floor)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def free_floor(canvas: Canvas) -> None:
    """The cells that may be walked on."""
    space = free_space_of(canvas.facts)
    if space is None:
        return
    H, W = space.free.shape
    origin = np.array([*space.origin, 0.0])
    corner, _ = canvas.on_map(origin, origin + np.array([W * space.cell_m, H * space.cell_m, 0.0]))
    canvas.floor.append(cells("floor", space.free, corner, space.cell_m * CM))


def route_of(facts: Mapping[str, Any]) -> Float64 | None:
    """`start_xy`, `heading_deg`, `turns_deg`, `legs_m`: (N, 2) metres of a walk, or None."""
    start, heading = numbers(facts.get("start_xy"), (2,)), _number(facts.get("heading_deg"))
    turns, legs = numbers(facts.get("turns_deg"), (None,)), numbers(facts.get("legs_m"), (None,))
    if start is None or heading is None or turns is None or legs is None:
        return None
    if len(turns) != len(legs):
        return None
    angles = np.radians(heading + np.cumsum(turns))
    steps = legs[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return np.concatenate([[start], start + np.cumsum(steps, axis=0)])


def places_and_route(canvas: Canvas) -> None:
    """`*_xy`: places with their names, the widest disc seen and the one asked; and a walk."""
    facts = canvas.facts
    walked = route_of(facts)
    if walked is not None:
        (path,) = canvas.on_map(np.pad(walked, ((0, 0), (0, 1))))
        canvas.top.append(line("route", path))
        canvas.top.append(arrow("route", path[-2] + 0.5 * (path[-1] - path[-2]), path[-1]))
    start, faced = numbers(facts.get("start_xy"), (2,)), numbers(facts.get("face_xy"), (2,))
    if faced is not None and start is not None:
        ends = canvas.on_map(np.array([*start, 0.0]), np.array([*faced, 0.0]))
        canvas.top.append(arrow("facing", *ends))
    for name, value in facts.items():
        named = name.endswith("_xy") and name != "face_xy"
        xy = numbers(value, (2,)) if named else None
        if xy is not None:
            (place,) = canvas.on_map(np.array([*xy, 0.0]))
            canvas.top += [dot("point", place), label("name", place - (0, 12), name[:-3])]
            for ours, across in (("measure", "seen_m"), ("facing", "diameter_m")):
                if name == "seen_xy" and (wide := _number(facts.get(across))) is not None:
                    canvas.top.append(ring(ours, place, wide / 2 * CM))


def gaps(canvas: Canvas) -> None:
    """`gap_m`, `gaps_m`, `gap_a_m` and `gap_b_m`: lines between the boxes that were measured."""
    boxes = [canvas.box(number) for number in canvas.objects]
    pairs: list[tuple[int, int]] = []
    if "gap_m" in canvas.facts and len(boxes) == 2:
        pairs = [(0, 1)]
    elif isinstance(canvas.facts.get("gaps_m"), dict):
        pairs = [(0, k) for k in range(1, len(boxes))]
    elif "gap_a_m" in canvas.facts and len(boxes) == 3:
        pairs = [(0, 2), (1, 2)]
    for a, b in pairs:
        first, second = boxes[a], boxes[b]
        if first is not None and second is not None:
            canvas.top.append(line("measure", [(first.x, first.y), (second.x, second.y)]))


def seen_from(canvas: Canvas) -> None:
    """`ranges_m`, `range_a_m`, `turn_deg`, `bearing_deg`: lines from the cameras to the objects."""
    facts, count = canvas.facts, len(canvas.record.images)
    boxes = [box for box in map(canvas.box, canvas.objects) if box is not None]
    if "bearing_deg" in facts:
        images = [0]
    elif count <= _MOST_RAYS and any(n in facts for n in ("ranges_m", "range_a_m", "turn_deg")):
        images = list(range(count))
    else:
        return
    for camera in filter(None, map(canvas.camera, images)):
        for box in boxes:
            canvas.top.append(line("measure", [(camera.x, camera.y), (box.x, box.y)]))


def turns_between(canvas: Canvas) -> None:
    """`angle_deg`, `angles_deg`, `bearings_deg`: where one stands, faces and turns, by objects.

    With `legs_m` the objects are passed one after the other; else one stands at the first, faces
    the second and looks for the third, the others being wrong answers.
    """
    facts, boxes = canvas.facts, [canvas.box(number) for number in canvas.objects]
    known = [(box.x, box.y) for box in boxes if box is not None]
    if len(known) != len(boxes) or len(known) < 2:
        return
    angles = numbers(facts.get("angles_deg"), (None,)) is not None
    if angles and "legs_m" in facts:
        canvas.top += [arrow("route", a, b) for a, b in pairwise(known)]
    elif angles or _number(facts.get("angle_deg")) is not None or "bearings_deg" in facts:
        canvas.top.append(arrow("facing", known[0], known[1]))
        canvas.top += [line("ray", [known[0], other]) for other in known[3:]]
        canvas.top += [arrow("arrow", known[0], target) for target in known[2:3]]


def grid_of_cells(canvas: Canvas) -> None:
    """`places` of objects on a map of cells: the map's grid, where those places are."""
    places = numbers(canvas.facts.get("places"), (None, 2))
    boxes = [box for box in map(canvas.box, canvas.objects) if box is not None]
    if places is not None and len(places) == len(boxes) > 2 and "cells" in canvas.facts:
        canvas.top += grid_through(places, np.array([(box.x, box.y) for box in boxes]))


def measured_side(canvas: Canvas) -> None:
    """`axis` of one object: the side of its box that was measured, on the map and in the images."""
    axis = canvas.facts.get("axis")
    if canvas.plan is None or axis not in (0, 1, 2) or len(canvas.objects) != 1:
        return
    row = canvas.plan.objects.get(canvas.objects[0])
    if row is None:
        return
    half = row.box_R[:, axis] * row.box_size[axis] / 2
    ends = np.stack([row.box_center - half, row.box_center + half])
    if axis < 2:
        canvas.top.append(line("measure", canvas.above.page(ends)))
    for k, frame in enumerate(canvas.record.frames):
        uv = canvas.plan.pixels(frame, ends)
        if uv is not None:
            canvas.on_image(k, line("measure", uv))


def pixels(canvas: Canvas) -> None:
    """`uv`, `u` and `v`, `points[].uv`, `distractor_uv`: rings on the images."""
    facts = canvas.facts
    single = numbers(facts.get("uv"), (2,))
    if single is None and _number(facts.get("u")) is not None:
        single = numbers([facts.get("u"), facts.get("v")], (2,))
    several = numbers(facts.get("uv"), (None, 2))
    wrong = numbers(facts.get("distractor_uv"), (None, 2))
    if single is not None:
        _ring(canvas, 0, single, _metres(facts.get("z_m")))
    for k, uv in enumerate(several if several is not None else ()):
        depths = facts.get("z_m")
        z = depths[k] if isinstance(depths, list) and k < len(depths) else None
        _ring(canvas, k, uv, _metres(z))
    for uv in wrong if wrong is not None else ():
        _ring(canvas, len(canvas.record.images) - 1, uv, "", "other-ring")
    points = facts.get("points")
    for one in points if isinstance(points, list) else ():
        uv = numbers(one.get("uv"), (2,)) if isinstance(one, dict) else None
        if uv is not None:
            _ring(canvas, 0, uv, _metres(one.get("z_m")))


def boxes_of_objects(canvas: Canvas) -> None:
    """`box`, `before` and `references`: what is to be seen of objects, framed; `point`: a ring."""
    facts, last = canvas.facts, len(canvas.record.images) - 1
    point = numbers(facts.get("point"), (2,))
    if point is not None:
        _ring(canvas, last, point, "")
    framed = [(last, facts.get("box")), (0, facts.get("before"))]
    listed = facts.get("references")
    for one in listed if isinstance(listed, list) else []:
        if isinstance(one, Mapping) and type(one.get("image")) is int:
            framed.append((one["image"] - 1, one.get("box")))
    for number, stored in framed:
        box = numbers(stored, (4,))
        if box is not None:
            u0, v0, u1, v1 = box.tolist()
            corners = [(u0, v0), (u1, v0), (u1, v1), (u0, v1)]
            canvas.on_image(number, line("object", corners, closed=True))


def _ring(canvas: Canvas, number: int, uv: Float64, text: str, name: str = "ring") -> None:
    if not 0 <= number < len(canvas.record.images):
        return
    width = canvas.record.images[number].width
    radius = _RING * width
    canvas.on_image(number, ring(name, uv, radius))
    if text:
        low = uv[1] > 0.85 * canvas.record.images[number].height
        place = uv + np.array([0.0, -1.5 if low else 2.4]) * radius
        canvas.on_image(number, label("depth", place, text))


def _metres(value: Any) -> str:
    metres = _number(value)
    return "" if metres is None else f"{metres:.2f} m"


RULES: tuple[Callable[[Canvas], None], ...] = (
    free_floor, named_objects, stored_cameras, camera_moves, items_are_points, world_points,
    places_and_route, gaps, seen_from, turns_between, grid_of_cells, measured_side, pixels,
    boxes_of_objects,
)  # fmt: skip
