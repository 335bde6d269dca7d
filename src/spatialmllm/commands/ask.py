# SPDX-License-Identifier: Apache-2.0
"""Ask a model one question about images or a clip.

Examples:
  spatialcore ask --model runs/tiny/model --images a.jpg b.jpg --question "How did the camera move?"
  spatialcore ask --model QWEN --video walk.mp4 --question "How many chairs are there?" --frames 16
  spatialcore ask --model hf:./llava --images a.jpg --question "How many chairs are there?"
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
from spatialcore.commands.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL.Image import Image

    from spatialmllm.config import ProcessorConfig
    from spatialmllm.data.preprocessing import Medium

CHOICE_SUFFIX = "Answer with the option's letter from the given choices directly."


@dataclass(frozen=True)
class Options:
    """Options of `spatialcore ask`.

    Attributes:
        model: Model folder; `hf:NAME` or `hf:DIR` for any image-text-to-text model of transformers;
            the model's name at an endpoint.
        question: The question.
        endpoint: URL of an OpenAI-compatible server; it and `hf:` see a video as images.
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

    model: str
    question: str
    endpoint: str | None = None
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

    began = time.monotonic()
    if options.endpoint is not None or options.model.startswith("hf:"):
        report = _ask_other(options)
    else:
        report = _ask_own(options)
        if torch.cuda.is_available():
            report["memory_gb"] = round(torch.cuda.max_memory_allocated() / 1e9, 2)
    seconds = time.monotonic() - began
    tokens = report["tokens"]
    report["seconds"] = round(seconds, 3)
    if options.json:
        print(json.dumps(report))
        return exit_codes.OK
    print(printable(str(report["answer"])))
    print(f"{tokens} tokens in {seconds:.2f} s", file=sys.stderr)
    return exit_codes.OK


def _ask_own(options: Options) -> dict[str, object]:
    from spatialmllm.checkpoints import load
    from spatialmllm.data.batches import SampleBuilder, collate, to_device
    from spatialmllm.data.tokens import ChatTokenizer
    from spatialmllm.decoding import Sampling, generate
    from spatialmllm.evaluation.run import pick_device, pick_dtype

    device = pick_device(options.device)
    folder = Path(options.model)
    model = load(folder, dtype=pick_dtype(options.dtype, device), device=device).eval()
    builder = SampleBuilder(model.settings, ChatTokenizer.from_file(folder))
    media = _media(options, model.settings.processor)
    sample = builder.ask(question_text(options.question, options.options), media)
    batch = to_device(collate([sample], model.settings, pad="left"), device)
    sampling = Sampling(options.max_new_tokens, options.temperature, seed=options.seed)
    began = time.monotonic()
    (ids,) = generate(model, batch, sampling)
    return {
        "answer": builder.tokenizer.decode(ids),
        "tokens": len(ids),
        "prompt_tokens": len(sample.ids),
        "tokens_per_s": round(len(ids) / (time.monotonic() - began), 2),
    }


def _ask_other(options: Options) -> dict[str, object]:
    """Ask a model of transformers or one behind an endpoint; both decode greedily."""
    from spatialcore.errors import UsageError
    from spatialmllm.evaluation.answerers import Prompt, Replies

    if options.temperature:
        raise UsageError("--temperature is for models of this package; others decode greedily")
    shown = _shown(options)
    text = "".join(["<image>\n"] * len(shown))
    prompt = Prompt("asked", text + question_text(options.question, options.options), shown)
    if options.endpoint is not None:
        from spatialmllm.evaluation.endpoint import Endpoint, Refused

        asked = Endpoint(
            options.endpoint, options.model, max_new_tokens=options.max_new_tokens, concurrency=1
        )
        try:
            reply = asked.respond(prompt)
        except Refused as error:
            raise UsageError(f"{asked.url}: {error}") from error
        return {"answer": reply.text, "tokens": reply.tokens}
    from spatialmllm.evaluation.library import LibraryModel
    from spatialmllm.evaluation.run import pick_device, pick_dtype

    device = pick_device(options.device)
    model = LibraryModel(
        options.model.removeprefix("hf:"),
        device=device,
        dtype=pick_dtype(options.dtype, device),
        max_new_tokens=options.max_new_tokens,
    )
    replies = Replies()
    model.respond([prompt], replies)
    return {"answer": replies.answers[0]["response"], "tokens": replies.answers[0]["tokens"]}


def _shown(options: Options) -> tuple[Image, ...]:
    from spatialmllm.data.preprocessing import read_clip

    shown = list(_images(options))
    if options.video is not None:
        shown += read_clip(options.video, options.frames)
    return tuple(shown)


def _images(options: Options) -> Iterator[Image]:
    from spatialcore.errors import MissingInput
    from spatialcore.io.images import decode_image

    for path in options.images:
        if not path.is_file():
            raise MissingInput(f"{path}: no such image")
        yield decode_image(path.read_bytes(), path)


def _media(options: Options, processor: ProcessorConfig) -> list[Medium]:
    from spatialmllm.data.preprocessing import clip, read_clip, still

    media: list[Medium] = [still(image, processor) for image in _images(options)]
    if options.video is not None:
        media.append(clip(read_clip(options.video, options.frames), processor))
    return media
