# SPDX-License-Identifier: Apache-2.0
"""The fused visual tokens of images and clips, for work that needs features and no text."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from spatialmllm.data.batches import to_device, visual_inputs
from spatialmllm.data.preprocessing import Medium
from spatialmllm.model.model import SpatialMLLM


def spatial_tokens(model: SpatialMLLM, media: Sequence[Medium]) -> list[Tensor]:
    """Tokens of the 2-D tower with the spatial encoder's features brought in by the connector.

    All media are encoded as one prompt would show them: those of equal size in a row share a
    context, so the spatial encoder relates them.

    Args:
        model: The model; with the connector "none" the tokens are those of the tower alone.
        media: Images and clips, as `preprocessing.still` and `.clip` make them.

    Returns:
        For each medium (t, h/2, w/2, d) on the model's device: one token for 28 x 28 pixels of a
        still or of a pair of frames.
    """
    if not media:
        return []
    inputs = to_device(visual_inputs([media], model.settings), model.device)
    with torch.no_grad():
        tokens = model.encode_visual(**inputs)
    made = []
    at = 0
    for medium in media:
        t, h, w = medium.grid
        made.append(tokens[at : at + medium.token_count].view(t, h // 2, w // 2, -1))
        at += medium.token_count
    return made
