# SPDX-License-Identifier: Apache-2.0
"""Training the decoder through low-rank adapters instead of its own weights."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from spatialcore.errors import BackendUnavailable
from spatialmllm.checkpoints.adapter import AdapterConfig, is_adapter
from spatialmllm.checkpoints.keys import CheckpointFormatError
from spatialmllm.model.model import SpatialMLLM

TRAINED = "trained.safetensors"


def add_adapter(model: SpatialMLLM, config: AdapterConfig, seed: int) -> None:
    """Wrap the decoder's layers; the adapters alone are trained there, and start as zero change.

    A starts uniform in +-1/sqrt(inputs) from `seed` alone, B at zero.

    Raises:
        BackendUnavailable: peft is not installed.
        ValueError: No layer has a name in `targets`.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise BackendUnavailable("peft", "LoRA needs it: pip install '.[lora]'") from error
    wrapped = LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        target_modules=list(config.targets),
        lora_dropout=0.0,
        bias="none",
    )
    # The library draws A from the process's generator; that state is put back.
    state = torch.get_rng_state()
    inject_adapter_in_model(wrapped, model.model)
    torch.set_rng_state(state)
    model.adapter = config
    model.freeze({*model.frozen, "decoder"})
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if not is_adapter(name):
            continue
        parameter.requires_grad_(True)
        if parameter.is_meta:
            continue
        with torch.no_grad():
            if ".lora_A." in name:
                bound = parameter.shape[1] ** -0.5
                drawn = torch.empty(parameter.shape).uniform_(-bound, bound, generator=generator)
                parameter.copy_(drawn)
            else:
                parameter.zero_()


def save_trained(model: SpatialMLLM, folder: Path) -> None:
    """Write the trained parameters alone: what is frozen comes from where the run started."""
    tensors = {
        name: parameter.detach().cpu().contiguous()
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }
    save_file(tensors, folder / TRAINED)


def read_trained(model: SpatialMLLM, folder: Path) -> None:
    """Inverse of `save_trained`, strictly.

    Raises:
        CheckpointFormatError: The file holds other parameters than the model trains.
    """
    stored = load_file(folder / TRAINED)
    wanted = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if stored.keys() != wanted.keys():
        differ = sorted(stored.keys() ^ wanted.keys())
        raise CheckpointFormatError(f"{folder}: other parameters are trained: {differ[:5]}")
    with torch.no_grad():
        for name, parameter in wanted.items():
            parameter.copy_(stored[name])
