# SPDX-License-Identifier: Apache-2.0
"""What a data set holds: counts, balance of answers, chance, numbers, rejections, duplicates."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from spatial_engine.dataset.budget_stats import Budgets, count_budgets
from spatial_engine.dataset.constants import (
    POINT_RADIUS,
    TOLERANCE,
    best_constant,
    best_truth,
)
from spatial_engine.dataset.dataset import Dataset
from spatial_engine.dataset.manifest import Dropped, Skipped
from spatial_engine.dataset.stress import kept_blind
from spatial_engine.engines import engine_or_none
from spatial_engine.engines.base import Engine
from spatialcore.errors import RecordError

_COLUMNS = (
    "id", "source", "split", "task", "question", "answer_type", "answer_text", "answer_number",
    "answer_unit", "frames", "scene", "images", "options", "evidence",
)  # fmt: skip
_ASKED = ("scene", "frames", "question")  # what makes two records the same question
MOST_ANSWERS = 10_000
"""Different texts of a task that are counted one by one."""
OTHERS = "(others)"
_QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


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
        majority: Score of always giving one answer, the best one: the most frequent word; the
            number within 20 % of the most truths; for several numbers, the best of the truths
            themselves by the same rule, or for a point within 5 % of the image's width.
        chance: Mean score of guessing over the closed set; None for numbers.
        blind: The best score without looking, as the stress test found it; None where it has not
            been run on these records.
    """

    rows: int = 0
    sources: dict[str, int] = field(default_factory=dict)
    splits: dict[str, int] = field(default_factory=dict)
    answers: dict[str, int] = field(default_factory=dict)
    numbers: dict[str, float] = field(default_factory=dict)
    unit: str = ""
    majority: float = 0.0
    chance: float | None = None
    blind: float | None = None


@dataclass(slots=True)
class DatasetStats:
    """A whole data set; see `TaskStats`.

    Attributes:
        unknown_tasks: Tasks that no installed engine makes: their chance is not known.
        dropped: Records of the plan that were not made, since an engine failed.
        budgets: By task and number of frames, where the recipe asks what fewer or more answer.
    """

    rows: int
    files: int
    tasks: dict[str, TaskStats]
    rejections: Mapping[str, Mapping[str, int]]
    shortfall: Mapping[str, int]
    shortages: Mapping[str, Mapping[str, int]]
    skipped_scenes: tuple[Skipped, ...]
    duplicate_ids: int
    duplicate_questions: int
    unknown_tasks: list[str]
    dropped: tuple[Dropped, ...] = ()
    budgets: Budgets = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)


def dataset_stats(out: str | Path) -> DatasetStats:
    """Statistics of the finished shards of a data set; about 50 bytes a record are held.

    Raises:
        MissingInput: There is no data set.
        RecordError: A file of it is damaged.
    """
    dataset = Dataset.open(out)
    tasks: dict[str, _Counts] = {}
    ids: list[NDArray[np.uint64]] = []
    questions: list[NDArray[np.uint64]] = []
    budgets: Budgets = {}
    for table in dataset.tables():
        chosen = table.select(_COLUMNS)
        for task in chosen.column("task").unique().to_pylist():
            rows = chosen.filter(pc.equal(chosen.column("task"), task))
            try:
                tasks.setdefault(task, _Counts(engine_or_none(task))).add(rows)
            except RecordError as error:
                raise RecordError(f"{dataset.path}: {task}: {error}") from error
        told = (chosen.column(name).to_pylist() for name in ("task", "frames", "evidence"))
        count_budgets(budgets, *told)
        asked = zip(*(chosen.column(n).to_pylist() for n in _ASKED), strict=True)
        ids.append(_digests(chosen.column("id").to_pylist()))
        questions.append(_digests(repr(key) for key in asked))
    rows, blind = sum(map(len, ids)), kept_blind(dataset)
    finished = {task: counts.finish() for task, counts in sorted(tasks.items())}
    for task, counted in finished.items():
        counted.blind = blind.get(task)
    summary = dataset.summary()
    return DatasetStats(
        rows=rows,
        files=len(dataset.shards),
        tasks=finished,
        rejections={} if summary is None else summary.rejections,
        shortfall={} if summary is None else summary.shortfall,
        shortages={} if summary is None else summary.shortages,
        skipped_scenes=() if summary is None else summary.skipped_scenes,
        duplicate_ids=_repeated(ids),
        duplicate_questions=_repeated(questions),
        unknown_tasks=sorted(task for task in tasks if engine_or_none(task) is None),
        dropped=dataset.dropped,
        budgets=dict(sorted(budgets.items())),
    )


