# SPDX-License-Identifier: Apache-2.0
"""What a data set holds: counts, balance of answers, chance, numbers, rejections, duplicates."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from spatial_engine.opened import data_files
from spatial_engine.record import read_tables

_COLUMNS = (
    "id", "source", "split", "task", "question", "answer_type", "answer_text", "answer_number",
    "answer_unit", "frames", "scene",
)  # fmt: skip
_QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
_TOLERANCE = 0.20  # of the truth: what scoring accepts as a right number


@dataclass(slots=True)
class TaskStats:
    """One task.

    Attributes:
        rows: Its records.
        sources: Records by source.
        splits: Records by split.
        answers: Records by word or letter.
        numbers: Quantiles of the answer, of its norm where it has several numbers.
        unit: Unit of the answer.
        majority: Score of always giving the most frequent answer; for numbers, of the constant
            that is within 20 % of the most truths.
    """

    rows: int = 0
    sources: dict[str, int] = field(default_factory=dict)
    splits: dict[str, int] = field(default_factory=dict)
    answers: dict[str, int] = field(default_factory=dict)
    numbers: dict[str, float] = field(default_factory=dict)
    unit: str = ""
    majority: float = 0.0


@dataclass(slots=True)
class DatasetStats:
    """A whole data set; see `TaskStats`."""

    rows: int
    files: int
    tasks: dict[str, TaskStats]
    rejections: dict[str, dict[str, int]]
    shortfall: dict[str, int]
    skipped_scenes: list[dict[str, str]]
    duplicate_ids: int
    duplicate_questions: int

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)


def dataset_stats(out: str | Path) -> DatasetStats:
    """Statistics of the finished shards of a data set.

    Raises:
        RecordError: There is no data set, or a file of it is damaged.
    """
    out = Path(out)
    files = data_files(out)
    tasks: dict[str, _Counts] = {}
    ids: set[bytes] = set()
    questions: set[bytes] = set()
    rows = 0
    for path in files:
        for table in read_tables(path):
            columns = table.select(_COLUMNS).to_pydict()
            rows += len(table)
            for k, task in enumerate(columns["task"]):
                tasks.setdefault(task, _Counts()).add(columns, k)
            ids.update(_digest(text) for text in columns["id"])
            keys = zip(columns["scene"], columns["frames"], columns["question"], strict=True)
            questions.update(_digest(repr(key)) for key in keys)
    summary_path = out / "summary.json"
    summary = json.loads(summary_path.read_text()) if summary_path.exists() else {}
    return DatasetStats(
        rows=rows,
        files=len(files),
        tasks={task: counts.finish() for task, counts in sorted(tasks.items())},
        rejections=summary.get("rejections", {}),
        shortfall=summary.get("shortfall", {}),
        skipped_scenes=summary.get("skipped_scenes", []),
        duplicate_ids=rows - len(ids),
        duplicate_questions=rows - len(questions),
    )


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=8).digest()


class _Counts:
    """The running counts of one task."""

    def __init__(self) -> None:
        self.sources: Counter[str] = Counter()
        self.splits: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()
        self.numbers: list[tuple[float, ...]] = []
        self.unit = ""

    def add(self, columns: dict[str, list[Any]], k: int) -> None:
        """Count row k."""
        self.sources[columns["source"][k]] += 1
        self.splits[columns["split"][k]] += 1
        self.unit = columns["answer_unit"][k]
        if columns["answer_text"][k] is not None:
            self.answers[columns["answer_text"][k]] += 1
        elif columns["answer_number"][k]:
            self.numbers.append(tuple(columns["answer_number"][k]))

    def finish(self) -> TaskStats:
        """The statistics."""
        rows = sum(self.splits.values())
        stats = TaskStats(
            rows, dict(sorted(self.sources.items())), dict(sorted(self.splits.items())),
            dict(sorted(self.answers.items())), unit=self.unit,
        )  # fmt: skip
        if self.answers:
            stats.majority = max(self.answers.values()) / rows
        if self.numbers:
            values = np.array(self.numbers, dtype=np.float64)
            sizes = (
                np.abs(values[:, 0]) if values.shape[1] == 1 else np.hypot.reduce(values, axis=1)
            )
            stats.numbers = {
                f"{q:g}": float(v)
                for q, v in zip(_QUANTILES, np.quantile(sizes, _QUANTILES), strict=True)
            }
            if values.shape[1] == 1:
                stats.majority = best_constant(sizes)
        return stats


def best_constant(truths: np.ndarray[Any, np.dtype[np.float64]]) -> float:
    """Share of truths that lie within 20 % of the best constant guess: the blind baseline.

    A guess g is right for truth t iff 0.8 t <= g <= 1.2 t, so the best g is where most of these
    intervals overlap; the count changes only at their ends.
    """
    starts, ends = np.sort((1 - _TOLERANCE) * truths), np.sort((1 + _TOLERANCE) * truths)
    open_at = np.arange(1, len(starts) + 1) - np.searchsorted(ends, starts, side="left")
    return float(open_at.max() / len(truths))
