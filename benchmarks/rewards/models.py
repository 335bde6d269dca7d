# SPDX-License-Identifier: Apache-2.0
"""The models: supervised ones that are stopped early, and what goes on from one of them."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.rewards.data import HERE, RewardsError, Sink, Size

RECIPE = HERE.parent / "proof/recipe.toml"
WHOLE_STEPS = 300  # of the supervised run that is stopped early
RATE = 1e-3  # its learning rate
SHARE = 0.3  # of the training records, which rewarded steps ask
LOGGED = ("reward", "reward_std", "kl", "frac_reward_zero_std", "entropy", "loss")


def start_of(folder: Path, start: int) -> Path:
    """The model of a supervised run after so many steps."""
    return folder / f"start/checkpoint-{start}/model"


def make_starts(folder: Path, size: Size, deadline: float | None, sink: Sink) -> bool:
    """Supervised steps up to the last start; False where the time is over before."""
    from spatialmllm.training.callbacks import StopRequest, TrainEvent
    from spatialmllm.training.sft import train

    last = start_of(folder, max(size.starts))
    if not _is_model(last):
        sink(f"supervised steps, up to {max(size.starts)} of {WHOLE_STEPS}")
        stop = StopRequest(minutes_left(deadline))

        def listen(event: TrainEvent) -> None:
            if event.kind == "step" and event.step >= max(size.starts):
                stop.ask("half trained")

        settings = [f"schedule.max_steps={WHOLE_STEPS}", "schedule.save_every=50", *_rates(RATE)]
        train(_prepared(folder, folder / "start", "sft", settings, size), stop, listen)
    if missing := [one for one in size.starts if not _is_model(start_of(folder, one))]:
        if _is_model(last):
            raise RewardsError(f"starts are multiples of 50, not {missing}")
        return False
    return True


def trained(
    folder: Path, arm: str, start: int, rate: float, steps: tuple[int, int], size: Size,
    deadline: float | None, sink: Sink,
) -> Path | None:  # fmt: skip
    """The model of an arm after `steps[0]` of `steps[1]` steps; None: the time was over before."""
    from spatial_engine.scoring.reward import reward
    from spatialmllm.training.callbacks import StopRequest, TrainEvent
    from spatialmllm.training.grpo import train_grpo

    out, (step, whole) = folder / arm, steps
    model = out / f"checkpoint-{step}/model"
    if _is_model(model):
        return model
    sink(f"{arm}, up to step {step}")
    stop = StopRequest(minutes_left(deadline))

    def listen(event: TrainEvent) -> None:
        if event.kind == "step" and event.step >= step:
            stop.ask("the model is asked here")

    settings = [
        f"schedule.max_steps={whole}", "schedule.save_every=10", "schedule.micro_batch=128",
        "schedule.global_batch=128", "schedule.shape=constant", "optimiser.weight_decay=0.0",
        *_rates(rate),
    ]  # fmt: skip
    init = (start_of(folder, start),)
    train_grpo(
        _prepared(folder, out, "grpo", settings, size, init), stop, listen,
        rewards=_shuffled(step) if arm == "shuffled" else reward,
    )  # fmt: skip
    return model if _is_model(model) else None


def cold_started(
    folder: Path, start: int, rate: float, size: Size, deadline: float | None, sink: Sink
) -> Path | None:
    """The model of a cold start from the same model, over as many prompts as the arms have."""
    from spatialmllm.training.callbacks import StopRequest
    from spatialmllm.training.cold_start import cold_start

    out = folder / "cold-start"
    if not _is_model(out / "model"):
        sink("cold-start: answers are sampled, kept by their rewards, and trained on")
        steps = max(1, size.steps // 3)
        settings = [f"schedule.max_steps={steps}", "reward.prompts=64", *_rates(rate)]
        prepared = _prepared(folder, out, "cold-start", settings, size, (start_of(folder, start),))
        cold_start(prepared, StopRequest(minutes_left(deadline)), lambda _: None)
    return out / "model" if _is_model(out / "model") else None


def _prepared(
    folder: Path, out: Path, stage: Any, settings: Sequence[str], size: Size,
    init: tuple[Path, ...] = (),
) -> Any:  # fmt: skip
    from spatialmllm.training.recipe import load_recipe
    from spatialmllm.training.sft import TrainRequest, prepare

    given = ["schedule.keep_last=100", "reward.answer_tokens=6", *settings, *size.settings]
    share = {"sft": 1.0, "grpo": SHARE, "cold-start": SHARE * min(1.0, size.steps / 150)}[stage]
    records = f"{folder / 'train'}:{share:.4f}"
    return prepare(
        TrainRequest((records,), load_recipe(str(RECIPE), given), out, init=init, stage=stage,
                     cache=folder / "cache")
    )  # fmt: skip


def _rates(rate: float) -> list[str]:
    return [f"optimiser.{name}={rate}" for name in ("lr", "lr_projector", "lr_encoders")]


def _shuffled(seed: int) -> Callable[[Sequence[str], Sequence[str]], list[float]]:
    """The rewards of a step, dealt out anew among all its answers."""
    from spatial_engine.scoring.reward import reward

    calls = random.Random(seed)

    def dealt(answers: Sequence[str], solution: Sequence[str]) -> list[float]:
        earned = reward(answers, solution)
        calls.shuffle(earned)
        return earned

    return dealt


def logged(out: Path, step: int) -> dict[str, list[float]]:
    """What an arm logged of each step up to `step`."""
    path = out / "metrics.jsonl"
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    made = [line for line in lines if line["step"] <= step]
    return {
        name: [round(float(line[name]), 4) for line in made]
        for name in LOGGED if all(name in line for line in made)
    }  # fmt: skip


def minutes_left(deadline: float | None) -> float | None:
    """Minutes up to a time of `time.monotonic`, at least a little."""
    return None if deadline is None else max(0.01, (deadline - time.monotonic()) / 60)


def _is_model(folder: Path) -> bool:
    return (folder / "config.json").is_file()
