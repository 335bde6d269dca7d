# SPDX-License-Identifier: Apache-2.0
"""The dual-encoder model: 2-D tower, spatial encoder, connector and decoder, with its own forward.

Choices worth knowing:
- The library gives the inner modules alone; positions, merging, loss and decoding are ours.
- Parameter names in memory are those of the published files, so saving needs no renaming.
- Frames that belong together form a context and are encoded once: clips and stills of one sample
  with equal size meet in the global attention of the spatial encoder.
- The loss is a sum over supervised tokens divided by a count that the trainer gives for the whole
  global batch, so splitting a batch changes nothing but the order of sums.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spatialmllm.config import SpatialMLLMConfig
from spatialmllm.model.backbone import (
    build_decoder,
    build_tower,
    restore_rotary,
    run_decoder,
    run_tower,
    set_checkpointing,
)
from spatialmllm.model.connectors import PairedFeatures, build_connector
from spatialmllm.model.merge import pair_frames
from spatialmllm.model.vggt.aggregator import Aggregator

if TYPE_CHECKING:
    from spatialmllm.checkpoints.adapter import AdapterConfig

IGNORE = -100
# Parts that can be frozen, and the prefixes of their parameters.
PARTS = {
    "vision": ("visual.patch_embed.", "visual.blocks."),
    "merger": ("visual.merger.",),
    # Within the spatial encoder, and frozen with it; it may also be frozen alone.
    "matching": ("spatial_encoder.vggt_model.aggregator.matching.",),
    "spatial": ("spatial_encoder.",),
    "connector": ("connector.",),
    "decoder": ("model.", "lm_head."),
}


class ModelOutput(NamedTuple):
    """`loss` is a float32 scalar or None, `logits` (B, L, vocabulary) or None."""

    loss: Tensor | None
    logits: Tensor | None


class SpatialMLLM(nn.Module):
    """Qwen2.5-VL with a spatial encoder beside its 2-D tower (Spatial-MLLM, arXiv 2505.23747).

    Args:
        config: Sizes; `connector="none"` builds no spatial encoder.
        attention: "sdpa", "eager" or "flash_attention_2", for tower and decoder.
    """

    # It is called `settings`: the library writes into a `config` that it finds on a model.
    # The trainer passes the token count of the whole batch; without this it rescales silently.
    accepts_loss_kwargs = True

    def __init__(self, config: SpatialMLLMConfig, *, attention: str = "sdpa") -> None:
        super().__init__()
        self.settings = config
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
        """Initialise every parameter from `seed`: matrices N(0, initializer_range), norms 1.

        The generator is local, so the process's random state is neither read nor changed.
        """
        generator = torch.Generator().manual_seed(seed)
        for name, parameter in self.named_parameters():
            if name.startswith(PARTS["matching"]):
                continue  # last, so that all others are what they are without it
            std = self._init_std(name)
            with torch.no_grad():
                if name.endswith("gamma"):
                    parameter.fill_(self._layer_scale(name))
                elif parameter.ndim < 2:
                    # The only weights of one dimension are those of norms.
                    parameter.fill_(1.0 if name.endswith(".weight") else 0.0)
                else:
                    values = torch.empty(parameter.shape).normal_(std=std, generator=generator)
                    parameter.copy_(values)
        if self.connector is not None:
            self.connector.reset(generator)
        if self.aggregator is not None and self.aggregator.matching is not None:
            self.aggregator.matching.reset(generator)
        restore_rotary(self, self.device)
        return self

    def _init_std(self, name: str) -> float:
        if name.startswith("visual."):
            return self.settings.vision.initializer_range
        if name.startswith("spatial_encoder.") and self.settings.spatial is not None:
            spatial = self.settings.spatial
            if name.endswith("pos_embed") and spatial.position_range is not None:
                return spatial.position_range
            return spatial.initializer_range
        return self.settings.text.initializer_range

    def _layer_scale(self, name: str) -> float:
        if ".patch_embed." in name or self.settings.spatial is None:
            return 1.0
        return self.settings.spatial.layer_scale_init

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
    ) -> Tensor:
        """Visual tokens of a whole batch, in the order of its grid rows.

        Args:
            pixel_values: (rows, 1176) patch rows of all media.
            grid_thw: (n, 3) integers, (t, h, w) in patches.
            frames: One (S, 3, H, W) tensor in [0, 1] for each context.
            context_rows: How many grid rows belong to each context.
            still: For each grid row, whether it is a still image.

        Returns:
            (N, d), N = sum of t * h/2 * w/2.
        """
        visual_frozen = {"vision", "merger"} <= self._frozen
        with torch.set_grad_enabled(torch.is_grad_enabled() and not visual_frozen):
            visual = run_tower(self.visual, pixel_values.to(self.visual.dtype), grid_thw)
        if self.connector is None:
            return visual
        contexts = self._spatial_features(frames, grid_thw.tolist(), context_rows, still)
        count = sum(c.features.shape[0] * c.height * c.width // 8 for c in contexts)
        if count != visual.shape[0]:
            raise ValueError(
                f"the contexts give {count} merged spatial tokens, "
                f"the grids {visual.shape[0]} visual tokens"
            )
        return self.connector(visual, contexts)

    def _spatial_features(
        self,
        frames: Sequence[Tensor],
        grids: list[list[int]],
        context_rows: Sequence[int],
        still: Sequence[bool],
    ) -> list[PairedFeatures]:
        """Features of each context, its frames in pairs."""
        if sum(context_rows) != len(grids) or len(context_rows) != len(frames):
            raise ValueError(
                f"{len(frames)} contexts with rows {list(context_rows)} for {len(grids)} grid rows"
            )
        encoded = self._encode_contexts(frames)
        contexts: list[PairedFeatures] = []
        at = 0
        for features, rows in zip(encoded, context_rows, strict=True):
            own = grids[at : at + rows]
            paired = pair_frames(features, own, still[at : at + rows])
            contexts.append(PairedFeatures(paired, own[0][1], own[0][2]))
            at += rows
        return contexts

    def _encode_contexts(self, frames: Sequence[Tensor]) -> list[Tensor]:
        """Patch features (S, h * w, D) of each context."""
        aggregator = self.aggregator
        if aggregator is None:
            raise ValueError("this model has no spatial encoder")
        results: dict[int, Tensor] = {}
        grad = torch.is_grad_enabled() and "spatial" not in self._frozen
        groups = list(_groups_by_shape(frames))
        stacked = [torch.stack([frames[i] for i in group]) for group in groups]
        with torch.set_grad_enabled(grad):
            encoded = aggregator(stacked, self.settings.connector.layers)
        mix = None if self.connector is None else self.connector.mix
        for group, layers in zip(groups, encoded, strict=True):
            patches = [layer[:, :, aggregator.patch_start :] for layer in layers]
            features = patches[0] if mix is None else mix(patches)
            for row, i in enumerate(group):
                results[i] = features[row]
        return [results[i] for i in range(len(frames))]

    def embed(self, input_ids: Tensor, visual: Tensor | None) -> Tensor:
        """Token embeddings (B, L, d) with placeholders replaced in order by visual tokens.

        Raises:
            ValueError: The placeholders do not match the visual tokens, with both counts.
        """
        embeddings = self.model.embed_tokens(input_ids)
        ids = self.settings.ids
        places = (input_ids == ids.image) | (input_ids == ids.video)
        count = 0 if visual is None else visual.shape[0]
        if int(places.sum()) != count:
            raise ValueError(f"{int(places.sum())} visual placeholders, {count} visual tokens")
        if visual is None:
            return embeddings
        index = places.flatten().nonzero().squeeze(1)
        flat = embeddings.flatten(0, 1).index_copy(0, index, visual.to(embeddings.dtype))
        return flat.view_as(embeddings)

    def logits(self, hidden: Tensor) -> Tensor:
        """(..., d) -> (..., vocabulary), with the tied or the own head."""
        head = self.model.embed_tokens if self.lm_head is None else self.lm_head
        return F.linear(hidden, head.weight)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        position_ids: Tensor,
        pixel_values: Tensor | None = None,
        grid_thw: Tensor | None = None,
        frames: Sequence[Tensor] = (),
        context_rows: Sequence[int] = (),
        still: Sequence[bool] = (),
        labels: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
    ) -> ModelOutput:
        """Loss of a training batch, or logits without labels.

        Args:
            input_ids: (B, L), padded on the right.
            attention_mask: (B, L), 1 on real tokens.
            position_ids: (3, B, L).
            pixel_values: As in `encode_visual`; None for a batch of text.
            grid_thw: As in `encode_visual`.
            frames: As in `encode_visual`.
            context_rows: As in `encode_visual`.
            still: As in `encode_visual`.
            labels: (B, L), -100 = not supervised; the logits are then computed where they count.
            num_items_in_batch: Supervised tokens of the whole global batch; None = of this batch.

        Returns:
            ModelOutput(loss, None) with labels, else ModelOutput(None, logits).
        """
        visual = None
        if pixel_values is not None and grid_thw is not None:
            visual = self.encode_visual(
                pixel_values, grid_thw, frames=frames, context_rows=context_rows, still=still
            )
        embeddings = self.embed(input_ids, visual)
        hidden = run_decoder(self.model, embeddings, attention_mask, position_ids)
        if labels is None:
            return ModelOutput(None, self.logits(hidden))
        return ModelOutput(self._loss(hidden, labels, num_items_in_batch), None)

    def _loss(self, hidden: Tensor, labels: Tensor, count: Tensor | int | None) -> Tensor:
        """Next-token cross entropy in float32, summed, over the count of supervised tokens."""
        targets = labels[:, 1:]
        supervised = targets != IGNORE
        logits = self.logits(hidden[:, :-1][supervised]).float()
        total = F.cross_entropy(logits, targets[supervised], reduction="sum")
        return total / (supervised.sum() if count is None else count)


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


def _groups_by_shape(frames: Sequence[Tensor]) -> Iterator[list[int]]:
    groups: dict[tuple[Any, ...], list[int]] = {}
    for i, context in enumerate(frames):
        groups.setdefault(tuple(context.shape), []).append(i)
    yield from groups.values()
