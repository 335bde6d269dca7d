# SPDX-License-Identifier: Apache-2.0
"""Train models that look and blind twins, ask both about rooms of another seed, write the page.

The same command continues what an earlier one left; finished cells are files of --results.

Examples:
  python -m benchmarks.proof runs/proof --minutes 10              again until it is through
  python -m benchmarks.proof runs/proof --seeds 0 --ablations matching blind
  python -m benchmarks.proof runs/proof --page docs/proof.md --judge    the page alone
  python -m benchmarks.proof runs/proof --seeds 0 --look          ask about val, leave no results
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from spatialcore.commands import exit_codes
from spatialcore.commands.guard import run_verb

if TYPE_CHECKING:
    from benchmarks.proof.cells import ProofSize

RESULTS = Path(__file__).parents[1] / "results/proof"


@dataclass(frozen=True)
class Options:
    """Options of `python -m benchmarks.proof`.

    Attributes:
        folder: Holds everything that is made; the same command continues.
        seeds: Seeds of weights and order.
        ablations: matching (the whole model), blind (its twin on grey images), mlp_add (without
            matching), none (without a spatial encoder).
        results: Folder with a JSON file for each finished cell.
        captured: A captured scan that is asked about beside.
        minutes: Stop in an orderly way after this time.
        page: Markdown page to write.
        data: Make the records and stop.
        judge: Make nothing; say and write what the results hold.
        look: Ask about the rooms that settings are chosen on, and leave no results.
        rooms: Rooms to train on.
        held_rooms: Rooms of the held-out seed.
        frames: Frames a room.
        steps: Steps of stage S.
        match_steps: Steps of stage M.
        workers: Processes that make data.
        set: `section.key=value`, further settings of the training recipe.
        json: Print one JSON object instead of text.
    """

    folder: Annotated[Path, tyro.conf.Positional]
    seeds: tuple[int, ...] = (0, 1, 2)
    ablations: tuple[str, ...] = ("matching", "blind", "mlp_add", "none")
    results: Path = RESULTS
    captured: Path | None = None
    minutes: float | None = None
    page: Path | None = None
    data: bool = False
    judge: bool = False
    look: bool = False
    rooms: int | None = None
    held_rooms: int | None = None
    frames: int | None = None
    steps: int | None = None
    match_steps: int | None = None
    workers: int = 1
    set: tuple[str, ...] = ()
    json: bool = False


def main(argv: list[str]) -> int:
    """Run the command; returns its exit code: 1 where a finished seed misses the goal."""
    return run_verb("proof", Options, __doc__, argv, _work)


def _work(options: Options) -> int:
    from benchmarks.proof.cells import ABLATIONS, cells
    from benchmarks.proof.run import ProofRequest, run
    from spatialcore.errors import UsageError

    if unknown := [name for name in options.ablations if name not in ABLATIONS]:
        raise UsageError(f"--ablations {unknown[0]}: there are {', '.join(ABLATIONS)}")
    if not options.judge:
        todo = [] if options.data else cells(options.seeds, options.ablations)
        request = ProofRequest(
            options.folder, options.results, _size(options), todo, options.captured,
            minutes=options.minutes, workers=options.workers, look=options.look,
        )  # fmt: skip
        if not run(request, lambda text: print(text, file=sys.stderr, flush=True)):
            again = f"python -m benchmarks.proof {options.folder}"
            report = {"through": False}
            print(json.dumps(report) if options.json else f"the time is over; `{again}` continues")
            return exit_codes.OK
        if options.look or options.data:
            text = "the records are made" if options.data else "val is answered"
            print(json.dumps({"through": True}) if options.json else text)
            return exit_codes.OK
    return _judge(options)


def _size(options: Options) -> ProofSize:
    from benchmarks.proof.cells import ProofSize

    given = {name.name: getattr(options, name.name, None) for name in fields(ProofSize)}
    size = ProofSize(**{name: value for name, value in given.items() if value is not None})
    size = replace(size, settings=options.set)
    if options.match_steps is not None:
        size = replace(size, stage=replace(size.stage, steps=options.match_steps))
    return size


def _judge(options: Options) -> int:
    from benchmarks.proof.page import read_results, seeds_of, verdict, write_page

    found = read_results(options.results)
    if options.page is not None:
        write_page(options.results, options.page)
    judged = [verdict(found, seed) for seed in seeds_of(found)]
    report = {"through": True, "seeds": [one.to_json() for one in judged]}
    print(json.dumps(report) if options.json else "\n".join(one.sentence for one in judged))
    return exit_codes.OK if judged and all(one.passed for one in judged) else exit_codes.FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
