# SPDX-License-Identifier: Apache-2.0
"""Recipes: one TOML file for model, processor, data, optimiser and schedule."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from msgspec import Meta

from spatialcore.errors import SettingsError
from spatialcore.settings import (
    Count,
    Name,
    Positive,
    Share,
    check_fields,
    decode,
    parse_toml,
    read_toml,
)
from spatialcore.settings_words import nearest
from spatialmllm.config import (
    ConnectorConfig,
    ProcessorConfig,
    SpatialEncoderConfig,
    SpatialMLLMConfig,
    SpecialIds,
    TextConfig,
    VisionConfig,
)

LoraTarget = Literal["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
Part = Literal["vision", "merger", "matching", "spatial", "connector", "decoder"]
LORA_TARGETS: tuple[LoraTarget, ...] = get_args(LoraTarget)

# A word that is no value of TOML.
_BARE_WORD = re.compile(r"(?!(?:true|false|inf|nan)$)[A-Za-z_][\w.\-/]*")

Rate = Annotated[float, Meta(ge=0, le=10)]
Below1 = Annotated[float, Meta(ge=0, lt=1)]


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

    def __post_init__(self) -> None:
        check_fields(self)

    def config(
        self, ids: SpecialIds, vocab_size: int, processor: ProcessorConfig
    ) -> SpatialMLLMConfig:
        """The model's configuration for a tokenizer."""
        text = TextConfig(**{**asdict(self.text), "vocab_size": vocab_size})
        spatial = None if self.connector.kind == "none" else self.spatial
        return SpatialMLLMConfig(text, self.vision, spatial, self.connector, processor, ids)


