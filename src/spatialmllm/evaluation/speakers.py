# SPDX-License-Identifier: Apache-2.0
"""Any model as a function from prompts to what it says, for callers that have no records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from PIL.Image import Image

from spatialmllm.checkpoints import load
from spatialmllm.config import ProcessorConfig
from spatialmllm.data.batches import SampleBuilder, collate, to_device
from spatialmllm.data.preprocessing import Medium, still
from spatialmllm.data.tokens import ChatTokenizer, Turn
from spatialmllm.decoding import Sampling, generate
from spatialmllm.evaluation.answerers import Clip, Prompt, Replies
from spatialmllm.evaluation.endpoint import Endpoint, Refused
from spatialmllm.evaluation.library import PREFIX, LibraryModel

Speaker = Callable[[Sequence[Prompt]], list[str]]
_TOGETHER = 8


def open_speaker(
    name: str,
    *,
    endpoint: str | None,
    device: torch.device,
    dtype: torch.dtype,
    max_new_tokens: int,
) -> Speaker:
    """A model of ours in a folder, `hf:` one of transformers, or one behind an endpoint.

    What the model does not answer is "".
    """
    if endpoint is not None:
        return _served(Endpoint(endpoint, name, max_new_tokens=max_new_tokens))
    if name.startswith(PREFIX):
        model = LibraryModel(
            name.removeprefix(PREFIX), device=device, dtype=dtype, max_new_tokens=max_new_tokens
        )
        return _library(model)
    return _own(Path(name), device, dtype, max_new_tokens)


def _served(endpoint: Endpoint) -> Speaker:
    def said(prompt: Prompt) -> str:
        try:
            return endpoint.respond(prompt).text
        except Refused:
            return ""

    return lambda prompts: [said(prompt) for prompt in prompts]


def _library(model: LibraryModel) -> Speaker:
    def speak(prompts: Sequence[Prompt]) -> list[str]:
        replies = Replies()
        for prompt in prompts:
            model.respond([prompt], replies)
        return [str(line["response"]) for line in replies.answers]

    return speak


def _own(folder: Path, device: torch.device, dtype: torch.dtype, longest: int) -> Speaker:
    model = load(folder, dtype=dtype, device=device).eval()
    builder = SampleBuilder(model.settings, ChatTokenizer.from_file(folder))
    processor = model.settings.processor

    def speak(prompts: Sequence[Prompt]) -> list[str]:
        said: list[str] = []
        for start in range(0, len(prompts), _TOGETHER):
            samples = [
                builder.tagged(
                    prompt.text,
                    [_medium(one, processor) for one in prompt.images],
                    [Turn(turn.role, turn.content) for turn in prompt.earlier],
                )
                for prompt in prompts[start : start + _TOGETHER]
            ]
            batch = to_device(collate(samples, model.settings, pad="left"), device)
            made = generate(model, batch, Sampling(max_new_tokens=longest))
            said += [builder.tokenizer.decode(ids) for ids in made]
        return said

    return speak


def _medium(shown: Image | Clip, processor: ProcessorConfig) -> Medium:
    if isinstance(shown, Clip):
        raise ValueError("a model of this package is shown stills here")
    return still(shown, processor)
