# SPDX-License-Identifier: Apache-2.0
"""The aggregator: patch tokens of all frames, attended within a frame and across frames in turn."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from spatialmllm.config import SpatialEncoderConfig
from spatialmllm.vggt.layers import Block, Rotation, rotation_2d
from spatialmllm.vggt.patch_embed import build_patch_embed

IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)


class Aggregator(nn.Module):
    """Alternating frame and global attention (VGGT, arXiv 2503.11651, section 3.2).

    Every frame gets one camera token and a few register tokens in front of its patches. The first
    frame of a context has tokens of its own, all others share a second set: the first frame is the
    frame of reference.
    """

    def __init__(self, config: SpatialEncoderConfig) -> None:
        super().__init__()
        self.config = config
        dim = config.embed_dim
        self.patch_embed = build_patch_embed(config)
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

    def forward(self, frames: Tensor, return_layers: Sequence[int] = (-1,)) -> list[Tensor]:
        """Encode contexts of equal shape.

        Args:
            frames: (B, S, 3, H, W) in [0, 1]; H and W are multiples of the patch size.
            return_layers: Block pairs whose output is kept, negative from the end.

        Returns:
            For each asked layer (B, S, patch_start + H/p * W/p, 2 C): the frame block's and the
            global block's output side by side, the raw residual stream without a final norm.

        Raises:
            ValueError: Sides that are no multiple of the patch size, or an unknown layer.
        """
        batch, count, _, height, width = frames.shape
        patch = self.config.patch_size
        if height % patch or width % patch:
            raise ValueError(f"frames of {width}x{height} do not divide into patches of {patch}")
        wanted = [layer % self.config.depth for layer in return_layers]
        if any(not -self.config.depth <= layer < self.config.depth for layer in return_layers):
            raise ValueError(f"layers {list(return_layers)} of {self.config.depth}")
        x = self._tokens(frames)
        rotation = self._rotation(height // patch, width // patch, frames.device)
        across = (rotation[0].repeat(count, 1), rotation[1].repeat(count, 1))
        kept: dict[int, Tensor] = {}
        tokens = x.shape[1]
        for layer, (frame_block, global_block) in enumerate(
            zip(self.frame_blocks, self.global_blocks, strict=True)
        ):
            x = self._run(frame_block, x.view(batch * count, tokens, -1), rotation)
            within = x
            x = self._run(global_block, x.view(batch, count * tokens, -1), across)
            if layer in wanted:
                both = (within.view(batch, count, tokens, -1), x.view(batch, count, tokens, -1))
                kept[layer] = torch.cat(both, dim=-1)
        return [kept[layer] for layer in wanted]

    def _tokens(self, frames: Tensor) -> Tensor:
        """(B, S, 3, H, W) -> (B * S, patch_start + patches, C)."""
        batch, count = frames.shape[:2]
        # Constants are made here: a buffer would not survive a build on the meta device.
        mean = frames.new_tensor(IMAGE_MEAN).view(3, 1, 1)
        std = frames.new_tensor(IMAGE_STD).view(3, 1, 1)
        pixels = ((frames - mean) / std).flatten(0, 1).to(self.camera_token.dtype)
        patches = self.patch_embed(pixels)
        special = torch.cat([self.camera_token, self.register_token], dim=2)[0]  # (2, 5, C)
        which = torch.ones(count, dtype=torch.long, device=frames.device)
        which[0] = 0
        special = special[which].repeat(batch, 1, 1)
        return torch.cat([special, patches], dim=1)

    def _rotation(self, rows: int, columns: int, device: torch.device) -> Rotation:
        """Patches turn by (y + 1, x + 1), special tokens not at all."""
        y = torch.arange(1, rows + 1, device=device).repeat_interleave(columns)
        x = torch.arange(1, columns + 1, device=device).repeat(rows)
        special = torch.zeros(self.patch_start, 2, dtype=y.dtype, device=device)
        positions = torch.cat([special, torch.stack([y, x], dim=-1)])
        head = self.config.embed_dim // self.config.num_heads
        return rotation_2d(positions, head, self.config.rope_base)

    def _run(self, block: nn.Module, x: Tensor, rotation: Rotation) -> Tensor:
        if self.checkpointing and self.training and torch.is_grad_enabled():
            return checkpoint(block, x, rotation, use_reentrant=False)
        return block(x, rotation)
