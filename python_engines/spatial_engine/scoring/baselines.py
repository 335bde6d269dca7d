# SPDX-License-Identifier: Apache-2.0
"""Responses without a model: what chance, the commonest answer and the truth itself would score."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Literal, get_args

from spatial_engine.engines import engine_of
from spatial_engine.engines.place_chance import place_chance
from spatial_engine.records.answers import CLOSED, FREE, WRITTEN
from spatial_engine.records.reading import parse_answer
from spatial_engine.records.record import QARecord
from spatial_engine.records.rotations import rotation_of
from spatial_engine.scoring.multispa import worth
from spatialcore.draws import draw, uniform_below

Baseline = Literal["random", "frequency", "oracle"]
BASELINES: tuple[str, ...] = get_args(Baseline)
_CANDIDATES = 200  # answers that are tried as a constant, and records that judge them
_KEPT = 4096  # answers of a task that are learnt
_SAID = (*CLOSED, *WRITTEN, FREE)  # answers that are no numbers


class _Known:
    """What a baseline knows of a task: counts of its words, and some of its answers.

    Of all records that it learns from those with the smallest draws are kept, the same ones in
    whatever order and in however many parts they come.
    """

    def __init__(self) -> None:
        self.answer_type = ""
        self.words: Counter[str] = Counter()
        self.kept: list[tuple[int, tuple[int, int], str]] = []
        self.judges: list[tuple[int, tuple[int, int], QARecord]] = []

    def add(self, record: QARecord, place: tuple[int, int], *, judges: bool) -> None:
        """Take up one more record; `place` is its file and its row."""
        self.answer_type = record.answer_type
        span = record.typed_answer.span
        if record.answer_type in CLOSED:
            self.words[span] += 1
        number = draw(0, "baseline", record.source, record.id, [], "learn")
        self.kept.append((number, place, span))
        if judges and record.answer_type not in _SAID:
            self.judges.append((number, place, record))
        self._cut(2)

    def merge(self, other: _Known) -> None:
        """Take up what is known of other records."""
        self.answer_type = other.answer_type
        self.words.update(other.words)
        self.kept += other.kept
        self.judges += other.judges
        self._cut(1)

    def _cut(self, times: int) -> None:
        for entries, most in ((self.kept, _KEPT), (self.judges, _CANDIDATES)):
            if len(entries) > times * most:
                entries.sort(key=lambda entry: entry[:2])
                del entries[most:]

    def pool(self) -> list[str]:
        """The answers that are kept, in the order of their records."""
        self._cut(1)
        return [span for _, _, span in sorted(self.kept, key=lambda entry: entry[1])]

    def constant(self) -> str:
        """The commonest span for words and letters, else the span with the best mean score."""
        self._cut(1)
        spans = self.words or Counter(self.pool())
        ranked = sorted(spans, key=lambda span: (-spans[span], span))
        if self.answer_type in _SAID:
            return f"`{ranked[0]}`"
        candidates = sorted(ranked)[:: max(1, len(ranked) // _CANDIDATES)]

        def score_of(span: str) -> float:
            judge = self.judges[0][2].typed_answer  # reading an answer costs more than judging it
            said = parse_answer(f"`{span}`", judge.type, judge.unit).answer
            assert said is not None
            return sum(worth(record, said) for _, _, record in self.judges)

        return f"`{max(candidates, key=score_of)}`"


class Learning:
    """What a baseline has learnt so far, by task; parts of it merge in any order.

    Args:
        name: The baseline.
    """

    def __init__(self, name: Baseline) -> None:
        if name not in BASELINES:
            raise ValueError(f"baseline must be one of {', '.join(BASELINES)}, got {name!r}")
        self.name = name
        self.tasks: dict[str, _Known] = {}

    def add(
        self, records: Iterable[QARecord], file: int = 0, without: Collection[str] = ()
    ) -> Learning:
        """Learn from the records of a file, but for those of some tasks."""
        for row, record in enumerate(records):
            if record.task not in without:
                known = self.tasks.setdefault(record.task, _Known())
                known.add(record, (file, row), judges=self.name == "frequency")
        return self

    def merge(self, other: Learning) -> None:
        """Take up what was learnt from other records."""
        for task, known in other.tasks.items():
            self.tasks.setdefault(task, _Known()).merge(known)


class Learnt:
    """A baseline that has learnt from records; it answers one record after the other.

    `random` takes a word or letter uniformly from the closed set, and a number from answers of the
    same task that it learnt, by the record's id; in every rotation of a choice it takes the same
    option. `frequency` takes the commonest word or letter,
    and for numbers the answer with the best mean score. `oracle` says the true answer.

    Args:
        learning: What it has learnt, of every task that it will be asked.
    """

    def __init__(self, learning: Learning) -> None:
        self.name = learning.name
        self._pools: dict[str, list[str]] = {}
        self._constant: dict[str, str] = {}
        if self.name == "frequency":
            self._constant = {task: one.constant() for task, one in learning.tasks.items()}
        elif self.name == "random":
            self._pools = {task: one.pool() for task, one in learning.tasks.items()}

    def response(self, record: QARecord) -> str:
        """What it says to a record."""
        if self.name == "oracle":
            return record.answer
        if self.name == "frequency":
            return self._constant[record.task]
        name, moved = rotation_of(record.id)
        number = draw(0, "baseline", record.source, name, [], "random")
        said = engine_of(record.task).choices(record.options) or self._pools[record.task]
        return f"`{said[(uniform_below(number, len(said)) + moved) % len(said)]}`"


def baseline_responses(
    name: Baseline, records: Sequence[QARecord], training: Iterable[QARecord] = ()
) -> Iterator[tuple[str, str]]:
    """(id, response) of a baseline for every record; see `Learnt`.

    Args:
        name: The baseline.
        records: What it answers; it learns from them, too, the tasks that training does not have.
        training: What it learns from.

    Raises:
        ValueError: Unknown baseline.
    """
    learning = Learning(name)
    if name != "oracle":
        learning.add(training)
        learning.add(records, 1, without=frozenset(learning.tasks))
    learnt = Learnt(learning)
    yield from ((record.id, learnt.response(record)) for record in records)


def chance(record: QARecord) -> float | None:
    """Score that guessing over the closed set, or at a place, has in the mean; None for numbers."""
    engine = engine_of(record.task)
    known = engine.chance(record.options)
    if known is not None or record.answer_unit != "norm1000" or not record.images:
        return known
    size = record.images[-1].width, record.images[-1].height
    runs = record.facts.get("seen_runs", ())
    return place_chance(engine.metric, record.answer_number, size, runs)
