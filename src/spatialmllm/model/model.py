# SPDX-License-Identifier: Apache-2.0
"""The dual-encoder model: 2-D tower, spatial encoder, connector and decoder, with its own forward.

Choices worth knowing:
- The library gives the inner modules and `generate`; positions, merging and loss are ours.
- Parameter names in memory are those of the published files, so saving needs no renaming; files
  are read and written by `spatialmllm.checkpoints` alone, which is strict.
- Frames that belong together form a context and are encoded once: clips and stills of one sample
  with equal size meet in the global attention of the spatial encoder.
- The loss is a sum over supervised tokens divided by a count that the trainer gives for the whole
  global batch, so splitting a batch changes nothing but the order of sums.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import (
    AutoModel,
    AutoModelForImageTextToText,
    GenerationMixin,
    PreTrainedModel,
)
from transformers.modeling_outputs import CausalLMOutputWithPast

from spatialmllm.auto.config import SpatialMLLMPreTrainedConfig
from spatialmllm.config import SpatialMLLMConfig
from spatialmllm.model.backbone import (
    CACHE,
    Packing,
    build_decoder,
    build_tower,
    empty_cache,
    run_decoder,
    run_decoder_cached,
    run_tower,
    set_checkpointing,
)
from spatialmllm.model.connectors import build_connector
from spatialmllm.model.contexts import spatial_contexts
from spatialmllm.model.generation import VisualGeneration
from spatialmllm.model.initial import MATCHING, initialise
from spatialmllm.model.pretrained import PretrainedFolder
from spatialmllm.model.vggt.aggregator import Aggregator

if TYPE_CHECKING:
    from spatialmllm.checkpoints.adapter import AdapterConfig
    from spatialmllm.model.feature_cache import FeatureCache

IGNORE = -100
# What `collate` says of a batch beside its tensors: "real", "visual" and "supervised" positions in
# the flattened batch, "starts" and "lengths" of its sequences.
Places = Mapping[str, Any]
# Parts that can be frozen, and the prefixes of their parameters.
PARTS = {
    "vision": ("visual.patch_embed.", "visual.blocks."),
    "merger": ("visual.merger.",),
    # Within the spatial encoder, and frozen with it; it may also be frozen alone.
    "matching": (MATCHING,),
    "spatial": ("spatial_encoder.",),
    "connector": ("connector.",),
    "decoder": ("model.", "lm_head."),
}


class SpatialMLLM(PretrainedFolder, VisualGeneration, PreTrainedModel, GenerationMixin):
    """Qwen2.5-VL with a spatial encoder beside its 2-D tower (Spatial-MLLM, arXiv 2505.23747).

    Args:
        config: Sizes; `connector="none"` builds no spatial encoder. The library's view of them is
            taken too.
        attention: "sdpa", "eager" or "flash_attention_2", for tower and decoder; None: what the
            library's view says, or "sdpa".

    Attributes:
        settings: The sizes; `config` is the library's view, into which it writes.
    """

    config_class = SpatialMLLMPreTrainedConfig
    main_input_name = "input_ids"
    supports_gradient_checkpointing = True
    _supports_sdpa = _supports_flash_attn = True
    # The trainer passes the token count of the whole batch; without this it rescales silently.
    accepts_loss_kwargs = True

    def __init__(
        self,
        config: SpatialMLLMConfig | SpatialMLLMPreTrainedConfig,
        *,
        attention: str | None = None,
    ) -> None:
        if isinstance(config, SpatialMLLMConfig):
            config = SpatialMLLMPreTrainedConfig.of(config, attention or "sdpa")
        elif attention is not None:
            config._attn_implementation = attention
        super().__init__(config)
        attention = str(self.config._attn_implementation)
        self.settings: SpatialMLLMConfig = self.config.settings
        config = self.settings
        self.visual = build_tower(config.vision, attention)
        self.model = build_decoder(config.text, attention)
        self.lm_head: nn.Linear | None = None
        if not config.text.tie_word_embeddings:
            self.lm_head = nn.Linear(config.text.hidden_size, config.text.vocab_size, bias=False)
        self.spatial_encoder: nn.ModuleDict | None = None
        self.connector = build_connector(config)
        if config.spatial is not None:
            inner = nn.ModuleDict({"aggregator": Aggregator(config.spatial)})
            self.spatial_encoder = nn.ModuleDict({"vggt_model": inner})
        self._frozen: frozenset[str] = frozenset()
        # Low-rank adapters that the decoder's layers were wrapped with; see training/lora.py.
        self.adapter: AdapterConfig | None = None
        self.feature_cache: FeatureCache | None = None
        self.post_init()

    @property
    def aggregator(self) -> Aggregator | None:
        """The spatial encoder's trunk, or None."""
        return (
            None if self.spatial_encoder is None else self.spatial_encoder["vggt_model"].aggregator
        )

    @property
    def device(self) -> torch.device:
        """Where the embeddings live."""
        return self.model.embed_tokens.weight.device

    def reset(self, seed: int = 0) -> SpatialMLLM:
        """Initialise every parameter from `seed`, as `initialise` says; returns the model."""
        initialise(self, seed)
        return self

    def init_weights(self) -> None:
        """Random weights from the process's generator, unless the model has no memory yet."""
        if self.device.type != "meta":
            self.reset(int(torch.randint(1 << 31, ())))

    def get_input_embeddings(self) -> nn.Module:
        """The token embeddings."""
        embeddings: nn.Module = self.model.embed_tokens
        return embeddings

    def get_output_embeddings(self) -> nn.Module | None:
        """The head; None where it is tied to the embeddings."""
        return self.lm_head

    def freeze(self, parts: Iterable[str]) -> SpatialMLLM:
        """Freeze the named parts and train all others; frozen parts stay in evaluation mode.

        Raises:
            ValueError: An unknown part; the message lists the known ones.
        """
        chosen = frozenset(parts)
        if unknown := chosen - PARTS.keys():
            raise ValueError(f"unknown parts {sorted(unknown)}; known: {', '.join(PARTS)}")
        self._frozen = chosen
        prefixes = tuple(prefix for part in chosen for prefix in PARTS[part])
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(
                not name.startswith(prefixes) and not name.endswith("mask_token")
            )
        return self.train(self.training)

    @property
    def frozen(self) -> frozenset[str]:
        """Names of the frozen parts."""
        return self._frozen

    def train(self, mode: bool = True) -> SpatialMLLM:
        """Switch the mode of all parts that are trained; frozen parts remain in evaluation mode."""
        super().train(mode)
        # An adapted decoder is trained, though its own weights are not.
        still = self._frozen if self.adapter is None else self._frozen - {"decoder"}
        prefixes = tuple(prefix for part in still for prefix in PARTS[part])
        if mode and prefixes:
            for name, module in self.named_modules():
                if f"{name}.".startswith(prefixes):
                    module.training = False
        return self

    def set_checkpointing(self, enabled: bool) -> None:
        """Recompute activations in the backward pass of the decoder and of trained encoders."""
        for tower, part in ((self.model, "decoder"), (self.visual, "vision")):
            adapted = part == "decoder" and self.adapter is not None
            set_checkpointing(tower, enabled and (adapted or part not in self._frozen))
        if self.aggregator is not None:
            self.aggregator.checkpointing = enabled and "spatial" not in self._frozen

    def encode_visual(
        self,
        pixel_values: Tensor,
        grid_thw: Tensor,
        *,
        frames: Sequence[Tensor] = (),
        context_rows: Sequence[int] = (),
        still: Sequence[bool] = (),
        context_keys: Sequence[str] = (),
    ) -> Tensor:
        """Visual tokens of a whole batch, in the order of its grid rows.

        Args:
            pixel_values: (rows, 1176) patch rows of all media.
            grid_thw: (n, 3) integers, (t, h, w) in patches.
            frames: One (S, 3, H, W) tensor in [0, 1] for each context.
            context_rows: How many grid rows belong to each context.
            still: For each grid row, whether it is a still image.
            context_keys: Hash of each context's frames, by which `feature_cache` knows them.

        Returns:
            (N, d), N = sum of t * h/2 * w/2.
        """
        visual_frozen = {"vision", "merger"} <= self._frozen
        with torch.set_grad_enabled(torch.is_grad_enabled() and not visual_frozen):
            visual = run_tower(self.visual, pixel_values.to(self.visual.dtype), grid_thw)
        if self.connector is None:
            return visual
        contexts = spatial_contexts(
            self, frames, grid_thw.tolist(), context_rows, still, context_keys
        )
        count = sum(c.features.shape[0] * c.height * c.width // 8 for c in contexts)
        if count != visual.shape[0]:
            raise ValueError(
                f"the contexts give {count} merged spatial tokens, "
                f"the grids {visual.shape[0]} visual tokens"
            )
        return self.connector(visual, contexts)

    def embed(
        self, input_ids: Tensor, visual: Tensor | None, places: Places | None = None
    ) -> Tensor:
        """Token embeddings (B, L, d) with placeholders replaced in order by visual tokens.

        Args:
            input_ids: (B, L).
            visual: (N, d) in the order of the placeholders, or None.
            places: As in `forward`.

        Raises:
            ValueError: The placeholders do not match the visual tokens, with both counts.
        """
        embeddings = self.model.embed_tokens(input_ids)
        ids = self.settings.ids
        if places is None:
            found = (input_ids == ids.image) | (input_ids == ids.video)
            index = found.flatten().nonzero().squeeze(1)
        else:
            index = places["visual"]
        count = 0 if visual is None else visual.shape[0]
        if len(index) != count:
            raise ValueError(f"{len(index)} visual placeholders, {count} visual tokens")
        if visual is None:
            return embeddings
        flat = embeddings.flatten(0, 1).index_copy(0, index, visual.to(embeddings.dtype))
        return flat.view_as(embeddings)

    def logits(self, hidden: Tensor) -> Tensor:
        """(..., d) -> (..., vocabulary), with the tied or the own head."""
        head = self.model.embed_tokens if self.lm_head is None else self.lm_head
        return F.linear(hidden, head.weight)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        grid_thw: Tensor | None = None,
        frames: Sequence[Tensor] = (),
        context_rows: Sequence[int] = (),
        still: Sequence[bool] = (),
        context_keys: Sequence[str] = (),
        labels: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        places: Places | None = None,
        visual: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        cache: Any = None,
        past_key_values: Any = None,
        use_cache: bool = False,
        logits_to_keep: int = 0,
        return_dict: bool = True,  # noqa: ARG002 - the library passes it
    ) -> CausalLMOutputWithPast:
        """Loss of a training batch, or logits without labels.

        Args:
            input_ids: (B, L).
            attention_mask: (B, L), 1 on real tokens, (B, cached + L) with a cache; None: all are.
            position_ids: (3, B, L); None: they are computed, where nothing is cached.
            pixel_values: As in `encode_visual`; None for a batch of text.
            grid_thw: As in `encode_visual`.
            frames: As in `encode_visual`.
            context_rows: As in `encode_visual`.
            still: As in `encode_visual`.
            context_keys: As in `encode_visual`.
            labels: (B, L), -100 = not supervised; the logits are then computed where they count.
            num_items_in_batch: Supervised tokens of the whole global batch; None = of this batch.
            places: Where tokens of each kind are, as `collate` says; None: it is looked up, for
                which a GPU is waited for.
            visual: What `encode_visual` has made, instead of its arguments.
            inputs_embeds: (B, L, d), instead of ids and what is seen.
            cache: Keys and values of what came before; new ones are added to it.
            past_key_values: The older name of `cache`.
            use_cache: Return a cache; made where none is given.
            logits_to_keep: Only so many of the last logits of a row; 0: all.
            return_dict: For the library's sake; a named output is returned in any case.

        Returns:
            An output with `loss` (with labels), or `logits` and, when asked for, the cache.

        Raises:
            ValueError: Placeholders do not match what is seen, or nothing is given.
        """
        if inputs_embeds is None:
            if input_ids is None:
                raise ValueError("give input_ids or inputs_embeds")
            if visual is None and pixel_values is not None and grid_thw is not None:
                visual = self.encode_visual(
                    pixel_values, grid_thw, frames=frames, context_rows=context_rows, still=still,
                    context_keys=context_keys,
                )  # fmt: skip
            inputs_embeds = self.embed(input_ids, visual, places)
        kept = past_key_values if cache is None else cache
        if kept is None and use_cache:
            kept = empty_cache(self.model)
        if position_ids is None:
            position_ids = self.missing_positions(input_ids, attention_mask, grid_thw, kept)
        if kept is not None:
            hidden = run_decoder_cached(
                self.model, inputs_embeds, attention_mask, position_ids, kept
            )
        else:
            if attention_mask is None:
                attention_mask = torch.ones_like(position_ids[0])
            packing = None if places is None else Packing(
                places["real"], places["starts"], tuple(places["lengths"]))  # fmt: skip
            hidden = run_decoder(self.model, inputs_embeds, attention_mask, position_ids, packing)
        if labels is not None:
            loss = self._loss(hidden, labels, num_items_in_batch, places)
            return CausalLMOutputWithPast(loss=loss)
        logits = self.logits(hidden[:, -logits_to_keep:] if logits_to_keep else hidden)
        return CausalLMOutputWithPast(logits=logits, **{CACHE: kept})

    def _loss(
        self, hidden: Tensor, labels: Tensor, count: Tensor | int | None, places: Places | None
    ) -> Tensor:
        """Next-token cross entropy in float32, summed, over the count of supervised tokens."""
        if places is None:
            ahead = F.pad(labels[:, 1:] != IGNORE, (0, 1))
            index = ahead.flatten().nonzero().squeeze(1)
        else:
            index = places["supervised"]
        logits = self.logits(hidden.flatten(0, 1).index_select(0, index)).float()
        # The token after a position lies after it in the flattened batch too.
        targets = labels.flatten().index_select(0, index + 1)
        total = F.cross_entropy(logits, targets, reduction="sum")
        return total / (len(index) if count is None else count)


