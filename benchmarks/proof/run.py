# SPDX-License-Identifier: Apache-2.0
"""The steps of the proof, each of which is left out where its result lies already.

Rooms, index and records once; stage M for each seed; then cell after cell: train, ask, count. A
cell that is through leaves one JSON file, which is committed: a later run continues with the next.
Given minutes, the run stops in an orderly way and the same command continues it.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.proof.cells import TASKS, Cell, ProofSize, shipped
from benchmarks.proof.tally import tally
from spatialcore.errors import SpatialCoreError
from spatialcore.files import write_json

if TYPE_CHECKING:
    from spatialmllm.data.records import RecordSet

HELD_SEED = 90210
"""Seed of the rooms that nothing was chosen on."""
SETS = ("held", "captured")
"""What a finished model is asked, each once; `val` is what settings may be chosen on."""
_SPLITS = {"train": "train", "val": "val", "held": "train", "captured": "val"}
_BATCH, _ANSWER_TOKENS = 64, 6
_VERSION = 1


class ProofError(SpatialCoreError):
    """A step failed."""


@dataclass(frozen=True, slots=True)
class ProofRequest:
    """One call.

    Attributes:
        folder: Holds everything that is made.
        results: Holds a JSON file for each finished cell.
        size: How much is made and trained.
        todo: The cells, in order.
        captured: Folder of a captured scan, asked about beside; None = not.
        captured_up: Up in its world.
        minutes: Stop in an orderly way after this time.
        workers: Processes that make data.
        look: Ask about `val` instead, and leave no results: for choosing settings.
    """

    folder: Path
    results: Path
    size: ProofSize
    todo: Sequence[Cell]
    captured: Path | None = None
    captured_up: str = "+y"
    minutes: float | None = None
    workers: int = 1
    look: bool = False


@dataclass(frozen=True, slots=True)
class Command:
    """One `spatialcore` command, and the file that it leaves when it is through."""

    name: str
    arguments: tuple[str, ...]
    made: Path
    trains: bool = False


def run(request: ProofRequest, sink: Callable[[str], None]) -> bool:
    """Do what is not done yet; returns whether everything is through.

    Raises:
        ProofError: A command failed.
    """
    request.folder.mkdir(parents=True, exist_ok=True)
    deadline = None
    if request.minutes is not None:
        deadline = time.monotonic() + 60 * request.minutes
    for command in data_commands(request):
        if not _run(command, deadline, sink):
            return False
    return all(_cell(request, cell, deadline, sink) for cell in request.todo)


def data_commands(request: ProofRequest) -> Iterator[Command]:
    """Rooms, their index and records: to train on, to look at, and to ask once."""
    size, folder, workers = request.size, request.folder, ("--workers", str(request.workers))
    counts = {"rooms": (size.rooms, 0), "held-rooms": (size.held_rooms, HELD_SEED)}
    for name, (count, seed) in counts.items():
        rooms, index = folder / name, folder / f"{name}-index"
        yield Command(
            name,
            ("sample", str(rooms), "--preset", "tiny", "--rooms", str(count),
             "--frames", str(size.frames), "--seed", str(seed), *workers),
            rooms / "sample.json",
        )  # fmt: skip
        yield Command(
            f"index of {name}",
            ("index", str(rooms / "scannet"), "--stride", "1",
             "--recipe", str(shipped("questions/train.toml")), "-o", str(index), *workers),
            index / "index.json",
        )  # fmt: skip
    made = [("train", "rooms", "train"), ("val", "rooms", "val"), ("held", "held-rooms", "train")]
    for name, rooms_, split in made:
        yield _records(request, name, folder / f"{rooms_}-index", ("--split", split), TASKS)
    if request.captured is not None:
        index = folder / "captured-index"
        yield Command(
            "index of captured",
            ("index", str(request.captured), "--recipe", str(shipped("questions/train.toml")),
             "--world-up", request.captured_up, "-o", str(index), *workers),
            index / "index.json",
        )  # fmt: skip
        # Its objects have no names.
        named = tuple(task for task in TASKS if task.startswith("camera_movement."))
        yield _records(request, "captured", index, ("--split", "val", "--val-share", "1"), named)


def _records(
    request: ProofRequest, name: str, index: Path, split: Sequence[str], tasks: Sequence[str]
) -> Command:
    recipe = shipped(f"questions/{'val' if name == 'captured' else name}.toml")
    out = request.folder / name
    return Command(
        f"{name} records",
        ("generate", str(index), "--recipe", str(recipe), *split, "--tasks", ",".join(tasks),
         "-o", str(out), "--workers", str(request.workers)),
        out / "summary.json",
    )  # fmt: skip


def _cell(
    request: ProofRequest, cell: Cell, deadline: float | None, sink: Callable[[str], None]
) -> bool:
    """One cell, from stage M to its file of results; False when the time was over before."""
    path = results_path(request, cell)
    if path.is_file() and not request.look:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["made_with"] != made_with(request, cell):
            raise ProofError(
                f"{path} was made with other settings or records; remove it to make it anew"
            )
        return True
    if cell.starts_from_matching and not _start(request, cell, deadline, sink):
        return False
    for command in cell_commands(request, cell):
        if not _run(command, deadline, sink):
            return False
    if not request.look:
        write_json(path, result(request, cell))
        sink(f"{path} is written")
    return True


def _start(
    request: ProofRequest, cell: Cell, deadline: float | None, sink: Callable[[str], None]
) -> bool:
    """Stage M of the cell's seed, and the model that stage S starts from."""
    start = start_folder(request, cell)
    if (start / "config.json").is_file():
        return True
    from benchmarks.proof.matching import pretrain
    from benchmarks.proof.pairs import read_rooms
    from benchmarks.proof.start import write_start

    stage = replace(request.size.stage, seed=cell.seed)
    source, place = request.folder / "rooms/scannet", matching_folder(request, cell)
    sink(f"seed {cell.seed}, stage M")
    rooms, held_out = (read_rooms(source, split) for split in ("train", "val"))
    if not pretrain(stage, rooms, held_out, place, deadline=deadline, sink=sink):
        return False
    settings = Cell(cell.seed, "matching").settings(request.size)
    write_start(start, request.folder / "train", shipped("recipe.toml"), settings, place)
    return True


