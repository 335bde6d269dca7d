# SPDX-License-Identifier: Apache-2.0
"""From pixels to patch tokens: a DINOv2 vision transformer with registers, or one convolution."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spatialmllm.config import SpatialEncoderConfig
from spatialmllm.model.vggt.layers import Block

_NORM_EPS = 1e-6


class PatchProjection(nn.Module):
    """One convolution whose stride is the patch size."""

    def __init__(self, dim: int, patch_size: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, kernel_size=patch_size, stride=patch_size)

    def forward(self, groups: Sequence[Tensor]) -> list[Tensor]:
        """(n, 3, H, W) -> (n, H/p * W/p, C), row-major, for each group."""
        return [self.proj(frames).flatten(2).transpose(1, 2) for frames in groups]


class DinoPatchEmbed(nn.Module):
    """DINOv2 with register tokens; returns the normalised patch tokens alone."""

    def __init__(self, config: SpatialEncoderConfig) -> None:
        super().__init__()
        dim = config.embed_dim
        self.grid = config.img_size // config.patch_size
        self.patch_size = config.patch_size
        self.patch_embed = PatchProjection(dim, config.patch_size)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, self.grid**2 + 1, dim))
        self.register_tokens = nn.Parameter(torch.zeros(1, config.num_register_tokens, dim))
        # Stored in the public files, used in DINOv2's own training only.
        self.mask_token = nn.Parameter(torch.zeros(1, dim), requires_grad=False)
        self.blocks = nn.ModuleList(
            Block(
                dim,
                config.patch_embed_heads,
                mlp_ratio=config.mlp_ratio,
                norm_eps=_NORM_EPS,
                layer_scale=1.0,
            )
            for _ in range(config.patch_embed_depth)
        )
        self.norm = nn.LayerNorm(dim, eps=_NORM_EPS)

    def position_embedding(self, rows: int, columns: int) -> Tensor:
        """Learned positions (1, rows * columns, C), resampled bicubically from the stored grid."""
        stored = self.pos_embed[:, 1:]
        if (rows, columns) == (self.grid, self.grid):
            return stored
        grid = stored.float().reshape(1, self.grid, self.grid, -1).permute(0, 3, 1, 2)
        grid = F.interpolate(grid, size=(rows, columns), mode="bicubic", antialias=True)
        return grid.flatten(2).transpose(1, 2).to(stored.dtype)

    def forward(self, groups: Sequence[Tensor]) -> list[Tensor]:
        """(n, 3, H, W), normalised -> (n, H/p * W/p, C), for each group."""
        patches = self.patch_embed(groups)
        x = [self._tokens(f, p) for f, p in zip(groups, patches, strict=True)]
        for block in self.blocks:
            x = block(x)
        start = 1 + self.register_tokens.shape[1]
        return [self.norm(tokens)[:, start:] for tokens in x]

    def _tokens(self, frames: Tensor, patches: Tensor) -> Tensor:
        """Class token, registers and placed patches: (n, 1 + registers + patches, C)."""
        count, _, height, width = frames.shape
        rows, columns = height // self.patch_size, width // self.patch_size
        placed = patches + self.position_embedding(rows, columns)
        cls = (self.cls_token + self.pos_embed[:, :1]).expand(count, -1, -1)
        return torch.cat([cls, self.register_tokens.expand(count, -1, -1), placed], dim=1)


def build_patch_embed(config: SpatialEncoderConfig) -> nn.Module:
    """The patch embedding that the configuration names."""
    if config.patch_embed == "conv":
        return PatchProjection(config.embed_dim, config.patch_size)
    return DinoPatchEmbed(config)
