# SPDX-License-Identifier: Apache-2.0
"""Reinforcement by rewards: trl's GRPOTrainer over records, with prompts and images of training.

The library's trainer makes prompts by a processor and hands a fixed list of tensors on; neither
holds what our encoders take. So three of its steps are ours: prompts come from `SampleBuilder`,
answers from `generate` with each image encoded once for all answers of its prompt, and token
probabilities from a forward that is given the same. Groups, advantages, KL and loss are trl's.
"""

from __future__ import annotations

import copy
import random
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import datasets
import torch
from torch import Tensor, nn
from transformers.trainer_callback import PrinterCallback, ProgressCallback
from trl import GRPOConfig, GRPOTrainer

from spatial_engine.scoring.reward import reward, solution_of
from spatialmllm.auto.processor import library_tokenizer
from spatialmllm.data.batches import Sample, collate, to_device, visual_inputs
from spatialmllm.data.preprocessing import Medium
from spatialmllm.decoding import Sampling, library_config
from spatialmllm.model.model import SpatialMLLM
from spatialmllm.training import checkpoint as checkpoints
from spatialmllm.training.callbacks import EventSink, MetricsCallback, StepCallback, StopRequest
from spatialmllm.training.loggers import logger_of
from spatialmllm.training.manifest import RequestError, write_manifest
from spatialmllm.training.plot import plot_loss
from spatialmllm.training.sft import Prepared, TrainResult, make_model, write_model
from spatialmllm.training.stage import StageTrainer

Rewards = Callable[[Sequence[str], Sequence[str]], list[float]]
"""Answers and the column `solution` of as many -> rewards."""


