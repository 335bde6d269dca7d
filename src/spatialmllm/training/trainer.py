# SPDX-License-Identifier: Apache-2.0
"""`SpatialTrainer`: the library's loop with our order, loss count, checkpoints and checks."""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import TrainingArguments
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from spatialmllm.model.model import SpatialMLLM
from spatialmllm.training import checkpoint as checkpoints
from spatialmllm.training.callbacks import (
    EventSink,
    MetricsCallback,
    StepCallback,
    StopRequest,
    TrainEvent,
)
from spatialmllm.training.loader import SequenceData, make_loader
from spatialmllm.training.loggers import logger_of
from spatialmllm.training.order import MicroBatches, SequenceOrder
from spatialmllm.training.recipe import Recipe
from spatialmllm.training.stage import StageTrainer, TrainingFailed
from spatialmllm.training.validation import VALIDATION, Validation, ValidationCallback


class SpatialTrainer(StageTrainer):
    """Trains a `SpatialMLLM`; made by `sft.py`.

    The loss of a step is a sum over supervised tokens divided by their count in the whole global
    batch, over all micro-batches and processes.
    """

    def __init__(
        self,
        model: SpatialMLLM,
        args: TrainingArguments,
        *,
        recipe: Recipe,
        order: SequenceOrder,
        samples: SequenceData,
        stop: StopRequest,
        sink: EventSink,
        tokenizer_json: str,
        skip_bad: int = 0,
    ) -> None:
        self.recipe, self.order, self.samples = recipe, order, samples
        self._sink, self._tokenizer_json, self._skip_bad = sink, tokenizer_json, skip_bad
        self.bad_samples: list[str] = []
        self.optimizer: Any = None
        self.lr_scheduler: Any = None
        self._start = 0
        self._measured = {"tokens": 0, "data_wait_s": 0.0, "began": time.monotonic(),
                          "cpu": time.process_time()}  # fmt: skip
        super().__init__(model=model, args=args, train_dataset=samples)
        for printing in (PrinterCallback, ProgressCallback):
            self.remove_callback(printing)
        self.add_callback(StepCallback(stop, recipe.schedule.save_every, sink))
        metrics = Path(args.output_dir) / "metrics.jsonl"
        self.add_callback(MetricsCallback(metrics, sink))

    def run(
        self, resume: Path | None = None, *, report_to: str = "none",
        validation: Validation | None = None,
    ) -> None:  # fmt: skip
        """Train from the start, or from a checkpoint of this run.

        Args:
            resume: The checkpoint.
            report_to: Where else figures go; see `loggers.logger_of`.
            validation: Held-out records that are asked now and then.
        """
        self._start = 0 if resume is None else checkpoints.step_of(resume)
        out, schedule = Path(self.args.output_dir), self.recipe.schedule
        if self.is_world_process_zero() and report_to != "none":
            self.add_callback(logger_of(report_to, out, self._start))
        if validation is not None:
            every = schedule.eval_every or schedule.save_every
            self.add_callback(
                ValidationCallback(validation, every, out / VALIDATION, self._log_apart, self._sink)
            )
        self.train(resume_from_checkpoint=None if resume is None else str(resume))

    # Data

    def get_train_dataloader(self) -> Any:
        """Micro-batches of this process, from the step that the run continues at."""
        schedule = self.recipe.schedule
        batches = MicroBatches(
            self.order,
            rank=self.args.process_index,
            world_size=self.args.world_size,
            size=schedule.micro_batch,
            stop=self.args.max_steps,
        )
        batches.start = self._start
        return make_loader(self.samples, batches, self.recipe.data.workers)

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> Any:
        """The step's micro-batches, with the time that was waited for them; counts bad samples."""
        began = time.monotonic()
        batches, count = super().get_batch_samples(*args, **kwargs)
        self._measured["data_wait_s"] = time.monotonic() - began
        if count is not None:
            self._measured["tokens"] = int(count)
        for batch in batches:
            for message in batch.pop("bad", ()):
                self.bad_samples.append(message)
                self._sink(TrainEvent("bad", self.state.global_step, self.args.max_steps,
                                      text=message))  # fmt: skip
        if len(self.bad_samples) > self._skip_bad:
            raise TrainingFailed(
                f"{len(self.bad_samples)} bad samples, {self._skip_bad} are allowed; "
                f"the last: {self.bad_samples[-1]}"
            )
        return batches, count

    # Loss

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """The model's loss, times the number of processes, over which gradients are averaged.

        Raises:
            TrainingFailed: The loss is not finite; the message holds the record ids.
        """
        inputs = dict(inputs)
        record_ids = inputs.pop("record_ids", [])
        if self.args.world_size > 1 and "pixel_values" not in inputs:
            # The other processes would wait for this one's part of the encoders' gradients.
            raise TrainingFailed(f"a micro-batch without images: {', '.join(record_ids)}")
        outputs = model(**inputs, num_items_in_batch=num_items_in_batch)
        if not torch.isfinite(outputs.loss):
            raise TrainingFailed(
                f"the loss is {float(outputs.loss.detach())} in step {self.state.global_step + 1}; "
                f"records: {', '.join(record_ids)}"
            )
        loss = outputs.loss * self.args.world_size
        return (loss, outputs) if return_outputs else loss

    def _wrap_model(self, model: nn.Module, *args: Any, **kwargs: Any) -> Any:
        wrapped = super()._wrap_model(model, *args, **kwargs)
        if self.args.fsdp and not self.is_fsdp_enabled:
            raise TrainingFailed("FSDP was asked for and is not active on this machine")
        return wrapped

    def log(self, logs: dict[str, Any], start_time: float | None = None) -> None:
        """Hand a step's figures on, with what it cost, to every callback."""
        self.state.epoch = round(self.order.epoch_at(self.state.global_step), 6)
        super().log({**logs, **self._measures()} if "loss" in logs else logs, start_time)

    def _log_apart(self, logs: dict[str, float]) -> None:
        """Figures that are no step's; their time counts to no step either."""
        # The library takes any figures for the step's own, and would leave those out.
        due = self.control.should_log
        self.log(logs)
        self.control.should_log = due
        self._measured |= {"began": time.monotonic(), "cpu": time.process_time()}

    def _measures(self) -> dict[str, Any]:
        now, cpu = time.monotonic(), time.process_time()
        seconds, cpu_seconds = now - self._measured["began"], cpu - self._measured["cpu"]
        self._measured |= {"began": now, "cpu": cpu}
        tokens = self._measured["tokens"]
        measures = {
            "tokens": tokens,
            "tokens_per_s": round(tokens / seconds, 1) if seconds > 0 else None,
            "seconds": round(seconds, 4),
            "cpu_s": round(cpu_seconds, 4),
            "data_wait_s": round(self._measured["data_wait_s"], 4),
            "bad_samples": len(self.bad_samples),
        }
        measures["memory_gb"] = round(_peak_bytes() / 1e9, 3)
        return {key: value for key, value in measures.items() if value is not None}


def _peak_bytes() -> int:
    """Most memory of this process so far: the GPU's where there is one."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
