# SPDX-License-Identifier: Apache-2.0
"""The one place that builds the library's Qwen2.5-VL modules and hides how versions differ."""

from __future__ import annotations

from inspect import signature
from itertools import accumulate
from typing import Any, NamedTuple

import torch
import transformers
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention.varlen import varlen_attn
from transformers import AttentionInterface, DynamicCache
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask
from transformers.models.qwen2_5_vl.configuration_qwen2_5_vl import (
    Qwen2_5_VLTextConfig,
    Qwen2_5_VLVisionConfig,
)
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import (
    Qwen2_5_VisionTransformerPretrainedModel,
    Qwen2_5_VLTextModel,
)

from spatialmllm.config import TextConfig, VisionConfig

# What the library calls the decoder's attention where ours is asked for "sdpa".
PACKED = "sdpa_packed"
# The library renames the argument in 5.24, and says so at every call by the old name.
_FORWARD = signature(Qwen2_5_VLTextModel.forward).parameters
CACHE = "cache" if "cache" in _FORWARD else "past_key_values"
_NEW_CONFIGS = int(transformers.__version__.partition(".")[0]) >= 5


def text_config(config: TextConfig, attention: str = "sdpa") -> Any:
    """The library's decoder configuration."""
    rope: dict[str, Any] = {"rope_type": "default", "mrope_section": list(config.mrope_section)}
    if _NEW_CONFIGS:
        named: dict[str, Any] = {"rope_parameters": {**rope, "rope_theta": config.rope_theta}}
    else:
        named = {"rope_scaling": rope, "rope_theta": config.rope_theta}
    built = Qwen2_5_VLTextConfig(
        vocab_size=config.vocab_size,
        hidden_size=config.hidden_size,
        intermediate_size=config.intermediate_size,
        num_hidden_layers=config.num_hidden_layers,
        num_attention_heads=config.num_attention_heads,
        num_key_value_heads=config.num_key_value_heads,
        rms_norm_eps=config.rms_norm_eps,
        max_position_embeddings=config.max_position_embeddings,
        initializer_range=config.initializer_range,
        tie_word_embeddings=config.tie_word_embeddings,
        bos_token_id=None,
        eos_token_id=None,
        **named,
    )
    built._attn_implementation = attention
    return built


def vision_config(config: VisionConfig, attention: str = "sdpa") -> Any:
    """The library's tower configuration; `tokens_per_second` is used by our own positions."""
    built = Qwen2_5_VLVisionConfig(
        depth=config.depth,
        hidden_size=config.hidden_size,
        intermediate_size=config.intermediate_size,
        num_heads=config.num_heads,
        in_channels=config.in_channels,
        patch_size=config.patch_size,
        temporal_patch_size=config.temporal_patch_size,
        spatial_merge_size=config.spatial_merge_size,
        window_size=config.window_size,
        fullatt_block_indexes=list(config.fullatt_block_indexes),
        out_hidden_size=config.out_hidden_size,
        initializer_range=config.initializer_range,
    )
    built._attn_implementation = attention
    return built


def build_decoder(config: TextConfig, attention: str = "sdpa") -> Any:
    """Embeddings, decoder layers and final norm, without a head."""
    return Qwen2_5_VLTextModel(text_config(config, PACKED if attention == "sdpa" else attention))


class Packing(NamedTuple):
    """Where the real tokens of a padded batch are: all that is needed to lay them end to end.

    Made from host numbers beside the batch, it keeps a GPU from being waited for.

    Attributes:
        index: (T,) positions of the real tokens in the flattened (B, L).
        starts: (rows + 1,) int32, where each sequence begins among them, and their number.
        lengths: Length of each sequence that is not empty.
    """

    index: Tensor
    starts: Tensor
    lengths: tuple[int, ...]

    @staticmethod
    def of(mask: Tensor) -> Packing:
        """The packing of a mask (B, L), 1 on real tokens; on a GPU this waits for it."""
        lengths = tuple(count for count in mask.sum(dim=1).tolist() if count)
        index = mask.flatten().nonzero().squeeze(1)
        starts = torch.tensor([0, *accumulate(lengths)], dtype=torch.int32, device=mask.device)
        return Packing(index, starts, lengths)


def packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    packing: Packing | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """The library's causal attention, each of the sequences that lie end to end alone.

    On a GPU in half precision one kernel of variable lengths does it; elsewhere each sequence is
    one call.

    Args:
        module: The attention layer.
        query: (1, heads, T, head size).
        key: (1, key heads, T, head size).
        value: As `key`.
        attention_mask: For sequences side by side: then the library's function does it all.
        packing: How the sequences lie; None: side by side.
        **kwargs: What the library's function takes.

    Returns:
        (1, T, heads, head size), and no weights.
    """
    if packing is None:
        mixed, _ = sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
        return mixed, None
    if _has_kernel(query):
        return _variable_lengths(query, key, value, packing, kwargs.get("scaling"))[None], None
    lengths = list(packing.lengths)
    parts = zip(*(x.split(lengths, dim=2) for x in (query, key, value)), strict=True)
    alone = [sdpa_attention_forward(module, *part, None, **kwargs)[0] for part in parts]
    return torch.cat(alone, dim=1), None


def _has_kernel(query: Tensor) -> bool:
    """Whether the kernel of variable lengths takes a tensor: on a GPU, in half precision."""
    return query.is_cuda and query.dtype in (torch.float16, torch.bfloat16)


