# SPDX-License-Identifier: Apache-2.0
"""The steps of the measurement, each of which is left out where its result lies already."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spatialcore.errors import SpatialCoreError
from spatialcore.files import write_json

HERE = Path(__file__).parent
RECIPE = HERE.parent / "proof/recipe.toml"
HELD_SEED = 90210
WHOLE_STEPS = 300  # of the supervised run that is stopped early
START, GRPO = 1e-3, 3e-4  # learning rates before and of the rewarded steps
Sink = Callable[[str], None]


class RewardsError(SpatialCoreError):
    """A step failed."""


@dataclass(frozen=True)
class Size:
    """How much is made and trained; the fields are those of the command's options."""

    start_steps: int
    steps: int
    every: int
    rooms: int
    held_rooms: int
    questions: int
    settings: tuple[str, ...] = ()


def run(
    folder: Path, results: Path, arms: Sequence[str], size: Size, minutes: float | None, sink: Sink
) -> bool:
    """Do what is not done yet; returns whether everything is through.

    Raises:
        RewardsError: A step failed, or the results are those of another size.
    """
    deadline = None if minutes is None else time.monotonic() + 60 * minutes
    folder.mkdir(parents=True, exist_ok=True)
    _data(folder, size, sink)
    if not _start(folder, size, deadline, sink):
        return False
    found = _results(results, size)
    found["start"] = found.get("start") or _greedy(folder, start_of(folder, size), size)
    write_json(results, found)
    sink(f"the model to start from earns {_mean(found['start']):.3f}")
    done = [_arm(folder, results, arm, size, deadline, sink) for arm in arms]
    return all(done)


def _results(path: Path, size: Size) -> dict[str, Any]:
    made_with = json.loads(json.dumps(asdict(size)))
    if not path.is_file():
        return {"made_with": made_with, "arms": {}}
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if found["made_with"] != made_with:
        raise RewardsError(f"{path} was made with {found['made_with']}; name another --results")
    return found


def _data(folder: Path, size: Size, sink: Sink) -> None:
    """Rooms of two seeds and their records."""
    sets = {"train": (size.rooms, 0), "held": (size.held_rooms, HELD_SEED)}
    for name, (count, seed) in sets.items():
        if (folder / name / "summary.json").is_file():
            continue
        sink(f"rooms and records: {name}")
        rooms = folder / f"{name}-rooms"
        if not (rooms / "sample.json").is_file():
            _verb("sample", str(rooms), "--preset", "tiny", "--rooms", str(count), "--frames", "8",
                  "--seed", str(seed), "--layouts", "scannet", "--workers", "1")  # fmt: skip
        _verb("generate", str(rooms / "scannet"), "-o", str(folder / name), "--stride", "1",
              "--workers", "1", "--recipe", str(HERE / f"questions/{name}.toml"))  # fmt: skip


def _verb(*arguments: str) -> None:
    command = [sys.executable, "-m", "spatialcore", *arguments]
    if subprocess.run(command, check=False).returncode:
        raise RewardsError(f"{' '.join(arguments)} failed")


def _prepared(folder: Path, out: Path, size: Size, steps: int, stage: Any, lr: float) -> Any:
    from spatialmllm.training.recipe import load_recipe
    from spatialmllm.training.sft import TrainRequest, prepare

    settings = [
        f"schedule.max_steps={steps}", "schedule.save_every=10", "schedule.micro_batch=16",
        *(f"optimiser.{name}={lr}" for name in ("lr", "lr_projector", "lr_encoders")),
        "reward.answer_tokens=6", *size.settings,
    ]  # fmt: skip
    if stage == "grpo":
        settings += ["schedule.shape=constant", "optimiser.weight_decay=0.0"]
    init = () if stage == "sft" else (start_of(folder, size),)
    recipe = load_recipe(str(RECIPE), settings)
    return prepare(
        TrainRequest((str(folder / "train"),), recipe, out, init=init, stage=stage,
                     cache=folder / "cache")
    )  # fmt: skip


def start_of(folder: Path, size: Size) -> Path:
    """The model that every arm goes on from."""
    return folder / f"start/checkpoint-{size.start_steps}/model"


def _start(folder: Path, size: Size, deadline: float | None, sink: Sink) -> bool:
    """Supervised steps, stopped early on the way to many."""
    from spatialmllm.training.callbacks import StopRequest, TrainEvent
    from spatialmllm.training.sft import train

    model = start_of(folder, size)
    if (model / "config.json").is_file():
        return True
    sink("supervised steps")
    stop = StopRequest(_left(deadline))

    def listen(event: TrainEvent) -> None:
        if event.kind == "step" and event.step >= size.start_steps:
            stop.ask("half trained")

    train(_prepared(folder, folder / "start", size, WHOLE_STEPS, "sft", START), stop, listen)
    return (model / "config.json").is_file()


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.01, (deadline - time.monotonic()) / 60)


