# SPDX-License-Identifier: Apache-2.0
"""Render rooms, train a model that looks and a blind one, and hold them against each other.

Examples:
  python -m benchmarks.gate small runs/small --data         the records alone, on any machine
  python -m benchmarks.gate small runs/small --minutes 9.5  again until it is through; on a GPU
  python -m benchmarks.gate full-size runs/full             the published sizes: forward and a step
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from spatialcore.commands import exit_codes
from spatialcore.commands.guard import run_verb
from spatialcore.files import write_text

if TYPE_CHECKING:
    from benchmarks.gate.run import GateRequest, Step


@dataclass(frozen=True)
class Options:
    """Options of `python -m benchmarks.gate`.

    Attributes:
        gate: Which gate; both train on a GPU.
        folder: Holds everything that is made; the same command continues.
        seeds: A model that looks and a blind one are trained for each.
        page: Markdown page to write, with its picture in `images/` beside it.
        data: Make the records and stop.
        judge: Compare what is there and make nothing.
        rooms: Rooms instead of the gate's own number.
        workers: Processes that make records; default: one a core.
        minutes: Stop in an orderly way after this time.
        threads: Threads of a training process; default: all.
        set: `section.key=value`, a setting of the training recipe.
        json: Print one JSON object instead of text.
    """

    gate: Annotated[Literal["small", "full-size"], tyro.conf.Positional]
    folder: Annotated[Path, tyro.conf.Positional]
    seeds: tuple[int, ...] = (0,)
    page: Path | None = None
    data: bool = False
    judge: bool = False
    rooms: int | None = None
    workers: int | None = None
    minutes: float | None = None
    threads: int | None = None
    set: tuple[str, ...] = ()
    json: bool = False


def main(argv: list[str]) -> int:
    """Run the command; returns its exit code: 1 also when a gate is not passed."""
    return run_verb("gate", Options, __doc__, argv, _run)


def _run(options: Options) -> int:
    return _full_size(options) if options.gate == "full-size" else _gate(options)


def _gate(options: Options) -> int:
    from benchmarks.gate.run import (
        GATES,
        GateRequest,
        check_machine,
        data_steps,
        run_steps,
        seed_steps,
    )

    gate = GATES[options.gate]
    request = GateRequest(
        gate, options.folder, options.seeds, options.rooms,
        options.workers or len(os.sched_getaffinity(0)), options.minutes, options.set,
        options.threads,
    )  # fmt: skip
    steps: list[Step] = [] if options.judge else list(data_steps(request))
    if not (options.data or options.judge):
        check_machine(gate)
        steps += [step for seed in request.seeds for step in seed_steps(request, seed)]
    through = run_steps(request, steps, lambda name: print(f"{name} ...", file=sys.stderr))
    if options.data or not through:
        state = "the records are made" if through else "the time is over"
        _say(options, {"gate": gate.name, "through": through}, f"{state}; "
             f"`python -m benchmarks.gate {gate.name} {options.folder}` continues")  # fmt: skip
        return 0
    return _judge(options, request)


def _judge(options: Options, request: GateRequest) -> int:
    from benchmarks.gate.page import judge, verdict, write_page

    result = judge(request.gate, request.folder)
    if options.page is not None:
        write_page(result, options.page)
    needed = request.gate.needed
    report = {
        "gate": request.gate.name,
        "through": True,
        "passed": all(seed.passed >= needed for seed in result.seeds),
        "seeds": {seed.name: [row.to_json() for row in seed.tasks] for seed in result.seeds},
    }
    lines = [f"{seed.name}: {verdict(seed, needed)}" for seed in result.seeds]
    _say(options, report, "\n".join(lines).replace("**", ""))
    return exit_codes.OK if report["passed"] else exit_codes.FAILED


def _full_size(options: Options) -> int:
    from benchmarks.gate.full_size import measure

    report = measure(options.set)
    options.folder.mkdir(parents=True, exist_ok=True)
    path = options.folder / "full-size.json"
    write_text(path, json.dumps(report, indent=1) + "\n")
    _say(options, report, "\n".join(f"{key:<24} {value}" for key, value in report.items()))
    return 0


def _say(options: Options, report: dict[str, Any], text: str) -> None:
    print(json.dumps(report) if options.json else text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
