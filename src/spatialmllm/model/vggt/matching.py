# SPDX-License-Identifier: Apache-2.0
"""Matching: where each place of a frame is in the first frame, as tokens.

Attention has to discover that two patches show one thing before it can say how the camera moved.
Here it is computed: strided convolutions give every place a descriptor, all descriptors of a frame
are compared with all of the first frame's, and what the comparison says is projected and added to
the patch tokens. Nothing of it stands in public files, which have no such part.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STRIDE = 8
"""Pixels from one place to the next; the middle of place (r, c) is pixel (8 r + 3.5, 8 c + 3.5)."""
SHARPNESS = 10.0
"""Factor of the cosine similarity before the softmax, at the start; it is learned."""
SCALES = (3.0, 3.0, 6.0, 6.0, 2.0, 2.0, 1.0, 1.0)
"""Factors that bring the numbers about a place to about 1: place 2, displacement 2, confidence,
peak, depth here and there."""
_GROUPS = 8


class Descriptors(NamedTuple):
    """What the convolutions say about n frames of h x w places.

    Attributes:
        unit: (n, C, h, w), of length 1 over C.
        log_depth: (n, h, w), the logarithm of z in metres where it was trained so.
    """

    unit: Tensor
    log_depth: Tensor


class Correlation(NamedTuple):
    """Where the T places of a frame are in another one, for n pairs of frames.

    Attributes:
        scores: (n, T, T), similarity times sharpness; rows are places of the frame.
        displacement: (n, T, 2), (x, y) of the expected place less the own, in image widths.
        confidence: (n, T), the chance that going there and coming back ends where it began.
        peak: (n, T), the largest share of one place.
        matched: (n, T), the log depth that is expected there.
    """

    scores: Tensor
    displacement: Tensor
    confidence: Tensor
    peak: Tensor
    matched: Tensor


class Matching(nn.Module):
    """Correlation tokens to the first frame of a context.

    Args:
        channels: Channels of a descriptor, a multiple of 16.
        dim: Channels of a patch token.
    """

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()
        half = channels // 2
        self.convs = nn.ModuleList(
            [
                nn.Conv2d(3, half, kernel_size=6, stride=2, padding=2),
                nn.Conv2d(half, channels, kernel_size=4, stride=2, padding=1),
                nn.Conv2d(channels, channels, kernel_size=4, stride=2, padding=1),
                nn.Conv2d(channels, channels, kernel_size=3, padding=1),
            ]
        )
        self.norms = nn.ModuleList(
            nn.GroupNorm(_GROUPS, width) for width in (half, channels, channels)
        )
        self.depth = nn.Conv2d(channels, 1, kernel_size=1)
        self.log_sharpness = nn.Parameter(torch.zeros(()))
        self.fc1 = nn.Linear(len(SCALES), dim)
        self.fc2 = nn.Linear(dim, dim)

    def reset(self, generator: torch.Generator | None = None, *, silent: bool = False) -> None:
        """Variance-keeping matrices (He), biases 0, norms 1.

        Args:
            generator: Source of the draws.
            silent: Let the last matrix start at 0, so that the model starts as it was without.
        """
        for module in self.modules():
            if isinstance(module, nn.GroupNorm):
                nn.init.ones_(module.weight)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, generator=generator)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.zeros_(self.log_sharpness)
        if silent:
            nn.init.zeros_(self.fc2.weight)

    def describe(self, frames: Tensor) -> Descriptors:
        """Descriptors of frames (n, 3, H, W), normalised as for the patch embedding."""
        x = frames
        for conv, norm in zip(self.convs[:-1], self.norms, strict=True):
            x = F.gelu(norm(conv(x)))
        return Descriptors(F.normalize(self.convs[-1](x), dim=1), self.depth(x)[:, 0])

    def correlate(self, frames: Descriptors, others: Descriptors) -> Correlation:
        """Compare every place of each frame with every place of the other of its pair.

        Args:
            frames: n frames of h x w places.
            others: As many, of the same size.
        """
        height, width = frames.unit.shape[-2:]
        sharpness = SHARPNESS * self.log_sharpness.exp()
        own, other = frames.unit.flatten(2), others.unit.flatten(2)  # (n, C, T)
        scores = sharpness * (own.transpose(1, 2) @ other)
        there, back = scores.softmax(dim=2), scores.softmax(dim=1)
        at = places(height, width, scores)
        return Correlation(
            scores=scores,
            displacement=there @ at - at,
            confidence=(there * back).sum(dim=2),
            peak=there.amax(dim=2),
            matched=(there @ others.log_depth.flatten(1)[..., None])[..., 0],
        )

    def forward(self, frames: Tensor, count: int, rows: int, columns: int) -> Tensor:
        """What is added to the patch tokens of the frames of some contexts.

        Args:
            frames: (B * S, 3, H, W), normalised, the S frames of a context side by side; each is
                compared with the first of its context, the first with itself.
            count: S.
            rows: Patches along H.
            columns: Patches along W.

        Returns:
            (B * S, rows * columns, C): the mean of the tokens of the places in each patch.
        """
        described = self.describe(frames)
        first = torch.arange(len(frames), device=frames.device) // count * count
        others = Descriptors(described.unit[first], described.log_depth[first])
        found = self.correlate(described, others)
        height, width = described.unit.shape[-2:]
        at = places(height, width, found.scores).expand(len(frames), -1, -1)
        numbers = torch.stack(
            [found.confidence, found.peak, described.log_depth.flatten(1), found.matched], dim=-1
        )
        evidence = torch.cat([at, found.displacement, numbers], dim=-1)
        evidence = evidence * evidence.new_tensor(SCALES)
        tokens = self.fc2(F.gelu(self.fc1(evidence))).transpose(1, 2)
        pooled = F.adaptive_avg_pool2d(tokens.unflatten(-1, (height, width)), (rows, columns))
        return pooled.flatten(2).transpose(1, 2)


def places(height: int, width: int, like: Tensor) -> Tensor:
    """(T, 2) places (x, y) of a grid in image widths, the grid's middle at 0."""
    y = (torch.arange(height, device=like.device, dtype=like.dtype) - (height - 1) / 2) / width
    x = (torch.arange(width, device=like.device, dtype=like.dtype) - (width - 1) / 2) / width
    return torch.stack([x.repeat(height), y.repeat_interleave(width)], dim=-1)
