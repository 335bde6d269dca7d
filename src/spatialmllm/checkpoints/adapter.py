# SPDX-License-Identifier: Apache-2.0
"""Low-rank adapters of the decoder: their files, and merging them into the weights they adapt.

An adapted matrix is W + (alpha / rank) B A (LoRA, arXiv 2106.09685). In memory, where the library
has wrapped the layers, the parts are `NAME.base_layer.weight`, `NAME.lora_A.default.weight` and
`NAME.lora_B.default.weight`; files have the plain names. Reading and merging needs torch alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spatialmllm.checkpoints.files import WeightFiles, opened_file, read_json
from spatialmllm.checkpoints.keys import CheckpointFormatError

FOLDER, CONFIG, WEIGHTS = "adapter", "adapter_config.json", "adapter_model.safetensors"
_FILE_PREFIX = "base_model.model."
_BASE, _A, _B = ".base_layer.", ".lora_A.default.", ".lora_B.default."


@dataclass(frozen=True, slots=True)
class AdapterConfig:
    """Rank, scale and the layers that are adapted, by the last part of their name."""

    rank: int
    alpha: float
    targets: tuple[str, ...]

    @property
    def scale(self) -> float:
        """Factor of B A."""
        return self.alpha / self.rank

    def to_json(self) -> dict[str, Any]:
        """The `adapter_config.json` that the usual tools read."""
        return {
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "r": self.rank,
            "lora_alpha": self.alpha,
            "target_modules": list(self.targets),
            "lora_dropout": 0.0,
            "bias": "none",
            "base_model_name_or_path": "..",
        }


def plain_name(name: str) -> str:
    """Name of a decoder parameter as it would be without an adapter."""
    return name.replace(_BASE, ".")


def is_adapter(name: str) -> bool:
    """Whether a parameter in memory belongs to an adapter."""
    return _A in name or _B in name


def split_adapter(
    parameters: Iterable[tuple[str, Tensor]],
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Parameters of the base under their plain names, and of the adapter under their file names."""
    base: dict[str, Tensor] = {}
    adapter: dict[str, Tensor] = {}
    for name, tensor in parameters:
        if is_adapter(name):
            adapter[_FILE_PREFIX + name.replace(".default.", ".")] = tensor
        else:
            base[plain_name(name)] = tensor
    return base, adapter


def merge_adapter(folder: Path, parameters: Mapping[str, Tensor]) -> None:
    """Add the adapter of a folder to the weights it adapts, in float32, in place.

    Args:
        folder: Folder with `adapter_config.json` and `adapter_model.safetensors`.
        parameters: The model's parameters by name.

    Raises:
        CheckpointFormatError: A file is missing or damaged, or a part fits no weight.
    """
    scale = _scale(read_json(folder / CONFIG), folder / CONFIG)
    parts: dict[str, dict[str, Tensor]] = {}
    with opened_file(folder / WEIGHTS) as reader:
        for name in reader.keys():  # noqa: SIM118 - a reader is no mapping
            stem, _, kind = name.removesuffix(".weight").rpartition(".")
            target = f"{stem.removeprefix(_FILE_PREFIX)}.weight"
            if kind not in ("lora_A", "lora_B") or target not in parameters:
                raise CheckpointFormatError(f"{folder}: {name} adapts nothing in the model")
            parts.setdefault(target, {})[kind] = reader.get_tensor(name)
    with torch.no_grad():
        for target, pair in parts.items():
            weight = parameters[target]
            if len(pair) != 2 or (pair["lora_B"].shape[0], pair["lora_A"].shape[1]) != weight.shape:
                shapes = {kind: tuple(part.shape) for kind, part in pair.items()}
                raise CheckpointFormatError(
                    f"{folder}: {shapes} do not fit {target} {tuple(weight.shape)}"
                )
            a, b = (pair[kind].to(weight.device, torch.float32) for kind in ("lora_A", "lora_B"))
            weight.copy_(weight.float() + scale * (b @ a))


def adapter_files(config: AdapterConfig) -> dict[str, str]:
    """Text files of the adapter's folder, by path in the model folder."""
    return {f"{FOLDER}/{CONFIG}": json.dumps(config.to_json(), indent=2) + "\n"}


def adapter_beside(source: WeightFiles) -> Path | None:
    """The adapter's folder of a checkpoint that has one."""
    folder = source.path / FOLDER
    return folder if (folder / CONFIG).is_file() else None


def _scale(config: Mapping[str, Any], path: Path) -> float:
    rank, alpha = config.get("r"), config.get("lora_alpha")
    if config.get("peft_type") != "LORA" or not isinstance(rank, int) or rank < 1:
        raise CheckpointFormatError(f"{path}: not the configuration of a low-rank adapter")
    if not isinstance(alpha, int | float) or config.get("use_rslora") or config.get("use_dora"):
        raise CheckpointFormatError(f"{path}: only the plain form W + (alpha / r) B A is read")
    return float(alpha) / rank
