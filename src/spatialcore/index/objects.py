# SPDX-License-Identifier: Apache-2.0
"""Objects of a scene: their boxes, what each frame sees of them, and which frames cover them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spatialcore.bitmask import BitMask
from spatialcore.box import OrientedBox, contains_points
from spatialcore.index.rules import Rules
from spatialcore.index.tables import ObjectFrames, ObjectRow, ViewSetTable
from spatialcore.relations.boxes import gravity_box
from spatialcore.types import Float64, Object3D

AXES = ("aligned", "oriented")
# The surface of an object lies on the faces of its box, so they move out a little; the floor or the
# table that it stands on lies on the lowest one, which moves in, at most to half the height.
BOX_MARGIN_M, BOX_FOOT_M = 0.01, 0.02
_SLACK_M = 1e-3  # float32 coordinates and bounds are rounded apart


def is_excluded(rules: Rules, raw_category: str, category: str) -> bool:
    """Whether an object is structure (walls, floors, ...) rather than something to ask about."""
    tested = category if rules.excluded_on == "canonical" else raw_category
    return tested in rules.excluded_categories


def seen_threshold(rules: Rules, vertex_count: int) -> int:
    """Visible vertices from which on a frame sees an object.

    Default max(20, ceil(5 %)), published max(1, floor(5 %)): the share is rounded up where the
    least number is above 1.
    """
    share = rules.object_min_share * vertex_count
    # 0.05 * 40 must be 2 and not 3: shares are decimal, so rounding noise is taken off first.
    share = round(share, 9)
    rounded = math.ceil(share) if rules.object_min_vertices > 1 else math.floor(share)
    return max(rules.object_min_vertices, rounded)


def is_flat(rules: Rules, size: ArrayLike) -> bool:
    """Whether an object (its (3,) sides in metres) is as flat as twice the noise of a depth map.

    A book that lies on a shelf is as near to its readings as the shelf, from whose edge it may be
    hidden.
    """
    return bool(np.min(size) < 2 * rules.surface_absolute_m)


def shows(
    rules: Rules,
    surface_count: ArrayLike,
    inside_count: ArrayLike,
    least: ArrayLike,
    flat: ArrayLike = False,
) -> NDArray[np.bool_]:
    """Whether frames show objects to someone who looks at the image; any shapes that broadcast.

    Enough of an object must be on the surface that the depth map shows, and enough of what lies in
    the image: a wall in front of it is nearer than the sensor's noise, however thin it is.

    Args:
        rules: Which share of the vertices in the image is enough.
        surface_count: `ObjectFrames.surface_count`.
        inside_count: `ObjectFrames.inside_count`.
        least: Vertices from which on an object counts as seen, see `seen_threshold`.
        flat: Whether twice the share is asked for, see `is_flat`.
    """
    surface, inside = np.asarray(surface_count, np.int64), np.asarray(inside_count, np.int64)
    share = rules.surface_share if rules.objects == "surface" else 0.0
    shares = np.where(flat, min(1.0, 2 * share), share)
    enough: NDArray[np.bool_] = (surface >= np.asarray(least)) & (surface >= shares * inside)
    return enough


def object_vertices(
    instance: NDArray[np.int32], object_ids: Sequence[int]
) -> list[NDArray[np.int64]]:
    """Rows of each object's vertices, ascending."""
    order = np.argsort(instance, kind="stable")
    ordered = instance[order]
    first = np.searchsorted(ordered, object_ids, side="left")
    last = np.searchsorted(ordered, object_ids, side="right")
    return [order[a:b] for a, b in zip(first, last, strict=True)]


def box_of_points(box: OrientedBox, index_from_world: Float64, up_known: bool) -> OrientedBox:
    """What holds the points of an object: its box with the faces moved.

    Args:
        box: In the source's world.
        index_from_world: (4, 4) rigid.
        up_known: Whether the index's z is up, so that there is a lowest face.
    """
    turned = box.turned(index_from_world)
    center, size = turned.center, turned.size + 2 * BOX_MARGIN_M
    if up_known:
        k = int(np.abs(turned.R[2]).argmax())
        cut = BOX_MARGIN_M + min(BOX_FOOT_M, 0.5 * float(turned.size[k]))
        size[k] -= cut
        center = center + turned.R[:, k] * (math.copysign(0.5, turned.R[2, k]) * cut)
    return OrientedBox(center, size, turned.R)


