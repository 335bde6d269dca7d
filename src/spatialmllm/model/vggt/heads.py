# SPDX-License-Identifier: Apache-2.0
"""Heads of the spatial encoder: cameras, depth maps and point maps of all frames of a context.

Names and shapes of the parameters are those of the public VGGT-1B file. Activations: what a head
puts out is turned into geometry by `activate`; confidences are 1 + exp(x), so never below 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spatialmllm.config import SpatialEncoderConfig
from spatialmllm.model.vggt.cameras import ENCODING_SIZE
from spatialmllm.model.vggt.config import HeadsConfig
from spatialmllm.model.vggt.layers import Block, Mlp

_MODULATION_EPS = 1e-6
_LAST_WIDTH = 32  # channels before the last 1 x 1 convolution
_GRID_BASE = 100.0  # of the frequencies of the position grid
_GRID_WEIGHT = 0.1


def signed_exponential(x: Tensor) -> Tensor:
    """sign(x) (exp|x| - 1): the inverse of the signed logarithm, for coordinates."""
    return x.sign() * x.abs().expm1()


# What the channels of a head mean; the last channel is always the confidence.
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "exp": torch.exp,
    "inv_log": signed_exponential,
    "relu": F.relu,
    "linear": lambda x: x,
}


def activate(channels: Tensor, kind: str) -> tuple[Tensor, Tensor]:
    """Values and confidence of a head's channels.

    Args:
        channels: (..., C + 1, H, W), raw.
        kind: "exp" (depth), "inv_log" (coordinates), "relu" or "linear".

    Returns:
        values (..., H, W, C) and confidence (..., H, W) = 1 + exp of the last channel.

    Raises:
        ValueError: Unknown activation.
    """
    if kind not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, got {kind!r}")
    last = channels.movedim(-3, -1)
    return ACTIVATIONS[kind](last[..., :-1]), 1 + last[..., -1].exp()


class CameraHead(nn.Module):
    """Cameras from the camera tokens, refined in a few rounds (VGGT, arXiv 2503.11651, 3.3).

    Every round looks at the encoding so far through a scale, a shift and a gate on the tokens, and
    adds a correction. No gradient flows from one round into the one before.
    """

    def __init__(self, dim: int, config: HeadsConfig) -> None:
        super().__init__()
        self.rounds = config.camera_rounds
        self.empty_pose_tokens = nn.Parameter(torch.zeros(1, 1, ENCODING_SIZE))
        self.trunk = nn.ModuleList(
            Block(dim, config.camera_heads) for _ in range(config.camera_depth)
        )
        self.token_norm = nn.LayerNorm(dim)
        self.trunk_norm = nn.LayerNorm(dim)
        self.embed_pose = nn.Linear(ENCODING_SIZE, dim)
        self.poseLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(dim, 3 * dim))
        self.pose_branch = Mlp(dim, dim // 2, ENCODING_SIZE)

    def forward(self, camera_tokens: Tensor) -> list[Tensor]:
        """Encodings (B, S, 9) after every round, the last one the best.

        Args:
            camera_tokens: (B, S, D), the first token of every frame from the last layer.
        """
        tokens = self.token_norm(camera_tokens)
        plain = F.layer_norm(tokens, tokens.shape[-1:], eps=_MODULATION_EPS)
        raw: Tensor | None = None
        made: list[Tensor] = []
        for _ in range(self.rounds):
            before = self.empty_pose_tokens if raw is None else raw.detach()
            modulation = self.poseLN_modulation(self.embed_pose(before))
            shift, scale, gate = modulation.chunk(3, dim=-1)
            x = [tokens + gate * (plain * (1 + scale) + shift)]
            for block in self.trunk:
                x = block(x)
            correction = self.pose_branch(self.trunk_norm(x[0]))
            raw = correction if raw is None else raw + correction
            # An angle of view is positive; translation and quaternion are left as they are.
            made.append(torch.cat([raw[..., :7], raw[..., 7:].relu()], dim=-1))
        return made


class ResidualUnit(nn.Module):
    """relu(x) + conv(relu(conv(relu(x)))): the published layer rectifies its input in place."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(features, features, 3, padding=1)
        self.conv2 = nn.Conv2d(features, features, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, C, H, W) -> (n, C, H, W)."""
        x = x.relu()
        return x + self.conv2(self.conv1(x).relu())


class Fusion(nn.Module):
    """Adds a finer map to a coarser one and enlarges the sum."""

    def __init__(self, features: int, *, joins: bool) -> None:
        super().__init__()
        self.resConfUnit1: nn.Module | None = ResidualUnit(features) if joins else None
        self.resConfUnit2 = ResidualUnit(features)
        self.out_conv = nn.Conv2d(features, features, 1)

    def forward(self, coarse: Tensor, fine: Tensor | None, size: tuple[int, int]) -> Tensor:
        """(n, C, h, w) and (n, C, h, w) or None -> (n, C, *size)."""
        if self.resConfUnit1 is not None and fine is not None:
            coarse = coarse + self.resConfUnit1(fine)
        return self.out_conv(_resized(self.resConfUnit2(coarse), size))


class DPTHead(nn.Module):
    """Dense maps from four layers of the aggregator (DPT, arXiv 2103.13413).

    Args:
        dim: Channels of the aggregator's tokens.
        outputs: Channels of the map, the confidence among them: 2 for depth, 4 for points.
        activation: Of the values; see `activate`.
        config: Sizes.
        patch_size: Pixels of a patch.
    """

    def __init__(
        self, dim: int, outputs: int, activation: str, config: HeadsConfig, patch_size: int
    ) -> None:
        super().__init__()
        self.activation, self.patch_size = activation, patch_size
        channels, features = config.channels, config.features
        self.norm = nn.LayerNorm(dim)
        self.projects = nn.ModuleList(nn.Conv2d(dim, width, 1) for width in channels)
        self.resize_layers = nn.ModuleList(
            (
                nn.ConvTranspose2d(channels[0], channels[0], 4, stride=4),
                nn.ConvTranspose2d(channels[1], channels[1], 2, stride=2),
                nn.Identity(),
                nn.Conv2d(channels[3], channels[3], 3, stride=2, padding=1),
            )
        )
        self.scratch = nn.Module()
        for i, width in enumerate(channels, 1):
            reduced = nn.Conv2d(width, features, 3, padding=1, bias=False)
            self.scratch.add_module(f"layer{i}_rn", reduced)
            self.scratch.add_module(f"refinenet{i}", Fusion(features, joins=i < len(channels)))
        self.scratch.output_conv1 = nn.Conv2d(features, features // 2, 3, padding=1)
        self.scratch.output_conv2 = nn.Sequential(
            nn.Conv2d(features // 2, _LAST_WIDTH, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(_LAST_WIDTH, outputs, 1),
        )

    def forward(
        self, layers: Sequence[Tensor], height: int, width: int, *, at_once: int = 8
    ) -> tuple[Tensor, Tensor]:
        """Values (B, S, H, W, outputs - 1) and confidence (B, S, H, W).

        Args:
            layers: Four of (B, S, h * w, D): patch tokens, shallow to deep.
            height: H, pixels.
            width: W, pixels.
            at_once: Frames that are decoded together; bounds memory, changes nothing else.
        """
        batch, count = layers[0].shape[:2]
        flat = [tokens.flatten(0, 1) for tokens in layers]
        maps = [
            self._channels([tokens[start : start + at_once] for tokens in flat], height, width)
            for start in range(0, batch * count, at_once)
        ]
        values, confidence = activate(torch.cat(maps), self.activation)
        return values.unflatten(0, (batch, count)), confidence.unflatten(0, (batch, count))

    def _channels(self, layers: Sequence[Tensor], height: int, width: int) -> Tensor:
        rows, columns = height // self.patch_size, width // self.patch_size
        aspect = width / height
        maps = []
        for i, tokens in enumerate(layers):
            x = self.norm(tokens.to(self.norm.weight.dtype))
            x = self.projects[i](x.transpose(1, 2).unflatten(-1, (rows, columns)))
            x = self.resize_layers[i](_placed(x, aspect))
            maps.append(self.scratch.get_submodule(f"layer{i + 1}_rn")(x))
        fused: Tensor | None = None
        for i in range(len(maps), 0, -1):
            height_i, width_i = maps[i - 1].shape[-2:]
            size = tuple(maps[i - 2].shape[-2:]) if i > 1 else (2 * height_i, 2 * width_i)
            fusion = self.scratch.get_submodule(f"refinenet{i}")
            fused = fusion(maps[i - 1], None, size) if fused is None else fusion(
                fused, maps[i - 1], size
            )  # fmt: skip
        x = _resized(self.scratch.output_conv1(fused), (height, width))
        return self.scratch.output_conv2(_placed(x, aspect))


def build_camera_head(encoder: SpatialEncoderConfig, config: HeadsConfig) -> CameraHead:
    """The camera head of an encoder."""
    return CameraHead(encoder.output_dim, config)


def build_depth_head(encoder: SpatialEncoderConfig, config: HeadsConfig) -> DPTHead:
    """The depth head of an encoder: exp(x), metres up to the scale of the context."""
    return DPTHead(encoder.output_dim, 2, "exp", config, encoder.patch_size)


def build_point_head(encoder: SpatialEncoderConfig, config: HeadsConfig) -> DPTHead:
    """The point head of an encoder: coordinates in the first frame's camera."""
    return DPTHead(encoder.output_dim, 4, "inv_log", config, encoder.patch_size)


