# SPDX-License-Identifier: Apache-2.0
"""From records to padded batches.

A sample is one sequence: a prompt with its media and, for training, its answers. A batch pads
samples on the right and lays the media of all of them end to end; the frames of one sample that
have one size form a context and are encoded together, every still once.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spatialmllm.config import SpatialMLLMConfig
from spatialmllm.data.clips import (
    check_sampler,
    choose_frames,
    clip_text,
    clip_tokens,
    earlier_turns,
    is_walk,
    user_text,
    walk_of,
)
from spatialmllm.data.positions import sequence_positions, time_stride
from spatialmllm.data.preprocessing import (
    Medium,
    medium_rows,
    paired,
    still,
    target_size,
    uniform_indices,
)
from spatialmllm.data.targets import Target, target_text
from spatialmllm.data.tokens import (
    IGNORE,
    IMAGE_TAG,
    SYSTEM_PROMPT,
    VIDEO_TAG,
    ChatTokenizer,
    Encoded,
    Turn,
)

if TYPE_CHECKING:
    from spatial_engine.records.record import QARecord
    from spatialmllm.data.cache import ImageCache
    from spatialmllm.data.records import RecordSet
    from spatialmllm.data.walk_geometry import WalkGeometry

GREY = 128  # what a blind model sees
BLANK_SIDE = 56  # pixels: two merged patches a side


@dataclass(frozen=True, slots=True)
class Sample:
    """One sequence: ids and labels, its media in prompt order, and the records it came from."""

    ids: list[int]
    labels: list[int]
    media: tuple[Medium, ...]
    record_ids: tuple[str, ...] = ()


class SampleBuilder:
    """Turns records into samples; training and evaluation build prompts with the same function.

    Args:
        config: The model's configuration.
        tokenizer: Its tokenizer.
        target: What the assistant says: sentence, machine answer, or chain and sentence.
        blind: Show grey images of the same size.
        cache: Keeps decoded images on disk; None decodes every time.
        geometry: Where the pixels of a record's frames lie, for samplers that ask for it.

    Raises:
        SettingsError: The tokenizer is another model's.
        UsageError: The model's sampler needs geometry, and there is none.
    """

    def __init__(
        self, config: SpatialMLLMConfig, tokenizer: ChatTokenizer, *, target: Target = "sentence",
        blind: bool = False, cache: ImageCache | None = None, geometry: WalkGeometry | None = None,
    ) -> None:  # fmt: skip
        if target not in get_args(Target):
            raise ValueError(f"target must be one of {get_args(Target)}, got {target!r}")
        tokenizer.check_fits(config)
        check_sampler(config.processor, has_geometry=geometry is not None or blind)
        self.config = config
        self.tokenizer = tokenizer
        self.target = target
        self.blind = blind
        self.cache = cache
        self.geometry = geometry
        self.said: Mapping[str, str] = {}

    def saying(self, said: Mapping[str, str]) -> SampleBuilder:
        """A builder that is told what the assistant says of some records, by id."""
        made = copy.copy(self)
        made.said = said
        return made

    def answer(self, record: QARecord) -> str:
        """The assistant's text for a record; raises as `target_text` does."""
        said = self.said.get(record.id)
        return target_text(record, self.target) if said is None else said

    def turns(self, records: Sequence[QARecord], *, answers: bool) -> list[Turn]:
        """The conversation about the images that the records share.

        The first question shows the images, the others are asked about them. Without answers only
        one record is allowed. An imported conversation keeps all its turns.
        """
        if not answers and len(records) != 1:
            raise ValueError(f"a prompt asks one question, got {len(records)}")
        if earlier := earlier_turns(records[0]):
            last = [Turn("assistant", self.answer(records[0]))] if answers else []
            named = any(turn.role == "system" for turn in earlier)
            first = [] if named else [Turn("system", SYSTEM_PROMPT)]
            return [*first, *(Turn(t.role, t.content) for t in earlier), *last]
        turns = [Turn("system", SYSTEM_PROMPT)]
        for number, record in enumerate(records):
            turns.append(Turn("user", record.question if number else self._first_text(record)))
            if answers:
                turns.append(Turn("assistant", self.answer(record)))
        return turns

    def _first_text(self, record: QARecord) -> str:
        walk = is_walk(record, self.config.processor)
        return clip_text(record) if walk else user_text(record)

    def visual_counts(self, record: QARecord) -> list[tuple[str, int]]:
        """Tag and visual tokens of each medium, from the recorded sizes alone: nothing is decoded.

        A clip is counted with as many frames as it can have.
        """
        processor = self.config.processor
        if is_walk(record, processor):
            image, count = record.images[0], len(record.images)
            most = min(count, processor.clip_frames)
            return [(VIDEO_TAG, clip_tokens(most, image.height, image.width, processor))]
        counts = []
        for image in record.images:
            rows, columns = target_size(image.height, image.width, processor)
            counts.append((IMAGE_TAG, (rows // 28) * (columns // 28)))
        return counts

    def encode(
        self,
        records: Sequence[QARecord],
        *,
        answers: bool = True,
        visual: Sequence[tuple[str, int]] | None = None,
    ) -> Encoded:
        """Token ids and labels of a conversation, without opening an image.

        Args:
            records: Records that show the same images with the same marks.
            answers: Add the answers, for training.
            visual: Tag and visual tokens of each medium; None: as `visual_counts` has it.

        Raises:
            ValueError: The record cannot be written with this tokenizer, or is longer than
                `max_tokens`; nothing is ever cut.
        """
        shown = self.visual_counts(records[0]) if visual is None else visual
        turns = self.turns(records, answers=answers)
        if answers:
            encoded = self.tokenizer.conversation(turns, shown)
        else:
            ids = self.tokenizer.prompt(turns, shown)
            encoded = Encoded(ids, [IGNORE] * len(ids))
        limit = self.config.processor.max_tokens
        if len(encoded.ids) > limit:
            raise ValueError(f"{len(encoded.ids)} tokens, the limit is {limit}")
        return encoded

    def sample(
        self, records: Sequence[QARecord], images: RecordSet, *, answers: bool = True
    ) -> Sample:
        """A sequence with its images, or the frames that the model's sampler chooses of a clip.

        Args:
            records: Records that show the same images with the same marks.
            images: Where their images are.
            answers: Add the answers, for training.
        """
        shown = records[0]
        if is_walk(shown, self.config.processor):
            media = [self._clip(records, images, answers=answers)]
        else:
            media = [self._still(shown, k, images) for k in range(len(shown.images))]
        visual = [(IMAGE_TAG if m.still else VIDEO_TAG, m.token_count) for m in media]
        encoded = self.encode(records, answers=answers, visual=visual)
        return Sample(encoded.ids, encoded.labels, tuple(media), tuple(r.id for r in records))

    def chosen(
        self, records: Sequence[QARecord], images: RecordSet, *, answers: bool = True
    ) -> list[int]:
        """Positions of the images that are shown of records that show a walk as a clip.

        A blind model is shown as many frames as there may be, spread evenly: how many a sampler
        takes of a clip would tell about what is in it.
        """
        shown, processor = records[0], self.config.processor
        if self.blind:
            return uniform_indices(len(shown.images), processor.clip_frames)
        text = self.encode(records, answers=answers, visual=[(VIDEO_TAG, 0)])
        walk = walk_of(shown, images, self.geometry)
        return choose_frames(walk, processor, processor.max_tokens - len(text.ids))

    def _clip(self, records: Sequence[QARecord], images: RecordSet, *, answers: bool) -> Medium:
        at = self.chosen(records, images, answers=answers)
        frames = np.concatenate([self._still(records[0], k, images).frames for k in at])
        return Medium(paired(frames), still=False)

    def _still(self, record: QARecord, number: int, images: RecordSet) -> Medium:
        processor = self.config.processor
        reference = record.images[number]
        rows, columns = target_size(reference.height, reference.width, processor)
        if not self.blind:

            def decode() -> NDArray[np.uint8]:
                shown = still(images.image(record, number), processor)
                return np.asarray(shown.frames[0], dtype=np.uint8)

            root = images.roots.get(record.source)
            if self.cache is None or root is None:
                return Medium(decode()[None], still=True)
            pixels = self.cache.read(
                root, reference, images.letter_height_share(record), (rows, columns), decode
            )
            return Medium(pixels[None], still=True)
        return Medium(np.full((1, rows, columns, 3), GREY, dtype=np.uint8), still=True)

    def ask(self, question: str, media: Sequence[Medium]) -> Sample:
        """A prompt about media that belong to no record; tags are put before the question."""
        tags = [IMAGE_TAG if medium.still else VIDEO_TAG for medium in media]
        return self.tagged("\n".join([*tags, question]), media)

    def tagged(self, text: str, media: Sequence[Medium], earlier: Sequence[Turn] = ()) -> Sample:
        """A prompt whose text, and the turns before it, have a tag for each medium."""
        named = any(turn.role == "system" for turn in earlier)
        first = [] if named else [Turn("system", SYSTEM_PROMPT)]
        visual = [(IMAGE_TAG if m.still else VIDEO_TAG, m.token_count) for m in media]
        ids = self.tokenizer.prompt([*first, *earlier, Turn("user", text)], visual)
        return Sample(ids, [IGNORE] * len(ids), tuple(media))

    def blank(self) -> Sample:
        """A sequence with one small grey image and nothing to learn from."""
        grey = np.full((1, BLANK_SIDE, BLANK_SIDE, 3), GREY, dtype=np.uint8)
        return self.ask("", [Medium(grey, still=True)])


def contexts(media: Sequence[Medium]) -> list[list[int]]:
    """Maximal runs of media of one sample with equal (h, w), as lists of positions."""
    runs: list[list[int]] = []
    for i, medium in enumerate(media):
        if runs and medium.grid[1:] == media[runs[-1][-1]].grid[1:]:
            runs[-1].append(i)
        else:
            runs.append([i])
    return runs


def collate(
    samples: Sequence[Sample],
    config: SpatialMLLMConfig,
    *,
    pad: Literal["left", "right"] = "right",
    keys: bool = False,
) -> dict[str, Any]:
    """Pad samples to one batch, the arguments of `SpatialMLLM.forward`.

    Args:
        samples: The samples.
        config: The model's configuration.
        pad: Side of the padding: "left" for prompts that are to be continued.
        keys: Add `context_keys`, hashes of the frames, for a model with a feature cache.

    Returns:
        input_ids (B, L), attention_mask (B, L), position_ids (3, B, L), labels (B, L); and where
        there are media pixel_values (rows, 1176), grid_thw (n, 3), frames [(S, 3, H, W)],
        context_rows and still. Batches padded on the right have `places`, too.
    """
    length = max(len(sample.ids) for sample in samples)
    ids = torch.full((len(samples), length), config.ids.pad, dtype=torch.long)
    labels = torch.full((len(samples), length), IGNORE, dtype=torch.long)
    mask = torch.zeros((len(samples), length), dtype=torch.long)
    positions = torch.ones((3, len(samples), length), dtype=torch.long)
    stride = time_stride(config)
    for row, sample in enumerate(samples):
        start = length - len(sample.ids) if pad == "left" else 0
        own = slice(start, start + len(sample.ids))
        ids[row, own] = torch.tensor(sample.ids)
        labels[row, own] = torch.tensor(sample.labels)
        # By length, not by comparing with the pad token, which may be a real one.
        mask[row, own] = 1
        made = sequence_positions(
            sample.ids,
            [medium.grid for medium in sample.media],
            (config.ids.image, config.ids.video),
            stride=stride,
            merge=config.vision.spatial_merge_size,
        )
        positions[:, row, own] = torch.from_numpy(made.ids)
    batch: dict[str, Any] = {
        "input_ids": ids,
        "attention_mask": mask,
        "position_ids": positions,
        "labels": labels,
    }
    if pad == "right":
        batch["places"] = _places(ids, labels, [len(sample.ids) for sample in samples], config)
    return batch | visual_inputs([sample.media for sample in samples], config, keys=keys)


def _places(
    ids: Tensor, labels: Tensor, lengths: list[int], config: SpatialMLLMConfig
) -> dict[str, Any]:
    """Positions in the flattened batch, looked up here so that no GPU is waited for."""
    real = torch.arange(ids.shape[1])[None] < torch.tensor(lengths)[:, None]
    visual = ((ids == config.ids.image) | (ids == config.ids.video)) & real
    ahead = torch.zeros_like(real)
    ahead[:, :-1] = labels[:, 1:] != IGNORE
    found = {"real": real, "visual": visual, "supervised": ahead}
    places: dict[str, Any] = {
        name: mask.flatten().nonzero().squeeze(1) for name, mask in found.items()
    }
    places["starts"] = torch.tensor([0, *accumulate(lengths)], dtype=torch.int32)
    places["lengths"] = lengths
    return places


def content_key(frames: NDArray[np.uint8]) -> str:
    """Hash of the frames (S, H, W, 3) of a context."""
    digest = hashlib.blake2b(f"{frames.shape}|".encode(), digest_size=16)
    digest.update(np.ascontiguousarray(frames).data)
    return digest.hexdigest()


def visual_inputs(
    shown: Sequence[Sequence[Medium]], config: SpatialMLLMConfig, *, keys: bool = False
) -> dict[str, Any]:
    """The visual arguments of `SpatialMLLM.forward` for the media of each sample; {} for none."""
    media = [medium for sample in shown for medium in sample]
    if not media:
        return {}
    rows = np.concatenate([medium_rows(medium) for medium in media])
    visual: dict[str, Any] = {
        "pixel_values": torch.from_numpy(rows),
        "grid_thw": torch.tensor([medium.grid for medium in media], dtype=torch.long),
    }
    if config.connector.kind == "none":
        return visual
    frames: list[Tensor] = []
    context_rows: list[int] = []
    context_keys: list[str] = []
    for sample in shown:
        for run in contexts(sample):
            pixels = np.concatenate([sample[i].frames for i in run])
            tensor = torch.from_numpy(pixels).permute(0, 3, 1, 2)
            frames.append(tensor.float().div_(255))
            context_rows.append(len(run))
            if keys:
                context_keys.append(content_key(pixels))
    visual["frames"] = frames
    visual["context_rows"] = context_rows
    if keys:
        visual["context_keys"] = context_keys
    visual["still"] = [medium.still for medium in media]
    return visual


def to_device(batch: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """The batch with its tensors on `device`."""

    def moved(value: Any) -> Any:
        if isinstance(value, Tensor):
            return value.to(device, non_blocking=True)
        if isinstance(value, dict):
            return to_device(value, device)
        if isinstance(value, list) and value and isinstance(value[0], Tensor):
            return [tensor.to(device, non_blocking=True) for tensor in value]
        return value

    return {key: moved(value) for key, value in batch.items()}
