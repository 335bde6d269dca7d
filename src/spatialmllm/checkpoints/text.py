# SPDX-License-Identifier: Apache-2.0
"""A decoder that starts from a small language model: weights and tokenizer of a GGUF file.

The library reads the weights; here they find their places in our decoder, which is Qwen2.5's: where
the file has no bias it is 0, and as long as the three position ids of a token are equal, as in
text, its rotary embedding turns as the file's model does. The tokenizer is that of the file with
the tokens of media added, whose embeddings start random.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor

from spatialmllm.checkpoints.keys import CheckpointFormatError
from spatialmllm.config import TextConfig
from spatialmllm.data.tokens import (
    IMAGE_PAD,
    PAD,
    TURN_END,
    TURN_START,
    VIDEO_PAD,
    VISION_END,
    VISION_START,
    ChatTokenizer,
)
from spatialmllm.model.model import SpatialMLLM

ARCHITECTURES = ("llama", "qwen2")
"""Those whose blocks are ours: rotary attention over fewer keys than queries, SwiGLU, RMSNorm."""
_CONTROL_TOKEN = 3  # `tokenizer.ggml.token_type`
_MEDIA = (VISION_START, VISION_END, IMAGE_PAD, VIDEO_PAD)
_QWEN_PIECES = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@dataclass(frozen=True, slots=True)
class TextModel:
    """What a GGUF file says about its model, without the weights.

    Attributes:
        path: The file.
        config: Sizes of the decoder, with room for the added tokens.
        tokenizer: Its tokenizer with the tokens of media.
    """

    path: Path
    config: TextConfig
    tokenizer: ChatTokenizer


def read_text_model(path: Path) -> TextModel:
    """Read sizes and tokenizer of a GGUF file.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointFormatError: It is damaged, of another architecture, or its tokenizer is of a kind
            that is not read.
    """
    fields = _fields(path)

    def number(key: str) -> float:
        value = fields.get(f"{fields['general.architecture']}.{key}")
        if not isinstance(value, int | float):
            raise CheckpointFormatError(f"{path}: no number {key}; is the file whole?")
        return value

    architecture = fields.get("general.architecture")
    if architecture not in ARCHITECTURES:
        known = " or ".join(ARCHITECTURES)
        raise CheckpointFormatError(f"{path}: the architecture is {architecture!r}, not {known}")
    if fields.get(f"{architecture}.rope.scaling.type", "none") != "none":
        raise CheckpointFormatError(f"{path}: scaled rotary embeddings are not read")
    tokenizer = _tokenizer(path, fields)
    heads, width = int(number("attention.head_count")), int(number("embedding_length"))
    half = width // heads // 2
    side = 3 * half // 8  # the shares of Qwen2.5-VL: 16, 24 and 24 of 64
    config = TextConfig(
        vocab_size=max(tokenizer.size, len(fields["tokenizer.ggml.tokens"])),
        hidden_size=width,
        intermediate_size=int(number("feed_forward_length")),
        num_hidden_layers=int(number("block_count")),
        num_attention_heads=heads,
        num_key_value_heads=int(number("attention.head_count_kv")),
        rms_norm_eps=float(number("attention.layer_norm_rms_epsilon")),
        rope_theta=float(fields.get(f"{architecture}.rope.freq_base", 10000.0)),
        mrope_section=(half - 2 * side, side, side),
        tie_word_embeddings="output.weight" not in fields["tensors"],
        max_position_embeddings=int(number("context_length")),
    )
    return TextModel(path, config, tokenizer)


def load_text_weights(model: SpatialMLLM, text: TextModel) -> None:
    """Put the file's weights into the decoder; rows of added tokens stay as they are.

    Raises:
        CheckpointFormatError: A parameter of the decoder is in the file in no or in another shape.
    """
    found = _weights(text.path)
    decoder = {n: p for n, p in model.named_parameters() if n.startswith(("model.", "lm_head."))}
    with torch.no_grad():
        for name, parameter in decoder.items():
            value = found.pop(name, None)
            if value is None and name.endswith("_proj.bias"):
                parameter.zero_()
                continue
            rows = slice(None) if value is None else slice(len(value))
            if value is None or value.shape != parameter[rows].shape:
                shape = None if value is None else tuple(value.shape)
                raise CheckpointFormatError(
                    f"{text.path}: {name} is {tuple(parameter.shape)} here, and {shape} there"
                )
            parameter[rows].copy_(value)
    left = sorted(found.keys() - {"lm_head.weight"})
    if left:
        raise CheckpointFormatError(f"{text.path}: no place for {', '.join(left[:5])}")


def _weights(path: Path) -> dict[str, Tensor]:
    """Weights by the library's names, which are ours."""
    from transformers import AutoModelForCausalLM

    # It draws bars, and fills in what it misses after no more than a warning.
    with redirect_stderr(io.StringIO()):
        made, report = AutoModelForCausalLM.from_pretrained(
            str(path.parent), gguf_file=path.name, dtype=torch.float32, output_loading_info=True
        )
    if missing := sorted(report["missing_keys"]):
        raise CheckpointFormatError(
            f"{path}: {len(missing)} weights are missing: {', '.join(missing[:5])}"
        )
    return dict(made.state_dict())


def _fields(path: Path) -> dict[str, Any]:
    """Metadata of the file by key, and the names of its tensors under "tensors"."""
    from gguf import GGUFReader

    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        reader = GGUFReader(path)
        found = {key: field.contents() for key, field in reader.fields.items()}
    except Exception as error:  # the reader parses and fails as it comes
        raise CheckpointFormatError(f"{path}: no whole GGUF file: {error}") from error
    return found | {"tensors": {tensor.name for tensor in reader.tensors}}


def _tokenizer(path: Path, fields: Mapping[str, Any]) -> ChatTokenizer:
    kind, pre = fields.get("tokenizer.ggml.model"), fields.get("tokenizer.ggml.pre", "default")
    splits: dict[str, list[Any]] = {
        "default": [pre_tokenizers.ByteLevel(add_prefix_space=False)],
        "gpt-2": [pre_tokenizers.ByteLevel(add_prefix_space=False)],
        "smollm": [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ],
        "qwen2": [
            pre_tokenizers.Split(Regex(_QWEN_PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ],
    }
    if kind != "gpt2" or pre not in splits:
        raise CheckpointFormatError(
            f"{path}: the tokenizer is {kind!r} with the pieces of {pre!r}; read are 'gpt2' with "
            f"those of {', '.join(map(repr, splits))}"
        )
    tokens = [str(token) for token in fields["tokenizer.ggml.tokens"]]
    missing = [token for token in (PAD, TURN_START, TURN_END) if token not in tokens]
    if missing:
        raise CheckpointFormatError(f"{path}: no token {missing[0]!r}; is it a chat model's file?")
    parted = (str(pair).partition(" ") for pair in fields["tokenizer.ggml.merges"])
    merges = [(left, right) for left, _, right in parted]
    made = Tokenizer(models.BPE({t: i for i, t in enumerate(tokens)}, merges))
    made.pre_tokenizer = pre_tokenizers.Sequence(splits[pre])
    made.decoder = decoders.ByteLevel()
    kinds = fields.get("tokenizer.ggml.token_type", [1] * len(tokens))
    control = [t for t, k in zip(tokens, kinds, strict=True) if k == _CONTROL_TOKEN]
    names = dict.fromkeys((*control, PAD, TURN_START, TURN_END, *_MEDIA))
    made.add_special_tokens([AddedToken(name, special=True) for name in names])
    return ChatTokenizer(made, str(path))