def points_in_boxes(
    objects: Sequence[Object3D],
    points: NDArray[np.float32],
    instance: NDArray[np.int32],
    index_from_world: Float64,
    up_known: bool,
) -> NDArray[np.int32]:
    """Instances of the points after objects that have none took those in their boxes.

    A point that has an object keeps it; of several boxes the smallest takes it, so that a cushion
    is not the sofa's; on a tie the lower id.

    Args:
        objects: As annotated; boxes in the source's world.
        points: (P, 3) float32 in the index's world.
        instance: (P,) object id of each point, -1 = none.
        index_from_world: (4, 4) rigid.
        up_known: Whether the index's z is up.
    """
    drawn = set(np.unique(instance).tolist())
    boxed = [
        (box_of_points(o.box, index_from_world, up_known), o.object_id)
        for o in objects
        if o.box is not None and o.object_id not in drawn
    ]
    if not boxed:
        return instance
    taken = instance.copy()
    along = np.argsort(points[:, 0], kind="stable")  # a box looks at the points of its slab alone
    x = points[along, 0]
    for box, object_id in sorted(boxed, key=lambda pair: (pair[0].volume, pair[1])):
        first, last = np.searchsorted(x, [box.bounds[0][0] - _SLACK_M, box.bounds[1][0] + _SLACK_M])
        near = along[first:last]
        near = near[taken[near] < 0]
        with np.errstate(invalid="ignore"):  # a damaged vertex is in no box
            taken[near[contains_points(box, points[near])]] = object_id
    return taken


def object_rows(
    objects: Sequence[Object3D], points: NDArray[np.float32], instance: NDArray[np.int32]
) -> tuple[tuple[ObjectRow, ...], int]:
    """Objects with vertices, by id, and how many have none.

    Args:
        objects: As annotated.
        points: (P, 3) float32 in the index's world.
        instance: (P,) object id of each point.
    """
    ordered = sorted(objects, key=lambda o: o.object_id)
    vertices = object_vertices(instance, [o.object_id for o in ordered])
    rows = []
    for item, index in zip(ordered, vertices, strict=True):
        found = points[index].astype(np.float64)
        found = found[np.isfinite(found).all(axis=1)]
        if not len(found):
            continue
        lo, hi = found.min(axis=0), found.max(axis=0)
        box = gravity_box(found)
        rows.append(
            ObjectRow(
                object_id=item.object_id,
                raw_category=item.raw_category,
                category=item.category,
                vertex_count=len(found),
                box_aligned=np.concatenate([lo, hi]),
                box_center=box.center,
                box_size=box.size,
                box_R=box.R,
            )
        )
    return tuple(rows), len(ordered) - len(rows)


def visible_counts(
    visible: BitMask, instance: NDArray[np.int32], object_ids: Sequence[int]
) -> NDArray[np.int64]:
    """(F, O) visible vertices: one counting pass over each frame's visible points."""
    counts = np.zeros((visible.frame_count, len(object_ids)), np.int64)
    if not len(object_ids):
        return counts
    ids = np.asarray(object_ids)
    slot = np.searchsorted(ids, instance)
    slot = np.where(ids[np.minimum(slot, len(ids) - 1)] == instance, slot, len(ids))
    for frame in range(visible.frame_count):
        found = np.bincount(slot[visible.indices(frame)], minlength=len(ids) + 1)
        counts[frame] = found[: len(ids)]
    return counts


