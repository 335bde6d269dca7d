# SPDX-License-Identifier: Apache-2.0
"""Parameter groups: decay where there are matrices, and a learning rate for each kind of part."""

from __future__ import annotations

from typing import Any

from torch import nn

from spatialmllm.model.model import PARTS
from spatialmllm.training.recipe import OptimiserRecipe

_RATE = {
    "decoder": "lr",
    "merger": "lr_projector",
    "connector": "lr_projector",
    "vision": "lr_encoders",
    "spatial": "lr_encoders",
    "matching": "lr_encoders",
}


def parameter_groups(model: nn.Module, recipe: OptimiserRecipe) -> list[dict[str, Any]]:
    """Groups for AdamW, in a fixed order; empty groups are left out.

    Vectors (norms, biases, LayerScale) are not decayed. Groups are named `<rate>/decay` and
    `<rate>/plain`.

    Raises:
        ValueError: Every parameter is frozen.
    """
    members: dict[tuple[str, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        plain_name = name.removeprefix("module.")
        part = next(p for p, prefixes in PARTS.items() if plain_name.startswith(prefixes))
        members.setdefault((_RATE[part], parameter.ndim >= 2), []).append(parameter)
    if not members:
        raise ValueError("every part of the model is frozen")
    return [
        {
            "name": f"{rate}/{'decay' if decay else 'plain'}",
            "params": members[rate, decay],
            "lr": float(getattr(recipe, rate)),
            "weight_decay": recipe.weight_decay if decay else 0.0,
        }
        for rate in ("lr", "lr_projector", "lr_encoders")
        for decay in (True, False)
        if (rate, decay) in members
    ]
