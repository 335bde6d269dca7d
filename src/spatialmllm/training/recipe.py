# SPDX-License-Identifier: Apache-2.0
"""Recipes: one TOML file for model, processor, data, optimiser and schedule."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from spatialmllm.config import (
    ConnectorConfig,
    ProcessorConfig,
    SpatialEncoderConfig,
    SpatialMLLMConfig,
    SpecialIds,
    TextConfig,
    VisionConfig,
    from_mapping,
)

LORA_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True, slots=True)
class ModelRecipe:
    """Sizes of a model that starts from random weights; `tokenizer="tiny"` is made from the data.

    With `train --init` or `--init-qwen` the sizes come from the files and this is not used.
    """

    text: TextConfig = field(default_factory=TextConfig)
    vision: VisionConfig = field(default_factory=VisionConfig)
    spatial: SpatialEncoderConfig = field(default_factory=SpatialEncoderConfig)
    connector: ConnectorConfig = field(default_factory=ConnectorConfig)
    random_init: bool = False

    def config(
        self, ids: SpecialIds, vocab_size: int, processor: ProcessorConfig
    ) -> SpatialMLLMConfig:
        """The model's configuration for a tokenizer."""
        text = TextConfig(**{**asdict(self.text), "vocab_size": vocab_size})
        spatial = None if self.connector.kind == "none" else self.spatial
        return SpatialMLLMConfig(text, self.vision, spatial, self.connector, processor, ids)


@dataclass(frozen=True, slots=True)
class DataRecipe:
    """How records become sequences."""

    turns_per_sequence: int = 6
    target: Literal["sentence", "span"] = "sentence"
    workers: int = 4

    def __post_init__(self) -> None:
        if self.turns_per_sequence < 1:
            raise ValueError(f"turns_per_sequence must be positive, got {self.turns_per_sequence}")


@dataclass(frozen=True, slots=True)
class LoraRecipe:
    """Low-rank adapters on the decoder's layers instead of its own weights; rank 0 = none."""

    rank: int = 0
    alpha: float = 32
    targets: tuple[str, ...] = LORA_TARGETS

    def __post_init__(self) -> None:
        if self.rank < 0 or self.alpha <= 0 or not self.targets:
            raise ValueError(
                f"LoRA needs rank >= 0, alpha > 0 and targets, got {self.rank}, {self.alpha}, "
                f"{self.targets}"
            )


@dataclass(frozen=True, slots=True)
class OptimiserRecipe:
    """AdamW; `lr_projector` is for merger and connector, `lr_encoders` for trained encoders."""

    lr: float = 7e-6
    lr_projector: float = 2e-5
    lr_encoders: float = 2e-6
    weight_decay: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.95
    eps: float = 1e-8
    clip: float = 1.0
    freeze: tuple[str, ...] = ("vision", "spatial")


@dataclass(frozen=True, slots=True)
class ScheduleRecipe:
    """Steps and batches; the global batch is fixed, its split over processes is not.

    `max_steps` 0 means `epochs` passes over the data.
    """

    epochs: float = 1.0
    max_steps: int = 0
    global_batch: int = 48
    micro_batch: int = 1
    warmup_share: float = 0.03
    shape: Literal["cosine", "linear", "constant"] = "cosine"
    save_every: int = 500
    keep_last: int = 2
    seed: int = 0
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    checkpointing: bool = False

    def __post_init__(self) -> None:
        if self.global_batch < 1 or self.micro_batch < 1:
            raise ValueError("global_batch and micro_batch must be positive")
        if self.shape not in ("cosine", "linear", "constant"):
            raise ValueError(f"shape must be cosine, linear or constant, got {self.shape!r}")
        if self.precision not in ("float32", "bfloat16"):
            raise ValueError(f"precision must be float32 or bfloat16, got {self.precision!r}")

    def accumulation(self, world_size: int) -> int:
        """Micro-batches of one process in a step.

        Raises:
            ValueError: The global batch does not divide.
        """
        together = self.micro_batch * world_size
        if self.global_batch % together:
            raise ValueError(
                f"global_batch {self.global_batch} is no multiple of micro_batch "
                f"{self.micro_batch} x {world_size} processes"
            )
        return self.global_batch // together


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides a training run, next to the data."""

    name: str = "custom"
    model: ModelRecipe = field(default_factory=ModelRecipe)
    processor: ProcessorConfig = field(default_factory=ProcessorConfig)
    data: DataRecipe = field(default_factory=DataRecipe)
    lora: LoraRecipe = field(default_factory=LoraRecipe)
    optimiser: OptimiserRecipe = field(default_factory=OptimiserRecipe)
    schedule: ScheduleRecipe = field(default_factory=ScheduleRecipe)

    def to_json(self) -> dict[str, Any]:
        """The resolved recipe as JSON takes it."""
        return {key: _plain(value) for key, value in asdict(self).items()}


def load_recipe(name: str, settings: Sequence[str] = ()) -> Recipe:
    """Read a shipped recipe by name, or a file, and apply `section.key=value` settings.

    Args:
        name: "tiny", "small", "spatial-mllm", "multispa-lora", or the path of a TOML file.
        settings: Values in TOML's form; a bare word is taken as a string.

    Raises:
        FileNotFoundError: No such recipe; the message lists the shipped ones.
        ValueError: Unknown key (the nearest one is named), or a value that does not fit.
    """
    path = Path(name)
    if not name.endswith(".toml"):
        shipped = resources.files("spatialmllm.training") / "recipes"
        names = sorted(Path(str(p)).stem for p in shipped.iterdir() if str(p).endswith(".toml"))
        if name not in names:
            raise FileNotFoundError(f"no recipe {name!r}; shipped: {', '.join(names)}")
        path = Path(str(shipped / f"{name}.toml"))
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path}: {error}") from error
    for setting in settings:
        _apply(values, setting)
    return recipe_from(values, path.stem)


def recipe_from(values: Mapping[str, Any], name: str) -> Recipe:
    """Build a recipe from nested tables, as TOML or `recipe.json` holds them."""
    tables = {
        "processor": ProcessorConfig,
        "data": DataRecipe,
        "lora": LoraRecipe,
        "optimiser": OptimiserRecipe,
        "schedule": ScheduleRecipe,
    }
    found: dict[str, Any] = {"name": values.get("name", name)}
    for key, cls in tables.items():
        if key in values:
            found[key] = from_mapping(cls, values[key], f"{name} [{key}]")
    if "model" in values:
        found["model"] = _model(values["model"], name)
    unknown = {k: v for k, v in values.items() if k not in found}
    return from_mapping(Recipe, {**found, **unknown}, name)


def _model(values: Mapping[str, Any], name: str) -> ModelRecipe:
    tables = {
        "text": TextConfig,
        "vision": VisionConfig,
        "spatial": SpatialEncoderConfig,
        "connector": ConnectorConfig,
    }
    made = {
        key: from_mapping(tables[key], value, f"{name} [model.{key}]") if key in tables else value
        for key, value in values.items()
    }
    return from_mapping(ModelRecipe, made, f"{name} [model]")


def _apply(values: dict[str, Any], setting: str) -> None:
    key, equals, text = setting.partition("=")
    if not equals:
        raise ValueError(f"--set takes KEY=VALUE, got {setting!r}")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *tables, last = key.split(".")
    at = values
    for table in tables:
        at = at.setdefault(table, {})
        if not isinstance(at, dict):
            raise ValueError(f"--set {key}: {table!r} is no table")
    at[last] = value


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
