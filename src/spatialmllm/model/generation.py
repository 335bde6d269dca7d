# SPDX-License-Identifier: Apache-2.0
"""What the library's `generate` needs to know: images are seen once, and three rows of positions.

Prompts of a batch are padded on the left, so that every row's next token follows its last one.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers.generation import GenerationMixin

from spatialmllm.data.positions import sequence_positions, time_stride

# Arguments of `forward` that say what is seen; `visual` is what they become.
SEEN = ("pixel_values", "grid_thw", "frames", "context_rows", "still", "context_keys")


class VisualGeneration(GenerationMixin):
    """`generate` of a model with the arguments `SEEN`."""

    settings: Any
    encode_visual: Any

    def positions(
        self, input_ids: Tensor, attention_mask: Tensor | None, grid_thw: Tensor | None
    ) -> Tensor:
        """Position ids (3, B, L) of padded sequences, whose media are in the order of the grids.

        Args:
            input_ids: (B, L).
            attention_mask: (B, L), 1 on real tokens; None: all are.
            grid_thw: (n, 3), (t, h, w) in patches of all media of the batch; None: there are none.

        Raises:
            ValueError: The placeholders do not match the grids.
        """
        config = self.settings
        made = torch.ones((3, *input_ids.shape), dtype=torch.long)
        rows = input_ids.tolist()
        real = None if attention_mask is None else attention_mask.bool().cpu()
        grids = [] if grid_thw is None else grid_thw.tolist()
        for number, row in enumerate(rows):
            chosen = torch.ones(len(row), dtype=torch.bool) if real is None else real[number]
            ids = [token for token, kept in zip(row, chosen.tolist(), strict=True) if kept]
            own = _own_grids(ids, grids, config)
            found = sequence_positions(
                ids, own, (config.ids.image, config.ids.video),
                stride=time_stride(config),
                merge=config.vision.spatial_merge_size,
            )  # fmt: skip
            made[:, number, chosen] = torch.from_numpy(found.ids)
        if grids:
            raise ValueError(f"{len(grids)} media have no placeholders in the sequences")
        return made.to(input_ids.device)

    def missing_positions(
        self, ids: Tensor | None, mask: Tensor | None, grids: Tensor | None, kept: Any
    ) -> Tensor:
        """Positions where none were given; ValueError where ids and mask do not tell them."""
        if ids is None or (kept is not None and kept.get_seq_length()):
            raise ValueError("position_ids (3, B, L) are needed with embeddings or a filled cache")
        return self.positions(ids, mask, grids)

    def prepare_inputs_for_generation(self, input_ids: Tensor, **kwargs: Any) -> dict[str, Any]:
        """The library's inputs of a step; what a cache holds is not shown again."""
        first = kwargs.get("is_first_iteration", False)
        mask = kwargs.get("attention_mask")
        if first and mask is not None and mask.ndim == 2 and not bool(mask[:, -1].all()):
            raise ValueError("prompts to be continued must be padded on the left")
        if not first and kwargs.get("use_cache", True):
            kwargs = {key: value for key, value in kwargs.items() if key != "visual"}
        inputs: dict[str, Any] = super().prepare_inputs_for_generation(input_ids, **kwargs)
        return inputs

    def _expand_inputs_for_generation(
        self, expand_size: int = 1, input_ids: Tensor | None = None, **kwargs: Any
    ) -> tuple[Tensor, dict[str, Any]]:
        """Images are encoded here, once, however many times a prompt is continued."""
        seen = {key: kwargs.pop(key) for key in SEEN if key in kwargs}
        positions = kwargs.pop("position_ids", None)
        if seen.get("pixel_values") is not None:
            with torch.no_grad():
                kwargs["visual"] = self.encode_visual(**seen)
        visual = kwargs.pop("visual", None)
        counts: list[int] = []
        if visual is not None and input_ids is not None:
            ids = self.settings.ids
            places = (input_ids == ids.image) | (input_ids == ids.video)
            counts = places.sum(dim=1).tolist()
        input_ids, kwargs = super()._expand_inputs_for_generation(
            expand_size=expand_size, input_ids=input_ids, **kwargs
        )
        if positions is not None:
            kwargs["position_ids"] = positions.repeat_interleave(expand_size, dim=-2)
        if visual is not None:
            parts = visual.split(counts) if counts and sum(counts) == len(visual) else [visual]
            kwargs["visual"] = torch.cat([part for part in parts for _ in range(expand_size)])
        return input_ids, kwargs

    def _prepare_position_ids_for_generation(
        self, inputs_tensor: Tensor, model_kwargs: dict[str, Any]
    ) -> Tensor:
        if "input_ids" in model_kwargs:
            inputs_tensor = model_kwargs["input_ids"]
        if not inputs_tensor.is_floating_point():
            mask, grids = model_kwargs.get("attention_mask"), model_kwargs.get("grid_thw")
            return self.positions(inputs_tensor, mask, grids)
        text = super()._prepare_position_ids_for_generation(inputs_tensor, model_kwargs)
        return text.expand(3, *text.shape)

    def _update_model_kwargs_for_generation(
        self, outputs: Any, model_kwargs: dict[str, Any], *args: Any, **kwargs: Any
    ) -> dict[str, Any]:
        """One more than the largest id of all three rows follows, also after a picture."""
        before, mask = model_kwargs.get("position_ids"), model_kwargs.get("attention_mask")
        made: dict[str, Any] = super()._update_model_kwargs_for_generation(
            outputs, model_kwargs, *args, **kwargs
        )
        if before is not None and before.ndim == 3:
            new = made["position_ids"].shape[-1] - before.shape[-1]
            real = before if mask is None else before.masked_fill(mask[None] == 0, -1)
            start = real.amax(dim=(0, 2))[:, None] + 1
            ids = start + torch.arange(new, device=before.device)
            made["position_ids"] = torch.cat([before, ids.expand(3, *ids.shape)], dim=-1)
        return made


def _own_grids(ids: list[int], grids: list[list[int]], config: Any) -> list[list[int]]:
    """Take from the front of `grids` those that a sequence has placeholders for."""
    visual = sum(token in (config.ids.image, config.ids.video) for token in ids)
    own: list[list[int]] = []
    merged = config.vision.spatial_merge_size**2
    while grids and visual > 0:
        t, h, w = grids[0]
        visual -= t * h * w // merged
        own.append(grids.pop(0))
    return own