def _digests(texts: Iterable[str]) -> NDArray[np.uint64]:
    joined = b"".join(hashlib.blake2b(text.encode(), digest_size=8).digest() for text in texts)
    return np.frombuffer(joined, dtype=np.uint64)


def _repeated(digests: list[NDArray[np.uint64]]) -> int:
    """Values that occurred before."""
    every = np.sort(np.concatenate(digests))
    return int((every[1:] == every[:-1]).sum())


class _Counts:
    """The running counts of one task.

    Args:
        engine: The task's engine; None where it is not installed.
    """

    def __init__(self, engine: Engine | None) -> None:
        self.engine = engine
        self.chance_sum, self.chance_count = 0.0, 0
        self.sources: Counter[str] = Counter()
        self.splits: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()
        self.numbers: list[NDArray[np.float64]] = []
        self.aspects: list[NDArray[np.float64]] = []
        self.unit = ""

    def add(self, rows: pa.Table) -> None:
        """Count the rows of a table, all of this task."""
        for name, counter in (("source", self.sources), ("split", self.splits)):
            counter.update(_frequencies(rows.column(name)))
        if self.engine is not None:
            offered = rows.column("options").to_pylist()
            known = [c for one in offered if (c := self.engine.chance(one)) is not None]
            self.chance_sum += sum(known)
            self.chance_count += len(known)
        words = rows.column("answer_text").drop_null()
        self._say(_frequencies(words))
        self.unit = rows.column("answer_unit")[0].as_py() or ""
        if len(words) == len(rows):
            return
        numbers = rows.column("answer_number").combine_chunks()
        width = len(numbers[0])
        if not width:
            return  # the steps of a walk are neither words nor numbers
        self.numbers.append(numbers.flatten().to_numpy().astype(np.float64).reshape(-1, width))
        images = rows.column("images").combine_chunks()
        if pc.min(pc.list_value_length(images)).as_py() == 0:
            if self.unit == "norm1000":
                raise RecordError("a record has no image")
            self.aspects.append(np.ones(len(rows)))
            return
        # The last image of each row, where a point is asked for; rows may differ in their number.
        last = images.values.take(pc.subtract(images.offsets[1:], 1))
        height, across = (pc.struct_field(last, n).to_numpy() for n in ("height", "width"))
        self.aspects.append(height / across)

    def _say(self, found: Mapping[str, int]) -> None:
        """Count words; of free texts the first ones, and the others together."""
        for word, count in found.items():
            known = word in self.answers or len(self.answers) < MOST_ANSWERS
            self.answers[word if known else OTHERS] += count

    def finish(self) -> TaskStats:
        """The statistics."""
        rows = sum(self.splits.values())
        stats = TaskStats(
            rows, dict(sorted(self.sources.items())), dict(sorted(self.splits.items())),
            dict(sorted(self.answers.items())), unit=self.unit,
        )  # fmt: skip
        if self.chance_count:
            stats.chance = self.chance_sum / self.chance_count
        if self.answers:
            said = [count for word, count in self.answers.items() if word != OTHERS]
            stats.majority = max(said) / rows
        if self.numbers:
            values, aspects = np.concatenate(self.numbers), np.concatenate(self.aspects)
            sizes = np.linalg.norm(values, axis=1)
            stats.numbers = {
                f"{q:g}": float(v)
                for q, v in zip(_QUANTILES, np.quantile(sizes, _QUANTILES), strict=True)
            }
            stats.majority = self._best(values, sizes, aspects)
        return stats

    def _best(
        self, values: NDArray[np.float64], sizes: NDArray[np.float64], aspects: NDArray[np.float64]
    ) -> float:
        if values.shape[1] == 1:
            return best_constant(sizes)
        if values.shape[1] == 4:  # boxes: a constant is right where their middles are near
            values = 0.5 * (values[:, :2] + values[:, 2:])
        if self.unit == "norm1000":
            scale = np.stack([np.ones_like(aspects), aspects], axis=1)
            return best_truth(values, np.full(len(values), POINT_RADIUS), scale)
        return best_truth(values, TOLERANCE * sizes)


def _frequencies(column: pa.ChunkedArray) -> dict[str, int]:
    return {row["values"]: row["counts"] for row in column.value_counts().to_pylist()}
