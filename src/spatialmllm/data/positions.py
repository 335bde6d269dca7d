# SPDX-License-Identifier: Apache-2.0
"""Three-row rotary position ids (time, height, width) of a sequence of text and visual blocks.

Written out because three generations of the library compute three different ids. These are the
ids with which the released weights were trained:

    text     all three rows = a running counter
    block    at counter c: (c + floor(i * stride), c + r, c + s) for (i, r, s) over (t, H, W),
             stride = second_per_grid * tokens_per_second; a still has t = 1
    next     1 + the largest id of all three rows of the block
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spatialmllm.config import SpatialMLLMConfig


class Positions(NamedTuple):
    """`ids` (3, L) int64 and `next_id`, the id of the first generated token in all three rows."""

    ids: NDArray[np.int64]
    next_id: int


def time_stride(config: SpatialMLLMConfig) -> float:
    """Time ids that one frame pair advances; one value for training and inference."""
    seconds = config.vision.temporal_patch_size / config.processor.nominal_fps
    return seconds * config.vision.tokens_per_second


def block_positions(grid: Sequence[int], stride: float, merge: int = 2) -> NDArray[np.int64]:
    """Ids (3, t * H * W) of one visual block that starts at 0.

    Args:
        grid: (t, h, w) in patches.
        stride: Time ids a frame pair advances (seconds a pair times tokens a second).
        merge: Patches along one side of a merged token.

    Example:
        >>> block_positions((2, 2, 4), 1.0).tolist()
        [[0, 0, 1, 1], [0, 0, 0, 0], [0, 1, 0, 1]]
    """
    t, h, w = int(grid[0]), int(grid[1]) // merge, int(grid[2]) // merge
    ids = np.indices((t, h, w), dtype=np.int64).reshape(3, -1)
    ids[0] = np.floor(ids[0] * stride).astype(np.int64)
    return ids


def sequence_positions(
    token_ids: ArrayLike,
    grids: Sequence[Sequence[int]],
    visual_ids: Sequence[int],
    *,
    stride: float,
    merge: int = 2,
) -> Positions:
    """Position ids of one unpadded sequence.

    Args:
        token_ids: (L,) integers.
        grids: (t, h, w) of each visual block, in the order of the sequence.
        visual_ids: Ids of the placeholder tokens that stand for visual tokens.
        stride: As in `block_positions`.
        merge: As in `block_positions`.

    Returns:
        Positions(ids (3, L), next_id).

    Raises:
        ValueError: The placeholders of the sequence do not match the grids, with both counts.
    """
    tokens = np.asarray(token_ids)
    is_visual = np.isin(tokens, np.asarray(visual_ids))
    needed = sum(int(t) * (int(h) // merge) * (int(w) // merge) for t, h, w in grids)
    if int(is_visual.sum()) != needed:
        raise ValueError(
            f"the sequence has {int(is_visual.sum())} visual placeholders, "
            f"its {len(grids)} grids make {needed} visual tokens"
        )
    ids = np.empty((3, len(tokens)), dtype=np.int64)
    counter, at, blocks = 0, 0, iter(grids)
    while at < len(tokens):
        if is_visual[at]:
            block = block_positions(next(blocks), stride, merge)
            if not is_visual[at : at + block.shape[1]].all():
                raise ValueError(f"the visual block at token {at} is interrupted by text")
        else:
            stop = at + int(np.argmax(is_visual[at:])) if is_visual[at:].any() else len(tokens)
            block = np.broadcast_to(np.arange(stop - at, dtype=np.int64), (3, stop - at))
        end = at + block.shape[1]
        ids[:, at:end] = block + counter
        counter = int(ids[:, at:end].max()) + 1
        at = end
    return Positions(ids, counter)
