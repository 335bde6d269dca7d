# SPDX-License-Identifier: Apache-2.0
"""Any image-text-to-text model of the transformers library, with its own processor."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from spatialcore.errors import UsageError
from spatialmllm.data.clips import ShownFrames
from spatialmllm.data.records import RecordSet
from spatialmllm.evaluation.answerers import Clip, Part, Prompt, Replies, prompts

if TYPE_CHECKING:
    from spatial_engine.records.record import QARecord

PREFIX = "hf:"


class LibraryModel:
    """A model that `AutoModelForImageTextToText` and `AutoProcessor` open.

    Args:
        name: A folder that holds one, or a name that the library finds in its cache or on the Hub.
        device: Where it runs.
        dtype: Type of its weights.
        max_new_tokens: Longest response; decoding is greedy.
        blind: Show grey images of the same size.
        frames: Which frames of a walk are shown; None: all. They are one clip where `takes_clips`.

    Attributes:
        takes_clips: Whether its processor takes videos and its chat template has a place for them.

    Raises:
        UsageError: The library cannot open it; the message is the library's own first line.
    """

    def __init__(
        self,
        name: str,
        *,
        device: torch.device,
        dtype: torch.dtype,
        max_new_tokens: int = 64,
        blind: bool = False,
        frames: ShownFrames | None = None,
    ) -> None:
        self.name, self._blind, self._longest = name, blind, max_new_tokens
        self._device, self._given = device, frames is not None
        with _named(name):
            from transformers import AutoModelForImageTextToText, AutoProcessor

            self._processor: Any = AutoProcessor.from_pretrained(name)
            model = AutoModelForImageTextToText.from_pretrained(name, dtype=dtype)
        self._model: Any = model.to(device).eval()
        tokenizer = getattr(self._processor, "tokenizer", None)
        if tokenizer is None or not getattr(self._processor, "chat_template", None):
            raise UsageError(f"{PREFIX}{name}: its processor has no chat template to ask it with")
        # A row's new tokens follow its own last token only where the pads stand before it.
        tokenizer.padding_side = "left"
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        self.takes_clips = _takes_clips(self._processor)
        self._frames = replace(frames or ShownFrames(), as_clip=self.takes_clips)

    def identity(self) -> dict[str, Any]:
        """The name, what its folder holds where it is one, and its chat template."""
        from spatialmllm.evaluation.run import model_digest

        folder = Path(self.name)
        template = hashlib.blake2b(str(self._processor.chat_template).encode(), digest_size=16)
        return {
            "model": f"{PREFIX}{self.name}",
            "weights": model_digest(folder) if folder.is_dir() else None,
            "template": template.hexdigest(),
            "sampling": {"max_new_tokens": self._longest},
            **({"clips": self._frames.identity()} if self._given else {}),
        }

    def answer(self, records: Sequence[QARecord], images: RecordSet) -> Replies:
        """Answer every record of a batch; one that fails does not lose the others."""
        replies = Replies()
        asked = prompts(records, images, replies, blind=self._blind, frames=self._frames)
        try:
            self.respond(asked, replies)
        except (ValueError, RuntimeError, IndexError, TypeError):
            # Some processors pad no batch of unequal prompts: then one by one.
            for prompt in asked:
                try:
                    self.respond([prompt], replies)
                except (ValueError, RuntimeError, IndexError, TypeError) as error:
                    replies.fail(prompt.id, f"{type(error).__name__}: {_first_line(error)}")
        return replies

    def respond(self, asked: Sequence[Prompt], replies: Replies) -> None:
        """Answer prompts together, greedily."""
        if not asked:
            return
        began = time.monotonic()
        inputs = self._inputs(asked)
        with torch.no_grad():
            made = self._model.generate(**inputs, max_new_tokens=self._longest, do_sample=False)
        new = made[:, inputs["input_ids"].shape[1] :]
        texts = self._processor.batch_decode(new, skip_special_tokens=True)
        pad = self._processor.tokenizer.pad_token_id
        seconds = (time.monotonic() - began) / len(asked)
        for prompt, row, text in zip(asked, new, texts, strict=True):
            replies.add(prompt.id, text.strip(), int((row != pad).sum()), seconds)

    def _inputs(self, asked: Sequence[Prompt]) -> Any:
        turns = [
            [{"role": role, "content": _content(parts)} for role, parts in prompt.turns()]
            for prompt in asked
        ]
        text = self._processor.apply_chat_template(
            turns, add_generation_prompt=True, tokenize=False
        )
        stills = [[one for one in p.images if not isinstance(one, Clip)] for p in asked]
        clips = [one for p in asked for one in p.images if isinstance(one, Clip)]
        inputs = self._processor(
            text=text, images=stills if any(stills) else None, return_tensors="pt", padding=True,
            **(_videos(clips) if clips else {}),
        )  # fmt: skip
        return inputs.to(self._device)


def _content(parts: Sequence[Part]) -> list[dict[str, str]]:
    return [
        {"type": "text", "text": part}
        if isinstance(part, str)
        else {"type": "video" if isinstance(part, Clip) else "image"}
        for part in parts
    ]


def _videos(clips: Sequence[Clip]) -> dict[str, Any]:
    """What a processor is given of clips: all their frames, and when they were taken.

    A clip is an array (T, H, W, 3) uint8.
    """
    times = [
        {"total_num_frames": len(clip.frames), "fps": clip.fps,
         "frames_indices": list(range(len(clip.frames)))}
        for clip in clips
    ]  # fmt: skip
    return {
        "videos": [np.stack([np.asarray(f.convert("RGB")) for f in clip.frames]) for clip in clips],
        "videos_kwargs": {"do_sample_frames": False, "video_metadata": times},
    }


def _takes_clips(processor: Any) -> bool:
    """Whether a processor takes videos and its chat template has a place for one."""
    token = getattr(processor, "video_token", None)
    if getattr(processor, "video_processor", None) is None or not token:
        return False
    turn = [{"role": "user", "content": [{"type": "video"}, {"type": "text", "text": "?"}]}]
    return token in processor.apply_chat_template(turn, tokenize=False)


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else "no reason given"


@contextmanager
def _named(name: str) -> Iterator[None]:
    """The library's own errors as one sentence that names the model."""
    try:
        yield
    except (OSError, ValueError, RuntimeError, AttributeError, KeyError) as error:
        reason = _first_line(error)
        if "torchvision" in str(error).lower():
            reason = (
                "its processor needs torchvision: pip install torchvision, or for a Qwen2.5-VL "
                "folder leave the `hf:` out, which asks it with this package's own processor"
            )
        raise UsageError(f"{PREFIX}{name}: the library cannot open it: {reason}") from error
    except ImportError as error:
        raise UsageError(f"{PREFIX}{name}: {_first_line(error)}") from error
