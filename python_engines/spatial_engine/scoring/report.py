# SPDX-License-Identifier: Apache-2.0
"""Scores of a data set: one row a task, the published twelve rows, means, intervals, baselines."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatial_engine.engines import engine_of
from spatial_engine.engines.published import ROWS
from spatial_engine.records.reading import Dialect
from spatial_engine.records.record import QARecord
from spatial_engine.records.rotations import is_fixed
from spatial_engine.scoring.baselines import chance
from spatial_engine.scoring.circular import Judged, Respond, judged
from spatialcore.commands.text import WIDTH, beside, fitted
from spatialcore.errors import SpatialCoreError

BOOTSTRAP = 1000
MANY = 20_000  # values from which on they are drawn by their counts
_USUAL = "accuracy"  # the metric of most tasks
LISTED = 100  # ids without a response; the rest is counted


class ResponseError(SpatialCoreError):
    """Responses that belong to no record."""


@dataclass(frozen=True, slots=True)
class Row:
    """One task: mean score with its 95 % bootstrap interval, and what was wrong with responses.

    `adjusted` is (value - chance) / (1 - chance): 0 for guessing, 1 for all; None without chance.
    Of a circular evaluation `once` is the score of the records as they stand, each asked once.
    """

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
    adjusted: float | None = None
    once: float | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """All rows, their means, the first ids without a response, and how many there are.

    `adjusted` is the mean of the tasks that have a chance, each adjusted for it. Of a circular
    evaluation `rotated` says how many records were asked in all rotations of their options, and
    `fixed` how many choices could not be; without one both are None.
    """

    rows: tuple[Row, ...]
    multispa: Mapping[str, float]
    macro: float
    micro: float
    n: int
    dialect: str
    missing: tuple[str, ...]
    missing_count: int
    adjusted: float | None = None
    rotated: int | None = None
    fixed: int | None = None

    def to_json(self) -> dict[str, Any]:
        """As JSON takes it."""
        return asdict(self) | {"missing": list(self.missing)}


class Tally:
    """The scores of a task: one by one up to 20,000, then by how often each occurs."""

    def __init__(self) -> None:
        self.metric = ""
        self.n = self.unparsed = self.converted = self.missing = 0
        self.chances: list[float] = []
        self.once: list[float] = []
        self.guessed = 0
        self._parts: list[tuple[int, array[float]]] = []
        self._counts: Counter[float] = Counter()

    @classmethod
    def of(cls, made: Sequence[Judged], guesses: Iterable[float | None]) -> Tally:
        """Of the records of one file, those without a response included."""
        tally = cls()
        tally.metric, tally.n = made[0].score.metric, len(made)
        tally.missing = sum(one.missing is not None for one in made)
        tally.unparsed = sum(not one.score.parsed for one in made)
        tally.converted = sum(one.score.converted for one in made)
        tally.once = [math.fsum(one.once for one in made)]
        known = [guess for guess in guesses if guess is not None]
        tally.chances, tally.guessed = [math.fsum(known)], len(known)
        tally._parts = [(0, array("d", [one.score.value for one in made]))]
        return tally

    def merge(self, number: int, other: Tally) -> None:
        """Take up the scores of file `number`; files come in any order."""
        self.metric = other.metric
        for name in ("n", "unparsed", "converted", "missing", "guessed"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.chances += other.chances
        self.once += other.once
        self._parts += [(number, values) for _, values in other._parts]
        if self.n > MANY:
            for _, values in self._parts:
                self._counts.update(values)
            self._parts = []

    @property
    def sum(self) -> float:
        """Sum of all scores."""
        counted = (value * count for value, count in self._counts.items())
        return math.fsum([*counted, *(v for _, values in self._parts for v in values)])

    def interval(self) -> tuple[float, float]:
        """95 % interval of the mean; see `bootstrap_interval`."""
        if not self._counts:
            parts = sorted(self._parts, key=lambda part: part[0])
            return bootstrap_interval([v for _, values in parts for v in values])
        distinct = np.array(sorted(self._counts))
        return _interval_of_counts(distinct, np.array([self._counts[v] for v in distinct]))


class Scored:
    """Scores of records by task, and which of them had no response; files of them merge.

    Args:
        circular: Whether choices count only where every rotation is right (`scoring.circular`).
    """

    def __init__(self, *, circular: bool = False) -> None:
        self.tallies: dict[str, Tally] = {}
        self.missing: list[tuple[int, int, str]] = []  # file, row and id of the first ones
        self.missing_count = self.rotated = self.fixed = 0
        self._circular = circular

    @classmethod
    def of(
        cls,
        records: Iterable[QARecord],
        respond: Respond,
        dialect: Dialect = "multispa",
        *,
        circular: bool = False,
    ) -> Scored:
        """Score the records of one file."""
        scored = cls(circular=circular)
        made: dict[str, list[tuple[Judged, float | None]]] = {}
        for row, record in enumerate(records):
            one = judged(record, respond, dialect, circular=circular)
            if one.missing is not None:
                scored._miss((0, row, one.missing))
            scored.rotated += one.asked > 1
            scored.fixed += circular and is_fixed(record)
            made.setdefault(record.task, []).append((one, chance(record)))
        for task, found in made.items():
            scores, guesses = zip(*found, strict=True)
            scored.tallies[task] = Tally.of(scores, guesses)
        return scored

    def _miss(self, *entries: tuple[int, int, str]) -> None:
        self.missing_count += len(entries)
        self.missing += entries
        if len(self.missing) > 2 * LISTED:
            self.missing = sorted(self.missing)[:LISTED]

    def merge(self, number: int, other: Scored) -> None:
        """Take up the scores of file `number`; files come in any order."""
        for task, tally in other.tallies.items():
            self.tallies.setdefault(task, Tally()).merge(number, tally)
        self._miss(*((number, row, name) for _, row, name in other.missing))
        self.missing_count += other.missing_count - len(other.missing)
        self.rotated += other.rotated
        self.fixed += other.fixed

    def report(self, dialect: Dialect) -> Report:
        """The rows, their means and what was missing."""
        circular = self._circular
        rows = tuple(_row(task, self.tallies[task], once=circular) for task in sorted(self.tallies))
        values = {row.task: row.value for row in rows}
        adjusted = [row.adjusted for row in rows if row.adjusted is not None]
        n = sum(row.n for row in rows)
        return Report(
            rows=rows,
            multispa=multispa_rows(values),
            macro=_mean(list(values.values())),
            micro=math.fsum(tally.sum for tally in self.tallies.values()) / n if n else 0.0,
            n=n,
            dialect=dialect,
            missing=tuple(name for _, _, name in sorted(self.missing)[:LISTED]),
            missing_count=self.missing_count,
            adjusted=_mean(adjusted) if adjusted else None,
            rotated=self.rotated if circular else None,
            fixed=self.fixed if circular else None,
        )


def make_report(
    records: Iterable[QARecord],
    responses: Mapping[str, str],
    *,
    dialect: Dialect = "multispa",
    circular: bool = False,
) -> Report:
    """Score records; one without a response is wrong and is listed.

    Args:
        records: The records.
        responses: By id.
        dialect: How responses are read.
        circular: Whether choices count only where every rotation is right.

    Raises:
        ResponseError: A response belongs to no record.
    """
    unknown = dict(responses)

    def respond(record: QARecord) -> str | None:
        unknown.pop(record.id, None)
        return responses.get(record.id)

    scored = Scored.of(records, respond, dialect, circular=circular)
    refuse_unknown(unknown)
    return scored.report(dialect)


def refuse_unknown(unknown: Collection[str]) -> None:
    """ResponseError where responses are left that belong to no record."""
    if unknown:
        shown = ", ".join(sorted(unknown)[:5])
        raise ResponseError(f"{len(unknown)} responses belong to no record: {shown}")


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
    circular = report.get("rotated") is not None
    head = f"{'score':>6}{'low':>6}{'high':>6}{'chance':>7}{'above':>7}{'n':>8}"
    head += f"{'once':>6}" if circular else ""
    width = min(max([len(row["task"]) for row in report["rows"]] + [20]), WIDTH - len(head))
    lines = [f"{'task':<{width}}{head}"]
    for row in report["rows"]:
        guess = "" if row["chance"] is None else f"{100 * row['chance']:.1f}"
        above = "" if row["adjusted"] is None else f"{100 * row['adjusted']:.1f}"
        cells = (
            f"{100 * row['value']:>6.1f}{100 * row['low']:>6.1f}{100 * row['high']:>6.1f}"
            f"{guess:>7}{above:>7}{row['n']:>8}"
        )
        cells += f"{100 * row['once']:>6.1f}" if circular else ""
        lines.append(beside(row["task"], width, cells))
        told = [] if row["metric"] == _USUAL else [row["metric"]]
        counted = ("unparsed", "converted", "missing")
        told += [f"{row[name]} {name}" for name in counted if row[name]]
        lines += [f"    {', '.join(told)}"] if told else []
    for name, value in report["multispa"].items():
        lines.append(beside(f"MultiSPA {name}", width, f"{100 * value:>6.1f}"))
    lines.append(
        f"in percent; low and high: the 95 % interval; the metric is {_USUAL} where none is named"
    )
    lines.append(
        f"macro (mean of tasks) {100 * report['macro']:.1f}, "
        f"micro (mean of records) {100 * report['micro']:.1f}, "
        f"n = {report['n']}, dialect {report['dialect']}"
    )
    if report["adjusted"] is not None:
        lines.append(
            f"above chance {100 * report['adjusted']:.1f}: (score - chance) / (1 - chance), the "
            "mean of the tasks with a closed set"
        )
    if circular:
        lines += _circular_lines(report)
    return fitted("\n".join(lines))


def _circular_lines(report: Mapping[str, Any]) -> list[str]:
    """What a circular evaluation asked, and what guessing has in it."""
    lines = [
        f"circular: {report['rotated']} choices were asked in every rotation of their options and "
        "are right where all are; once: as they stand",
        "chance of k options is 1/k for one option wherever it stands, the most that not looking "
        "has; k guesses apart have (1/k)^k, one letter 0",
    ]
    if report["fixed"]:
        lines.append(
            f"{report['fixed']} choices were asked once: their options stand neither in lines of "
            "the question nor in marks"
        )
    return lines


def bootstrap_interval(values: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """95 % interval of the mean, by 1,000 resamples; (0, 0) for no values.

    Many values of which few differ are drawn by how often each occurs: the same distribution.
    """
    if not values:
        return 0.0, 0.0
    numbers = np.asarray(values)
    distinct, counts = np.unique(numbers, return_counts=True)
    if len(numbers) > MANY and len(distinct) <= MANY // 10:
        return _interval_of_counts(distinct, counts, seed)
    generator = np.random.Generator(np.random.PCG64(seed))
    return _middle([numbers[generator.integers(len(numbers), size=len(numbers))].mean()
                    for _ in range(BOOTSTRAP)])  # fmt: skip


def _interval_of_counts(
    distinct: NDArray[np.float64], counts: NDArray[np.int64], seed: int = 0
) -> tuple[float, float]:
    generator = np.random.Generator(np.random.PCG64(seed))
    drawn = generator.multinomial(counts.sum(), counts / counts.sum(), size=BOOTSTRAP)
    return _middle(drawn @ distinct / counts.sum())


def _middle(means: Sequence[float] | NDArray[np.float64]) -> tuple[float, float]:
    ordered = np.sort(means)
    return float(ordered[int(0.025 * BOOTSTRAP)]), float(ordered[int(0.975 * BOOTSTRAP) - 1])


def paired_interval(first: list[float], second: list[float], seed: int = 0) -> tuple[float, float]:
    """95 % interval of the mean difference of scores of the same records, in the same order.

    Raises:
        ValueError: The lists differ in length.
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} scores are no pairs")
    return bootstrap_interval([a - b for a, b in zip(first, second, strict=True)], seed)


def _row(task: str, tally: Tally, *, once: bool) -> Row:
    low, high = tally.interval()
    value = tally.sum / tally.n
    guess = math.fsum(tally.chances) / tally.guessed if tally.guessed else None
    return Row(
        task=task,
        metric=tally.metric,
        n=tally.n,
        value=value,
        low=low,
        high=high,
        chance=guess,
        unparsed=tally.unparsed - tally.missing,
        converted=tally.converted,
        missing=tally.missing,
        adjusted=None if guess is None or guess >= 1 else (value - guess) / (1 - guess),
        once=math.fsum(tally.once) / tally.n if once else None,
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
