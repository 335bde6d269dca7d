# SPDX-License-Identifier: Apache-2.0
"""Tasks about the room that the frames of a walk show: what they have in common.

A task lists what might be asked (`possible`), asks the geometry (`ask`) and says what was found
(`tell`). The same three run over the index and over the source, whose layouts are made apart.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spatial_engine.engines.base import Engine, Facts, Named, Subject
from spatial_engine.engines.budgets import FrameAnswer
from spatial_engine.engines.candidates import CandidateTable, Gathered, Row
from spatial_engine.engines.contents import of_form
from spatial_engine.engines.context import SceneContext
from spatial_engine.engines.layout_scene import (
    OBJECTS,
    LayoutScene,
    answered,
    layout_of,
)
from spatialcore.index.scene_graph import scene_floor
from spatialcore.relations.floor_plan import Disc, Rectangle, least_rectangle, opened, widest_disc
from spatialcore.relations.free_space import FreeSpace, GridRules, free_space
from spatialcore.relations.scene_object import SceneObject
from spatialcore.relations.verdict import Answer, Reason, Rejection

if TYPE_CHECKING:
    from spatial_engine.reference.scene import ReferenceScene

OPEN_FLOOR = GridRules(cell_m=0.0125, clearance_m=0.10, min_free_m2=0.0)
"""Floor on which a disc of 20 cm finds room: gaps between the vertices of furniture are none.

