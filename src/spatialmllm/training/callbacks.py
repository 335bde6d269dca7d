# SPDX-License-Identifier: Apache-2.0
"""What happens between steps: metrics as JSON lines, saving, stopping, events."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from spatialcore.files import write_text


@dataclass(frozen=True, slots=True)
class TrainEvent:
    """Progress of a run: kind is step, saved, validated, kept (cold start), stopping or bad."""

    kind: str
    step: int
    max_steps: int
    loss: float | None = None
    text: str = ""


# What the trainer says of a step beside its loss.
MEASURES = ("epoch", "tokens", "tokens_per_s", "seconds", "cpu_s", "data_wait_s", "bad_samples",
            "memory_gb")  # fmt: skip
# Beside it of a step of grpo; `frac_reward_zero_std` is the share of dead groups, whose answers are
# all rewarded alike.
REWARDS = ("reward", "reward_std", "frac_reward_zero_std", "kl", "entropy",
           "completions/mean_length", "completions/clipped_ratio")  # fmt: skip
EventSink = Callable[[TrainEvent], None]


class StopRequest:
    """Asks for a save and an orderly end after the step in progress."""

    def __init__(self, max_minutes: float | None = None) -> None:
        self.reason = ""
        self._deadline = None if max_minutes is None else time.monotonic() + 60 * max_minutes

    def ask(self, reason: str) -> None:
        """Stop for this reason, unless another one came first."""
        self.reason = self.reason or reason

    def due(self) -> bool:
        """Whether to stop now."""
        if self._deadline is not None and time.monotonic() >= self._deadline:
            self.ask("max-minutes is over")
        return bool(self.reason)


class StepCallback(TrainerCallback):
    """Saves every so many steps and at the end, and stops all processes together."""

    def __init__(self, stop: StopRequest, save_every: int, sink: EventSink) -> None:
        self._stop, self._save_every, self._sink = stop, save_every, sink

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:  # noqa: ARG002
        """Decide on saving and stopping; one process's wish to stop is everyone's."""
        due = _any_process(self._stop.due(), args.device)
        if due:
            self._stop.ask("another process stopped")
            self._sink(TrainEvent("stopping", state.global_step, state.max_steps,
                                  text=self._stop.reason))  # fmt: skip
            control.should_training_stop = True
        last = state.global_step >= state.max_steps
        control.should_save = due or last or state.global_step % self._save_every == 0
        return control


class MetricsCallback(TrainerCallback):
    """Appends one JSON line a step to `metrics.jsonl`; `loss_hex` is the loss to the last bit.

    Lines after the step that a run resumes from are dropped first, so the file never holds a step
    twice.
    """

    def __init__(self, path: Path, sink: EventSink) -> None:
        self._path, self._sink = path, sink

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Drop lines of steps that will be made again."""
        if not state.is_world_process_zero or not self._path.is_file():
            return
        lines = self._path.read_text(encoding="utf-8").splitlines()
        kept = [line for line in lines if json.loads(line)["step"] <= state.global_step]
        write_text(self._path, "".join(f"{line}\n" for line in kept))

    def on_log(
        self,
        args: Any,  # noqa: ARG002
        state: Any,
        control: Any,  # noqa: ARG002
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Write the step's line."""
        # The state is saved with every checkpoint; its history would grow with the run.
        state.log_history = []
        if not state.is_world_process_zero or logs is None or "loss" not in logs:
            return
        loss = float(logs["loss"])
        rates = {
            group.get("name", str(i)): group["lr"]
            for i, group in enumerate(kwargs["optimizer"].param_groups)
        }
        line = {
            "step": state.global_step,
            "loss": loss,
            "loss_hex": loss.hex(),
            "grad_norm": logs.get("grad_norm"),
            "lr": rates,
            **{key: logs[key] for key in (*MEASURES, *REWARDS) if key in logs},
        }
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        self._sink(TrainEvent("step", state.global_step, state.max_steps, loss=loss))


def _any_process(value: bool, device: torch.device) -> bool:
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return value
    flag = torch.tensor(int(value), device=device)
    torch.distributed.all_reduce(flag, op=torch.distributed.ReduceOp.MAX)
    return bool(flag.item())
