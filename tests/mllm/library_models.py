# SPDX-License-Identifier: Apache-2.0
"""Tiny random models of two families, saved by transformers itself with their processors."""

from __future__ import annotations

CHAT = (
    "{% for m in messages %}{{ m.role }}: {% for c in m.content %}"
    "{% if c.type == 'image' %}<image>\n{% else %}{{ c.text }}{% endif %}{% endfor %}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)
_TEXT = {
    "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "initializer_range": 0.2,
}  # fmt: skip
_VISION = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
    "patch_size": 14,
}  # fmt: skip


def _tokenizer(special):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({letter: i for i, letter in enumerate(alphabet)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        eos_token="</s>",
        pad_token="<pad>",
        additional_special_tokens=special,
    )


def save_llava(folder):
    import torch
    from transformers import (
        CLIPImageProcessor,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
    )

    words = _tokenizer(["<image>"])
    config = LlavaConfig(
        vision_config={**_VISION, "model_type": "clip_vision_model", "image_size": 28,
                       "projection_dim": 32},
        text_config=LlamaConfig(vocab_size=len(words), **_TEXT).to_dict(),
        image_token_index=words.convert_tokens_to_ids("<image>"),
    )  # fmt: skip
    torch.manual_seed(5)
    LlavaForConditionalGeneration(config).save_pretrained(folder)
    LlavaProcessor(
        CLIPImageProcessor(size={"shortest_edge": 28}, crop_size=28), words, patch_size=14,
        vision_feature_select_strategy="default", num_additional_image_tokens=1,
        chat_template=CHAT,
    ).save_pretrained(folder)  # fmt: skip


def save_idefics(folder):
    import torch
    from transformers import (
        Idefics3Config,
        Idefics3ForConditionalGeneration,
        Idefics3ImageProcessor,
        Idefics3Processor,
        LlamaConfig,
    )

    words = _tokenizer(
        ["<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>"]
    )
    config = Idefics3Config(
        image_token_id=words.convert_tokens_to_ids("<image>"), scale_factor=2,
        vision_config={**_VISION, "image_size": 56},
        text_config=LlamaConfig(vocab_size=len(words), **_TEXT).to_dict(),
    )  # fmt: skip
    torch.manual_seed(6)
    Idefics3ForConditionalGeneration(config).save_pretrained(folder)
    side = {"longest_edge": 56}
    Idefics3Processor(
        Idefics3ImageProcessor(do_image_splitting=False, size=side, max_image_size=side), words,
        image_seq_len=4, chat_template=CHAT,
    ).save_pretrained(folder)  # fmt: skip
