# SPDX-License-Identifier: Apache-2.0
"""Writing a model folder: published names, sharded safetensors, whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from spatialcore.files import whole_file, write_text
from spatialcore.folders import whole_folder
from spatialmllm.auto.config import ARCHITECTURE
from spatialmllm.checkpoints.adapter import FOLDER, WEIGHTS, adapter_files, split_adapter
from spatialmllm.config import SpatialMLLMConfig, to_mapping
from spatialmllm.data.tokens import PAD, TURN_END
from spatialmllm.model.model import SpatialMLLM

SHARD_BYTES = 4 * 10**9
INDEX = "model.safetensors.index.json"


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
    files = model_texts(model)
    if tokenizer_json is not None:
        files |= processor_texts(model.settings, tokenizer_json)
    if model.adapter is not None:
        files |= adapter_files(model.adapter)
    write_folder(Path(path), tensors, files, shard_bytes=shard_bytes, adapter=adapter)


def save_beside(
    model: Any,
    folder: Path,
    *,
    state: Mapping[str, Tensor] | None = None,
    shard_bytes: int = SHARD_BYTES,
) -> None:
    """Write a model's files into a folder that may hold others, each file whole or not at all.

    Args:
        model: The model, a `SpatialMLLM`.
        folder: The folder; weights in it that are not this model's are removed at the end.
        state: As in `save`.
        shard_bytes: As in `save`.

    Raises:
        ValueError: The model has an adapter, which `save` writes.
    """
    if model.adapter is not None:
        raise ValueError("a model with an adapter is written by spatialmllm.save")
    tensors, _ = split_adapter(model.named_parameters() if state is None else state.items())
    for name, text in model_texts(model).items():
        write_text(folder / name, text)
    written = write_shards(tensors, folder, shard_bytes)
    for stale in folder.glob("model*.safetensors*"):
        if stale.name not in written:
            stale.unlink()


def model_texts(model: SpatialMLLM) -> dict[str, str]:
    """The text files that say what a model's weights are, by name."""
    config = model.settings
    flat = {**config.to_json(), "architectures": [ARCHITECTURE], "dtype": str(model.dtype)[6:]}
    ends = {"eos_token_id": [config.ids.end, config.ids.pad], "pad_token_id": config.ids.pad}
    return {
        "config.json": json.dumps(flat, indent=2) + "\n",
        "processor.json": json.dumps(to_mapping(config.processor), indent=2) + "\n",
        "generation_config.json": json.dumps(ends, indent=2) + "\n",
        "README.md": _card(config),
    }


def processor_texts(config: SpatialMLLMConfig, tokenizer_json: str) -> dict[str, str]:
    """The text files from which the library opens tokenizer and processor, by name."""
    from spatialmllm.auto.processor import CHAT_TEMPLATE, SpatialMLLMProcessor

    # Pixels and time stay in processor.json alone; this file names the class that reads it.
    named = {"processor_class": SpatialMLLMProcessor.__name__}
    tokenizer = {
        **named,
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": TURN_END,
        "pad_token": PAD,
        "padding_side": "left",
        "model_max_length": config.processor.max_tokens,
        "clean_up_tokenization_spaces": False,
    }
    return {
        "tokenizer.json": tokenizer_json,
        "tokenizer_config.json": json.dumps(tokenizer, indent=2) + "\n",
        "preprocessor_config.json": json.dumps(named, indent=2) + "\n",
        "processor.json": json.dumps(to_mapping(config.processor), indent=2) + "\n",
        "chat_template.jinja": CHAT_TEMPLATE,
    }


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


def write_shards(tensors: Mapping[str, Tensor], folder: Path, shard_bytes: int) -> set[str]:
    """Write tensors as `model.safetensors`, or as numbered shards with an index.

    Returns:
        Names of the files.
    """
    shards: list[dict[str, Tensor]] = [{}]
    size = 0
    for name, tensor in tensors.items():
        amount = tensor.numel() * tensor.element_size()
        if shards[-1] and size + amount > shard_bytes:
            shards.append({})
            size = 0
        shards[-1][name] = tensor.detach().to("cpu").contiguous()
        size += amount
    names = ["model.safetensors"]
    if len(shards) > 1:
        names = [f"model-{i:05d}-of-{len(shards):05d}.safetensors"
                 for i in range(1, len(shards) + 1)]  # fmt: skip
    weight_map: dict[str, str] = {}
    for name, shard in zip(names, shards, strict=True):
        with whole_file(folder / name, durable=False) as temporary:
            save_file(shard, temporary, metadata={"format": "pt"})
        weight_map.update(dict.fromkeys(shard, name))
    if len(shards) == 1:
        return set(names)
    total = sum(t.numel() * t.element_size() for t in tensors.values())
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    write_text(folder / INDEX, json.dumps(index, indent=2) + "\n")
    return {*names, INDEX}


def _card(config: SpatialMLLMConfig) -> str:
    with torch.device("meta"):
        count = sum(p.numel() for p in SpatialMLLM(config).parameters())
    return (
        "# A spatialcore model\n\n"
        f"{count:,} parameters, connector `{config.connector.kind}`.\n\n"
        "    spatialcore ask --model THIS_FOLDER --images a.jpg b.jpg --question '...'\n"
    )
