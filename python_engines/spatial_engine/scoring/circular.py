# SPDX-License-Identifier: Apache-2.0
"""Circular evaluation: a choice is right only where it is right in every rotation of its options.

A choice of k options is asked k times (`records.rotations`); its score is the least of the k:

    score = min over s of score(rotation s)

What guessing earns depends on how one guesses. Whoever settles on one option and finds it again
wherever it stands is right in all k rotations with chance 1/k, and no answer that does not look can
do better, since it would have to be right in the first one: 1/k is the chance that is stated.
k independent guesses have (1/k)^k, and a letter that is always the same has 0. So the stated chance
does not fall by asking k times; what falls is what a liking for a letter earns.

Source: CircularEval of MMBench (arXiv 2307.06281).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from spatial_engine.records.reading import Dialect
from spatial_engine.records.record import QARecord
from spatial_engine.records.rotations import rotations
from spatial_engine.scoring.multispa import Score, score

Respond = Callable[[QARecord], str | None]


@dataclass(frozen=True, slots=True)
class Judged:
    """What was said to a record, in one or in all rotations.

    Attributes:
        score: The least score; read where every response was, converted where one was.
        once: The score of the record as it stands.
        asked: How often it was asked.
        missing: Id of the first rotation without a response; None where there is none.
    """

    score: Score
    once: float
    asked: int
    missing: str | None


def judged(
    record: QARecord, respond: Respond, dialect: Dialect = "multispa", *, circular: bool = False
) -> Judged:
    """Score what is said to a record; with `circular` to all its rotations.

    Args:
        record: The record.
        respond: The response to a record or rotation; None where there is none, which is wrong.
        dialect: As in `multispa.score`.
        circular: Whether choices count only where every rotation is right.

    Raises:
        TaskError: No installed engine makes the record's task.
    """
    missing: str | None = None
    scores: list[Score] = []
    for one in rotations(record) if circular else (record,):
        response = respond(one)
        if response is None and missing is None:
            missing = one.id
        scores.append(score(one, response or "", dialect=dialect))
    whole = replace(
        scores[0], value=min(one.value for one in scores),
        parsed=all(one.parsed for one in scores), converted=any(one.converted for one in scores),
    )  # fmt: skip
    return Judged(whole, scores[0].value, len(scores), missing)
