# SPDX-License-Identifier: Apache-2.0
"""From the frames of contexts to the spatial features that a connector reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from spatialmllm.model.connectors import PairedFeatures
from spatialmllm.model.merge import pair_frames

if TYPE_CHECKING:
    from spatialmllm.model.model import SpatialMLLM


def spatial_contexts(
    model: SpatialMLLM,
    frames: Sequence[Tensor],
    grids: list[list[int]],
    context_rows: Sequence[int],
    still: Sequence[bool],
    keys: Sequence[str] = (),
) -> list[PairedFeatures]:
    """Features of each context, its frames in pairs.

    Args:
        model: The model, with a spatial encoder.
        frames: As in `SpatialMLLM.encode_visual`.
        grids: (t, h, w) of every grid row.
        context_rows: As in `SpatialMLLM.encode_visual`.
        still: As in `SpatialMLLM.encode_visual`.
        keys: As in `SpatialMLLM.encode_visual`.

    Raises:
        ValueError: The contexts do not cover the grid rows.
    """
    if sum(context_rows) != len(grids) or len(context_rows) != len(frames):
        raise ValueError(
            f"{len(frames)} contexts with rows {list(context_rows)} for {len(grids)} grid rows"
        )
    encoded = encode_contexts(model, [context.to(model.device) for context in frames], keys)
    contexts: list[PairedFeatures] = []
    at = 0
    for features, rows in zip(encoded, context_rows, strict=True):
        own = grids[at : at + rows]
        paired = pair_frames(features, own, still[at : at + rows])
        contexts.append(PairedFeatures(paired, own[0][1], own[0][2]))
        at += rows
    return contexts


def encode_contexts(
    model: SpatialMLLM, frames: Sequence[Tensor], keys: Sequence[str] = ()
) -> list[Tensor]:
    """Patch features (S, h * w, D) of each context, from the model's cache where it has one."""
    aggregator = model.aggregator
    if aggregator is None:
        raise ValueError("this model has no spatial encoder")
    layers = model.settings.connector.layers
    mix = None if model.connector is None else model.connector.mix
    results: dict[int, Tensor] = {}
    grad = torch.is_grad_enabled() and "spatial" not in model.frozen
    if model.feature_cache is not None and keys and not grad:
        with torch.no_grad():
            kept = [model.feature_cache.features(model, f, key)
                    for f, key in zip(frames, keys, strict=True)]  # fmt: skip
        return [(each[0] if mix is None else mix(each))[0] for each in kept]
    groups = list(_groups_by_shape(frames))
    stacked = [torch.stack([frames[i] for i in group]) for group in groups]
    with torch.set_grad_enabled(grad):
        encoded = aggregator(stacked, layers)
    for group, made in zip(groups, encoded, strict=True):
        patches = [layer[:, :, aggregator.patch_start :] for layer in made]
        features = patches[0] if mix is None else mix(patches)
        for row, i in enumerate(group):
            results[i] = features[row]
    return [results[i] for i in range(len(frames))]


def _groups_by_shape(frames: Sequence[Tensor]) -> Iterator[list[int]]:
    groups: dict[tuple[Any, ...], list[int]] = {}
    for i, context in enumerate(frames):
        groups.setdefault(tuple(context.shape), []).append(i)
    yield from groups.values()
