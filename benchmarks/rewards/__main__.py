# SPDX-License-Identifier: Apache-2.0
"""Reward a model that is half trained, by its own rewards and by shuffled ones; ask it greedily.

Rooms are rendered and a model is trained on their answers, but not to the end. Short runs from
several starts and with several rates are judged on rooms of a second seed. From the chosen start
each arm goes on: by rewards, by the same rewards shuffled within a step, or by a cold start, which
samples answers and trains on those that are worth most. Rooms of a third seed, which nothing was
chosen on, are asked one greedy answer each. The same command continues what an earlier one left;
the curve is the JSON file of --results.

Examples:
  python -m benchmarks.rewards runs/rewards --minutes 10            again until it is through
  python -m benchmarks.rewards runs/rewards --arms rewarded --steps 40
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from spatialcore.commands import exit_codes
from spatialcore.commands.guard import run_verb

RESULTS = Path(__file__).parents[1] / "results/rewards.json"


@dataclass(frozen=True)
class Options:
    """Options of `python -m benchmarks.rewards`.

    Attributes:
        folder: Holds everything that is made; the same command continues.
        arms: rewarded; shuffled, its control; cold-start.
        results: JSON file of the curves.
        starts: Where a supervised run of 300 steps may be stopped, multiples of 50.
        rates: Learning rates that are tried from each start.
        probe_steps: Steps of each trial.
        steps: Steps of each arm; a cold start trains for a third of them.
        every: Steps between two looks at the held-out rooms.
        rooms: Rooms to train on.
        val_rooms: Rooms of another seed, by which start and rate are chosen.
        held_rooms: Rooms of a third seed, which are asked.
        questions: Questions about them at most.
        minutes: Stop in an orderly way after this time.
        set: `section.key=value`, further settings of the training recipe.
        json: Print one JSON object instead of text.
    """

    folder: Annotated[Path, tyro.conf.Positional]
    arms: tuple[Literal["rewarded", "shuffled", "cold-start"], ...] = (
        "rewarded",
        "shuffled",
        "cold-start",
    )
    results: Path = RESULTS
    starts: tuple[int, ...] = (100, 200)
    rates: tuple[float, ...] = (1e-4, 3e-4, 1e-3)
    probe_steps: int = 20
    steps: int = 150
    every: int = 50
    rooms: int = 90
    val_rooms: int = 25
    held_rooms: int = 50
    questions: int = 1200
    minutes: float | None = None
    set: tuple[str, ...] = ()
    json: bool = False


def main(argv: list[str]) -> int:
    """Run the command; returns its exit code: 1 where a finished arm is not as it should be."""
    return run_verb("rewards", Options, __doc__, argv, _work)


def _work(options: Options) -> int:
    from benchmarks.rewards.data import Size
    from benchmarks.rewards.run import run, verdicts

    size = Size(options.starts, options.rates, options.probe_steps, options.steps, options.every,
                options.rooms, options.val_rooms, options.held_rooms, options.questions,
                options.set)  # fmt: skip

    def sink(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    through = run(options.folder, options.results, options.arms, size, options.minutes, sink)
    found = json.loads(options.results.read_text()) if options.results.is_file() else {}
    judged = verdicts(found)
    if options.json:
        print(json.dumps({"through": through, **found}))
    else:
        print("\n".join(text for text, _ in judged))
        if not through:
            print(f"the time is over; `python -m benchmarks.rewards {options.folder}` continues")
    good = all(right for _, right in judged)
    return exit_codes.OK if good or not through else exit_codes.FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