def cell_commands(request: ProofRequest, cell: Cell) -> Iterator[Command]:
    """Train a cell's model, then ask it."""
    folder, place = request.folder, request.folder / cell.name
    cache = ("--cache", str(folder / "cache"))
    start = ("--init", str(start_folder(request, cell))) if cell.starts_from_matching else ()
    yield Command(
        f"{cell.name}, training",
        ("train", "--records", str(folder / "train"), "--eval-records", str(folder / "val"),
         "--config", str(shipped("recipe.toml")), "--out", str(place / "run"), *start, *cache,
         "--set", *cell.settings(request.size), *(("--blind",) if cell.blind else ())),
        place / "run/model/config.json",
        trains=True,
    )  # fmt: skip
    for name in asked_sets(request):
        split = _SPLITS[name]
        yield Command(
            f"{cell.name}, asked about {name}",
            ("eval", "--model", str(place / "run/model"), "--records", str(folder / name),
             "--split", split, "--training", split, "--batch", str(_BATCH),
             "--max-new-tokens", str(_ANSWER_TOKENS), *cache, "-o", str(place / name),
             *(("--blind",) if cell.blind else ())),
            place / name / "scores.json",
        )  # fmt: skip


def asked_sets(request: ProofRequest) -> tuple[str, ...]:
    """Which records a model is asked."""
    if request.look:
        return ("val",)
    return SETS if request.captured is not None else SETS[:1]


def start_folder(request: ProofRequest, cell: Cell) -> Path:
    """The model folder that a seed's stage S starts from."""
    return request.folder / f"start-{cell.seed}"


def matching_folder(request: ProofRequest, cell: Cell) -> Path:
    """What stage M of a seed leaves."""
    return request.folder / f"matching-{cell.seed}"


def results_path(request: ProofRequest, cell: Cell) -> Path:
    """The file of a finished cell."""
    return request.results / f"{cell.name}.json"


def made_with(request: ProofRequest, cell: Cell) -> dict[str, Any]:
    """What makes a cell's figures what they are: settings, and the identity of the records.

    Rooms and records are functions of their settings; the hash of the records' ids says whether
    the engines still choose the same questions.
    """
    size = asdict(request.size)
    size["stage"].pop("seed")
    names = ("train", SETS[0])
    return {
        "version": _VERSION,
        "settings": list(cell.settings(request.size)),
        "size": json.loads(json.dumps(size)),
        "recipe": _digest(shipped("recipe.toml")),
        "records": {name: _opened(request, name).digest() for name in names},
    }


def result(request: ProofRequest, cell: Cell) -> dict[str, Any]:
    """The figures of a finished cell."""
    from spatialmllm.evaluation.run import read_responses

    place = request.folder / cell.name
    text = (place / "run/metrics.jsonl").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    last = lines[-max(1, len(lines) // 50) :]
    sets = {}
    for name in asked_sets(request):
        sets[name] = tally(_opened(request, name), read_responses(place / name))
    stage_m = None
    if cell.starts_from_matching:
        done = matching_folder(request, cell) / "matching.json"
        stage_m = json.loads(done.read_text(encoding="utf-8"))
    return {
        "seed": cell.seed,
        "ablation": cell.ablation,
        "steps": len(lines),
        "epochs": round(float(lines[-1]["epoch"]), 2),
        "loss": round(sum(line["loss"] for line in last) / len(last), 4),
        "cpu_s": round(sum(line["cpu_s"] for line in lines)),
        "stage_m": stage_m,
        "sets": sets,
        "made_with": made_with(request, cell),
    }


def _opened(request: ProofRequest, name: str) -> RecordSet:
    from spatialmllm.data.records import RecordFolder, RecordSet

    return RecordSet.open([RecordFolder(request.folder / name)], split=_SPLITS[name])


def _run(command: Command, deadline: float | None, sink: Callable[[str], None]) -> bool:
    if _is_made(command.made):
        return True
    left = None if deadline is None else (deadline - time.monotonic()) / 60
    if left is not None and left <= 0:
        return False
    arguments = list(command.arguments)
    if command.trains and left is not None:
        arguments += ["--max-minutes", f"{left:.2f}"]
    sink(command.name)
    code = run_command(arguments)
    if code:
        raise ProofError(f"{command.name}: {' '.join(arguments)} ended with {code}")
    return _is_made(command.made)


def run_command(arguments: Sequence[str]) -> int:
    """Run a verb of `spatialcore` in a process of its own; returns its exit code."""
    command = [sys.executable, "-m", "spatialcore", *arguments]
    return subprocess.run(command, env=dict(os.environ), check=False).returncode


def _is_made(path: Path) -> bool:
    """Whether a file is there; an index is written first and completed last."""
    if not path.is_file():
        return False
    if path.name != "index.json":
        return True
    return bool(json.loads(path.read_text(encoding="utf-8"))["complete"])


def _digest(path: Path) -> str:
    return hashlib.blake2b(path.read_bytes(), digest_size=8).hexdigest()
