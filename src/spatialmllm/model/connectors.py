# SPDX-License-Identifier: Apache-2.0
"""Connectors: how spatial features reach the 2-D visual tokens.

| name              | y                                                        | at the start    |
|-------------------|----------------------------------------------------------|-----------------|
| `mlp_add`         | x + W2 GELU(W1 RMSNorm(s))                               | W ~ N(0, std)   |
| `gated`           | x + sigmoid(w z + b) z, z = W2 GELU(W1 RMSNorm(s))       | y = x           |
| `concat`          | x + V2 GELU(V1 [x ; W2 GELU(W1 RMSNorm(s))])             | y = x           |
| `cross_attention` | a + M(LN a), a = x + A(LN x, LN(W f))                    | y = x           |

x are the tower's tokens, s the merged spatial features of the same tokens, f the unmerged spatial
tokens of the same pair of frames. Features of several layers of the encoder are mixed first
(`LayerMix`); s comes from `pixel_shuffle` or, learned, from `ConvMerge`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spatialmllm.config import SpatialMLLMConfig
from spatialmllm.model.merge import pixel_shuffle

_EPS = 1e-6
_HEADS = 8
_MLP_RATIO = 4


class PairedFeatures(NamedTuple):
    """Spatial features of one context: (2 t, h * w, D), with h and w in patches."""

    features: Tensor
    height: int
    width: int

    def merged(self) -> Tensor:
        """(t * h/2 * w/2, 8 D)."""
        return pixel_shuffle(self.features, self.height, self.width)


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


class LayerMix(nn.Module):
    """Several layers as one: the sum of their norms, weighted by a softmax that starts equal."""

    def __init__(self, dim: int, count: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(RMSNorm(dim) for _ in range(count))
        self.logits = nn.Parameter(torch.zeros(count))

    def forward(self, layers: Sequence[Tensor]) -> Tensor:
        """Layers of one shape (..., D) -> (..., D)."""
        shares = self.logits.float().softmax(dim=0)
        normed = [norm(x) for norm, x in zip(self.norms, layers, strict=True)]
        mixed = normed[0] * shares[0].to(normed[0].dtype)
        for x, share in zip(normed[1:], shares[1:], strict=True):
            mixed = mixed + x * share.to(x.dtype)
        return mixed


class ConvMerge(nn.Module):
    """One token of 2 x 2 x 2: a convolution and a norm on each frame, then the pair side by side.

    The channels of the pair's first frame come first.
    """

    def __init__(self, dim: int, out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(dim, out, kernel_size=2, stride=2)
        self.norm = nn.LayerNorm(out)

    def forward(self, context: PairedFeatures) -> Tensor:
        """Features of a context -> (t * h/2 * w/2, 2 out)."""
        features, height, width = context
        maps = features.to(self.conv.weight.dtype).transpose(1, 2)
        merged = self.conv(maps.unflatten(-1, (height, width))).flatten(2).transpose(1, 2)
        pairs = self.norm(merged).unflatten(0, (-1, 2))  # (t, pair, h/2 * w/2, out)
        return pairs.transpose(1, 2).flatten(2).flatten(0, 1)


class Connector(nn.Module):
    """Base of all connectors; called with the tower's tokens and the features of their contexts.

    `mix` joins the encoder's layers before (None: one layer is used as it is); `init_std` is the
    spread of the matrices that `reset` draws.
    """

    def __init__(self) -> None:
        super().__init__()
        self.mix: LayerMix | None = None
        self.init_std = 0.02

    def reset(self, generator: torch.Generator | None = None) -> None:
        """Matrices N(0, init_std), biases 0, norms 1; then what `zeroed` names is set to zero."""
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                nn.init.normal_(module.weight, std=self.init_std, generator=generator)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, RMSNorm | nn.LayerNorm):
                nn.init.ones_(module.weight)
                if isinstance(module, nn.LayerNorm) and module.bias is not None:
                    nn.init.zeros_(module.bias)
        if self.mix is not None:
            nn.init.zeros_(self.mix.logits)
        for layer in self.zeroed():
            nn.init.zeros_(layer.weight)

    def zeroed(self) -> list[nn.Linear]:
        """Layers that start at zero, so that the model starts as its base model."""
        return []


class MergedConnector(Connector, ABC):
    """A connector that takes one merged spatial feature for each token.

    `merge` makes them; None is the parameter-free `pixel_shuffle`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.merge: ConvMerge | None = None

    def forward(self, visual: Tensor, contexts: Sequence[PairedFeatures]) -> Tensor:
        """Bring the features of the contexts into the tokens.

        Args:
            visual: (N, d), the tower's tokens, context after context.
            contexts: Features of the same media in the same order.

        Returns:
            (N, d).
        """
        join = PairedFeatures.merged if self.merge is None else self.merge
        merged = torch.cat([join(context) for context in contexts])
        return self.add(visual, merged.to(visual.dtype))

    @abstractmethod
    def add(self, visual: Tensor, merged: Tensor) -> Tensor:
        """The connector's formula: (N, d), (N, merged) -> (N, d)."""


def _mlp(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.GELU(), nn.Linear(hidden, outputs))