A strip behind the bed counts, though nobody can stand there: the question asks for no more than the
disc. Cells are small since along every edge half of one is lost."""
LEAST_FILLED = 0.9  # of the rectangle around a room, that is room where it has four walls
POOL = 8


@dataclass(frozen=True, eq=False)
class WalkScene:
    """A room and what the frames of a walk show of it.

    Attributes:
        layout: Its objects.
        open_floor: Gives the floor on which nothing stands.
    """

    layout: LayoutScene
    scene: SceneContext | ReferenceScene

    @cached_property
    def open_floor(self) -> FreeSpace | Rejection:
        """The floor on which nothing stands."""
        return _open_floor(self.scene)

    @cached_property
    def seen_floor(self) -> NDArray[np.bool_]:
        """(H, W) cells of the open floor beside a point of the floor that the frames show."""
        from scipy.spatial import cKDTree

        floor, layout = self.open_floor, self.layout
        if isinstance(floor, Rejection):
            return np.zeros((0, 0), np.bool_)
        if layout.seen_points is None:
            return floor.free
        seen = np.zeros_like(floor.free)
        points = layout.points[layout.seen_points()].astype(np.float64)
        low = np.abs(points[:, 2] - floor.floor_z) <= floor.rules.obstacle_low_m
        if low.any():
            reach = floor.rules.floor_reach_m
            tree = cKDTree(points[low, :2], balanced_tree=False, compact_nodes=False)
            away, _ = tree.query(floor.free_xy, distance_upper_bound=1.01 * reach)
            rows, columns = floor.free_cells[away <= reach].T
            seen[rows, columns] = True
        return seen

    @cached_property
    def widest_seen(self) -> Disc:
        """The widest disc on the seen floor, where there is an open one."""
        return widest_disc(self.seen_floor, OPEN_FLOOR.cell_m)

    @cached_property
    def rectangle(self) -> Rectangle | None:
        """The rectangle of least area around the scan; None where it spans no area."""
        points = self.layout.points

        def make() -> Rectangle | None:
            return least_rectangle(points[np.isfinite(points).all(axis=1), :2])

        return self.layout.of_whole("rectangle", make)

    @cached_property
    def four_walls(self) -> Rectangle | Rejection:
        """The rectangle, of a room that fills it; else `room_shape`, or why it has no size."""
        room, found = self.layout.room, self.rectangle
        if isinstance(room, Rejection):
            return room
        if found is None or room.value < LEAST_FILLED * found.area:
            return Rejection(Reason.ROOM_SHAPE, room.evidence)
        return found

    def pool(self, task: str, items: Iterable[SceneObject], most: int = POOL) -> list[int]:
        """Ids of a few objects, the same ones for the same scene and seed."""
        place = self.layout.place
        ids = sorted((place.draw(task, (k.object_id,), "pool"), k.object_id) for k in items)
        return sorted(k for _, k in ids[:most])


def _open_floor(scene: SceneContext | ReferenceScene) -> FreeSpace | Rejection:
    if isinstance(scene, SceneContext):
        context = scene
        return context.shared(
            "open_floor", lambda: opened(scene_floor(context.scene, rules=OPEN_FLOOR))
        )
    reference = scene

    def make() -> FreeSpace | Rejection:
        floors = [one.object_id for one in reference.scene.objects if one.category == "floor"]
        labelled = np.isin(reference.cloud.instance, floors) if floors else None
        return opened(free_space(reference.cloud.points_world, labelled, rules=OPEN_FLOOR))

    return reference.cached("open_floor", make)


def walk_scene(scene: SceneContext | ReferenceScene, frames: tuple[int, ...]) -> WalkScene:
    """The room that some frames show, by the index or by the reference; made once."""

    def make() -> WalkScene:
        return WalkScene(layout_of(scene, frames), scene)

    if isinstance(scene, SceneContext):
        return scene.on(frames).cached("walk_scene", make)
    return scene.cached(("walk_scene", frames), make)


class WalkEngine(Engine):
    """A task about what the frames of a walk show."""

    __slots__ = ()

    @property
    def of_walk(self) -> bool:
        """It shows the frames of a walk."""
        return True

    @property
    def needs_up(self) -> bool:
        """Heights and floor plans need gravity."""
        return True

    @property
    def needs_objects(self) -> bool:
        """It names objects."""
        return True

    @property
    def subject(self) -> Subject:
        """The places and sizes of the objects."""
        return OBJECTS

    @property
    def sole(self) -> int | None:
        """How many of the items, from the first on, must be alone of their name; None is all."""
        return None

    @abstractmethod
    def possible(self, walk: WalkScene) -> Iterable[tuple[int, ...]]:
        """What might be asked, before any guard of the geometry."""

    @abstractmethod
    def ask(self, walk: WalkScene, items: tuple[int, ...]) -> Answer[Any] | Rejection:
        """The answer of the geometry in SI units, or why there is none."""

    @abstractmethod
    def tell(self, walk: WalkScene, row: Row, found: Answer[Any]) -> Facts:
        """Answer, evidence and slots."""

    def left_out(self, walk: WalkScene) -> Mapping[str, int]:
        """What `possible` leaves out before it lists anything, by reason."""
        del walk
        return {}

    def said(self, walk: WalkScene, items: tuple[int, ...], value: Any) -> tuple[int, int]:
        """Stratum and content of an answer."""
        del walk, items, value
        return 0, 0

    def things(self, items: tuple[int, ...]) -> tuple[int, ...]:
        """The objects among the items."""
        return items

    def fault(self, walk: WalkScene, items: tuple[int, ...]) -> str:
        """The guard of the shown frames that the items break, or ""."""
        things = [walk.layout.object(k) for k in self.things(items)]
        return walk.layout.name_fault(things, sole=self.sole) if things else ""

    @property
    def has_choice(self) -> bool:
        """Whether a `.choice` form of the task is asked, too: no row is asked in both."""
        return False

    def candidates(self, context: SceneContext) -> CandidateTable:
        """Everything that has an answer in the shown frames, and is for this form."""
        table = self.every(context)
        if not self.has_choice or not context.recipe.word_strata:
            return table
        return of_form(table, context, self.task, choice=False)

    def every(self, context: SceneContext) -> CandidateTable:
        """Everything that has an answer in the shown frames, whatever the form."""
        return context.cached(("walk", self.task), lambda: self._every(context))

    def _every(self, context: SceneContext) -> CandidateTable:
        frames = context.shown
        if len(frames) < 2:
            return CandidateTable.empty({"few_frames": 1})
        walk = walk_scene(context, frames)
        gathered = Gathered(self.task, context.place, Counter(self.left_out(walk)))
        if self.needs_objects:
            gathered.rejected += Counter(walk.layout.unnamed())
        for items in self.possible(walk):
            found = self.ask(walk, items)
            if isinstance(found, Rejection):
                gathered.refuse(found.reason)
            else:
                stratum, content = self.said(walk, items, found.value)
                gathered.keep(Row(frames, items), stratum=stratum, content=content)
        return gathered.table()

    def facts(self, context: SceneContext, rows: Sequence[Row]) -> list[Facts]:
        """Answer and evidence of candidates."""
        walk = walk_scene(context, context.shown)
        return [self._facts(walk, row) for row in rows]

    def _facts(self, walk: WalkScene, row: Row) -> Facts:
        return self.tell(walk, row, answered(self.task, row, self.ask(walk, row.items)))

    def recompute(self, reference: ReferenceScene, row: Row) -> tuple[Facts, str]:
        """The same facts from the source's cloud and the reference's visibility.

        Raises:
            ValueError: The row names an object that the source does not have, or has no answer.
        """
        walk = walk_scene(reference, row.frames)
        return self._facts(walk, row), self.fault(walk, row.items)

    def told(self, scene: SceneContext | ReferenceScene, row: Row) -> FrameAnswer:
        """What the row's frames answer."""
        walk = walk_scene(scene, row.frames)
        if fault := self.fault(walk, row.items):
            return FrameAnswer("", fault)
        found = self.ask(walk, row.items)
        if isinstance(found, Rejection):
            return FrameAnswer("", str(found.reason))
        facts = self.tell(walk, row, found)
        if facts.options:
            return FrameAnswer(facts.options["ABCDE".index(str(facts.answer.text))])
        return FrameAnswer(facts.answer.span)

    def named(self, reference: ReferenceScene, row: Row) -> list[Named]:
        """The objects that are named."""
        del reference
        return [Named(k, row.frames) for k in self.things(row.items)]

    def shuffled(self, walk: WalkScene, row: Row, texts: Sequence[str], slot: str) -> list[str]:
        """Texts in an order that is drawn for the row."""
        key, place = (*sorted(row.frames), *row.items), walk.layout.place
        draws = [place.draw(self.task, (*key, k), slot) for k in range(len(texts))]
        return [texts[k] for k in sorted(range(len(texts)), key=lambda k: (draws[k], k))]


def listed(names: Sequence[str]) -> str:
    """Names as a sentence lists them.

    Example:
        >>> listed(["bed", "desk", "lamp"])
        'the bed, the desk and the lamp'
    """
    said = [f"the {name}" for name in names]
    return said[0] if len(said) == 1 else f"{', '.join(said[:-1])} and {said[-1]}"
