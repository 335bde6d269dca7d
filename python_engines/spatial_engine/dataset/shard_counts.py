# SPDX-License-Identifier: Apache-2.0
"""What one record file adds to the statistics: counts, and the numbers that are ranked later."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from spatial_engine.dataset.budget_stats import Budgets, count_budgets
from spatial_engine.engines import engine_or_none
from spatial_engine.engines.base import Engine
from spatial_engine.engines.place_chance import place_chance
from spatial_engine.records.record import read_tables
from spatialcore.errors import RecordError
from spatialcore.io.parquet import as_numpy

_COLUMNS = (
    "id", "source", "split", "task", "question", "answer_type", "answer_text", "answer_number",
    "answer_unit", "frames", "scene", "images", "options", "evidence",
)  # fmt: skip
_ASKED = ("scene", "frames", "question")  # what makes two records the same question


@dataclass(slots=True)
class TaskCounts:
    """The records of one task in one record file.

    Attributes:
        rows: Records.
        sources, splits: Records by source and by split.
        answers: Records by word or letter.
        chances: Score of guessing over the closed set, or at a place, summed over each table.
        guessed: Records that have one.
        unit: Unit of the answers.
        width: Numbers of an answer; 0 for words, letters, steps and maps.
        values: (n * width,) the numbers.
        aspects: (n,) height over width of the last image, where a point is asked for.
    """

    rows: int = 0
    sources: Counter[str] = field(default_factory=Counter)
    splits: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    chances: list[float] = field(default_factory=list)
    guessed: int = 0
    unit: str = ""
    width: int = 0
    values: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    aspects: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    def add(self, task: str, rows: pa.Table) -> None:
        """Count the rows of a table, all of this task.

        Raises:
            RecordError: A record whose answer is a point shows no image.
        """
        self.rows += len(rows)
        for name, counter in (("source", self.sources), ("split", self.splits)):
            counter.update(_frequencies(rows.column(name)))
        engine = engine_or_none(task)
        if engine is not None:
            offered = rows.column("options").to_pylist()
            known = [c for one in offered if (c := engine.chance(one)) is not None]
            known = known or _at_places(engine, rows)
            self.chances.append(math.fsum(known))
            self.guessed += len(known)
        words = rows.column("answer_text").drop_null()
        self.answers.update(_frequencies(words))
        self.unit = rows.column("answer_unit")[0].as_py() or ""
        if len(words) == len(rows):
            return
        numbers = rows.column("answer_number").combine_chunks()
        if not len(numbers[0]):
            return  # the steps of a walk are neither words nor numbers
        self.width = len(numbers[0])
        flat = as_numpy(numbers.flatten()).astype(np.float64)
        self.values = np.concatenate([self.values, flat])
        self.aspects = np.concatenate([self.aspects, _aspects(rows)])


@dataclass(slots=True)
class ShardCounts:
    """One record file.

    Attributes:
        tasks: By task.
        budgets: What its records say about other numbers of frames.
        ids, questions: 64-bit digest of the id, and of what is asked, of each record.
    """

    tasks: dict[str, TaskCounts] = field(default_factory=dict)
    budgets: Budgets = field(default_factory=dict)
    ids: NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, np.uint64))
    questions: NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, np.uint64))


def count_shard(path: Path) -> ShardCounts:
    """Count one record file.

    Raises:
        RecordError: It is damaged.
    """
    found = ShardCounts()
    for table in read_tables(path):
        chosen = table.select(_COLUMNS)
        for task in chosen.column("task").unique().to_pylist():
            rows = chosen.filter(pc.equal(chosen.column("task"), task))
            try:
                found.tasks.setdefault(task, TaskCounts()).add(task, rows)
            except RecordError as error:
                raise RecordError(f"{path}: {task}: {error}") from error
        told = (chosen.column(name).to_pylist() for name in ("task", "frames", "evidence"))
        count_budgets(found.budgets, *told)
        asked = zip(*(chosen.column(n).to_pylist() for n in _ASKED), strict=True)
        ids = _digests(chosen.column("id").to_pylist())
        found.ids = np.concatenate([found.ids, ids])
        found.questions = np.concatenate([found.questions, _digests(map(repr, asked))])
    return found


def _aspects(rows: pa.Table) -> NDArray[np.float64]:
    images = rows.column("images").combine_chunks()
    if pc.min(pc.list_value_length(images)).as_py() == 0:
        if rows.column("answer_unit")[0].as_py() == "norm1000":
            raise RecordError("a record has no image")
        return np.ones(len(rows))
    # The last image of each row, where a point is asked for; rows may differ in their number.
    last = images.values.take(pc.subtract(images.offsets[1:], 1))
    height, across = (as_numpy(pc.struct_field(last, n)) for n in ("height", "width"))
    aspects: NDArray[np.float64] = height / across
    return aspects


def _at_places(engine: Engine, rows: pa.Table) -> list[float]:
    """What guessing scores for each record whose answer is a point or a box in its last image."""
    if rows.column("answer_unit")[0].as_py() != "norm1000":
        return []
    chosen = rows.select(["answer_number", "images", "evidence"]).to_pylist()
    found, by_cells = [], engine.metric == "on the object"
    for row in chosen:
        size = row["images"][-1]["width"], row["images"][-1]["height"]
        runs = json.loads(row["evidence"]).get("seen_runs", ()) if by_cells else ()
        found.append(place_chance(engine.metric, row["answer_number"], size, runs))
    return [one for one in found if one is not None]


def _digests(texts: Iterable[str]) -> NDArray[np.uint64]:
    joined = b"".join(hashlib.blake2b(text.encode(), digest_size=8).digest() for text in texts)
    return np.frombuffer(joined, dtype=np.uint64)


def _frequencies(column: pa.ChunkedArray) -> dict[str, int]:
    return {row["values"]: row["counts"] for row in column.value_counts().to_pylist()}
