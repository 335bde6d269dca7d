# SPDX-License-Identifier: Apache-2.0
"""Texts, images and clips to a batch, in the manner of the transformers library's processors.

Ids, pixels and positions are those of training: what `SampleBuilder.ask` makes of a question.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import AutoProcessor, BatchFeature, PreTrainedTokenizerFast, ProcessorMixin

from spatialmllm.auto.config import SpatialMLLMPreTrainedConfig
from spatialmllm.config import SpatialMLLMConfig
from spatialmllm.data.tokens import (
    IMAGE_PAD,
    PAD,
    SYSTEM_PROMPT,
    TURN_END,
    VIDEO_PAD,
    VISION_END,
    VISION_START,
    ChatTokenizer,
)

if TYPE_CHECKING:
    from PIL.Image import Image

    from spatialmllm.data.preprocessing import Medium

# A conversation as it was trained: our system turn where there is none, a line for each medium.
CHAT_TEMPLATE = (
    "{% if messages[0]['role'] != 'system' %}<|im_start|>system\n" + SYSTEM_PROMPT + "<|im_end|>\n"
    "{% endif %}{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' or 'image' in part %}"
    f"{VISION_START}{IMAGE_PAD}{VISION_END}"
    "{% if not loop.last %}{{ '\\n' }}{% endif %}"
    "{% elif part['type'] == 'video' or 'video' in part %}"
    f"{VISION_START}{VIDEO_PAD}{VISION_END}"
    "{% if not loop.last %}{{ '\\n' }}{% endif %}"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


class SpatialMLLMProcessor(ProcessorMixin):
    """Prepares what `SpatialMLLM` takes, for `generate` and for `forward`.

    Args:
        tokenizer: The library's tokenizer over our `tokenizer.json`, padding on the left.
        chat_template: Jinja text; None: that of training.
        settings: The model's configuration, of which pixels, time and special ids are used.
    """

    def __init__(
        self,
        tokenizer: Any,
        chat_template: str | None = None,
        settings: SpatialMLLMConfig | None = None,
    ) -> None:
        super().__init__(tokenizer, chat_template=chat_template or CHAT_TEMPLATE)
        self.settings = SpatialMLLMConfig() if settings is None else settings
        # The file that the tokenizer was read from: the library's own text of it differs.
        self._tokenizer_json = str(tokenizer.backend_tokenizer.to_str())
        self.image_token, self.video_token = IMAGE_PAD, VIDEO_PAD
        self.image_token_id, self.video_token_id = self.settings.ids.image, self.settings.ids.video

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | os.PathLike[str], **options: Any
    ) -> SpatialMLLMProcessor:
        """The processor of a model folder, or of a repository of the hub.

        Args:
            pretrained_model_name_or_path: As in `SpatialMLLM.from_pretrained`.
            **options: Where to fetch a repository from; what else the library passes is not used.

        Raises:
            FileNotFoundError: The folder has no `tokenizer.json` or `config.json`.
            SettingsError: The tokenizer is another model's.
        """
        from spatialmllm.checkpoints import load_config
        from spatialmllm.model.pretrained import fetched

        folder = fetched(pretrained_model_name_or_path, options)
        settings = load_config(folder)
        ChatTokenizer.from_file(folder).check_fits(settings)
        template = folder / "chat_template.jinja"
        text = template.read_text(encoding="utf-8") if template.is_file() else None
        file = folder / "tokenizer.json"
        made = cls(library_tokenizer(file, settings), text, settings)
        made._tokenizer_json = file.read_text(encoding="utf-8")
        return made

    def save_pretrained(self, save_directory: str | os.PathLike[str], **_: Any) -> list[str]:
        """Write the tokenizer's and the processor's files, beside what is there.

        Returns:
            The paths.
        """
        from spatialcore.files import write_text
        from spatialmllm.checkpoints.save import processor_texts

        folder = Path(save_directory)
        texts = processor_texts(self.settings, self._tokenizer_json)
        texts["chat_template.jinja"] = str(self.chat_template)
        for name, text in texts.items():
            write_text(folder / name, text)
        return [str(folder / name) for name in texts]

    def __call__(
        self,
        images: Any = None,
        text: str | Sequence[str] | None = None,
        videos: Any = None,
        **options: Any,
    ) -> BatchFeature:
        """A batch of texts with their images and clips.

        Args:
            images: An image, a list for one text, or a list of lists.
            text: Texts with one `<|image_pad|>` for each image and one `<|video_pad|>` for each
                clip, as the chat template writes them.
            videos: A clip (its frames as images or as one array (T, H, W, 3)), or lists of them.
            **options: `return_tensors` must be "pt"; `padding_side` "left" (default) or "right";
                the library's `padding`, `truncation` and others must be idle.

        Returns:
            input_ids, attention_mask, position_ids and, where there are media, what `forward`
            takes of them.

        Raises:
            ValueError: Placeholders and media differ in number, or a text is longer than
                `max_tokens`; nothing is ever cut.
        """
        from spatialmllm.data.batches import Sample, collate

        side = _checked(options)
        texts = [text] if isinstance(text, str) else list(text or [])
        if not texts:
            raise ValueError("the processor needs a text")
        shown, clips = _media_of(images, self.settings), _clips_of(videos, self.settings)
        samples = []
        for one in texts:
            media, whole = self._filled(one, shown, clips)
            ids = self.tokenizer(whole, add_special_tokens=False)["input_ids"]
            if len(ids) > self.settings.processor.max_tokens:
                limit = self.settings.processor.max_tokens
                raise ValueError(f"{len(ids)} tokens, the limit is {limit}")
            samples.append(Sample(ids, [-100] * len(ids), tuple(media)))
        if shown or clips:
            raise ValueError(f"{len(shown)} images and {len(clips)} clips have no placeholder")
        batch = collate(samples, self.settings, pad=side)
        del batch["labels"]
        return BatchFeature(batch)

    def _filled(
        self, text: str, shown: list[Medium], clips: list[Medium]
    ) -> tuple[list[Medium], str]:
        """The media of a text, taken from the front of both lists, and the text in full length."""
        media: list[Medium] = []
        whole: list[str] = []
        for piece in text.replace(VIDEO_PAD, f"\0{VIDEO_PAD}\0").replace(
            IMAGE_PAD, f"\0{IMAGE_PAD}\0").split("\0"):  # fmt: skip
            if piece in (IMAGE_PAD, VIDEO_PAD):
                found = shown if piece == IMAGE_PAD else clips
                if not found:
                    raise ValueError(f"the texts have more {piece} than there are media")
                media.append(found.pop(0))
                piece = piece * media[-1].token_count
            whole.append(piece)
        return media, "".join(whole)

    @property
    def model_input_names(self) -> list[str]:
        """Names of what `__call__` returns."""
        from spatialmllm.model.generation import SEEN

        return ["input_ids", "attention_mask", "position_ids", *SEEN]

    def batch_decode(self, *args: Any, **kwargs: Any) -> list[str]:
        """As the tokenizer's."""
        texts: list[str] = self.tokenizer.batch_decode(*args, **kwargs)
        return texts

    def decode(self, *args: Any, **kwargs: Any) -> str:
        """As the tokenizer's."""
        return str(self.tokenizer.decode(*args, **kwargs))


