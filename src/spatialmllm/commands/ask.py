# SPDX-License-Identifier: Apache-2.0
"""Ask a model one question about images or a clip.

Examples:
  spatialcore ask --model runs/tiny/model --images a.jpg b.jpg --question "How did the camera move?"
  spatialcore ask --model QWEN --video walk.mp4 --question "How many chairs are there?" --frames 16
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from spatialcore.commands import exit_codes
from spatialcore.commands.guard import run_verb

if TYPE_CHECKING:
    from spatialmllm.config import ProcessorConfig
    from spatialmllm.data.preprocessing import Medium

CHOICE_SUFFIX = "Answer with the option's letter from the given choices directly."


@dataclass(frozen=True)
class Options:
    """Options of `spatialcore ask`.

    Attributes:
        model: Model folder.
        question: The question.
        images: Image files, in the order they are numbered.
        video: A video file or a folder of frames.
        options: Choices; they are lettered A, B, ...
        frames: Frames of the video, spread uniformly.
        max_new_tokens: Longest answer.
        temperature: 0 takes the likeliest token.
        seed: Seed of the draws at a temperature above 0.
        device: cpu or cuda; default: the GPU where there is one.
        dtype: float32 or bfloat16; default: bfloat16 on a GPU.
        json: Print one JSON object instead of text.
    """

    model: Path
    question: str
    images: tuple[Path, ...] = ()
    video: Path | None = None
    options: tuple[str, ...] = ()
    frames: int = 16
    max_new_tokens: int = 1024
    temperature: float = 0.0
    seed: int = 0
    device: str | None = None
    dtype: str | None = None
    json: bool = False


def main(argv: list[str]) -> int:
    """Run the command; returns its exit code."""
    return run_verb("ask", Options, __doc__, argv, _ask)


def question_text(question: str, options: tuple[str, ...]) -> str:
    """The question with its lettered choices and the published suffix.

    Example:
        >>> print(question_text("Which?", ("a chair", "a table")))
        Which?
        Options:
        A. a chair
        B. a table
        Answer with the option's letter from the given choices directly.
    """
    if not options:
        return question
    lettered = [f"{chr(ord('A') + i)}. {option}" for i, option in enumerate(options)]
    return "\n".join([question, "Options:", *lettered, CHOICE_SUFFIX])


def _ask(options: Options) -> int:
    import torch

    from spatialmllm.checkpoints import load
    from spatialmllm.data.batches import SampleBuilder, collate, to_device
    from spatialmllm.data.tokens import ChatTokenizer
    from spatialmllm.decoding import Sampling, generate
    from spatialmllm.evaluation.run import pick_device, pick_dtype

    device = pick_device(options.device)
    model = load(options.model, dtype=pick_dtype(options.dtype, device), device=device).eval()
    builder = SampleBuilder(model.settings, ChatTokenizer.from_file(options.model))
    media = _media(options, model.settings.processor)
    sample = builder.ask(question_text(options.question, options.options), media)
    began = time.monotonic()
    batch = to_device(collate([sample], model.settings), device)
    sampling = Sampling(options.max_new_tokens, options.temperature, seed=options.seed)
    (ids,) = generate(model, batch, sampling)
    seconds = time.monotonic() - began
    answer = builder.tokenizer.decode(ids)
    report: dict[str, object] = {
        "answer": answer,
        "tokens": len(ids),
        "prompt_tokens": len(sample.ids),
        "seconds": round(seconds, 3),
        "tokens_per_s": round(len(ids) / seconds, 2),
    }
    if device.type == "cuda":
        report["memory_gb"] = round(torch.cuda.max_memory_allocated() / 1e9, 2)
    if options.json:
        print(json.dumps(report))
        return exit_codes.OK
    print(answer)
    print(f"{len(ids)} tokens in {seconds:.2f} s", file=sys.stderr)
    return exit_codes.OK


def _media(options: Options, processor: ProcessorConfig) -> list[Medium]:
    from spatialcore.errors import MissingInput
    from spatialcore.io.images import decode_image
    from spatialmllm.data.preprocessing import clip, read_clip, still

    media: list[Medium] = []
    for path in options.images:
        if not path.is_file():
            raise MissingInput(f"{path}: no such image")
        media.append(still(decode_image(path.read_bytes(), path), processor))
    if options.video is not None:
        media.append(clip(read_clip(options.video, options.frames), processor))
    return media
