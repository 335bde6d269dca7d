# SPDX-License-Identifier: Apache-2.0
"""Responses without a model: what chance, the commonest answer and the truth itself would score."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, get_args

from spatial_engine.engines import engine_of
from spatial_engine.records.record import QARecord
from spatial_engine.scoring.multispa import score
from spatialcore.draws import draw, uniform_below

Baseline = Literal["random", "frequency", "oracle"]
BASELINES: tuple[str, ...] = get_args(Baseline)
_CANDIDATES = 200


def baseline_responses(
    name: Baseline, records: Sequence[QARecord], training: Iterable[QARecord] = ()
) -> Iterator[tuple[str, str]]:
    """(id, response) of a baseline for every record.

    `random` takes a word or letter uniformly from the closed set, and a number from the answers of
    the same task in `training` (in `records` where training has none), by the record's id.
    `frequency` takes the commonest word or letter, and for numbers the answer with the best mean
    score on training. `oracle` says the true answer.

    Raises:
        ValueError: Unknown baseline.
    """
    if name not in BASELINES:
        raise ValueError(f"baseline must be one of {', '.join(BASELINES)}, got {name!r}")
    if name == "oracle":
        yield from ((record.id, record.answer) for record in records)
        return
    known = _by_task(training)
    for task, members in _by_task(records).items():
        known.setdefault(task, members)
    constant = {task: _best_constant(members) for task, members in known.items()}
    for record in records:
        if name == "frequency":
            yield record.id, constant[record.task]
        else:
            yield record.id, _drawn(record, known[record.task])


def chance(record: QARecord) -> float | None:
    """Score that guessing over the closed set has in the mean, or None for numbers."""
    return engine_of(record.task).chance(record.options)


def _by_task(records: Iterable[QARecord]) -> dict[str, list[QARecord]]:
    found: dict[str, list[QARecord]] = {}
    for record in records:
        found.setdefault(record.task, []).append(record)
    return found


def _drawn(record: QARecord, known: Sequence[QARecord]) -> str:
    pool = _pool(record, known)
    number = draw(0, "baseline", record.source, record.id, [], "random")
    return f"`{pool[uniform_below(number, len(pool))]}`"


def _pool(record: QARecord, known: Sequence[QARecord]) -> Sequence[str]:
    """What `random` draws from: the closed set, or the known answers."""
    return engine_of(record.task).choices(record.options) or [
        other.typed_answer.span for other in known
    ]


def _best_constant(known: Sequence[QARecord]) -> str:
    """The commonest span for words and letters, else the span with the best mean score."""
    spans = Counter(record.typed_answer.span for record in known)
    ranked = sorted(spans, key=lambda span: (-spans[span], span))
    if known[0].answer_type in ("word", "letter", "steps"):
        return f"`{ranked[0]}`"
    step = max(1, len(ranked) // _CANDIDATES)
    judges = known[:: max(1, len(known) // _CANDIDATES)]
    candidates = sorted(ranked)[::step]

    def worth(span: str) -> float:
        return sum(score(record, f"`{span}`").value for record in judges)

    return f"`{max(candidates, key=worth)}`"
