# SPDX-License-Identifier: Apache-2.0
"""Several views of a scene: which objects each shows and may name, and where it was taken from.

Made twice: from the index for the engines, and from the source for `verify`. What is measured
(`Measures`) is computed in two ways, too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spatial_engine.engines.budgets import walk_sets
from spatial_engine.engines.context import SceneContext
from spatial_engine.engines.frame_pairs import band_pairs, overlap_bin
from spatial_engine.engines.layout_scene import LayoutScene, layout_of, reference_layout
from spatialcore.relations import viewpoint
from spatialcore.relations.eye import tells_apart
from spatialcore.relations.scene_object import SceneObject, gap
from spatialcore.relations.verdict import Answer, Reason, Rejection
from spatialcore.types import Float64

if TYPE_CHECKING:
    from spatial_engine.recipe import Recipe
    from spatial_engine.records.place import Place
    from spatial_engine.reference.scene import ReferenceScene

T = TypeVar("T")
MAX_PITCH_DEG = 60.0  # a steeper view has no direction on the floor
MIDDLE_DEG = 5.0  # to the side, from an object's middle to that of what is seen of it

LEAST_IMAGES, MOST_IMAGES = 3, 6  # of a chain


class Standpoint(Protocol):
    """A camera as the eye of somebody who stands there; see `spatialcore.relations.viewpoint`."""

    position: Float64

    @property
    def pitch_deg(self) -> float:
        """How steep it looks."""

    @property
    def heading_deg(self) -> float:
        """Where it looks on the floor, counter-clockwise from x."""

    def bearing(self, point: Any) -> float:
        """Degrees to a point, to the left positive."""

    def floor_distance(self, point: Any) -> float:
        """Metres to a point, its height left out."""

    def range(self, points: ArrayLike) -> float:
        """Metres to the nearest of points."""

    def on_map(self, point: Any) -> tuple[float, float]:
        """Metres to the right and ahead."""


class Measures(NamedTuple):
    """One way to measure.

    Attributes:
        stand_at: The viewpoint of a pose (4, 4).
        turn: Degrees at one point from facing a second to facing a third, to the left positive.
        nearest_on_floor: Metres from a point to the nearest of vertices, heights left out.
    """

    stand_at: Callable[[Float64], Standpoint]
    turn: Callable[[Any, Any, Any], float]
    nearest_on_floor: Callable[[Any, ArrayLike], float]


MEASURES = Measures(
    viewpoint.Viewpoint.of,  # type: ignore[arg-type]
    viewpoint.turn_deg,
    viewpoint.nearest_on_floor,
)


@dataclass(frozen=True, eq=False)
class ViewSet:
    """Frames of a scene.

    Attributes:
        place: Names and draws.
        recipe: The recipe.
        frames: The frames, ascending.
        open_layout: Makes the objects, and what the frames show of them (O objects, F frames).
        pose_of: world_from_cam of a frame.
        overlapping: Whether two frames share as much as the recipe's band asks of a pair.
        sharing: Whether two frames share any point.
        measures: How it is measured.
    """

    place: Place
    recipe: Recipe
    frames: tuple[int, ...]
    open_layout: Callable[[], LayoutScene]
    pose_of: Callable[[int], Float64]
    overlapping: Callable[[int, int], bool]
    sharing: Callable[[int, int], bool]
    measures: Measures = MEASURES
    _stands: dict[int, Standpoint] = field(default_factory=dict, init=False, repr=False)
    _ranges: dict[tuple[int, int], float | Reason] = field(
        default_factory=dict, init=False, repr=False
    )
    _kept: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def layout(self) -> LayoutScene:
        """The objects, made on first use: cameras alone need none."""
        return self.open_layout()

    @cached_property
    def ids(self) -> NDArray[np.int64]:
        """(O,) ids of the objects."""
        return np.array([item.object_id for item in self.layout.objects], dtype=np.int64)

    @cached_property
    def columns(self) -> dict[int, int]:
        """Column of each frame."""
        return {frame: column for column, frame in enumerate(self.frames)}

    @cached_property
    def rows(self) -> dict[int, int]:
        """Row of each object."""
        return {object_id: row for row, object_id in enumerate(self.ids.tolist())}

    @property
    def shown(self) -> NDArray[np.bool_]:
        """(O, F) whether a frame shows an object to someone who looks at it."""
        return self.layout.shown

    @cached_property
    def unseen(self) -> NDArray[np.bool_]:
        """(O, F) whether a frame sees nothing at all of an object."""
        return np.asarray(self.layout.visible_count == 0)

    @cached_property
    def sole(self) -> NDArray[np.bool_]:
        """(O, F) whether a frame sees no other object that the object's name may stand for."""
        layout = self.layout
        most = layout.recipe.guards.object_other_share * layout.vertex_count
        seen = layout.visible_count > most[:, None]
        out = np.ones(seen.shape, dtype=bool)
        categories = [item.category for item in layout.objects]
        for row, name in enumerate(categories):
            family = {name, *layout.rivals[name]}
            others = [k for k, other in enumerate(categories) if k != row and other in family]
            if others:
                out[row] = ~seen[others].any(axis=0)
        return out

    @cached_property
    def _tables(self) -> tuple[list[list[bool]], list[list[bool]], list[list[bool]]]:
        """`shown`, `unseen` and `sole` as lists, which are faster to ask one by one."""
        return self.shown.tolist(), self.unseen.tolist(), self.sole.tolist()

    def stand(self, frame: int) -> Standpoint:
        """Where a frame was taken from."""
        if frame not in self._stands:
            self._stands[frame] = self.measures.stand_at(self.pose_of(frame))
        return self._stands[frame]

    def level(self, frame: int) -> bool:
        """Whether the frame's view has a direction on the floor."""
        steepest = min(MAX_PITCH_DEG, self.recipe.guards.max_abs_pitch_deg)
        return abs(self.stand(frame).pitch_deg) <= steepest

    def object(self, object_id: int) -> SceneObject:
        """The object with an id."""
        return self.layout.object(object_id)

    def category(self, object_id: int) -> str:
        """Its category."""
        return self.object(object_id).category

    def shows(self, object_id: int, frame: int) -> bool:
        """Whether a frame shows an object."""
        return self._tables[0][self.rows[object_id]][self.columns[frame]]

    def alone(self, object_id: int, frame: int) -> bool:
        """Whether a frame sees no other object that the object's name may stand for."""
        return self._tables[2][self.rows[object_id]][self.columns[frame]]

    def lacks(self, object_id: int, frame: int) -> bool:
        """Whether a frame sees nothing of an object."""
        return self._tables[1][self.rows[object_id]][self.columns[frame]]

    def name_fault(self, items: Iterable[int], frames: Sequence[int]) -> Reason | None:
        """Why objects may not be named in a question that shows these frames, or None.

        None of the frames sees another object that the name may stand for, and one shows it.
        """
        at = [self.columns[frame] for frame in frames]
        shown, _, sole = self._tables
        for object_id in items:
            row = self.rows[object_id]
            if not any(shown[row][column] for column in at):
                return Reason.CATEGORY_NOT_SEEN
            if not all(sole[row][column] for column in at):
                return Reason.CATEGORY_NOT_UNIQUE
        return None

    def beside(self, object_id: int, frame: int) -> float:
        """Metres on the floor plan from a camera to the nearest vertex of an object."""

        def make() -> float:
            eye, outline = self.stand(frame).position, self.object(object_id).outline
            return self.measures.nearest_on_floor(eye, outline)

        return self.kept(("beside", object_id, frame), make)

    def kept(self, key: Hashable, make: Callable[[], T]) -> T:
        """`make()`, computed once."""
        if key not in self._kept:
            self._kept[key] = make()
        value: T = self._kept[key]
        return value

    def range_of(self, object_id: int, frame: int) -> float | Reason:
        """Metres from a camera to the nearest point of an object that the frame shows.

        Returns:
            `hidden_part` where the whole object comes nearer, to the eye.
        """
        key = object_id, frame
        if key not in self._ranges:
            self._ranges[key] = self._range(object_id, frame)
        return self._ranges[key]

    def _range(self, object_id: int, frame: int) -> float | Reason:
        item, guards = self.object(object_id), self.recipe.guards
        part = self.layout.seen_part(item, (frame,))
        if part is None:
            return Reason.CATEGORY_NOT_SEEN
        seen, whole = (self.stand(frame).range(one.outline) for one in (part, item))
        if tells_apart(seen, whole, share=guards.min_seen_share, metres=guards.min_seen_m):
            return Reason.HIDDEN_PART
        return seen

    def middle_shown(self, object_id: int, frame: int) -> bool:
        """Whether a person can tell from a frame where the middle of an object is, to the side.

        From the camera, the middle between the ends of what is seen lies within `MIDDLE_DEG` of the
        object's middle: of a desk whose corner alone is in view it does not.
        """
        return self.kept(
            ("middle", object_id, frame), lambda: self._off_middle(object_id, frame) <= MIDDLE_DEG
        )

    def _off_middle(self, object_id: int, frame: int) -> float:
        item = self.object(object_id)
        part = self.layout.seen_part(item, (frame,))
        if part is None:
            return np.inf
        eye = self.stand(frame).position[:2]
        x, y = item.centroid[:2] - eye
        to = part.outline[:, :2] - eye
        angles = np.degrees(np.arctan2(x * to[:, 1] - y * to[:, 0], x * to[:, 0] + y * to[:, 1]))
        return float(abs(angles.min() + angles.max()) / 2)

    def gap(self, a: int, b: int, frames: Sequence[int]) -> Answer[float] | Rejection:
        """Metres between two objects, where what frames show of them is as far apart to the eye."""
        items, guards = [self.object(k) for k in (a, b)], self.recipe.guards
        parts = [self.layout.seen_part(item, tuple(sorted(frames))) for item in items]
        if parts[0] is None or parts[1] is None:
            return Rejection(Reason.CATEGORY_NOT_SEEN)
        whole, seen = gap(*items), gap(parts[0], parts[1])
        evidence = {"gap_m": whole, "seen_gap_m": seen}
        if tells_apart(seen, whole, share=guards.min_seen_share, metres=guards.min_seen_m):
            return Rejection(Reason.HIDDEN_PART, evidence)
        return Answer(whole, evidence)

    def apart(self, a: float, b: float) -> bool:
        """Whether a person sees that two lengths differ."""
        guards = self.recipe.guards
        return tells_apart(a, b, share=guards.min_seen_share, metres=guards.min_seen_m)


