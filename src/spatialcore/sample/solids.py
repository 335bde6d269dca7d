# SPDX-License-Identifier: Apache-2.0
"""Solids, materials and items: what a procedural room is built of.

An item (a table, a lamp) is a list of convex solids in its own frame: x to the right of someone
facing it, y away from its front, z up, the origin on the floor at the middle of its footprint.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from spatialcore.types import Float64

BOX, CYLINDER, ELLIPSOID = 0, 1, 2
TEXTURES = (
    "plain",
    "wood",
    "tiles",
    "fabric",
    "brick",
    "rug",
    "planks",
    "screen",
    "picture",
    "sky",
    "panels",
    "drawers",
    "keys",
    "leaf",
    "stripes",
    "speckle",
)


GLASS = 1.4  # absorption of a pane: the sensor has no reading through it, from nowhere


@dataclass(frozen=True, slots=True)
class Material:
    """Look of a surface.

    Attributes:
        texture: One of `TEXTURES`.
        colour: 0xRRGGBB.
        accent: Second colour of the pattern; None = the first, darkened.
        scale: Metres of one pattern element, or the number of drawers.
        glow: 0 = lit by the lamps, 1 = shines by itself.
        absorption: 0..1, how readily the depth sensor loses it; `GLASS` gives no reading at all.
        seed: Varies the pattern.
    """

    texture: str
    colour: int
    accent: int | None = None
    scale: float = 0.1
    glow: float = 0.0
    absorption: float = 0.0
    seed: int = 0

    def row(self) -> list[float]:
        """The renderer's 11 numbers; colours become linear by squaring (its curve is sqrt)."""
        first = _linear(self.colour)
        second = [0.55 * c for c in first] if self.accent is None else _linear(self.accent)
        return [
            float(TEXTURES.index(self.texture)),
            *first,
            *second,
            self.scale,
            self.glow,
            self.absorption,
            float(self.seed),
        ]


def _linear(colour: int) -> list[float]:
    return [((colour >> shift & 255) / 255.0) ** 2 for shift in (16, 8, 0)]


@dataclass(frozen=True, slots=True, eq=False)
class Solid:
    """A convex solid in some outer frame.

    Attributes:
        kind: BOX, CYLINDER (axis z) or ELLIPSOID.
        R: (3, 3) outer_from_solid rotation.
        t: (3,) centre, metres.
        half: (3,) half sizes, metres.
        material: Its look.
    """

    kind: int
    R: Float64
    t: Float64
    half: Float64
    material: Material

    def moved(self, R: Float64, t: Float64) -> Solid:
        """The solid seen from a frame further out."""
        return replace(self, R=turn(R, self.R), t=turn(R, self.t) + t)

    def extent(self) -> tuple[Float64, Float64]:
        """Lowest and highest corner of the axis-aligned box of the solid, (3,) each."""
        if self.kind == BOX:
            reach = np.abs(self.R) @ self.half
        elif self.kind == ELLIPSOID:
            reach = np.sqrt((self.R**2) @ self.half**2)
        else:
            reach = np.sqrt((self.R[:, :2] ** 2) @ self.half[:2] ** 2)
            reach = reach + np.abs(self.R[:, 2]) * self.half[2]
        return self.t - reach, self.t + reach


def turn(R: Float64, x: Float64) -> Float64:
    """R @ x for a (3, 3) or (3,) x, summed in a fixed order."""
    if x.ndim == 1:
        turned: Float64 = (R[:, 0] * x[0] + R[:, 1] * x[1]) + R[:, 2] * x[2]
    else:
        turned = (R[:, :1] * x[:1] + R[:, 1:2] * x[1:2]) + R[:, 2:] * x[2:]
    return turned


def rotation(axis: str, angle: float) -> Float64:
    """(3, 3) right-handed rotation by `angle` radians about one axis."""
    c, s = math.cos(angle), math.sin(angle)
    i, j = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    R = np.eye(3)
    R[i, i], R[i, j], R[j, i], R[j, j] = c, -s, s, c
    return R


