# SPDX-License-Identifier: Apache-2.0
"""Our backends and their peers on one input: outputs first, then ratios, ceilings and memory.

Every variant runs once in each of at least five alternating rounds of one process. A row has
the median, the least and the most of the rounds, and the median of its ratios to ours of a round.
"""

from __future__ import annotations

import argparse
import json
import resource
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.ops.ceilings import Ceilings, share
from benchmarks.ops.harness import ROUNDS, alternating, instruction_set, machine
from spatialcore.files import write_text

RESULTS = Path(__file__).parents[1] / "results"


@cache
def loads(package: str) -> bool:
    """Whether a peer's package is here and can be imported; says why one that is here cannot."""
    try:
        import_module(package)
    except ModuleNotFoundError:
        return False
    except ImportError as error:
        print(f"  {package} is left out: {error}", flush=True)
        return False
    return True


def largest_difference(found: np.ndarray, expected: np.ndarray) -> float:
    """How far a result is from what is expected."""
    return float(np.abs(found.astype(np.float64) - expected).max(initial=0.0))


@dataclass(frozen=True)
class Variant:
    """One way to compute a result.

    Attributes:
        name: Ours begin with "ours".
        run: Computes it.
        result: What `run` gives -> an array to compare.
        tolerance: Largest error that is taken.
        needs: Package without which it is left out.
        part: Share of the work that `run` does.
        isa: Instruction set of our kernels; "" for the best.
        ceiling: Name of the rate that bounds this loop, "" for none.
        work: Units of the ceiling that one run takes; None for the table's.
    """

    name: str
    run: Callable[[], Any]
    result: Callable[[Any], np.ndarray] = np.asarray
    tolerance: float = 0.0
    needs: str = "numpy"
    part: float = 1.0
    isa: str = ""
    ceiling: str = ""
    work: float | None = None


@dataclass(frozen=True)
class Measured:
    """One row; `ratio` is its time over ours, `share` its rate over the ceiling."""

    name: str
    milliseconds: float
    rate: float
    ratio: float
    share: float | None
    error: float
    least: float | None = None
    most: float | None = None
    rounds: int = 1


@dataclass
class Comparison:
    """Variants of one input. The first one is ours and the measure of the others."""

    title: str
    unit: str
    work: float
    expected: np.ndarray
    error_of: Callable[[np.ndarray, np.ndarray], float] = largest_difference
    rows: list[Measured] = field(default_factory=list)
    note: dict[str, Any] = field(default_factory=dict)

    def check(self, variant: Variant) -> float:
        """Run a variant once and give its error; exits where that is above its tolerance."""
        with instruction_set(variant.isa):
            found = variant.result(variant.run())
        expected = self.expected[: len(found)] if variant.part < 1 else self.expected
        error = self.error_of(found, expected)
        if not error <= variant.tolerance:
            raise SystemExit(
                f"{self.title}: {variant.name} differs by {error}, more than {variant.tolerance}"
            )
        return error

    def measure(
        self, variants: Iterable[Variant], ceilings: Ceilings | None = None, rounds: int = ROUNDS
    ) -> Comparison:
        """Check all variants that are installed, then time them in alternating rounds."""
        variants = list(variants)
        present = [v for v in variants if loads(v.needs)]
        errors = [self.check(v) for v in present]
        if ceilings is not None:
            for v in present:
                if v.ceiling:
                    ceilings.rate(v.ceiling, v.isa)
        again = ceilings.refresh if ceilings is not None else lambda: None
        times = alternating([(v.name, v.run, v.isa) for v in present], rounds, again)
        ours = [spent / present[0].part for spent in times[0]]
        for v, error, spent in zip(present, errors, times, strict=True):
            whole = [one / v.part for one in spent]
            bound = ceilings.rate(v.ceiling, v.isa) if ceilings is not None and v.ceiling else None
            seconds = median(whole)
            work = self.work if v.work is None else v.work
            self._add(Measured(
                v.name, seconds * 1e3, self.work / seconds,
                median(a / b for a, b in zip(whole, ours, strict=True)),
                None if bound is None else share(f"{self.title}: {v.name}", work / seconds, bound),
                error, min(whole) * 1e3, max(whole) * 1e3, rounds,
            ))  # fmt: skip
        for v in variants:
            if v not in present:
                print(f"  {v.name:<44} {v.needs} is not installed")
        return self

    def record(self, name: str, seconds: float, error: float = 0.0) -> None:
        """Add a variant that was checked and timed already."""
        first = self.rows[0].milliseconds if self.rows else seconds * 1e3
        ratio = seconds * 1e3 / first
        self._add(Measured(name, seconds * 1e3, self.work / seconds, ratio, None, error))

    def _add(self, row: Measured) -> None:
        if not self.rows:
            print(f"\n{self.title}  [{self.unit}]")
        self.rows.append(row)
        spread = "" if row.least is None else f" [{row.least:.2f}, {row.most:.2f}]"
        bound = "" if row.share is None else f"{row.share:>7.0%} of ceiling"
        figures = f"{row.milliseconds:>11.2f} ms{spread:<20}{row.rate / 1e9:>11.3f} G"
        print(f"  {row.name:<44}{figures}{row.ratio:>9.2f}x{bound}", flush=True)


def write(
    op: str,
    comparisons: list[Comparison],
    ceilings: Ceilings | None = None,
    output: Path | None = None,
) -> None:
    """Store the rows as JSON beside the machine, its ceilings and the peak memory."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(f"peak memory {peak / 2**30:.2f} GiB")
    tables = [
        {k: v for k, v in vars(c).items() if k not in ("expected", "error_of", "rows")}
        | {"rows": [asdict(row) for row in c.rows]}
        for c in comparisons
    ]
    rates = {} if ceilings is None else ceilings.as_json()
    content = {"machine": machine(), "ceilings": rates, "peak_bytes": peak, "tables": tables}
    path = output or RESULTS / f"{op}.json"
    path.parent.mkdir(exist_ok=True)
    write_text(path, json.dumps(content, indent=1) + "\n")


def options() -> argparse.Namespace:
    """What every suite understands: `--short` and `--output FILE`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--short", action="store_true", help="the first table alone")
    parser.add_argument("--output", type=Path, help="the JSON; default: results/<op>.json")
    return parser.parse_args()
