# SPDX-License-Identifier: Apache-2.0
"""The scale of every task: the truth scores 100 %, and drawing scores what enumeration says."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from spatial_engine.commands import generate
from spatial_engine.dataset.dataset import open_records
from spatial_engine.engines import engine_of, engines
from spatial_engine.records.record import QARecord
from spatial_engine.scoring.baselines import baseline_responses, chance
from spatial_engine.scoring.multispa import score

TASKS = sorted(engine.task for engine in engines())


@pytest.fixture(scope="module")
def records(
    sample_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[QARecord]]:
    out = tmp_path_factory.mktemp("every") / "out"
    sources = [str(sample_dir / name) for name in ("scannet", "tapvid3d")]
    assert generate.main([*sources, "-o", str(out)]) == 0
    found: dict[str, list[QARecord]] = {}
    for opened in open_records(out):
        found.setdefault(opened.record.task, []).append(opened.record)
    return found


def test_the_sample_scenes_ask_nearly_every_task(records: dict[str, list[QARecord]]) -> None:
    assert set(records) <= set(TASKS)
    once = [task for task in TASKS if engine_of(task).kind != "revisit"]
    assert len(records) >= 0.95 * len(once)


def _of(records: dict[str, list[QARecord]], task: str) -> list[QARecord]:
    if task not in records:
        pytest.skip(f"these sample scenes ask no {task}")
    return records[task]


def expected_random(record: QARecord, known: Sequence[QARecord]) -> tuple[float, float]:
    """Mean and variance of the score of the `random` baseline on a record, by enumeration.

    Args:
        record: The record.
        known: Records of its task that numbers are drawn from.
    """
    closed = engine_of(record.task).choices(record.options)
    pool = Counter(closed or [other.typed_answer.span for other in known])
    total = sum(pool.values())
    values = {span: score(record, f"`{span}`").value for span in pool}
    mean = sum(count * values[span] for span, count in pool.items()) / total
    square = sum(count * values[span] ** 2 for span, count in pool.items()) / total
    return mean, max(0.0, square - mean**2)


@pytest.mark.parametrize("task", TASKS)
def test_the_truth_scores_everything(records: dict[str, list[QARecord]], task: str) -> None:
    members = _of(records, task)
    responses = dict(baseline_responses("oracle", members))
    made = {r.id: score(r, responses[r.id]) for r in members}
    assert {name: s for name, s in made.items() if s.value != 1 or not s.parsed} == {}


@pytest.mark.parametrize("task", TASKS)
def test_drawing_scores_chance(records: dict[str, list[QARecord]], task: str) -> None:
    members = _of(records, task)
    responses = dict(baseline_responses("random", members))
    observed = sum(score(r, responses[r.id]).value for r in members)
    expected = [expected_random(r, members) for r in members]
    error = math.sqrt(sum(variance for _, variance in expected))
    assert abs(observed - sum(mean for mean, _ in expected)) <= 3 * error + 1e-9
    for record, (mean, _) in zip(members, expected, strict=True):
        guess = chance(record)
        # Numbers are drawn from the answers that there are: no even guess over all of a circle.
        if guess is not None and engine_of(task).choices(record.options):
            assert mean == pytest.approx(guess)
