# SPDX-License-Identifier: Apache-2.0
"""Tasks of records that were imported: how their answers are read and scored, and nothing else.

Nothing is asked of a scene: the questions are somebody else's, and no geometry is known. The family
of such a task is the form of the files that it came from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import TYPE_CHECKING, NoReturn

from spatial_engine.engines.base import LETTER, AnswerForm, Engine, Facts, Metric
from spatial_engine.engines.candidates import CandidateTable, Row
from spatial_engine.records.answers import FREE
from spatial_engine.records.task_name import TASK_NAME, family_of
from spatialcore.errors import TaskError

if TYPE_CHECKING:
    from spatial_engine.engines.context import SceneContext
    from spatial_engine.reference.scene import ReferenceScene

FAMILIES = ("llava", "trl", "vsibench", "scanqa", "sqa3d")
TEXT = AnswerForm(FREE, FREE)
# Types of questions of VSI-Bench: those with options, and the units of those with numbers.
VSI_CHOICES = (
    "object_rel_direction_easy", "object_rel_direction_medium", "object_rel_direction_hard",
    "object_rel_distance", "route_planning", "obj_appearance_order",
)  # fmt: skip
VSI_NUMBERS = {
    "object_abs_distance": "m", "object_counting": "count", "object_size_estimation": "cm",
    "room_size_estimation": "m2",
}  # fmt: skip
_LETTERS = tuple(ascii_uppercase[:10])


@dataclass(frozen=True, slots=True)
class ImportedTask(Engine):
    """A task of imported records.

    Attributes:
        name: `<family>.<what>`.
    """

    name: str

    @property
    def task(self) -> str:
        """The name."""
        return self.name

    @property
    def answer(self) -> AnswerForm:
        """A letter or a number of VSI-Bench, else a free text."""
        family, _, what = self.name.partition(".")
        if family != "vsibench":
            return TEXT
        return LETTER if what in VSI_CHOICES else AnswerForm("number", VSI_NUMBERS[what])

    @property
    def words(self) -> tuple[str, ...]:
        """The letters of a choice."""
        return _LETTERS if self.answer.type == "letter" else ()

    @property
    def metric(self) -> Metric:
        """The letter; mean relative accuracy of a number; a text is equal to a reference."""
        if self.answer.type == FREE:
            return "same text"
        return "accuracy" if self.words else "MRA"

    def chance(self, options: Sequence[str]) -> float | None:
        """One of the options, where they are known."""
        return 1 / len(options) if options and self.words else None

    def candidates(self, context: SceneContext) -> CandidateTable:
        """Not asked: see `_refuse`."""
        self._refuse(context)

    def facts(self, context: SceneContext, rows: Sequence[Row]) -> list[Facts]:
        """Not asked: see `_refuse`."""
        self._refuse(context, rows)

    def recompute(self, reference: ReferenceScene, row: Row) -> tuple[Facts, str]:
        """Not asked: see `_refuse`."""
        self._refuse(reference, row)

    def _refuse(self, *_: object) -> NoReturn:
        raise TaskError(f"{self.task} was imported: it is not made of scenes, nor made again")


def is_imported(task: str) -> bool:
    """Whether a task is one of imported records.

    Example:
        >>> is_imported("sqa3d.what"), is_imported("camera_movement.distance")
        (True, False)
    """
    return family_of(task) in FAMILIES


def imported_task(task: str) -> ImportedTask:
    """The engine of an imported task.

    Raises:
        TaskError: It is none.
    """
    family, _, what = task.partition(".")
    known = family != "vsibench" or what in VSI_CHOICES or what in VSI_NUMBERS
    if family not in FAMILIES or not TASK_NAME.fullmatch(task) or not known:
        raise TaskError(f"no files are imported as the task {task!r}")
    return ImportedTask(task)
