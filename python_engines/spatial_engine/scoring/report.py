# SPDX-License-Identifier: Apache-2.0
"""Scores of a data set: one row a task, the published twelve rows, means, intervals, baselines."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
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
MANY = 20_000  # values from which on they are drawn by their counts
LISTED = 100  # ids without a response; the rest is counted
Respond = Callable[[QARecord], str | None]


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
    """All rows, their means, the first ids without a response, and how many there are."""

    rows: tuple[Row, ...]
    multispa: Mapping[str, float]
    macro: float
    micro: float
    n: int
    dialect: str
    missing: tuple[str, ...]
    missing_count: int

    def to_json(self) -> dict[str, Any]:
        """As JSON takes it."""
        return asdict(self) | {"missing": list(self.missing)}


class _Tally:
    """The scores of a task: 8 bytes a record."""

    def __init__(self) -> None:
        self.values = array("d")
        self.metric = ""
        self.chance_sum, self.chance_count = 0.0, 0
        self.unparsed = self.converted = self.missing = 0

    def add(self, made: Score, guess: float | None, *, missing: bool) -> None:
        """Count one record."""
        self.values.append(made.value)
        self.metric = self.metric or made.metric
        self.unparsed += not made.parsed
        self.converted += made.converted
        self.missing += missing
        if guess is not None:
            self.chance_sum += guess
            self.chance_count += 1


def make_report(
    records: Iterable[QARecord],
    responses: Mapping[str, str] | Respond,
    *,
    dialect: Dialect = "multispa",
) -> Report:
    """Score every record, one after the other; one without a response is wrong and is listed.

    Args:
        records: The records.
        responses: By id, or what gives the response to a record.
        dialect: How responses are read.

    Raises:
        ResponseError: A response belongs to no record.
    """
    tallies: dict[str, _Tally] = {}
    missing: list[str] = []
    missing_count = 0
    said = responses if isinstance(responses, Mapping) else None
    unknown = set() if said is None else set(said)
    for record in records:
        unknown.discard(record.id)
        response = responses(record) if callable(responses) else responses.get(record.id)
        if response is None:
            missing_count += 1
            if len(missing) < LISTED:
                missing.append(record.id)
        made = score(record, response or "", dialect=dialect)
        tally = tallies.setdefault(record.task, _Tally())
        tally.add(made, chance(record), missing=response is None)
    if unknown:
        shown = ", ".join(sorted(unknown)[:5])
        raise ResponseError(f"{len(unknown)} responses belong to no record: {shown}")
    rows = tuple(_row(task, tallies[task]) for task in sorted(tallies))
    values = {row.task: row.value for row in rows}
    n = sum(row.n for row in rows)
    return Report(
        rows=rows,
        multispa=multispa_rows(values),
        macro=_mean(list(values.values())),
        micro=sum(v for tally in tallies.values() for v in tally.values) / n if n else 0.0,
        n=n,
        dialect=dialect,
        missing=tuple(missing),
        missing_count=missing_count,
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


def bootstrap_interval(values: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """95 % interval of the mean, by 1,000 resamples; (0, 0) for no values.

    Many values of which few differ are drawn by how often each occurs: the same distribution.
    """
    if not values:
        return 0.0, 0.0
    numbers = np.asarray(values)
    generator = np.random.Generator(np.random.PCG64(seed))
    distinct, counts = np.unique(numbers, return_counts=True)
    if len(numbers) > MANY and len(distinct) <= MANY // 10:
        drawn = generator.multinomial(len(numbers), counts / len(numbers), size=BOOTSTRAP)
        means = np.sort(drawn @ distinct / len(numbers))
    else:
        means = np.sort([numbers[generator.integers(len(numbers), size=len(numbers))].mean()
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


def _row(task: str, tally: _Tally) -> Row:
    low, high = bootstrap_interval(tally.values)
    return Row(
        task=task,
        metric=tally.metric,
        n=len(tally.values),
        value=_mean(tally.values),
        low=low,
        high=high,
        chance=tally.chance_sum / tally.chance_count if tally.chance_count else None,
        unparsed=tally.unparsed - tally.missing,
        converted=tally.converted,
        missing=tally.missing,
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
