# SPDX-License-Identifier: Apache-2.0
"""What trainers of every stage have in common: optimiser, schedule, checkpoints of a run."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object
from torch import nn
from transformers import Trainer

from spatialcore.errors import SpatialCoreError
from spatialmllm.checkpoints.load import read_weights
from spatialmllm.checkpoints.save import save
from spatialmllm.training import checkpoint as checkpoints
from spatialmllm.training.callbacks import EventSink, TrainEvent
from spatialmllm.training.lora import read_trained, save_trained
from spatialmllm.training.parameters import parameter_groups
from spatialmllm.training.recipe import Recipe, ScheduleRecipe

STATE, OPTIMIZER, SCHEDULER = "trainer_state.json", "optimizer.pt", "scheduler.pt"


class TrainingFailed(SpatialCoreError):
    """Training cannot go on: a loss that is not finite, or too many bad samples."""


class StageTrainer(Trainer):
    """Comes before a library's own trainer among the bases of a class."""

    recipe: Recipe
    optimizer: Any
    lr_scheduler: Any
    _sink: EventSink
    _tokenizer_json: str

    def create_optimizer(self, model: nn.Module | None = None) -> Any:
        """AdamW over the recipe's parameter groups."""
        if self.optimizer is None:
            recipe = self.recipe.optimiser
            self.optimizer = torch.optim.AdamW(
                parameter_groups(self.model if model is None else model, recipe),
                betas=(recipe.beta1, recipe.beta2),
                eps=recipe.eps,
                fused=True,
            )
        return self.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """Warm-up, then the recipe's shape down to zero."""
        if self.lr_scheduler is None:
            shape = learning_rate_shape(self.recipe.schedule, num_training_steps)
            chosen = self.optimizer if optimizer is None else optimizer
            self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(chosen, shape)
            self._created_lr_scheduler = True
        return self.lr_scheduler

    def _save_checkpoint(self, model: nn.Module, trial: Any = None) -> None:
        """Write a checkpoint that is whole or absent, with the random state of every process."""
        run, step = Path(self.args.output_dir), self.state.global_step
        if self.is_deepspeed_enabled or self.is_fsdp_enabled:
            super()._save_checkpoint(model, trial)
            return
        states = gather_object([checkpoints.random_state()])
        if self.args.should_save:
            with checkpoints.written(run, step) as work:
                for index, state in enumerate(states):
                    torch.save(state, work / f"random-{index}.pt")
                inner = self.accelerator.unwrap_model(model)
                if inner.adapter is None:
                    save(inner, work / "model", tokenizer_json=self._tokenizer_json)
                else:
                    save_trained(inner, work)
                torch.save(self.optimizer.state_dict(), work / OPTIMIZER)
                torch.save(self.lr_scheduler.state_dict(), work / SCHEDULER)
                self.state.save_to_json(str(work / STATE))
            checkpoints.prune(run, self.recipe.schedule.keep_last)
            final = checkpoints.folder_of(run, step)
            self._sink(TrainEvent("saved", step, self.args.max_steps, text=str(final)))
        self._meet()

    def _load_from_checkpoint(
        self, resume_from_checkpoint: str, model: nn.Module | None = None
    ) -> None:
        if self.is_fsdp_enabled:
            super()._load_from_checkpoint(resume_from_checkpoint, model)
            return
        folder = Path(resume_from_checkpoint)
        if self.model.adapter is None:
            read_weights(self.model, folder / "model")
        else:
            read_trained(self.model, folder)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is None or self.is_deepspeed_enabled or self.is_fsdp_enabled:
            super()._load_optimizer_and_scheduler(checkpoint)
            return
        folder = Path(checkpoint)
        read = partial(torch.load, map_location="cpu", weights_only=True)
        self.optimizer.load_state_dict(read(folder / OPTIMIZER))
        self.lr_scheduler.load_state_dict(read(folder / SCHEDULER))

    def _load_rng_state(self, checkpoint: str | None) -> None:
        if checkpoint is None:
            return
        # Nothing that is drawn depends on it today; another world size has no state of its own.
        file = Path(checkpoint) / f"random-{self.args.process_index}.pt"
        if file.is_file():
            checkpoints.restore_random_state(torch.load(file, weights_only=True))

    def _load_scaler(self, checkpoint: str | None) -> None:
        """Neither float32 nor bfloat16 scales its loss."""

    def _load_callback_state(self) -> None:
        """Our callbacks keep no state between runs."""

    def _meet(self) -> None:
        if self.args.world_size > 1:
            torch.distributed.barrier()


def learning_rate_shape(schedule: ScheduleRecipe, steps: int) -> Callable[[int], float]:
    """Factor of the learning rate at each step: linear warm-up, then cosine, linear or constant."""
    warm = math.ceil(schedule.warmup_share * steps)

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        done = (step - warm) / max(1, steps - warm)
        if schedule.shape == "cosine":
            return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
        return max(0.0, 1 - done) if schedule.shape == "linear" else 1.0

    return factor