class SpatialGRPOTrainer(StageTrainer, GRPOTrainer):
    """Trains a `SpatialMLLM` by the rewards of its own answers; made by `train_grpo`.

    Args:
        model: The model that is trained; without gradient a copy of it is kept for the KL term.
        prepared: The run.
        rows: Records that are asked about.
        rewards: What an answer is worth.
        stop: Who may end the run early.
        sink: Who is told of its steps.
    """

    def __init__(
        self,
        model: SpatialMLLM,
        prepared: Prepared,
        rows: Sequence[int],
        rewards: Rewards,
        stop: StopRequest,
        sink: EventSink,
    ) -> None:
        request = prepared.request
        self.recipe, self._sink = request.recipe, sink
        self._tokenizer_json = prepared.tokenizer.to_json()
        self._prepared, self._rows = prepared, list[int]()
        start = copy.deepcopy(model).eval().requires_grad_(False) if self.recipe.reward.kl else None
        ids, file = prepared.config.ids, request.init[0] / "tokenizer.json"
        for config in (model.config.get_text_config(), model.generation_config):
            config.eos_token_id, config.pad_token_id = ids.end, ids.pad
        super().__init__(
            model=model,
            args=grpo_arguments(prepared),
            reward_funcs=self._rewards_of(rewards),
            train_dataset=_questions(prepared, rows),
            processing_class=library_tokenizer(file, prepared.config),
        )
        # The library would read the model that a run starts as from its name.
        self.beta, self.ref_model = self.recipe.reward.kl, start
        for printing in (PrinterCallback, ProgressCallback):
            self.remove_callback(printing)
        self.add_callback(StepCallback(stop, self.recipe.schedule.save_every, sink))
        self.add_callback(MetricsCallback(Path(self.args.output_dir) / "metrics.jsonl", sink))

    def _rewards_of(self, rewards: Rewards) -> Callable[..., list[float]]:
        """The library's reward function; answers are read as evaluation reads them."""

        def correct(completion_ids: Sequence[Sequence[int]], solution: Sequence[str],
                    **_columns: Any) -> list[float]:  # fmt: skip
            return rewards([self._prepared.tokenizer.decode(ids) for ids in completion_ids],
                           solution)  # fmt: skip

        return correct

    # What is asked

    def _shown(self, rows: Sequence[int]) -> dict[int, Sample]:
        """The prompt of each of some records, with its images."""
        prepared = self._prepared
        distinct = sorted(set(rows))
        records = prepared.records.at(distinct)
        return {
            row: prepared.builder.sample([record], prepared.records, answers=False)
            for row, record in zip(distinct, records, strict=True)
        }

    def _seen(
        self, model: SpatialMLLM, rows: Sequence[int], shown: dict[int, Sample]
    ) -> tuple[Tensor | None, Tensor | None]:
        """Visual tokens and grids of a batch of records, each record encoded once."""
        media: dict[int, Sequence[Medium]] = {row: shown[row].media for row in dict.fromkeys(rows)}
        inputs = to_device(visual_inputs(list(media.values()), model.settings), model.device)
        if not inputs:
            return None, None
        visual = model.encode_visual(**inputs)
        counts = [sum(medium.token_count for medium in one) for one in media.values()]
        parts = dict(zip(media, visual.split(counts), strict=True))
        grids = [medium.grid for row in rows for medium in media[row]]
        return torch.cat([parts[row] for row in rows]), torch.tensor(grids, device=model.device)

    def _tokenize_prompts(self, prompts: list[Any]) -> tuple[list[list[int]], None, dict[str, Any]]:
        """Ids of the prompts; which records they ask about is known by their rows."""
        del prompts
        shown = self._shown(self._rows)
        return [shown[row].ids for row in self._rows], None, {}

    def _generate_single_turn(
        self, prompt_ids: list[list[int]], *_: Any, **__: Any
    ) -> tuple[list[list[int]], None]:
        """Sampled answers, each with the token that ends it."""
        del prompt_ids
        model: SpatialMLLM = self.accelerator.unwrap_model(self.model)
        ids, shown = model.settings.ids, self._shown(self._rows)
        batch = to_device(
            collate([shown[row] for row in self._rows], model.settings, pad="left"), model.device
        )
        visual = self._seen(model, self._rows, shown)[0]
        prompt = {name: batch[name] for name in ("input_ids", "attention_mask", "position_ids")}
        sampling = Sampling(self.args.max_completion_length, self.temperature)
        config = library_config(sampling, {ids.end, ids.pad}, ids.pad, never=(ids.image, ids.video))
        was_training = model.training
        model.eval()
        made = model.generate(**prompt, visual=visual, generation_config=config)
        model.train(was_training)
        answers = made[:, batch["input_ids"].shape[1] :].tolist()
        return [_ended(answer, {ids.end, ids.pad}) for answer in answers], None

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        self._rows = [int(one["row"]) for one in inputs]
        found: dict[str, Any] = super()._generate_and_score_completions(inputs)
        return found | {"rows": torch.tensor(self._rows, device=self.accelerator.device)}

    # What it is worth

    def _compute_loss(self, model: nn.Module, inputs: dict[str, Any]) -> Tensor:
        self._rows = inputs["rows"].tolist()
        loss: Tensor = super()._compute_loss(model, inputs)
        return loss

    def _get_per_token_logps_and_entropies(
        self,
        model: nn.Module,
        input_ids: Tensor,
        attention_mask: Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        **_: Any,
    ) -> tuple[Tensor, Tensor | None, None]:
        """Log-probabilities (and entropies) of the last tokens of each row, in parts of a batch."""
        inner: SpatialMLLM = self.accelerator.unwrap_model(model)
        size, shown = batch_size or len(input_ids), self._shown(self._rows)
        logps, entropies = [], []
        for start in range(0, len(input_ids), size):
            part = slice(start, start + size)
            ids, mask = input_ids[part], attention_mask[part]
            visual, grids = self._seen(inner, self._rows[part], shown)
            output = inner(
                input_ids=ids, attention_mask=mask, position_ids=inner.positions(ids, mask, grids),
                visual=visual, logits_to_keep=logits_to_keep + 1,
            )  # fmt: skip
            told = torch.log_softmax(output.logits[:, :-1].float() / self.temperature, dim=-1)
            said = ids[:, -logits_to_keep:, None]
            logps.append(told.gather(-1, said).squeeze(-1))
            entropies.append(-(told.exp() * told).sum(-1).detach())
        return torch.cat(logps), torch.cat(entropies) if compute_entropy else None, None


