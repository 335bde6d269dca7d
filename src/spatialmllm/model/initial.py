# SPDX-License-Identifier: Apache-2.0
"""Random weights of a model that starts from none, a function of a seed alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from spatialmllm.config import SpatialMLLMConfig
from spatialmllm.model.backbone import restore_rotary

MATCHING = "spatial_encoder.vggt_model.aggregator.matching."

if TYPE_CHECKING:
    from spatialmllm.model.model import SpatialMLLM


def initialise(model: SpatialMLLM, seed: int) -> None:
    """Initialise every parameter from `seed`: matrices N(0, initializer_range), norms 1.

    The generator is local, so the process's random state is neither read nor changed.
    """
    settings = model.settings
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if name.startswith(MATCHING):
            continue  # last, so that all others are what they are without it
        std = _spread(settings, name)
        with torch.no_grad():
            if name.endswith("gamma"):
                parameter.fill_(_layer_scale(settings, name))
            elif parameter.ndim < 2:
                # The only weights of one dimension are those of norms.
                parameter.fill_(1.0 if name.endswith(".weight") else 0.0)
            else:
                values = torch.empty(parameter.shape).normal_(std=std, generator=generator)
                parameter.copy_(values)
    if model.connector is not None:
        model.connector.reset(generator)
    if model.aggregator is not None and model.aggregator.matching is not None:
        model.aggregator.matching.reset(generator)
    restore_rotary(model, model.device)


def _spread(settings: SpatialMLLMConfig, name: str) -> float:
    if name.startswith("visual."):
        return settings.vision.initializer_range
    if name.startswith("spatial_encoder.") and settings.spatial is not None:
        spatial = settings.spatial
        if name.endswith("pos_embed") and spatial.position_range is not None:
            return spatial.position_range
        return spatial.initializer_range
    return settings.text.initializer_range


def _layer_scale(settings: SpatialMLLMConfig, name: str) -> float:
    if ".patch_embed." in name or settings.spatial is None:
        return 1.0
    return settings.spatial.layer_scale_init