def position_grid(
    channels: int, rows: int, columns: int, aspect: float, *, device: torch.device
) -> Tensor:
    """Sines and cosines of the place of each pixel, (channels, rows, columns) float32.

    Coordinates are pixel centres of an image whose half diagonal is 1: x runs over
    +-(aspect / d)(1 - 1/columns), y over +-(1 / d)(1 - 1/rows), d = sqrt(aspect^2 + 1). The first
    half of the channels tells x, the second y; in each a quarter of sines, then one of cosines, of
    frequency 100**(-k / quarter).
    """
    diagonal = math.hypot(aspect, 1)
    quarter = channels // 4
    order = torch.arange(quarter, dtype=torch.float64, device=device) / quarter
    frequencies = _GRID_BASE**-order
    parts = []
    for count, span in ((columns, aspect / diagonal), (rows, 1 / diagonal)):
        edge = span * (count - 1) / count
        along = torch.linspace(-edge, edge, count, dtype=torch.float64, device=device)
        angles = frequencies[:, None] * along
        parts.append(torch.cat([angles.sin(), angles.cos()]))
    x = parts[0][:, None, :].expand(-1, rows, -1)
    y = parts[1][:, :, None].expand(-1, -1, columns)
    return torch.cat([x, y]).float()


def _placed(x: Tensor, aspect: float) -> Tensor:
    """A map with its position grid added."""
    channels, rows, columns = x.shape[-3:]
    grid = position_grid(channels, rows, columns, aspect, device=x.device)
    return x + _GRID_WEIGHT * grid.to(x.dtype)


def _resized(x: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(x, size=size, mode="bilinear", align_corners=True)