def build_meta(config: SpatialMLLMConfig, attention: str = "sdpa") -> SpatialMLLM:
    """The model on the meta device: names and shapes without memory."""
    with torch.device("meta"):
        return SpatialMLLM(config, attention=attention)


def build(
    config: SpatialMLLMConfig,
    *,
    seed: int = 0,
    device: torch.device | str = "cpu",
    attention: str = "sdpa",
) -> SpatialMLLM:
    """A model with random weights that depend on `seed` alone."""
    model = build_meta(config, attention)
    model.to_empty(device=device)
    return model.reset(seed)


def parameter_counts(model: nn.Module) -> dict[str, tuple[int, int]]:
    """Parameters of each part: (trained, frozen); parts that are not built are left out."""
    counts: dict[str, tuple[int, int]] = {}
    for name, parameter in model.named_parameters():
        part = next(part for part, prefixes in PARTS.items() if name.startswith(prefixes))
        trained, frozen = counts.get(part, (0, 0))
        size = parameter.numel()
        counts[part] = (
            (trained + size, frozen) if parameter.requires_grad else (trained, frozen + size)
        )
    return counts


AutoModel.register(SpatialMLLMPreTrainedConfig, SpatialMLLM, exist_ok=True)
AutoModelForImageTextToText.register(SpatialMLLMPreTrainedConfig, SpatialMLLM, exist_ok=True)
