# SPDX-License-Identifier: Apache-2.0
"""The plans of a data set's scenes, a few open at a time, each written when it is closed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from spatial_engine.dataset.dataset import Dataset
from spatial_engine.records.record import QARecord
from spatial_engine.view.scene_plan import Placed, ScenePlan, plan_of
from spatial_engine.view.why import Why, explain
from spatialcore.errors import SceneIndexError, SpatialCoreError
from spatialcore.index.index import Index

_OPEN = 4  # plans; records come scene by scene
Write = Callable[[int, dict[str, Any]], None]


@dataclass
class _Used:
    """What the records of a scene refer to."""

    number: int
    frames: set[int] = field(default_factory=set)
    object_ids: set[int] = field(default_factory=set)
    outlines: dict[str, Placed | None] = field(default_factory=dict)


class ScenePlans:
    """Finds the plan of a record's scene in the indexes of its data set.

    Attributes:
        missing: Scenes without a plan, whose evidence is drawn alone; and why.
    """

    def __init__(self, dataset: Dataset, write: Write | None = None) -> None:
        """See the class.

        Args:
            dataset: The data set.
            write: Called with number and content of a scene whose plan is closed.
        """
        self.missing: dict[tuple[str, str], str] = {}
        self._dataset = dataset
        self._write = write
        self._open: OrderedDict[tuple[str, str], ScenePlan] = OrderedDict()
        self._used: dict[tuple[str, str], _Used] = {}

    @cached_property
    def _indexes(self) -> list[tuple[Index, frozenset[tuple[str, str]]]]:
        found = []
        for part in self._dataset.manifest.parts:
            try:
                index = Index.open(self._dataset.index_of(part))
            except (SpatialCoreError, OSError):
                continue
            found.append((index, frozenset(index.scenes())))
        return found

    def number(self, record: QARecord) -> int:
        """Number of the record's scene, in the order in which scenes come."""
        return self._used.setdefault(_key(record), _Used(len(self._used))).number

    @property
    def names(self) -> list[str]:
        """Source and scene of each number, with a slash between them."""
        return ["/".join(key) for key in self._used]

    def explain(self, record: QARecord) -> tuple[ScenePlan | None, Why]:
        """The plan of a record's scene, or None, and the record's evidence, drawn."""
        self.number(record)
        key, plan = _key(record), self._plan(record)
        why = explain(record, plan)
        if plan is not None:
            used = self._used[key]
            used.frames.update(record.frames)
            used.object_ids.update(why.objects)
            for frame in record.frames:
                for object_id in why.objects:
                    plan.outline(frame, object_id)
        return plan, why

    def close(self) -> None:
        """Write the plans that are still open."""
        while self._open:
            self._drop()

    def _plan(self, record: QARecord) -> ScenePlan | None:
        key = _key(record)
        if key in self._open:
            self._open.move_to_end(key)
            return self._open[key]
        if key in self.missing:
            return None
        plan = self._find(key)
        if plan is None:
            return None
        plan.outlines = self._used[key].outlines
        self._open[key] = plan
        if len(self._open) > _OPEN:
            self._drop()
        return plan

    def _find(self, key: tuple[str, str]) -> ScenePlan | None:
        for index, scenes in self._indexes:
            if key not in scenes:
                continue
            try:
                return plan_of(index.open_scene(*key))
            except SceneIndexError as error:
                self.missing[key] = str(error)
                return None
        self.missing[key] = "no index of it; `spatialcore index` makes one"
        return None

    def _drop(self) -> None:
        key, plan = self._open.popitem(last=False)
        used = self._used[key]
        if self._write is not None:
            self._write(used.number, plan.to_json(used.frames, used.object_ids))


def _key(record: QARecord) -> tuple[str, str]:
    return record.source, record.scene