def shortest_chains(views: ViewSet) -> list[tuple[int, ...]]:
    """A shortest chain between every two frames that do not overlap enough, if it is short."""
    frames = views.frames
    near = {a: [b for b in frames if b != a and views.overlapping(a, b)] for a in frames}
    found = []
    for start in frames:
        before: dict[int, int] = {start: start}
        steps = {start: 1}
        queue = deque([start])
        while queue:
            at = queue.popleft()
            if steps[at] == MOST_IMAGES:
                continue
            for other in near[at]:
                if other not in before:
                    before[other], steps[other] = at, steps[at] + 1
                    queue.append(other)
        for end, count in steps.items():
            if end > start and count >= LEAST_IMAGES:
                chain = [end]
                while chain[-1] != start:
                    chain.append(before[chain[-1]])
                found.append(tuple(chain[::-1]))
    return found


def connected(views: ViewSet, frames: Sequence[int]) -> bool:
    """Whether the frames hang together by overlaps, in whatever order they come."""
    reached, open_ = {frames[0]}, [frames[0]]
    while open_:
        at = open_.pop()
        more = [f for f in frames if f not in reached and views.overlapping(at, f)]
        reached.update(more)
        open_ += more
    return len(reached) == len(set(frames))


def index_views(context: SceneContext) -> ViewSet:
    """The frames of all walks of an indexed scene, as one set; computed once."""
    return context.shared("views", lambda: _from_index(context))


