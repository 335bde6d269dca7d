# SPDX-License-Identifier: Apache-2.0
"""What the results hold: a verdict for each seed, and the page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.proof.cells import ABLATIONS, MARGIN, NEEDED, TASKS, Z_GOAL, Z_TASK, shipped
from benchmarks.proof.run import HELD_SEED
from benchmarks.proof.tally import STRATA, wilson
from spatialcore.errors import UsageError
from spatialcore.files import write_text
from spatialmllm.training.recipe import load_recipe

_SHOWN_STEPS = (1, 2, 4, 8, 12, 16, 24, 32)
TEXT_START = "text-start.json"
"""What `benchmarks.proof.text_start` leaves beside the cells."""
Results = Mapping[tuple[int, str], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class TaskVerdict:
    """One task of one seed, on the held-out rooms.

    Attributes:
        task: Its name.
        n: Questions.
        share: Share of them that the model answers right.
        blind: Share of the best that does not look: the blind twin, or one constant answer.
        gain: The first less the second.
        passed: Whether the gain reaches the margin, with the interval of `share` above `blind`.
    """

    task: str
    n: int
    share: float
    blind: float
    gain: float
    passed: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """One seed.

    Attributes:
        seed: The seed.
        tasks: Its tasks; () until both the model and its blind twin are through.
        passed: Whether enough tasks are passed, and the direction along the view reaches its goal.
    """

    seed: int
    tasks: tuple[TaskVerdict, ...]
    passed: bool

    @property
    def sentence(self) -> str:
        """The verdict in words."""
        if not self.tasks:
            return (
                f"seed {self.seed}: not judged: the model and its blind twin are not both through"
            )
        good = sum(task.passed for task in self.tasks)
        z = next(task.share for task in self.tasks if task.task == Z_TASK)
        return (
            f"seed {self.seed}: {'passed' if self.passed else 'missed'}: {good} of "
            f"{len(self.tasks)} tasks at least {MARGIN:.2f} above the best blind ({NEEDED} are "
            f"needed), z_direction {z:.3f} ({Z_GOAL:.2f} is needed)"
        )

    def to_json(self) -> dict[str, Any]:
        """As JSON takes it."""
        return asdict(self)


def read_results(folder: Path) -> dict[tuple[int, str], dict[str, Any]]:
    """The finished cells of a folder, by (seed, ablation).

    Raises:
        UsageError: There is none, or a file is none of ours.
    """
    found = {}
    for path in sorted(folder.glob("seed-*.json")):
        try:
            cell = json.loads(path.read_text(encoding="utf-8"))
            found[int(cell["seed"]), str(cell["ablation"])] = cell
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{path} is no result of a cell; remove it") from error
    if not found:
        raise UsageError(f"{folder} holds no result; run the proof without --judge first")
    return found


def seeds_of(results: Results) -> list[int]:
    """Seeds that have a finished cell."""
    return sorted({seed for seed, _ in results})


def verdict(results: Results, seed: int) -> Verdict:
    """Judge a seed by its held-out rooms."""
    model, blind = results.get((seed, "matching")), results.get((seed, "blind"))
    if model is None or blind is None:
        return Verdict(seed, (), False)
    rows = []
    for task in TASKS:
        own, other = (cell["sets"]["held"].get(task) for cell in (model, blind))
        if own is None or other is None:
            continue
        share = own["right"] / own["n"]
        best = max(other["right"], other["constant"]) / other["n"]
        above = wilson(own["right"], own["n"])[0] > best
        gain = share - best
        rows.append(TaskVerdict(task, own["n"], share, best, gain, gain >= MARGIN and above))
    z = [row.share for row in rows if row.task == Z_TASK]
    enough = sum(row.passed for row in rows) >= NEEDED and bool(z) and z[0] >= Z_GOAL
    return Verdict(seed, tuple(rows), enough)


def write_page(folder: Path, page: Path) -> None:
    """Write the page of the finished cells of a folder of results, and of the start from text."""
    page.parent.mkdir(parents=True, exist_ok=True)
    path = folder / TEXT_START
    text = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    write_text(page, "\n".join(_lines(read_results(folder), text)) + "\n")


def _lines(results: Results, text: Mapping[str, Any] | None) -> Iterator[str]:
    yield from _introduction(results)
    yield from ("", "## Verdict", "")
    for seed in seeds_of(results):
        yield f"- {verdict(results, seed).sentence}."
    yield from ("", "## Held-out rooms", "")
    yield (
        f"Share of right answers, with its 95 % Wilson interval, on rooms of seed {HELD_SEED}, "
        "asked once of each finished model. Constant: the best single answer, chosen on these very "
        "questions. Empty: not trained yet."
    )
    yield ""
    yield from _table(results, "held", constant=True)
    yield from ("", "## By what there is to see", "")
    yield (
        "The whole model on the same questions, by the asked component's share of the way, or by "
        "the turn."
    )
    yield ""
    yield from _strata(results)
    if any("captured" in cell["sets"] for cell in results.values()):
        yield from ("", "## Captured pairs", "")
        yield (
            "Pairs of a HoloLens walk through an office (96 frames, time-of-flight depth), which "
            "no model was trained on; the synthetic rooms are all that they know."
        )
        yield ""
        yield from _table(results, "captured", constant=False)
    yield from ("", "## Cost", "")
    yield from _costs(results)
    if text is not None:
        yield from ("", "## A decoder from a language model", "")
        yield from _text_start(text)


def _introduction(results: Results) -> Iterator[str]:
    cell = next(iter(results.values()))
    size, steps = cell["made_with"]["size"], cell["steps"]
    stage = size["stage"]
    settings = cell["made_with"]["settings"]
    batch = load_recipe(str(shipped("recipe.toml")), settings).schedule.global_batch
    yield "# Learning, shown on two cores"
    yield ""
    yield (
        "Does a small model that sees the images beat everything that does not look? Written by "
        "`python -m benchmarks.proof` from the files in `benchmarks/results/proof`, one for each "
        "model that is through; the figures are as measured."
    )
    yield ""
    yield (
        f"{size['rooms']:,} sparse rooms of the preset `tiny` (a sixth of them kept for choosing "
        f"settings), {size['frames']} frames of 112 x 84 each, in which sizes, shades, floors and "
        "walls vary, so that no name tells an answer. **Stage M** trains the matching part "
        f"([model.md](model.md)) on pairs with depth and poses, {stage['steps']:,} steps of "
        f"{stage['batch']}. **Stage S** trains a model of under half a million parameters on six "
        f"tasks, {steps:,} steps of {batch} sequences, answers as spans. The models of a seed "
        "start from the same weights and see the same questions in the same order:"
    )
    yield ""
    yield "- `matching`: the whole model; what stage M learned is frozen in stage S,"
    yield "- `blind`: its twin, trained and asked on grey images,"
    yield "- `mlp_add`: without the matching part,"
    yield "- `none`: without a spatial encoder, the 2-D baseline."
    yield ""
    yield (
        f"A task is passed where the whole model is at least {MARGIN:.2f} above the better of its "
        "blind twin and the best constant, and the lower end of its interval is above that, too. "
        f"The goal is {NEEDED} of {len(TASKS)} tasks on every seed, and {Z_GOAL:.2f} of "
        f"`{Z_TASK}`."
    )


def _table(results: Results, name: str, *, constant: bool) -> Iterator[str]:
    last = " constant |" if constant else ""
    yield f"| task | seed | n | {' | '.join(ABLATIONS)} |{last}"
    yield "|---|---:|---:|" + "---|" * len(ABLATIONS) + ("---:|" if constant else "")
    for task in TASKS:
        for seed in seeds_of(results):
            rows = {
                ablation: results[seed, ablation]["sets"].get(name, {}).get(task)
                for ablation in ABLATIONS
                if (seed, ablation) in results
            }
            known = [row for row in rows.values() if row]
            if not known:
                continue
            shown = " | ".join(_share(rows.get(ablation)) for ablation in ABLATIONS)
            best = f" {known[0]['constant'] / known[0]['n']:.3f} |" if constant else ""
            yield f"| {_short(task)} | {seed} | {known[0]['n']} | {shown} |{best}"


def _strata(results: Results) -> Iterator[str]:
    yield "| task | seed | to see | n | right |"
    yield "|---|---:|---|---:|---|"
    for task in TASKS:
        for seed in seeds_of(results):
            cell = results.get((seed, "matching"))
            parts = cell["sets"]["held"].get(task, {}).get("strata", {}) if cell else {}
            for name in filter(parts.__contains__, STRATA):
                n, right = parts[name]
                shown = _share({"n": n, "right": right})
                yield f"| {_short(task)} | {seed} | {name} | {n} | {shown} |"


def _costs(results: Results) -> Iterator[str]:
    yield (
        "| model | steps | epochs | loss at the end | CPU seconds | stage M, CPU seconds | "
        "its median error |"
    )
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for (seed, ablation), cell in _ordered(results):
        stage = cell["stage_m"]
        before = f"{stage['cpu_s']:.0f} | {stage['median_px']:.1f} px" if stage else " | "
        yield (
            f"| seed {seed}, {ablation} | {cell['steps']:,} | {cell['epochs']:.2f} | "
            f"{cell['loss']:.4f} | {cell['cpu_s']:,} | {before} |"
        )


def _text_start(text: Mapping[str, Any]) -> Iterator[str]:
    file, random = text["losses"]["file"], text["losses"]["random"]
    yield (
        f"`train --init-text {text['file']}` beside random weights of the same sizes and with the "
        f"same tokenizer: {len(file)} steps of {text['batch']} sequences, the same in the same "
        "order, no question twice. Loss of some steps; a uniform guess over the vocabulary is "
        "10.8. This shows the door and a faster start, no more: it is too short to learn from "
        "images."
    )
    shown = [step for step in _SHOWN_STEPS if step < len(file)] + [len(file)]
    yield ""
    yield f"| start | {' | '.join(map(str, shown))} |"
    yield "|---|" + "---:|" * len(shown)
    for name, losses in (("language model", file), ("random", random)):
        yield f"| {name} | {' | '.join(f'{losses[step - 1]:.2f}' for step in shown)} |"


def _ordered(results: Results) -> Sequence[tuple[tuple[int, str], Mapping[str, Any]]]:
    return sorted(results.items(), key=lambda item: (item[0][0], ABLATIONS.index(item[0][1])))


def _share(row: Mapping[str, Any] | None) -> str:
    if not row:
        return ""
    low, high = wilson(row["right"], row["n"])
    return f"{row['right'] / row['n']:.3f} ({low:.3f}-{high:.3f})"


def _short(task: str) -> str:
    return task.partition(".")[2]
