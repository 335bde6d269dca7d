# SPDX-License-Identifier: Apache-2.0
"""Tasks that are asked of a set of views row by row: what they have in common.

A task lists what might be asked (`possible`), asks the geometry of one row (`ask`), and says what
was found (`tell`). The same `ask` runs over the index and over the source, which measure in ways
of their own (`view_set`).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from spatial_engine.engines.base import Engine, Facts, Named, Subject
from spatial_engine.engines.budgets import FrameAnswer
from spatial_engine.engines.candidates import CandidateTable, Gathered, Row
from spatial_engine.engines.contents import of_form
from spatial_engine.engines.context import SceneContext
from spatial_engine.engines.layout_scene import OBJECTS, answered
from spatial_engine.engines.view_set import ViewSet, index_views, reference_views, views_of_index
from spatialcore.relations.verdict import Answer, Rejection

if TYPE_CHECKING:
    from spatial_engine.recipe import Recipe
    from spatial_engine.reference.scene import ReferenceScene

MOST_ASKED = 1500
"""Rows of a task and scene that the geometry is asked of: those of the smallest draws."""
_WIDEST = (32, 6)  # frames and items of a row


class AskedEngine(Engine):
    """A task about some views of a scene."""

    __slots__ = ()

    @property
    def has_choice(self) -> bool:
        """Whether a `.choice` form of the task is asked, too: no row is asked in both."""
        return False

    @property
    def needs_up(self) -> bool:
        """Directions are those of the floor."""
        return True

    @property
    def subject(self) -> Subject:
        """The places of the objects."""
        return OBJECTS

    def bin_count(self, recipe: Recipe) -> int:
        """One."""
        del recipe
        return 1

    @abstractmethod
    def possible(self, views: ViewSet) -> Iterable[Row]:
        """What might be asked of the views, each row once."""

    @abstractmethod
    def ask(self, views: ViewSet, row: Row) -> Answer[Any] | Rejection:
        """The answer of the geometry, in SI units, or why there is none."""

    @abstractmethod
    def tell(self, views: ViewSet, row: Row, found: Answer[Any]) -> Facts:
        """Answer, evidence and slots."""

    def said(self, views: ViewSet, row: Row, value: Any) -> tuple[int, int]:
        """Stratum and content of an answer."""
        del views, row, value
        return 0, 0

    def named_items(self, row: Row) -> Sequence[int]:
        """The objects that the question names or the answer tells of."""
        return row.items

    def views(self, context: SceneContext) -> ViewSet:
        """The views of an indexed scene."""
        return index_views(context)

    def candidates(self, context: SceneContext) -> CandidateTable:
        """Every row that has an answer, and is for this form."""
        table = self.every(context)
        if not self.has_choice or not context.recipe.word_strata:
            return table
        return of_form(table, context, self.task, choice=False)

    def every(self, context: SceneContext) -> CandidateTable:
        """Every row that has an answer, whatever the form."""
        return context.cached(("asked", self.task), lambda: self._every(context))

    def _every(self, context: SceneContext) -> CandidateTable:
        if len(context.valid_frames) < 2:
            return CandidateTable.empty({"few_frames": 1})
        views, gathered = self.views(context), Gathered(self.task, context.place, width=_WIDEST)
        rows = list(self.possible(views))
        order = np.argsort(gathered.draws(rows), kind="stable")[:MOST_ASKED]
        gathered.refuse("scene_quota", len(rows) - len(order))
        for k in np.sort(order).tolist():
            found = self.ask(views, rows[k])
            if isinstance(found, Rejection):
                gathered.refuse(found.reason)
            else:
                stratum, content = self.said(views, rows[k], found.value)
                gathered.keep(rows[k], stratum=stratum, content=content)
        return gathered.table()

    def facts(self, context: SceneContext, rows: Sequence[Row]) -> list[Facts]:
        """Answer and evidence of candidates."""
        views = self.views(context)
        found = [answered(self.task, row, self.ask(views, row)) for row in rows]
        return [self.tell(views, row, one) for row, one in zip(rows, found, strict=True)]

    def recompute(self, reference: ReferenceScene, row: Row) -> tuple[Facts, str]:
        """The same facts from the source, measured in another way.

        Raises:
            ValueError: The row names what the source does not have, or has no answer.
        """
        views = reference_views(reference, row.frames)
        return self.tell(views, row, answered(self.task, row, self.ask(views, row))), ""

    def told(self, scene: SceneContext | ReferenceScene, row: Row) -> FrameAnswer:
        """What the row's frames answer."""
        views = (
            views_of_index(scene, tuple(sorted(row.frames)))
            if isinstance(scene, SceneContext)
            else reference_views(scene, row.frames)
        )
        found = self.ask(views, row)
        if isinstance(found, Rejection):
            return FrameAnswer("", str(found.reason))
        if isinstance(found.value, str):
            return FrameAnswer(found.value)
        return FrameAnswer(self.tell(views, row, found).answer.span)

    def named(self, reference: ReferenceScene, row: Row) -> list[Named]:
        """The objects that are named."""
        del reference
        return [Named(k, row.frames) for k in self.named_items(row)]
