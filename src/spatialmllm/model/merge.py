# SPDX-License-Identifier: Apache-2.0
"""Merging 2 x 2 x 2 spatial tokens into one, in the channel order of the released weights."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def pair_frames(features: Tensor, grids: Sequence[Sequence[int]], still: Sequence[bool]) -> Tensor:
    """Bring the frames of one context into pairs: a still stands in both places of its pair.

    Args:
        features: (S, h * w, D), the frames of one context in order.
        grids: (t, h, w) of each medium of the context, all with the same h and w.
        still: Whether the medium is a still (one frame, t = 1) or a clip (2 t frames).

    Returns:
        (2 * sum(t), h * w, D).

    Raises:
        ValueError: The frames do not match the grids, with both counts.
    """
    rows: list[int] = []
    at = 0
    for grid, is_still in zip(grids, still, strict=True):
        count = 1 if is_still else 2 * int(grid[0])
        rows += [at, at] if is_still else list(range(at, at + count))
        at += count
    if at != features.shape[0]:
        raise ValueError(f"the grids need {at} frames, the context has {features.shape[0]}")
    if len(rows) == at:
        return features
    return features[torch.tensor(rows, device=features.device)]


def pixel_shuffle(features: Tensor, height: int, width: int) -> Tensor:
    """Space and time to depth: (2 t, h * w, D) -> (t * h/2 * w/2, 8 D).

    The channel of (sh, sw, d, tm) is ((sh * 2 + sw) * D + d) * 2 + tm: the frame of the pair is
    fastest, then the channel, then the column and the row of the 2 x 2 block. Released weights
    need this order.

    Args:
        features: (2 t, h * w, D), raster order within a frame.
        height: h, in patches.
        width: w, in patches.

    Raises:
        ValueError: An odd number of frames, or sides that are not even.
    """
    frames, tokens, dim = features.shape
    if frames % 2 or height % 2 or width % 2 or tokens != height * width:
        raise ValueError(
            f"cannot merge {frames} frames of {tokens} tokens as {height} x {width} in pairs"
        )
    blocks = features.view(frames // 2, 2, height // 2, 2, width // 2, 2, dim)
    # (t, tm, H, sh, W, sw, D) -> (t, H, W, sh, sw, D, tm)
    return blocks.permute(0, 2, 4, 3, 5, 6, 1).reshape(-1, 8 * dim)
