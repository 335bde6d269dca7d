# SPDX-License-Identifier: Apache-2.0
"""What the walking tasks know of a scene: its layout, and the floor one can walk on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from spatial_engine.engines.context import SceneContext
from spatial_engine.engines.layout_scene import LayoutScene, layout_scene, reference_layout
from spatialcore.index.scene_graph import scene_floor
from spatialcore.relations.free_space import FreeSpace, free_space
from spatialcore.relations.verdict import Answer, Rejection

if TYPE_CHECKING:
    from spatial_engine.reference.scene import ReferenceScene

T = TypeVar("T")
POOL = 8
"""Objects that walks are made of: 56 ordered pairs."""


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

    def kept(self, key: Any, make: Callable[[], T]) -> T:
        """`make()`, computed on the first call with this key."""
        if key not in self._kept:
            self._kept[key] = make()
        value: T = self._kept[key]
        return value

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


def navigation_scene(context: SceneContext) -> NavigationScene:
    """The walkable scene of an index, computed once for all tasks."""
    return context.cached("navigation_scene", lambda: _from_index(context))


def _from_index(context: SceneContext) -> NavigationScene:
    return NavigationScene(layout_scene(context), scene_floor(context.scene))


def reference_navigation(reference: ReferenceScene, frames: tuple[int, ...]) -> NavigationScene:
    """The walkable scene as the source and the float64 reference give it."""
    return reference.cached(("navigation_scene", frames), lambda: _from_source(reference, frames))


def _from_source(reference: ReferenceScene, frames: tuple[int, ...]) -> NavigationScene:
    layout = reference_layout(reference, frames)
    floors = [item.object_id for item in reference.scene.objects if item.category == "floor"]
    labelled = np.isin(reference.cloud.instance, floors) if floors else None
    return NavigationScene(layout, free_space(layout.points, labelled))
