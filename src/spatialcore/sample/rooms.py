# SPDX-License-Identifier: Apache-2.0
"""An empty room and the rules for putting furniture into it without a collision.

The room's frame is axis-aligned: walls on the axes, floor at z = 0. It is the *aligned* frame of
the written scan; the scan's raw world is turned and shifted against it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from spatialcore.sample.dice import Dice
from spatialcore.sample.solids import Item, Material, Placed, Solid, rotation, turn
from spatialcore.types import Float64

WALL_THICKNESS = 0.1
CLEARANCE = 0.03  # metres that separate two footprints
STEP = 0.05  # metres between the places that are tried along a wall

Rectangle = tuple[float, float, float, float, float]  # x, y, width, depth, yaw


@dataclass(frozen=True, slots=True)
class Wall:
    """An edge of the floor polygon, walked with the room at the left.

    Attributes:
        start: (x, y).
        end: (x, y).
    """

    start: tuple[float, float]
    end: tuple[float, float]

    @property
    def length(self) -> float:
        """Metres."""
        return abs(self.end[0] - self.start[0]) + abs(self.end[1] - self.start[1])

    @property
    def along(self) -> tuple[float, float]:
        """Unit vector from start to end."""
        n = self.length
        return (self.end[0] - self.start[0]) / n, (self.end[1] - self.start[1]) / n

    @property
    def inward(self) -> tuple[float, float]:
        """Unit normal into the room."""
        x, y = self.along
        return -y, x

    def distances(self, points: Float64) -> Float64:
        """(n,) metres from (n, 2) points to the wall."""
        ends = np.array([self.start, self.end])
        off = np.maximum(np.maximum(ends.min(axis=0) - points, points - ends.max(axis=0)), 0.0)
        away: Float64 = np.hypot(off[:, 0], off[:, 1])
        return away

    @property
    def yaw(self) -> float:
        """Turn of an item whose back is at this wall."""
        x, y = self.inward
        return math.atan2(x, -y)

    def at(self, offset: float, out: float) -> tuple[float, float]:
        """Point `offset` along the wall and `out` metres into the room."""
        (ax, ay), (nx, ny) = self.along, self.inward
        return self.start[0] + ax * offset + nx * out, self.start[1] + ay * offset + ny * out


def corners(rect: Rectangle, grow: float = 0.0) -> Float64:
    """(4, 2) corners of a turned rectangle."""
    x, y, w, d, yaw = rect
    c, s = math.cos(yaw), math.sin(yaw)
    hx, hy = 0.5 * w + grow, 0.5 * d + grow
    return np.array(
        [
            [x + c * a - s * b, y + s * a + c * b]
            for a, b in ((-hx, -hy), (hx, -hy), (hx, hy), (-hx, hy))
        ]
    )


def rectangles_meet(first: Rectangle, second: Rectangle) -> bool:
    """Whether two turned rectangles come closer than `CLEARANCE`, by separating axes."""
    p, q = corners(first, 0.5 * CLEARANCE), corners(second, 0.5 * CLEARANCE)
    for yaw in (first[4], second[4]):
        for nx, ny in ((math.cos(yaw), math.sin(yaw)), (-math.sin(yaw), math.cos(yaw))):
            a, b = p[:, 0] * nx + p[:, 1] * ny, q[:, 0] * nx + q[:, 1] * ny
            if a.max() <= b.min() or b.max() <= a.min():
                return False
    return True


def door_leaf(look: Material) -> Item:
    """A closed door in its frame, with a knob; its back at y = 0 and a little behind."""
    item = Item("door", (0.99, 0.13, 2.1))
    panels = Material("panels", look.colour, look.accent, seed=look.seed)
    item.box((0, -0.01, 1.01), (0.86, 0.05, 2.02), panels)
    for x in (-0.46, 0.46):
        item.box((x, -0.015, 1.04), (0.07, 0.06, 2.08), look)
    item.box((0, -0.015, 2.06), (0.99, 0.06, 0.08), look)
    item.ellipsoid((0.36, -0.07, 1.02), (0.06, 0.06, 0.06), Material("plain", 0xB9A15A))
    return item


@dataclass(eq=False)
class Room:
    """A room under construction.

    Attributes:
        id: Scene id.
        kind: Name of the template.
        polygon: Corners of the floor, counter-clockwise, metres.
        height: Of the ceiling, metres.
        dice: Its draws.
    """

    id: str
    kind: str
    polygon: tuple[tuple[float, float], ...]
    height: float
    dice: Dice
    structure: list[Solid] = field(default_factory=list)
    objects: list[Placed] = field(default_factory=list)
    footprints: list[Rectangle] = field(default_factory=list)
    standing: dict[int, Rectangle] = field(default_factory=dict)
    flat: list[Rectangle] = field(default_factory=list)
    wall_spans: list[list[tuple[float, float, float, float]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.wall_spans = [[] for _ in self.walls]

    @property
    def walls(self) -> list[Wall]:
        """The walls in the order of the polygon."""
        n = len(self.polygon)
        return [Wall(self.polygon[k], self.polygon[(k + 1) % n]) for k in range(n)]

    @property
    def bounds(self) -> tuple[Float64, Float64]:
        """Lowest and highest (x, y) of the floor, (2,) each."""
        return np.min(self.polygon, axis=0), np.max(self.polygon, axis=0)

    @property
    def area(self) -> float:
        """Floor area in square metres."""
        x, y = np.array(self.polygon).T
        return float(0.5 * np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))

    def contains(self, points: Float64) -> NDArray[np.bool_]:
        """(n,) bool: which (n, 2) points lie in the floor polygon (even-odd rule)."""
        inside = np.zeros(len(points), dtype=np.bool_)
        for wall in self.walls:
            (x0, y0), (x1, y1) = wall.start, wall.end
            if y0 == y1:
                continue
            crosses = (points[:, 1] > min(y0, y1)) & (points[:, 1] <= max(y0, y1))
            inside ^= crosses & (points[:, 0] < x0 + (x1 - x0) * 0.5)
        return inside

    def fits(self, rect: Rectangle, ignore: Sequence[Rectangle] = ()) -> bool:
        """Whether a footprint lies in the room and meets no other."""
        edge = corners(rect, -0.001)
        probe = np.concatenate(
            [edge + (np.roll(edge, -1, axis=0) - edge) * t for t in (0, 0.25, 0.5, 0.75)]
        )
        if not self.contains(probe).all():
            return False
        return not any(rectangles_meet(rect, o) for o in self.footprints if o not in ignore)

    def add(self, item: Item, x: float, y: float, z: float, yaw: float, parent: int = -1) -> int:
        """Put an item and what it carries into the room; returns its id (-1 unlabelled)."""
        R, t = rotation("z", yaw), np.array([x, y, z])
        solids = [solid.moved(R, t) for solid in item.solids]
        object_id = -1
        if item.raw_category:
            object_id = len(self.objects)
            placed = Placed(
                object_id, item.raw_category, tuple(solids), yaw, parent, item.concealed
            )
            self.objects.append(placed)
        else:
            self.structure.extend(solids)
        for child, place, child_yaw in item.children:
            cx, cy, cz = (turn(R, np.array(place, dtype=np.float64)) + t).tolist()
            self.add(child, cx, cy, cz, yaw + child_yaw, object_id)
        return object_id

    def stand(
        self, item: Item, x: float, y: float, yaw: float, ignore: Sequence[Rectangle] = ()
    ) -> int | None:
        """Stand an item on the floor; None when it does not fit."""
        rect = (x, y, item.size[0], item.size[1], yaw)
        if not self.fits(rect, ignore):
            return None
        self.footprints.append(rect)
        object_id = self.add(item, x, y, 0.0, yaw)
        self.standing[object_id] = rect
        return object_id

    def against_wall(
        self,
        item: Item,
        slot: str,
        walls: Sequence[int] | None = None,
        gap: float = 0.03,
        near: float | None = None,
    ) -> tuple[int, float] | None:
        """Stand an item with its back at a wall; returns (wall, offset) or None.

        Args:
            item: The item.
            slot: Name of the draw that orders the places.
            walls: Walls to try in order; None = all in drawn order.
            gap: Metres between its back and the wall.
            near: Preferred share of the wall's length; None = drawn order of places.
        """
        order = self.dice.order(len(self.polygon), slot + "/wall") if walls is None else walls
        for k in order:
            wall = self.walls[k]
            half = 0.5 * item.size[0]
            count = int((wall.length - 2 * half - 0.04) / STEP) + 1
            if count < 1:
                continue
            offsets = [half + 0.02 + STEP * i for i in range(count)]
            places = self.dice.order(count, slot + "/place", k)
            if near is not None:
                places = sorted(places, key=lambda i: abs(offsets[i] - near * wall.length))
            for i in places:
                lo, hi = offsets[i] - half, offsets[i] + half
                if not self._wall_free(k, lo, hi, 0.0, item.size[2]):
                    continue
                x, y = wall.at(offsets[i], 0.5 * item.size[1] + gap)
                if self.stand(item, x, y, wall.yaw) is not None:
                    self.wall_spans[k].append((lo, hi, 0.0, item.size[2]))
                    return k, offsets[i]
        return None

    def hang(
        self,
        item: Item,
        z: float,
        slot: str,
        walls: Sequence[int] | None = None,
        over: bool = False,
    ) -> bool:
        """Hang an item at height z (its middle) on a free piece of wall; `over` furniture first."""
        order = self.dice.order(len(self.polygon), slot + "/wall") if walls is None else walls
        half, rise = 0.5 * item.size[0], 0.5 * item.size[2]
        for k in order:
            wall = self.walls[k]
            count = int((wall.length - 2 * half - 0.3) / STEP) + 1
            if count < 1:
                continue
            offsets = [half + 0.15 + STEP * i for i in self.dice.order(count, slot + "/place", k)]
            if over:
                low = [(a, b) for a, b, bottom, top in self.wall_spans[k] if bottom <= 0 < top < z]
                offsets.sort(key=lambda o: not any(a < o < b for a, b in low))
            for offset in offsets:
                span = (
                    offset - half - 0.05,
                    offset + half + 0.05,
                    z - rise - 0.05,
                    z + rise + 0.05,
                )
                if self._wall_free(k, *span):
                    self.wall_spans[k].append(span)
                    self.add(item, *wall.at(offset, 0.0), z, wall.yaw)
                    return True
        return False

    def _wall_free(self, k: int, lo: float, hi: float, bottom: float, top: float) -> bool:
        return all(
            hi <= a or lo >= b or top <= c or bottom >= d for a, b, c, d in self.wall_spans[k]
        )

    def lay(self, item: Item, x: float, y: float, yaw: float) -> bool:
        """Lay something flat, such as a rug, under the furniture; False when out of the room."""
        rect = (x, y, item.size[0], item.size[1], yaw)
        if not self.contains(corners(rect, 0.02)).all() or any(
            rectangles_meet(rect, o) for o in self.flat
        ):
            return False
        self.flat.append(rect)
        self.add(item, x, y, 0.0, yaw)
        return True

    def free_spot(self, item: Item, slot: str, yaw: float, edge: float | None = None) -> bool:
        """Stand an item at the first drawn free spot of a 10 cm grid; False when none is free.

        Args:
            item: The item.
            slot: Name of the draw that orders the spots.
            yaw: Its turn, radians.
            edge: Metres from its footprint to a wall within which spots come first, which keeps the
                middle of the floor free to walk on; None = all alike.
        """
        lo, hi = self.bounds
        nx, ny = (int(n) for n in (hi - lo) / 0.1)
        cells = np.array(self.dice.order(nx * ny, slot))
        spots = lo + 0.1 * (np.stack([cells % nx, cells // nx], axis=1) + 0.5)
        if edge is not None:
            reach = edge + 0.5 * max(item.size[:2])
            near = np.min([wall.distances(spots) for wall in self.walls], axis=0) < reach
            spots = spots[np.argsort(~near, kind="stable")]
        return any(self.stand(item, x, y, yaw) is not None for x, y in spots.tolist())

    def build_shell(
        self, floor: Material, wall_looks: Sequence[Material], ceiling: Material
    ) -> None:
        """Add floor, ceiling, walls and skirting boards."""
        lo, hi = self.bounds
        middle, size = 0.5 * (lo + hi), hi - lo + 2 * WALL_THICKNESS
        for name, z, look in (("floor", -0.05, floor), ("ceiling", self.height + 0.05, ceiling)):
            item = Item(name, (0.0, 0.0, 0.0))
            item.box((0, 0, 0), (size[0], size[1], 0.1), look)
            self.add(item, middle[0], middle[1], z, 0.0)
        n = len(self.polygon)
        for k, wall in enumerate(self.walls):
            before, after = self.walls[k - 1].along, self.walls[(k + 1) % n].along
            a = wall.along
            head = WALL_THICKNESS if before[0] * a[1] - before[1] * a[0] > 0 else 0.0
            tail = WALL_THICKNESS if a[0] * after[1] - a[1] * after[0] > 0 else 0.0
            item = Item("wall", (0.0, 0.0, 0.0))
            item.box(
                (0, 0, 0),
                (wall.length + head + tail, WALL_THICKNESS, self.height),
                wall_looks[k % len(wall_looks)],
            )
            x, y = wall.at(0.5 * (wall.length - head + tail), -0.5 * WALL_THICKNESS)
            self.add(item, x, y, 0.5 * self.height, wall.yaw)
            board = Item("", (0.0, 0.0, 0.0))
            board.box((0, 0, 0), (wall.length, 0.014, 0.08), Material("plain", 0xDEDBD3))
            self.add(board, *wall.at(0.5 * wall.length, 0.007), 0.04, wall.yaw)

    def add_door(
        self, wall: int, share: float, look: Material, size: tuple[float, float] = (0.99, 2.1)
    ) -> None:
        """Hang a closed door of (width, height) in a wall and keep the floor before it free."""
        item = door_leaf(look).resized(size[0], 0.13, size[1])
        self._opening(item, wall, share, 0.0, size[1] + 0.05)
        w = self.walls[wall]
        half = 0.5 * size[0] + 0.08
        offset = min(max(share * w.length, half), w.length - half)
        self.footprints.append((*w.at(offset, 0.4), size[0], 0.78, w.yaw))

    def add_window(
        self,
        wall: int,
        share: float,
        width: float,
        look: Material,
        span: tuple[float, float] = (0.9, 2.15),
    ) -> None:
        """Set a window with a view and a sill into a wall, between two heights."""
        lo, hi = span
        item = Item("window", (width, 0.1, hi - lo))
        item.box(
            (0, 0, 0.5 * (lo + hi)),
            (width, 0.05, hi - lo - 0.05),
            Material("sky", 0xFFFFFF, look.colour, glow=0.85, absorption=0.8, seed=look.seed),
        )
        item.box((0, -0.05, lo + 0.03), (width + 0.1, 0.16, 0.03), look)
        self._opening(item, wall, share, lo - 0.05, hi + 0.05)

    def _opening(self, item: Item, wall: int, share: float, bottom: float, top: float) -> None:
        w, half = self.walls[wall], 0.5 * item.size[0] + 0.08
        offset = min(max(share * w.length, half), w.length - half)
        self.wall_spans[wall].append((offset - half, offset + half, bottom, top))
        self.add(item, *w.at(offset, 0.0), 0.0, w.yaw)

    def solids(self) -> tuple[list[Solid], list[int]]:
        """All solids with the object id of each (-1 = none); the shell comes first."""
        everything = [(s, o.object_id) for o in self.objects for s in o.solids]
        everything += [(s, -1) for s in self.structure]
        return [s for s, _ in everything], [k for _, k in everything]
