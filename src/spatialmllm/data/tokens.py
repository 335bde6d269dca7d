# SPDX-License-Identifier: Apache-2.0
"""Text to token ids: special tokens, ChatML turns, supervised labels, and the tiny tokenizer."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

from spatialcore.errors import SettingsError
from spatialmllm.config import SpatialMLLMConfig, SpecialIds

IGNORE = -100
SYSTEM_PROMPT = "You are a helpful assistant."
IMAGE_TAG, VIDEO_TAG = "<image>", "<video>"
PAD, TURN_START, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
VISION_START, VISION_END = "<|vision_start|>", "<|vision_end|>"
IMAGE_PAD, VIDEO_PAD = "<|image_pad|>", "<|video_pad|>"
# Stock Qwen2.5 tokens for grounded answers; the vocabulary of real checkpoints is never resized.
SPATIAL_TOKENS = (
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
)
SPECIAL_TOKENS = (
    PAD,
    TURN_START,
    TURN_END,
    *SPATIAL_TOKENS,
    VISION_START,
    VISION_END,
    IMAGE_PAD,
    VIDEO_PAD,
)
_CONTROL = (TURN_START, TURN_END, VISION_START, VISION_END, IMAGE_PAD, VIDEO_PAD, PAD)
UNKNOWN = "<unk>"
TINY_LIMIT = 1024
_KNOWN_TEXTS = 4096
# A word keeps the space before it; every digit, sign and bracket stands alone.
_TINY_PIECES = r" ?[A-Za-z]+|\n|[^A-Za-z\n]"
_TAG = re.compile(f"({re.escape(IMAGE_TAG)}|{re.escape(VIDEO_TAG)})")


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a conversation; assistant turns are supervised."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids and labels of one sequence; labels are -100 where nothing is supervised."""

    ids: list[int]
    labels: list[int]


