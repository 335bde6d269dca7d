# SPDX-License-Identifier: Apache-2.0
"""Writing a model folder: published names, sharded safetensors, whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from os import PathLike
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from spatialcore.folders import whole_folder
from spatialmllm.checkpoints.adapter import FOLDER, WEIGHTS, adapter_files, split_adapter
from spatialmllm.config import SpatialMLLMConfig, to_mapping
from spatialmllm.model.model import SpatialMLLM

SHARD_BYTES = 4 * 10**9


def save(
    model: SpatialMLLM,
    path: str | PathLike[str],
    *,
    tokenizer_json: str | None = None,
    shard_bytes: int = SHARD_BYTES,
    state: Mapping[str, Tensor] | None = None,
) -> None:
    """Write a folder that `load` and `--model` take; a model that we wrote there is replaced.

    The folder is written under a temporary name, flushed to disk and renamed.

    Args:
        model: The model; heads are written only where they were built.
        path: The folder.
        tokenizer_json: Text of `tokenizer.json`, or None.
        shard_bytes: Largest size of one file.
        state: Parameters to write instead of the model's own, e.g. gathered ones.

    Raises:
        FolderInUse: The folder holds anything else.
    """
    tensors, adapter = split_adapter(model.named_parameters() if state is None else state.items())
    config = model.settings
    files = {
        "config.json": json.dumps(config.to_json(), indent=2) + "\n",
        "processor.json": json.dumps(to_mapping(config.processor), indent=2) + "\n",
        "README.md": _card(config),
    }
    if tokenizer_json is not None:
        files["tokenizer.json"] = tokenizer_json
    if model.adapter is not None:
        files |= adapter_files(model.adapter)
    write_folder(Path(path), tensors, files, shard_bytes=shard_bytes, adapter=adapter)


def write_folder(
    target: Path,
    tensors: Mapping[str, Tensor],
    files: Mapping[str, str],
    *,
    shard_bytes: int,
    adapter: Mapping[str, Tensor] | None = None,
) -> None:
    """Write text files, weights and the weights of an adapter as one folder, or nothing."""
    with whole_folder(target, "train") as work:
        for name, text in files.items():
            (work / name).parent.mkdir(exist_ok=True)
            (work / name).write_text(text, encoding="utf-8")
        if adapter:
            kept = {name: t.detach().cpu().contiguous() for name, t in adapter.items()}
            save_file(kept, work / FOLDER / WEIGHTS, metadata={"format": "pt"})
        write_shards(tensors, work, shard_bytes)


def write_shards(tensors: Mapping[str, Tensor], folder: Path, shard_bytes: int) -> None:
    """Write tensors as `model.safetensors`, or as numbered shards with an index."""
    shards: list[dict[str, Tensor]] = [{}]
    size = 0
    for name, tensor in tensors.items():
        amount = tensor.numel() * tensor.element_size()
        if shards[-1] and size + amount > shard_bytes:
            shards.append({})
            size = 0
        shards[-1][name] = tensor.detach().to("cpu").contiguous()
        size += amount
    if len(shards) == 1:
        save_file(shards[0], folder / "model.safetensors", metadata={"format": "pt"})
        return
    weight_map: dict[str, str] = {}
    for i, shard in enumerate(shards, 1):
        name = f"model-{i:05d}-of-{len(shards):05d}.safetensors"
        save_file(shard, folder / name, metadata={"format": "pt"})
        weight_map.update(dict.fromkeys(shard, name))
    total = sum(t.numel() * t.element_size() for t in tensors.values())
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    text = json.dumps(index, indent=2) + "\n"
    (folder / "model.safetensors.index.json").write_text(text, encoding="utf-8")


def _card(config: SpatialMLLMConfig) -> str:
    with torch.device("meta"):
        count = sum(p.numel() for p in SpatialMLLM(config).parameters())
    return (
        "# A spatialcore model\n\n"
        f"{count:,} parameters, connector `{config.connector.kind}`.\n\n"
        "    spatialcore ask --model THIS_FOLDER --images a.jpg b.jpg --question '...'\n"
    )
