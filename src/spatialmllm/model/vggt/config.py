# SPDX-License-Identifier: Apache-2.0
"""Sizes of the spatial encoder's heads, and its `config.json` where it stands alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from spatialmllm.config import SpatialEncoderConfig, pick, to_mapping

HEADS = ("camera", "depth", "point")


@dataclass(frozen=True, slots=True)
class HeadsConfig:
    """Sizes of the spatial encoder's heads; the defaults are those of VGGT-1B.

    `layers` are the four block pairs whose tokens the dense heads read, shallow to deep; `channels`
    their widths after projection, `features` the width of the fused maps.
    """

    camera_depth: int = 4
    camera_heads: int = 16
    camera_rounds: int = 4
    layers: tuple[int, ...] = (4, 11, 17, 23)
    channels: tuple[int, ...] = (256, 512, 1024, 1024)
    features: int = 256

    def __post_init__(self) -> None:
        if len(self.layers) != 4 or len(self.channels) != 4:
            raise ValueError(
                f"the dense heads read four layers, got {self.layers} and {self.channels}"
            )
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
    def from_json(flat: Mapping[str, Any]) -> VGGTConfig:
        """Read the `config.json` of a VGGT checkpoint, or of a model that holds one."""
        encoder = flat.get("spatial_config", flat)
        return VGGTConfig(
            pick(SpatialEncoderConfig, encoder), pick(HeadsConfig, flat.get("heads", {}))
        )
