# SPDX-License-Identifier: Apache-2.0
"""Tiny random models of three families, saved by transformers itself with their processors."""

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


CHAT_OF_CLIPS = (
    "{% for m in messages %}{{ m.role }}: {% for c in m.content %}"
    "{% if c.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif c.type == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% else %}{{ c.text }}{% endif %}{% endfor %}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)


def save_qwen(folder):
    """Qwen2.5-VL; its processors of images and videos need torchvision."""
    import torch
    from transformers import (
        Qwen2_5_VLConfig,
        Qwen2_5_VLForConditionalGeneration,
        Qwen2_5_VLProcessor,
        Qwen2VLImageProcessor,
        Qwen2VLVideoProcessor,
    )

    names = ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
    words = _tokenizer(names)
    start, end, image, video = words.convert_tokens_to_ids(names)
    config = Qwen2_5_VLConfig(
        text_config={**_TEXT, "vocab_size": len(words), "max_position_embeddings": 4096,
                     "rope_parameters": {"rope_type": "default", "rope_theta": 1000.0,
                                         "mrope_section": [2, 3, 3]}},
        vision_config={"depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2,
                       "out_hidden_size": 64, "window_size": 56, "fullatt_block_indexes": [1]},
        vision_start_token_id=start, vision_end_token_id=end, image_token_id=image,
        video_token_id=video,
    )  # fmt: skip
    torch.manual_seed(7)
    Qwen2_5_VLForConditionalGeneration(config).save_pretrained(folder)
    size = {"shortest_edge": 56 * 56, "longest_edge": 112 * 112}
    Qwen2_5_VLProcessor(
        Qwen2VLImageProcessor(size=size), words, Qwen2VLVideoProcessor(size=size),
        chat_template=CHAT_OF_CLIPS,
    ).save_pretrained(folder)  # fmt: skip