def library_tokenizer(file: Path, settings: SpatialMLLMConfig) -> Any:
    """The library's tokenizer over a `tokenizer.json`."""
    return PreTrainedTokenizerFast(
        tokenizer_file=str(file),
        eos_token=TURN_END,
        pad_token=PAD,
        padding_side="left",
        model_max_length=settings.processor.max_tokens,
        clean_up_tokenization_spaces=False,
    )


def _checked(options: dict[str, Any]) -> Any:
    """The side of the padding; ValueError for an option that would have to be ignored."""
    idle = {
        "padding": (True, False, "longest"),
        "truncation": (False,),
        "return_tensors": ("pt",),
        "add_special_tokens": (False, True),
        "return_dict": (True,),
        "return_mm_token_type_ids": (False,),
    }
    side = options.pop("padding_side", "left")
    for key, value in options.items():
        if value is not None and value not in idle.get(key, ()):
            raise ValueError(f"the processor of spatial-mllm takes no {key}={value!r}")
    return side


def _flat(value: Any) -> list[Any]:
    """Images of nested lists, in order."""
    if value is None:
        return []
    if isinstance(value, list | tuple):
        return [one for part in value for one in _flat(part)]
    return [value]


def _media_of(images: Any, settings: SpatialMLLMConfig) -> list[Medium]:
    from spatialmllm.data.preprocessing import still

    return [still(_as_image(image), settings.processor) for image in _flat(images)]


def _clips_of(videos: Any, settings: SpatialMLLMConfig) -> list[Medium]:
    from spatialmllm.data.preprocessing import clip

    return [
        clip([_as_image(frame) for frame in frames], settings.processor)
        for frames in _clips(videos)
    ]


def _clips(videos: Any) -> Iterable[Sequence[Any]]:
    """Each clip's frames: an array of four dimensions, or a list of images."""
    if videos is None:
        return
    listed = isinstance(videos, list | tuple) and videos and _is_frame(videos[0])
    if listed or getattr(videos, "ndim", 0) == 4:
        yield list(videos)
    else:
        for part in videos:
            yield from _clips(part)


def _is_frame(value: Any) -> bool:
    return not isinstance(value, list | tuple) and getattr(value, "ndim", 3) == 3


def _as_image(value: Any) -> Image:
    """A Pillow image of an image, a path, or an array (H, W, 3) uint8."""
    import numpy as np
    import PIL.Image

    from spatialcore.io.images import decode_image

    if isinstance(value, PIL.Image.Image):
        return value
    if isinstance(value, str | os.PathLike):
        path = Path(value)
        return decode_image(path.read_bytes(), path)
    pixels = np.asarray(value)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(
            f"an image is a Pillow image, a path or uint8 (H, W, 3), "
            f"got {pixels.dtype} {pixels.shape}"
        )
    return PIL.Image.fromarray(pixels)


AutoProcessor.register(SpatialMLLMPreTrainedConfig, SpatialMLLMProcessor, exist_ok=True)
