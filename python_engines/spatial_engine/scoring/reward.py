# SPDX-License-Identifier: Apache-2.0
"""Rewards of sampled answers, for reinforcement learning: `reward` is what trl's GRPOTrainer calls.

A reward is 0.9 times how right the answer is, plus 0.1 where it stands in its place: in one
backticked span or one answer block. How right: words and letters by equality, numbers and vectors
by mean relative accuracy, turns, points and boxes graded by how far they are off, maps and walks as
they are scored. A response from which no single answer can be read gets 0: hedging pays nothing; of
several backticked spans the last one counts, as everywhere.

A row of `export --to trl-grpo` carries its `solution`, so that no data set has to be open.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from spatial_engine.engines import engine_of
from spatial_engine.engines.place_chance import COORDINATE_TOLERANCE
from spatial_engine.records.answers import Answer
from spatial_engine.records.reading import parse_answer
from spatial_engine.records.record import QARecord
from spatial_engine.scoring.free_text import same_text
from spatial_engine.scoring.multispa import (
    RELATIVE_TOLERANCE,
    TURN_TOLERANCE_DEG,
    closed_set,
)
from spatial_engine.scoring.places import iou, map_score, on_cells, turn_error
from spatial_engine.scoring.vsibench import mean_relative_accuracy
from spatialcore.errors import RecordError
from spatialcore.relations.free_space import space_of_runs
from spatialcore.relations.starts import arrivals, possible_starts

FORMAT_SHARE = 0.1
_FALL = 4.0  # a grade falls to 0 where an answer is off by so many tolerances
# What of a record's evidence a grade needs.
_FACTS = ("norm1000", "seen_runs", "anchors", "floor", "start_xy", "start_slack_m", "face_xy",
          "goal_xy", "references")  # fmt: skip
_GRADED = {"nearest, within 5 % of W", "on the object", "map", "arrives", "same text"}


@dataclass(frozen=True)
class Solution:
    """What a response is held against.

    Attributes:
        metric: The engine's, which says how answers are graded.
        answer: The true answer as a record's sentence says it.
        type: Its type.
        unit: Its unit.
        choices: Words or letters that a response is read as.
        options: Texts of the letters.
        size: (w, h) of the last image, in which points lie.
        facts: Evidence that the grade needs.
    """

    metric: str
    answer: str
    type: str
    unit: str
    choices: tuple[str, ...]
    options: tuple[str, ...]
    size: tuple[int, int]
    facts: Mapping[str, Any]

    @property
    def tolerance(self) -> float:
        """How far a right answer may be off: a share, degrees, or thousandths of the width."""
        return {
            "within 20 %": RELATIVE_TOLERANCE, "within 15 degrees": TURN_TOLERANCE_DEG,
            "within 5 % of W": 1000 * COORDINATE_TOLERANCE,
            "nearest, within 5 % of W": 1000 * COORDINATE_TOLERANCE,
        }.get(self.metric, 0.0)  # fmt: skip

    def to_text(self) -> str:
        """One line of JSON."""
        return json.dumps(self.__dict__, separators=(",", ":"), sort_keys=True)


def solution_of(record: QARecord) -> Solution:
    """The solution of a record.

    Raises:
        TaskError: No installed engine makes the record's task.
    """
    metric = engine_of(record.task).metric
    facts = record.facts if metric in _GRADED else {}
    size = (record.images[-1].width, record.images[-1].height) if record.images else (0, 0)
    return Solution(
        metric, record.answer, record.answer_type, record.answer_unit, tuple(closed_set(record)),
        tuple(record.options), size,
        {name: facts[name] for name in _FACTS if name in facts},
    )  # fmt: skip


def reward(
    completions: Sequence[str | Sequence[Mapping[str, Any]]],
    solution: Sequence[str],
    **_columns: Any,
) -> list[float]:
    """Rewards of completions, as trl's GRPOTrainer asks for them.

    Args:
        completions: Texts, or conversations whose last turn is the answer.
        solution: Column of the same length: `solution` of `export --to trl-grpo`.
        _columns: The other columns, which are not looked at.

    Returns:
        Numbers from 0 to 1.

    Raises:
        RecordError: A solution is none.
        ValueError: The lengths differ.
    """
    return [
        reward_of(_solution(truth), _text(one))
        for one, truth in zip(completions, solution, strict=True)
    ]


def reward_of(solution: Solution, response: str) -> float:
    """The reward of one response.

    Example:
        >>> truth = Solution("accuracy", "It is `left`.", "word", "word", ("left", "right"), (),
        ...                  (640, 480), {})
        >>> [reward_of(truth, said) for said in ("`left`", "left", "left or right", "`right`")]
        [1.0, 0.9, 0.0, 0.1]
    """
    truth, said = _read(solution, solution.answer), _read(solution, response, lenient=True)
    if truth is None:
        raise RecordError(f"no {solution.type} can be read from the solution {solution.answer!r}")
    if said is None:
        return 0.0
    right = min(max(_grade(solution, said, truth), 0.0), 1.0)
    return (1 - FORMAT_SHARE) * right + FORMAT_SHARE * _in_place(response)


def _in_place(response: str) -> bool:
    """Whether the answer stands in one backticked span or in one answer block."""
    blocks = response.count("<answer>")
    if blocks:
        return blocks == response.count("</answer>") == 1
    return response.count("`") == 2


def _read(solution: Solution, text: str, *, lenient: bool = False) -> Answer | None:
    found = parse_answer(
        text, solution.type, solution.unit,  # type: ignore[arg-type]
        choices=solution.choices, options=solution.options,
        dialect="lenient" if lenient else "multispa",
    )  # fmt: skip
    return found.answer


def _grade(solution: Solution, answer: Answer, truth: Answer) -> float:
    """How right an answer is, 0 to 1."""
    metric, facts = solution.metric, solution.facts
    if metric == "same text":
        return float(same_text(str(answer.text), facts.get("references", [truth.text])))
    if metric == "accuracy":
        return float(str(answer.text).casefold() == str(truth.text).casefold())
    if metric in ("MRA", "within 20 %"):
        size = math.hypot(*truth.number)
        return mean_relative_accuracy(size + math.dist(answer.number, truth.number), size)
    if metric == "within 15 degrees":
        return _falling(turn_error(answer.number[0], truth.number[0]), TURN_TOLERANCE_DEG)
    if metric == "IoU":
        return iou(answer.number, truth.number)
    if metric == "map":
        anchors = [(str(name), int(x), int(y)) for name, x, y in facts["anchors"]]
        return map_score(answer.places, truth.places, anchors)
    if metric == "arrives":
        space = space_of_runs(facts["floor"])
        starts = possible_starts(space, facts["start_xy"], float(facts["start_slack_m"]))
        return arrivals(space, starts, facts["face_xy"], facts["goal_xy"], answer.steps)
    away = _pixels(solution, answer.number, truth.number)
    grade = _falling(away, COORDINATE_TOLERANCE * solution.size[0])
    if metric == "on the object":
        return 1.0 if on_cells(answer.number, facts["seen_runs"], solution.size) else 0.5 * grade
    if metric == "nearest, within 5 % of W":
        others = [tuple(map(float, p)) for p in facts["norm1000"]]
        if any(_pixels(solution, answer.number, p) <= away for p in others if p != truth.number):
            return 0.0
    return grade


def _falling(off: float, tolerance: float) -> float:
    """1 within the tolerance, from there evenly down to 0 at four times as much."""
    return min(1.0, (_FALL - off / tolerance) / (_FALL - 1.0))


def _pixels(solution: Solution, a: Sequence[float], b: Sequence[float]) -> float:
    w, h = solution.size
    return math.hypot((a[0] - b[0]) * w / 1000, (a[1] - b[1]) * h / 1000)


@lru_cache(maxsize=4096)  # a group of completions shares its solution
def _solution(text: str) -> Solution:
    try:
        told = json.loads(text)
        lists = {name: tuple(told[name]) for name in ("choices", "options", "size")}
        return Solution(**{**told, **lists})
    except (ValueError, TypeError, KeyError, RecursionError):
        what = "no column `solution` of `spatialcore export --to trl-grpo`"
        raise RecordError(f"{what}: {str(text)[:80]!r}") from None


def _text(completion: str | Sequence[Mapping[str, Any]]) -> str:
    if isinstance(completion, str):
        return completion
    content = completion[-1].get("content", "") if completion else ""
    if isinstance(content, str):
        return content
    return "".join(str(part.get("text") or "") for part in content)
