# SPDX-License-Identifier: Apache-2.0
"""What a data set holds: counts, balance of answers, chance, numbers, rejections, duplicates.

Record files are counted one by one, by any number of workers. What has to be ranked over all of
them, numbers and digests, waits on disk until its turn, so that memory does not grow with the rows.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatial_engine.dataset.budget_stats import Budgets, merge_budgets, sorted_budgets
from spatial_engine.dataset.constants import constant_score
from spatial_engine.dataset.dataset import Dataset
from spatial_engine.dataset.manifest import Dropped, Skipped
from spatial_engine.dataset.shard_counts import ShardCounts, TaskCounts, count_shard
from spatial_engine.dataset.spill import Spill
from spatial_engine.dataset.stress import kept_blind
from spatial_engine.engines import engine_or_none
from spatialcore.errors import WorkerError
from spatialcore.files import explained, scratch
from spatialcore.workers import Lost, Workers, run_pieces

MOST_ANSWERS = 10_000
"""Different texts of a task that are counted one by one."""
OTHERS = "(others)"
_QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
_RANGES = 16  # of digests: one is sorted at a time


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
        majority: Score of always giving one answer, the best one, by the rule that the task is
            scored by (`constants`); None for steps and maps.
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
    majority: float | None = None
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


def dataset_stats(
    out: str | Path,
    *,
    workers: int | Workers | None = 1,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> DatasetStats:
    """Statistics of the finished shards of a data set.

    Memory holds the numbers of one task at a time; 60 bytes a record wait below TMPDIR.

    Args:
        out: Its folder.
        workers: Who counts the shards; the result is the same for any number.
        on_progress: Is told a name, the shards that are counted, and how many there are.

    Raises:
        MissingInput: There is no data set.
        RecordError: A file of it is damaged.
        WorkerError: A worker died twice over one of its files.
    """
    dataset = Dataset.open(out)
    files = dataset.files()
    with (
        scratch("spatialcore-stats") as folder,
        explained(folder),
        closing(Spill(folder / "counted")) as spill,
    ):
        counts = _Counts(spill)
        with closing(run_pieces(count_shard, files, workers, _name)) as results:
            for done, (number, found) in enumerate(results, 1):
                if isinstance(found, Lost):
                    raise WorkerError(str(found))
                counts.add(number, found)
                if on_progress is not None:
                    on_progress("shards", done, len(files))
        stats = counts.finish()
    stats.files = len(files)
    blind = kept_blind(dataset)
    for task, counted in stats.tasks.items():
        counted.blind = blind.get(task)
    summary = dataset.summary()
    if summary is not None:
        stats.rejections, stats.shortfall = summary.rejections, summary.shortfall
        stats.shortages, stats.skipped_scenes = summary.shortages, summary.skipped_scenes
    stats.dropped = dataset.dropped
    return stats


def _name(path: Path) -> str:
    return path.name


class _Counts:
    """The running counts over record files.

    Args:
        spill: Where numbers and digests wait.
    """

    def __init__(self, spill: Spill) -> None:
        self._spill = spill
        self._tasks: dict[str, TaskCounts] = {}
        self._budgets: Budgets = {}

    def add(self, number: int, found: ShardCounts) -> None:
        """Take up the counts of record file `number`; they come in any order."""
        for task, one in found.tasks.items():
            held = self._tasks.setdefault(task, TaskCounts(unit=one.unit, width=one.width))
            held.rows += one.rows
            for name in ("sources", "splits", "answers"):
                getattr(held, name).update(getattr(one, name))
            _bound(held.answers)
            held.chances += one.chances
            held.guessed += one.guessed
            if one.width:
                self._spill.add(f"values {task}", number, one.values)
                self._spill.add(f"aspects {task}", number, one.aspects)
        merge_budgets(self._budgets, found.budgets)
        for name, digests in (("ids", found.ids), ("questions", found.questions)):
            ranges = digests >> np.uint64(60)
            for k in range(_RANGES):
                self._spill.add(f"{name} {k}", number, digests[ranges == k])

    def finish(self) -> DatasetStats:
        """The statistics of what was taken up."""
        return DatasetStats(
            rows=sum(one.rows for one in self._tasks.values()),
            files=0,
            tasks={task: self._task(task, one) for task, one in sorted(self._tasks.items())},
            rejections={},
            shortfall={},
            shortages={},
            skipped_scenes=(),
            duplicate_ids=self._repeated("ids"),
            duplicate_questions=self._repeated("questions"),
            unknown_tasks=sorted(task for task in self._tasks if engine_or_none(task) is None),
            budgets=sorted_budgets(self._budgets),
        )

    def _task(self, task: str, one: TaskCounts) -> TaskStats:
        sources, splits, answers = (
            dict(sorted(c.items())) for c in (one.sources, one.splits, one.answers)
        )
        stats = TaskStats(one.rows, sources, splits, answers, unit=one.unit)
        if one.guessed:
            stats.chance = math.fsum(one.chances) / one.guessed
        if one.answers:
            said = [count for word, count in answers.items() if word != OTHERS]
            stats.majority = max(said) / one.rows
        if one.width:
            values = self._spill.read(f"values {task}").reshape(-1, one.width)
            sizes = np.linalg.norm(values, axis=1)
            stats.numbers = {
                f"{q:g}": float(v)
                for q, v in zip(_QUANTILES, np.quantile(sizes, _QUANTILES), strict=True)
            }
            engine = engine_or_none(task)
            metric = "within 20 %" if engine is None else engine.metric
            aspects = self._spill.read(f"aspects {task}")
            stats.majority = constant_score(metric, values, aspects, one.unit)
        return stats

    def _repeated(self, name: str) -> int:
        """Digests that occurred before."""
        found = 0
        for k in range(_RANGES):
            every: NDArray[np.uint64] = np.sort(self._spill.read(f"{name} {k}"))
            found += int((every[1:] == every[:-1]).sum())
        return found


def _bound(answers: Counter[str]) -> None:
    """Count free texts beyond so many together: always the same ones, in whatever order they come.

    Those with the smallest digests are counted one by one. A text that has gone cannot come back,
    since the digests that stay only get smaller.
    """
    if len(answers) <= MOST_ANSWERS + 1:
        return
    texts = sorted(answers.keys() - {OTHERS}, key=_digest)
    for text in texts[MOST_ANSWERS:]:
        answers[OTHERS] += answers.pop(text)


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=8).digest()
