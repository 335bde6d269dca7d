# SPDX-License-Identifier: Apache-2.0
"""Greedy and sampled decoding of batches of unequal prompts, by the library's `generate`.

Prompts are padded on the left (`collate(..., pad="left")`): every row decodes as it would alone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import GenerationConfig

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
        batch: What `collate` makes of prompts with `pad="left"`, on the model's device.
        sampling: Length and choice of tokens.
        end_ids: Tokens that end a row; None = the end of a turn. The end token is not returned.

    Returns:
        New token ids of each row.

    Raises:
        ValueError: The prompts are padded on the right.
    """
    sampling = Sampling() if sampling is None else sampling
    ids = model.settings.ids
    ends = {ids.end, ids.pad} if end_ids is None else set(end_ids)
    prompts = batch["input_ids"]
    shown = {key: value for key, value in batch.items() if key != "labels"}
    was_training = model.training
    model.eval()
    # A placeholder stands for what is seen; one that is said would have nothing behind it.
    config = library_config(sampling, ends, ids.pad, never=(ids.image, ids.video))
    devices = [prompts.device] if prompts.device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(sampling.seed)
        made = model.generate(**shown, generation_config=config)
    model.train(was_training)
    return [_until(row, ends) for row in made[:, prompts.shape[1] :].tolist()]


def library_config(
    sampling: Sampling, ends: Collection[int], pad: int, *, never: Collection[int] = ()
) -> GenerationConfig:
    """The library's configuration of the same choice of tokens, of which some are never chosen."""
    drawn = sampling.temperature > 0
    choice = {"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0}
    return GenerationConfig(
        max_new_tokens=sampling.max_new_tokens,
        do_sample=drawn,
        # Without ends a row runs to its full length.
        eos_token_id=sorted(ends) or None,
        pad_token_id=pad,
        suppress_tokens=sorted(never) or None,
        **(choice if drawn else {}),
    )


def _until(row: list[int], ends: Collection[int]) -> list[int]:
    stop = next((at for at, token in enumerate(row) if token in ends), len(row))
    return row[:stop]
