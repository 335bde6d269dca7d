# SPDX-License-Identifier: Apache-2.0
"""The stress test of a data set: what is scored without looking, with rooms held out.

Each task is attacked by the best constant answer, by its options alone, by its marks alone, and by
everything that a blind reader has; see docs/blind.md. Source of the idea: arXiv 2511.04655.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatial_engine.dataset.blind_models import (
    Attack,
    Guessed,
    attacks_of,
    by_category,
    constant,
    held_out,
)
from spatial_engine.dataset.blind_rows import Sample, Told, read_told, spaces_of
from spatial_engine.dataset.dataset import Dataset
from spatial_engine.engines import engines
from spatialcore.files import whole_file, write_json

ROWS_LOOKED_AT = 2_000
WORD_MARGIN = 0.10  # of text over the constant, for words and numbers
ERRORS = 3.0  # standard errors that options or marks alone may be above chance
LEAST_SPACES = 2
STRESS_NAME, BIAS_NAME = "stress.json", "bias.jsonl"


@dataclass(frozen=True, slots=True)
class Share:
    """A share of right answers and its 95 % interval.

    Attributes:
        value: The share.
        low, high: Wilson's interval for `count`.
        count: Records that are as good as independent ones: those of a room are alike, and where
            their scores vary more from room to room than chance lets them, they count as fewer.
    """

    value: float
    low: float
    high: float
    count: float

    @classmethod
    def of(cls, right: NDArray[np.bool_], rooms: Sequence[str]) -> Share:
        """Of records and the rooms that they are of."""
        p, count = float(right.mean()), float(len(right))
        _, room = np.unique(np.asarray(rooms), return_inverse=True)
        extra = np.bincount(room.reshape(-1), right - p)
        spread = float((extra**2).sum()) * len(extra) / max(1, len(extra) - 1) / count**2
        if spread > 0:
            count = min(count, max(1.0, p * (1 - p) / spread))
        a = 1.959964**2 / count
        middle = (p + a / 2) / (1 + a)
        half = math.sqrt(a * p * (1 - p) + a * a / 4) / (1 + a)
        return cls(p, max(0.0, middle - half), min(1.0, middle + half), count)


@dataclass(frozen=True, slots=True)
class TaskStress:
    """What one task gives away.

    Attributes:
        rows: Its records.
        looked_at: Those that were attacked.
        spaces: Their rooms.
        kind: What is asked for: choice, word, number, point or vector.
        chance: Mean score of guessing over the closed set; None for numbers.
        constant: The best constant answer, learnt in the other rooms.
        prior: Of numbers the best constant for the named category; None where none is named.
        option, dot: What options and marks alone give; None where there are none.
        text: The best of all attackers.
        bound: What `text`, or options and marks of a choice, may reach.
        within: Whether they stay within it.
        bias: Record id -> probability that a blind reader gives to the true answer.
    """

    rows: int
    looked_at: int
    spaces: int
    kind: str
    chance: float | None
    constant: Share
    prior: Share | None
    option: Share | None
    dot: Share | None
    text: Share
    bound: float
    within: bool
    bias: Mapping[str, float] = field(default_factory=dict)

    @property
    def blind(self) -> float:
        """The best score without looking."""
        found = (self.constant, self.prior, self.option, self.dot, self.text)
        return max(share.value for share in found if share is not None)

    def to_json(self, *, bias: bool = False) -> dict[str, Any]:
        """As plain JSON values, the records' scores only when asked for."""
        made = asdict(self)
        if not bias:
            del made["bias"]
        return {**made, "blind": self.blind}


def stress(
    dataset: str | Path | Dataset,
    *,
    most: int = ROWS_LOOKED_AT,
    tasks: Sequence[str] | None = None,
    on_progress: Callable[[str, int, int], None] | None = None,
) -> dict[str, TaskStress]:
    """Attack every task of a data set.

    Args:
        dataset: The data set.
        most: Records of a task that are looked at, those of the smallest hashes of their ids: what
            bounds memory and time.
        tasks: Only these.
        on_progress: Called with (task, tasks done, tasks in all).

    Returns:
        Task -> what it gives away. Tasks whose records come from one room, whose answers are walks
        or whose engine is not installed are left out.

    Raises:
        MissingInput, RecordError: As `Dataset`.
        ModuleNotFoundError: scikit-learn (extra `stress`) is not installed.
    """
    samples = attackable(dataset if isinstance(dataset, Dataset) else Dataset.open(dataset),
                         most=most, tasks=tasks)  # fmt: skip
    found = {}
    for done, (task, (sample, rows, guess)) in enumerate(samples.items(), 1):
        found[task] = attacked(sample.rows, rows, guess)
        if on_progress is not None:
            on_progress(task, done, len(samples))
    return found


