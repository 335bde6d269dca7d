# SPDX-License-Identifier: Apache-2.0
"""What the walking tasks know of a scene: its layout, and the floor one can walk on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from spatial_engine.engines.candidates import CandidateTable, filled
from spatial_engine.engines.context import SceneContext
from spatial_engine.engines.layout_scene import LayoutScene, layout_scene, reference_layout
from spatialcore.index.scene_graph import scene_floor
from spatialcore.relations.free_space import FreeSpace, free_space, roomy
from spatialcore.relations.verdict import Answer, Reason, Rejection
from spatialcore.relations.walks import DEFAULT_RULES

if TYPE_CHECKING:
    from spatial_engine.reference.scene import ReferenceScene

T = TypeVar("T")
POOL = 16
"""Objects that walks are made of: 240 ordered pairs, few of them with clear floor between."""


@dataclass(frozen=True, eq=False)
class NavigationScene:
    """A scene to walk in.

    Attributes:
        layout: Its objects, and which the shown frames see.
        space: The floor, or why there is none.
    """

    layout: LayoutScene
    space: FreeSpace | Rejection
    _kept: dict[Any, Any] = field(default_factory=dict)

    @cached_property
    def roomy(self) -> FreeSpace | Rejection:
        """The floor whose free cells leave room for a slip."""
        space = self.space
        if isinstance(space, Rejection):
            return space
        return self.layout.of_whole("roomy", lambda: roomy(space, DEFAULT_RULES.roomy_m))

    def answer(self, key: Any, make: Callable[[], Answer[T] | Rejection]) -> Answer[T] | Rejection:
        """`make()`; an answer is kept, since the facts of a row need what its guards found."""
        known: Answer[T] | None = self._kept.get(key)
        if known is not None:
            return known
        found = make()
        if not isinstance(found, Rejection):
            self._kept[key] = found
        return found

    def pool(self, task: str) -> list[int]:
        """Ids of a few unique objects, the same ones for the same scene and seed."""
        place = self.layout.place
        ids = [item.object_id for item in self.layout.unique]
        ids.sort(key=lambda k: (place.draw(task, (k,), "pool"), k))
        return sorted(ids[:POOL])


def walked(scene: SceneContext | ReferenceScene, frames: tuple[int, ...]) -> NavigationScene:
    """The walkable scene that some frames show, by the index or by the reference."""
    if isinstance(scene, SceneContext):
        return navigation_scene(scene.on(frames))
    return reference_navigation(scene, frames)


def navigation_scene(context: SceneContext) -> NavigationScene:
    """The walkable scene of an index, computed once for all tasks."""
    return context.cached("navigation_scene", lambda: _from_index(context))


def _from_index(context: SceneContext) -> NavigationScene:
    return NavigationScene(
        layout_scene(context), context.shared("floor", lambda: scene_floor(context.scene))
    )


def reference_navigation(reference: ReferenceScene, frames: tuple[int, ...]) -> NavigationScene:
    """The walkable scene as the source and the float64 reference give it."""
    return reference.cached(("navigation_scene", frames), lambda: _from_source(reference, frames))


def _from_source(reference: ReferenceScene, frames: tuple[int, ...]) -> NavigationScene:
    layout = reference_layout(reference, frames)
    floors = [item.object_id for item in reference.scene.objects if item.category == "floor"]
    labelled = np.isin(reference.cloud.instance, floors) if floors else None
    return NavigationScene(layout, free_space(layout.points, labelled))


def table_of(
    task: str,
    scene: NavigationScene,
    rows: Sequence[tuple[int, ...]],
    rejected: Mapping[str, int],
    *,
    bin: ArrayLike = 0,
    stratum: ArrayLike = 0,
    content: ArrayLike = 0,
) -> CandidateTable:
    """Rows of objects over the shown frames; -1 fills shorter ones."""
    if not rows:
        return CandidateTable.empty(rejected)
    items = filled(rows)
    shown = np.tile(np.array(scene.layout.frames, dtype=np.int32), (len(rows), 1))
    chosen = scene.layout.place.draw_rows(task, [*shown.T, *items.T], "select")
    return CandidateTable.build(
        shown, items, chosen, bin=bin, stratum=stratum, content=content, rejected=rejected
    )


def unseen(scene: NavigationScene, items: Sequence[int]) -> str:
    """The guard of the shown frames that a row breaks, or ""."""
    unique = {item.object_id for item in scene.layout.unique}
    return "" if unique.issuperset(items) else str(Reason.CATEGORY_NOT_UNIQUE)
