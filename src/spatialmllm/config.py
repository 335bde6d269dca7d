# SPDX-License-Identifier: Apache-2.0
"""Sizes and settings of the model, and their flat JSON form (`config.json`).

The JSON follows the published layout: the text sizes lie at the top level, `vision_config`,
`spatial_config` and `connector_config` are nested. A plain Qwen2.5-VL `config.json` is accepted
too, in its flat and in its nested (`text_config`) form; it gives a model without spatial encoder.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, TypeVar

MODEL_TYPE = "spatial-mllm"
CONNECTORS = ("none", "mlp_add", "gated", "concat", "cross_attention")
MERGES = ("pixel_shuffle", "conv")
_Config = TypeVar("_Config")


@dataclass(frozen=True, slots=True)
class TextConfig:
    """Sizes of the decoder; the defaults are those of Qwen2.5-VL-3B."""

    vocab_size: int = 151936
    hidden_size: int = 2048
    intermediate_size: int = 11008
    num_hidden_layers: int = 36
    num_attention_heads: int = 16
    num_key_value_heads: int = 2
    rms_norm_eps: float = 1e-6
    rope_theta: float = 1e6
    mrope_section: tuple[int, int, int] = (16, 24, 24)
    tie_word_embeddings: bool = True
    max_position_embeddings: int = 128000
    initializer_range: float = 0.02

    def __post_init__(self) -> None:
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} is not a multiple of "
                f"num_attention_heads {self.num_attention_heads}"
            )
        half = self.hidden_size // self.num_attention_heads // 2
        if sum(self.mrope_section) != half:
            raise ValueError(
                f"mrope_section {self.mrope_section} must sum to head_dim / 2 = {half}"
            )


@dataclass(frozen=True, slots=True)
class VisionConfig:
    """Sizes of the 2-D tower; the defaults are those of Qwen2.5-VL-3B."""

    depth: int = 32
    hidden_size: int = 1280
    intermediate_size: int = 3420
    num_heads: int = 16
    in_channels: int = 3
    patch_size: int = 14
    temporal_patch_size: int = 2
    spatial_merge_size: int = 2
    window_size: int = 112
    fullatt_block_indexes: tuple[int, ...] = (7, 15, 23, 31)
    out_hidden_size: int = 2048
    tokens_per_second: float = 2
    initializer_range: float = 0.02


@dataclass(frozen=True, slots=True)
class SpatialEncoderConfig:
    """Sizes of the spatial encoder; the defaults are those of VGGT-1B.

    `position_range` is the spread of the patch positions in a model that starts from random
    weights; None = `initializer_range`, which is little beside what a patch itself brings.
    """

    img_size: int = 518
    patch_size: int = 14
    embed_dim: int = 1024
    depth: int = 24
    num_heads: int = 16
    mlp_ratio: float = 4.0
    num_register_tokens: int = 4
    layer_scale_init: float = 0.01
    rope_base: float = 100.0
    patch_embed: Literal["dinov2", "conv"] = "dinov2"
    patch_embed_depth: int = 24
    patch_embed_heads: int = 16
    initializer_range: float = 0.02
    position_range: float | None = None

    def __post_init__(self) -> None:
        if self.embed_dim % (4 * self.num_heads):
            raise ValueError(
                f"the head size {self.embed_dim}/{self.num_heads} must be a multiple of 4: "
                "its halves turn with y and x"
            )
        if self.img_size % self.patch_size:
            raise ValueError(
                f"img_size {self.img_size} is not a multiple of patch_size {self.patch_size}"
            )

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

    kind: str = "mlp_add"
    layers: tuple[int, ...] = (-1,)
    merge: Literal["pixel_shuffle", "conv"] = "pixel_shuffle"
    merge_dim: int | None = None
    bottleneck: int | None = None
    zero_init_last: bool = False
    initializer_range: float = 0.02

    def __post_init__(self) -> None:
        if self.kind not in CONNECTORS:
            raise ValueError(f"connector must be one of {', '.join(CONNECTORS)}, got {self.kind!r}")
        if not self.layers or len(set(self.layers)) != len(self.layers):
            raise ValueError(f"connector layers must be distinct, at least one, got {self.layers}")
        if self.merge not in MERGES:
            raise ValueError(f"merge must be one of {', '.join(MERGES)}, got {self.merge!r}")
        if self.merge == "conv" and self.kind == "cross_attention":
            raise ValueError("cross_attention reads unmerged tokens: merge='conv' has no place")


@dataclass(frozen=True, slots=True)
class ProcessorConfig:
    """Pixels and time, one setting for training and inference.

    `resize="fit"` keeps the aspect and lands between min_pixels and max_pixels (multiples of 28);
    `resize="exact"` makes every image `width` x `height`. `nominal_fps` gives the time stride of
    a clip's frame pairs: temporal_patch_size / nominal_fps seconds a pair.
    """

    min_pixels: int = 293_216
    max_pixels: int = 324_576
    resize: Literal["fit", "exact"] = "fit"
    width: int = 0
    height: int = 0
    nominal_fps: float = 4.0
    clip_frames: int = 16
    max_tokens: int = 8192

    def __post_init__(self) -> None:
        if self.resize not in ("fit", "exact"):
            raise ValueError(f"resize must be 'fit' or 'exact', got {self.resize!r}")
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

    image: int = 151655
    video: int = 151656
    vision_start: int = 151652
    vision_end: int = 151653
    pad: int = 151643
    end: int = 151645


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
        flat: Mapping[str, Any], processor: ProcessorConfig | None = None
    ) -> SpatialMLLMConfig:
        """Read a published, a plain Qwen2.5-VL, or one of our own `config.json` objects.

        Args:
            flat: The object.
            processor: What `processor.json` beside it says; None = the published settings.

        Raises:
            ValueError: The model type is another one, or a value is out of range.
        """
        kind = flat.get("model_type")
        if kind not in (MODEL_TYPE, "qwen2_5_vl"):
            raise ValueError(f"model_type must be {MODEL_TYPE!r} or 'qwen2_5_vl', got {kind!r}")
        connector = _connector(flat) if kind == MODEL_TYPE else ConnectorConfig(kind="none")
        spatial = None
        if connector.kind != "none":
            spatial = pick(SpatialEncoderConfig, flat.get("spatial_config", {}))
        return SpatialMLLMConfig(
            text=_text(flat),
            vision=_vision(flat),
            spatial=spatial,
            connector=connector,
            processor=ProcessorConfig() if processor is None else processor,
            ids=_ids(flat),
        )


def from_mapping(cls: type[_Config], values: Mapping[str, Any], where: str) -> _Config:
    """Build a configuration dataclass; an unknown key is an error that names the nearest one."""
    names = [f.name for f in fields(cls)]  # type: ignore[arg-type]
    for key in values:
        if key not in names:
            near = difflib.get_close_matches(key, names, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(names)}"
            raise ValueError(f"{where}: unknown key {key!r}{hint}")
    return cls(**{key: _frozen(value) for key, value in values.items()})


def _frozen(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def to_mapping(config: Any) -> dict[str, Any]:
    """A configuration dataclass as JSON takes it: tuples become lists."""
    return {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in asdict(config).items()
    }


def pick(cls: type[_Config], values: Mapping[str, Any]) -> _Config:
    """The known fields of `values`; files of others carry fields we do not need."""
    known = {f.name for f in fields(cls)}  # type: ignore[arg-type]
    return cls(**{k: _frozen(v) for k, v in values.items() if k in known and v is not None})


def _text(flat: Mapping[str, Any]) -> TextConfig:
    values = dict(flat.get("text_config") or {})
    values = {**{k: v for k, v in flat.items() if k not in ("text_config",)}, **values}
    rope = values.get("rope_parameters") or values.get("rope_scaling") or {}
    if "mrope_section" in rope:
        values["mrope_section"] = tuple(rope["mrope_section"])
    if "rope_theta" in rope:
        values["rope_theta"] = rope["rope_theta"]
    # The outer flag decides where both are given: newer files keep a stale inner one.
    if "tie_word_embeddings" in flat:
        values["tie_word_embeddings"] = flat["tie_word_embeddings"]
    return pick(TextConfig, values)


def _vision(flat: Mapping[str, Any]) -> VisionConfig:
    values = dict(flat.get("vision_config") or {})
    if "in_chans" in values:
        values["in_channels"] = values.pop("in_chans")
    return pick(VisionConfig, values)


def _connector(flat: Mapping[str, Any]) -> ConnectorConfig:
    values = dict(flat.get("connector_config") or {})
    layers = values.get("spatial_embeds_layer_idx", -1)
    return ConnectorConfig(
        kind=values.get("connector_type", "mlp_add"),
        layers=tuple(layers) if isinstance(layers, list) else (int(layers),),
        merge=values.get("merge", "pixel_shuffle"),
        merge_dim=values.get("merge_dim"),
        bottleneck=values.get("bottleneck"),
        zero_init_last=bool(values.get("zero_init_last", False)),
        initializer_range=float(values.get("initializer_range", 0.02)),
    )


def _ids(flat: Mapping[str, Any]) -> SpecialIds:
    names = {
        "image": "image_token_id",
        "video": "video_token_id",
        "vision_start": "vision_start_token_id",
        "vision_end": "vision_end_token_id",
        "pad": "pad_token_id",
        "end": "eos_token_id",
    }
    found = {key: flat[name] for key, name in names.items() if flat.get(name) is not None}
    if isinstance(found.get("end"), list):
        found["end"] = found["end"][0]
    return SpecialIds(**found)
