# SPDX-License-Identifier: Apache-2.0
"""Supervised fine-tuning: records and a recipe in, a run folder with a model out."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import torch
import yaml
from transformers import Trainer, TrainingArguments

from spatialmllm.checkpoints import load, load_config, save
from spatialmllm.checkpoints.adapter import AdapterConfig
from spatialmllm.checkpoints.text import TextModel, load_text_weights, read_text_model
from spatialmllm.config import SpatialMLLMConfig
from spatialmllm.data.batches import SampleBuilder
from spatialmllm.data.cache import ImageCache
from spatialmllm.data.records import RecordSet, parse_folder
from spatialmllm.data.targets import target_text
from spatialmllm.data.tokens import SYSTEM_PROMPT, ChatTokenizer, build_tiny
from spatialmllm.data.walk_geometry import ClipRequest
from spatialmllm.model.feature_cache import FeatureCache
from spatialmllm.model.model import SpatialMLLM, build, build_meta, parameter_counts
from spatialmllm.training import checkpoint as checkpoints
from spatialmllm.training.callbacks import EventSink, StopRequest
from spatialmllm.training.loader import SequenceData
from spatialmllm.training.loggers import check_logger
from spatialmllm.training.lora import add_adapter
from spatialmllm.training.manifest import RequestError, write_manifest
from spatialmllm.training.order import SequenceOrder
from spatialmllm.training.plot import plot_loss
from spatialmllm.training.recipe import Recipe
from spatialmllm.training.rewarded import check_rewarded
from spatialmllm.training.trainer import SpatialTrainer
from spatialmllm.training.validation import Validation, held_out_records

LAUNCHES = ("fsdp2", "zero2", "zero3")
Stage = Literal["sft", "grpo", "cold-start"]


@dataclass(frozen=True, slots=True)
class TrainRequest:
    """One training run.

    Attributes:
        records: Folders as `OUT`, `OUT:0.3` or `OUT:2`: a weight in the mixture.
        recipe: The resolved recipe.
        out: The run's folder; the same request continues what it holds.
        init: Model folder to start from, or two: Qwen2.5-VL and VGGT; none = random weights.
        text: GGUF file of a language model, whose decoder and tokenizer a model starts with whose
            other parts are random.
        split: Split to train on.
        eval_records: Folders whose split `val` is validated on during training; a space on both
            sides is an error.
        roots: Root folders of sources, instead of the recorded ones.
        blind: Show grey images.
        max_minutes: Save and stop after this time.
        launch: "fsdp2", "zero2", "zero3", or None for one process or plain data parallelism.
        report_to: "none", "tensorboard" or "wandb".
        skip_bad: Bad samples that may be left out.
        attention: As in `SpatialMLLM`.
        cache: Folder for decoded images.
        feature_cache: Folder for what a frozen spatial encoder makes of frames.
        clips: Where the pixels of clips lie, for samplers that ask for it.
        stage: "sft", "grpo" (reinforcement by rewards) or "cold-start" (sample answers, keep the
            rewarded ones, train on them); the last two start from `init`.
    """

    records: tuple[str, ...]
    recipe: Recipe
    out: Path
    init: tuple[Path, ...] = ()
    text: Path | None = None
    split: str = "train"
    eval_records: tuple[str, ...] = ()
    roots: Mapping[str, Path] = field(default_factory=dict)
    blind: bool = False
    max_minutes: float | None = None
    launch: str | None = None
    report_to: str = "none"
    skip_bad: int = 0
    attention: str = "sdpa"
    cache: Path | None = None
    feature_cache: Path | None = None
    clips: ClipRequest = field(default_factory=ClipRequest)
    stage: Stage = "sft"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request with everything that can be checked before a step is made."""

    request: TrainRequest
    records: RecordSet
    tokenizer: ChatTokenizer
    config: SpatialMLLMConfig
    builder: SampleBuilder
    order: SequenceOrder
    steps: int
    text: TextModel | None = None
    held_out: RecordSet | None = None


@dataclass(frozen=True, slots=True)
class TrainResult:
    """How a run ended."""

    step: int
    max_steps: int
    stopped: str
    bad_samples: tuple[str, ...]

    @property
    def finished(self) -> bool:
        """Whether all steps were made."""
        return self.step >= self.max_steps


