# SPDX-License-Identifier: Apache-2.0
"""Responses without a model: what chance, the commonest answer and the truth itself would score."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Literal, get_args

from spatial_engine.engines import engine_of
from spatial_engine.records.answers import CLOSED, FREE, WRITTEN
from spatial_engine.records.record import QARecord
from spatial_engine.scoring.multispa import score
from spatialcore.draws import draw, uniform_below

Baseline = Literal["random", "frequency", "oracle"]
BASELINES: tuple[str, ...] = get_args(Baseline)
_CANDIDATES = 200
_SAID = (*CLOSED, *WRITTEN, FREE)  # answers that are no numbers
Records = Callable[[], Iterable[QARecord]]


class _Known:
    """The answers of a task in the records that a baseline learns from: 4 bytes a record."""

    def __init__(self) -> None:
        self.spans: list[str] = []
        self.order = array("I")
        self.answer_type = ""
        self.judges: list[QARecord] = []
        self._index: dict[str, int] = {}

    def add(self, record: QARecord) -> None:
        """Take up one more answer."""
        span = record.typed_answer.span
        if span not in self._index:
            self._index[span] = len(self.spans)
            self.spans.append(span)
        self.order.append(self._index[span])
        self.answer_type = self.answer_type or record.answer_type

    def pool(self, position: int) -> str:
        """The answer at a position."""
        return self.spans[self.order[position]]

    def constant(self) -> str:
        """The commonest span for words and letters, else the span with the best mean score."""
        counts = Counter(self.order)
        spans = {self.spans[k]: count for k, count in counts.items()}
        ranked = sorted(spans, key=lambda span: (-spans[span], span))
        if self.answer_type in _SAID:
            return f"`{ranked[0]}`"
        candidates = sorted(ranked)[:: max(1, len(ranked) // _CANDIDATES)]

        def worth(span: str) -> float:
            return sum(score(record, f"`{span}`").value for record in self.judges)

        return f"`{max(candidates, key=worth)}`"


class Learnt:
    """A baseline that has learnt from records; it answers one record after the other.

    Args:
        name: `random` takes a word or letter uniformly from the closed set, and a number from the
            answers of the same task in `training` (in `records` where training has none), by the
            record's id. `frequency` takes the commonest word or letter, and for numbers the answer
            with the best mean score on training. `oracle` says the true answer.
        records: Gives the records that it will answer, as often as it is called.
        training: Gives those that it learns from.

    Raises:
        ValueError: Unknown baseline.
    """

    def __init__(self, name: Baseline, records: Records, training: Records) -> None:
        if name not in BASELINES:
            raise ValueError(f"baseline must be one of {', '.join(BASELINES)}, got {name!r}")
        self.name = name
        self._known: dict[str, _Known] = {}
        self._constant: dict[str, str] = {}
        if name == "oracle":
            return
        self._learn(training, ())
        self._learn(records, frozenset(self._known))
        if name == "frequency":
            self._constant = {task: known.constant() for task, known in self._known.items()}

    def _learn(self, records: Records, without: Collection[str]) -> None:
        mine: dict[str, _Known] = {}
        for record in records():
            if record.task not in without:
                mine.setdefault(record.task, _Known()).add(record)
        self._known |= mine
        numbers = {task for task, known in mine.items() if known.answer_type not in _SAID}
        if self.name != "frequency" or not numbers:
            return
        seen: Counter[str] = Counter()
        for record in records():
            known = mine.get(record.task)
            if known is None or record.task not in numbers:
                continue
            if seen[record.task] % max(1, len(known.order) // _CANDIDATES) == 0:
                known.judges.append(record)
            seen[record.task] += 1

    def response(self, record: QARecord) -> str:
        """What it says to a record."""
        if self.name == "oracle":
            return record.answer
        if self.name == "frequency":
            return self._constant[record.task]
        number = draw(0, "baseline", record.source, record.id, [], "random")
        closed = engine_of(record.task).choices(record.options)
        if closed:
            return f"`{closed[uniform_below(number, len(closed))]}`"
        known = self._known[record.task]
        return f"`{known.pool(uniform_below(number, len(known.order)))}`"


def baseline_responses(
    name: Baseline, records: Sequence[QARecord], training: Iterable[QARecord] = ()
) -> Iterator[tuple[str, str]]:
    """(id, response) of a baseline for every record; see `Learnt`.

    Raises:
        ValueError: Unknown baseline.
    """
    known = list(training)
    learnt = Learnt(name, lambda: records, lambda: known)
    yield from ((record.id, learnt.response(record)) for record in records)


def chance(record: QARecord) -> float | None:
    """Score that guessing over the closed set has in the mean, or None for numbers."""
    return engine_of(record.task).chance(record.options)
