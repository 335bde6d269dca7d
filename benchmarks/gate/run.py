# SPDX-License-Identifier: Apache-2.0
"""Gates of a GPU: does a model that looks beat everything that does not look?

What is learned on two cores is shown by `benchmarks.proof`.

A gate renders rooms, makes records, and for each seed trains a model that sees the images and one
that sees grey ones, for the same steps; then it asks both about rooms that neither was trained on.
Every step is a `spatialcore` command that continues what an earlier call left, so the same command
may be given again until it is through. `python -m benchmarks.gate` is the way in.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from spatialcore.errors import SpatialCoreError, UsageError
from spatialcore.files import write_text

TIMES = "times.json"


class GateError(SpatialCoreError):
    """A step of a gate failed."""


class MachineError(UsageError):
    """This machine cannot run the gate."""


@dataclass(frozen=True, slots=True)
class Gate:
    """What a gate trains on and asks.

    Attributes:
        name: Name of its training recipe and, with `-train` and `-val`, of its questions.
        sample: Options of `sample`.
        rooms: Rooms to render; the layout's own split holds some of them out.
        stride: Frames whose number it divides are used.
        tasks: What is asked.
        needed: How many of the tasks have to beat their baselines.
        batch: Prompts answered together.
        answer_tokens: Longest answer.
        gpu: Whether it needs a GPU.
    """

    name: str
    sample: tuple[str, ...]
    rooms: int
    stride: int
    tasks: tuple[str, ...]
    needed: int
    batch: int
    answer_tokens: int
    gpu: bool


GATES = {
    "small": Gate(
        name="small",
        sample=("--clips", "0", "--frames", "40", "--layouts", "scannet"),
        rooms=500,
        stride=2,
        tasks=(
            "camera_movement.x_direction",
            "camera_movement.z_direction",
            "camera_movement.yaw_direction",
            "depth_perception.comparison.marked",
        ),
        needed=4,
        batch=256,
        answer_tokens=64,
        gpu=True,
    ),
}


@dataclass(frozen=True, slots=True)
class GateRequest:
    """One call of a gate.

    Attributes:
        gate: The gate.
        folder: Holds everything it makes.
        seeds: A model that looks and a blind one are trained for each.
        rooms: Rooms instead of the gate's own number.
        workers: Processes that make data.
        minutes: Stop in an orderly way after this time.
        settings: Settings of the training recipe, as `train --set` takes them.
        threads: Threads of a training process; None = all.
    """

    gate: Gate
    folder: Path
    seeds: tuple[int, ...] = (0,)
    rooms: int | None = None
    workers: int = 2
    minutes: float | None = None
    settings: tuple[str, ...] = ()
    threads: int | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One `spatialcore` command, and the file that it leaves when it is through."""

    name: str
    arguments: tuple[str, ...]
    made: Path
    trains: bool = False


def data_steps(request: GateRequest) -> Iterator[Step]:
    """Rooms, their index, and records of both splits."""
    gate, folder = request.gate, request.folder
    rooms, index, workers = folder / "rooms", folder / "index", str(request.workers)
    count = str(request.rooms or gate.rooms)
    yield Step(
        "rooms",
        ("sample", str(rooms), *gate.sample, "--rooms", count, "--workers", workers),
        rooms / "sample.json",
    )
    yield Step(
        "index",
        ("index", str(rooms / "scannet"), "--stride", str(gate.stride),
         "--recipe", str(questions(gate, "train")), "-o", str(index), "--workers", workers),
        index / "index.json",
    )  # fmt: skip
    for split in ("train", "val"):
        yield Step(
            f"{split} records",
            ("generate", str(index), "--recipe", str(questions(gate, split)), "--split", split,
             "--tasks", ",".join(gate.tasks), "-o", str(folder / split), "--workers", workers),
            folder / split / "summary.json",
        )  # fmt: skip


def seed_steps(request: GateRequest, seed: int) -> Iterator[Step]:
    """A model that looks, one that does not, and the answers of both."""
    gate, folder = request.gate, request.folder
    place = folder / f"seed-{seed}"
    settings = (*request.settings, f"schedule.seed={seed}")
    cache = str(folder / "cache")
    common = ("--records", str(folder / "train"), "--eval-records", str(folder / "val"),
              "--config", gate.name, "--set", *settings, "--cache", cache)  # fmt: skip
    for name, options in (("run", ()), ("blind", ("--blind",))):
        out = place / name
        yield Step(
            f"seed {seed}, {name}",
            ("train", *common, "--out", str(out), *options),
            out / "model" / "config.json",
            trains=True,
        )
    yield Step(
        f"seed {seed}, answers",
        ("eval", "--model", str(place / "run/model"), "--records", str(folder / "val"),
         "--blind-eval", "--blind-trained", str(place / "blind/model"),
         "--batch", str(gate.batch), "--max-new-tokens", str(gate.answer_tokens),
         "--cache", cache, "-o", str(place / "eval")),
        place / "eval" / "scores.json",
    )  # fmt: skip


def run_steps(request: GateRequest, steps: Sequence[Step], sink: Callable[[str], None]) -> bool:
    """Do what is not done yet, and note how long each step took in `times.json`.

    Args:
        request: What is run, and until when.
        steps: What has to be done, in order.
        sink: Told the name of each step that begins.

    Returns:
        Whether everything is through; False when the time was over before.

    Raises:
        GateError: A command failed.
    """
    request.folder.mkdir(parents=True, exist_ok=True)
    deadline = None if request.minutes is None else time.monotonic() + 60 * request.minutes
    for step in steps:
        if _is_made(step.made):
            continue
        left = None if deadline is None else (deadline - time.monotonic()) / 60
        if left is not None and left <= 0:
            return False
        arguments = list(step.arguments)
        environment = dict(os.environ)
        if step.trains and left is not None:
            arguments += ["--max-minutes", f"{left:.2f}"]
        if step.trains and request.threads is not None:
            environment["OMP_NUM_THREADS"] = str(request.threads)
        began = time.monotonic()
        sink(step.name)
        code = run_command(arguments, environment)
        _note_time(request.folder, step.name, time.monotonic() - began)
        if code:
            raise GateError(f"{step.name}: {' '.join(step.arguments)} ended with {code}")
        if not _is_made(step.made):
            return False
    return True


def run_command(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a verb of `spatialcore` in a process of its own; returns its exit code."""
    command = [sys.executable, "-m", "spatialcore", *arguments]
    return subprocess.run(command, env=dict(environment), check=False).returncode


def check_machine(gate: Gate) -> None:
    """Raise MachineError where the gate needs a GPU and there is none."""
    import torch

    if gate.gpu and not torch.cuda.is_available():
        raise MachineError(
            f"the gate {gate.name!r} trains on a GPU, and torch finds none here; "
            "--data makes its records on any machine"
        )


def questions(gate: Gate, split: str) -> Path:
    """The engines' recipe that makes the records of a split."""
    folder = resources.files("benchmarks.gate") / "questions"
    return Path(str(folder / f"{gate.name}-{split}.toml"))


def _is_made(path: Path) -> bool:
    """Whether a step's file is there; an index is written first and completed last."""
    if not path.is_file():
        return False
    return path.name != "index.json" or bool(
        json.loads(path.read_text(encoding="utf-8"))["complete"]
    )


def _note_time(folder: Path, name: str, seconds: float) -> None:
    """Add to the step's time: a step may take several calls."""
    path = folder / TIMES
    times = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    times[name] = round(times.get(name, 0.0) + seconds, 1)
    write_text(path, json.dumps(times, indent=1) + "\n")
