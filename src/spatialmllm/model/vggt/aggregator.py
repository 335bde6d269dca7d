# SPDX-License-Identifier: Apache-2.0
"""The aggregator: patch tokens of all frames, attended within a frame and across frames in turn."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from spatialmllm.config import SpatialEncoderConfig
from spatialmllm.model.vggt.layers import Block, Rotation, rotation_2d
from spatialmllm.model.vggt.matching import Matching
from spatialmllm.model.vggt.patch_embed import build_patch_embed

IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)


class Aggregator(nn.Module):
    """Alternating frame and global attention (VGGT, arXiv 2503.11651, section 3.2).

    Every frame gets one camera token and a few register tokens in front of its patches. The first
    frame of a context has tokens of its own, all others share a second set: the first frame is the
    frame of reference. With `matching` in the configuration, patch tokens also say where their
    places are in the first frame.
    """

    def __init__(self, config: SpatialEncoderConfig) -> None:
        super().__init__()
        self.config = config
        dim = config.embed_dim
        self.patch_embed = build_patch_embed(config)
        self.matching = None if config.matching is None else Matching(config.matching, dim)
        self.camera_token = nn.Parameter(torch.zeros(1, 2, 1, dim))
        self.register_token = nn.Parameter(torch.zeros(1, 2, config.num_register_tokens, dim))
        self.frame_blocks = nn.ModuleList(self._block() for _ in range(config.depth))
        self.global_blocks = nn.ModuleList(self._block() for _ in range(config.depth))
        self.patch_start = 1 + config.num_register_tokens
        self.checkpointing = False

    def _block(self) -> Block:
        c = self.config
        return Block(
            c.embed_dim,
            c.num_heads,
            mlp_ratio=c.mlp_ratio,
            qk_norm=True,
            layer_scale=c.layer_scale_init,
        )

    def forward(
        self, groups: Sequence[Tensor], return_layers: Sequence[int] = (-1,)
    ) -> list[list[Tensor]]:
        """Encode groups of contexts; all contexts of a group have one shape.

        Args:
            groups: (B, S, 3, H, W) in [0, 1]; H and W are multiples of the patch size.
            return_layers: Block pairs whose output is kept, negative from the end.

        Returns:
            For each group, for each asked layer (B, S, patch_start + H/p * W/p, 2 C): the frame
            block's and the global block's output side by side, without a final norm.

        Raises:
            ValueError: Sides that are no multiple of the patch size, or an unknown layer.
        """
        depth = self.config.depth
        if any(not -depth <= layer < depth for layer in return_layers):
            raise ValueError(f"layers {list(return_layers)} of {depth}")
        wanted = [layer % depth for layer in return_layers]
        shapes = [frames.shape[:2] for frames in groups]
        within = [self._rotation(frames) for frames in groups]
        across = [
            (cos.repeat(count, 1), sin.repeat(count, 1))
            for (cos, sin), (_, count) in zip(within, shapes, strict=True)
        ]
        x = self._tokens(groups)
        kept: dict[int, list[Tensor]] = {}
        for layer in range(depth):
            x = [t.view(b * s, -1, t.shape[-1]) for t, (b, s) in zip(x, shapes, strict=True)]
            framed = self._run(self.frame_blocks[layer], x, within)
            x = [t.view(b, -1, t.shape[-1]) for t, (b, _) in zip(framed, shapes, strict=True)]
            x = self._run(self.global_blocks[layer], x, across)
            if layer in wanted:
                kept[layer] = [
                    torch.cat([part.view(b, s, -1, part.shape[-1]) for part in parts], dim=-1)
                    for *parts, (b, s) in zip(framed, x, shapes, strict=True)
                ]
        return [[kept[layer][i] for layer in wanted] for i in range(len(groups))]

    def _tokens(self, groups: Sequence[Tensor]) -> list[Tensor]:
        """(B, S, 3, H, W) -> (B * S, patch_start + patches, C) for each group."""
        pixels = [self._normalised(frames) for frames in groups]
        patches = self.patch_embed(pixels)
        if self.matching is not None:
            sides = [[side // self.config.patch_size for side in p.shape[-2:]] for p in pixels]
            patches = [
                tokens + self.matching(p, frames.shape[1], *side)
                for tokens, p, frames, side in zip(patches, pixels, groups, sides, strict=True)
            ]
        special = torch.cat([self.camera_token, self.register_token], dim=2)[0]  # (2, 5, C)
        made = []
        for frames, tokens in zip(groups, patches, strict=True):
            batch, count = frames.shape[:2]
            which = torch.ones(count, dtype=torch.long, device=frames.device)
            which[0] = 0
            made.append(torch.cat([special[which].repeat(batch, 1, 1), tokens], dim=1))
        return made

    def _normalised(self, frames: Tensor) -> Tensor:
        """(B, S, 3, H, W) in [0, 1] -> (B * S, 3, H, W) as the patch embedding was trained."""
        height, width = frames.shape[-2:]
        patch = self.config.patch_size
        if height % patch or width % patch:
            raise ValueError(f"frames of {width}x{height} do not divide into patches of {patch}")
        # Constants are made here: a buffer would not survive a build on the meta device.
        mean = frames.new_tensor(IMAGE_MEAN).view(3, 1, 1)
        std = frames.new_tensor(IMAGE_STD).view(3, 1, 1)
        return ((frames - mean) / std).flatten(0, 1).to(self.camera_token.dtype)

    def _rotation(self, frames: Tensor) -> Rotation:
        """Patches turn by (y + 1, x + 1), special tokens not at all."""
        rows, columns = (side // self.config.patch_size for side in frames.shape[-2:])
        device = frames.device
        y = torch.arange(1, rows + 1, device=device).repeat_interleave(columns)
        x = torch.arange(1, columns + 1, device=device).repeat(rows)
        special = torch.zeros(self.patch_start, 2, dtype=y.dtype, device=device)
        positions = torch.cat([special, torch.stack([y, x], dim=-1)])
        head = self.config.embed_dim // self.config.num_heads
        return rotation_2d(positions, head, self.config.rope_base)

    def _run(
        self, block: nn.Module, x: list[Tensor], rotations: Sequence[Rotation]
    ) -> list[Tensor]:
        if self.checkpointing and self.training and torch.is_grad_enabled():
            return list(checkpoint(block, x, rotations, use_reentrant=False))
        return list(block(x, rotations))