@dataclass(frozen=True, slots=True)
class DataRecipe:
    """How records become sequences; `temperature` mixes several sets (`training.mixture`).

    The target is the record's sentence, its machine answer alone, or its chain and then its answer.
    """

    turns_per_sequence: Positive = 6
    temperature: Annotated[float, Meta(ge=1, le=1000)] = 1.0
    target: Literal["sentence", "span", "chain"] = "sentence"
    workers: Annotated[int, Meta(ge=0, le=1024)] = 4

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True)
class LoraRecipe:
    """Low-rank adapters on the decoder's layers instead of its own weights; rank 0 = none."""

    rank: Annotated[int, Meta(ge=0, le=65536)] = 0
    alpha: Annotated[float, Meta(gt=0, le=1e6)] = 32.0
    targets: Annotated[tuple[LoraTarget, ...], Meta(min_length=1)] = LORA_TARGETS

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True)
class OptimiserRecipe:
    """AdamW; `lr_projector` is for merger and connector, `lr_encoders` for trained encoders."""

    lr: Rate = 7e-6
    lr_projector: Rate = 2e-5
    lr_encoders: Rate = 2e-6
    weight_decay: Rate = 0.1
    beta1: Below1 = 0.9
    beta2: Below1 = 0.95
    eps: Annotated[float, Meta(gt=0, le=1)] = 1e-8
    clip: Annotated[float, Meta(gt=0, le=1e9)] = 1.0
    freeze: tuple[Part, ...] = ("vision", "spatial")

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True)
class ScheduleRecipe:
    """Steps and batches; the global batch is fixed, its split over processes is not.

    `max_steps` 0 means `epochs` passes over the data. With `--eval-records` the run is validated
    every `eval_every` steps (0: at every save) on `eval_limit` records, drawn evenly over tasks.
    `batch_tokens` above 0 fills micro-batches by tokens, padding counted, instead of `micro_batch`
    sequences; a step has `global_batch / micro_batch` of them all the same.
    """

    epochs: Annotated[float, Meta(gt=0, le=1e6)] = 1.0
    max_steps: Count = 0
    global_batch: Positive = 48
    micro_batch: Positive = 1
    batch_tokens: Count = 0
    warmup_share: Share = 0.03
    shape: Literal["cosine", "linear", "constant"] = "cosine"
    save_every: Positive = 500
    keep_last: Positive = 2
    eval_every: Count = 0
    eval_limit: Positive = 200
    seed: Annotated[int, Meta(ge=0, le=(1 << 63) - 1)] = 0
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    checkpointing: bool = False

    def __post_init__(self) -> None:
        check_fields(self)
        self.accumulation(1)

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
class RewardRecipe:
    """Sampled answers and their rewards, for `train --stage grpo` and `--stage cold-start`.

    Of a prompt `answers` answers are sampled; a step of grpo has `prompts` prompts, and `kl` weighs
    how far the model may go from the one that it started as. A cold start keeps answers whose
    reward is at least `keep_reward` and among the best `keep_share` of its prompt's.
    """

    prompts: Positive = 16
    answers: Annotated[int, Meta(ge=2, le=4096)] = 8
    answer_tokens: Positive = 512
    temperature: Annotated[float, Meta(gt=0, le=10)] = 1.0
    kl: Annotated[float, Meta(ge=0, le=100)] = 0.04
    clip: Annotated[float, Meta(gt=0, le=1)] = 0.2
    keep_reward: Share = 0.9
    keep_share: Annotated[float, Meta(gt=0, le=1)] = 0.5

    def __post_init__(self) -> None:
        check_fields(self)

    def accumulation(self, micro_batch: int) -> int:
        """Micro-batches of a step of grpo.

        Raises:
            ValueError: Its answers do not divide.
        """
        count = self.prompts * self.answers
        if count % micro_batch:
            raise ValueError(
                f"{self.prompts} prompts x {self.answers} answers are no multiple of "
                f"schedule.micro_batch {micro_batch}"
            )
        return count // micro_batch


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides a training run, next to the data."""

    name: Name = "custom"
    model: ModelRecipe = field(default_factory=ModelRecipe)
    processor: ProcessorConfig = field(default_factory=ProcessorConfig)
    data: DataRecipe = field(default_factory=DataRecipe)
    lora: LoraRecipe = field(default_factory=LoraRecipe)
    optimiser: OptimiserRecipe = field(default_factory=OptimiserRecipe)
    schedule: ScheduleRecipe = field(default_factory=ScheduleRecipe)
    reward: RewardRecipe = field(default_factory=RewardRecipe)

    def __post_init__(self) -> None:
        check_fields(self)
        if self.model.random_init:
            # Sizes that do not fit together are said before any record is read.
            self.model.config(SpecialIds(), self.model.text.vocab_size, self.processor)

    def to_json(self) -> dict[str, Any]:
        """The resolved recipe as JSON takes it."""
        return {key: _plain(value) for key, value in asdict(self).items()}


def load_recipe(name: str, settings: Sequence[str] = ()) -> Recipe:
    """Read a shipped recipe by name, or a file, and apply `section.key=value` settings.

    Args:
        name: "tiny", "small", "spatial-mllm", "multispa-lora", or the path of a TOML file.
        settings: Values in TOML's form; a bare word is taken as a string.

    Raises:
        SettingsError: No such recipe, an unknown key, or a value that does not fit; the nearest
            right word is named.
    """
    path = Path(name)
    if not name.endswith(".toml"):
        shipped = resources.files("spatialmllm.training") / "recipes"
        names = sorted(Path(str(p)).stem for p in shipped.iterdir() if str(p).endswith(".toml"))
        if name not in names:
            what = f"neither a .toml file nor one of {', '.join(names)}"
            raise SettingsError("recipe", name, what, nearest(name, names))
        path = Path(str(shipped / f"{name}.toml"))
    values = read_toml(path)
    recipe = recipe_from(values, path.stem, str(path))
    for setting in settings:
        _apply(values, setting)
    if not settings:
        return recipe
    return recipe_from(values, path.stem, f"{path} with --set {' --set '.join(settings)}")


def recipe_from(values: Mapping[str, Any], name: str, file: str = "recipe.json") -> Recipe:
    """A recipe from nested tables, as TOML or `recipe.json` holds them."""
    recipe: Recipe = decode(Recipe, {"name": name, **values}, file)
    return recipe


def _apply(values: dict[str, Any], setting: str) -> None:
    key, equals, text = setting.partition("=")
    if not equals:
        raise SettingsError("--set", setting, "not of the form KEY=VALUE")
    # Quotes may be left out of a word, as a shell takes them away.
    quoted = text if _BARE_WORD.fullmatch(text) is None else f"'{text}'"
    try:
        made = parse_toml(f"value = {quoted}", "--set")
    except SettingsError as error:
        raise SettingsError("--set", f"$.{key}", error.what) from error
    if made.keys() != {"value"}:
        raise SettingsError("--set", setting, "more than one value")
    *tables, last = key.split(".")
    at = values
    for table in tables:
        at = at.setdefault(table, {})
        if not isinstance(at, dict):
            raise SettingsError("--set", key, f"{table!r} is no table")
    at[last] = made["value"]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