class MlpAdd(MergedConnector):
    """y = x + W2 GELU(W1 RMSNorm(s)): the published connector, without gate or final norm."""

    def __init__(self, merged: int, bottleneck: int, out: int, *, zero_init_last: bool) -> None:
        super().__init__()
        self.ln_q = RMSNorm(merged)
        self.mlp = _mlp(merged, bottleneck, out)
        self._zero_init_last = zero_init_last

    def zeroed(self) -> list[nn.Linear]:
        """The last matrix, if it was asked for: the published one starts random."""
        return [self.mlp[2]] if self._zero_init_last else []

    def add(self, visual: Tensor, merged: Tensor) -> Tensor:
        """(N, d), (N, merged) -> (N, d)."""
        return visual + self.mlp(self.ln_q(merged))


class Gated(MergedConnector):
    """y = x + g z with one gate a token; the last matrix of z starts at zero, the gate at 1/2.

    A gate that starts closed instead would starve its own gradient.
    """

    def __init__(self, merged: int, bottleneck: int, out: int) -> None:
        super().__init__()
        self.ln_q = RMSNorm(merged)
        self.mlp = _mlp(merged, bottleneck, out)
        self.gate = nn.Linear(out, 1)

    def zeroed(self) -> list[nn.Linear]:
        """The last matrix of the MLP."""
        return [self.mlp[2]]

    def add(self, visual: Tensor, merged: Tensor) -> Tensor:
        """(N, d), (N, merged) -> (N, d)."""
        z = self.mlp(self.ln_q(merged))
        return visual + torch.sigmoid(self.gate(z)) * z


class Concat(MergedConnector):
    """y = x + V2 GELU(V1 [x ; z]), z the projected features; V2 starts at zero."""

    def __init__(self, merged: int, bottleneck: int, out: int) -> None:
        super().__init__()
        self.ln_q = RMSNorm(merged)
        self.mlp = _mlp(merged, bottleneck, out)
        self.fuse = _mlp(2 * out, out, out)

    def zeroed(self) -> list[nn.Linear]:
        """The last matrix of the fusing MLP."""
        return [self.fuse[2]]

    def add(self, visual: Tensor, merged: Tensor) -> Tensor:
        """(N, d), (N, merged) -> (N, d)."""
        z = self.mlp(self.ln_q(merged))
        return visual + self.fuse(torch.cat([visual, z], dim=-1))


class CrossAttention(Connector):
    """Each visual token asks the unmerged spatial tokens of its own pair of frames."""

    def __init__(self, spatial: int, out: int) -> None:
        super().__init__()
        if out % _HEADS:
            raise ValueError(f"the decoder's width {out} is not a multiple of {_HEADS} heads")
        self.project = nn.Linear(spatial, out, bias=False)
        self.query_norm, self.key_norm = nn.LayerNorm(out), nn.LayerNorm(out)
        self.query = nn.Linear(out, out, bias=False)
        self.key_value = nn.Linear(out, 2 * out, bias=False)
        self.out = nn.Linear(out, out, bias=False)
        self.mlp_norm = nn.LayerNorm(out)
        self.mlp = nn.Sequential(
            nn.Linear(out, _MLP_RATIO * out, bias=False),
            nn.GELU(),
            nn.Linear(_MLP_RATIO * out, out, bias=False),
        )

    def zeroed(self) -> list[nn.Linear]:
        """Both output projections."""
        return [self.out, self.mlp[2]]

    def forward(self, visual: Tensor, contexts: Sequence[PairedFeatures]) -> Tensor:
        """As in `MergedConnector.forward`; no token sees another pair of frames."""
        made: list[Tensor] = []
        at = 0
        for features, height, width in contexts:
            pairs, tokens = features.shape[0] // 2, height * width // 4
            asked = visual[at : at + pairs * tokens].view(pairs, tokens, -1)
            given = features.reshape(pairs, 2 * height * width, -1).to(visual.dtype)
            made.append(self._pairs(asked, given).flatten(0, 1))
            at += pairs * tokens
        return torch.cat(made)

    def _pairs(self, x: Tensor, features: Tensor) -> Tensor:
        """(t, tokens, d), (t, 2 h w, D) -> (t, tokens, d)."""
        keys, values = self.key_value(self.key_norm(self.project(features))).chunk(2, dim=-1)
        heads = [
            part.unflatten(-1, (_HEADS, -1)).transpose(1, 2)
            for part in (self.query(self.query_norm(x)), keys, values)
        ]
        mixed = F.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(-2)
        a = x + self.out(mixed)
        return a + self.mlp(self.mlp_norm(a))


def build_connector(config: SpatialMLLMConfig) -> Connector | None:
    """The connector that the configuration names; None for "none"."""
    if config.spatial is None:
        return None
    spatial, out, chosen = config.spatial.output_dim, config.text.hidden_size, config.connector
    connector: Connector
    if chosen.kind == "cross_attention":
        connector = CrossAttention(spatial, out)
    else:
        connector = _merged_connector(config, spatial, out)
    connector.init_std = chosen.initializer_range
    if len(chosen.layers) > 1:
        connector.mix = LayerMix(spatial, len(chosen.layers))
    return connector


def _merged_connector(config: SpatialMLLMConfig, spatial: int, out: int) -> MergedConnector:
    chosen = config.connector
    learned = chosen.merge == "conv"
    channels = chosen.merge_dim or spatial
    merged = 2 * channels if learned else 8 * spatial
    width = chosen.bottleneck or merged
    connector: MergedConnector
    if chosen.kind == "gated":
        connector = Gated(merged, width, out)
    elif chosen.kind == "concat":
        connector = Concat(merged, width, out)
    else:
        connector = MlpAdd(merged, width, out, zero_init_last=chosen.zero_init_last)
    if learned:
        connector.merge = ConvMerge(spatial, channels)
    return connector