class ChatTokenizer:
    """A tokenizer with the special tokens of Qwen2.5 and the ChatML form of a conversation.

    Args:
        tokenizer: The library's tokenizer.
        origin: The file it was read from, for errors.

    Raises:
        SettingsError: The tokenizer lacks a special token; the message names it.
    """

    def __init__(self, tokenizer: Any, origin: str = "tokenizer") -> None:
        self._tokenizer = tokenizer
        self._origin = origin
        # Headers, system prompts and templates come again and again.
        self._known: dict[str, tuple[int, ...]] = {}
        for token in _CONTROL:
            if tokenizer.token_to_id(token) is None:
                raise SettingsError(origin, "$.added_tokens", f"there is no token {token!r}")
        self.ids = SpecialIds(
            image=tokenizer.token_to_id(IMAGE_PAD),
            video=tokenizer.token_to_id(VIDEO_PAD),
            vision_start=tokenizer.token_to_id(VISION_START),
            vision_end=tokenizer.token_to_id(VISION_END),
            pad=tokenizer.token_to_id(PAD),
            end=tokenizer.token_to_id(TURN_END),
        )
        self._unknown = tokenizer.token_to_id(UNKNOWN)
        self._header = self.encode(f"{TURN_START}assistant\n")

    @staticmethod
    def from_file(path: str | PathLike[str]) -> ChatTokenizer:
        """Read a `tokenizer.json`, or the one in a folder.

        Raises:
            FileNotFoundError: There is none.
            SettingsError: The file is damaged, or lacks a special token.
        """
        file = Path(path)
        file = file / "tokenizer.json" if file.is_dir() else file
        if not file.is_file():
            raise FileNotFoundError(f"{file}: no tokenizer.json")
        try:
            tokenizer = Tokenizer.from_file(str(file))
        except Exception as error:  # the library has no narrower one
            raise SettingsError(file, "$", f"this is no tokenizer: {error}") from error
        return ChatTokenizer(tokenizer, str(file))

    def check_fits(self, config: SpatialMLLMConfig) -> None:
        """SettingsError unless the model knows every id, and takes the same ones for media."""
        if self.size > config.text.vocab_size:
            what = f"ids up to {self.size - 1}, of a model with a vocab_size of"
            raise SettingsError(self._origin, "$.model.vocab", f"{what} {config.text.vocab_size}")
        for name in ("image", "video", "vision_start"):
            ours, its = getattr(self.ids, name), getattr(config.ids, name)
            if ours != its:
                what = f"the token {name} is {ours} here, and {its} in the model's config.json"
                raise SettingsError(self._origin, "$.added_tokens", what)
        if config.ids.pad >= config.text.vocab_size:
            what = f"of a model whose pad_token_id {config.ids.pad} is outside its vocabulary"
            raise SettingsError(self._origin, "$.added_tokens", what)

    @staticmethod
    def from_json(text: str) -> ChatTokenizer:
        """Build from the text of a `tokenizer.json`."""
        return ChatTokenizer(Tokenizer.from_str(text))

    def to_json(self) -> str:
        """The text of `tokenizer.json`."""
        return str(self._tokenizer.to_str())

    @property
    def size(self) -> int:
        """Largest id + 1."""
        return 1 + max(int(i) for i in self._tokenizer.get_vocab(with_added_tokens=True).values())

    def encode(self, text: str) -> list[int]:
        """Ids of `text`; special tokens in it become their ids."""
        ids = self._known.get(text)
        if ids is None:
            if len(self._known) >= _KNOWN_TEXTS:
                self._known.clear()
            ids = tuple(self._tokenizer.encode(text, add_special_tokens=False).ids)
            self._known[text] = ids
        return list(ids)

    def decode(self, ids: Sequence[int]) -> str:
        """Text of `ids`, without control tokens."""
        control = {self._tokenizer.token_to_id(token) for token in _CONTROL}
        kept = [int(i) for i in ids if int(i) not in control]
        return str(self._tokenizer.decode(kept, skip_special_tokens=False))

    def unknown_in(self, text: str) -> bool:
        """Whether `text` holds something that this tokenizer cannot write."""
        return self._unknown is not None and self._unknown in self.encode(text)

    def conversation(self, turns: Sequence[Turn], visual: Sequence[tuple[str, int]]) -> Encoded:
        """Encode a conversation, each turn apart.

        Args:
            turns: System, user and assistant turns; tags `<image>` and `<video>` stand for media.
            visual: (tag, number of visual tokens) of each medium, in order.

        Returns:
            Encoded; supervised is the content of assistant turns with its `<|im_end|>` and the
            newline after it.

        Raises:
            ValueError: Tags and media differ, control tokens in a text, or an assistant turn that
                this tokenizer cannot write.
        """
        media = list(visual)
        ids: list[int] = []
        labels: list[int] = []
        for turn in turns:
            if any(token in turn.content for token in _CONTROL):
                raise ValueError(f"a {turn.role} turn holds a control token")
            body = self._body(turn, media)
            made = [
                *self.encode(f"{TURN_START}{turn.role}\n"),
                *body,
                *self.encode(f"{TURN_END}\n"),
            ]
            ids += made
            if turn.role == "assistant":
                if self.unknown_in(turn.content):
                    raise ValueError(f"the tokenizer cannot write the answer {turn.content!r}")
                skip = len(self._header)
                labels += [IGNORE] * skip + made[skip:]
            else:
                labels += [IGNORE] * len(made)
        if media:
            raise ValueError(f"{len(media)} media have no tag in the text")
        return Encoded(ids, labels)

    def prompt(self, turns: Sequence[Turn], visual: Sequence[tuple[str, int]]) -> list[int]:
        """Ids up to and with the header of the assistant's turn, for generation."""
        return self.conversation(turns, visual).ids + self._header

    def _body(self, turn: Turn, media: list[tuple[str, int]]) -> list[int]:
        ids: list[int] = []
        for piece in _TAG.split(turn.content):
            if piece not in (IMAGE_TAG, VIDEO_TAG):
                ids += self.encode(piece) if piece else []
                continue
            if not media:
                raise ValueError("the text has more image and video tags than media")
            tag, count = media.pop(0)
            if tag != piece:
                raise ValueError(f"the text has {piece} where the medium is {tag}")
            pad = self.ids.image if tag == IMAGE_TAG else self.ids.video
            ids += [self.ids.vision_start, *[pad] * count, self.ids.vision_end]
        return ids


def build_tiny(texts: Iterable[str]) -> ChatTokenizer:
    """A word-level tokenizer of at most 1,024 entries for the words of `texts`.

    Special tokens have the ids 0 to 12 in the order of `SPECIAL_TOKENS`, `<unk>` has 13, printable
    ASCII follows; words come by falling frequency, ties in alphabetical order. Text that consists
    of known words is decoded to itself, spaces included.
    """
    counts: Counter[str] = Counter()
    pieces = re.compile(_TINY_PIECES)
    for text in texts:
        counts.update(pieces.findall(text))
    characters = ["\n", *map(chr, range(32, 127))]
    names = [*SPECIAL_TOKENS, UNKNOWN, *characters, "system", "user", "assistant"]
    known = set(names)
    ranked = sorted((word for word in counts if word not in known), key=lambda w: (-counts[w], w))
    names += ranked[: TINY_LIMIT - len(names)]
    model = models.WordLevel({name: i for i, name in enumerate(names)}, unk_token=UNKNOWN)
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(_TINY_PIECES), "isolated")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in SPECIAL_TOKENS])
    return ChatTokenizer(tokenizer)
