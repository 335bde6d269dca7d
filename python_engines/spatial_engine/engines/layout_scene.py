# SPDX-License-Identifier: Apache-2.0
"""What the layout tasks know of a scene: objects with vertices, and which the frames show.

Made twice by separate ways: from the index's masks for the engines, and from the source by the
float64 reference for `verify`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from itertools import permutations
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from spatial_engine.engines.base import Subject
from spatial_engine.engines.candidates import Row
from spatial_engine.engines.context import SceneContext
from spatial_engine.engines.seen_parts import SeenParts, counts_in, stored_in_image, union_of
from spatial_engine.records.place import Place
from spatial_engine.reference.clusters import largest_cluster
from spatialcore.index.clusters import clusters_of
from spatialcore.index.objects import is_flat, shows
from spatialcore.io.categories import confusable
from spatialcore.relations.directions import Directions, Turns
from spatialcore.relations.layout import LayoutRules, Sighting, first_sightings
from spatialcore.relations.pairs import RelationRules
from spatialcore.relations.room import floor_area, room_size
from spatialcore.relations.scene_object import SceneObject
from spatialcore.relations.verdict import Answer, Reason, Rejection
from spatialcore.visits import of_visits

if TYPE_CHECKING:
    from spatial_engine.recipe import Recipe
    from spatial_engine.reference.scene import ReferenceScene
    from spatialcore.bitmask import BitMask

T = TypeVar("T")

OBJECTS = Subject("objects", of_items=True)
"""What all questions about the places of the same objects are about."""


class Surface(NamedTuple):
    """What the depth maps of the shown frames show of the objects, within the sensor's noise.

    Attributes:
        on_surface: (O, F) vertices on the surface.
        in_image: (O, F) vertices in the image, seen or not.
    """

    on_surface: NDArray[np.int64]
    in_image: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class LayoutScene:
    """Objects of a scene and what the shown frames see of them.

    Attributes:
        place: Names and draws.
        recipe: The recipe.
        frames: The shown frames, ascending.
        times: Their times in seconds, or None when unknown.
        objects: Objects that are not structure, ids ascending.
        visible_count: (O, F) visible vertices of each object in each shown frame.
        points: (P, 3) the whole cloud, z up.
        surface: What decides whether a frame shows an object; None where the rules leave it to
            the visible vertices.
        parts: What the frames show of each object; None where all of it counts as seen.
        one_cluster: Whether an object of a cloud built from depth hangs together; None for a mesh,
            whose labels have no strays.
        seen_points: Gives the (P,) points that some shown frame sees; None where all count as seen.
        pool: Ids of the objects that questions are about; None is all that may be named.
        whole: The layout that this one has some objects of, which knows the room.
        of_any: What does not depend on the shown frames: one for all layouts of a scene.
    """

    place: Place
    recipe: Recipe
    frames: tuple[int, ...]
    times: tuple[float, ...] | None
    objects: tuple[SceneObject, ...]
    visible_count: NDArray[np.int64]
    points: NDArray[np.float32]
    surface: Surface | None = None
    parts: SeenParts | None = None
    one_cluster: Callable[[SceneObject], bool] | None = None
    seen_points: Callable[[], NDArray[np.bool_]] | None = None
    pool: frozenset[int] | None = None
    whole: LayoutScene | None = None
    of_any: dict[Hashable, Any] = field(default_factory=dict)
    _by_id: dict[int, SceneObject] = field(default_factory=dict)
    _kept: dict[Hashable, Any] = field(default_factory=dict)
    _directions: dict[str, Directions] = field(default_factory=dict)

    @cached_property
    def rules(self) -> LayoutRules:
        """Thresholds of the questions."""
        guards = self.recipe.guards
        return LayoutRules(
            border_deg=guards.direction_border_deg,
            min_side_m=guards.object_min_side_m,
            min_seen_share=guards.min_seen_share,
            min_seen_m=guards.min_seen_m,
        )

    @cached_property
    def relation_rules(self) -> RelationRules:
        """Thresholds of the questions about two or three objects."""
        guards = self.recipe.guards
        return RelationRules(
            min_seen_share=guards.min_seen_share,
            min_seen_m=guards.min_seen_m,
            min_side_m=guards.object_min_side_m,
        )

    @cached_property
    def vertex_count(self) -> NDArray[np.int64]:
        """(O,) vertices of each object."""
        return np.array([len(item.outline) for item in self.objects], dtype=np.int64)

    @cached_property
    def seen_from(self) -> NDArray[np.int64]:
        """(O,) visible vertices from which on an object counts as seen: max(20, ceil(5 %))."""
        return np.maximum(20, -(-self.vertex_count // 20))

    @cached_property
    def shown(self) -> NDArray[np.bool_]:
        """(O, F) bool: whether a frame shows an object to someone who looks at it."""
        least = self.seen_from[:, None]
        if self.surface is None:
            return np.asarray(self.visible_count >= least)
        flat = np.array([is_flat(self.recipe.rules, o.box.size) for o in self.objects], bool)
        return shows(self.recipe.rules, *self.surface, least, flat[:, None])

    @cached_property
    def seen(self) -> frozenset[int]:
        """Ids of the objects that some shown frame shows."""
        flags = np.any(self.shown, axis=1).tolist()
        return frozenset(i.object_id for i, f in zip(self.objects, flags, strict=True) if f)

    @cached_property
    def by_category(self) -> Mapping[str, tuple[SceneObject, ...]]:
        """Objects by category, categories sorted."""
        return {n: tuple(self.objects[r] for r in self.rows_of[n]) for n in sorted(self.rows_of)}

    @cached_property
    def rivals(self) -> Mapping[str, tuple[str, ...]]:
        """The other categories of the scene that each category's name may be taken for."""
        if not self.recipe.guards.object_family:
            return dict.fromkeys(self.by_category, ())
        names = tuple(self.by_category)
        return {name: tuple(n for n in names if confusable(name, n)) for name in names}

    @cached_property
    def askable(self) -> tuple[str, ...]:
        """Categories without rivals all of whose instances are seen."""
        return tuple(
            name
            for name, items in self.by_category.items()
            if not self.rivals[name]
            and all(item.object_id in self.seen for item in items)
            and (self.pool is None or any(item.object_id in self.pool for item in items))
        )

    @cached_property
    def unique(self) -> tuple[SceneObject, ...]:
        """Seen objects that are the only one of their category and family, by id."""
        sole = [self.by_category[n][0] for n in self.askable if len(self.by_category[n]) == 1]
        return tuple(sorted(sole, key=lambda item: item.object_id))

    @cached_property
    def rows_of(self) -> Mapping[str, list[int]]:
        """Rows of each category's instances in `objects`."""
        names = [item.category for item in self.objects]
        return {name: [r for r, other in enumerate(names) if other == name] for name in names}

    def unnamed(self) -> dict[str, int]:
        """Seen objects that no question about single objects names, by reason."""
        rivals = [i for i in self.objects if i.object_id in self.seen and self.rivals[i.category]]
        return {str(Reason.NAME_AMBIGUOUS): len(rivals)}

    def name_fault(self, items: Sequence[SceneObject], *, sole: int | None = None) -> str:
        """The first guard on names that objects break, or "".

        Args:
            items: The objects whose categories a question names.
            sole: How many of them, from the first on, must be the only one; None is all.
        """
        if any(self.rivals[item.category] for item in items):
            return str(Reason.NAME_AMBIGUOUS)
        if any(
            i.object_id not in self.seen for one in items for i in self.by_category[one.category]
        ):
            return str(Reason.CATEGORY_NOT_SEEN)
        if any(len(self.by_category[item.category]) > 1 for item in items[:sole]):
            return str(Reason.CATEGORY_NOT_UNIQUE)
        return ""

    @cached_property
    def sightings(self) -> Mapping[str, Sighting]:
        """First appearance by category."""
        if not self.objects:
            return {}
        categories = [item.category for item in self.objects]
        return first_sightings(self.visible_count, self.vertex_count, categories, shown=self.shown)

    @cached_property
    def room(self) -> Answer[float] | Rejection:
        """The room's floor area, whatever frames show of it."""
        if self.whole is not None:
            return self.whole.room
        return self.of_whole("room", lambda: room_size(self.points))

    @property
    def room_area(self) -> float:
        """Square metres, also of a room whose size is not asked."""
        found = self.room.evidence
        return float(found.get("shape_m2", 0.0) + found.get("holes_m2", 0.0))

    @cached_property
    def room_shown(self) -> float:
        """Share of the room's floor area that the shown frames show."""
        if self.seen_points is None or not self.room_area:
            return 1.0
        return floor_area(self.points[self.seen_points()]) / self.room_area

    @cached_property
    def floor_level(self) -> float:
        """Height of the lowest surface, metres: one in a hundred points of the cloud is lower."""
        return float(np.nanpercentile(self.points[:, 2], 1.0))

    @cached_property
    def turns(self) -> Turns:
        """The turns between all ordered sets of three unique objects."""
        rows = list(permutations(range(len(self.unique)), 3))
        return Turns.between(self.unique, rows, rules=self.rules)

    def directions(self, form: str) -> Directions:
        """The turns as a form asks about them, computed once."""
        if form not in self._directions:
            self._directions[form] = Directions.of(self.turns, form, rules=self.rules)
        return self._directions[form]

    @cached_property
    def turn_of(self) -> Mapping[tuple[int, ...], int]:
        """Where `turns` holds the ids of a set."""
        return {tuple(ids): k for k, ids in enumerate(self.turns.object_ids.tolist())}

    def of_whole(self, key: Hashable, make: Callable[[], T]) -> T:
        """`make()`, computed once for all layouts of the scene: it must not ask what is shown."""
        if key not in self.of_any:
            self.of_any[key] = make()
        value: T = self.of_any[key]
        return value

    def kept(self, key: Hashable, make: Callable[[], T]) -> T:
        """`make()`, computed once for the frames that are shown."""
        if key not in self._kept:
            self._kept[key] = make()
        value: T = self._kept[key]
        return value

    def seen_part(self, item: SceneObject, frames: Sequence[int] = ()) -> SceneObject | None:
        """What some of the shown frames, or all of them, show of an object; None is nothing."""
        return item if self.parts is None else self.parts.part(item, frames or self.frames)

    def seen_parts(self, items: Sequence[SceneObject]) -> list[SceneObject]:
        """What the shown frames show of objects; those of which they show nothing are left out."""
        parts = [self.seen_part(item) for item in items]
        return [part for part in parts if part is not None]

    def object(self, object_id: int) -> SceneObject:
        """The object with an id."""
        if not self._by_id:
            self._by_id.update({item.object_id: item for item in self.objects})
        return self._by_id[object_id]


