# SPDX-License-Identifier: Apache-2.0
"""The whole spatial encoder with its heads: geometry of all frames in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from spatialmllm.model.vggt.aggregator import Aggregator
from spatialmllm.model.vggt.cameras import decode_cameras
from spatialmllm.model.vggt.config import HEADS, VGGTConfig
from spatialmllm.model.vggt.heads import build_camera_head, build_depth_head, build_point_head


class Geometry(NamedTuple):
    """What the heads say about B contexts of S frames; None for a head that was not asked.

    The world is the camera of each context's first frame; lengths share one unknown scale.

    Attributes:
        cam_from_world: (B, S, 4, 4).
        K: (B, S, 3, 3) pixels of the frames as given.
        depth: (B, S, H, W).
        depth_confidence: (B, S, H, W), at least 1.
        points_world: (B, S, H, W, 3), of the point head.
        points_confidence: (B, S, H, W), at least 1.
    """

    cam_from_world: Tensor | None
    K: Tensor | None
    depth: Tensor | None
    depth_confidence: Tensor | None
    points_world: Tensor | None
    points_confidence: Tensor | None


class VGGT(nn.Module):
    """Aggregator with camera, depth and point head (VGGT, arXiv 2503.11651).

    Args:
        config: Sizes.
        heads: Which heads to build: "camera", "depth", "point".

    Raises:
        ValueError: An unknown head.
    """

    def __init__(self, config: VGGTConfig, heads: Sequence[str] = HEADS) -> None:
        super().__init__()
        if unknown := set(heads) - set(HEADS):
            raise ValueError(f"unknown heads {sorted(unknown)}; known: {', '.join(HEADS)}")
        self.config = config
        self.aggregator = Aggregator(config.encoder)
        build = {
            "camera": build_camera_head,
            "depth": build_depth_head,
            "point": build_point_head,
        }
        for name in HEADS:
            head = build[name](config.encoder, config.heads) if name in heads else None
            self.add_module(f"{name}_head", head)

    @property
    def heads(self) -> tuple[str, ...]:
        """Names of the heads that are built."""
        return tuple(name for name in HEADS if getattr(self, f"{name}_head") is not None)

    def forward(self, frames: Tensor, heads: Sequence[str] | None = None) -> Geometry:
        """Geometry of contexts.

        Args:
            frames: (B, S, 3, H, W) in [0, 1]; H and W are multiples of the patch size.
            heads: Heads to run; None = all that are built.

        Raises:
            ValueError: A head that was asked for is not built.
        """
        asked = self.heads if heads is None else tuple(heads)
        if missing := set(asked) - set(self.heads):
            raise ValueError(f"heads {sorted(missing)} are not built")
        height, width = frames.shape[-2:]
        layers = (*self.config.heads.layers, -1)
        (tokens,) = self.aggregator([frames], layers)
        start = self.aggregator.patch_start
        patches = [layer[:, :, start:] for layer in tokens[:-1]]
        cam_from_world = K = depth = depth_confidence = points = points_confidence = None
        if "camera" in asked:
            first = tokens[-1][:, :, 0].to(self.camera_head.embed_pose.weight.dtype)
            encoding = self.camera_head(first)[-1].float()
            cam_from_world, K = decode_cameras(encoding, height, width)
        if "depth" in asked:
            values, depth_confidence = self.depth_head(patches, height, width)
            depth = values.squeeze(-1)
        if "point" in asked:
            points, points_confidence = self.point_head(patches, height, width)
        return Geometry(cam_from_world, K, depth, depth_confidence, points, points_confidence)

    def reset(self, seed: int = 0) -> VGGT:
        """Initialise every parameter from `seed` alone; see `SpatialMLLM.reset`."""
        generator = torch.Generator().manual_seed(seed)
        encoder = self.config.encoder
        for name, parameter in self.named_parameters():
            with torch.no_grad():
                if name.endswith("gamma"):
                    scale = 1.0 if ".patch_embed." in name else encoder.layer_scale_init
                    parameter.fill_(scale)
                elif parameter.ndim < 2:
                    parameter.fill_(1.0 if name.endswith(".weight") else 0.0)
                else:
                    std = encoder.initializer_range
                    values = torch.empty(parameter.shape).normal_(std=std, generator=generator)
                    parameter.copy_(values)
        return self
