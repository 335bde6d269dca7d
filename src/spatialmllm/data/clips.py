# SPDX-License-Identifier: Apache-2.0
"""Clips: the frames of a walk as one video, and which of them a model is shown.

A clip's frames are taken in pairs, so it costs half the tokens of as many stills. Training,
evaluation and questions by hand choose with the same function, by the model's own settings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spatialcore.errors import UsageError
from spatialmllm.config import ProcessorConfig, Sampler
from spatialmllm.data.preprocessing import PAIR, target_size, uniform_indices
from spatialmllm.data.tokens import IMAGE_TAG, VIDEO_TAG
from spatialmllm.geometry import GeometryProvider
from spatialmllm.sampling import adaptive_budget, motion_of, select_frames

if TYPE_CHECKING:
    from PIL.Image import Image

    from spatial_engine.records.record import Message, QARecord
    from spatialmllm.data.records import RecordSet
    from spatialmllm.data.walk_geometry import WalkGeometry

# Frames by position in the walk; read only where a sampler looks at them.
Frames = Callable[[Sequence[int]], "Sequence[Image]"]
GREY_SIDE = 320
_PLACES = re.compile(rf"\A(?:[^\n<]*{re.escape(IMAGE_TAG)}[ :.]*\n)*[^\n<]*{re.escape(IMAGE_TAG)}")
_BY_NUMBER = re.compile(r"\b(?:image|frame|picture|photo|view)s? ?(?:\d|no\b)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Walk:
    """Frames in the order they were taken, before a choice.

    Attributes:
        key: Name, from which random choices are drawn.
        count: Frames.
        height: Of a frame, in pixels.
        width: Of a frame, in pixels.
        frames: Opens frames by position.
        seconds: How long the walk takes; None: `nominal_fps` frames a second.
        geometry: Where each pixel lies in the world, by position; None: not known.
    """

    key: str
    count: int
    height: int
    width: int
    frames: Frames
    seconds: float | None = None
    geometry: GeometryProvider | None = None


def is_walk(record: QARecord, processor: ProcessorConfig) -> bool:
    """Whether a record's images are shown as one clip.

    A record whose prompt has a `<video>` tag is; any other when the model's settings say so
    (`clip_from` images or more) and nothing points at single images: they have one size, no marks,
    stand in the order of the walk, and the question names none of them by number.
    """
    text = user_text(record)
    if VIDEO_TAG in text:
        return True
    if earlier_turns(record) or not record.images:
        return False
    if not processor.clip_from or len(record.images) < processor.clip_from:
        return False
    if any(image.marks for image in record.images):
        return False
    if len({(image.height, image.width) for image in record.images}) > 1:
        return False
    if any(a >= b for a, b in pairwise(record.frames)):
        return False
    found = _PLACES.match(text)
    if found is None or found[0].count(IMAGE_TAG) != len(record.images):
        return False
    return _BY_NUMBER.search(text[found.end() :]) is None


def clip_text(record: QARecord) -> str:
    """The user's text of a record that is shown as a clip: one `<video>` for all its images."""
    text = user_text(record)
    if VIDEO_TAG in text:
        return text
    return _PLACES.sub(VIDEO_TAG, text, count=1)


def user_text(record: QARecord) -> str:
    """The user's text of a record, with one tag for each image."""
    for turn in record.messages:
        if turn.role == "user":
            return turn.content
    return "\n".join([IMAGE_TAG] * len(record.images) + [record.question])


def earlier_turns(record: QARecord) -> tuple[Message, ...]:
    """All turns up to the answer of a record that has more of them than its question; else ()."""
    return record.messages[:-1] if len(record.messages) > 2 else ()


