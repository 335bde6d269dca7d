# SPDX-License-Identifier: Apache-2.0
"""Objects that a question points at in an image instead of naming them: by box, point or mask.

A reference is where one of the shown images shows the object best. Its box is that of the pixels of
the vertices that are to be seen there, its point the vertex in their middle at which a mark may
stand, its mask the cells of the image that show it. A layout whose objects are pointed at has no
names: each object is the only one of its kind, so several chairs can be told apart, and no guard on
names refuses them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spatial_engine.engines.context import SceneContext
from spatial_engine.engines.frame_masks import FrameMasks, Paint, pixel_keys
from spatial_engine.engines.layout_scene import LayoutScene, layout_of
from spatial_engine.engines.mark_place import around, mark_place
from spatial_engine.engines.masks import mask_cells
from spatial_engine.records.answers import norm1000
from spatial_engine.records.marks import (
    Mark,
    Refer,
    box_mark,
    mark_radius,
    mask_mark,
)
from spatial_engine.records.place import Place
from spatialcore.relations.verdict import Reason
from spatialcore.types import Float64, transform_points

if TYPE_CHECKING:
    from spatial_engine.engines.seen_parts import SeenParts
    from spatial_engine.reference.scene import ReferenceScene

By = Refer
Corners = tuple[int, int, int, int]

LEAST_SIDE = 0.03  # of the image's width, that either side of a box has
EVEN_SHARE = 0.25  # of the image, that the longer side of a box has where sizes are asked
LEAST_SEEN = 0.15  # of an object's vertices, that are on the surface where it is pointed at
MOST_IOU = 0.5  # of two boxes of an image that are to be told apart
POOL = 8  # objects of a set of frames that are asked about: 336 ordered sets of three
COLOURS = ("red", "green", "blue", "yellow", "magenta")  # as many as a question has objects

# What stands after "the" for an object. One wording of a record serves all of its objects.
PHRASES: Mapping[str, tuple[str, ...]] = {
    "boxed drawn": (
        "object in the {colour} box of {image}",
        "object framed in {colour} in {image}",
        "object inside the {colour} rectangle of {image}",
    ),
    "boxed given": (
        "object in the box {place} of {image}",
        "object that fills the box {place} in {image}",
        "object at {place} in {image}",
    ),
    "pointed drawn": (
        "object under the {colour} dot in {image}",
        "object with the {colour} point in {image}",
        "object marked by the {colour} disc in {image}",
    ),
    "pointed given": (
        "object at the point {place} of {image}",
        "object seen at {place} in {image}",
        "object with the point {place} on it in {image}",
    ),
    "masked drawn": (
        "object under the {colour} mask in {image}",
        "object tinted {colour} in {image}",
        "object coloured over in {colour} in {image}",
    ),
}


class Reference(NamedTuple):
    """Where an image shows an object.

    Attributes:
        frame: The image's frame.
        corners: First column and row, last column and row of its pixels.
        point: Pixel of a vertex in their middle; () where a box is enough.
        runs: Of the cells that show it (`records.runs`), where a mask is drawn.
    """

    frame: int
    corners: Corners
    point: tuple[int, ...] = ()
    runs: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Sights:
    """Which pixels of the shown images show which objects.

    Attributes:
        layout: The objects with their names.
        size_of: (W, H) of a frame's image.
        project: Pixels (n, 2) of rows of the cloud in a frame.
        markable: Which rows of the cloud, all of them seen by a frame, may carry a mark there.
        paint: The cells of an image of some size that show pixels, and not other ones.
    """

    layout: LayoutScene
    size_of: Callable[[int], tuple[int, int]]
    project: Callable[[int, NDArray[np.intp]], Float64]
    markable: Callable[[int, NDArray[np.intp]], NDArray[np.bool_]]
    paint: Paint
    _pixels: dict[int, dict[int, tuple[NDArray[np.intp], Float64]]] = field(default_factory=dict)
    _boxes: dict[int, dict[int, Corners]] = field(default_factory=dict)
    _masks: dict[int, FrameMasks] = field(default_factory=dict)
    _seen_around: dict[int, NDArray[np.int64]] = field(default_factory=dict)
    _found: dict[tuple[int, int, By], Reference | Reason] = field(default_factory=dict)

    def pixels(self, frame: int) -> Mapping[int, tuple[NDArray[np.intp], Float64]]:
        """For each object that a frame shows the rows that are to be seen, and their pixels."""
        if frame not in self._pixels:
            parts, ids = self.layout.parts, [item.object_id for item in self.layout.objects]
            rows, owner = parts.labelled(frame) if parts else (np.zeros(0, np.intp),) * 2
            uv = self.project(frame, rows)
            clear = np.isfinite(uv).all(axis=1)
            rows, owner, uv = rows[clear], owner[clear], uv[clear]
            lo, hi = np.searchsorted(owner, ids), np.searchsorted(owner, ids, "right")
            there = hi > lo
            self._pixels[frame] = {
                ids[k]: (rows[lo[k] : hi[k]], uv[lo[k] : hi[k]]) for k in np.flatnonzero(there)
            }
        return self._pixels[frame]

    def boxes(self, frame: int) -> Mapping[int, Corners]:
        """The box of the visible pixels of each object that a frame sees anything of."""
        if frame not in self._boxes:
            last, pixels = np.array(self.size_of(frame)) - 1, self.pixels(frame)
            ends = np.zeros((len(pixels), 2, 2))
            if pixels:
                every = np.concatenate([uv for _, uv in pixels.values()])
                starts = np.cumsum([0, *(len(uv) for _, uv in pixels.values())])[:-1]
                for k, end in enumerate((np.minimum, np.maximum)):
                    ends[:, k] = np.clip(np.rint(end.reduceat(every, starts)), 0, last)
            corners = ends.reshape(-1, 4).astype(np.int64).tolist()
            self._boxes[frame] = {
                k: (u0, v0, u1, v1) for k, (u0, v0, u1, v1) in zip(pixels, corners, strict=True)
            }
        return self._boxes[frame]

    def masks(self, frame: int) -> FrameMasks:
        """What a frame shows of its objects, as cells."""
        if frame not in self._masks:
            size, parts = self.size_of(frame), self.layout.parts
            uv = self.project(frame, self._rest(frame, parts) if parts else np.zeros(0, np.intp))
            own = {k: pixel_keys(mine, size) for k, (_, mine) in self.pixels(frame).items()}
            rest = pixel_keys(uv[np.isfinite(uv).all(axis=1)], size)
            self._masks[frame] = FrameMasks(size, rest, own, self.paint)
        return self._masks[frame]

    def _rest(self, frame: int, parts: SeenParts) -> NDArray[np.intp]:
        """Rows that a frame shows of nothing, or of what is none of the layout's objects."""
        rows, owner = parts.labelled(frame)
        ids = [item.object_id for item in self.layout.objects]
        return np.concatenate([parts.unlabelled(frame), rows[~np.isin(owner, ids)]])

    def drawn(self, object_id: int, one: Reference) -> Reference:
        """A reference with the runs of the cells that show the object."""
        return one._replace(runs=self.masks(one.frame).runs(object_id))

    def at(self, object_id: int, frame: int, by: By) -> Reference | Reason:
        """Where a frame shows an object, or why one cannot point at it there.

        Returns:
            `category_not_seen` (the frame does not show it), `object_partial` (too little of it),
            `box_small`, `box_ambiguous` (the box is nearly that of another object), `mask_small`
            (few cells show it), `mask_thin` (few cells, nearly all at the mask's edge), or
            `no_visible_points` (no vertex may carry a mark, or others are seen around each).
        """
        key = object_id, frame, by
        if key not in self._found:
            self._found[key] = self._at(*key)
        return self._found[key]

    def _at(self, object_id: int, frame: int, by: By) -> Reference | Reason:
        layout = self.layout
        row = layout.objects.index(layout.object(object_id))
        column = layout.frames.index(frame)
        boxes = self.boxes(frame)
        if not layout.shown[row, column] or object_id not in boxes or layout.parts is None:
            return Reason.CATEGORY_NOT_SEEN
        rows, uv = self.pixels(frame)[object_id]
        if len(rows) < LEAST_SEEN * layout.vertex_count[row]:
            return Reason.OBJECT_PARTIAL
        u0, v0, u1, v1 = corners = boxes[object_id]
        if min(u1 - u0, v1 - v0) < LEAST_SIDE * self.size_of(frame)[0]:
            return Reason.BOX_SMALL
        others = (box for k, box in boxes.items() if k != object_id)
        if by == "boxed":
            near = any(iou(corners, other) >= MOST_IOU for other in others)
            return Reason.BOX_AMBIGUOUS if near else Reference(frame, corners)
        if by == "masked":
            return self.masks(frame).fault(object_id) or Reference(frame, corners)
        if frame not in self._seen_around:
            self._seen_around[frame] = around(self.project(frame, layout.parts.rows(frame)))
        radius = mark_radius(self.size_of(frame)[0])
        place = mark_place(uv, self.markable(frame, rows), self._seen_around[frame], radius)
        return Reference(frame, corners, place) if place else Reason.NO_VISIBLE_POINTS

    def evenly(self, object_id: int, by: By) -> Reference | Reason:
        """Where the box of an object is nearest to the share of an image that all are to have.

        Boxes of one size tell nothing of the size of what is in them: large things are pointed at
        from afar, or where a part of them shows.
        """
        near = [
            (abs(self._octaves(frame, self.boxes(frame)[object_id])), frame)
            for frame in self.layout.frames
            if object_id in self.boxes(frame)
        ]
        # Few are looked at: whether one can point at it costs more than the size of its box.
        for _, frame in sorted(near):
            if isinstance(found := self.at(object_id, frame, by), Reference):
                return found
        return self.best(object_id, by)

    def octaves(self, one: Reference) -> float:
        """By how many doublings the longer side of a box is over the share of all."""
        return self._octaves(one.frame, one.corners)

    def _octaves(self, frame: int, corners: Corners) -> float:
        size, (u0, v0, u1, v1) = self.size_of(frame), corners
        longer = max((u1 - u0) / size[0], (v1 - v0) / size[1])
        return math.log2(longer / EVEN_SHARE) if longer else -math.inf

    def best(self, object_id: int, by: By) -> Reference | Reason:
        """Where the images show most of an object, of those that one can point at it in."""
        counts = [
            (-len(self.pixels(frame)[object_id][0]), frame)
            for frame in self.layout.frames
            if object_id in self.pixels(frame)
        ]
        first: Reference | Reason = Reason.CATEGORY_NOT_SEEN
        for _, frame in sorted(counts):
            found = self.at(object_id, frame, by)
            if isinstance(found, Reference):
                return found
            first = found if first is Reason.CATEGORY_NOT_SEEN else first
        return first


