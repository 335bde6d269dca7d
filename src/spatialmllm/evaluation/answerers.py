# SPDX-License-Identifier: Apache-2.0
"""Who answers: a model of ours, one of the transformers library, or one behind an endpoint.

All get the same prompts and images, write the same files and are scored in the same way.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from PIL import Image

from spatialcore.errors import SpatialCoreError
from spatialmllm.data.batches import GREY, Sample, SampleBuilder, collate, to_device
from spatialmllm.data.clips import ShownFrames, earlier_turns
from spatialmllm.data.records import RecordSet
from spatialmllm.data.tokens import IMAGE_TAG
from spatialmllm.decoding import Sampling, generate

if TYPE_CHECKING:
    from spatial_engine.records.record import Message, QARecord
    from spatialmllm.model.model import SpatialMLLM

Line = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Clip:
    """Frames of one size that a model is shown as a video, so many a second."""

    frames: tuple[Image.Image, ...]
    fps: float


Part = str | Image.Image | Clip
"""A piece of a turn: a text, an image or a clip."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What any model can be asked: a text with one `<image>` for each image, and the images.

    In place of an image may stand a clip, of models that take them. `earlier` turns of a
    conversation stand before the text; their tags are counted alike.
    """

    id: str
    text: str
    images: tuple[Image.Image | Clip, ...] = ()
    earlier: tuple[Message, ...] = ()

    def turns(self) -> list[tuple[str, list[Part]]]:
        """Role and parts of every turn, in the order in which they are read.

        Raises:
            ValueError: The texts name another number of images than there are.
        """
        turns = [*((turn.role, turn.content) for turn in self.earlier), ("user", self.text)]
        tags = sum(text.count(IMAGE_TAG) for role, text in turns if role == "user")
        if tags != len(self.images):
            raise ValueError(f"{tags} image tags for {len(self.images)} images")
        images = iter(self.images)
        return [(role, _parts(text, images if role == "user" else None)) for role, text in turns]

    def parts(self) -> list[Part]:
        """Text and images of the last turn; empty texts are left out."""
        return self.turns()[-1][1]


def _parts(text: str, images: Iterator[Image.Image | Clip] | None) -> list[Part]:
    """A text with the images that its tags stand for; None: tags are text."""
    parts: list[Part] = []
    for number, piece in enumerate([text] if images is None else text.split(IMAGE_TAG)):
        if number and images is not None:
            parts.append(next(images))
        if piece.strip():
            parts.append(piece.strip("\n"))
    return parts


@dataclass(slots=True)
class Replies:
    """What came back: a line for each answer, and for each record that got none the reason."""

    answers: list[Line] = field(default_factory=list)
    failures: list[dict[str, str]] = field(default_factory=list)

    def add(self, id: str, response: str, tokens: int | None, seconds: float) -> None:
        """Take an answer."""
        line: Line = {"id": id, "response": response, "seconds": round(seconds, 4)}
        if tokens is not None:
            line["tokens"] = tokens
        self.answers.append(line)

    def fail(self, id: str, reason: str) -> None:
        """Take a record that could not be shown or answered."""
        self.failures.append({"id": id, "reason": reason})


class Answerer(Protocol):
    """Answers records; `identity` is what makes its answers what they are."""

    def identity(self) -> dict[str, Any]:
        """The model and how it is asked, for the header of a results folder."""

    def answer(self, records: Sequence[QARecord], images: RecordSet) -> Replies:
        """Answer every record of a batch."""


def prompts(
    records: Sequence[QARecord],
    images: RecordSet,
    replies: Replies,
    *,
    blind: bool,
    frames: ShownFrames | None = None,
) -> list[Prompt]:
    """The prompts of records, with marks drawn; those that cannot be shown go to `replies`.

    With `frames` the images of a walk are those that are chosen, as stills or as one clip; else all
    are shown, but of records that are clips by their text.
    """
    made: list[Prompt] = []
    frames = ShownFrames() if frames is None else frames
    for record in records:
        earlier = earlier_turns(record)
        try:
            at, text, is_clip = frames.of(record, images, blind=blind)
            sizes = [(record.images[k].width, record.images[k].height) for k in at]
            shown = tuple(
                Image.new("RGB", size, (GREY, GREY, GREY))
                if blind
                else images.image(record, number)
                for number, size in zip(at, sizes, strict=True)
            )
        except (SpatialCoreError, ValueError, OSError) as error:
            replies.fail(record.id, str(error))
            continue
        text = earlier[-1].content if earlier else text
        media = (Clip(shown, frames.settings.nominal_fps),) if is_clip else shown
        made.append(Prompt(record.id, text, media, earlier[:-1]))
    return made


class OwnModel:
    """A model of this package.

    Args:
        model: The model, on its device.
        builder: Makes prompts exactly as in training.
        folder: Where the model is from, for its identity.
        sampling: Length and choice of tokens.
    """

    def __init__(
        self, model: SpatialMLLM, builder: SampleBuilder, folder: Path, sampling: Sampling
    ) -> None:
        self._model, self._builder, self._sampling = model, builder, sampling
        self._folder = folder

    def identity(self) -> dict[str, Any]:
        """Hash of the model folder, the sampling, and how clips are shown where they are."""
        from spatialmllm.evaluation.run import model_digest

        made = {"model": model_digest(self._folder), "sampling": asdict(self._sampling)}
        shown, geometry = self._builder.config.processor, self._builder.geometry
        if shown == self._model.settings.processor and geometry is None:
            return made
        clips = {key: getattr(shown, key) for key in ("clip_from", "clip_frames", "sampler")}
        where = None if geometry is None else geometry.identity()
        return {**made, "clips": {**clips, "geometry": where}}

    def answer(self, records: Sequence[QARecord], images: RecordSet) -> Replies:
        """Answer every record of a batch."""
        replies = Replies()
        samples: list[Sample] = []
        for record in records:
            try:
                samples.append(self._builder.sample([record], images, answers=False))
            except (SpatialCoreError, ValueError, OSError) as error:
                replies.fail(record.id, str(error))
        if samples:
            self._decode(samples, replies)
        return replies

    def _decode(self, samples: Sequence[Sample], replies: Replies) -> None:
        began = time.monotonic()
        batch = to_device(collate(samples, self._builder.config, pad="left"), self._model.device)
        made = generate(self._model, batch, self._sampling)
        seconds = (time.monotonic() - began) / len(samples)
        for sample, ids in zip(samples, made, strict=True):
            text = self._builder.tokenizer.decode(ids)
            replies.add(sample.record_ids[0], text, len(ids), seconds)
