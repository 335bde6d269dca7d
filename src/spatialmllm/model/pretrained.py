# SPDX-License-Identifier: Apache-2.0
"""`from_pretrained`, `save_pretrained` and others: the library's names for what is ours.

The library's own reader renames keys and fills what is missing with random numbers and a warning;
ours takes every tensor by its published name, or nothing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig

# Where to fetch from, and what says nothing to a reader that reads safetensors into place.
_FETCH = ("revision", "cache_dir", "token", "local_files_only", "force_download")
_IDLE = ("trust_remote_code", "low_cpu_mem_usage", "use_safetensors", "adapter_kwargs",
         "_from_auto", "_commit_hash", "code_revision")  # fmt: skip
_FILES = ("*.json", "*.safetensors", "*.jinja", "adapter/*")


class PretrainedFolder:
    """Methods that the library calls, for `SpatialMLLM`."""

    settings: Any
    config: Any
    set_checkpointing: Any

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | os.PathLike[str],
        *,
        config: Any = None,
        dtype: torch.dtype | str | None = None,
        torch_dtype: torch.dtype | str | None = None,
        device_map: Any = None,
        attn_implementation: str | None = None,
        **options: Any,
    ) -> Any:
        """The model of a folder, or of a repository of the hub, in evaluation mode.

        Args:
            pretrained_model_name_or_path: A folder as `train` and `save` write it, or as it was
                published; else the name of a repository.
            config: The library's view of its configuration; its sizes must be the folder's.
            dtype: Type of the parameters; None or "auto" keeps that of the files.
            torch_dtype: The older name of `dtype`.
            device_map: One device; "auto" takes the GPU where there is one. Layers of one model
                are not spread over several.
            attn_implementation: "sdpa", "eager" or "flash_attention_2".
            **options: Where to fetch a repository from (`revision`, `cache_dir`, `token`,
                `local_files_only`, `force_download`).

        Raises:
            CheckpointFormatError: Names or shapes of the weights do not fit.
            TypeError: An option that this reader would have to ignore.
            ValueError: A `config` of another model, or several devices.
        """
        from spatialmllm.checkpoints import load, load_config

        fetch = {key: options.pop(key) for key in _FETCH if key in options}
        if unknown := sorted(key for key, value in options.items()
                             if key not in _IDLE and value is not None):  # fmt: skip
            raise TypeError(f"from_pretrained of {cls.__name__} knows no {', '.join(unknown)}")
        folder = fetched(pretrained_model_name_or_path, fetch)
        if config is not None:
            config.check_same_sizes(load_config(folder).to_json(), str(folder))
            attn_implementation = attn_implementation or config._attn_implementation
        model = load(
            folder,
            dtype=_dtype(torch_dtype if dtype is None else dtype),
            device=_device(device_map),
            attention=attn_implementation or "sdpa",
        )
        model.name_or_path = str(pretrained_model_name_or_path)
        if (folder / "generation_config.json").is_file():
            model.generation_config = GenerationConfig.from_pretrained(folder)
        return model.eval()

    def save_pretrained(
        self,
        save_directory: str | os.PathLike[str],
        *,
        state_dict: Mapping[str, Tensor] | None = None,
        max_shard_size: int | str = "4GB",
        **_: Any,
    ) -> None:
        """Write the model's files into a folder, beside what is there; each is whole or absent.

        Args:
            save_directory: The folder; weights of ours in it are replaced.
            state_dict: Parameters to write instead of the model's own, e.g. gathered ones.
            max_shard_size: Largest size of one file of weights, in bytes or as "4GB".
        """
        from spatialmllm.checkpoints.save import save_beside

        save_beside(
            self, Path(save_directory), state=state_dict, shard_bytes=_bytes(max_shard_size)
        )

    def gradient_checkpointing_enable(self, *_: Any, **__: Any) -> None:
        """The library's name of `set_checkpointing(True)`; recomputation is never reentrant."""
        self.set_checkpointing(True)

    def gradient_checkpointing_disable(self) -> None:
        """The library's name of `set_checkpointing(False)`."""
        self.set_checkpointing(False)

    activation_checkpointing_enable = gradient_checkpointing_enable
    activation_checkpointing_disable = gradient_checkpointing_disable


def fetched(name: str | os.PathLike[str], fetch: Mapping[str, Any]) -> Path:
    """The folder of that name, or the files of a repository of the hub.

    Raises:
        FileNotFoundError: It is neither.
    """
    folder = Path(name)
    if folder.exists():
        return folder
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(str(name), allow_patterns=list(_FILES), **fetch))
    except (HFValidationError, LocalEntryNotFoundError, HfHubHTTPError) as error:
        raise FileNotFoundError(
            f"{name}: neither a folder nor a repository that can be fetched"
        ) from error


def _dtype(dtype: torch.dtype | str | None) -> torch.dtype | None:
    if dtype is None or isinstance(dtype, torch.dtype):
        return dtype
    if dtype == "auto":
        return None
    found = getattr(torch, dtype, None)
    if not isinstance(found, torch.dtype):
        raise ValueError(f"dtype must be one of torch's, or 'auto', got {dtype!r}")
    return found


def _device(device_map: Any) -> torch.device:
    if isinstance(device_map, Mapping):
        devices = {str(device) for device in device_map.values()}
        if len(devices) != 1:
            raise ValueError(f"a model lies on one device, got {', '.join(sorted(devices))}")
        device_map = next(iter(device_map.values()))
    if device_map in ("auto", "balanced"):
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device("cpu" if device_map is None else device_map)


def _bytes(size: int | str) -> int:
    from accelerate.utils import convert_file_size_to_int

    return int(convert_file_size_to_int(size))
