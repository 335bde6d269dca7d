# SPDX-License-Identifier: Apache-2.0
"""Scores of a data set: one row a task, the published twelve rows, means, intervals, baselines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from spatial_engine.engines import engine_of
from spatial_engine.engines.published import ROWS
from spatial_engine.records.reading import Dialect
from spatial_engine.records.record import QARecord
from spatial_engine.scoring.baselines import chance
from spatial_engine.scoring.multispa import Score, score
from spatialcore.errors import SpatialCoreError

BOOTSTRAP = 1000


class ResponseError(SpatialCoreError):
    """Responses that belong to no record."""


@dataclass(frozen=True, slots=True)
class Row:
    """One task: mean score with its 95 % bootstrap interval, and what was wrong with responses."""

    task: str
    metric: str
    n: int
    value: float
    low: float
    high: float
    chance: float | None
    unparsed: int
    converted: int
    missing: int


@dataclass(frozen=True, slots=True)
class Report:
    """All rows, their means, and the ids without a response."""

    rows: tuple[Row, ...]
    multispa: Mapping[str, float]
    macro: float
    micro: float
    n: int
    dialect: str
    missing: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As JSON takes it; of the missing ids the first 100."""
        value = asdict(self)
        value["missing"] = list(self.missing[:100])
        value["missing_count"] = len(self.missing)
        return value


def make_report(
    records: Iterable[QARecord], responses: Mapping[str, str], *, dialect: Dialect = "multispa"
) -> Report:
    """Score every record; one without a response counts as wrong and is listed.

    Raises:
        ResponseError: A response belongs to no record.
    """
    scores: dict[str, list[Score]] = {}
    chances: dict[str, list[float]] = {}
    missing: list[str] = []
    missing_in: dict[str, int] = {}
    unknown = set(responses)
    for record in records:
        unknown.discard(record.id)
        if record.id not in responses:
            missing.append(record.id)
            missing_in[record.task] = missing_in.get(record.task, 0) + 1
        made = score(record, responses.get(record.id, ""), dialect=dialect)
        scores.setdefault(record.task, []).append(made)
        guess = chance(record)
        if guess is not None:
            chances.setdefault(record.task, []).append(guess)
    if unknown:
        shown = ", ".join(sorted(unknown)[:5])
        raise ResponseError(f"{len(unknown)} responses belong to no record: {shown}")
    rows = tuple(
        _row(task, scores[task], chances.get(task, []), missing_in.get(task, 0))
        for task in sorted(scores)
    )
    values = {row.task: row.value for row in rows}
    every = [s.value for group in scores.values() for s in group]
    return Report(
        rows=rows,
        multispa=multispa_rows(values),
        macro=_mean(list(values.values())),
        micro=_mean(every),
        n=len(every),
        dialect=dialect,
        missing=tuple(missing),
    )


def multispa_rows(values: Mapping[str, float]) -> dict[str, float]:
    """The published rows that the tasks cover, and "average", their unweighted mean."""
    rows: dict[str, float] = {}
    published = {task: engine_of(task).published for task in values}
    for name in ROWS["MultiSPA"]:
        covered = [
            values[task] for task, row in published.items()
            if row is not None and (row.table, row.row) == ("MultiSPA", name)
        ]  # fmt: skip
        if covered:
            rows[name] = _mean(covered)
    return {**rows, "average": _mean(list(rows.values()))} if rows else {}


def format_report(report: Mapping[str, Any]) -> str:
    """The report of `to_json` as a table."""
    width = max([len(row["task"]) for row in report["rows"]] + [5])
    lines = [
        f"{'task':<{width}}  {'score':>6}  {'95 % interval':>15}  {'chance':>6}  {'n':>6}  metric"
    ]
    for row in report["rows"]:
        guess = "" if row["chance"] is None else f"{100 * row['chance']:.1f}"
        interval = f"{100 * row['low']:.1f} - {100 * row['high']:.1f}"
        notes = "".join(
            f", {row[name]} {name}" for name in ("unparsed", "converted", "missing") if row[name]
        )
        lines.append(
            f"{row['task']:<{width}}  {100 * row['value']:>6.1f}  {interval:>15}  {guess:>6}  "
            f"{row['n']:>6}  {row['metric']}{notes}"
        )
    for name, value in report["multispa"].items():
        lines.append(f"{'MultiSPA ' + name:<{width}}  {100 * value:>6.1f}")
    lines.append(
        f"macro (mean of tasks) {100 * report['macro']:.1f}, "
        f"micro (mean of records) {100 * report['micro']:.1f}, "
        f"n = {report['n']}, dialect {report['dialect']}"
    )
    return "\n".join(lines)


def bootstrap_interval(values: list[float], seed: int = 0) -> tuple[float, float]:
    """95 % interval of the mean, by 1,000 resamples; (0, 0) for no values."""
    if not values:
        return 0.0, 0.0
    array = np.asarray(values)
    generator = np.random.Generator(np.random.PCG64(seed))
    means = np.sort([array[generator.integers(len(array), size=len(array))].mean()
                     for _ in range(BOOTSTRAP)])  # fmt: skip
    return float(means[int(0.025 * BOOTSTRAP)]), float(means[int(0.975 * BOOTSTRAP) - 1])


def paired_interval(first: list[float], second: list[float], seed: int = 0) -> tuple[float, float]:
    """95 % interval of the mean difference of scores of the same records, in the same order.

    Raises:
        ValueError: The lists differ in length.
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} scores are no pairs")
    return bootstrap_interval([a - b for a, b in zip(first, second, strict=True)], seed)


def _row(task: str, scores: list[Score], chances: list[float], missing: int) -> Row:
    values = [s.value for s in scores]
    low, high = bootstrap_interval(values)
    return Row(
        task=task,
        metric=scores[0].metric,
        n=len(scores),
        value=_mean(values),
        low=low,
        high=high,
        chance=_mean(chances) if chances else None,
        unparsed=sum(not s.parsed for s in scores) - missing,
        converted=sum(s.converted for s in scores),
        missing=missing,
    )


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0
