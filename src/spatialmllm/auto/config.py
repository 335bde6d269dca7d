# SPDX-License-Identifier: Apache-2.0
"""The model's configuration as the transformers library takes it: the flat published JSON.

`SpatialMLLMConfig` stays the one place of sizes and of their checks; this class carries it, answers
the library's questions about the decoder, and writes the same `config.json`.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from transformers import AutoConfig, PreTrainedConfig

from spatialmllm.config import MODEL_TYPE, SpatialMLLMConfig

# What the library itself keeps in a `config.json`, beside the sizes.
_LIBRARYS = ("architectures", "dtype", "name_or_path", "output_attentions", "attn_implementation",
             "output_hidden_states", "return_dict", "transformers_version")  # fmt: skip
ARCHITECTURE = "SpatialMLLM"


class SpatialMLLMPreTrainedConfig(PreTrainedConfig):
    """The library's view of a `SpatialMLLMConfig`, which it holds as `settings`.

    Args:
        **flat: Keys of `config.json`, as `SpatialMLLMConfig.to_json` writes them; without any, the
            published sizes.

    Raises:
        SettingsError: A value is wrong; the message names the key.
    """

    model_type = MODEL_TYPE
    keys_to_ignore_at_inference = ("cache", "past_key_values")

    def __init__(self, **flat: Any) -> None:
        if (older := flat.pop("torch_dtype", None)) is not None:
            flat.setdefault("dtype", older)
        known = {key: flat.pop(key) for key in _LIBRARYS if key in flat}
        self.settings = SpatialMLLMConfig.from_json({**flat, "model_type": MODEL_TYPE})
        self._take_sizes()
        # The model's class registers itself with the Auto classes, which look it up by this one.
        import_module("spatialmllm.model.model")
        super().__init__(**{"architectures": [ARCHITECTURE], **known})

    @classmethod
    def of(cls, settings: SpatialMLLMConfig, attention: str = "sdpa") -> Any:
        """The view of a configuration, its processor included."""
        made = cls(**settings.to_json(), attn_implementation=attention)
        made.settings = settings
        return made

    def _take_sizes(self) -> None:
        """What tools look up by name; changing them here changes nothing in the model."""
        text, ids = self.settings.text, self.settings.ids
        self.vocab_size, self.hidden_size = text.vocab_size, text.hidden_size
        self.num_hidden_layers = text.num_hidden_layers
        self.num_attention_heads = text.num_attention_heads
        self.num_key_value_heads = text.num_key_value_heads
        self.max_position_embeddings = text.max_position_embeddings
        self.tie_word_embeddings = text.tie_word_embeddings
        self.image_token_id, self.video_token_id = ids.image, ids.video
        self.pad_token_id, self.eos_token_id = ids.pad, ids.end

    def get_text_config(self, *_: Any, **__: Any) -> Any:
        """The decoder's configuration, from which caches are laid out."""
        from spatialmllm.model.backbone import text_config

        return text_config(self.settings.text, self._attn_implementation or "sdpa")

    def to_dict(self) -> dict[str, Any]:
        """The flat published form, with what the library adds to it."""
        made: dict[str, Any] = {**self.settings.to_json(), "architectures": self.architectures}
        if self.dtype is not None:
            made["dtype"] = str(self.dtype).removeprefix("torch.")
        if self.transformers_version is not None:
            made["transformers_version"] = self.transformers_version
        return made

    def to_diff_dict(self) -> dict[str, Any]:
        """All of it: a file that leaves defaults out changes its meaning when they change."""
        return self.to_dict()

    def check_same_sizes(self, other: Mapping[str, Any], where: str) -> None:
        """ValueError unless another `config.json` object describes the same model.

        Args:
            other: What `SpatialMLLMConfig.to_json` gives.
            where: Where it is from, for the error.
        """
        mine = self.settings.to_json()
        if differ := sorted(key for key in mine.keys() | other.keys()
                            if mine.get(key) != other.get(key)):  # fmt: skip
            raise ValueError(
                f"{where}: the config given differs from the folder's in {', '.join(differ)}; "
                "weights are loaded into the model they were saved from"
            )


AutoConfig.register(MODEL_TYPE, SpatialMLLMPreTrainedConfig, exist_ok=True)