def object_frame_table(
    rows: Sequence[ObjectRow],
    points: NDArray[np.float32],
    instance: NDArray[np.int32],
    visible: BitMask,
    frames: NDArray[np.int32],
    *,
    surface: BitMask | None = None,
    inside: BitMask | None = None,
) -> ObjectFrames:
    """What each frame sees of each object.

    Args:
        rows: Objects by id.
        points: (P, 3) float32.
        instance: (P,).
        visible: F x P.
        frames: (F,) frame of each row of the mask.
        surface: F x P, points on the surface that the map shows; None takes the visible ones.
        inside: F x P, points in the image; None likewise.
    """
    from spatialcore.coverage import axis_extents

    ids = [r.object_id for r in rows]
    counts = visible_counts(visible, instance, ids)
    surface, inside = (visible if mask is None else mask for mask in (surface, inside))
    by_mask = {id(visible): counts}
    for mask in (surface, inside):
        if id(mask) not in by_mask:
            by_mask[id(mask)] = visible_counts(mask, instance, ids)
    object_slot, frame_slot = np.nonzero(counts.T)
    on_visible, on_surface, in_image = (
        by_mask[id(mask)].T[object_slot, frame_slot].astype(np.uint32)
        for mask in (visible, surface, inside)
    )
    ends: list[Float64] = []
    vertices = object_vertices(instance, ids)
    for axes in AXES:
        turns = np.stack([_axes(r, axes) for r in rows]) if rows else np.zeros((0, 3, 3))
        lo, hi = axis_extents(points, surface, vertices, turns)
        ends += [lo[object_slot, frame_slot], hi[object_slot, frame_slot]]
    lo_aligned, hi_aligned, lo_oriented, hi_oriented = ends
    return ObjectFrames(
        np.array(ids, np.int32)[object_slot],
        frames[frame_slot],
        on_visible,
        on_surface,
        in_image,
        lo_aligned,
        hi_aligned,
        lo_oriented,
        hi_oriented,
    )


def _axes(row: ObjectRow, axes: str) -> Float64:
    """(3, 3) whose rows are the axes."""
    return np.eye(3) if axes == "aligned" else row.box_R.T


def axis_sides(row: ObjectRow, axes: str) -> dict[str, tuple[int, float]]:
    """Height, length and width of an object: the axis that carries each, and its side in metres.

    Height is z; of the horizontal sides the longer is length, the shorter width; on a tie length is
    the first axis.
    """
    size = row.box_aligned[3:] - row.box_aligned[:3] if axes == "aligned" else row.box_size
    length, width = (0, 1) if size[0] >= size[1] else (1, 0)
    return {
        "height": (2, float(size[2])),
        "length": (length, float(size[length])),
        "width": (width, float(size[width])),
    }


def view_set_table(rows: Sequence[ObjectRow], table: ObjectFrames, rules: Rules) -> ViewSetTable:
    """Minimal covering sets of the frames that see an object, for both kinds of axes.

    Structure is left out, and so is a side of length 0.
    """
    from spatialcore.coverage import minimal_view_sets

    ids: list[int] = []
    axis_names: list[str] = []
    axes_names: list[str] = []
    blocks: list[NDArray[np.int32]] = []
    for row in rows:
        if is_excluded(rules, row.raw_category, row.category):
            continue
        of_object = table.object_id == row.object_id
        least = seen_threshold(rules, row.vertex_count)
        seen = of_object & shows(rules, table.surface_count, table.inside_count, least)
        frames = table.frame[seen]
        for name in ("height", "length", "width"):
            for axes in AXES:
                axis, side = axis_sides(row, axes)[name]
                if not side > 0 or not len(frames):
                    continue
                lo = getattr(table, f"lo_{axes}")[seen, axis]
                hi = getattr(table, f"hi_{axes}")[seen, axis]
                sets = minimal_view_sets(lo, hi, side)
                singles, pairs = frames[sets.singles], frames[sets.pairs]
                block = np.full((len(singles) + len(pairs), 2), -1, np.int32)
                block[: len(singles), 0] = singles
                block[len(singles) :] = pairs
                blocks.append(block)
                ids += [row.object_id] * len(block)
                axis_names += [name] * len(block)
                axes_names += [axes] * len(block)
    return ViewSetTable(
        np.array(ids, np.int32),
        axis_names,
        axes_names,
        np.concatenate(blocks) if blocks else np.zeros((0, 2), np.int32),
    )
