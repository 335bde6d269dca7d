# SPDX-License-Identifier: Apache-2.0
"""Greedy and sampled decoding with a cache of our own loop, for batches of unequal prompts.

Prompts are padded on the right: a row's first new token is predicted at its own last position,
and pads stay masked in the cache for good, so every row decodes as it would alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from spatialmllm.model.backbone import cached
from spatialmllm.model.model import SpatialMLLM


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen; temperature 0 is greedy."""

    max_new_tokens: int = 128
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens must be positive, got {self.max_new_tokens}")
        if self.temperature < 0 or not 0 < self.top_p <= 1:
            raise ValueError("need temperature >= 0 and 0 < top_p <= 1")


def generate(
    model: SpatialMLLM,
    batch: Mapping[str, Any],
    sampling: Sampling | None = None,
    *,
    end_ids: Sequence[int] | None = None,
) -> list[list[int]]:
    """Continue every prompt of a batch.

    Args:
        model: The model; it is used in evaluation mode and left in the mode it had.
        batch: What `batches.collate` makes of prompts, on the model's device.
        sampling: Length and choice of tokens.
        end_ids: Tokens that end a row; None = the end of a turn. The end token is not returned.

    Returns:
        New token ids of each row.
    """
    sampling = Sampling() if sampling is None else sampling
    ends = {model.settings.ids.end, model.settings.ids.pad} if end_ids is None else set(end_ids)
    rows: list[list[int]] = [[] for _ in range(batch["input_ids"].shape[0])]
    done = [False] * len(rows)
    was_training = model.training
    model.eval()
    with torch.no_grad():
        for tokens in _steps(model, batch, sampling):
            for i, token in enumerate(tokens):
                done[i] = done[i] or token in ends
                if not done[i]:
                    rows[i].append(token)
            if all(done):
                break
    model.train(was_training)
    return rows


def _steps(model: SpatialMLLM, batch: Mapping[str, Any], sampling: Sampling) -> Iterator[list[int]]:
    """Yield one token for each row, at most max_new_tokens times."""
    mask, positions = batch["attention_mask"], batch["position_ids"]
    lengths = mask.sum(dim=1)
    generator = torch.Generator(device=mask.device).manual_seed(sampling.seed)
    cache = cached(model.model)
    embeddings = model.embed(batch["input_ids"], _visual(model, batch))
    hidden = model.model(
        inputs_embeds=embeddings,
        attention_mask=mask,
        position_ids=positions,
        **cache,
    ).last_hidden_state
    last = hidden[torch.arange(len(lengths), device=mask.device), lengths - 1]
    # The next id is one more than the largest of the row's real positions, in all three rows.
    next_ids = positions.masked_fill(mask[None] == 0, -1).amax(dim=(0, 2)) + 1
    for step in range(sampling.max_new_tokens):
        tokens = choose(model.logits(last).float(), sampling, generator)
        yield tokens.tolist()
        if step + 1 == sampling.max_new_tokens:
            return
        mask = torch.cat([mask, mask.new_ones(len(tokens), 1)], dim=1)
        hidden = model.model(
            inputs_embeds=model.model.embed_tokens(tokens[:, None]),
            attention_mask=mask,
            position_ids=(next_ids + step)[None, :, None].expand(3, -1, 1),
            **cache,
        ).last_hidden_state
        last = hidden[:, -1]


def _visual(model: SpatialMLLM, batch: Mapping[str, Any]) -> Tensor | None:
    if batch.get("pixel_values") is None:
        return None
    return model.encode_visual(
        batch["pixel_values"],
        batch["grid_thw"],
        # A model without a spatial encoder takes none of these.
        frames=batch.get("frames", ()),
        context_rows=batch.get("context_rows", ()),
        still=batch.get("still", ()),
    )


def choose(logits: Tensor, sampling: Sampling, generator: torch.Generator) -> Tensor:
    """Next tokens (B,) of logits (B, vocabulary): the largest, or a draw within top_p."""
    if sampling.temperature == 0:
        return logits.argmax(dim=-1)
    probabilities = (logits / sampling.temperature).softmax(dim=-1)
    ordered, order = probabilities.sort(dim=-1, descending=True)
    # A token stays while the mass before it is below top_p; the first always stays.
    ordered = ordered * (ordered.cumsum(dim=-1) - ordered < sampling.top_p)
    drawn = torch.multinomial(ordered, 1, generator=generator)
    return order.gather(1, drawn).squeeze(1)
