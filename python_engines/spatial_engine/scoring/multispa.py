# SPDX-License-Identifier: Apache-2.0
"""Scores of MultiSPA answers (arXiv 2505.17015, section 5; the published code was not released).

A task's engine names its rule, the metric:

| metric                   | right iff                                                            |
|--------------------------|----------------------------------------------------------------------|
| accuracy                 | the word or letter is equal after trimming and folding case          |
| within 20 %              | |p - g| <= 0.20 |g|, Euclidean; a truth of 0 needs exactly 0         |
| within 5 % of W          | within 5 % of the image's width, Euclidean, in pixels                |
| nearest, within 5 % of W | also nearer to the right point than to the other one                 |
| arrives                  | walked from the start, each leg is clear, the end within 0.5 m of it |
| MRA                      | mean relative accuracy, 0 to 1 in tenths (`vsibench`)                |
| within 15 degrees        | within 15 degrees, around the circle                                 |
| IoU                      | share of the steps 0.5, 0.6 ... 0.9 that the IoU of a box reaches    |
| on the object            | the point lies on a cell of the image that shows the object          |
| map                      | mean of right places and right orders of pairs (`places`)            |
| same text                | equal to an accepted answer, as `free_text.plain` writes both        |
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from string import ascii_uppercase

from spatial_engine.engines import engine_of
from spatial_engine.engines.base import Metric
from spatial_engine.engines.place_chance import COORDINATE_TOLERANCE
from spatial_engine.records.answers import Answer
from spatial_engine.records.reading import Dialect, parse_answer
from spatial_engine.records.record import QARecord
from spatial_engine.scoring.free_text import same_text
from spatial_engine.scoring.places import iou_score, map_score, on_cells, turn_error
from spatial_engine.scoring.vsibench import mean_relative_accuracy
from spatialcore.relations.free_space import space_of_runs
from spatialcore.relations.starts import arrivals, possible_starts

RELATIVE_TOLERANCE = 0.20
TURN_TOLERANCE_DEG = 15.0
_LETTERS = 4  # a response may name any of the first letters, whether offered or not


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
        dialect: "multispa" reads the last backticked span or the whole response; "lenient" also
            reads answer blocks, boxes and the one answer that a longer text names; reported apart.

    Raises:
        ValueError: Unknown dialect.
        TaskError: No installed engine makes the record's task.
    """
    truth = record.typed_answer
    parsed = parse_answer(
        response,
        truth.type,
        truth.unit,
        choices=closed_set(record),
        options=record.options,
        dialect=dialect,
    )
    metric = engine_of(record.task).metric
    if parsed.answer is None:
        return Score(record.id, record.task, metric, 0.0, False)
    return Score(
        record.id, record.task, metric, worth(record, parsed.answer), True, parsed.converted
    )


def worth(record: QARecord, answer: Answer) -> float:
    """What a typed answer is worth, 0 to 1, by the rule of the record's task.

    Raises:
        TaskError: No installed engine makes the record's task.
    """
    return _value(record, answer, record.typed_answer, engine_of(record.task).metric)


def closed_set(record: QARecord) -> tuple[str, ...]:
    """Words or letters that a response is read as, () for numbers."""
    if record.answer_type == "letter":
        return tuple(ascii_uppercase[: max(len(record.options), _LETTERS)])
    return engine_of(record.task).words


def _value(record: QARecord, answer: Answer, truth: Answer, metric: Metric) -> float:
    if metric == "arrives":
        return _arrives(record, answer)
    if metric == "same text":
        return float(same_text(str(answer.text), record.facts.get("references", [truth.text])))
    if metric == "accuracy":
        return float(str(answer.text).casefold() == str(truth.text).casefold())
    if metric == "MRA":
        return mean_relative_accuracy(answer.number[0], truth.number[0], "official")
    if metric == "within 15 degrees":
        return float(turn_error(answer.number[0], truth.number[0]) <= TURN_TOLERANCE_DEG)
    if metric == "IoU":
        return iou_score(answer.number, truth.number)
    if metric == "on the object":
        image = record.images[-1]
        seen = record.facts["seen_runs"]
        return float(on_cells(answer.number, seen, (image.width, image.height)))
    if metric == "map":
        anchors = [(str(name), int(x), int(y)) for name, x, y in record.facts["anchors"]]
        return map_score(answer.places, truth.places, anchors)
    if metric == "within 20 %":
        error = math.dist(answer.number, truth.number)
        return float(error <= RELATIVE_TOLERANCE * math.hypot(*truth.number))
    nearest = metric == "nearest, within 5 % of W"
    return float(_right_place(record, answer.number, truth.number, nearest=nearest))


def _right_place(
    record: QARecord, answer: tuple[float, ...], truth: tuple[float, ...], *, nearest: bool
) -> bool:
    # The answer lies in the last image shown; both axes are scaled by that image's size.
    image = record.images[-1]
    scale = (image.width / 1000, image.height / 1000)

    def pixels(point: tuple[float, ...]) -> tuple[float, float]:
        return point[0] * scale[0], point[1] * scale[1]

    distance = math.dist(pixels(answer), pixels(truth))
    if distance > COORDINATE_TOLERANCE * image.width:
        return False
    if not nearest:
        return True
    others = [tuple(map(float, point)) for point in record.facts["norm1000"]]
    return all(
        math.dist(pixels(answer), pixels(other)) > distance for other in others if other != truth
    )


def _arrives(record: QARecord, answer: Answer) -> float:
    """From which share of the starts that the question allows the steps reach the goal.

    A turn without angle is its word's nominal one.
    """
    facts = record.facts
    space = space_of_runs(facts["floor"])
    starts = possible_starts(space, facts["start_xy"], float(facts["start_slack_m"]))
    return arrivals(space, starts, facts["face_xy"], facts["goal_xy"], answer.steps)
