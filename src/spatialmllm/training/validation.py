# SPDX-License-Identifier: Apache-2.0
"""Validation during training: loss over held-out records, and what the model answers to them.

Nothing that training goes by is touched: generators, gradients and modes are as they were, so a run
with validation makes the same steps as one without.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import TrainerCallback

from spatial_engine.scoring.multispa import score
from spatialcore.files import write_text
from spatialmllm.data.batches import SampleBuilder, collate, to_device
from spatialmllm.data.records import RecordSet, parse_folder, shared_spaces
from spatialmllm.decoding import Sampling, generate
from spatialmllm.training.callbacks import EventSink, TrainEvent
from spatialmllm.training.manifest import RequestError

if TYPE_CHECKING:
    from spatialmllm.model.model import SpatialMLLM

VALIDATION = "validation.jsonl"
MAX_NEW_TOKENS = 64


@dataclass(slots=True)
class Found:
    """Sums over the records that one process has seen; `values` holds the scores of each task."""

    loss: float = 0.0
    tokens: int = 0
    values: dict[str, list[float]] = field(default_factory=dict)
    refused: int = 0

    def add(self, other: Found) -> None:
        """Take what another process found."""
        self.loss += other.loss
        self.tokens += other.tokens
        self.refused += other.refused
        for task, values in other.values.items():
            self.values.setdefault(task, []).extend(values)

    def report(self) -> dict[str, Any]:
        """Loss a token, the mean score of each task, and their mean over tasks."""
        tasks = {task: sum(v) / len(v) for task, v in sorted(self.values.items())}
        return {
            "loss": self.loss / self.tokens if self.tokens else None,
            "score": sum(tasks.values()) / len(tasks) if tasks else None,
            "tasks": tasks,
            "records": sum(map(len, self.values.values())),
            "refused": self.refused,
        }


def held_out_records(
    folders: Sequence[str],
    training: RecordSet,
    *,
    roots: Mapping[str, Path],
    blind: bool,
    limit: int,
) -> RecordSet:
    """The split `val` of folders, drawn evenly over tasks.

    Args:
        folders: As `parse_folder` reads them.
        training: What is trained on.
        roots: Root folders of sources, instead of the recorded ones.
        blind: Whether images are grey, so that none need be there.
        limit: Records at most.

    Raises:
        RequestError: A space is on both sides, or images are missing.
        MissingInput: A folder is no data set, or lacks the split.
    """
    every = RecordSet.open(map(parse_folder, folders), split="val", roots=roots)
    if shared := shared_spaces(training, every):
        raise RequestError(
            f"{len(shared)} spaces are in the training records and in {', '.join(folders)}: "
            f"{', '.join(shared[:10])}"
        )
    drawn = every.spread(limit)
    if not blind and (missing := drawn.missing_images()):
        first = "; ".join(f"{m.source}/{m.scene}: {m.reason}" for m in missing[:3])
        raise RequestError(f"images of {len(missing)} scenes of {', '.join(folders)}: {first}")
    return drawn


class Validation:
    """Asks a model held-out records, one question a sequence, decoded greedily.

    Args:
        records: The records; they are shared among processes.
        builder: Makes prompts and answers exactly as in training.
        batch: Records at once.
    """

    def __init__(self, records: RecordSet, builder: SampleBuilder, batch: int) -> None:
        self._records, self._builder, self._batch = records, builder, batch

    def __call__(self, model: SpatialMLLM, rank: int = 0, world_size: int = 1) -> Found:
        """What this process's share of the records gives; the model's mode is kept."""
        was_training = model.training
        model.eval()
        found = Found()
        mine = range(rank, len(self._records), world_size)
        with torch.no_grad():
            for start in range(0, len(mine), self._batch):
                self._ask(model, list(mine[start : start + self._batch]), found)
        model.train(was_training)
        return found

    def _ask(self, model: SpatialMLLM, rows: Sequence[int], found: Found) -> None:
        builder, config = self._builder, self._builder.config
        asked, answered, prompts = [], [], []
        for record in self._records.at(rows):
            try:
                answered.append(builder.sample([record], self._records))
                prompts.append(builder.sample([record], self._records, answers=False))
            except (ValueError, OSError):
                # Counted and said; `eval` lists such records with their reasons.
                del answered[len(prompts) :]
                found.refused += 1
                continue
            asked.append(record)
        if not asked:
            return
        batch = to_device(collate(answered, config), model.device)
        count = int((batch["labels"] != -100).sum())
        found.loss += float(model(**batch, num_items_in_batch=1).loss)
        found.tokens += count
        batch = to_device(collate(prompts, config, pad="left"), model.device)
        for record, ids in zip(
            asked, generate(model, batch, Sampling(MAX_NEW_TOKENS)), strict=True
        ):
            value = score(record, builder.tokenizer.decode(ids)).value
            found.values.setdefault(record.task, []).append(value)


class ValidationCallback(TrainerCallback):
    """Validates every so many steps and after the last, into `validation.jsonl` and the loggers.

    Args:
        validation: Asks the records.
        every: Steps between two validations.
        path: The file; lines after the step that a run resumes from are dropped.
        log: Hands figures to the loggers of the run.
        sink: Told of every validation.
    """

    def __init__(
        self,
        validation: Validation,
        every: int,
        path: Path,
        log: Callable[[dict[str, float]], None],
        sink: EventSink,
    ) -> None:
        self._validation, self._every, self._path = validation, every, path
        self._log, self._sink = log, sink

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Drop lines of validations that will be made again."""
        if state.is_world_process_zero and self._path.is_file():
            lines = self._path.read_text(encoding="utf-8").splitlines()
            kept = [line for line in lines if json.loads(line)["step"] <= state.global_step]
            write_text(self._path, "".join(f"{line}\n" for line in kept))

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Validate when it is time."""
        step = state.global_step
        if step % self._every and step < state.max_steps:
            return
        began = time.monotonic()
        inner = getattr(kwargs["model"], "module", kwargs["model"])
        found = self._validation(inner, args.process_index, args.world_size)
        if args.world_size > 1:
            found = _joined(found, args.world_size)
        if not state.is_world_process_zero:
            return
        report = found.report()
        line = {"step": step, **report, "seconds": round(time.monotonic() - began, 3)}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        figures = {"eval_loss": report["loss"], "eval_score": report["score"]}
        figures |= {f"eval_score/{task}": value for task, value in report["tasks"].items()}
        self._log({key: value for key, value in figures.items() if value is not None})
        self._sink(TrainEvent("validated", step, state.max_steps, text=_said(report)))


def _joined(found: Found, world_size: int) -> Found:
    """The sums of all processes."""
    every: list[Found | None] = [None] * world_size
    torch.distributed.all_gather_object(every, found)
    total = Found()
    for one in every:
        if one is not None:
            total.add(one)
    return total


def _said(report: dict[str, Any]) -> str:
    if report["score"] is None:
        return f"no record could be asked, {report['refused']} were refused"
    refused = f", {report['refused']} refused" if report["refused"] else ""
    return (
        f"validation loss {report['loss']:.4f}, score {report['score']:.3f} over "
        f"{len(report['tasks'])} tasks and {report['records']} records{refused}"
    )