def prepare(request: TrainRequest) -> Prepared:
    """Open the records, check images and leaks, and lay out the steps.

    Raises:
        RequestError: Images are missing, a space is on both sides, or no record can be used.
        MissingInput: A folder is no data set, or lacks the split.
        ModuleNotFoundError: What `report_to` needs is not installed.
    """
    check_logger(request.report_to)
    if request.stage != "sft":
        check_rewarded(request)
    if request.eval_records and request.launch is not None:
        raise RequestError(
            f"--eval-records does not go with --launch {request.launch}: parameters are spread "
            "over processes; ask the saved models with `spatialcore eval`"
        )
    records = RecordSet.open(
        map(parse_folder, request.records), split=request.split, roots=request.roots,
        whole=request.stage == "sft",
    )  # fmt: skip
    if request.stage != "sft":
        records.parts = ()  # shares are taken, and weights are none
    if not request.blind and (missing := records.missing_images()):
        first = "; ".join(f"{m.source}/{m.scene}: {m.reason}" for m in missing[:3])
        raise RequestError(f"images of {len(missing)} scenes are missing: {first}")
    held_out = _held_out(request, records)
    text = None if request.text is None else read_text_model(request.text)
    tokenizer = _tokenizer(request, records) if text is None else text.tokenizer
    config = _config(request, tokenizer, text)
    recipe = request.recipe
    builder = SampleBuilder(
        config,
        tokenizer,
        target=recipe.data.target,
        blind=request.blind,
        cache=None if request.cache is None else ImageCache(request.cache),
        geometry=request.clips.walk_geometry(),
    )
    order = lay_out(recipe, records, builder)
    if not order.sequences:
        reasons = ", ".join(f"{reason} ({n})" for reason, n in order.refused.most_common(5))
        where = ", ".join(request.records)
        what = reasons or "there are none"
        raise RequestError(f"{where}: no record can be used; refused: {what}")
    steps = recipe.schedule.max_steps or order.steps(recipe.schedule.epochs)
    if request.stage == "grpo" and not recipe.schedule.max_steps:
        steps = max(1, round(recipe.schedule.epochs * len(records) / recipe.reward.prompts))
    return Prepared(request, records, tokenizer, config, builder, order, steps, text, held_out)


def lay_out(recipe: Recipe, records: RecordSet, builder: SampleBuilder) -> SequenceOrder:
    """The sequences of records, in the order in which steps take them."""
    return SequenceOrder(
        records,
        builder,
        turns_per_sequence=recipe.data.turns_per_sequence,
        global_batch=recipe.schedule.global_batch,
        seed=recipe.schedule.seed,
        temperature=recipe.data.temperature,
        batch_tokens=recipe.schedule.batch_tokens,
        micro_batch=recipe.schedule.micro_batch,
    )


def train(
    prepared: Prepared, stop: StopRequest, sink: EventSink, *, claimed: bool = False
) -> TrainResult:
    """Make the steps that are left, then write `model/` and `loss.png`.

    Args:
        prepared: The run.
        stop: Who may end it early; the same request goes on.
        sink: Who is told of its steps.
        claimed: Whether the folder says already what the run is made of.

    Raises:
        RequestError: The folder holds another run.
        TrainingFailed: The loss is not finite, or too many samples are bad.
    """
    request = prepared.request
    args = training_arguments(prepared)
    if args.should_save and not claimed:
        write_manifest(prepared)
    model = make_model(prepared)
    if request.feature_cache is not None:
        model.feature_cache = FeatureCache.of(request.feature_cache, model)
    trainer = SpatialTrainer(
        model,
        args,
        recipe=request.recipe,
        order=prepared.order,
        samples=SequenceData(
            prepared.records,
            prepared.builder,
            allow_bad=request.skip_bad > 0,
            keys=model.feature_cache is not None,
            blank=_world_size() > 1,
        ),
        stop=stop,
        sink=sink,
        tokenizer_json=prepared.tokenizer.to_json(),
        skip_bad=request.skip_bad,
    )
    resume = checkpoints.newest_valid(request.out)
    if resume is None or checkpoints.step_of(resume) < prepared.steps:
        trainer.run(resume, report_to=request.report_to, validation=_validation(prepared))
        step = trainer.state.global_step
    else:
        step = checkpoints.step_of(resume)
    if args.should_save:
        plot_loss(request.out / "metrics.jsonl", request.out / "loss.png")
        if step >= prepared.steps:
            write_model(prepared, trainer, made=resume is None or step > _step(resume))
    return TrainResult(step, prepared.steps, stop.reason, tuple(trainer.bad_samples))


def make_model(prepared: Prepared, *, meta: bool = False) -> SpatialMLLM:
    """The model with frozen parts frozen and, in bfloat16 runs, stored in bfloat16."""
    request = prepared.request
    if meta:
        model = build_meta(prepared.config, request.attention)
    elif request.init:
        model = load(
            request.init,
            config=prepared.config,
            dtype=torch.float32,
            attention=request.attention,
            init_connector=True,
            seed=request.recipe.schedule.seed,
        )
    else:
        model = build(
            prepared.config, seed=request.recipe.schedule.seed, attention=request.attention
        )
        if prepared.text is not None:
            load_text_weights(model, prepared.text)
    built = {"spatial", "matching", "connector"} if model.aggregator is not None else set()
    parts = set(request.recipe.optimiser.freeze) & ({"vision", "merger", "decoder"} | built)
    model.freeze(parts)
    lora = request.recipe.lora
    if lora.rank:
        adapter = AdapterConfig(lora.rank, lora.alpha, lora.targets)
        add_adapter(model, adapter, request.recipe.schedule.seed)
    if request.recipe.schedule.precision == "bfloat16":
        for parameter in model.parameters():
            if not parameter.requires_grad:
                parameter.data = parameter.data.to(torch.bfloat16)
    model.set_checkpointing(request.recipe.schedule.checkpointing)
    return model.train()


