# SPDX-License-Identifier: Apache-2.0
"""Transformer layers of the spatial encoder; parameter names are those of the public files."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Rotation tables: cosine and sine, each (tokens, head size), broadcast over batch and heads.
Rotation = tuple[Tensor, Tensor]


def rotation_2d(positions: Tensor, head_dim: int, base: float) -> Rotation:
    """Tables of the two-dimensional rotary embedding.

    The first half of a head turns with y, the second with x; in a half of size m the angle of
    channel pair (k, k + m/2) is position * base**(-2 k / m).

    Args:
        positions: (tokens, 2) integers, (y, x).
        head_dim: Channels of one head, a multiple of 4.
        base: Base of the frequencies.

    Returns:
        cos, sin: (tokens, head_dim) float32.
    """
    half = head_dim // 2
    exponent = torch.arange(0, half, 2, device=positions.device, dtype=torch.float32) / half
    angles = positions.to(torch.float32)[..., None] * base**-exponent  # (tokens, 2, half / 2)
    angles = torch.cat([angles, angles], dim=-1).flatten(-2)  # y half, then x half
    return angles.cos(), angles.sin()


def rotate(x: Tensor, rotation: Rotation) -> Tensor:
    """Turn the heads of `x` (..., tokens, head_dim) by the tables of `rotation_2d`."""
    cos, sin = (table.to(x.dtype) for table in rotation)
    halves = x.unflatten(-1, (2, 2, -1))  # (y | x, first | second, head_dim / 4)
    turned = torch.stack([-halves[..., 1, :], halves[..., 0, :]], dim=-2).flatten(-3)
    return x * cos + turned * sin


class Attention(nn.Module):
    """Self-attention with one fused qkv matrix, optional per-head LayerNorm and rotation."""

    def __init__(self, dim: int, heads: int, *, qk_norm: bool) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.q_norm: nn.Module = nn.LayerNorm(dim // heads) if qk_norm else nn.Identity()
        self.k_norm: nn.Module = nn.LayerNorm(dim // heads) if qk_norm else nn.Identity()
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, rotation: Rotation | None = None) -> Tensor:
        """(B, tokens, C) -> (B, tokens, C)."""
        batch, tokens, dim = x.shape
        qkv = self.qkv(x).view(batch, tokens, 3, self.heads, dim // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (B, heads, tokens, head_dim)
        q, k = self.q_norm(q), self.k_norm(k)
        if rotation is not None:
            q, k = rotate(q, rotation), rotate(k, rotation)
        mixed = F.scaled_dot_product_attention(q, k, v)
        return self.proj(mixed.transpose(1, 2).reshape(batch, tokens, dim))


class LayerScale(nn.Module):
    """A learned factor for each channel of a residual branch."""

    def __init__(self, dim: int, init: float) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((dim,), init))

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., C)."""
        return x * self.gamma


class Mlp(nn.Module):
    """Linear, GELU (erf), Linear."""

    def __init__(self, dim: int, hidden: int, out: int | None = None) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim if out is None else out)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., out)."""
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    """Pre-norm transformer block with LayerScale on both branches."""

    def __init__(
        self,
        dim: int,
        heads: int,
        *,
        mlp_ratio: float = 4.0,
        qk_norm: bool = False,
        norm_eps: float = 1e-5,
        layer_scale: float = 0.01,
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=norm_eps)
        self.attn = Attention(dim, heads, qk_norm=qk_norm)
        self.ls1 = LayerScale(dim, layer_scale)
        self.norm2 = nn.LayerNorm(dim, eps=norm_eps)
        self.mlp = Mlp(dim, int(dim * mlp_ratio))
        self.ls2 = LayerScale(dim, layer_scale)

    def forward(
        self, groups: Sequence[Tensor], rotations: Sequence[Rotation | None] | None = None
    ) -> list[Tensor]:
        """Run on groups of different shape in one call.

        One call a layer, whatever came: processes that share a sharded block must all enter it
        equally often, and their contexts differ.

        Args:
            groups: Tensors (B, tokens, C).
            rotations: Tables for each group; None = no rotation.

        Returns:
            Tensors of the same shapes.
        """
        tables = [None] * len(groups) if rotations is None else rotations
        return [self._run(x, table) for x, table in zip(groups, tables, strict=True)]

    def _run(self, x: Tensor, rotation: Rotation | None) -> Tensor:
        x = x + self.ls1(self.attn(self.norm1(x), rotation))
        return x + self.ls2(self.mlp(self.norm2(x)))