def grpo_arguments(prepared: Prepared) -> GRPOConfig:
    """The library's arguments; what is not said here is its default."""
    request, recipe = prepared.request, prepared.request.recipe
    schedule, asked = recipe.schedule, recipe.reward
    return GRPOConfig(
        output_dir=str(request.out),
        max_steps=prepared.steps,
        per_device_train_batch_size=schedule.micro_batch,
        gradient_accumulation_steps=asked.accumulation(schedule.micro_batch),
        num_generations=asked.answers,
        max_completion_length=asked.answer_tokens,
        temperature=asked.temperature,
        beta=0.0,  # said once the trainer is made: it would look for the model by its name
        epsilon=asked.clip,
        learning_rate=recipe.optimiser.lr,
        max_grad_norm=recipe.optimiser.clip,
        bf16=schedule.precision == "bfloat16",
        activation_checkpointing=False,  # that of the recipe is the model's own
        use_cpu=not torch.cuda.is_available(),
        seed=schedule.seed,
        remove_unused_columns=False,
        logging_strategy="steps",
        logging_steps=1,
        save_strategy="no",
        disable_tqdm=True,
        report_to=[],
    )


def train_grpo(
    prepared: Prepared, stop: StopRequest, sink: EventSink, *, rewards: Rewards = reward
) -> TrainResult:
    """Make the steps that are left, then write `model/` and `loss.png`.

    Args:
        prepared: The run; `init` is where it starts.
        stop: Who may end it early; the same request goes on.
        sink: Who is told of its steps.
        rewards: What an answer is worth, 0 to 1.

    Raises:
        RequestError: No model to start from, several processes, no record that can be asked, or the
            folder holds another run.
    """
    request = prepared.request
    args = grpo_arguments(prepared)
    if args.world_size > 1:
        raise RequestError("--stage grpo runs in one process; start it without a launcher")
    write_manifest(prepared)
    rows, refused = askable(prepared)
    if len(rows) < request.recipe.reward.prompts:
        reasons = ", ".join(f"{name} ({n})" for name, n in refused.most_common(3)) or "no others"
        raise RequestError(
            f"{len(rows)} records can be asked, a step takes {request.recipe.reward.prompts}; "
            f"refused: {reasons}"
        )
    model = make_model(prepared)
    trainer = SpatialGRPOTrainer(model, prepared, rows, rewards, stop, sink)
    resume = checkpoints.newest_valid(request.out)
    start = 0 if resume is None else checkpoints.step_of(resume)
    step = start
    if start < prepared.steps:
        if request.report_to != "none":
            trainer.add_callback(logger_of(request.report_to, request.out, start))
        with warnings.catch_warnings():  # trl asks for what transformers has renamed
            warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
            trainer.train(resume_from_checkpoint=None if resume is None else str(resume))
        step = trainer.state.global_step
    plot_loss(request.out / "metrics.jsonl", request.out / "loss.png")
    if step >= prepared.steps:
        write_model(prepared, trainer, made=resume is None or step > start)
    return TrainResult(step, prepared.steps, stop.reason, ())


def askable(prepared: Prepared) -> tuple[list[int], Counter[str]]:
    """Records that can be asked, and how many cannot, by reason."""
    rows, refused = [], Counter[str]()
    for row, record in enumerate(prepared.records):
        try:
            prepared.builder.encode([record], answers=False)
        except ValueError as error:
            refused[f"{record.task}: {error}"] += 1
        else:
            rows.append(row)
    return rows, refused


def _questions(prepared: Prepared, rows: Sequence[int]) -> datasets.Dataset:
    """One row a question: its text, its record's row, and what answers are held against."""
    records = prepared.records.at(rows)
    order = list(range(len(rows)))
    random.Random(prepared.request.recipe.schedule.seed).shuffle(order)
    solutions = [solution_of(record).to_text() for record in records]
    return datasets.Dataset.from_list([
        {"prompt": records[k].question, "row": rows[k], "solution": solutions[k]} for k in order
    ])  # fmt: skip


def _ended(answer: list[int], ends: set[int]) -> list[int]:
    """An answer up to and with the token that ends it."""
    stop = next((at for at, token in enumerate(answer) if token in ends), len(answer) - 1)
    return answer[: stop + 1]