def iou(a: Sequence[float], b: Sequence[float]) -> float:
    """Intersection over union of two boxes of first and last columns and rows.

    Example:
        >>> iou((0, 0, 2, 2), (1, 0, 3, 2))
        0.3333333333333333
    """
    wide, high = (max(0.0, min(a[k + 2], b[k + 2]) - max(a[k], b[k])) for k in (0, 1))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    whole = areas[0] + areas[1] - wide * high
    return wide * high / whole if whole > 0 else 0.0


def sights_of(scene: SceneContext | ReferenceScene, frames: tuple[int, ...]) -> Sights:
    """The sights of some frames, by the index or by the reference; made once."""
    if isinstance(scene, SceneContext):
        context = scene.on(frames)
        return context.cached("sights", lambda: _indexed_sights(context))
    reference = scene
    return reference.cached(("sights", frames), lambda: _source_sights(reference, frames))


def _indexed_sights(context: SceneContext) -> Sights:
    scene, layout = context.scene, layout_of(context, context.shown)

    def project(frame: int, rows: NDArray[np.intp]) -> Float64:
        points = np.asarray(scene.points)[rows]
        uv, _ = scene.color_camera(frame).project(
            transform_points(scene.cam_from_world(frame), points)
        )
        return uv

    def markable(frame: int, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
        words = scene.askable.words[scene.row_of_frame[frame]]
        bits = words[rows >> 6] >> (rows & 63).astype(np.uint64)
        return np.asarray((bits & np.uint64(1)) != 0)

    return Sights(
        layout, lambda frame: scene.color_camera(frame).size, project, markable, mask_cells
    )


def _source_sights(reference: ReferenceScene, frames: tuple[int, ...]) -> Sights:
    from spatial_engine.reference.masks import reference_mask_cells

    def markable(frame: int, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
        return np.array([not reason for reason in reference.guards(frame, rows).reasons()], bool)

    return Sights(
        layout_of(reference, frames),
        lambda frame: reference.camera(frame).size,
        lambda frame, rows: reference.project(frame, rows)[0],
        markable,
        reference_mask_cells,
    )


class Pointed(NamedTuple):
    """A layout whose objects are pointed at.

    Attributes:
        layout: Objects named by their ids, those that can be pointed at.
        references: Where each of them is shown best.
        refused: How many others there are, by reason.
    """

    layout: LayoutScene
    references: Mapping[int, Reference]
    refused: Mapping[str, int]


def pointed_layout(
    scene: SceneContext | ReferenceScene, frames: tuple[int, ...], by: By
) -> Pointed:
    """The layout of some frames with its objects pointed at, made once for each form."""

    def make() -> Pointed:
        return _pointed(sights_of(scene, frames), by)

    if isinstance(scene, SceneContext):
        return scene.on(frames).cached(("pointed", by), make)
    return scene.cached(("pointed", frames, by), make)


def _pointed(sights: Sights, by: By) -> Pointed:
    layout = sights.layout
    found = {item.object_id: sights.best(item.object_id, by) for item in layout.objects}
    refused = Counter(str(one) for one in found.values() if isinstance(one, Reason))
    del refused[str(Reason.CATEGORY_NOT_SEEN)]  # what no image shows is nothing to ask about
    references = {k: one for k, one in found.items() if isinstance(one, Reference)}
    rows = [r for r, item in enumerate(layout.objects) if item.object_id in references]
    nameless = [layout.objects[r] for r in rows]
    things = tuple(item.renamed(f"#{item.object_id}") for item in nameless)  # the name is its id
    surface = layout.surface
    unnamed = replace(
        layout,
        objects=things,
        visible_count=layout.visible_count[rows],
        surface=None if surface is None else type(surface)(*(part[rows] for part in surface)),
        pool=_pool(layout, list(references), by),
        whole=layout,
        _by_id={},
        _directions={},
    )
    return Pointed(unnamed, references, refused)


def _pool(layout: LayoutScene, ids: Sequence[int], by: By) -> frozenset[int]:
    """The objects that questions are about: those that no name tells apart come first."""
    named = {item.object_id for item in layout.unique}
    draw_of = {k: layout.place.draw(f"reference.{by}", (k,), "pool") for k in ids}
    return frozenset(sorted(ids, key=lambda k: (k in named, draw_of[k], k))[:POOL])


def phrase_of(
    reference: Reference, place: Place, frames: Sequence[int], text: str, colour: str
) -> str:
    """What a text says for an object that it points at."""
    number = "the image" if len(frames) == 1 else f"image {frames.index(reference.frame) + 1}"
    where = reference.point or reference.corners
    image = place.frame_images[reference.frame]
    shares = [
        n for k in range(0, len(where), 2)
        for n in norm1000(where[k], where[k + 1], image.width, image.height)
    ]  # fmt: skip
    said = f"[ {' , '.join(map(str, shares))} ]"
    return text.format(colour=colour, image=number, place=said)


def mark_of(reference: Reference, place: Place, colour: str) -> Mark:
    """The frame around an object, the mask over it, or the disc on it."""
    width = place.frame_images[reference.frame].width
    if reference.point:
        u, v = map(float, reference.point)
        return Mark(u, v, mark_radius(width), colour)
    u0, v0, u1, v1 = map(float, reference.corners)
    if reference.runs:
        return mask_mark(reference.runs, (u0, v0, u1, v1), width, colour)
    return box_mark((u0, v0, u1, v1), width, colour)
