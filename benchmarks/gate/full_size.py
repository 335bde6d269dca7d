# SPDX-License-Identifier: Apache-2.0
"""The published sizes on one GPU: parameters, memory and time of a forward pass and of a step.

Weights are random and the sample is made up: nothing is learned here. It says what a step of the
recipe `spatial-mllm` costs, and whether the estimate of `train --dry-run` holds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from benchmarks.gate.run import MachineError
from spatialmllm.config import SpatialMLLMConfig
from spatialmllm.data.batches import Sample, collate, to_device
from spatialmllm.data.preprocessing import Medium, target_size
from spatialmllm.data.tokens import IGNORE
from spatialmllm.model.model import SpatialMLLM, build, build_meta, parameter_counts
from spatialmllm.training.parameters import parameter_groups
from spatialmllm.training.recipe import Recipe, load_recipe
from spatialmllm.training.sft import estimate_memory

RECIPE = "spatial-mllm"
CAPTURED = (968, 1296)
"""Height and width of a captured frame, before the resize."""
TEXT_TOKENS, ANSWER_TOKENS = 96, 32
_GIGA = 1e9


def full_size_config(recipe: Recipe) -> SpatialMLLMConfig:
    """The configuration of a recipe that normally starts from weights, with their vocabulary."""
    model = recipe.model
    return SpatialMLLMConfig(
        model.text, model.vision, model.spatial, model.connector, recipe.processor
    )


def planned(recipe: Recipe, config: SpatialMLLMConfig) -> dict[str, Any]:
    """Parameters by part and the memory that `train --dry-run` foresees; allocates nothing."""
    model = build_meta(config).freeze(recipe.optimiser.freeze)
    trained, frozen = estimate_memory(model, recipe.schedule.precision)
    counts = parameter_counts(model)
    return {
        "parameters": sum(sum(pair) for pair in counts.values()),
        "trained": sum(pair[0] for pair in counts.values()),
        "estimated_gb": round(trained + frozen, 2),
    }


def made_up_sample(config: SpatialMLLMConfig, images: int) -> Sample:
    """A sequence of `images` noisy stills of the captured size, a question and an answer."""
    rows, columns = target_size(*CAPTURED, config.processor)
    noise = np.random.Generator(np.random.PCG64(0))
    shape = (1, rows, columns, 3)
    media = tuple(
        Medium(noise.integers(0, 256, shape, dtype=np.uint8), still=True) for _ in range(images)
    )
    ids: list[int] = []
    for medium in media:
        tokens = [config.ids.image] * medium.token_count
        ids += [config.ids.vision_start, *tokens, config.ids.vision_end]
    special = set(asdict(config.ids).values())
    plain = [i for i in range(config.text.vocab_size) if i not in special]
    ids += [plain[i % len(plain)] for i in range(TEXT_TOKENS + ANSWER_TOKENS)]
    labels = [IGNORE] * (len(ids) - ANSWER_TOKENS) + ids[-ANSWER_TOKENS:]
    return Sample(ids, labels, media)


def measure(settings: Sequence[str] = (), *, images: int = 2, repeats: int = 3) -> dict[str, Any]:
    """Measure the full sizes on this machine's GPU.

    Args:
        settings: Settings of the recipe, as `train --set` takes them.
        images: Images of the sequence; two is a question of MultiSPA.
        repeats: Passes that are timed, after one that is not.

    Raises:
        MachineError: There is no GPU.
    """
    if not torch.cuda.is_available():
        raise MachineError(
            f"the sizes of {RECIPE!r} are measured on a GPU, and torch finds none here"
        )
    recipe = load_recipe(RECIPE, settings)
    config = full_size_config(recipe)
    model = build(config, device="cuda").freeze(recipe.optimiser.freeze)
    return planned(recipe, config) | measure_model(model, recipe, images=images, repeats=repeats)


def measure_model(
    model: SpatialMLLM, recipe: Recipe, *, images: int, repeats: int
) -> dict[str, Any]:
    """Time and memory of a forward pass and of an optimiser step, where the model is."""
    half = recipe.schedule.precision == "bfloat16"
    for parameter in model.parameters():
        if half and not parameter.requires_grad:
            parameter.data = parameter.data.to(torch.bfloat16)
    model.set_checkpointing(recipe.schedule.checkpointing)
    sample = made_up_sample(model.settings, images)
    batch = to_device(collate([sample], model.settings), model.device)
    optimiser = torch.optim.AdamW(parameter_groups(model, recipe.optimiser))

    def context() -> AbstractContextManager[Any]:
        kind = model.device.type
        return torch.autocast(kind, torch.bfloat16) if half else nullcontext()

    def forward() -> float:
        with torch.no_grad(), context():
            return float(model(**batch).loss)

    def step() -> float:
        with context():
            loss = model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.optimiser.clip)
        optimiser.step()
        optimiser.zero_grad()
        return float(loss.detach())

    model.eval()
    loss = forward()
    report: dict[str, Any] = {"tokens": len(sample.ids), "images": images, "loss": round(loss, 4)}
    report["forward_s"], report["forward_peak_gb"] = _cost(forward, model.device, repeats)
    model.train()
    step()
    report["step_s"], report["step_peak_gb"] = _cost(step, model.device, repeats)
    return report


def _cost(work: Callable[[], float], device: torch.device, repeats: int) -> tuple[float, float]:
    """Least seconds of some runs, and the peak of GPU memory in GB (0 on a CPU)."""
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(device)
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        if on_gpu:
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - began)
    peak = torch.cuda.max_memory_allocated(device) / _GIGA if on_gpu else 0.0
    return round(min(seconds), 4), round(peak, 3)