def clip_tokens(count: int, height: int, width: int, processor: ProcessorConfig) -> int:
    """Visual tokens of a clip of `count` frames of this size."""
    rows, columns = target_size(height, width, processor)
    return -(-count // PAIR) * (rows // 28) * (columns // 28)


def check_sampler(processor: ProcessorConfig, *, has_geometry: bool) -> None:
    """UsageError when the sampler needs geometry and none is named."""
    if processor.sampler == "space_aware" and not has_geometry:
        raise UsageError(
            "the sampler space_aware needs to know where pixels lie: give --geometry depth, a file "
            "of point maps or a folder of them, or vggt"
        )


def walk_of(record: QARecord, images: RecordSet, geometry: WalkGeometry | None) -> Walk:
    """The images of a record as frames to choose from."""
    first = record.images[0]
    return Walk(
        key=f"{record.source}/{record.scene}/{','.join(map(str, record.frames))}",
        count=len(record.images),
        height=first.height,
        width=first.width,
        frames=lambda at: [images.image(record, number) for number in at],
        geometry=None if geometry is None else geometry(record, images),
    )


@dataclass(frozen=True, slots=True)
class ShownFrames:
    """Which frames of a walk a model of another package is shown, in order.

    Attributes:
        settings: `clip_from`, `clip_frames` and `sampler` as for models of this package.
        geometry: Where pixels lie, for samplers that ask for it.
        as_clip: Whether the model takes videos, so that the frames are one; else they are stills.
    """

    settings: ProcessorConfig = field(default_factory=ProcessorConfig)
    geometry: WalkGeometry | None = None
    as_clip: bool = False

    def __post_init__(self) -> None:
        if self.settings.sampler == "adaptive":
            raise UsageError(
                "--sampler adaptive goes by the tokens that frames cost, which are not known of "
                "this model: give --frames and uniform, random, space_aware or score"
            )
        check_sampler(self.settings, has_geometry=self.geometry is not None)

    def identity(self) -> dict[str, Any]:
        """How frames are chosen, for the header of results."""
        chosen = {key: getattr(self.settings, key) for key in _CHOICE}
        where = None if self.geometry is None else self.geometry.identity()
        return {**chosen, "geometry": where, "shown_as": "clip" if self.as_clip else "stills"}

    def of(
        self, record: QARecord, images: RecordSet, *, blind: bool
    ) -> tuple[list[int], str, bool]:
        """Positions of the images that are shown, the text, and whether they are one clip.

        The text has an `<image>` for each image, or one for the clip.
        """
        every = list(range(len(record.images)))
        if not is_walk(record, self.settings):
            return every, user_text(record), False
        if blind:  # how many a sampler takes would tell about what is in it
            at = uniform_indices(len(every), self.settings.clip_frames)
        else:
            at = choose_frames(walk_of(record, images, self.geometry), self.settings, 0)
        tags = "\n".join([IMAGE_TAG] * (1 if self.as_clip else len(at)))
        return list(at), clip_text(record).replace(VIDEO_TAG, tags, 1), self.as_clip


_CHOICE = ("clip_from", "clip_frames", "sampler")


def choose_frames(walk: Walk, processor: ProcessorConfig, available_tokens: int) -> list[int]:
    """Positions of the frames that a model is shown, ascending.

    Args:
        walk: The walk.
        processor: `sampler` says how, `clip_frames` how many at most.
        available_tokens: What the rest of the sequence leaves of `max_tokens`; the adaptive budget
            goes by it, the others take `clip_frames`.

    Raises:
        ValueError: The sampler needs geometry that the walk does not have.
    """
    k, method = processor.clip_frames, processor.sampler
    if method in ("uniform", "random"):
        return list(select_frames(walk.count, k, method, key=walk.key).indices)
    if method == "space_aware":
        chosen = select_frames(walk.count, k, method, geometry=walk.geometry, key=walk.key)
        return list(chosen.indices)
    grey = _Grey(walk)
    if method == "adaptive":
        seconds = walk.seconds
        if seconds is None:
            seconds = walk.count / processor.nominal_fps
        k = adaptive_budget(
            seconds,
            motion_of([grey(i) for i in grey.candidates]),
            clip_tokens(PAIR, walk.height, walk.width, processor),
            available_tokens,
            most=processor.clip_frames,
        )
    chosen = select_frames(walk.count, k, "score", images=grey, geometry=walk.geometry)
    return list(chosen.indices)


class _Grey:
    """Grey images of a walk's candidates, small; the frames are opened once."""

    def __init__(self, walk: Walk) -> None:
        from spatialmllm.sampling import MAX_CANDIDATES

        self.candidates = uniform_indices(walk.count, MAX_CANDIDATES)
        self._made: dict[int, NDArray[np.float64]] = {}
        for index, image in zip(self.candidates, walk.frames(self.candidates), strict=True):
            small = image.convert("L")
            small.thumbnail((GREY_SIDE, GREY_SIDE))
            self._made[index] = np.asarray(small, dtype=np.float64) / 255

    def __call__(self, index: int) -> NDArray[np.float64]:
        return self._made[index]


def shown_settings(
    processor: ProcessorConfig,
    *,
    sampler: Sampler | None = None,
    frames: int | None = None,
    clip_from: int | None = None,
) -> ProcessorConfig:
    """A model's own settings with what a command says instead.

    Args:
        processor: The model's.
        sampler: How frames are chosen; None as the model says.
        frames: Frames of a clip at most.
        clip_from: Images from which a record is a clip; 0: never.
    """
    return replace(
        processor,
        sampler=processor.sampler if sampler is None else sampler,
        clip_frames=processor.clip_frames if frames is None else frames,
        clip_from=processor.clip_from if clip_from is None else clip_from,
    )
