# SPDX-License-Identifier: Apache-2.0
"""What the stages that sample answers take: `grpo` and `cold-start`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spatialmllm.data.records import parse_folder
from spatialmllm.training.manifest import RequestError

if TYPE_CHECKING:
    from spatialmllm.training.sft import TrainRequest


def check_rewarded(request: TrainRequest) -> None:
    """Refuse what they do not take.

    Raises:
        RequestError: No model to start from, or data that only supervised runs mix.
        ValueError: The answers of a step do not divide into micro-batches.
    """
    stage, recipe = request.stage, request.recipe
    if not request.init:
        raise RequestError(
            f"--stage {stage} samples answers of a model: give --init DIR, trained before"
        )
    mixed = any(parse_folder(text).weight > 1 for text in request.records)
    if mixed or recipe.data.temperature != 1.0:
        raise RequestError(
            f"weights above 1 and data.temperature mix supervised records; --stage {stage} takes "
            "shares below 1"
        )
    if stage == "grpo":
        recipe.reward.accumulation(recipe.schedule.micro_batch)
        if request.eval_records:
            raise RequestError(
                "--eval-records does not go with --stage grpo: ask the saved model with "
                "`spatialcore eval`"
            )