def answered(task: str, row: Row, found: Answer[Any] | Rejection) -> Answer[Any]:
    """What was found for a row; ValueError when it has no answer."""
    if isinstance(found, Rejection):
        raise ValueError(f"{task}: {row} has no answer ({found.reason})")
    return found


def layout_of(scene: SceneContext | ReferenceScene, frames: tuple[int, ...]) -> LayoutScene:
    """The layout that some frames show, by the index or by the reference."""
    if isinstance(scene, SceneContext):
        return layout_scene(scene if scene.refer else scene.on(frames))
    return reference_layout(scene, frames)


def layout_scene(context: SceneContext) -> LayoutScene:
    """The layout of an indexed scene, computed once for all tasks."""
    if context.plain is not None:
        from spatial_engine.engines.references import pointed_layout

        return pointed_layout(context.plain, context.shown, context.refer).layout
    return context.cached("scene_layout", lambda: _from_index(context))


def _from_index(context: SceneContext) -> LayoutScene:
    from spatialcore.index.scene_graph import scene_objects

    scene, recipe = context.scene, context.recipe
    frames, instance = context.shown, np.asarray(scene.instance)
    objects = context.shared("scene_objects", lambda: scene_objects(scene, recipe.rules))
    objects = of_visits(objects, frames) if scene.kind == "revisit" else objects

    def points_of(masks: BitMask, frame: int) -> NDArray[np.intp]:
        return np.asarray(masks.indices(scene.row_of_frame[frame]))

    counts = counts_in(objects, instance, frames, partial(points_of, scene.visible))
    clock = [float(scene.frames.time[scene.table_row_of_frame[f]]) for f in frames]
    times = tuple(clock) if np.isfinite(clock).all() else None
    points, surface, masks = np.asarray(scene.points), None, scene.visible
    if recipe.rules.objects == "surface":
        masks = scene.surface
        on_surface = counts_in(objects, instance, frames, partial(points_of, scene.surface))
        surface = Surface(on_surface, stored_in_image(scene.object_frames, objects, frames))
    parts, voxel = SeenParts(points, instance, partial(points_of, masks)), scene.voxel
    one_cluster = None
    if voxel is not None and recipe.rules.object_points == "cluster":

        @cache
        def one_cluster(item: SceneObject) -> bool:
            return clusters_of(item.outline.astype(np.float32), voxel).sure

    def seen_points() -> NDArray[np.bool_]:
        return union_of(len(points), (points_of(scene.visible, frame) for frame in frames))

    return LayoutScene(
        context.place, recipe, frames, times, objects, counts, points, surface, parts, one_cluster,
        seen_points, of_any=context.shared("scene_layout.of_any", dict),
    )  # fmt: skip


