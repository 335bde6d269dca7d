# SPDX-License-Identifier: Apache-2.0
"""The part of each object that frames show: what a question about nearness or size rests on.

A question is about whole objects, and a person judges by what is to be seen. Where the two would
give different answers, nothing is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from spatialcore.box import OrientedBox
from spatialcore.relations.scene_object import SceneObject
from spatialcore.relations.verdict import Answer, Reason, Rejection
from spatialcore.types import Float64

if TYPE_CHECKING:
    from spatialcore.index.tables import ObjectFrames

T = TypeVar("T")

ENDS_TOLERANCE = 0.1
"""Share of a side that the frames may leave unseen: the published rule of object sizes."""


class SeenParts:
    """The vertices of a scene's objects that frames show.

    Args:
        points: (P, 3) the cloud.
        instance: (P,) object id of each point, -1 = none.
        points_of: Rows of the points that tell what a frame shows of objects.
    """

    def __init__(
        self,
        points: NDArray[np.float32],
        instance: NDArray[np.int32],
        points_of: Callable[[int], NDArray[Any]],
    ) -> None:
        self._points, self._instance, self._points_of = points, instance, points_of
        self._frames: dict[int, tuple[NDArray[np.intp], NDArray[np.int32]]] = {}
        self._spans: dict[int, dict[int, tuple[int, int]]] = {}
        self._seen: dict[tuple[int, tuple[int, ...]], SceneObject | None] = {}
        self._parts: dict[tuple[int, str, tuple[int, ...]], SceneObject | None] = {}

    def rows(self, frame: int) -> NDArray[np.intp]:
        """Rows of all points that a frame shows, of objects or not, ascending."""
        found = np.asarray(self._points_of(frame))
        return np.flatnonzero(found) if found.dtype == np.bool_ else found

    def labelled(self, frame: int) -> tuple[NDArray[np.intp], NDArray[np.int32]]:
        """Rows of the points of objects that a frame shows, by object, and their objects."""
        if frame not in self._frames:
            rows = self.rows(frame)
            rows = rows[self._instance[rows] >= 0]
            rows = rows[np.argsort(self._instance[rows], kind="stable")]
            self._frames[frame] = rows, self._instance[rows]
        return self._frames[frame]

    def unlabelled(self, frame: int) -> NDArray[np.intp]:
        """Rows of the points that a frame shows of no object, ascending."""
        rows = self.rows(frame)
        return np.asarray(rows[self._instance[rows] < 0])

    def part(self, item: SceneObject, frames: Sequence[int]) -> SceneObject | None:
        """The object as the frames together show it: its box, and the vertices that are seen."""
        # The name belongs to who asks: what is pointed at has none, and both share these parts.
        key = item.object_id, item.category, tuple(frames)
        if key not in self._parts:
            seen = self._part(item, key[2])
            self._parts[key] = None if seen is None else seen.renamed(item.category)
        return self._parts[key]

    def _part(self, item: SceneObject, frames: tuple[int, ...]) -> SceneObject | None:
        # Frames that show nothing of it add nothing: many sets of frames show the same part.
        key = item.object_id, tuple(f for f in frames if item.object_id in self._span_of(f))
        if key not in self._seen:
            rows = _merged([self._rows(item.object_id, frame) for frame in key[1]])
            seen: Float64 = self._points[rows].astype(np.float64)
            if not np.isfinite(seen).all():
                seen = seen[np.isfinite(seen).all(axis=1)]
            self._seen[key] = (
                SceneObject(item.object_id, item.category, box=item.box, points=seen)
                if len(seen) else None
            )  # fmt: skip
        return self._seen[key]

    def _rows(self, object_id: int, frame: int) -> NDArray[np.intp]:
        """The rows of an object that a frame shows, ascending."""
        first, end = self._span_of(frame)[object_id]
        return self.labelled(frame)[0][first:end]

    def _span_of(self, frame: int) -> dict[int, tuple[int, int]]:
        """Where `labelled` holds the rows of each object that a frame shows."""
        if frame not in self._spans:
            _, ids = self.labelled(frame)
            starts = np.flatnonzero(np.diff(ids, prepend=-1))
            spans = pairwise([*starts.tolist(), len(ids)])
            self._spans[frame] = dict(zip(ids[starts].tolist(), spans, strict=True))
        return self._spans[frame]


def _merged(parts: Sequence[NDArray[np.intp]]) -> NDArray[np.intp]:
    """The members of ascending sets, ascending."""
    some = [part for part in parts if len(part)]
    if len(some) < 2:
        return some[0] if some else np.zeros(0, np.intp)
    low, high = min(part[0] for part in some), max(part[-1] for part in some)
    found = np.zeros(high - low + 1, dtype=np.bool_)
    for part in some:
        found[part - low] = True
    return np.asarray(np.flatnonzero(found) + low)


def sides_seen(item: SceneObject, part: SceneObject) -> NDArray[np.bool_]:
    """(3,) whether a part reaches from end to end of each side of the object's box, within 10 %."""
    return np.asarray(reach_of(item, part) >= (1.0 - ENDS_TOLERANCE) * item.box.size)


