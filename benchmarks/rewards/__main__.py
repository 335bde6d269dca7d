# SPDX-License-Identifier: Apache-2.0
"""Reward a model that is half trained, by its own rewards and by shuffled ones; ask it greedily.

Rooms are rendered, a model is trained on their answers until it is right somewhat more often than
chance, then each arm goes on from it: by rewards, or by the same rewards shuffled within a step.
Rooms of another seed are asked after every so many steps, one greedy answer each. The same command
continues what an earlier one left; the curve is the JSON file of --results.

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
        arms: rewarded, and shuffled, its control.
        results: JSON file of the curves.
        start_steps: Where a supervised run of 300 steps is stopped, a multiple of 10: it should be
            right in 0.6 to 0.7 of its answers.
        steps: Steps of each arm.
        every: Steps between two looks at the held-out rooms.
        rooms: Rooms to train on.
        held_rooms: Rooms of another seed, which are asked.
        questions: Held-out questions.
        minutes: Stop in an orderly way after this time.
        set: `section.key=value`, further settings of the training recipe.
        json: Print one JSON object instead of text.
    """

    folder: Annotated[Path, tyro.conf.Positional]
    arms: tuple[Literal["rewarded", "shuffled"], ...] = ("rewarded", "shuffled")
    results: Path = RESULTS
    start_steps: int = 270
    steps: int = 150
    every: int = 10
    rooms: int = 90
    held_rooms: int = 50
    questions: int = 500
    minutes: float | None = None
    set: tuple[str, ...] = ()
    json: bool = False


def main(argv: list[str]) -> int:
    """Run the command; returns its exit code: 1 where a finished arm is not as it should be."""
    return run_verb("rewards", Options, __doc__, argv, _work)


def _work(options: Options) -> int:
    from benchmarks.rewards.run import Size, run, verdicts

    size = Size(options.start_steps, options.steps, options.every, options.rooms,
                options.held_rooms, options.questions, options.set)  # fmt: skip

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
