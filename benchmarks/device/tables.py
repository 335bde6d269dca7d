# SPDX-License-Identifier: Apache-2.0
"""Tables of one input: every variant is compared with the reference before it is timed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from benchmarks.device.clock import Clock


class Compiled:
    """A function by torch.compile, which takes seconds to import and is made on the first call."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._compiled: Callable[..., Any] | None = None

    def __call__(self, *arguments: Any) -> Any:
        if self._compiled is None:
            import torch

            self._compiled = torch.compile(self._function, dynamic=False)
        return self._compiled(*arguments)


@dataclass(frozen=True)
class Variant:
    """One way to compute the table's result.

    Attributes:
        name: Ours begin with "ours".
        run: Computes it and returns it, on the device.
        error: How far a result is from the reference.
        tolerance: Largest error; 0 for exact.
        needs: Packages without which it cannot run.
        capture: Whether it can be captured in a CUDA graph.
        floor: Least seconds it could take here by bytes or operations; None where not known.
    """

    name: str
    run: Callable[[], Any]
    error: Callable[[Any], float]
    tolerance: float = 0.0
    needs: tuple[str, ...] = ()
    capture: bool = True
    floor: float | None = None


@dataclass(frozen=True)
class Row:
    """One measured variant.

    Attributes:
        milliseconds: One call of many in a row, Python included.
        replay_milliseconds: Its device work alone, as a CUDA graph.
        rate: Work a second, by the better of the two.
        ratio: Time over the first row's.
        share: Floor over time.
        problem: "" or why there is no time: not installed, wrong, or an exception.
    """

    name: str
    milliseconds: float | None = None
    replay_milliseconds: float | None = None
    rate: float | None = None
    ratio: float | None = None
    share: float | None = None
    error: float | None = None
    problem: str = ""


@dataclass
class Table:
    """The variants of one input; the first one is ours and the measure of the others."""

    title: str
    unit: str
    work: float
    rows: list[Row] = field(default_factory=list)

    def measure(self, clock: Clock, variants: list[Variant]) -> Table:
        """Check and time every variant; a variant that fails does not lose the others."""
        print(f"\n{self.title}  [{self.unit}]", flush=True)
        for variant in variants:
            try:
                row = self._row(clock, variant)
            except Exception as error:  # a peer's exception is its result
                row = Row(variant.name, problem=f"{type(error).__name__}: {error}"[:300])
            self.rows.append(row)
            print(_line(row), flush=True)
        return self

    def problems(self) -> list[str]:
        """What is wrong with our own variants."""
        ours = [row for row in self.rows if row.name.startswith("ours") and row.problem]
        return [f"{self.title}: {row.name}: {row.problem}" for row in ours]

    def _row(self, clock: Clock, variant: Variant) -> Row:
        missing = [name for name in variant.needs if find_spec(name) is None]
        if missing:
            return Row(variant.name, problem=f"{' and '.join(missing)} not installed")
        error = float(variant.error(variant.run()))
        if not error <= variant.tolerance:
            wrong = f"differs by {error:g}, more than {variant.tolerance:g}"
            return Row(variant.name, error=error, problem=wrong)
        called = clock.seconds(variant.run)
        replayed = clock.replayed(variant.run) if variant.capture else None
        best = called if replayed is None else min(called, replayed)
        first = next((row for row in self.rows if row.rate), None)
        return Row(
            variant.name,
            milliseconds=called * 1e3,
            replay_milliseconds=None if replayed is None else replayed * 1e3,
            rate=self.work / best,
            ratio=1.0 if first is None or first.rate is None else first.rate * best / self.work,
            share=None if variant.floor is None else variant.floor / best,
            error=error,
        )


def _line(row: Row) -> str:
    if row.problem:
        return f"  {row.name:<36} {row.problem}"
    assert row.rate is not None
    replay = "" if row.replay_milliseconds is None else f"{row.replay_milliseconds:.4f}"
    share = "" if row.share is None else f"{row.share:.0%} of its floor"
    return (
        f"  {row.name:<36}{row.milliseconds:>10.4f} ms {replay:>9} replayed"
        f"{row.rate / 1e9:>12.2f} G{row.ratio:>8.2f}x  {share}"
    )
