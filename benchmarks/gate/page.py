# SPDX-License-Identifier: Apache-2.0
"""What came out of a gate: its verdict, and a page with table, costs and training curves."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.gate.curve import curves_svg, read_losses
from benchmarks.gate.run import TIMES, Gate
from spatial_engine.records.record import QARecord
from spatial_engine.scoring.baselines import baseline_responses
from spatial_engine.scoring.compare import CLAIMED, Comparison, compare
from spatialcore.files import write_text
from spatialmllm.data.records import RecordFolder, RecordSet
from spatialmllm.evaluation.run import read_responses
from spatialmllm.training.plot import running_mean

CURVE_KEEP = 0.98
"""Share of the last mean that a step of the page's curve keeps."""
MARGIN = 0.10
"""A task is passed this far above the best baseline, with the interval above 0."""


@dataclass(frozen=True, slots=True)
class RunFigures:
    """What a training run took, summed over its steps.

    Attributes:
        steps: Steps made.
        epochs: Passes over the sequences.
        cpu_s: Processor seconds of all threads of the process.
        wall_s: Seconds on the clock.
        loss: Mean loss of the last fiftieth of the steps.
    """

    steps: int
    epochs: float
    cpu_s: float
    wall_s: float
    loss: float


@dataclass(frozen=True, slots=True)
class SeedResult:
    """One seed: its tasks beside their baselines, and what its two runs took."""

    name: str
    tasks: Sequence[Comparison]
    runs: Mapping[str, RunFigures]
    curves: Mapping[str, Sequence[tuple[int, float]]]

    @property
    def passed(self) -> int:
        """Tasks that are passed."""
        return sum(is_passed(row) for row in self.tasks)


@dataclass(frozen=True, slots=True)
class GateResult:
    """A gate's seeds, its data and its costs.

    Attributes:
        gate: The gate.
        seeds: Results by seed.
        records: Training records and questions of each task.
        rooms: Rooms that were trained on, and rooms that were asked about.
        times: Seconds of each step.
        recipe: The resolved training recipe of the first seed.
    """

    gate: Gate
    seeds: Sequence[SeedResult]
    records: Mapping[str, tuple[int, int]]
    rooms: tuple[int, int]
    times: Mapping[str, float]
    recipe: Mapping[str, Any]


def is_passed(row: Comparison) -> bool:
    """Whether the gain over the best baseline reaches the margin and its interval lies above 0."""
    best = row.baselines[row.best]
    return best.gain >= MARGIN and best.low > 0


def judge(gate: Gate, folder: Path) -> GateResult:
    """Compare the answers of every seed in `folder` with those of its baselines.

    Raises:
        FileNotFoundError: There are no records, or no seed has been answered.
    """
    held_out = RecordSet.open([RecordFolder(folder / "val")], split="val")
    asked = [held_out[row] for row in range(len(held_out))]
    training = RecordSet.open([RecordFolder(folder / "train")], split="train")
    frequency = dict(
        baseline_responses("frequency", asked, (training[i] for i in range(len(training))))
    )
    places = [
        path for path in sorted(folder.glob("seed-*")) if (path / "eval/scores.json").is_file()
    ]
    if not places:
        raise FileNotFoundError(f"{folder}: no seed has been answered yet")
    counts = Counter(training.column("task")), Counter(record.task for record in asked)
    times = folder / TIMES
    recipe = json.loads((places[0] / "run/recipe.json").read_text(encoding="utf-8"))
    return GateResult(
        gate=gate,
        seeds=[_seed(place, asked, frequency) for place in places],
        records={task: (counts[0][task], counts[1][task]) for task in gate.tasks},
        rooms=(len(set(training.column("space"))), len(set(held_out.column("space")))),
        times=json.loads(times.read_text(encoding="utf-8")) if times.is_file() else {},
        recipe=recipe,
    )


def _seed(place: Path, asked: Sequence[QARecord], frequency: Mapping[str, str]) -> SeedResult:
    answers = place / "eval"
    baselines = {name: read_responses(answers / name) for name in ("blind-trained", "blind-eval")}
    rows = compare(asked, read_responses(answers), {**baselines, "frequency": frequency})
    return SeedResult(
        name=place.name.replace("-", " "),
        tasks=rows,
        runs={name: run_figures(place / name) for name in ("run", "blind")},
        curves={
            name: running_mean(read_losses(place / name), keep=CURVE_KEEP)
            for name in ("run", "blind")
        },
    )