def attackable(
    dataset: Dataset, *, most: int, tasks: Sequence[str] | None = None
) -> dict[str, tuple[Sample, list[Told], float | None]]:
    """The records that are looked at of each task, from two rooms or more, and its chance."""
    import sklearn  # noqa: F401  # its absence is to be known before any record is read

    known = {one.task: one for one in engines() if tasks is None or one.task in tasks}
    samples = read_told(dataset, known, most)
    told = {task: (sample, sample.told()) for task, sample in sorted(samples.items())}
    return {
        task: (sample, rows, known[task].chance(()))
        for task, (sample, rows) in told.items() if len(spaces_of(rows)) >= LEAST_SPACES
    }  # fmt: skip


def attacked(count: int, rows: Sequence[Told], guess: float | None) -> TaskStress:
    """What the records of one task give away.

    Args:
        count: Its records in all.
        rows: Those that are looked at.
        guess: Chance over its closed set; of choices it is counted by their options.
    """
    kind, looked = rows[0].kind, len(rows)
    rooms = [row.space for row in rows]
    level = Share.of(held_out(rows, constant).right, rooms)
    best = {name: _best(rows, attacks) for name, attacks in attacks_of(rows).items()}
    shares = {name: Share.of(one.right, rooms) for name, one in best.items()}
    prior = None
    if kind == "number" and any(row.category for row in rows):
        prior = Share.of(held_out(rows, by_category).right, rooms)
    if kind == "choice":
        guess = float(np.mean([1 / len(row.offers) for row in rows]))
        tested = [shares[name] for name in ("option", "dot") if name in shares]
        fewest = min(share.count for share in tested)
        bound = guess + ERRORS * math.sqrt(guess * (1 - guess) / fewest)
    else:
        # A constant that other rooms teach may do worse than a guess, which is nobody's gain.
        guessed = max(guess or 0.0, _in_proportion(rows))
        known = (level.value, 0.0 if prior is None else prior.value, guessed)
        bound = max(known) + WORD_MARGIN
        tested = [shares["text"]]
    bias = {row.id: float(sure) for row, sure in zip(rows, best["text"].sure, strict=True)}
    return TaskStress(
        count, looked, len(spaces_of(rows)), kind, guess, level, prior,
        shares.get("option"), shares.get("dot"), shares["text"], bound,
        all(share.value <= bound + 1e-9 for share in tested), bias,
    )  # fmt: skip


def _in_proportion(rows: Sequence[Told]) -> float:
    """How often a word is right that is guessed as often as it is the answer; 0 of numbers.

    Of two words that are asked equally often, out of six that there are, it is a half.
    """
    if rows[0].kind != "word":
        return 0.0
    counts = np.array(list(Counter(row.truth for row in rows).values()))
    return float(((counts / len(rows)) ** 2).sum())


def save(dataset: Dataset, found: Mapping[str, TaskStress]) -> None:
    """Keep the figures in the data set's folder, and each record's bias, the most telling first."""
    biases = sorted(
        ((sure, name) for one in found.values() for name, sure in one.bias.items()),
        key=lambda both: (-both[0], both[1]),
    )
    with whole_file(dataset.path / BIAS_NAME) as temporary:
        lines = (json.dumps({"id": name, "sure": round(sure, 4)}) for sure, name in biases)
        temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    tasks = {task: one.to_json() for task, one in found.items()}
    write_json(dataset.path / STRESS_NAME, {"records": _fingerprint(dataset), "tasks": tasks})


def kept_blind(dataset: Dataset) -> dict[str, float]:
    """Task -> the best score without looking, as last measured; {} when the records are others."""
    try:
        kept = json.loads((dataset.path / STRESS_NAME).read_text(encoding="utf-8"))
        if kept["records"] == _fingerprint(dataset):
            return {str(task): float(one["blind"]) for task, one in kept["tasks"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    return {}


def _fingerprint(dataset: Dataset) -> str:
    """A hash of the record files."""
    marks = ",".join(file.done.hash for file in dataset.shards)
    return hashlib.blake2b(marks.encode(), digest_size=16).hexdigest()


def _best(rows: Sequence[Told], attacks: Sequence[Attack]) -> Guessed:
    """The attack with the most right answers."""
    return max((held_out(rows, attack) for attack in attacks), key=lambda one: one.right.sum())
