# SPDX-License-Identifier: Apache-2.0
"""Models of this package in lmms-eval, which finds them by the entry point `lmms_eval.models`.

python -m lmms_eval eval --model spatialcore --model_args pretrained=runs/tiny/model --tasks ...

Only that harness imports this module. Rows of `export --to lmms-eval` are asked with the prompt of
training, as `eval` asks them; the messages of other tasks become a text with their images where
they stand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lmms_eval.api.model import lmms
from lmms_eval.models.registry_v2 import ModelManifest

from spatial_engine.records.record import Message
from spatialcore.errors import UsageError
from spatialmllm.data.tokens import IMAGE_TAG
from spatialmllm.evaluation.answerers import Prompt
from spatialmllm.evaluation.run import pick_device, pick_dtype
from spatialmllm.evaluation.speakers import Speaker, open_speaker

_OWN = {"id", "prompt", "record"}  # columns of our own rows
_LONGEST = 64  # tokens of an answer where neither task nor caller says so


class SpatialMLLMChat(lmms):
    """A model folder, `hf:` a model of transformers, as the harness asks it; decoding is greedy.

    Args:
        pretrained: Model folder, as `train` writes it.
        device: cpu or cuda; None: the GPU where there is one.
        dtype: float32 or bfloat16; None: bfloat16 on a GPU.
        max_new_tokens: Longest answer, instead of the task's.
        batch_size: Taken, since the harness gives it; prompts are decoded eight together.
        max_batch_size: Likewise.
    """

    is_simple = False

    def __init__(
        self,
        pretrained: str,
        device: str | None = None,
        dtype: str | None = None,
        max_new_tokens: int | None = None,
        batch_size: int | str | None = None,
        max_batch_size: int | None = None,
    ) -> None:
        super().__init__()
        del batch_size, max_batch_size
        self._name, self._longest = pretrained, max_new_tokens
        self._where = pick_device(device)
        self._dtype = pick_dtype(dtype, self._where)
        self._speakers: dict[int, Speaker] = {}

    def generate_until(self, requests: Sequence[Any]) -> list[str]:
        """The answers to requests, in their order."""
        said: dict[int, str] = {}
        by_length: dict[int, list[int]] = {}
        for number, request in enumerate(requests):
            by_length.setdefault(self._tokens(request.args[2]), []).append(number)
        for length, numbers in by_length.items():
            asked = [self._prompt(requests[number].args) for number in numbers]
            said.update(zip(numbers, self._speaker(length)(asked), strict=True))
        answers = [_cut(said[k], requests[k].args[2]) for k in range(len(requests))]
        for request, answer in zip(requests, answers, strict=True):
            self.cache_hook.add_partial("generate_until", request.args[:2], answer)
        return answers

    def generate_until_multi_round(self, _requests: Sequence[Any]) -> list[str]:
        """Not here.

        Raises:
            UsageError: Always.
        """
        raise UsageError("models of this package answer one round, this task asks several")

    def loglikelihood(self, _requests: Sequence[Any]) -> list[tuple[float, bool]]:
        """Not here.

        Raises:
            UsageError: Always.
        """
        raise UsageError("models of this package answer in words; this task asks for likelihoods")

    def _tokens(self, wanted: Mapping[str, Any]) -> int:
        if wanted.get("do_sample") or (wanted.get("temperature") or 0) > 0:
            raise UsageError("models of this package decode greedily here; this task samples")
        return int(self._longest or wanted.get("max_new_tokens") or _LONGEST)

    def _speaker(self, length: int) -> Speaker:
        if length not in self._speakers:
            self._speakers[length] = open_speaker(
                self._name, endpoint=None, device=self._where, dtype=self._dtype,
                max_new_tokens=length,
            )  # fmt: skip
        return self._speakers[length]

    def _prompt(self, arguments: tuple[Any, ...]) -> Prompt:
        _, doc_to_messages, _, number, task, split = arguments
        doc = self.task_dict[task][split][number]
        return prompt_of(doc_to_messages(doc), doc, f"{task}/{number}")


def prompt_of(messages: Sequence[Mapping[str, Any]], doc: Mapping[str, Any], name: str) -> Prompt:
    """The prompt of a chat; of our own rows the prompt that they hold.

    Raises:
        UsageError: A part is neither text nor image, or the chat does not end with the user.
    """
    images: list[Any] = []
    turns: list[Message] = []
    for message in messages:
        texts = []
        for part in message["content"]:
            if part["type"] == "image":
                images.append(part["url"].convert("RGB"))
                texts.append(IMAGE_TAG)
            elif part["type"] == "text":
                texts.append(part["text"])
            else:
                raise UsageError(f"{name} shows a {part['type']}; images and text are taken")
        turns.append(Message(message["role"], "\n".join(texts)))
    if not turns or turns[-1].role != "user":
        raise UsageError(f"{name} asks nothing: its chat does not end with the user")
    text = str(doc["prompt"]) if doc.keys() >= _OWN else turns[-1].content
    return Prompt(name, text, tuple(images), tuple(turns[:-1]))


def _cut(text: str, wanted: Mapping[str, Any]) -> str:
    """A text up to the first of the task's stop strings."""
    stops = wanted.get("until") or ()
    for stop in [stops] if isinstance(stops, str) else stops:
        text = text.split(stop)[0] if stop else text
    return text


MANIFEST = ModelManifest(
    model_id="spatialcore", chat_class_path=f"{__name__}.{SpatialMLLMChat.__name__}"
)
