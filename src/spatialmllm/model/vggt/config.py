# SPDX-License-Identifier: Apache-2.0
"""Sizes of the spatial encoder's heads, and its `config.json` where it stands alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from spatialcore.settings import Positive, check_fields, decode
from spatialmllm.config import Layers, SpatialEncoderConfig, pick, to_mapping

HEADS = ("camera", "depth", "point")


@dataclass(frozen=True, slots=True)
class HeadsConfig:
    """Sizes of the spatial encoder's heads; the defaults are those of VGGT-1B.

    `layers` are the four block pairs whose tokens the dense heads read, shallow to deep; `channels`
    their widths after projection, `features` the width of the fused maps.
    """

    camera_depth: Layers = 4
    camera_heads: Positive = 16
    camera_rounds: Positive = 4
    layers: tuple[Layers, Layers, Layers, Layers] = (4, 11, 17, 23)
    channels: tuple[Positive, Positive, Positive, Positive] = (256, 512, 1024, 1024)
    features: Positive = 256

    def __post_init__(self) -> None:
        check_fields(self)
        if any(width % 4 for width in (*self.channels, self.features // 2)):
            raise ValueError(
                f"channels {self.channels} and half of features {self.features} must be multiples "
                "of 4: sine and cosine of x and y"
            )


@dataclass(frozen=True, slots=True)
class VGGTConfig:
    """The spatial encoder with its heads, as a checkpoint of its own."""

    encoder: SpatialEncoderConfig = field(default_factory=SpatialEncoderConfig)
    heads: HeadsConfig = field(default_factory=HeadsConfig)

    def to_json(self) -> dict[str, Any]:
        """The encoder's sizes at the top level, as public files have them, and `heads`."""
        return {"model_type": "vggt", **to_mapping(self.encoder), "heads": to_mapping(self.heads)}

    @staticmethod
    def from_json(flat: Mapping[str, Any], file: str = "config.json") -> VGGTConfig:
        """Read the `config.json` of a VGGT checkpoint, or of a model that holds one."""
        at = "$.spatial_config" if "spatial_config" in flat else "$"
        encoder = decode(Mapping[str, Any], flat.get("spatial_config", flat), file, at)
        heads = decode(Mapping[str, Any], flat.get("heads", {}), file, "$.heads")
        return VGGTConfig(
            pick(SpatialEncoderConfig, encoder, file, at),
            pick(HeadsConfig, heads, file, "$.heads"),
        )