def _variable_lengths(
    query: Tensor, key: Tensor, value: Tensor, packing: Packing, scale: float | None
) -> Tensor:
    """(T, heads, head size): a window that reaches back without end and not ahead is causal."""
    q, k, v = (x[0].transpose(0, 1) for x in (query, key, value))
    longest = max(packing.lengths)
    mixed: Tensor = varlen_attn(
        q, k, v, packing.starts, packing.starts, longest, longest,
        scale=scale, window_size=(-1, 0), enable_gqa=q.shape[1] != k.shape[1],
    )  # fmt: skip
    return mixed


AttentionInterface.register(PACKED, packed_attention)
AttentionMaskInterface.register(PACKED, sdpa_mask)


def run_decoder(
    decoder: Any,
    embeddings: Tensor,
    mask: Tensor,
    positions: Tensor,
    packing: Packing | None = None,
) -> Tensor:
    """Hidden states of a padded batch; with packed attention no layer computes padding.

    Args:
        decoder: What `build_decoder` made.
        embeddings: (B, L, d).
        mask: (B, L), 1 on real tokens.
        positions: (3, B, L).
        packing: That of the mask; None: it is made here.

    Returns:
        (B, L, d); at padding without meaning, and 0 with packed attention.
    """
    if decoder.config._attn_implementation != PACKED:
        result = decoder(
            inputs_embeds=embeddings, attention_mask=mask, position_ids=positions, use_cache=False
        )
        return result.last_hidden_state
    packing = Packing.of(mask) if packing is None else packing
    flat = embeddings.flatten(0, 1)
    result = decoder(
        inputs_embeds=flat.index_select(0, packing.index)[None],
        # Nothing is hidden but what is later, which the attention sees to.
        attention_mask={"full_attention": None},
        position_ids=positions.flatten(1)[:, None, packing.index],
        use_cache=False,
        packing=packing,
    )
    hidden = result.last_hidden_state[0]
    return hidden.new_zeros(flat.shape).index_copy(0, packing.index, hidden).view_as(embeddings)


class PatchRows(nn.Module):
    """The library's patch embedding as one product of matrices.

    Its convolution steps by whole kernels, so a row of pixels meets the whole kernel once; as a
    product it takes a quarter of the time on a CPU, forward and backward.

    Args:
        proj: The library's convolution, whose name and shape published files have.
    """

    def __init__(self, proj: nn.Conv3d) -> None:
        super().__init__()
        self.proj = proj

    def forward(self, rows: Tensor) -> Tensor:
        """(n, 3 * 2 * 14 * 14) -> (n, C)."""
        weight = self.proj.weight
        return F.linear(rows.to(weight.dtype), weight.flatten(1), self.proj.bias)


def build_tower(config: VisionConfig, attention: str = "sdpa") -> Any:
    """The 2-D vision transformer with its patch merger."""
    tower = Qwen2_5_VisionTransformerPretrainedModel(vision_config(config, attention))
    tower.patch_embed = PatchRows(tower.patch_embed.proj)
    return tower


def run_tower(tower: nn.Module, pixels: Tensor, grids: Tensor) -> Tensor:
    """Merged visual tokens (N, d), raster over (t, H, W) of each grid row in order."""
    result = tower(pixels, grid_thw=grids)
    # 4.57 returns the tensor itself, 5.x an object that holds it.
    return result if isinstance(result, Tensor) else result.pooler_output


def empty_cache(decoder: Any) -> DynamicCache:
    """A cache for keys and values of this decoder."""
    return DynamicCache(config=decoder.config)


def run_decoder_cached(
    decoder: Any, embeddings: Tensor, mask: Tensor | None, positions: Tensor, cache: Any
) -> Tensor:
    """Hidden states (B, L, d) of what follows a cache, to which its keys and values are added.

    Args:
        decoder: What `build_decoder` made.
        embeddings: (B, L, d).
        mask: (B, cached + L), 1 on real tokens; None: all are.
        positions: (3, B, L).
        cache: What the library's caches are; an empty one at first.
    """
    result = decoder(
        inputs_embeds=embeddings,
        attention_mask=mask,
        position_ids=positions,
        use_cache=True,
        **{CACHE: cache},
    )
    return result.last_hidden_state


def set_checkpointing(tower: Any, enabled: bool) -> None:
    """Switch recomputation of activations; the library renamed the call in 5.x."""
    if enabled:
        switch = getattr(tower, "activation_checkpointing_enable", None)
        (switch or tower.gradient_checkpointing_enable)({"use_reentrant": False})
    elif any(getattr(part, "gradient_checkpointing", False) for part in tower.modules()):
        switch = getattr(tower, "activation_checkpointing_disable", None)
        (switch or tower.gradient_checkpointing_disable)()


def restore_rotary(module: nn.Module, device: torch.device) -> None:
    """Recompute the library's rotary buffers, which no file holds and meta builds leave empty.

    Raises:
        RuntimeError: A buffer that is not persistent belongs to no rotary module we know.
    """
    for name, part in module.named_modules():
        left = [b for b in part._buffers if b in part._non_persistent_buffers_set]
        if not left:
            continue
        if not hasattr(part, "inv_freq"):
            raise RuntimeError(f"{name}: unknown buffers {left} would stay unset")
        fresh = _fresh_rotary(part)
        for buffer in left:
            source = fresh._buffers.get(buffer)
            if source is None:
                raise RuntimeError(f"{name}: buffer {buffer!r} cannot be recomputed")
            part._buffers[buffer] = source.to(device)


def _fresh_rotary(part: nn.Module) -> nn.Module:
    with torch.device("cpu"):
        if hasattr(part, "config"):
            return type(part)(part.config)
        # 4.57's vision rotation takes its width; two frequencies a channel pair.
        return type(part)(2 * part.inv_freq.shape[0])
