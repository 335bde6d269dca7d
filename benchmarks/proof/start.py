# SPDX-License-Identifier: Apache-2.0
"""The model that stage S starts from: random weights, and the matching part of stage M."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.proof.matching import trained_weights
from spatialmllm.checkpoints import save
from spatialmllm.training.recipe import load_recipe
from spatialmllm.training.sft import TrainRequest, make_model, prepare


def write_start(
    folder: Path, records: Path, recipe: Path, settings: Sequence[str], matching: Path
) -> None:
    """Write a model folder for `train --init`.

    All parameters but those of the matching part are what the same recipe starts from without it.

    Args:
        folder: The folder to write.
        records: Training records, whose words make the tokenizer.
        recipe: The training recipe.
        settings: Its settings; they turn the matching part on.
        matching: Folder of stage M.
    """
    request = TrainRequest((str(records),), load_recipe(str(recipe), settings), folder)
    prepared = prepare(request)
    model = make_model(prepared)
    part = None if model.aggregator is None else model.aggregator.matching
    if part is None:
        raise ValueError(f"{recipe} with {list(settings)} builds no matching part")
    found = part.load_state_dict(trained_weights(matching), strict=False)
    left = [name for name in found.missing_keys if not name.startswith("fc")]
    if left or found.unexpected_keys:
        raise ValueError(f"{matching}: {left + found.unexpected_keys} do not fit")
    save(model, folder, tokenizer_json=prepared.tokenizer.to_json())