def _from_index(context: SceneContext) -> ViewSet:
    valid = context.valid_frames.tolist()
    frames = sorted({f for walk in walk_sets(valid, context.recipe.walks) for f in walk})
    return views_of_index(context, tuple(frames))


def views_of_index(context: SceneContext, frames: tuple[int, ...]) -> ViewSet:
    """Some frames of an indexed scene."""
    scene = context.scene
    band = context.shared("band", lambda: set(band_pairs(context).key.tolist()))
    pairs = scene.pairs
    common = context.shared(
        "sharing", lambda: set(((pairs.i.astype(np.int64) << 32) | pairs.j).tolist())
    )

    def key(a: int, b: int) -> int:
        return (min(a, b) << 32) | max(a, b)

    return ViewSet(
        context.place, context.recipe, frames, lambda: layout_of(context, frames),
        scene.world_from_cam,
        lambda a, b: key(a, b) in band, lambda a, b: a == b or key(a, b) in common,
    )  # fmt: skip


def reference_views(reference: ReferenceScene, frames: Sequence[int]) -> ViewSet:
    """Some frames as the source and the float64 reference give them."""
    from spatial_engine.reference import viewpoint as again

    seen: dict[int, NDArray[np.uint8]] = reference.cached("packed", dict)

    def packed(frame: int) -> NDArray[np.uint8]:
        if frame not in seen:
            seen[frame] = np.packbits(reference.visible(frame))
        return seen[frame]

    def counts(a: int, b: int) -> tuple[int, int]:
        one, other = packed(a), packed(b)
        both, either = one & other, one | other
        return int(np.unpackbits(both).sum()), int(np.unpackbits(either).sum())

    def overlapping(a: int, b: int) -> bool:
        common, union = counts(a, b)
        return bool(overlap_bin(np.array([common]), np.array([union]), reference.recipe)[0] >= 0)

    ascending = tuple(sorted(set(frames)))
    return ViewSet(
        reference.place, reference.recipe, ascending,
        lambda: reference_layout(reference, ascending), reference.world_from_cam,
        overlapping, lambda a, b: counts(a, b)[0] > 0,
        Measures(
            again.ReferenceViewpoint, again.reference_turn, again.reference_nearest_on_floor
        ),
    )  # fmt: skip
