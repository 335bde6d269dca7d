# SPDX-License-Identifier: Apache-2.0
"""Sizes and settings of the model, and their flat JSON form (`config.json`).

The JSON follows the published layout: the text sizes lie at the top level, `vision_config`,
`spatial_config` and `connector_config` are nested. A plain Qwen2.5-VL `config.json` is accepted
too, in its flat and in its nested (`text_config`) form; it gives a model without spatial encoder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Annotated, Any, Literal, TypeVar

from msgspec import Meta

from spatialcore.errors import SettingsError
from spatialcore.settings import Count, Positive, check_fields, decode

MODEL_TYPE = "spatial-mllm"
_Config = TypeVar("_Config")

Layers = Annotated[int, Meta(ge=0, le=1000)]
BlockPair = Annotated[int, Meta(ge=-1000, le=1000)]  # negative: from the last
Spread = Annotated[float, Meta(ge=0, le=10)]
Above0 = Annotated[float, Meta(gt=0, le=1e12)]
Sampler = Literal["uniform", "random", "space_aware", "score", "adaptive"]
Pixels = Annotated[int, Meta(ge=0, le=1_000_000_000, extra={"unit": "pixels"})]


@dataclass(frozen=True, slots=True)
class TextConfig:
    """Sizes of the decoder; the defaults are those of Qwen2.5-VL-3B."""

    vocab_size: Positive = 151936
    hidden_size: Positive = 2048
    intermediate_size: Positive = 11008
    num_hidden_layers: Layers = 36
    num_attention_heads: Positive = 16
    num_key_value_heads: Positive = 2
    rms_norm_eps: Above0 = 1e-6
    rope_theta: Above0 = 1e6
    mrope_section: tuple[Count, Count, Count] = (16, 24, 24)
    tie_word_embeddings: bool = True
    max_position_embeddings: Positive = 128000
    initializer_range: Spread = 0.02

    def __post_init__(self) -> None:
        check_fields(self)
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} is not a multiple of "
                f"num_attention_heads {self.num_attention_heads}"
            )
        if self.num_attention_heads % self.num_key_value_heads:
            raise ValueError(
                f"num_attention_heads {self.num_attention_heads} is not a multiple of "
                f"num_key_value_heads {self.num_key_value_heads}"
            )
        half = self.hidden_size // self.num_attention_heads // 2
        if sum(self.mrope_section) != half:
            raise ValueError(
                f"mrope_section {self.mrope_section} must sum to head_dim / 2 = {half}"
            )


@dataclass(frozen=True, slots=True)
class VisionConfig:
    """Sizes of the 2-D tower; the defaults are those of Qwen2.5-VL-3B."""

    depth: Layers = 32
    hidden_size: Positive = 1280
    intermediate_size: Positive = 3420
    num_heads: Positive = 16
    in_channels: Positive = 3
    patch_size: Positive = 14
    temporal_patch_size: Positive = 2
    spatial_merge_size: Positive = 2
    window_size: Positive = 112
    fullatt_block_indexes: tuple[Layers, ...] = (7, 15, 23, 31)
    out_hidden_size: Positive = 2048
    tokens_per_second: Above0 = 2
    initializer_range: Spread = 0.02

    def __post_init__(self) -> None:
        check_fields(self)
        if self.hidden_size % (4 * self.num_heads):
            raise ValueError(
                f"the head size {self.hidden_size}/{self.num_heads} must be a multiple of 4: "
                "its halves turn with y and x"
            )


@dataclass(frozen=True, slots=True)
class SpatialEncoderConfig:
    """Sizes of the spatial encoder; the defaults are those of VGGT-1B.

    `position_range` is the spread of the patch positions in a model that starts from random
    weights; None = `initializer_range`, which is little beside what a patch itself brings.
    `matching` are the channels of descriptors that are compared with the first frame's, whose
    correlation is added to the patch tokens; None, as in public files, builds no such part.
    """

    img_size: Positive = 518
    patch_size: Positive = 14
    embed_dim: Positive = 1024
    depth: Layers = 24
    num_heads: Positive = 16
    mlp_ratio: Above0 = 4.0
    num_register_tokens: Count = 4
    layer_scale_init: Spread = 0.01
    rope_base: Above0 = 100.0
    patch_embed: Literal["dinov2", "conv"] = "dinov2"
    patch_embed_depth: Layers = 24
    patch_embed_heads: Positive = 16
    initializer_range: Spread = 0.02
    position_range: Spread | None = None
    matching: Positive | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        if self.embed_dim % (4 * self.num_heads):
            raise ValueError(
                f"the head size {self.embed_dim}/{self.num_heads} must be a multiple of 4: "
                "its halves turn with y and x"
            )
        if self.img_size % self.patch_size:
            raise ValueError(
                f"img_size {self.img_size} is not a multiple of patch_size {self.patch_size}"
            )
        if self.matching is not None and self.matching % 16:
            raise ValueError(f"matching {self.matching} is not a multiple of 16")

    @property
    def output_dim(self) -> int:
        """Channels of one spatial token: frame and global block outputs side by side."""
        return 2 * self.embed_dim


@dataclass(frozen=True, slots=True)
class ConnectorConfig:
    """How the spatial features reach the 2-D tokens.

    `layers` picks the aggregator's block pairs (-1 = the last); several are normed and summed with
    learned weights. `merge` makes one token of 2 x 2 x 2: "pixel_shuffle" (published) puts all
    channels side by side, "conv" learns `merge_dim` channels of each 2 x 2 (None = those of a
    spatial token) and puts the two frames side by side. `bottleneck` is the width between the two
    matrices (None = the merged width, as published). `initializer_range` is the spread of its
    matrices in a model that starts from random weights.
    """

    kind: Literal["none", "mlp_add", "gated", "concat", "cross_attention"] = "mlp_add"
    layers: Annotated[tuple[BlockPair, ...], Meta(min_length=1)] = (-1,)
    merge: Literal["pixel_shuffle", "conv"] = "pixel_shuffle"
    merge_dim: Positive | None = None
    bottleneck: Positive | None = None
    zero_init_last: bool = False
    initializer_range: Spread = 0.02

    def __post_init__(self) -> None:
        check_fields(self)
        if self.merge == "conv" and self.kind == "cross_attention":
            raise ValueError("cross_attention reads unmerged tokens: merge='conv' has no place")


@dataclass(frozen=True, slots=True)
class ProcessorConfig:
    """Pixels and time, one setting for training and inference.

    `resize="fit"` keeps the aspect and lands between min_pixels and max_pixels (multiples of 28);
    `resize="exact"` makes every image `width` x `height`. `nominal_fps` gives the time stride of
    a clip's frame pairs: temporal_patch_size / nominal_fps seconds a pair. A record that shows at
    least `clip_from` images of one walk is shown as one clip (0: never, as stills); of a longer
    clip `sampler` chooses `clip_frames` frames, "adaptive" perhaps fewer.
    """

    min_pixels: Pixels = 293_216
    max_pixels: Pixels = 324_576
    resize: Literal["fit", "exact"] = "fit"
    width: Pixels = 0
    height: Pixels = 0
    nominal_fps: Above0 = 4.0
    clip_frames: Positive = 16
    clip_from: Count = 0
    sampler: Sampler = "uniform"
    max_tokens: Positive = 8192

    def __post_init__(self) -> None:
        check_fields(self)
        if self.resize == "exact" and (
            min(self.width, self.height) < 28 or self.width % 28 or self.height % 28
        ):
            raise ValueError(
                "resize='exact' needs width and height in multiples of 28, "
                f"got {self.width}x{self.height}"
            )
        if self.resize == "fit" and not 784 <= self.min_pixels <= self.max_pixels:
            raise ValueError(
                f"need 784 <= min_pixels <= max_pixels, got {self.min_pixels} and {self.max_pixels}"
            )


@dataclass(frozen=True, slots=True)
class SpecialIds:
    """Token ids that the model itself must know; the defaults are Qwen2.5's."""

    image: Count = 151655
    video: Count = 151656
    vision_start: Count = 151652
    vision_end: Count = 151653
    pad: Count = 151643
    end: Count = 151645

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True)
class SpatialMLLMConfig:
    """The whole model; `spatial` is None exactly when the connector is "none"."""

    text: TextConfig = field(default_factory=TextConfig)
    vision: VisionConfig = field(default_factory=VisionConfig)
    spatial: SpatialEncoderConfig | None = field(default_factory=SpatialEncoderConfig)
    connector: ConnectorConfig = field(default_factory=ConnectorConfig)
    processor: ProcessorConfig = field(default_factory=ProcessorConfig)
    ids: SpecialIds = field(default_factory=SpecialIds)

    def __post_init__(self) -> None:
        check_fields(self)
        if (self.spatial is None) != (self.connector.kind == "none"):
            raise ValueError(
                "a spatial encoder is built exactly when the connector is not 'none'; "
                f"got connector {self.connector.kind!r} and spatial={self.spatial}"
            )
        if self.vision.out_hidden_size != self.text.hidden_size:
            raise ValueError(
                f"the tower's out_hidden_size {self.vision.out_hidden_size} must equal "
                f"the decoder's hidden_size {self.text.hidden_size}"
            )
        if self.spatial is None:
            return
        if self.spatial.patch_size != self.vision.patch_size:
            raise ValueError("both encoders must use one patch size")
        depth = self.spatial.depth
        if any(not -depth <= layer < depth for layer in self.connector.layers):
            raise ValueError(f"connector layers {self.connector.layers} of {depth}")

    def without_spatial_encoder(self) -> SpatialMLLMConfig:
        """The same model as a 2-D baseline: connector none."""
        return replace(self, spatial=None, connector=ConnectorConfig(kind="none"))

    def to_json(self) -> dict[str, Any]:
        """The flat published form, without the processor (it has its own file)."""
        text = asdict(self.text)
        section = list(text.pop("mrope_section"))
        flat: dict[str, Any] = {"model_type": MODEL_TYPE, **text}
        flat["rope_scaling"] = {"type": "mrope", "mrope_section": section}
        flat["vision_config"] = to_mapping(self.vision)
        flat["vision_config"]["in_chans"] = flat["vision_config"].pop("in_channels")
        flat["connector_config"] = {
            "connector_type": self.connector.kind,
            # One layer is written as public files have it.
            "spatial_embeds_layer_idx": (
                self.connector.layers[0]
                if len(self.connector.layers) == 1
                else list(self.connector.layers)
            ),
            "merge": self.connector.merge,
            "merge_dim": self.connector.merge_dim,
            "bottleneck": self.connector.bottleneck,
            "zero_init_last": self.connector.zero_init_last,
            "initializer_range": self.connector.initializer_range,
        }
        if self.spatial is not None:
            flat["spatial_config"] = {
                "model_type": "vggt_spatial_encoder",
                **to_mapping(self.spatial),
            }
        flat.update(
            image_token_id=self.ids.image,
            video_token_id=self.ids.video,
            vision_start_token_id=self.ids.vision_start,
            vision_end_token_id=self.ids.vision_end,
            pad_token_id=self.ids.pad,
            eos_token_id=self.ids.end,
        )
        return flat

    @staticmethod
    def from_json(
        flat: Mapping[str, Any],
        processor: ProcessorConfig | None = None,
        file: str = "config.json",
    ) -> SpatialMLLMConfig:
        """Read a published, a plain Qwen2.5-VL, or one of our own `config.json` objects.

        Args:
            flat: The object.
            processor: What `processor.json` beside it says; None = the published settings.
            file: Where the object is from, for errors.

        Raises:
            SettingsError: The model type is another one, or a value is wrong; keys that we do not
                know are others' and are passed over.
        """
        kind = flat.get("model_type")
        if kind not in (MODEL_TYPE, "qwen2_5_vl"):
            what = f"{kind!r} is neither {MODEL_TYPE!r} nor 'qwen2_5_vl'"
            raise SettingsError(file, "$.model_type", what)
        connector = _connector(flat, file) if kind == MODEL_TYPE else ConnectorConfig(kind="none")
        spatial = None
        if connector.kind != "none":
            values = _table(flat, "spatial_config", file)
            spatial = pick(SpatialEncoderConfig, values, file, "$.spatial_config")
        text, vision, ids = _text(flat, file), _vision(flat, file), _ids(flat, file)
        try:
            return SpatialMLLMConfig(
                text, vision, spatial, connector, processor or ProcessorConfig(), ids
            )
        except SettingsError:
            raise
        except ValueError as error:
            raise SettingsError(file, "$", str(error)) from error


