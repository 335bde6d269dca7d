# SPDX-License-Identifier: Apache-2.0
"""Rooms of three seeds and their records: to train on, to choose by, and to ask once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spatialcore.errors import SpatialCoreError

HERE = Path(__file__).parent
SEEDS = {"train": 0, "val": 4711, "held": 90210}
Sink = Callable[[str], None]


class RewardsError(SpatialCoreError):
    """A step failed, or the results are those of another measurement."""


@dataclass(frozen=True)
class Size:
    """How much is made and trained; the fields are those of the command's options."""

    starts: tuple[int, ...]
    rates: tuple[float, ...]
    probe_steps: int
    steps: int
    every: int
    rooms: int
    val_rooms: int
    held_rooms: int
    questions: int
    settings: tuple[str, ...] = ()


def make_data(folder: Path, size: Size, sink: Sink) -> None:
    """Rooms and records that are not there yet.

    Raises:
        RewardsError: A command failed.
    """
    counts = {"train": size.rooms, "val": size.val_rooms, "held": size.held_rooms}
    for name, seed in SEEDS.items():
        if (folder / name / "summary.json").is_file():
            continue
        sink(f"rooms and records: {name}")
        rooms = folder / f"{name}-rooms"
        if not (rooms / "sample.json").is_file():
            _verb("sample", str(rooms), "--preset", "tiny", "--rooms", str(counts[name]),
                  "--frames", "8", "--seed", str(seed), "--layouts", "scannet",
                  "--workers", "1")  # fmt: skip
        _verb("generate", str(rooms / "scannet"), "-o", str(folder / name), "--stride", "1",
              "--workers", "1", "--recipe", str(HERE / f"questions/{name}.toml"))  # fmt: skip


def _verb(*arguments: str) -> None:
    command = [sys.executable, "-m", "spatialcore", *arguments]
    if subprocess.run(command, check=False).returncode:
        raise RewardsError(f"{' '.join(arguments)} failed")


def ask(folder: Path, name: str, model: Path, questions: int) -> dict[str, Any]:
    """Rewards of one greedy answer to each question about the rooms `name`.

    Returns:
        `reward`, one for each question; by task `earned`, their mean, and `right`, the mean score.
    """
    import torch

    from spatial_engine.scoring.multispa import score
    from spatial_engine.scoring.reward import reward_of, solution_of
    from spatialmllm.checkpoints import load
    from spatialmllm.data.batches import SampleBuilder, collate
    from spatialmllm.data.cache import ImageCache
    from spatialmllm.data.records import RecordFolder, RecordSet
    from spatialmllm.data.tokens import ChatTokenizer
    from spatialmllm.decoding import Sampling, generate

    records = RecordSet.open([RecordFolder(folder / name)]).spread(questions)
    tokenizer, loaded = ChatTokenizer.from_file(model), load(model, dtype=torch.float32)
    builder = SampleBuilder(
        loaded.settings, tokenizer, target="span", cache=ImageCache(folder / "cache")
    )
    rewards: list[float] = []
    earned: dict[str, list[float]] = {}
    right: dict[str, list[float]] = {}
    every = list(records)
    for start in range(0, len(every), 64):
        asked = every[start : start + 64]
        samples = [builder.sample([one], records, answers=False) for one in asked]
        said = generate(loaded, collate(samples, loaded.settings, pad="left"), Sampling(6))
        for record, ids in zip(asked, said, strict=True):
            text = tokenizer.decode(ids)
            rewards.append(round(reward_of(solution_of(record), text), 4))
            earned.setdefault(record.task, []).append(rewards[-1])
            right.setdefault(record.task, []).append(score(record, text).value)
    return {"reward": rewards, "earned": means(earned), "right": means(right)}


def means(by_task: dict[str, list[float]]) -> dict[str, float]:
    """The mean of each task."""
    return {task: round(mean(values), 4) for task, values in sorted(by_task.items())}


def mean(values: Sequence[float]) -> float:
    """The mean of some numbers."""
    return sum(values) / len(values)