def training_arguments(prepared: Prepared) -> TrainingArguments:
    """The library's arguments; those that silently change results are set here, and tested."""
    request, schedule = prepared.request, prepared.request.recipe.schedule
    world = max(1, _world_size())
    launch: dict[str, Any] = {}
    if request.launch == "fsdp2":
        text = launch_file("fsdp2.yaml").read_text(encoding="utf-8")
        launch = {"fsdp": True, "fsdp_config": yaml.safe_load(text)["fsdp_config"]}
    elif request.launch is not None:
        launch = {"deepspeed": str(launch_file(f"{request.launch}.json"))}
    return TrainingArguments(
        output_dir=str(request.out),
        max_steps=prepared.steps,
        per_device_train_batch_size=schedule.micro_batch,
        gradient_accumulation_steps=schedule.accumulation(world),
        max_grad_norm=request.recipe.optimiser.clip,
        learning_rate=request.recipe.optimiser.lr,
        bf16=schedule.precision == "bfloat16",
        use_cpu=not torch.cuda.is_available(),
        seed=schedule.seed,
        remove_unused_columns=False,
        ignore_data_skip=True,
        average_tokens_across_devices=True,
        logging_strategy="steps",
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="no",
        disable_tqdm=True,
        report_to=[],  # the trainer adds the logger, which goes on where it stopped
        ddp_find_unused_parameters=False,
        **launch,
    )


def launch_file(name: str) -> Path:
    """A shipped configuration for distributed runs."""
    return Path(str(resources.files("spatialmllm.training") / "launch" / name))


def estimate_memory(model: SpatialMLLM, precision: str) -> tuple[float, float]:
    """(weights, gradients and optimiser of trained parts; weights of frozen parts) in GB.

    A trained parameter takes 16 bytes: itself, its gradient and two moments, in float32.
    """
    counts = parameter_counts(model).values()
    frozen_bytes = 2 if precision == "bfloat16" else 4
    trained, frozen = (sum(pair[i] for pair in counts) for i in (0, 1))
    return trained * 16 / 1e9, frozen * frozen_bytes / 1e9


def _held_out(request: TrainRequest, records: RecordSet) -> RecordSet | None:
    if not request.eval_records:
        return None
    return held_out_records(
        request.eval_records, records, roots=request.roots, blind=request.blind,
        limit=request.recipe.schedule.eval_limit,
    )  # fmt: skip


def _validation(prepared: Prepared) -> Validation | None:
    if prepared.held_out is None:
        return None
    batch = prepared.request.recipe.schedule.micro_batch
    return Validation(prepared.held_out, prepared.builder, batch)


def _tokenizer(request: TrainRequest, records: RecordSet) -> ChatTokenizer:
    if request.init:
        return ChatTokenizer.from_file(request.init[0])
    if not request.recipe.model.random_init:
        raise RequestError(
            f"the recipe {request.recipe.name!r} starts from weights: give --init DIR, "
            "or --init-qwen DIR and --init-vggt DIR"
        )
    texts = [SYSTEM_PROMPT]
    for record in records:
        texts += [record.question, record.answer, *(turn.content for turn in record.messages)]
        if request.recipe.data.target == "chain":
            with suppress(ValueError):  # it is refused, and counted, where sequences are laid out
                texts.append(target_text(record, "chain"))
    return build_tiny(texts)


def _config(
    request: TrainRequest, tokenizer: ChatTokenizer, text: TextModel | None
) -> SpatialMLLMConfig:
    recipe = request.recipe
    if text is not None:
        vision = replace(recipe.model.vision, out_hidden_size=text.config.hidden_size)
        sizes = replace(recipe.model, text=text.config, vision=vision)
        return sizes.config(tokenizer.ids, text.config.vocab_size, recipe.processor)
    if not request.init:
        return recipe.model.config(tokenizer.ids, tokenizer.size, recipe.processor)
    config = load_config(request.init[0])
    if len(request.init) > 1 and config.spatial is None:
        config = replace(config, spatial=recipe.model.spatial, connector=recipe.model.connector)
    return replace(config, processor=recipe.processor)


def write_model(prepared: Prepared, trainer: Trainer, *, made: bool) -> None:
    """Write `model/` of a run that is through, unless it lies there already."""
    target = prepared.request.out / "model"
    if target.is_dir() and not made:
        return
    model = trainer.accelerator.unwrap_model(trainer.model)
    save(model, target, tokenizer_json=prepared.tokenizer.to_json())


def _step(path: Path) -> int:
    return checkpoints.step_of(path)


def _world_size() -> int:
    import os

    return int(os.environ.get("WORLD_SIZE", "1"))