def to_mapping(config: Any) -> dict[str, Any]:
    """A configuration dataclass as JSON takes it: tuples become lists."""
    return {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in asdict(config).items()
    }


def pick(cls: type[_Config], values: Mapping[str, Any], file: str, at: str = "$") -> _Config:
    """The known fields of `values`; files of others carry fields we do not need."""
    known = {f.name for f in fields(cls)}  # type: ignore[arg-type]
    given = {key: value for key, value in values.items() if key in known and value is not None}
    made: _Config = decode(cls, given, file, at)
    return made


def _table(values: Mapping[str, Any], key: str, file: str) -> dict[str, Any]:
    """The table under a key, {} where there is none."""
    found: dict[str, Any] | None = decode(
        Mapping[str, Any] | None, values.get(key), file, f"$.{key}"
    )
    return dict(found or {})


def _text(flat: Mapping[str, Any], file: str) -> TextConfig:
    nested = _table(flat, "text_config", file)
    values = {**flat, **nested}
    name = "rope_parameters" if values.get("rope_parameters") else "rope_scaling"
    rope = _table(values, name, file)
    values |= {key: rope[key] for key in ("mrope_section", "rope_theta") if key in rope}
    # The outer flag decides where both are given: newer files keep a stale inner one.
    if "tie_word_embeddings" in flat:
        values["tie_word_embeddings"] = flat["tie_word_embeddings"]
    return pick(TextConfig, values, file, "$.text_config" if nested else "$")


def _vision(flat: Mapping[str, Any], file: str) -> VisionConfig:
    values = _table(flat, "vision_config", file)
    if "in_chans" in values:
        values["in_channels"] = values.pop("in_chans")
    return pick(VisionConfig, values, file, "$.vision_config")


def _connector(flat: Mapping[str, Any], file: str) -> ConnectorConfig:
    values = _table(flat, "connector_config", file)
    layers = values.pop("spatial_embeds_layer_idx", None)
    if layers is not None:
        values["layers"] = layers if isinstance(layers, list) else [layers]
    if "connector_type" in values:
        values["kind"] = values.pop("connector_type")
    return pick(ConnectorConfig, values, file, "$.connector_config")


def _ids(flat: Mapping[str, Any], file: str) -> SpecialIds:
    names = {
        "image": "image_token_id",
        "video": "video_token_id",
        "vision_start": "vision_start_token_id",
        "vision_end": "vision_end_token_id",
        "pad": "pad_token_id",
        "end": "eos_token_id",
    }
    found = {key: flat[name] for key, name in names.items() if name in flat}
    if isinstance(found.get("end"), list) and found["end"]:
        found["end"] = found["end"][0]
    return pick(SpecialIds, found, file)
