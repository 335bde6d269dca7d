# SPDX-License-Identifier: Apache-2.0
"""Rewards: a record's own answer is worth 1, hedging nothing, and grades fall with the error."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from spatial_engine.commands import export as export_command
from spatial_engine.commands import generate
from spatial_engine.dataset.dataset import Dataset
from spatial_engine.records.record import QARecord
from spatial_engine.scoring.multispa import score
from spatial_engine.scoring.reward import Solution, reward, reward_of, solution_of
from spatialcore.errors import RecordError


@pytest.fixture(scope="module")
def out(sample_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records of every task that the sample scenes give."""
    path = tmp_path_factory.mktemp("reward") / "out"
    argv = [str(sample_dir / "scannet"), str(sample_dir / "tapvid3d"), "-o", str(path)]
    assert generate.main([*argv, "--limit", "400"]) == 0
    return path


@pytest.fixture(scope="module")
def records(out: Path) -> list[QARecord]:
    return [one.record for one in Dataset.open(out).opened()]


def number(unit: str = "mm", metric: str = "within 20 %", answer: str = "1000") -> Solution:
    return Solution(metric, f"It is `{answer}`.", "integer", unit, (), (), (640, 480), {})


def test_the_answer_of_every_record_is_worth_one(records: list[QARecord]) -> None:
    tasks = {record.task for record in records}
    assert len(tasks) > 40
    for record in records:
        solution = solution_of(record).to_text()
        assert reward([record.answer], [solution]) == [pytest.approx(1.0)], record.id


def test_what_scores_nothing_earns_little(records: list[QARecord]) -> None:
    """The answer of another record of the task: where it is wrong the reward says so."""
    dice = random.Random(3)
    by_task: dict[str, list[QARecord]] = {}
    for record in records:
        by_task.setdefault(record.task, []).append(record)
    wrong = 0
    for record in records:
        other = dice.choice(by_task[record.task])
        solution = solution_of(record)
        if solution.metric == "accuracy" and score(record, other.answer).value == 0.0:
            assert reward_of(solution, other.answer) == pytest.approx(0.1)
            wrong += 1
        if score(record, other.answer).value == 1.0 and solution.metric != "within 20 %":
            assert reward_of(solution, other.answer) >= 0.9
    assert wrong > 20


@pytest.mark.parametrize(
    "said",
    [
        "", "somewhere", "It is 900 mm or 1000 mm", "between 500 and 1500 mm",
        "<think>1000</think>", "<think>it is 1000", "1e400", "nan", "-" * 4000,
        "one answer is 1000, another 2000",
    ],
)  # fmt: skip
def test_no_single_answer_earns_nothing(said: str) -> None:
    assert reward_of(number(), said) == 0.0


def test_of_several_spans_the_last_counts_and_none_is_in_its_place() -> None:
    assert reward_of(number(), "`900`, no, `1000`") == pytest.approx(0.9)
    assert reward_of(number(), "`1000` or `2000`") == 0.0


def test_numbers_are_graded_by_relative_error() -> None:
    grades = [reward_of(number(), f"`{said}`") for said in (1000, 1040, 1100, 1300, 1490, 1600)]
    assert grades == sorted(grades, reverse=True)
    assert grades[0] == pytest.approx(1.0)
    assert grades[-1] == pytest.approx(0.1)  # in its place, and nothing more
    assert reward_of(number(), "1 m") == pytest.approx(0.9)  # converted, not in its place
    assert reward_of(number(answer="-1000"), "`1000`") == pytest.approx(0.1)


def test_points_turns_and_boxes_are_graded_by_distance() -> None:
    point = Solution("within 5 % of W", "At `(500, 500)`.", "coordinate", "norm1000", (), (),
                     (1000, 1000), {})  # fmt: skip
    grades = [reward_of(point, f"`({500 + off}, 500)`") for off in (0, 40, 100, 150, 201, 400)]
    assert grades[0] == grades[1] == pytest.approx(1.0)
    assert grades == sorted(grades, reverse=True)
    assert grades[-1] == pytest.approx(0.1)
    turn = number("degree", "within 15 degrees", "350")
    assert reward_of(turn, "`4`") == pytest.approx(1.0)
    assert 0.1 < reward_of(turn, "`25`") < 1.0
    box = Solution("IoU", "Here: `[100, 100, 300, 300]`.", "box", "norm1000", (), (), (9, 9), {})
    assert reward_of(box, "`[100, 100, 300, 200]`") == pytest.approx(0.55)


def test_conversations_and_blocks_are_read() -> None:
    word = Solution("accuracy", "`left`", "word", "word", ("left", "right"), (), (9, 9), {})
    turns = [{"role": "assistant", "content": "<think>right?</think><answer>left</answer>"}]
    parts = [{"role": "assistant", "content": [{"type": "text", "text": "`left`"}]}]
    assert reward([turns, parts], [word.to_text()] * 2) == [1.0, 1.0]
    twice = "<answer>left</answer><answer>left</answer>"
    assert reward_of(word, twice) == pytest.approx(0.9)


def test_what_is_no_solution_is_told() -> None:
    for bad in ("", "[]", "{}", '{"metric": 1}', "[" * 100_000):
        with pytest.raises(RecordError, match="trl-grpo"):
            reward(["left"], [bad])
    with pytest.raises(ValueError, match="argument"):
        reward(["left"], [])


def test_the_export_carries_it(out: Path, tmp_path: Path) -> None:
    assert export_command.main([str(out), "-o", str(tmp_path / "ex"), "--to", "trl-grpo"]) == 0
    files = sorted((tmp_path / "ex" / "trl-grpo" / "train").iterdir())
    rows = [row for path in files for row in pq.read_table(path).to_pylist()]
    found = {one.record.id: one.record for one in Dataset.open(out).opened()}
    assert {row["id"] for row in rows} == found.keys()
    for row in rows:
        record = found[row["id"]]
        (turn,) = row["prompt"]
        parts = turn["content"]
        assert sum(part["type"] == "image" for part in parts) == len(row["images"])
        assert record.answer not in [part["text"] for part in parts]
        assert row["answer"] in record.answer
        assert row["type"] == record.answer_type
        assert json.loads(row["solution"])["metric"]
    rewards = reward([f"`{row['answer']}`" for row in rows], [row["solution"] for row in rows])
    assert rewards == pytest.approx([1.0] * len(rows))