def run_figures(run: Path) -> RunFigures:
    """Sum the metrics of a run folder."""
    text = (run / "metrics.jsonl").read_text(encoding="utf-8")
    lines: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines()]
    last = lines[-max(1, len(lines) // 50) :]
    return RunFigures(
        steps=len(lines),
        epochs=float(lines[-1]["epoch"]),
        cpu_s=sum(line["cpu_s"] for line in lines),
        wall_s=sum(line["seconds"] for line in lines),
        loss=statistics.fmean(line["loss"] for line in last),
    )


def verdict(seed: SeedResult, needed: int) -> str:
    """Passed or failed, in a sentence."""
    word = "passed" if seed.passed >= needed else "failed"
    return (
        f"**{word}**: {seed.passed} of {len(seed.tasks)} tasks are at least {MARGIN:.2f} above the "
        f"best baseline with the interval above 0; {needed} are needed"
    )


def write_page(result: GateResult, page: Path) -> None:
    """Write the page, and beside it `images/<page>.svg` with the training curves."""
    picture = page.parent / "images" / f"{page.stem}.svg"
    picture.parent.mkdir(parents=True, exist_ok=True)
    curves = {
        f"{seed.name}, {'looking' if name == 'run' else 'blind'}": points
        for seed in result.seeds
        for name, points in seed.curves.items()
    }
    top = 1.6 * max(points[-1][1] for points in curves.values())
    write_text(picture, curves_svg(curves, "loss, running mean", top))
    write_text(page, "\n".join(_lines(result, f"images/{picture.name}")) + "\n")


def _lines(result: GateResult, picture: str) -> Iterator[str]:
    gate = result.gate
    yield f"# The {gate.name} gate"
    yield ""
    yield _introduction(result)
    yield ""
    yield f"Measured on {machine()}."
    yield ""
    for seed in result.seeds:
        yield from (f"## {seed.name.capitalize()}", "", f"{verdict(seed, gate.needed)}.", "")
        yield from _task_table(seed.tasks)
        yield ""
    if len(result.seeds) > 1:
        yield from ("## Over seeds", "")
        yield from _seed_table(result.seeds)
        yield ""
    yield from ("## Cost", "")
    yield from _cost_table(result)
    yield from ("", "## Training curves", "", f"![Loss over steps]({picture})")


def _introduction(result: GateResult) -> str:
    schedule = result.recipe["schedule"]
    return (
        "Does a small model that sees the images beat everything that does not look? Written by "
        f"`make {result.gate.name}` (`benchmarks.gate.run`) from its runs; the figures are "
        "as measured.\n\n"
        f"{result.rooms[0]:,} procedural rooms are trained on, {result.rooms[1]} others are asked "
        f"about, one question at a time, the answer generated. Recipe `{result.recipe['name']}`: "
        f"{schedule['max_steps']:,} steps of {schedule['global_batch']} sequences, up to "
        f"{result.recipe['data']['turns_per_sequence']} questions a sequence, one wording a task. "
        "Baselines: the same model, records, seed and steps trained on grey images "
        "(blind-trained), the model itself asked on grey images (blind-eval), and the best "
        "constant answer (frequency). Counts are scored by mean relative accuracy, words by "
        "equality. The difference is to the best of the three, with the 95 % interval of a paired "
        f"bootstrap; a task is passed at {MARGIN:.2f} with the interval above 0."
    )


def _task_table(rows: Sequence[Comparison]) -> Iterator[str]:
    yield f"| task | n | model | {' | '.join(CLAIMED)} | difference | 95 % interval | passed |"
    yield "|---|---:|---:|" + "---:|" * len(CLAIMED) + "---:|---|---|"
    for row in rows:
        best = row.baselines[row.best]
        others = " | ".join(f"{row.baselines[name].value:.3f}" for name in CLAIMED)
        yield (
            f"| {row.task} | {row.n} | {row.value:.3f} | {others} | {best.gain:+.3f} | "
            f"{best.low:+.3f} to {best.high:+.3f} | {'yes' if is_passed(row) else 'no'} |"
        )


def _seed_table(seeds: Sequence[SeedResult]) -> Iterator[str]:
    yield "| task | model, mean ± sd | difference, mean ± sd | mean - 3 sd |"
    yield "|---|---:|---:|---:|"
    for rows in zip(*(seed.tasks for seed in seeds), strict=True):
        values = [row.value for row in rows]
        gains = [row.baselines[row.best].gain for row in rows]
        sd = statistics.stdev(values), statistics.stdev(gains)
        yield (
            f"| {rows[0].task} | {statistics.fmean(values):.3f} ± {sd[0]:.3f} | "
            f"{statistics.fmean(gains):+.3f} ± {sd[1]:.3f} | "
            f"{statistics.fmean(gains) - 3 * sd[1]:+.3f} |"
        )


def _cost_table(result: GateResult) -> Iterator[str]:
    yield "| task | training records | questions |"
    yield "|---|---:|---:|"
    for task, (trained, asked) in result.records.items():
        yield f"| {task} | {trained:,} | {asked:,} |"
    yield ""
    yield "| run | steps | epochs | loss at the end | CPU seconds | clock seconds |"
    yield "|---|---:|---:|---:|---:|---:|"
    for seed in result.seeds:
        for name, run in seed.runs.items():
            yield (
                f"| {seed.name}, {name} | {run.steps:,} | {run.epochs:.2f} | {run.loss:.4f} | "
                f"{run.cpu_s:.0f} | {run.wall_s:.0f} |"
            )
    if result.times:
        yield ""
        yield "| step | clock seconds |"
        yield "|---|---:|"
        for name, seconds in result.times.items():
            yield f"| {name} | {seconds:.0f} |"


def machine() -> str:
    """The processor, the cores this process may use, and the GPU where there is one."""
    import torch

    found: dict[str, str] = {}
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            found.setdefault(key.strip(), value.strip())
    name = found.get("model name", platform.processor() or platform.machine())
    family = f" (family {found['cpu family']})" if "cpu family" in found else ""
    text = f"{len(os.sched_getaffinity(0))} cores of {name}{family}, torch {torch.__version__}"
    return f"{text}, {torch.cuda.get_device_name()}" if torch.cuda.is_available() else text
