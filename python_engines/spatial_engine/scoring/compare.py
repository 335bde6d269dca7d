# SPDX-License-Identifier: Apache-2.0
"""A model beside its baselines: the same records, paired intervals of the difference.

A claim is made against the best of the baselines that look at nothing (`CLAIMED`), task by task.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from spatial_engine.records.reading import Dialect
from spatial_engine.records.record import QARecord
from spatial_engine.scoring.circular import judged
from spatial_engine.scoring.multispa import score
from spatial_engine.scoring.report import paired_interval
from spatialcore.commands.text import WIDTH, beside, fitted

# Baselines that a claim has to beat; the others are printed for orientation.
CLAIMED = ("blind-trained", "blind-eval", "frequency")


@dataclass(frozen=True, slots=True)
class Difference:
    """Mean score of a baseline, and how far the model is above it, with a 95 % paired interval."""

    value: float
    gain: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """One task: the model's mean score, its baselines, and the best of those that count."""

    task: str
    n: int
    value: float
    baselines: Mapping[str, Difference]
    best: str

    def to_json(self) -> dict[str, Any]:
        """As JSON takes it."""
        return asdict(self)


def compare(
    records: Sequence[QARecord],
    responses: Mapping[str, str],
    baselines: Mapping[str, Mapping[str, str]],
    *,
    dialect: Dialect = "multispa",
    circular: bool = False,
) -> list[Comparison]:
    """Compare responses with those of baselines, task by task; a missing response counts as wrong.

    Args:
        records: The records that were asked.
        responses: Response by record id.
        baselines: The same for each baseline; at least one.
        dialect: As in `score`.
        circular: Whether choices count only where every rotation is right (`scoring.circular`).

    Returns:
        A row a task, by name. `best` is "" where no baseline of `CLAIMED` was given.

    Raises:
        ValueError: No baseline was given.
    """
    if not baselines:
        raise ValueError("nothing to compare with")
    by_task: dict[str, list[QARecord]] = {}
    for record in records:
        by_task.setdefault(record.task, []).append(record)

    def values(members: Sequence[QARecord], said: Mapping[str, str]) -> list[float]:
        if not circular:
            return [score(r, said.get(r.id, ""), dialect=dialect).value for r in members]
        return [
            judged(r, lambda one: said.get(one.id), dialect, circular=True).score.value
            for r in members
        ]

    made = []
    for task, members in sorted(by_task.items()):
        own = values(members, responses)
        rows = {name: _difference(own, values(members, said)) for name, said in baselines.items()}
        counting = [name for name in CLAIMED if name in rows]
        best = max(counting, key=lambda name: rows[name].value, default="")
        made.append(Comparison(task, len(members), sum(own) / len(own), rows, best))
    return made


def format_comparison(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows of `to_json` as a table; the last column is the gain over the best that counts."""
    if not rows:
        return ""
    names = list(rows[0]["baselines"])
    columns = [max(len(name), 5) + 2 for name in names]
    head = "".join(f"{name:>{wide}}" for name, wide in zip(names, columns, strict=True))
    width = min(max(len(row["task"]) for row in rows), WIDTH - len(head) - 7)
    lines = [f"{'task':<{width}}{'model':>7}{head}"]
    for row in rows:
        values = [100 * row["baselines"][name]["value"] for name in names]
        cells = "".join(f"{v:>{wide}.1f}" for v, wide in zip(values, columns, strict=True))
        lines.append(beside(row["task"], width, f"{100 * row['value']:>7.1f}{cells}"))
        if row["best"]:
            d = row["baselines"][row["best"]]
            lines.append(
                f"    {100 * d['gain']:+.1f} ({100 * d['low']:+.1f} to {100 * d['high']:+.1f}) "
                f"over {row['best']}"
            )
    lines.append("below a task: the gain over the best, 95 % paired interval")
    return fitted("\n".join(lines))


def _difference(own: list[float], other: list[float]) -> Difference:
    low, high = paired_interval(own, other)
    mean = sum(other) / len(other)
    return Difference(mean, sum(own) / len(own) - mean, low, high)
