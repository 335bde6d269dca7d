# SPDX-License-Identifier: Apache-2.0
"""What an engine is: all that is known of one task.

Of the task itself it says what the rest of the code asks by name: the closed set of words, type
and unit of the answer, chance, the scoring rule, what its records are about, where its wording
lies, which published row it belongs to. Of a scene, `candidates` lists what may be asked, `facts`
gives the answers and evidence of the rows that were chosen, and `recompute` derives the same facts
a second time from the source by the float64 reference. All of it is pure. Text, ids and provenance
are added by `dataset.compose`, alike for all tasks; so `verify` can compare whole records, words
included.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from string import ascii_uppercase
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import numpy as np

from spatial_engine.engines.candidates import CandidateTable, Row, joined
from spatial_engine.engines.contents import distinct, room_capped
from spatial_engine.records.answers import Answer, AnswerType
from spatial_engine.records.task_name import family_of
from spatial_engine.records.wording import TemplateFile

if TYPE_CHECKING:
    from spatial_engine.engines.budgets import FrameAnswer
    from spatial_engine.engines.context import SceneContext
    from spatial_engine.engines.published import Published
    from spatial_engine.recipe import Recipe
    from spatial_engine.records.chains import Chain, Telling
    from spatial_engine.records.marks import Mark
    from spatial_engine.reference.scene import ReferenceScene
    from spatialcore.index.store import SceneIndex

Kind = Literal["scene", "clip", "revisit"]
Metric = Literal[
    "accuracy", "within 20 %", "within 5 % of W", "nearest, within 5 % of W", "MRA", "arrives",
    "within 15 degrees", "IoU", "on the object", "map", "same text",
]  # fmt: skip
OTHER_SIDE = "other_side"
"""The reason of candidates that show frames of both sides, or the other, of a held-out stretch."""
METRICS: tuple[Metric, ...] = get_args(Metric)


class AnswerForm(NamedTuple):
    """Type and unit of a task's answers; see `records.answers`."""

    type: AnswerType
    unit: str


WORD, LETTER = AnswerForm("word", "word"), AnswerForm("letter", "letter")


class Subject(NamedTuple):
    """What the records of a task are about.

    Records of equal subjects tell about each other, whatever their tasks: in one conversation a
    model would copy from its context instead of looking.

    Attributes:
        about: The joined facts, e.g. "translation" for the direction and the length of a movement.
        of_items: Whether records about other points, objects or tracks are about something else.
    """

    about: str
    of_items: bool = False

    def key(self, evidence: Mapping[str, Any]) -> str:
        """Subject of a record; `evidence["items"]` holds its ids in every task."""
        if not self.of_items:
            return self.about
        return f"{self.about}: {', '.join(sorted(map(str, evidence.get('items', ()))))}"


class Facts(NamedTuple):
    """What a row says, before any text.

    Attributes:
        answer: The typed answer.
        evidence: The numbers that the answer came from: SI units, plain JSON values. The row's item
            ids are added as "items".
        slots: Values for the slots of the question and answer templates, as text.
        marks: For each shown frame its marks; () when no image carries any.
        options: What a choice offers.
        variant: Which list of questions and answers is meant, e.g. "closer"; "" when there is one.
    """

    answer: Answer
    evidence: Mapping[str, Any]
    slots: Mapping[str, str]
    marks: tuple[tuple[Mark, ...], ...] = ()
    options: tuple[str, ...] = ()
    variant: str = ""


class Named(NamedTuple):
    """An object that a record names or counts.

    Attributes:
        object_id: Which.
        frames: At least one of them must show it.
    """

    object_id: int
    frames: tuple[int, ...]