def reference_layout(reference: ReferenceScene, frames: tuple[int, ...]) -> LayoutScene:
    """The layout as the source and the float64 reference give it."""
    if reference.plain is not None:
        from spatial_engine.engines.references import pointed_layout

        return pointed_layout(reference.plain, frames, reference.refer).layout
    return reference.cached(("scene_layout", frames), lambda: _from_source(reference, frames))


def _from_source(reference: ReferenceScene, frames: tuple[int, ...]) -> LayoutScene:
    from spatialcore.index.objects import is_excluded
    from spatialcore.index.scene_graph import objects_of_points

    opened, recipe, cloud = reference.scene, reference.recipe, reference.cloud
    rows = [
        (item.object_id, item.category)
        for item in opened.objects
        if not is_excluded(recipe.rules, item.raw_category, item.category)
    ]
    objects = reference.cached(
        "layout_objects", lambda: objects_of_points(rows, cloud.points_world, cloud.instance)
    )
    objects = of_visits(objects, frames) if opened.visits > 1 else objects
    known_counts: dict[Any, NDArray[np.int64]] = reference.cached(("layout_counts", objects), dict)

    def counts_of(name: str, mask: Callable[[int], NDArray[Any]]) -> NDArray[np.int64]:
        for frame in frames:
            if (name, frame) not in known_counts:
                known_counts[name, frame] = counts_in(objects, cloud.instance, (frame,), mask)
        return np.concatenate([known_counts[name, frame] for frame in frames], axis=1)

    counts = counts_of("visible", reference.visible)
    surface = None
    if recipe.rules.objects == "surface":
        surface = Surface(
            counts_of("surface", reference.surface), counts_of("inside", reference.inside)
        )
    by_index = {frame.index: frame.time for frame in opened.frames}
    clock = [t for f in frames if (t := by_index[f]) is not None]
    times = tuple(clock) if len(clock) == len(frames) else None
    points, voxel = cloud.points_world, reference.voxel
    parts = reference.cached(
        "layout_parts", lambda: SeenParts(points, cloud.instance, reference.object_points)
    )
    one_cluster = None
    if voxel is not None and recipe.rules.object_points == "cluster":

        @cache
        def one_cluster(item: SceneObject) -> bool:
            return largest_cluster(item.outline.astype(np.float32), voxel)[1]

    def seen_points() -> NDArray[np.bool_]:
        return union_of(len(points), (np.flatnonzero(reference.visible(f)) for f in frames))

    return LayoutScene(
        reference.place, recipe, frames, times, objects, counts, points, surface, parts,
        one_cluster, seen_points, of_any=reference.cached("scene_layout.of_any", dict),
    )  # fmt: skip