def reach_of(item: SceneObject, part: SceneObject) -> Float64:
    """(3,) metres from end to end of a part, along the sides of the object's box."""
    along = (part.outline - item.box.center) @ item.box.R
    reach: Float64 = along.max(axis=0) - along.min(axis=0)
    return reach


def sides_of(box: OrientedBox, by: str) -> list[int]:
    """The axes of an upright box whose ends a measure of its size rests on."""
    if by == "longest_side":
        return [int(np.argmax(box.size))]
    upright = int(np.argmax(np.abs(box.R[2])))
    if by == "height":
        return [upright]
    return [k for k in range(3) if by != "floor_area" or k != upright]


def union_of(count: int, rows: Iterable[NDArray[Any]]) -> NDArray[np.bool_]:
    """(count,) bool: which rows are in any of the sets."""
    found = np.zeros(count, dtype=np.bool_)
    for some in rows:
        found[some] = True
    return found


def stored_in_image(
    table: ObjectFrames, objects: Sequence[SceneObject], frames: Sequence[int]
) -> NDArray[np.int64]:
    """(O, F) the counts of the index's table; 0 where a frame sees nothing of an object."""
    row_of = {item.object_id: row for row, item in enumerate(objects)}
    column_of = {frame: column for column, frame in enumerate(frames)}
    found = np.zeros((len(objects), len(frames)), np.int64)
    keys = zip(table.object_id.tolist(), table.frame.tolist(), strict=True)
    for count, (object_id, frame) in zip(table.inside_count.tolist(), keys, strict=True):
        if object_id in row_of and frame in column_of:
            found[row_of[object_id], column_of[frame]] = count
    return found


def agreed(whole: Answer[T] | Rejection, seen: Answer[T] | Rejection) -> Answer[T] | Rejection:
    """The answer of whole objects, or `hidden_part` where their seen parts give another or none."""
    if isinstance(whole, Rejection):
        return whole
    evidence = whole.evidence | {"seen": seen.evidence}
    if isinstance(seen, Rejection) or seen.value != whole.value:
        return Rejection(Reason.HIDDEN_PART, evidence)
    return Answer(whole.value, evidence)


def counts_in(
    objects: Sequence[SceneObject],
    instance: NDArray[Any],
    frames: Sequence[int],
    visible: Callable[[int], NDArray[Any]],
) -> NDArray[np.int64]:
    """(O, F) visible vertices, by one counting pass over each frame."""
    counts = np.zeros((len(objects), len(frames)), dtype=np.int64)
    ids = [item.object_id for item in objects]
    size = max([int(instance.max(initial=-1)), *ids], default=0) + 2
    for column, frame in enumerate(frames):
        found = np.bincount(instance[visible(frame)] + 1, minlength=size + 1)
        counts[:, column] = found[np.array(ids, dtype=np.int64) + 1]
    return counts
