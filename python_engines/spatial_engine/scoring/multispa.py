# SPDX-License-Identifier: Apache-2.0
"""Scores of MultiSPA answers (arXiv 2505.17015, section 5; the published code was not released).

| answer          | right iff                                                                    |
|-----------------|------------------------------------------------------------------------------|
| word, letter    | equal after trimming and folding case                                        |
| number, vector  | |p - g| <= 0.20 |g|, Euclidean; a truth of 0 needs exactly 0                 |
| coordinate      | within 5 % of the image's width, Euclidean, in pixels                        |
| comparison by coordinate | also nearer to the right point than to the other one                |
| steps           | walked from the start, every leg is clear and the end within 0.5 m of it     |

Numbers of the family `scene_layout` are scored by mean relative accuracy instead (`vsibench`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from spatial_engine.records.answers import Answer, AnswerType, Dialect, parse_answer
from spatial_engine.records.record import QARecord
from spatial_engine.scoring.vsibench import mean_relative_accuracy
from spatialcore.relations.free_space import space_of_runs
from spatialcore.relations.walks import walk

RELATIVE_TOLERANCE = 0.20
COORDINATE_TOLERANCE = 0.05  # of the image's width
# Closed sets of one-word answers; a record's own options come first.
WORD_SETS = (
    ("left", "right"),
    ("up", "down"),
    ("forward", "backward"),
    ("yes", "no"),
    ("nearer", "farther"),
    ("behind", "in front"),
    ("above", "below"),
    ("larger", "smaller", "similar"),
    ("contains", "intersects", "adjacent", "disjoint"),
)
Metric = Literal["accuracy", "within 20 %", "within 5 % of W", "MRA"]


@dataclass(frozen=True, slots=True)
class Score:
    """What a response is worth.

    Attributes:
        id: The record's id.
        task: Its task.
        metric: How it was scored.
        value: 0 to 1.
        parsed: Whether the response holds an answer at all; without one the value is 0.
        converted: Whether a unit was converted.
    """

    id: str
    task: str
    metric: Metric
    value: float
    parsed: bool
    converted: bool = False


def score(record: QARecord, response: str, *, dialect: Dialect = "multispa") -> Score:
    """Score one response.

    Args:
        record: The record with the true answer.
        response: What the model said.
        dialect: "multispa" reads the last backticked span or the whole response; "lenient" takes
            the last answer of a longer text, and is reported apart.

    Raises:
        ValueError: Unknown dialect.
    """
    truth = record.typed_answer
    parsed = parse_answer(
        response, truth.type, truth.unit, choices=closed_set(record), dialect=dialect
    )
    metric = metric_of(record)
    if parsed.answer is None:
        return Score(record.id, record.task, metric, 0.0, False)
    value = _value(record, parsed.answer, truth, metric)
    return Score(record.id, record.task, metric, value, True, parsed.converted)


def metric_of(record: QARecord) -> Metric:
    """How records of this task are scored."""
    kind: AnswerType = record.answer_type  # type: ignore[assignment]  # checked on reading
    if kind in ("word", "letter", "steps"):
        return "accuracy"
    if kind == "coordinate":
        return "within 5 % of W"
    return "MRA" if record.task.startswith("scene_layout.") else "within 20 %"


def closed_set(record: QARecord) -> tuple[str, ...]:
    """Words or letters that a response may give, () for numbers and open words."""
    if record.answer_type == "letter":
        return tuple(chr(ord("A") + i) for i in range(max(len(record.options), 4)))
    if record.answer_type != "word":
        return ()
    if record.options:
        return record.options
    return next((words for words in WORD_SETS if record.answer_text in words), ())


def _value(record: QARecord, answer: Answer, truth: Answer, metric: Metric) -> float:
    if answer.type == "steps":
        return float(_arrives(record, answer))
    if metric == "accuracy":
        return float(str(answer.text).casefold() == str(truth.text).casefold())
    if metric == "MRA":
        return mean_relative_accuracy(answer.number[0], truth.number[0], "official")
    if metric == "within 20 %":
        error = math.dist(answer.number, truth.number)
        return float(error <= RELATIVE_TOLERANCE * math.hypot(*truth.number))
    return float(_right_place(record, answer.number, truth.number))


def _right_place(record: QARecord, answer: tuple[float, ...], truth: tuple[float, ...]) -> bool:
    # The answer lies in the last image shown; both axes are scaled by that image's size.
    image = record.images[-1]
    scale = (image.width / 1000, image.height / 1000)

    def pixels(point: tuple[float, ...]) -> tuple[float, float]:
        return point[0] * scale[0], point[1] * scale[1]

    distance = math.dist(pixels(answer), pixels(truth))
    if distance > COORDINATE_TOLERANCE * image.width:
        return False
    if ".comparison." not in record.task:
        return True
    others = [tuple(map(float, point)) for point in record.facts["norm1000"]]
    return all(
        math.dist(pixels(answer), pixels(other)) > distance for other in others if other != truth
    )


def _arrives(record: QARecord, answer: Answer) -> bool:
    """Whether the steps lead to the goal over clear floor; a turn without angle is its nominal."""
    facts = record.facts
    space = space_of_runs(facts["floor"])
    walked = walk(space, facts["start_xy"], float(facts["heading_deg"]), answer.steps)
    return walked.arrives(facts["goal_xy"])


METRICS: tuple[str, ...] = get_args(Metric)