@dataclass(eq=False)
class Item:
    """A piece of furniture in its own frame, with what stands on it.

    Attributes:
        raw_category: Label as an annotator would write it; "" = unlabelled structure.
        size: (width, depth, height) of the footprint that keeps others away, metres.
        solids: Its solids.
        children: (item, (x, y, z), yaw) of items that stand on or in it.
        top: Height on which other things may stand, or None.
        concealed: Where it is hidden ("in a closed box"), "" = nowhere. Its vertices stay in the
            mesh though no frame sees them, as an annotator leaves what is known to lie there.
    """

    raw_category: str
    size: tuple[float, float, float]
    solids: list[Solid] = field(default_factory=list)
    children: list[tuple[Item, tuple[float, float, float], float]] = field(default_factory=list)
    top: float | None = None
    concealed: str = ""

    def extent(self) -> tuple[Float64, Float64]:
        """Lowest and highest corner of its own solids, (3,) each."""
        ends = [solid.extent() for solid in self.solids]
        return np.min([lo for lo, _ in ends], axis=0), np.max([hi for _, hi in ends], axis=0)

    def resized(self, width: float, depth: float, height: float) -> Item:
        """The same thing in another size, before it carries anything.

        Sides along the item's axes become exactly what is asked for; a part that leans keeps its
        lean.
        """
        lo, hi = self.extent()
        s = np.array([width, depth, height]) / (hi - lo)
        solids = [
            replace(
                solid,
                t=solid.t * s,
                half=solid.half * np.sqrt(np.sum((s[:, None] * solid.R) ** 2, axis=0)),
            )
            for solid in self.solids
        ]
        top = None if self.top is None else self.top * float(s[2])
        size = (width, depth, height)
        return replace(self, size=size, solids=solids, children=[], top=top)

    def centred(self) -> Item:
        """The same thing with its footprint about the origin and its foot at z = 0.

        A thing's parts may reach further one way than the other: a teddy bear's feet.
        """
        lo, hi = self.extent()
        shift = np.array([*(-0.5 * (lo + hi)[:2]), -lo[2]])
        return replace(self, solids=[replace(part, t=part.t + shift) for part in self.solids])

    def _add(
        self,
        kind: int,
        centre: tuple[float, float, float],
        size: tuple[float, float, float],
        material: Material,
        R: Float64 | None,
    ) -> None:
        rotation_ = np.eye(3) if R is None else R
        half = 0.5 * np.array(size, dtype=np.float64)
        self.solids.append(Solid(kind, rotation_, np.array(centre, np.float64), half, material))

    def box(
        self,
        centre: tuple[float, float, float],
        size: tuple[float, float, float],
        material: Material,
        R: Float64 | None = None,
    ) -> None:
        """Add a box of full `size`."""
        self._add(BOX, centre, size, material, R)

    def cylinder(
        self,
        centre: tuple[float, float, float],
        radius: float,
        height: float,
        material: Material,
        R: Float64 | None = None,
    ) -> None:
        """Add a cylinder along its z axis."""
        self._add(CYLINDER, centre, (2 * radius, 2 * radius, height), material, R)

    def ellipsoid(
        self,
        centre: tuple[float, float, float],
        size: tuple[float, float, float],
        material: Material,
        R: Float64 | None = None,
    ) -> None:
        """Add an ellipsoid of full `size`."""
        self._add(ELLIPSOID, centre, size, material, R)

    def carry(
        self, child: Item, x: float, y: float, yaw: float = 0.0, z: float | None = None
    ) -> None:
        """Stand another item on the top, or at height z."""
        height = self.top if z is None else z
        if height is None:
            raise ValueError(f"{self.raw_category} has no top to stand on")
        self.children.append((child, (x, y, height), yaw))


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """An annotated object of a room.

    Attributes:
        object_id: 0-based.
        raw_category: Its label.
        solids: Solids in the room's frame.
        yaw: Turn of its frame about z, radians.
        parent: object_id of what it stands on or in, -1 = the floor or a wall.
        concealed: Where it is hidden from every frame, though the mesh holds it; "" = nowhere.
    """

    object_id: int
    raw_category: str
    solids: tuple[Solid, ...]
    yaw: float
    parent: int
    concealed: str = ""
