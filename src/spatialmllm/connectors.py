# SPDX-License-Identifier: Apache-2.0
"""Connectors: how merged spatial features reach the 2-D visual tokens."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spatialmllm.config import SpatialMLLMConfig

_EPS = 1e-6


class RMSNorm(nn.Module):
    """Root-mean-square norm with a learned weight; statistics in float32."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., C)."""
        wide = x.float()
        normed = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + _EPS)
        return self.weight * normed.to(x.dtype)


class MlpAdd(nn.Module):
    """y = x + W2 GELU(W1 RMSNorm(s)): the published connector, without gate or final norm."""

    def __init__(self, merged: int, bottleneck: int, out: int, *, zero_init_last: bool) -> None:
        super().__init__()
        self.ln_q = RMSNorm(merged)
        self.mlp = nn.Sequential(
            nn.Linear(merged, bottleneck), nn.GELU(), nn.Linear(bottleneck, out)
        )
        self.zero_init_last = zero_init_last

    def reset(self, generator: torch.Generator | None = None) -> None:
        """The published initialisation: W ~ N(0, 0.02), biases 0."""
        for layer in (self.mlp[0], self.mlp[2]):
            nn.init.normal_(layer.weight, std=0.02, generator=generator)
            nn.init.zeros_(layer.bias)
        nn.init.ones_(self.ln_q.weight)
        if self.zero_init_last:
            nn.init.zeros_(self.mlp[2].weight)

    def forward(self, visual: Tensor, merged: Tensor) -> Tensor:
        """Add the projected features.

        Args:
            visual: (N, d), the tower's tokens.
            merged: (N, 8 D), the merged spatial features of the same tokens.

        Returns:
            (N, d).
        """
        hidden = F.gelu(self.mlp[0](self.ln_q(merged)))
        return visual + self.mlp[2](hidden)


def build_connector(config: SpatialMLLMConfig) -> MlpAdd | None:
    """The connector that the configuration names; None for "none"."""
    if config.spatial is None:
        return None
    merged = 8 * config.spatial.output_dim
    bottleneck = config.connector.bottleneck or merged
    return MlpAdd(
        merged,
        bottleneck,
        config.text.hidden_size,
        zero_init_last=config.connector.zero_init_last,
    )
