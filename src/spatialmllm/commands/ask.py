# SPDX-License-Identifier: Apache-2.0
"""Ask a model one question about images or a clip.

Examples:
  spatialcore ask --model runs/tiny/model --images a.jpg b.jpg --question "How did the camera move?"
  spatialcore ask --model QWEN --video walk.mp4 --question "How many chairs are there?" --frames 16
  spatialcore ask --model M --video walk --question "Is there a lamp?" --sampler adaptive
  spatialcore ask --model hf:./llava --images a.jpg --question "How many chairs are there?"
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from spatialcore.commands import exit_codes
from spatialcore.commands.guard import run_verb
from spatialcore.commands.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from PIL.Image import Image

    from spatialmllm.config import ProcessorConfig
    from spatialmllm.data.preprocessing import ClipFile, Medium
    from spatialmllm.evaluation.answerers import Clip, Prompt
    from spatialmllm.geometry import GeometryProvider

# Written out: the command's help loads no settings.
Sampler = Literal["uniform", "random", "space_aware", "score", "adaptive"]
CHOICE_SUFFIX = "Answer with the option's letter from the given choices directly."


@dataclass(frozen=True)
class Options:
    """Options of `spatialcore ask`.

    Attributes:
        model: Model folder; `hf:NAME` or `hf:DIR` for any image-text-to-text model of transformers;
            the model's name at an endpoint.
        question: The question.
        endpoint: URL of an OpenAI-compatible server; it sees a video as images, as do models of
            `hf:` that take no videos.
        images: Image files, in the order they are numbered.
        video: A video file or a folder of frames.
        options: Choices; they are lettered A, B, ...
        frames: Frames of the video at most; default: the model's own, 16 for others.
        sampler: How they are chosen: uniform, random, space_aware, score or adaptive; default: as
            the model says, uniform for others.
        geometry: Where the pixels of the video lie, for space_aware: an npz file of point maps, a
            row for each frame, or `vggt` (the images alone, with --geometry-model).
        geometry_model: VGGT or Spatial-MLLM folder for --geometry vggt.
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
    frames: int | None = None
    sampler: Sampler | None = None
    geometry: str | None = None
    geometry_model: Path | None = None
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
    from spatialmllm.evaluation.answerers import Replies

    if options.temperature:
        raise UsageError("--temperature is for models of this package; others decode greedily")
    images, clip = tuple(_images(options)), _clip(options)
    if options.endpoint is not None:
        from spatialmllm.evaluation.endpoint import Endpoint, Refused

        asked = Endpoint(
            options.endpoint, options.model, max_new_tokens=options.max_new_tokens, concurrency=1
        )
        try:
            reply = asked.respond(_prompt(options, (*images, *(clip.frames if clip else ()))))
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
    shown: tuple[Image | Clip, ...] = images
    if clip is not None:
        shown = (*images, clip) if model.takes_clips else (*images, *clip.frames)
    replies = Replies()
    model.respond([_prompt(options, shown)], replies)
    return {"answer": replies.answers[0]["response"], "tokens": replies.answers[0]["tokens"]}


def _prompt(options: Options, shown: Sequence[Image | Clip]) -> Prompt:
    from spatialmllm.evaluation.answerers import Prompt

    text = "".join(["<image>\n"] * len(shown))
    return Prompt("asked", text + question_text(options.question, options.options), tuple(shown))


def _clip(options: Options) -> Clip | None:
    """The chosen frames of the video, where there is one."""
    from spatialmllm.config import ProcessorConfig
    from spatialmllm.evaluation.answerers import Clip

    if options.video is None:
        return None
    found, chosen = _chosen(options, options.video, ProcessorConfig(), options.question)
    fps = len(chosen) / found.seconds if found.seconds else ProcessorConfig().nominal_fps
    return Clip(tuple(found.frames(chosen)), fps)


def _images(options: Options) -> Iterator[Image]:
    from spatialcore.errors import MissingInput
    from spatialcore.io.images import decode_image

    for path in options.images:
        if not path.is_file():
            raise MissingInput(f"{path}: no such image")
        yield decode_image(path.read_bytes(), path)


def _media(options: Options, processor: ProcessorConfig) -> list[Medium]:
    from spatialmllm.data.preprocessing import clip, still

    media: list[Medium] = [still(image, processor) for image in _images(options)]
    if options.video is not None:
        found, chosen = _chosen(options, options.video, processor, options.question)
        media.append(clip(found.frames(chosen), processor))
    return media


def _chosen(
    options: Options, video: Path, processor: ProcessorConfig, text: str
) -> tuple[ClipFile, list[int]]:
    """The video, and the numbers of its frames that the model is shown."""
    from spatialmllm.data.clips import Walk, check_sampler, choose_frames, shown_settings
    from spatialmllm.data.preprocessing import open_clip

    shown = shown_settings(processor, sampler=options.sampler, frames=options.frames)
    check_sampler(shown, has_geometry=options.geometry is not None)
    found = open_clip(video)
    height, width = found.size
    walk = Walk(
        video.name, found.count, height, width, found.frames, found.seconds,
        None if options.geometry is None else _geometry(options, found),
    )  # fmt: skip
    # A word is rarely more than two tokens, and a turn's frame not more than twenty.
    left = shown.max_tokens - 2 * len(text.split()) - 40 - options.max_new_tokens
    return found, choose_frames(walk, shown, max(left, 0))


def _geometry(options: Options, found: ClipFile) -> GeometryProvider:
    from spatialcore.errors import UsageError
    from spatialmllm.data.walk_geometry import NO_VGGT, vggt_of
    from spatialmllm.geometry import from_npz

    if options.geometry == "vggt":
        if options.geometry_model is None:
            raise UsageError(NO_VGGT)
        return vggt_of(str(options.geometry_model), "depth", options.device)(found.frame)
    path = Path(str(options.geometry))
    if not path.is_file():
        raise UsageError(f"--geometry takes vggt or an npz file of point maps; {path} is no file")
    return from_npz(path)