def _arm(
    folder: Path, results: Path, arm: str, size: Size, deadline: float | None, sink: Sink
) -> bool:
    """One arm, asked after every so many steps."""
    found = _results(results, size)
    curve: dict[str, Any] = found["arms"].setdefault(arm, {})
    for step in range(size.every, size.steps + 1, size.every):
        if str(step) in curve:
            continue
        if deadline is not None and time.monotonic() >= deadline:
            return False
        model = _trained(folder, arm, size, step, deadline, sink)
        if model is None:
            return False
        curve[str(step)] = _greedy(folder, model, size) | {"logged": _logged(folder / arm, step)}
        write_json(results, found)
        sink(f"{arm}, step {step}: held-out questions earn {_mean(curve[str(step)]):.3f}")
    return True


def _trained(
    folder: Path, arm: str, size: Size, step: int, deadline: float | None, sink: Sink
) -> Path | None:
    """The model of an arm after some steps; None where the time is over before."""
    from spatial_engine.scoring.reward import reward
    from spatialmllm.training.callbacks import StopRequest, TrainEvent
    from spatialmllm.training.grpo import train_grpo

    out = folder / arm
    model = out / f"checkpoint-{step}/model"
    if (model / "config.json").is_file():
        return model
    sink(f"{arm}, up to step {step}")
    stop = StopRequest(_left(deadline))

    def listen(event: TrainEvent) -> None:
        if event.kind == "step" and event.step >= step:
            stop.ask("the model is asked here")

    train_grpo(
        _prepared(folder, out, size, size.steps, "grpo", GRPO), stop, listen,
        rewards=reward if arm == "rewarded" else _shuffled(step),
    )  # fmt: skip
    return model if (model / "config.json").is_file() else None


def _shuffled(seed: int) -> Callable[[Sequence[str], Sequence[str]], list[float]]:
    """The rewards of a step, dealt out anew among all its answers."""
    from spatial_engine.scoring.reward import reward

    calls = random.Random(seed)

    def dealt(answers: Sequence[str], solution: Sequence[str]) -> list[float]:
        earned = reward(answers, solution)
        calls.shuffle(earned)
        return earned

    return dealt


def _greedy(folder: Path, model: Path, size: Size) -> dict[str, Any]:
    """Rewards of one greedy answer to each held-out question, and how often it is right."""
    import torch

    from spatial_engine.scoring.multispa import score
    from spatial_engine.scoring.reward import reward_of, solution_of
    from spatialmllm.checkpoints import load
    from spatialmllm.data.batches import SampleBuilder, collate
    from spatialmllm.data.cache import ImageCache
    from spatialmllm.data.records import RecordFolder, RecordSet
    from spatialmllm.data.tokens import ChatTokenizer
    from spatialmllm.decoding import Sampling, generate

    records = RecordSet.open([RecordFolder(folder / "held")]).spread(size.questions)
    tokenizer, loaded = ChatTokenizer.from_file(model), load(model, dtype=torch.float32)
    builder = SampleBuilder(
        loaded.settings, tokenizer, target="span", cache=ImageCache(folder / "cache")
    )
    earned, right = [], {}
    every = list(records)
    for start in range(0, len(every), 64):
        asked = every[start : start + 64]
        samples = [builder.sample([one], records, answers=False) for one in asked]
        said = generate(loaded, collate(samples, loaded.settings, pad="left"), Sampling(6))
        for record, ids in zip(asked, said, strict=True):
            text = tokenizer.decode(ids)
            earned.append(round(reward_of(solution_of(record), text), 4))
            right.setdefault(record.task, []).append(score(record, text).value)
    return {
        "reward": earned,
        "right": {task: round(sum(v) / len(v), 4) for task, v in sorted(right.items())},
    }


def _logged(out: Path, step: int) -> dict[str, float]:
    """Means of the ten steps before a look."""
    path = out / "metrics.jsonl"
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    names = ("reward", "kl", "frac_reward_zero_std", "entropy", "loss")
    last = [line for line in lines if step - 10 < line["step"] <= step]
    return {
        name: round(sum(line[name] for line in last) / len(last), 4)
        for name in names if all(name in line for line in last)
    }  # fmt: skip


def _mean(one: dict[str, Any]) -> float:
    return sum(one["reward"]) / len(one["reward"])


def verdicts(found: dict[str, Any]) -> list[tuple[str, bool]]:
    """A sentence for each arm's last look, and whether it is as it should be."""
    from spatial_engine.scoring.report import paired_interval

    judged = []
    for arm, curve in found.get("arms", {}).items():
        if not curve:
            continue
        step = max(curve, key=int)
        after, before = curve[step]["reward"], found["start"]["reward"]
        low, high = paired_interval(after, before)
        gain = sum(after) / len(after) - sum(before) / len(before)
        told = f"{arm}, {step} steps: {gain:+.3f} ({low:+.3f} to {high:+.3f}) of a greedy reward"
        judged.append((told, low <= 0 if arm == "shuffled" else low > 0))
    return judged