class Engine(ABC):
    """One task. An engine is a frozen dataclass; what most have in common need not be said."""

    __slots__ = ()

    @property
    @abstractmethod
    def task(self) -> str:
        """`<family>.<quantity>[.<form>]`."""

    @property
    @abstractmethod
    def answer(self) -> AnswerForm:
        """Type and unit of every answer."""

    @property
    def question_type(self) -> str:
        """The published name of the task, or of its VSI-Bench type; else the task's name."""
        return self.task.replace(".", "_")

    @property
    def kind(self) -> Kind:
        """Whether it asks about scans, about clips of tracks, or about two visits of a room."""
        return "scene"

    @property
    def needs_up(self) -> bool:
        """Whether gravity must be known."""
        return False

    @property
    def needs_objects(self) -> bool:
        """Whether it asks about labelled objects; `check` says what labels would unlock."""
        return False

    @property
    def of_points(self) -> bool:
        """Whether the items of its rows are points of the cloud."""
        return self.kind == "scene" and not self.needs_objects

    @property
    def needs_metres(self) -> bool:
        """Whether lengths must be metres; directions and correspondences need no scale."""
        return True

    @property
    def of_walk(self) -> bool:
        """Whether it shows frames of a walk through the scene: `told` says what others answer."""
        return False

    @property
    def within_quota(self) -> bool:
        """Whether candidates are listed only as far as the quota of a scene needs them."""
        return False

    @property
    def words(self) -> tuple[str, ...]:
        """The closed set of answer words or letters; () for numbers."""
        return ()

    @property
    def metric(self) -> Metric:
        """How a response is scored; `scoring.multispa` holds the rules."""
        rules: dict[AnswerType, Metric] = {
            "coordinate": "within 5 % of W", "steps": "arrives", "box": "IoU", "map": "map",
        }  # fmt: skip
        return "accuracy" if self.words else rules.get(self.answer.type, "within 20 %")

    @property
    def subject(self) -> Subject:
        """What may not share a conversation with this task's records."""
        return Subject(family_of(self.task), of_items=True)

    @property
    def published(self) -> Published | None:
        """The row of a published table that the task belongs to."""
        return None

    @property
    def templates(self) -> TemplateFile:
        """The wording: `templates/<family>.toml` in the package that the engine comes from."""
        return TemplateFile(family_of(self.task), type(self).__module__.partition(".")[0])

    def choices(self, options: Sequence[str]) -> tuple[str, ...]:
        """The closed set of one record: as many letters as it has options, else `words`."""
        if self.answer.type == "letter" and options:
            return tuple(ascii_uppercase[: len(options)])
        return self.words

    def chance(self, options: Sequence[str]) -> float | None:
        """Mean score of guessing over the closed set of a record with such options.

        None for numbers, which have no such set; their best constant answer is counted by `stats`.
        """
        choices = self.choices(options)
        return 1 / len(choices) if choices else None

    @property
    def whole_contents(self) -> bool:
        """Whether a content of its rows is asked with all strata equally often, or not at all.

        Elsewhere no stratum of a content is more frequent than the second most frequent one.
        """
        return False

    @property
    def paired_contents(self) -> bool:
        """Whether contents are pairs of names whose first strata say that one or the other is more.

        They are `contents.pair_content`. Each name is then as often more as it is less.
        """
        return False

    @property
    def graded_contents(self) -> bool:
        """Whether contents are sizes: what is always said of one tells what is said of the next.

        Where there are rooms enough to learn from, contents that never vary are then not asked.
        """
        return False

    def bin_count(self, recipe: Recipe) -> int:
        """Quota bins, empty ones included; one where rows have no overlap or size to balance."""
        del recipe
        return 1

    def strata(self, recipe: Recipe) -> tuple[tuple[str, float], ...]:
        """Name and share of the quota of each stratum, e.g. one for each word; one by default."""
        del recipe
        return (("", 1.0),)

    def caps(self, recipe: Recipe) -> tuple[float, ...]:
        """Greatest share of a source's rows that each stratum may have; 1 is no limit."""
        return (1.0,) * len(self.strata(recipe))

    @abstractmethod
    def candidates(self, context: SceneContext) -> CandidateTable:
        """Every row that passes every guard, and how many did not, by reason."""

    @abstractmethod
    def facts(self, context: SceneContext, rows: Sequence[Row]) -> list[Facts]:
        """Answer, evidence, slots and marks of each of n candidates. It cannot reject.

        What a row says does not depend on the others: they come together so that arrays hold them.
        """

    @abstractmethod
    def recompute(self, reference: ReferenceScene, row: Row) -> tuple[Facts, str]:
        """The facts of a row from the source, by the float64 reference and another code path.

        Returns:
            The facts, and the first guard that the row breaks or "".
        """

    def told(self, scene: SceneContext | ReferenceScene, row: Row) -> FrameAnswer:
        """What the frames of a row answer, which need not be those of a candidate.

        Called of engines `of_walk`: with an index when records are made, with a source by `verify`.
        """
        del scene
        raise TypeError(f"{self.task}: {row.frames} are no walk that other frames may stand for")

    def named(self, reference: ReferenceScene, row: Row) -> Sequence[Named]:
        """The objects that a row's texts name or count; `verify` asks whether they are hidden."""
        del reference, row
        return ()

    def chain(self, told: Telling) -> Chain | None:
        """The numbers of a record's evidence in words, up to its answer; None: it tells no chain.

        Every number of a line is given as a number, so that `verify` can hold it against evidence
        that it derived again; the ending follows from them, not from the answer.
        """
        del told
        return None


def equal_shares(names: Sequence[str]) -> tuple[tuple[str, float], ...]:
    """Strata of equal shares, one for each name."""
    return tuple((name, 1.0 / len(names)) for name in names)


def usable(engine: Engine, scene: SceneIndex) -> str:
    """Why the engine may not ask about the scene, or "" when it may."""
    if engine.kind != scene.kind:
        return "other_kind"
    if engine.needs_metres and not scene.metric:
        return "not_metric"
    if engine.needs_up and scene.up == "unknown":
        return "up_unknown"
    return ""


def candidates_of(engine: Engine, context: SceneContext) -> CandidateTable:
    """The engine's candidates, or none with the reason why the scene cannot be asked about.

    Where the recipe balances what answers say, no two are near duplicates, and none of the rooms
    has more than its share.
    """
    reason = usable(engine, context.scene)
    if reason:
        return CandidateTable.empty({} if reason == "other_kind" else {reason: 1})
    table = _shown(_of_walks(engine, context), context)
    if not context.recipe.word_strata:
        return table
    quota = context.scene_quota.get(engine.task)
    return room_capped(distinct(table), len(table) if quota is None else quota)


def _shown(table: CandidateTable, context: SceneContext) -> CandidateTable:
    """The candidates that show only frames that may be shown."""
    inside = np.all(context.holds(table.frames) | (table.frames < 0), axis=1)
    if inside.all():
        return table
    rejected = {**table.rejected, OTHER_SIDE: int((~inside).sum())}
    return replace(table.take(inside), rejected=rejected)


def _of_walks(engine: Engine, context: SceneContext) -> CandidateTable:
    """The candidates of all sets of frames that are shown of a scene; sets that lack are counted.

    `walk_short`: the scene has too few frames for as many sets as the recipe asks for.
    """
    if not engine.of_walk or context.recipe.walks < 2:
        return engine.candidates(context)
    walks = context.walks()
    tables = [engine.candidates(walk) for walk in walks]
    rejected = Counter({"walk_short": context.recipe.walks - len(walks)})
    for table in tables:
        rejected.update(table.rejected)
    return joined([table for table in tables if len(table)], rejected)
